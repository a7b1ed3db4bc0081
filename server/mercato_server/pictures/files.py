"""The files of pictures, in one directory that all workers share.

`uploads` has the files that came, `work` what a process makes of one, `renditions` what is served, by digest, and `originals` the uploads
that the operator wants to keep. No name comes from a client. All functions block; call them in a thread.
"""

import contextlib
import itertools
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mercato_server.domain.pictures import NAME, SIZES, content_digest, name

CHUNK = 500
"""Files that the sweep looks at in one transaction."""
_HEX = re.compile(r"[0-9a-f]{32}")


class PictureFiles:
    """The files below a directory."""

    def __init__(self, directory: Path) -> None:
        self._uploads = directory / "uploads"
        self._work = directory / "work"
        self._renditions = directory / "renditions"
        self._originals = directory / "originals"

    def new_upload(self) -> tuple[str, BinaryIO]:
        """Open a new file for an upload; return its name too."""
        self._uploads.mkdir(parents=True, exist_ok=True)
        file = secrets.token_hex(16)
        return file, (self._uploads / file).open("xb")

    def upload(self, file: str) -> Path:
        """Return the path of an upload."""
        if not _HEX.fullmatch(file):
            raise ValueError(f"{file!r} is no name of an upload")
        return self._uploads / file

    def drop(self, file: str) -> None:
        """Delete an upload, if it is there."""
        self.upload(file).unlink(missing_ok=True)

    def keep_original(self, file: str, digest: bytes) -> None:
        """Link an upload to the originals, durably, unless there is one; its first name stays until `drop`."""
        self._originals.mkdir(parents=True, exist_ok=True)
        original = self._originals / digest.hex()
        if not original.exists():
            with contextlib.suppress(FileExistsError):
                original.hardlink_to(self.upload(file))
        _sync(self._originals)

    def new_work(self) -> Path:
        """Make an empty directory for renditions."""
        directory = self._work / secrets.token_hex(16)
        directory.mkdir(parents=True)
        return directory

    def end_work(self, directory: Path) -> None:
        """Delete such a directory."""
        shutil.rmtree(directory, ignore_errors=True)

    def digest(self, work: Path) -> bytes:
        """Return the digest of new renditions: of their digests, in the order of SIZES."""
        return content_digest((work / size).read_bytes() for size in SIZES)

    def store(self, work: Path, digest: bytes) -> None:
        """Move renditions to where they are served, durably. Those that are there already have the same content."""
        target = self._directory(digest)
        target.mkdir(parents=True, exist_ok=True)
        for size in SIZES:
            path = target / name(digest, size)
            if not path.exists():
                _sync(work / size)
                (work / size).replace(path)
        for directory in (target, target.parent):
            _sync(directory)

    def read(self, file: str) -> bytes | None:
        """Return the content of a rendition by its name; None if there is none."""
        found = NAME.fullmatch(file)
        if found is None:
            return None
        try:
            return (self._directory(bytes.fromhex(found["digest"])) / file).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, digests: Sequence[bytes]) -> None:
        """Delete the renditions of pictures."""
        for digest in digests:
            for size in SIZES:
                (self._directory(digest) / name(digest, size)).unlink(missing_ok=True)

    def missing(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return the digests that lack a rendition."""
        return [digest for digest in digests if not all((self._directory(digest) / name(digest, size)).exists() for size in SIZES)]

    def old_uploads(self, age_s: float) -> Iterator[list[str]]:
        """Yield the names of all uploads that came so long ago, in chunks."""
        return _chunks(path.name for path in _older(self._uploads, age_s) if _HEX.fullmatch(path.name))

    def end_old_work(self, age_s: float) -> None:
        """Delete the directories that a worker left behind."""
        for path in _older(self._work, age_s):
            self.end_work(path)

    def old_digests(self, shelf: int, age_s: float) -> Iterator[list[bytes]]:
        """Yield, in chunks, the digests of all renditions that were stored so long ago, and whose digests begin with the byte `shelf`."""
        names = (NAME.fullmatch(path.name) for path in _older(self._renditions / f"{shelf:02x}", age_s))
        for found in _chunks(each["digest"] for each in names if each):
            yield [bytes.fromhex(digest) for digest in sorted(set(found))]

    def _directory(self, digest: bytes) -> Path:
        return self._renditions / f"{digest[0]:02x}"


def _older(directory: Path, age_s: float) -> Iterator[Path]:
    """Yield the entries of a directory that changed so long ago."""
    before = time.time() - age_s
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            try:
                is_old = entry.stat(follow_symlinks=False).st_mtime < before
            except FileNotFoundError:  # another worker has deleted it
                continue
            if is_old:
                yield Path(entry.path)


def _chunks(names: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(itertools.islice(names, CHUNK)):
        yield chunk


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
