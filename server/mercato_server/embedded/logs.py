"""The size of a shop's logs, which clients can make grow."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import NoReturn

CHECK_S = 1.0


async def keep_short(directory: Path, bytes_max: int) -> NoReturn:
    """Keep the logs of a directory, with their predecessors, near `bytes_max` together, until cancelled.

    They may exceed it by what is written in a second.
    """
    while True:
        await asyncio.to_thread(shorten, directory, bytes_max)
        await asyncio.sleep(CHECK_S)


def shorten(directory: Path, bytes_max: int) -> None:
    """Move the content of each log that exceeds its share to NAME.log.1, which it replaces.

    The programs that write them need not know, because they append to the file, which stays the same. A line that is written between two
    system calls of this function is lost. A full disk costs the content, not the shop.
    """
    logs = list(directory.glob("*.log"))
    for log in logs:
        with contextlib.suppress(OSError):  # it is gone, or its next check succeeds
            if log.stat().st_size > bytes_max // (2 * len(logs)):
                _cut(log)


def _cut(log: Path) -> None:
    with log.open("rb+") as file:
        with contextlib.suppress(OSError), log.with_name(f"{log.name}.1").open("wb") as copy:
            shutil.copyfileobj(file, copy)
        os.ftruncate(file.fileno(), 0)
