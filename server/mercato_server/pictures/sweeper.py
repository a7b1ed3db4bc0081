"""The background task that deletes pictures that no product shows, and files that no row needs."""

import asyncio
from uuid import UUID

import structlog

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.picture_errors import PicturesUnavailable
from mercato_server.pictures.storage import Storage
from mercato_server.store import picture_uploads, shown_pictures

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 60.0
WORK_AGE_S = 60 * 60.0
STORED_AGE_S = 24 * 60 * 60.0
"""Age of a rendition after which it goes if it has no picture: a worker was killed after it wrote the file."""
SHELVES = 256


async def keep_sweeping(pool: "Pool", storage: Storage, kept_days: int, interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Look at the storage, then sweep about once an interval, until cancelled. A storage that does not work is tried again.

    Files that a backup may name stay for so many days.
    """
    kept_s = kept_days * 24 * 60 * 60.0
    shelf = 0
    try:
        await storage.check()
    except PicturesUnavailable as error:
        log.error("pictures can be neither taken nor served until this is mended", cause=str(error))  # noqa: TRY400 - no bug
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        try:
            await sweep(pool, storage, kept_s)
            await sweep_files(pool, storage, shelf, kept_s=kept_s)
        except PicturesUnavailable:  # the storage has told why
            continue
        shelf = (shelf + 1) % SHELVES


async def sweep(pool: "Pool", storage: Storage, unused_s: float) -> None:
    """Delete the pictures that no product has shown for some time."""
    while await shown_pictures.condemn(pool, unused_s) >= shown_pictures.SWEPT:
        pass
    while await shown_pictures.delete_condemned(pool, storage.remove) >= shown_pictures.SWEPT:
        pass


async def sweep_files(pool: "Pool", storage: Storage, shelf: int, age_s: float | None = None, kept_s: float = 0.0) -> None:
    """Delete the files that no row needs, of renditions those of one shelf; `age_s` stands for all ages.

    Renditions stay for `kept_s` after a restore: another one, to a later moment, may need them.

    A file that a client has sent to the storage, without saying so, is taken up first.
    """
    async for names in storage.old_uploads(storage.upload_age_s if age_s is None else age_s):
        if storage.takes_uploads:
            await picture_uploads.receive_stored(pool, [UUID(hex=file) for file in names], SERVER)
        needed = await picture_uploads.needed(pool, names)
        await storage.drop([file for file in names if file not in needed])
    await asyncio.to_thread(storage.files.end_old_work, WORK_AGE_S if age_s is None else age_s)
    async for digests in storage.old_digests(shelf, STORED_AGE_S if age_s is None else age_s):
        await shown_pictures.condemn_unknown(pool, digests, kept_s)
    while await shown_pictures.delete_condemned(pool, storage.remove) >= shown_pictures.SWEPT:
        pass
