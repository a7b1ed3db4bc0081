"""The runner of background jobs in a worker, on top of pgqueuer."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import NotifyCallback

from mercato_server.database.pool import Pool, refusal
from mercato_server.database.work import Work, current_work
from mercato_server.domain import backoff
from mercato_server.jobs.queues import GivenUpError, Job, LaterError, Queue
from mercato_server.store import jobs
from mercato_server.tracing.steps import later

if TYPE_CHECKING:
    from mercato_server.tracing.spans import Tracer

log = structlog.get_logger(__name__)

POLL_S = 0.2
BATCH = 5
DUE_BATCH = 500
DUE_S = 60.0
"""Interval at which the runner looks for due rows without a job."""
DEAD_S = 10.0
"""Time without a heartbeat after which another worker takes over a job."""
FIRST_PAUSE_S = 1.0
"""Longest pause after the first failure of a job."""
STOP_S = 2.0
"""Time that a running job has to end when the worker stops; after that the runner puts it back for another worker."""
LAST_S = 4.0
"""Time after which a stopping worker closes the connections; other workers then take over jobs that still run."""


class _PollingDriver(AsyncpgPoolDriver):
    """A driver that polls. NOTIFY takes a global lock at commit, and LISTEN needs a session, which connection poolers do not provide."""

    async def notify(self, channel: str, payload: str) -> None:
        """Do nothing."""

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Do nothing."""


class Runner:
    """Runs the jobs of some queues, together with the other workers. It ignores jobs of other kinds."""

    def __init__(self, pool: "Pool", queues: Sequence[Queue], tracer: "Tracer | None" = None) -> None:
        """Prepare. The pool must serve background work only: it is terminated if a job does not end when the worker stops.

        With a tracer, a job continues the trace of the call that has queued it.
        """
        self._pool = pool
        self._queues = queues
        self._tracer = tracer
        self._gates = {queue.kind: asyncio.Lock() for queue in queues}
        self._under_way: set[asyncio.Timeout] = set()
        self._cut_off: float | None = None

    async def run(self) -> None:
        """Run jobs until cancelled, or until the database is unavailable; after a cancellation the running jobs end or are put back."""
        manager = self._manager()
        work = asyncio.create_task(
            manager.run(
                dequeue_timeout=timedelta(seconds=POLL_S),
                batch_size=BATCH,
                max_concurrent_tasks=2 * BATCH,
                heartbeat_timeout=timedelta(seconds=DEAD_S),
                log_aggregation_interval=timedelta(0),
            )
        )
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await self._end(manager, work)
            raise

    async def keep_due(self) -> None:
        """Queue jobs for due rows that have lost theirs, now and about once a minute, until cancelled."""
        while True:
            for queue in self._queues:
                if row_ids := await queue.due(self._pool, DUE_BATCH):
                    count = await jobs.queue(self._pool, queue.kind, row_ids)
                    log.warning("due rows had no job; new jobs were queued", kind=queue.kind.value, jobs=count)
            await asyncio.sleep(backoff.jittered(DUE_S))

    def _manager(self) -> QueueManager:
        names = _names()
        queries = Queries(_PollingDriver(self._pool), QueryBuilderEnvironment(names), QueryQueueBuilder(names))
        manager = QueueManager(queries, channel=names.channel)
        for queue in self._queues:
            manager.entrypoint(queue.kind, concurrency_limit=queue.concurrency, on_failure="hold")(partial(self._run_logged, queue))
        return manager

    async def _end(self, manager: QueueManager, work: "asyncio.Task[None]") -> None:
        """Let the running jobs end, cut off those that take too long, and wait for them.

        pgqueuer deletes a job that is cancelled. So this cuts jobs off by time-outs, and cancels nothing before the connections are closed.
        """
        manager.shutdown.set()
        self._cut_off = asyncio.get_running_loop().time() + STOP_S
        for scope in self._under_way:
            scope.reschedule(self._cut_off)
        done, _ = await asyncio.wait([work], timeout=LAST_S)
        if not done:
            self._pool.terminate()
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _run_logged(self, queue: Queue, job: QueuedJob) -> None:
        """Run a job, and log how it ended."""
        work = Work(in_background=True)
        current_work.set(work)  # pgqueuer runs each job in a task of its own
        began = time.perf_counter()
        outcome = "failed"
        try:
            await self._run_job(queue, job)
            outcome = "done"
        except RetryRequested:
            outcome = "later"
            raise
        except GivenUpError:
            outcome = "given up"
            raise
        finally:
            log.info("job", kind=queue.kind.value, row=str(UUID(bytes=job.payload)), outcome=outcome, attempt=job.attempts + 1,
                     ms=_ms(time.perf_counter() - began), statements=work.statements, statement_ms=_ms(work.statement_s))  # fmt: skip

    async def _run_job(self, queue: Queue, job: QueuedJob) -> None:
        """Handle a job. Put it back into the queue after a passing failure; raise other errors, so that pgqueuer holds it."""
        row_id = UUID(bytes=job.payload)
        scope = asyncio.timeout_at(self._cut_off)
        try:
            async with scope:
                self._under_way.add(scope)
                try:
                    async with self._gates[queue.kind]:
                        await asyncio.sleep(1 / queue.per_second)
                    traceparent = str((job.headers or {}).get("traceparent") or "")
                    with later(self._tracer, f"job {queue.kind}", traceparent, job.attempts):
                        await queue.handle(Job(row_id, job.attempts, partial(self._keep, scope)))
                finally:
                    self._under_way.discard(scope)
        except LaterError as error:
            pause = _backoff(queue, job) if error.after_s is None else timedelta(seconds=error.after_s)
            raise RetryRequested(pause, error.reason) from None
        except GivenUpError:
            raise
        except Exception as error:
            if scope.expired():
                raise RetryRequested(timedelta(0), "the worker is stopping") from None
            if refusal(error) is None:
                log.exception("a job failed unexpectedly", kind=queue.kind.value, row=str(row_id))
                raise
            raise RetryRequested(_backoff(queue, job), type(error).__name__) from None

    def _keep(self, scope: asyncio.Timeout) -> None:
        self._under_way.discard(scope)
        if not scope.expired():
            scope.reschedule(None)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _backoff(queue: Queue, job: QueuedJob) -> timedelta:
    return timedelta(seconds=backoff.pause_s(FIRST_PAUSE_S, job.attempts + 1, queue.pause_max_s))


def _names() -> DBSettings:
    """Return the names of pgqueuer's tables; its defaults come from environment variables, for example CHANNEL and FUNCTION."""
    return DBSettings(
        prefix="",
        db_schema=None,
        channel=Channel("unused"),
        function="unused",
        trigger="unused",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        schedules_table="unused",
    )
