"""Directories for the files of the tests' PostgreSQL servers."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a new directory in it is private
MEMORY_MIN = 4 * 1024**3
"""Least free bytes for using it: a run of the whole suite has about 1 GB in its databases at once."""
PREFIX = "mercato-tests-"


@contextmanager
def cluster_directory() -> Iterator[Path]:
    """Yield a directory that PostgreSQL may enter, in memory if enough is free and TMPDIR is unset.

    A test creates and removes the 300 files of a database. To create a file, ext4 without a journal checks each inode that was removed
    within a minute. That took half of the time of such tests.
    """
    parent = None if "TMPDIR" in os.environ or not _plenty() else MEMORY
    if parent is not None:
        _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=parent) as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


def _plenty() -> bool:
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= MEMORY_MIN and not found.f_flag & os.ST_NOEXEC


def _remove_leftovers() -> None:
    """Free the memory of killed runs."""
    for directory in MEMORY.glob(f"{PREFIX}*-*"):
        pid = directory.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)
