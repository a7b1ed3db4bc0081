"""The supervisor of a worker's background tasks: it logs and counts each failure, and restarts the task with backoff."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.migrations import SchemaError
from mercato_server.database.pool import refusal
from mercato_server.domain import backoff

log = structlog.get_logger(__name__)

FATAL = (SchemaError, MemoryError)
"""Errors that a restart of the task cannot correct: the schema is not that of this release, or the process is out of memory."""


class FatalError(Exception):
    """A background task cannot continue in this process; the message names the task and the cause."""


class Supervisor:
    """Runs background tasks until `stop`.

    A task that ends, with an error or without, is restarted after a pause. The pause doubles with each failure in a row, up to a limit.
    A fatal error is not retried: `fatal` returns it, and its caller must stop the worker.
    """

    def __init__(self, limits: Limits, require_schema: Callable[[], Awaitable[None]]) -> None:
        """Prepare; `require_schema` raises SchemaError if the schema is not that of this release."""
        self.failures: Counter[str] = Counter()
        """The number of failures by task; each task has an entry."""
        self._limits = limits
        self._require_schema = require_schema
        self._tasks: list[asyncio.Task[None]] = []
        self._fatal: FatalError | None = None
        self._failed = asyncio.Event()
        self._stopping = asyncio.Event()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task that must run until it is cancelled."""
        self.failures[name] += 0
        self._tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def fatal(self) -> FatalError:
        """Wait for the first fatal error and return it."""
        await self._failed.wait()
        assert self._fatal is not None  # noqa: S101 - it is set first
        return self._fatal

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended. A task whose cleanup fails is logged, and not restarted."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        in_a_row = 0
        while not self._stopping.is_set():
            began = loop.time()
            failure = await _failure(work)
            if self._stopping.is_set():  # the failure has replaced the cancellation, as that of a rollback does
                log.warning("a background task failed while it stopped", task=name, error=repr(failure), exc_info=failure)
                return
            in_a_row = in_a_row + 1 if loop.time() - began < self._limits.task_steady_s else 1
            self.failures[name] += 1
            if fatal := await self._fatal_cause(failure):
                log.critical("a background task cannot continue", task=name, exc_info=fatal)
                self._fatal = self._fatal or FatalError(f"{name}: {fatal}")
                self._failed.set()
                return
            away = refusal(failure) is not None
            longest_s = self._limits.task_away_pause_s if away else self._limits.task_pause_max_s
            pause_s = backoff.pause_s(self._limits.task_pause_s, in_a_row, longest_s)
            write = log.warning if away else log.error
            write("a background task died", task=name, error=repr(failure), exc_info=None if away else failure, pause_s=round(pause_s, 4))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _fatal_cause(self, failure: Exception) -> Exception | None:
        """Return the fatal error behind a failure, or None. A failed statement may mean that an operator has changed the schema."""
        if isinstance(failure, FATAL):
            return failure
        if refusal(failure) is None:
            try:
                await self._require_schema()
            except FATAL as error:
                return error
            except Exception as error:  # noqa: BLE001 - the task is restarted, and fails again if the cause persists
                log.warning("the schema cannot be checked", error=repr(error))
        return None


async def _failure(work: Callable[[], Awaitable[None]]) -> Exception:
    """Run a task and return its failure; a task that returns has failed too."""
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return RuntimeError("the task was cancelled, but not by its supervisor")
    except Exception as error:  # noqa: BLE001 - the caller logs it
        return error
    return RuntimeError("the task returned, but must run until it is cancelled")
