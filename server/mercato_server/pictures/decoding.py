"""The worker's side of the process that decodes: one process for each file."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mercato_server.config.inheritance import python_environ
from mercato_server.domain.pictures import Side, Unusable

COMMAND = (sys.executable, "-P", "-m", "mercato_server.pictures.decoder")
TIME_S = 90.0
"""Time limit of a process, which has the lowest priority. Its bound of processor time is far lower."""
ANSWER_BYTES = 4_096
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})


class BusyError(Exception):
    """The machine was too busy to decode a file in time; another try may succeed."""


class StoppedError(Exception):
    """A signal from outside ended the process, as at a stop of the worker or for want of memory; the message names it."""


class FaultError(Exception):
    """The process could not start, read the file or write the renditions, which is no fault of the file; the message says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The file is not a usable picture."""

    why: Unusable
    message: str


async def decode(source: Path, directory: Path) -> tuple[Side, ...] | Refused:
    """Write the renditions of a file into a directory, named as their sizes; raises BusyError, StoppedError or FaultError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            str(source),
            str(directory),
            str(os.getpid()),
            env=python_environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # decoders write what they like there
            start_new_session=True,
        )
    except OSError as error:
        raise FaultError(f"the process did not start: {error}") from None
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
    if code is not None and code < 0:
        return _ended(-code)
    try:
        answer = json.loads(written) if code == 0 else {}
    except ValueError:
        answer = {}
    if "sides" in answer:
        return tuple(Side(*side) for side in answer["sides"])
    if "refused" in answer:
        return Refused(Unusable(answer["refused"]), answer["message"])
    raise FaultError(answer.get("fault") or f"the process ended with the code {code} and no answer")


def _ended(number: int) -> Refused:
    if number == signal.SIGXCPU:
        return Refused(Unusable.COSTLY, "its decoding takes too long")
    if number in _CRASHES:
        return Refused(Unusable.BROKEN, "it cannot be decoded")
    raise StoppedError(f"signal {number} ended the process")
