"""Receives the files of uploads, piece by piece, and reads those of renditions."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Actor
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.picture_errors import PicturesOff, PictureUploadState
from mercato_server.domain.pictures import Upload
from mercato_server.pictures.files import PictureFiles
from mercato_server.store import picture_uploads

GATHERED_BYTES = 256 * 1024
"""Bytes after which pieces are written: each write costs a thread's time."""


class Inbox:
    """Takes files, if the shop has a directory for them."""

    def __init__(self, pool: "Pool", files: PictureFiles | None) -> None:
        self._pool = pool
        self._files = files

    @property
    def files(self) -> PictureFiles:
        """The directory; raises PicturesOff."""
        if self._files is None:
            raise PicturesOff
        return self._files

    async def read(self, name: str) -> bytes | None:
        """Return the content of a rendition by its name; None if there is none."""
        return await asyncio.to_thread(self._files.read, name) if self._files else None

    async def receive(self, upload_id: UUID, pieces: AsyncIterator[bytes], actor: Actor) -> Upload:
        """Write the file of an upload and queue its verification; a file that does not come whole is deleted.

        Raises PicturesOff, PictureUploadNotFound, PictureUploadState, InvalidRequest, and what `pieces` raises.
        """
        files = self.files
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
