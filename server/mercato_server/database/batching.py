"""Batching of concurrent calls (group commit): calls that arrive while a batch runs become the next batch."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mercato_server.config.settings import Batching
from mercato_server.database.pool import refusal
from mercato_server.database.transactions import LINGER_S, deadline
from mercato_server.database.work import Work, current_work, of_batch
from mercato_server.domain.errors import Conflict, DatabaseUnavailable, DeadlineExceeded, MercatoError, Overloaded

Request = TypeVar("Request")
Result = TypeVar("Result")

HEAD_START_S = 0.005
"""A waiting call is answered this long before its deadline, and so before its caller cancels it. uvloop rounds timers to milliseconds."""

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of calls by which batches are counted; the last one is the highest `batch_max`."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Request, Result]):
    """A request, its party, the deadline of its caller (infinite without one), its work, and the future that the caller awaits."""

    request: Request
    party: Hashable
    until: float
    work: Work | None
    answer: "asyncio.Future[Result]"
    given_up: MercatoError | None = None
    """The error with which the queue answered the call without serving it."""


class Coalescer(Generic[Request, Result]):
    """Turns a function of many requests into one of a single request.

    A lone call is a batch of one; no timer delays it. Requests are served in the order of arrival. Two requests of one party never run at
    once; they behave as if one came after the other. A refusal concerns only its caller. If a batch fails as a whole, each of its
    requests runs again alone.

    A call that is cancelled, or reaches its deadline, while it waits leaves the queue and is never served. A batch runs in an empty
    context; it has only the latest deadline of its callers, and a `Work` of its own, which is added to that of each of them.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Request]], Awaitable[Sequence[Result | MercatoError]]],
        *,
        party: Callable[[Request], Hashable] | None = None,
        turns: int = 0,
        batching: Batching,
    ) -> None:
        """Serve requests in batches.

        Args:
            serve: answers a list of requests in order.
            party: returns the account of a request; without it no call waits for another.
            turns: of the event loop, which each batch waits for calls that have arrived with its first one.
            batching: limits of the batches.
        """
        self._serve = serve
        self._turns = turns
        self._party = party
        self._batching = batching
        self.kind = "calls"
        """The kind of call, for traces."""
        self._queue: dict[_Call[Request, Result], None] = {}
        self._parties: set[Hashable] = set()
        self._runners = 0
        self.batches = self.calls = 0  # served or failed so far
        self.sizes = [0] * len(BATCH_SIZES)
        """Batches by the least of BATCH_SIZES that their calls do not exceed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._due = math.inf
        """Time of the alarm; no waiting call has an earlier deadline."""

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a batch."""
        return len(self._queue)

    async def __call__(self, request: Request) -> Result:
        """Return the answer to one request, or raise its refusal; raises Overloaded if too many calls wait.

        If the deadline comes while the call waits, raises Conflict if another call of its party runs, else DeadlineExceeded.
        """
        if len(self._queue) >= self._batching.queue_max:
            raise Overloaded("too many calls are waiting; try again")
        party = self._party(request) if self._party else None
        until = deadline.get()
        call: _Call[Request, Result] = _Call(
            request, party, math.inf if until is None else until, current_work.get(), asyncio.get_running_loop().create_future()
        )
        self._queue[call] = None
        if call.until < self._due:
            self._set_alarm(call.until)
        enough = len(self._queue) >= self._batching.beside_min
        if self._runners == 0 or (enough and self._runners < self._batching.in_flight_max):
            self._runners += 1
            self._start(self._run())
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call.given_up:  # in the same turn of a busy event loop, before the caller could run
                raise call.given_up from None
            self._queue.pop(call, None)
            raise

    def _set_alarm(self, until: float) -> None:
        """Set the one timer, which is for the earliest deadline in the queue; most calls do not change it."""
        if self._alarm:
            self._alarm.cancel()
        self._due = until
        self._alarm = asyncio.get_running_loop().call_at(until - HEAD_START_S, self._give_up)

    def _give_up(self) -> None:
        """Answer the calls that have reached their deadline, and set the alarm for the others."""
        now = asyncio.get_running_loop().time()  # a busy event loop may be late for several calls
        due, self._due, self._alarm = max(self._due, now), math.inf, None
        late = [call for call in self._queue if call.until <= due]
        for call in late:
            del self._queue[call]
            if not call.answer.done():
                call.given_up = _busy() if call.party in self._parties else DeadlineExceeded()
                call.answer.set_exception(call.given_up)
        earliest = min((call.until for call in self._queue), default=math.inf)
        if earliest < math.inf:
            self._set_alarm(earliest)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)  # the event loop itself keeps no hold of a task
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        """Serve batches until no waiting call can be served now. Calls that wait for a running party follow when it is done."""
        try:
            await self._let_others_call()
            while batch := self._take():
                await self._answer(batch)
                await asyncio.sleep(0)  # callers that were just answered may call again
                await self._let_others_call()
                if self._runners > 1 and len(self._queue) < self._batching.beside_min:
                    break  # the other runner serves them
        finally:
            self._runners -= 1

    async def _let_others_call(self) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)

    def _take(self) -> list[_Call[Request, Result]]:
        """Take the next batch from the queue: the first call of each party that does not run."""
        batch: list[_Call[Request, Result]] = []
        for call in self._queue:
            if len(batch) == self._batching.batch_max:
                break
            if call.party in self._parties or call.answer.done():  # done: its caller has just left
                continue
            if call.party is not None:
                self._parties.add(call.party)
            batch.append(call)
        for call in batch:
            del self._queue[call]
        return batch

    async def _answer(self, batch: list[_Call[Request, Result]]) -> None:
        alone = len(batch) == 1
        self.batches += 1
        self.calls += len(batch)
        self.sizes[min((len(batch) - 1).bit_length(), len(BATCH_SIZES) - 1)] += 1
        latest = max(call.until for call in batch)
        deadline.set(None if latest == math.inf else latest)
        try:
            async with asyncio.timeout_at(None if latest == math.inf else latest + LINGER_S):
                results = await self._serve_counted(batch)
        except Exception as error:  # noqa: BLE001 - the callers receive it
            in_vain = isinstance(refusal(error) or error, DeadlineExceeded | DatabaseUnavailable)
            if alone or in_vain:
                self._done(batch, [error] * len(batch))
            else:
                for call in batch:
                    self._start(self._run_alone(call))
        else:
            self._done(batch, results)

    async def _serve_counted(self, batch: list[_Call[Request, Result]]) -> Sequence[Result | MercatoError]:
        """Serve a batch, and add its work to that of each call before any is answered."""
        shared = of_batch(self.kind, [call.work for call in batch])
        current_work.set(shared)
        failure: BaseException | None = None
        try:
            return await self._serve([call.request for call in batch])
        except BaseException as error:
            failure = error
            raise
        finally:
            shared.end(failure)
            for call in batch:
                if call.work is not None:
                    call.work.join(shared, len(batch))

    async def _run_alone(self, call: _Call[Request, Result]) -> None:
        """Run one call of a failed batch alone, beside the following batches; then serve calls that waited for its party."""
        await self._answer([call])
        if self._queue and self._runners == 0:
            self._runners += 1
            await self._run()

    def _done(self, batch: list[_Call[Request, Result]], results: Sequence[Result | Exception]) -> None:
        for call, result in zip(batch, results, strict=True):
            self._parties.discard(call.party)
            if call.answer.done():
                continue
            if isinstance(result, Exception):
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)


def _busy() -> Conflict:
    return Conflict("another call of this account is under way; nothing was changed, try again")


Coalescers = Mapping[str, Coalescer[Any, Any]]
"""Coalescers by the kind of call that they serve."""
