"""The coalescer, over functions that record their batches."""

import asyncio
import time
from collections.abc import Sequence
from contextvars import ContextVar

import asyncpg
import pytest

from mercato_server.config.settings import Batching
from mercato_server.database import batching
from mercato_server.database.batching import Coalescer
from mercato_server.database.transactions import deadline
from mercato_server.domain.errors import CartEmpty, Conflict, DatabaseUnavailable, DeadlineExceeded, MercatoError, Overloaded
from support.patience import patient

Request = tuple[str, int]
caller: ContextVar[str] = ContextVar("caller", default="none")


class Store:
    """Serves batches when the test allows it, and records them."""

    def __init__(self) -> None:
        self.batches: list[list[Request]] = []
        self.seen: list[tuple[str, float | None]] = []
        """The caller and the deadline in the context of each batch."""
        self.open = asyncio.Event()
        self.open.set()
        self.failing: type[Exception] | None = None
        self.refused: set[Request] = set()

    async def serve(self, batch: Sequence[Request]) -> list[str | MercatoError]:
        self.batches.append(list(batch))
        self.seen.append((caller.get(), deadline.get()))
        await self.open.wait()
        if self.failing and (len(batch) > 1 or batch[0] in self.refused):
            raise self.failing
        return [CartEmpty() if request in self.refused else f"{request[0]}{request[1]}" for request in batch]


def coalescer(store: Store, **limits: int) -> Coalescer[Request, str]:
    return Coalescer(store.serve, party=lambda request: request[0], batching=Batching(**limits))


def start(calls: Coalescer[Request, str], *requests: Request) -> list["asyncio.Future[str]"]:
    return [asyncio.ensure_future(calls(request)) for request in requests]


async def settle() -> None:
    """Let every task run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Clock:
    """The time of the event loop, which passes only when the test lets it: no pause of the machine ends a deadline too early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self._now)

    async def let_pass(self, seconds: float) -> None:
        """Let time pass, and then every task run that can."""
        self._now += seconds
        await settle()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(asyncio.get_running_loop(), monkeypatch)


async def test_a_lone_call_is_a_batch_of_one_and_waits_for_nothing() -> None:
    store = Store()
    calls = coalescer(store)
    for number in range(3):
        assert await calls(("a", number)) == f"a{number}"
    assert store.batches == [[("a", 0)], [("a", 1)], [("a", 2)]]


async def test_calls_that_arrive_while_batches_run_become_the_next_batch_in_order_of_arrival() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    first = start(calls, ("a", 0))
    await settle()
    rest = start(calls, *((name, 1) for name in "zyxw"))
    await settle()
    assert store.batches == [[("a", 0)]]
    store.open.set()
    assert await asyncio.gather(*first, *rest) == ["a0", "z1", "y1", "x1", "w1"]
    assert store.batches[1:] == [[("z", 1), ("y", 1), ("x", 1), ("w", 1)]]


async def test_a_batch_waits_some_turns_of_the_loop_for_calls_that_arrive_meanwhile() -> None:
    for turns, batches in ((0, [1, 2]), (2, [3])):
        store = Store()
        calls = Coalescer(store.serve, turns=turns, batching=Batching(in_flight_max=1))
        first = start(calls, ("a", 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first call has started a batch
        rest = start(calls, ("b", 0), ("c", 0))
        assert await asyncio.gather(*first, *rest) == ["a0", "b0", "c0"]
        assert [len(batch) for batch in store.batches] == batches


async def test_batches_and_their_number_are_bounded() -> None:
    store = Store()
    calls = coalescer(store, batch_max=3, in_flight_max=2, beside_min=1)
    store.open.clear()
    tasks = start(calls, *((f"p{number}", number) for number in range(10)))
    await settle()
    assert [len(batch) for batch in store.batches] == [3, 3]
    store.open.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in store.batches] == [3, 3, 3, 1]


async def test_a_batch_starts_beside_another_only_for_enough_calls() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=2, beside_min=3)
    store.open.clear()
    tasks = start(calls, ("a", 0))
    await settle()
    tasks += start(calls, ("b", 0), ("c", 0))
    await settle()
    assert store.batches == [[("a", 0)]]
    tasks += start(calls, ("d", 0))
    await settle()
    assert store.batches[1:] == [[("b", 0), ("c", 0), ("d", 0)]]
    store.open.set()
    assert await asyncio.gather(*tasks) == ["a0", "b0", "c0", "d0"]


async def test_two_of_one_party_are_never_under_way_together_and_keep_their_order() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=2, beside_min=1)
    store.open.clear()
    tasks = start(calls, ("a", 0), ("a", 1), ("b", 0), ("a", 2))
    await settle()
    assert store.batches == [[("a", 0), ("b", 0)]]
    tasks += start(calls, ("b", 1), ("c", 0))
    await settle()
    assert store.batches[1:] == [[("c", 0)]]
    store.open.set()
    assert await asyncio.gather(*tasks) == ["a0", "a1", "b0", "a2", "b1", "c0"]
    assert [request for batch in store.batches for request in batch if request[0] == "a"] == [("a", 0), ("a", 1), ("a", 2)]


async def test_a_full_queue_refuses_at_once_and_takes_calls_again_later() -> None:
    store = Store()
    calls = coalescer(store, batch_max=1, in_flight_max=1, queue_max=2)
    store.open.clear()
    tasks = start(calls, ("a", 0))
    await settle()
    tasks += start(calls, ("b", 0), ("c", 0))
    await settle()
    with pytest.raises(Overloaded):
        await calls(("d", 0))
    store.open.set()
    assert await asyncio.gather(*tasks) == ["a0", "b0", "c0"]
    assert await calls(("d", 0)) == "d0"


async def test_one_callers_refusal_is_its_own() -> None:
    store = Store()
    store.refused = {("b", 0)}
    outcomes = await asyncio.gather(*start(coalescer(store), ("a", 0), ("b", 0), ("c", 0)), return_exceptions=True)
    assert outcomes[0] == "a0"
    assert isinstance(outcomes[1], CartEmpty)
    assert outcomes[2] == "c0"


async def test_a_batch_that_fails_is_run_again_one_by_one() -> None:
    store = Store()
    store.failing, store.refused = ZeroDivisionError, {("b", 0)}
    calls = coalescer(store)
    outcomes = await asyncio.gather(*start(calls, ("a", 0), ("b", 0), ("c", 0)), return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == ("a0", "c0")
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert [len(batch) for batch in store.batches] == [3, 1, 1, 1]
    store.failing = None
    assert await calls(("a", 1)) == "a1"


async def test_calls_that_wait_for_a_party_of_a_failed_batch_are_served_after_it() -> None:
    store = Store()
    store.failing = ZeroDivisionError
    calls = coalescer(store, in_flight_max=1)
    tasks = start(calls, ("a", 0), ("b", 0), ("a", 1))
    assert await asyncio.wait_for(asyncio.gather(*tasks), patient()) == ["a0", "b0", "a1"]


async def test_without_a_database_no_call_is_run_again() -> None:
    store = Store()
    store.failing = DatabaseUnavailable
    outcomes = await asyncio.gather(*start(coalescer(store), ("a", 0), ("b", 0)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 2
    assert len(store.batches) == 1


async def test_a_caller_who_leaves_fails_no_other_call() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    under_way = start(calls, ("a", 0), ("b", 0))
    await settle()
    waiting = start(calls, ("c", 0), ("d", 0), ("a", 1))
    await settle()
    under_way[0].cancel()
    waiting[0].cancel()
    await settle()
    store.open.set()
    assert [await under_way[1], await waiting[1], await waiting[2]] == ["b0", "d0", "a1"]
    assert store.batches == [[("a", 0), ("b", 0)], [("d", 0), ("a", 1)]]


async def as_caller(calls: Coalescer[Request, str], request: Request, until: float | None) -> str:
    """Call as the server does, in the caller's own context."""
    caller.set(request[0])
    deadline.set(until)
    async with asyncio.timeout_at(until):
        return await calls(request)


async def until_late(calls: Coalescer[Request, str], request: Request, after_s: float = 0.02) -> str:
    """Call with a short deadline."""
    return await as_caller(calls, request, asyncio.get_running_loop().time() + after_s)


async def test_a_batch_inherits_no_context_but_the_deadline_of_its_most_patient_caller() -> None:
    store = Store()
    store.failing, store.refused = ZeroDivisionError, {("b", 0)}
    calls = coalescer(store)
    soon = asyncio.get_running_loop().time() + patient()
    untils = [soon, soon + 2, soon + 1]
    await asyncio.gather(*(as_caller(calls, (name, 0), at) for name, at in zip("abc", untils, strict=True)), return_exceptions=True)
    assert store.seen == [("none", soon + 2), *(("none", at) for at in untils)]  # the batch fails, so each call is run again
    store.failing = None
    await asyncio.gather(as_caller(calls, ("a", 1), soon), as_caller(calls, ("b", 1), None))
    assert store.seen[-1] == ("none", None)


async def test_a_runner_that_goes_on_keeps_nothing_of_the_batch_before() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    soon = asyncio.get_running_loop().time() + patient()
    first = asyncio.ensure_future(as_caller(calls, ("a", 0), soon))
    await settle()
    second = asyncio.ensure_future(as_caller(calls, ("b", 0), None))
    await settle()
    store.open.set()
    assert [await first, await second] == ["a0", "b0"]
    assert store.seen == [("none", soon), ("none", None)]


async def test_calls_without_a_party_never_wait_for_each_other() -> None:
    store = Store()
    calls: Coalescer[Request, str] = Coalescer(store.serve, batching=Batching(in_flight_max=2, beside_min=1))
    store.open.clear()
    tasks = start(calls, ("a", 0), ("a", 1))
    await settle()
    tasks += start(calls, ("a", 2))
    await settle()
    assert store.batches == [[("a", 0), ("a", 1)], [("a", 2)]]
    store.open.set()
    assert await asyncio.gather(*tasks) == ["a0", "a1", "a2"]


async def test_a_call_whose_time_ends_in_the_queue_frees_its_place_and_is_never_served(clock: Clock) -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1, queue_max=2)
    store.open.clear()
    [first] = start(calls, ("a", 0))
    await settle()
    [patient_one] = start(calls, ("b", 0))
    late = asyncio.ensure_future(until_late(calls, ("c", 0)))
    await settle()
    with pytest.raises(Overloaded):
        await calls(("d", 0))
    await clock.let_pass(0.02)
    with pytest.raises(DeadlineExceeded):
        await late
    [taken_in] = start(calls, ("d", 0))
    await settle()
    store.open.set()
    assert [await task for task in (first, patient_one, taken_in)] == ["a0", "b0", "d0"]
    assert store.batches == [[("a", 0)], [("b", 0), ("d", 0)]]


async def test_each_call_in_the_queue_ends_by_its_own_deadline_in_whatever_order_they_came(clock: Clock) -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    [first] = start(calls, ("a", 0))
    await settle()
    ended: list[str] = []

    async def wait(name: str, after_s: float) -> None:
        with pytest.raises(DeadlineExceeded):
            await until_late(calls, (name, 0), after_s)
        ended.append(name)

    waits = asyncio.gather(wait("c", 0.06), wait("b", 0.03), wait("d", 0.09))
    await settle()
    for by_now in (["b"], ["b", "c"], ["b", "c", "d"]):
        await clock.let_pass(0.03)
        assert ended == by_now
    await waits
    store.open.set()
    assert await first == "a0"
    assert store.batches == [[("a", 0)]]


async def test_an_answer_of_the_queue_counts_though_the_deadline_comes_in_the_same_turn_of_the_event_loop() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    [first] = start(calls, ("a", 0))
    await settle()
    late = [asyncio.ensure_future(until_late(calls, ("a", number))) for number in range(1, 4)]
    await settle()
    time.sleep(0.04)  # noqa: ASYNC251 - this blocks the event loop, so that all timers are late
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Conflict] * 3
    store.open.set()
    assert await first == "a0"


async def test_a_batch_that_gets_no_answer_ends_soon_after_the_deadline_of_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LINGER_S", 0.01)
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()  # a server that is suspended
    silent = asyncio.ensure_future(until_late(calls, ("a", 0)))
    await settle()
    store.open = asyncio.Event()
    store.open.set()
    assert await asyncio.wait_for(as_caller(calls, ("a", 1), None), patient()) == "a1"
    with pytest.raises(TimeoutError):
        await silent


@pytest.mark.parametrize("failure", [DeadlineExceeded, asyncpg.QueryCanceledError])  # without a connection, in a statement
async def test_a_batch_that_fails_by_its_deadline_is_not_run_again(failure: type[Exception]) -> None:
    store = Store()
    store.failing = failure
    outcomes = await asyncio.gather(*start(coalescer(store), ("a", 0), ("b", 0)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [failure] * 2
    assert len(store.batches) == 1


async def test_a_call_whose_time_ends_behind_another_of_its_party_can_be_repeated_and_is_not_served() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    [first] = start(calls, ("a", 0))
    await settle()
    outcomes = await asyncio.gather(until_late(calls, ("a", 1)), until_late(calls, ("b", 0)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Conflict, DeadlineExceeded]
    store.open.set()
    assert await first == "a0"
    assert store.batches == [[("a", 0)]]


async def test_a_call_whose_time_ends_while_it_is_served_may_have_changed_something() -> None:
    store = Store()
    store.open.clear()
    with pytest.raises(TimeoutError):
        await until_late(coalescer(store), ("a", 0))


async def test_a_caller_who_leaves_before_the_deadline_gets_no_answer() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1)
    store.open.clear()
    [_, second] = start(calls, ("a", 0), ("a", 1))
    await settle()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    store.open.set()


async def test_a_caller_who_leaves_the_queue_frees_its_place() -> None:
    store = Store()
    calls = coalescer(store, in_flight_max=1, queue_max=1)
    store.open.clear()
    [first] = start(calls, ("a", 0))
    await settle()
    [left] = start(calls, ("b", 0))
    await settle()
    left.cancel()
    await settle()
    [taken_in] = start(calls, ("c", 0))
    await settle()
    store.open.set()
    assert [await first, await taken_in] == ["a0", "c0"]
    assert store.batches == [[("a", 0)], [("c", 0)]]
