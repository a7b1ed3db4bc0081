"""The supervisor of a worker's long-running tasks: one that dies is told, counted and started again, ever more slowly."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.migrations import SchemaError
from mercato_server.database.pool import refusal

log = structlog.get_logger(__name__)

FATAL = (SchemaError, MemoryError)
"""Errors that no restart of a task mends: the schema is not that of this release, or the process has no memory."""


class FatalError(Exception):
    """A task cannot go on in this process; the message says which one and why."""


class Supervisor:
    """Runs tasks until it is told to stop.

    A task that ends, with an error or without, is started again after a pause that doubles with each failure in a row, up to a limit. A
    fatal error ends that: the task stays down, and whoever waits for `fatal` has to end the worker.
    """

    def __init__(self, limits: Limits, require_schema: Callable[[], Awaitable[None]]) -> None:
        """Prepare; `require_schema` raises SchemaError if the schema is not that of this release."""
        self.failures: Counter[str] = Counter()
        """How often each task has died; every task has its entry."""
        self._limits = limits
        self._require_schema = require_schema
        self._tasks: list[asyncio.Task[None]] = []
        self._fatal: FatalError | None = None
        self._failed = asyncio.Event()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a task, which goes on until it is cancelled."""
        self.failures[name] += 0
        self._tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def fatal(self) -> FatalError:
        """Return the first fatal error, once there is one."""
        await self._failed.wait()
        assert self._fatal is not None  # noqa: S101 - it is set first
        return self._fatal

    async def stop(self) -> None:
        """Cancel all tasks, and wait until each has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        in_a_row = 0
        while True:
            began = loop.time()
            failure = await _failure(work)
            in_a_row = in_a_row + 1 if loop.time() - began < self._limits.task_steady_s else 1
            self.failures[name] += 1
            if fatal := await self._fatal_cause(failure):
                log.critical("a background task cannot go on", task=name, exc_info=fatal)
                self._fatal = self._fatal or FatalError(f"{name}: {fatal}")
                self._failed.set()
                return
            away = refusal(failure) is not None
            pause_s = self._pause_s(in_a_row, self._limits.task_away_pause_s if away else self._limits.task_pause_max_s)
            tell = log.warning if away else log.error
            tell("a background task died", task=name, error=repr(failure), exc_info=None if away else failure, pause_s=round(pause_s, 4))
            await asyncio.sleep(pause_s)

    async def _fatal_cause(self, failure: Exception) -> Exception | None:
        """Return what is fatal about a failure; a statement that fails may mean that the schema has changed under the worker."""
        if isinstance(failure, FATAL):
            return failure
        if refusal(failure) is None:
            try:
                await self._require_schema()
            except FATAL as error:
                return error
            except Exception as error:  # noqa: BLE001 - the task is started again, and tells it anew
                log.warning("the schema cannot be checked", error=repr(error))
        return None

    def _pause_s(self, in_a_row: int, longest_s: float) -> float:
        pause_s = min(self._limits.task_pause_s * 2.0 ** min(in_a_row - 1, 16), longest_s)
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret


async def _failure(work: Callable[[], Awaitable[None]]) -> Exception:
    """Do something and return how it failed; that it ended is a failure too."""
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return RuntimeError("it was cancelled, though not by its supervisor")
    except Exception as error:  # noqa: BLE001 - the caller tells it
        return error
    return RuntimeError("it ended, though it was not told to")
