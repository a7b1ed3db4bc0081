"""The handler of the jobs that verify uploads. A job may run more than once: its renditions have the same digest each time."""

import asyncio
from functools import partial
from pathlib import Path

import structlog

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind
from mercato_server.domain.picture_errors import PicturesUnavailable
from mercato_server.domain.pictures import Renditions, Side, Unusable
from mercato_server.jobs.queues import Job, LaterError, Queue
from mercato_server.pictures.decoding import BusyError, FaultError, Refused, StoppedError, decode
from mercato_server.pictures.storage import FileSizeError, Storage
from mercato_server.store import picture_uploads
from mercato_server.store.picture_uploads import ContentBusyError

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Uploads that all workers together verify at the same time."""
PER_SECOND = 10.0
PAUSE_MAX_S = 60.0
TRIES = 5
"""How often a file is looked for that is not there."""
STOPS = 5
"""Attempts of a job after which another signal from outside means that the file needs too much: the machine runs out of memory."""


class Verifier:
    """Makes pictures of uploads, together with the other workers."""

    def __init__(self, pool: "Pool", storage: Storage, *, keep_originals: bool) -> None:
        self._pool = pool
        self._storage = storage
        self._keep_originals = keep_originals
        self.queue = Queue(
            kind=JobKind.PICTURE,
            handle=self._handle,
            due=picture_uploads.due,
            concurrency=AT_ONCE,
            per_second=PER_SECOND,
            pause_max_s=PAUSE_MAX_S,
        )

    async def _handle(self, job: Job) -> None:
        """Make the picture of an upload, or refuse its file; put the job back after a failure that is not the file's."""
        file = await picture_uploads.pending_file(self._pool, job.row_id)
        if file is None:
            return
        work = await asyncio.to_thread(self._storage.files.new_work)
        try:
            await self._verify(job, file, work)
        except (PicturesUnavailable, ContentBusyError) as error:
            raise LaterError(str(error)) from None
        finally:
            await asyncio.to_thread(self._storage.files.end_work, work)

    async def _verify(self, job: Job, file: str, work: Path) -> None:
        try:
            source = await self._storage.fetch(file, work)
        except FileSizeError as error:
            await self._refuse(job, file, Refused(Unusable.SIZE, str(error)))
            return
        if source is None:
            await self._miss(job)
            return
        found = await self._decoded(job, source, work)
        if isinstance(found, Refused):
            await self._refuse(job, file, found)
            return
        await self._accept(job, work, found, source)
        await self._storage.drop([file])

    async def _refuse(self, job: Job, file: str, refused: Refused) -> None:
        await picture_uploads.refuse(self._pool, job.row_id, refused.why, refused.message)
        await self._storage.drop([file])

    async def _decoded(self, job: Job, source: Path, work: Path) -> tuple[Side, ...] | Refused:
        """Decode a file; raises LaterError. The attempts of the job bound how often a signal may end its process."""
        try:
            return await decode(source, work)
        except BusyError:
            raise LaterError("the machine is too busy to decode a picture") from None
        except FaultError as error:
            log.error("a picture cannot be decoded now", upload=str(job.row_id), reason=str(error))  # noqa: TRY400 - a stack trace adds nothing
            raise LaterError(str(error)) from None
        except StoppedError as error:
            if job.attempts < STOPS:
                raise LaterError(str(error)) from None
            log.warning("the process that decodes a picture was ended too often", upload=str(job.row_id), reason=str(error))
            return Refused(Unusable.COSTLY, "its decoding was stopped several times")

    async def _accept(self, job: Job, work: Path, sides: tuple[Side, ...], source: Path) -> None:
        digest = await asyncio.to_thread(self._storage.files.digest, work)
        if self._keep_originals:  # before the row is settled: after that no job comes back to the file
            await self._storage.keep_original(source, digest)
        await picture_uploads.accept(self._pool, job.row_id, Renditions(digest, sides), partial(self._storage.store, work, digest))
        log.info("a picture is ready", upload=str(job.row_id), picture=digest.hex())

    async def _miss(self, job: Job) -> None:
        """Refuse an upload whose file is gone, unless a directory that other hosts share may yet show it."""
        if job.attempts < TRIES:
            raise LaterError("the file of the upload is not there")
        log.error("the file of an upload is gone", upload=str(job.row_id))
        await picture_uploads.refuse(self._pool, job.row_id, Unusable.BROKEN, "the shop has lost it; upload it again")
