"""Writes the pictures of the demo shop to the place where the workers store verified uploads: `demo_files`, with their settings.

It is a process of its own because the workers of a shop that root starts run as another user, who must own the files.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from mercato_server.config.picture_settings import PictureSettings
from mercato_server.demo.pictures import contents, pictures
from mercato_server.domain.picture_errors import PicturesUnavailable
from mercato_server.pictures.storage import Storage, storage_of


async def store_all(storage: Storage) -> None:
    """Store the renditions of each picture as those of an upload are stored. Files that are there already stay."""
    for name in pictures():
        work = storage.files.new_work()
        try:
            _write(work, contents(name))
            await storage.store(work, storage.files.digest(work))
        finally:
            storage.files.end_work(work)


def _write(work: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (work / name).write_bytes(content)


def main() -> int:
    """Store the pictures in the storage of the settings."""
    storage = storage_of(PictureSettings.from_environ())
    if storage is None:
        raise RuntimeError("MERCATO_PICTURES_DIR is not set")
    try:
        asyncio.run(store_all(storage))
    except PicturesUnavailable as error:
        raise SystemExit(str(error)) from None  # one line, which `mercato up` shows to its operator
    return 0


if __name__ == "__main__":
    sys.exit(main())
