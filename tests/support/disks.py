"""Small file systems of a test's own, and how to fill them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import needs

MEGABYTE = 1024 * 1024
TOOLS = {"mkfs.ext4": needs.MKFS, "mount": needs.MOUNT, "umount": needs.MOUNT}


@contextmanager
def small_disk(directory: Path, *, megabytes: int) -> Iterator[Path]:
    """Yield where a new file system is mounted; skips the test where that cannot be."""
    make, attach, detach = map(_found, TOOLS)
    if os.geteuid() != 0:
        needs.ROOT.skip()
    image, place = directory / "disk.img", directory / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * MEGABYTE)
    subprocess.run([make, "-q", "-m", "0", image], check=True)
    mounted = subprocess.run([attach, "-o", "loop", image, place], check=False, capture_output=True, text=True)
    if mounted.returncode:
        needs.MOUNTING.skip(mounted.stderr.strip())
    place.chmod(0o711)
    try:
        yield place
    finally:
        subprocess.run([detach, "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """Take all free space of a disk; return the file that takes it."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    with ballast.open("wb") as file:
        while free:
            try:
                os.posix_fallocate(file.fileno(), file.tell(), free)
                file.seek(free, os.SEEK_CUR)
            except OSError:
                free //= 2
    return ballast


def _found(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        TOOLS[tool].skip()
    return path
