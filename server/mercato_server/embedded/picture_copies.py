"""Copies of the files of pictures in a directory of backups. Their names are digests of their content, so each is copied once."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

KEPT = ("renditions", "originals")
"""Directories of files that are served, and of uploads that the operator keeps. Clients send uploads under way again."""
SETTLED_NS = 2_000_000_000
"""A directory that changed so shortly before a scan is scanned again: two changes may have the same time."""


class PictureCopies:
    """The copies of one directory of pictures. All methods block."""

    def __init__(self, source: Path, copies: Path) -> None:
        self._source = source
        self._copies = copies
        self._scanned: dict[str, int] = {}

    def add(self) -> int:
        """Copy the files that are not there; return their number. Directories that did not change since the last call are skipped."""
        return sum(_copy(directory, name, self._copies / where / name) for where, directory, name in self._changed())

    def names(self) -> list[str]:
        """Return the names of all files of the source, relative to it."""
        return sorted(f"{where}/{name}" for where, _, name in _files(self._source))

    def _changed(self) -> Iterator[tuple[str, int, str]]:
        began: dict[str, int] = {}
        for where, directory, name in _files(self._source):
            if where not in began:
                began[where] = os.fstat(directory).st_mtime_ns
            if self._scanned.get(where) != began[where]:
                yield where, directory, name
        newest = max(began.values(), default=0)
        self._scanned |= {where: time for where, time in began.items() if time < newest - SETTLED_NS}


def restore(copies: Path, target: Path) -> int:
    """Copy all copies that a directory of pictures lacks into it; return their number."""
    target.mkdir(mode=0o700, exist_ok=True)
    return sum(_copy(directory, name, target / where / name) for where, directory, name in _files(copies))


def prune(copies: Path, kept: set[str], before_s: float) -> int:
    """Delete the copies, made before a time, that no kept backup names; return their number."""
    gone = 0
    for where, directory, name in _files(copies):
        if f"{where}/{name}" not in kept and os.stat(name, dir_fd=directory).st_mtime < before_s:
            os.unlink(name, dir_fd=directory)
            gone += 1
    return gone


def _files(source: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the directory's relative name, its descriptor and the name of each file; follows no links, which a worker may have made."""
    for part in KEPT:
        with contextlib.suppress(FileNotFoundError):
            for directory, _, names, descriptor in os.fwalk(source / part):
                where = os.path.relpath(directory, source)
                yield from ((where, descriptor, name) for name in names if not name.endswith(".new"))


def _copy(directory: int, name: str, target: Path) -> bool:
    """Copy a file unless it is there; return whether it was copied. Only a plain file of the directory's owner is read."""
    try:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:  # it was deleted, or is a link
        return False
    with os.fdopen(source, "rb") as file:
        info = os.fstat(source)
        is_own = stat.S_ISREG(info.st_mode) and info.st_uid == os.fstat(directory).st_uid
        if not is_own or (target.exists() and target.stat().st_size == info.st_size):
            return False
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = target.with_name(f"{target.name}.{os.getpid()}.new")  # a backup and the archive may copy one file at once
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy:
                shutil.copyfileobj(file, copy)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return True
