"""The group commit of the application: calls that arrive while a batch is under way become the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mercato_server.config.settings import Batching
from mercato_server.database.pool import refusal
from mercato_server.database.transactions import deadline
from mercato_server.domain.errors import Conflict, DatabaseUnavailable, MercatoError, Overloaded

Request = TypeVar("Request")
Result = TypeVar("Result")

EARLY_S = 0.002
"""Timers of uvloop count whole milliseconds, so they may go off this much before their time."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Request, Result]):
    """A caller who waits: what is asked, for whom others must wait, until when, and where the answer goes."""

    request: Request
    party: Hashable
    until: float | None
    answer: "asyncio.Future[Result]"


class Coalescer(Generic[Request, Result]):
    """Turns a function of many requests into one of a single request.

    A lone call is a batch of one and waits for nothing; no timer delays anybody. Requests are served in the order of arrival, but two of
    one party are never under way together, so they behave as if one came after the other. A caller who is cancelled leaves; a request
    that is refused is its caller's own; and if a batch fails as a whole, each of its requests is run again by itself.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Request]], Awaitable[Sequence[Result | MercatoError]]],
        *,
        party: Callable[[Request], Hashable],
        batching: Batching,
    ) -> None:
        """Prepare; `serve` answers a list of requests in order, and `party` tells whose a request is."""
        self._serve = serve
        self._party = party
        self._batching = batching
        self._queue: list[_Call[Request, Result]] = []
        self._parties: set[Hashable] = set()
        self._runners = 0
        self.batches = self.calls = 0  # that were served so far, or failed
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Result:
        """Return the answer to one request.

        Raises what it was refused for, Overloaded if too many wait, or Conflict if its time ends while another of its party is served.
        """
        if len(self._queue) >= self._batching.queue_max:
            raise Overloaded("too many calls are waiting; try again")
        call: _Call[Request, Result] = _Call(request, self._party(request), deadline.get(), asyncio.get_running_loop().create_future())
        self._queue.append(call)
        enough = len(self._queue) >= self._batching.beside_min
        if self._runners == 0 or (enough and self._runners < self._batching.in_flight_max):
            self._runners += 1
            self._start(self._run())
        try:
            return await call.answer
        except asyncio.CancelledError:
            if self._only_waited(call):
                raise Conflict("another call of this account is under way; nothing was changed, try again") from None
            raise

    def _only_waited(self, call: _Call[Request, Result]) -> bool:
        """Tell whether a call's time ran out while it waited for another of its party, so that it can be repeated."""
        late = call.until is not None and asyncio.get_running_loop().time() >= call.until - EARLY_S
        return late and call.party in self._parties and call in self._queue

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the event loop itself keeps no hold of a task
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        """Serve batches until nothing waits that could be served now; what waits for a party is taken up when that party is done."""
        try:
            while batch := self._take():
                await self._answer(batch)
                await asyncio.sleep(0)  # those who were just answered may have called again
                if self._runners > 1 and len(self._queue) < self._batching.beside_min:
                    break  # the other runner takes them along
        finally:
            self._runners -= 1

    def _take(self) -> list[_Call[Request, Result]]:
        """Take the next batch out of the queue: the first of each party that is not under way."""
        batch: list[_Call[Request, Result]] = []
        left: list[_Call[Request, Result]] = []
        for call in self._queue:
            if call.answer.done():  # its caller has left
                continue
            if len(batch) < self._batching.batch_max and call.party not in self._parties:
                self._parties.add(call.party)
                batch.append(call)
            else:
                left.append(call)
        self._queue = left
        return batch

    async def _answer(self, batch: list[_Call[Request, Result]]) -> None:
        alone = len(batch) == 1
        self.batches += 1
        self.calls += len(batch)
        limits = [call.until for call in batch]
        deadline.set(None if None in limits else max(limits))  # type: ignore[type-var] # no None is left in there
        try:
            results = await self._serve([call.request for call in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the callers
            if alone or isinstance(refusal(error) or error, DatabaseUnavailable):
                self._done(batch, [error] * len(batch))
            else:
                for call in batch:
                    self._start(self._again(call))
        else:
            self._done(batch, results)

    async def _again(self, call: _Call[Request, Result]) -> None:
        """Run one of a failed batch by itself, beside the batches that follow; then see to those who waited for its party."""
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


Coalescers = Mapping[str, Coalescer[Any, Any]]
"""By the kind of calls that they serve."""
