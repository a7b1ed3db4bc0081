"""The background task that deletes pictures that no product shows, and files that no row needs."""

import asyncio
from collections.abc import Sequence

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.pictures.files import PictureFiles
from mercato_server.store import picture_uploads, shown_pictures

SWEEP_INTERVAL_S = 60.0
UPLOAD_AGE_S = 25 * 60 * 60.0
"""Age of a file that came, after which it goes unless a pending upload needs it."""
WORK_AGE_S = 60 * 60.0
STORED_AGE_S = 24 * 60 * 60.0
"""Age of a rendition after which it goes if it has no picture: a worker was killed after it wrote the file."""
SHELVES = 256


async def keep_sweeping(pool: "Pool", files: PictureFiles, interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Sweep about once an interval, until cancelled."""
    shelf = 0
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        await sweep(pool, files)
        await sweep_files(pool, files, shelf)
        shelf = (shelf + 1) % SHELVES


async def sweep(pool: "Pool", files: PictureFiles, unused_s: float = shown_pictures.UNUSED_S) -> None:
    """Delete the pictures that no product has shown for some time."""

    async def remove(digests: Sequence[bytes]) -> None:
        await asyncio.to_thread(files.remove, digests)

    while await shown_pictures.condemn(pool, unused_s) >= shown_pictures.SWEPT:
        pass
    while await shown_pictures.delete_condemned(pool, remove) >= shown_pictures.SWEPT:
        pass


async def sweep_files(pool: "Pool", files: PictureFiles, shelf: int, age_s: float | None = None) -> None:
    """Delete the files that no row needs, of renditions those of one shelf; `age_s` stands for all ages."""

    async def remove(unknown: Sequence[bytes]) -> None:
        await asyncio.to_thread(files.remove, unknown)

    uploads = files.old_uploads(UPLOAD_AGE_S if age_s is None else age_s)
    while names := await asyncio.to_thread(next, uploads, None):
        needed = await picture_uploads.needed(pool, names)
        for file in names:
            if file not in needed:
                await asyncio.to_thread(files.drop, file)
    await asyncio.to_thread(files.end_old_work, WORK_AGE_S if age_s is None else age_s)
    stored = files.old_digests(shelf, STORED_AGE_S if age_s is None else age_s)
    while digests := await asyncio.to_thread(next, stored, None):
        await shown_pictures.remove_unknown(pool, digests, remove)
