"""The worker's side of the process that decodes: one process for each file."""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from mercato_server.config.inheritance import python_environ
from mercato_server.domain.pictures import Side, Unusable

COMMAND = (sys.executable, "-P", "-m", "mercato_server.pictures.decoder")
TIME_S = 90.0
"""Time limit of a process, which has the lowest priority. Its bound of processor time is far lower."""
ANSWER_BYTES = 4_096


class BusyError(Exception):
    """The machine was too busy to decode a file in time; another try may succeed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The file is not a usable picture."""

    why: Unusable
    message: str


async def decode(source: Path, directory: Path) -> tuple[Side, ...] | Refused:
    """Write the renditions of a file into a directory, named as their sizes; raises BusyError."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        str(source),
        str(directory),
        env=python_environ(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # decoders write what they like there
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIME_S):
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            written = await process.stdout.read(ANSWER_BYTES)
            await process.wait()
    except TimeoutError:
        raise BusyError from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _read(written, process.returncode)


def _read(written: bytes, code: int | None) -> tuple[Side, ...] | Refused:
    try:
        answer = json.loads(written) if code == 0 else {}
    except ValueError:
        answer = {}
    if "sides" in answer:
        return tuple(Side(*side) for side in answer["sides"])
    if "refused" in answer:
        return Refused(Unusable(answer["refused"]), answer["message"])
    if code is not None and code < 0:
        return Refused(Unusable.COSTLY, "its decoding takes too long")
    return Refused(Unusable.BROKEN, "it cannot be decoded")
