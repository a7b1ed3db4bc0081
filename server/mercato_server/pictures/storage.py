"""Where the files of pictures are: in a directory that all workers share, or in a bucket.

The names of files come from the shop, never from a client: an upload's has 32 hexadecimal digits, and a rendition is named by its digest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from mercato_server.config.picture_settings import PictureSettings
from mercato_server.pictures.files import PictureFiles

Chunk = TypeVar("Chunk")


class FileSizeError(Exception):
    """An upload is empty, or larger than any upload may be; the message says so."""


class Storage(Protocol):
    """The files of pictures. Each method raises PicturesUnavailable if a bucket cannot be used."""

    files: PictureFiles
    """The directory of this host, for files under way."""
    takes_uploads: bool
    """Whether clients send files to the storage itself, by signed URLs; otherwise they send them to the shop."""
    upload_age_s: float
    """Age of an upload's file, after which the sweep looks at it."""

    def upload_url(self, upload_id: UUID, created_at: datetime, expires_at: datetime, length: int) -> str:
        """Return the URL that takes the file of an upload, of `length` bytes, in a storage that takes uploads."""

    async def check(self) -> None:
        """Raise PicturesUnavailable if the storage cannot be used."""

    async def has_upload(self, file: str) -> bool:
        """Return whether the file of an upload is there."""

    async def fetch(self, file: str, work: Path) -> Path | None:
        """Return a path of the file of an upload on this host, perhaps in `work`; None if it is not there. Raises FileSizeError."""

    async def drop(self, files: Sequence[str]) -> None:
        """Delete uploads; those that are not there do not matter."""

    async def keep_original(self, upload: Path, digest: bytes) -> None:
        """Keep a fetched upload, which is never served."""

    async def store(self, work: Path, digest: bytes) -> None:
        """Add renditions to what is served."""

    async def read(self, name: str) -> bytes | None:
        """Return the content of a rendition by its name; None if there is none."""

    async def remove(self, digests: Sequence[bytes]) -> None:
        """Delete the renditions of pictures."""

    async def missing(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return those of ascending digests that lack a rendition."""

    def old_uploads(self, age_s: float) -> AsyncIterator[list[str]]:
        """Yield the names of uploads whose files came so long ago, in chunks."""

    def old_digests(self, shelf: int, age_s: float) -> AsyncIterator[list[bytes]]:
        """Yield, in chunks, the digests whose renditions were stored so long ago, and which begin with the byte `shelf`."""


class Directory:
    """The storage in the directory itself."""

    takes_uploads = False
    upload_age_s = 25 * 60 * 60.0
    """A file goes then, unless a pending upload needs it."""

    def __init__(self, files: PictureFiles) -> None:
        self.files = files

    def upload_url(self, upload_id: UUID, created_at: datetime, expires_at: datetime, length: int) -> str:  # noqa: ARG002 - as a bucket
        """Return no URL."""
        return ""

    async def check(self) -> None:
        """Do nothing: directories are made where they are needed."""

    async def has_upload(self, file: str) -> bool:
        """Return whether the file of an upload is there."""
        return await asyncio.to_thread(self.files.upload(file).exists)

    async def fetch(self, file: str, work: Path) -> Path | None:  # noqa: ARG002 - as a bucket
        """Return the path of an upload; None if it is not there."""
        return self.files.upload(file) if await self.has_upload(file) else None

    async def drop(self, files: Sequence[str]) -> None:
        """Delete uploads."""
        for file in files:
            await asyncio.to_thread(self.files.drop, file)

    async def keep_original(self, upload: Path, digest: bytes) -> None:
        """Link an upload to the originals."""
        await asyncio.to_thread(self.files.keep_original, upload.name, digest)

    async def store(self, work: Path, digest: bytes) -> None:
        """Move renditions to where they are served."""
        await asyncio.to_thread(self.files.store, work, digest)

    async def read(self, name: str) -> bytes | None:
        """Return the content of a rendition."""
        return await asyncio.to_thread(self.files.read, name)

    async def remove(self, digests: Sequence[bytes]) -> None:
        """Delete renditions."""
        await asyncio.to_thread(self.files.remove, digests)

    async def missing(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return the digests that lack a rendition."""
        return await asyncio.to_thread(self.files.missing, digests)

    def old_uploads(self, age_s: float) -> AsyncIterator[list[str]]:
        """Yield the names of old uploads."""
        return _each(lambda: self.files.old_uploads(age_s))

    def old_digests(self, shelf: int, age_s: float) -> AsyncIterator[list[bytes]]:
        """Yield the digests of old renditions."""
        return _each(lambda: self.files.old_digests(shelf, age_s))


async def _each(chunks: Callable[[], Iterator[Chunk]]) -> AsyncIterator[Chunk]:
    iterator = chunks()
    while chunk := await asyncio.to_thread(next, iterator, None):
        yield chunk


def storage_of(settings: PictureSettings) -> Storage | None:
    """Return the storage that settings name; None if they name none."""
    if settings.directory is None:
        return None
    files = PictureFiles(settings.directory)
    if settings.bucket is None:
        return Directory(files)
    from mercato_server.pictures.bucket import Bucket  # shops without a bucket do not load its library

    return Bucket(settings.bucket, files)
