"""Receives the files of uploads, piece by piece or by word of the client, and reads those of renditions."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.picture_errors import PicturesOff, PictureUploadAbsent, PictureUploadElsewhere, PictureUploadState
from mercato_server.domain.pictures import Upload, UploadState
from mercato_server.pictures.storage import Storage
from mercato_server.store import picture_uploads

GATHERED_BYTES = 256 * 1024
"""Bytes after which pieces are written: each write costs a thread's time."""


class Inbox:
    """Takes files, if the shop has a storage for them."""

    def __init__(self, pool: "Pool", storage: Storage | None) -> None:
        self._pool = pool
        self._storage = storage

    @property
    def storage(self) -> Storage:
        """The storage; raises PicturesOff."""
        if self._storage is None:
            raise PicturesOff
        return self._storage

    @property
    def takes_uploads(self) -> bool:
        """Whether clients send files to the storage, not to the shop."""
        return self._storage is not None and self._storage.takes_uploads

    async def read(self, name: str) -> bytes | None:
        """Return the content of a rendition by its name; None if there is none. Raises PicturesUnavailable."""
        return await self._storage.read(name) if self._storage else None

    async def receive(self, upload_id: UUID, pieces: AsyncIterator[bytes], actor: Actor) -> Upload:
        """Write the file of an upload and queue its verification; a file that does not come whole is deleted.

        Raises PicturesOff, PictureUploadElsewhere, PictureUploadNotFound, PictureUploadState, InvalidRequest, and what `pieces` raises.
        """
        files = self.storage.files
        if self.storage.takes_uploads:
            raise PictureUploadElsewhere
        await picture_uploads.require_waiting(self._pool, upload_id)
        name, target = await asyncio.to_thread(files.new_upload)
        try:
            await _write(target, pieces)
        except BaseException:
            files.drop(name)
            raise
        finally:
            target.close()
        try:
            return await picture_uploads.receive(self._pool, upload_id, name, actor)
        except PictureUploadState:
            files.drop(name)
            raise  # after any other failure the row may name the file; if it does not, the sweep finds that

    async def complete(self, upload_id: UUID, actor: Actor) -> Upload:
        """Queue the verification of the file of an upload, which the client has sent to the storage; return the upload.

        An upload that has its file is returned as it is. Raises PicturesOff, PicturesUnavailable, PictureUploadNotFound,
        PictureUploadState or PictureUploadAbsent.
        """
        storage, upload = self.storage, await picture_uploads.get(self._pool, upload_id)
        if upload.state == UploadState.WAITING and storage.takes_uploads and await storage.has_upload(upload_id.hex):
            await picture_uploads.receive_stored(self._pool, [upload_id], actor)
        upload = await picture_uploads.get(self._pool, upload_id)  # the sweep may have been first
        if upload.state == UploadState.WAITING:
            await picture_uploads.require_waiting(self._pool, upload_id)
            raise PictureUploadAbsent(upload_id)
        return upload


async def _write(target: BinaryIO, pieces: AsyncIterator[bytes]) -> None:
    gathered = bytearray()
    length = 0
    async for piece in pieces:
        gathered += piece
        length += len(piece)
        if len(gathered) >= GATHERED_BYTES:
            await asyncio.to_thread(target.write, bytes(gathered))
            gathered.clear()
    if not length:
        raise InvalidRequest([Violation("content", "must not be empty")])
    await asyncio.to_thread(_finish, target, bytes(gathered))


def _finish(target: BinaryIO, rest: bytes) -> None:
    target.write(rest)
    target.flush()
    os.fsync(target.fileno())
