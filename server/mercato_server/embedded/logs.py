"""The size of a shop's logs, which clients can make grow."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import NoReturn

CHECK_S = 1.0
KEPT = 4
"""Predecessors of each log."""


async def keep_short(directory: Path, bytes_max: int) -> NoReturn:
    """Keep the logs of a directory, with their predecessors, near `bytes_max` together, until cancelled.

    They may exceed it by what is written in a second.
    """
    while True:
        await asyncio.to_thread(shorten, directory, bytes_max)
        await asyncio.sleep(CHECK_S)


def shorten(directory: Path, bytes_max: int) -> None:
    """Move the content of each log that exceeds its share to NAME.log.1, the former of that name to NAME.log.2, and so on up to KEPT.

    The programs that write them need not know, because they append to the file, which stays the same. A line that is written between two
    system calls of this function is lost. A full disk costs the content, not the shop.
    """
    logs = list(directory.glob("*.log"))
    for log in logs:
        with contextlib.suppress(OSError):  # it is gone, or its next check succeeds
            if log.stat().st_size > bytes_max // ((1 + KEPT) * len(logs)):
                _cut(log)


def _cut(log: Path) -> None:
    predecessors = [log.with_name(f"{log.name}.{number}") for number in range(1, KEPT + 1)]
    for later, earlier in zip(reversed(predecessors), reversed(predecessors[:-1]), strict=False):
        with contextlib.suppress(FileNotFoundError):
            earlier.replace(later)
    with log.open("rb+") as file:
        with contextlib.suppress(OSError), predecessors[0].open("wb") as copy:
            shutil.copyfileobj(file, copy)
        os.ftruncate(file.fileno(), 0)
