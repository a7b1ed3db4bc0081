"""The programs of PostgreSQL that make and check backups."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from mercato_server.embedded.backup_target import BackupError, cause
from mercato_server.embedded.postgres import binaries, program_settings
from mercato_server.embedded.processes import Command, Process

POLL_S = 0.5


async def run(program: str, *arguments: str | Path, log: Path, tell: Callable[[str], None] = lambda _: None) -> None:
    """Run a program to its end as this process's user; tells each line that it writes. Raises BackupError with its first error.

    It ends with this process, however that ends.
    """
    directory, _ = binaries(None)
    process = Process(Command(name=program, argv=[directory / program, *arguments], environ=program_settings(), output=log))
    told = 0
    _make_private(log)
    await process.start()
    try:
        while process.pid is not None:
            told = _tell_new(log, told, tell)
            try:
                await asyncio.wait_for(process.wait(), POLL_S)
            except TimeoutError:
                continue
        code = await process.wait()
    finally:
        await process.stop()
    _tell_new(log, told, tell)
    if code:
        raise BackupError(cause(_lines(log), f"{program} ended with exit code {code}"))


def _make_private(log: Path) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    log.touch(mode=0o600)


def _tell_new(log: Path, told: int, tell: Callable[[str], None]) -> int:
    lines = _lines(log)
    for line in lines[told:]:
        tell(line)
    return len(lines)


def _lines(log: Path) -> list[str]:
    return [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
