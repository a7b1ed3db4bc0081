"""The limits of a worker's requests."""

import asyncio
from collections import deque

import pytest

from mercato_server.payments.provider import Certainty, ProviderError
from mercato_server.payments.token_buckets import Lane, Operation, TokenBucket, Turns
from support.patience import until


@pytest.mark.parametrize("per_second", [5.0, 6.25, 25.0, 100.0])
def test_no_second_has_more_requests_than_the_limit_and_a_steady_one_has_most_of_it(per_second: float) -> None:
    now_s = 0.0
    bucket = TokenBucket(per_second, lambda: now_s)
    window, sent = deque[float](), 0
    for millisecond in range(20_000):
        now_s = millisecond / 1_000
        while bucket.wait_s() == 0:
            bucket.take()
            sent += 1
            window.append(now_s)
            while window[0] <= now_s - 1:
                window.popleft()
            assert len(window) <= per_second
    assert sent >= 0.75 * per_second * 20


def test_requests_that_wait_have_turns_one_after_the_other() -> None:
    bucket = TokenBucket(10.0, lambda: 0.0)
    waits = []
    for _ in range(6):
        waits.append(round(bucket.wait_s(), 6))
        bucket.take()
    assert waits == [0, 0, 0.125, 0.25, 0.375, 0.5]
    bucket.give_back()
    assert round(bucket.wait_s(), 6) == 0.5


def test_the_lanes_share_all_requests_and_each_operation_of_stripe_has_a_quarter_at_most() -> None:
    assert sum(lane.share for lane in Lane) == pytest.approx(1.0)
    for title in {each.title for each in Operation}:
        assert sum(each.share for each in Operation if each.title == title) <= 0.25


async def test_a_request_that_would_wait_too_long_is_refused_unsent() -> None:
    turns = Turns(5)
    async with turns.turn(Operation.CREATE, 1.0):
        pass
    with pytest.raises(ProviderError) as refused:
        async with turns.turn(Operation.CREATE, 0.01):
            pytest.fail("it had a turn")
    assert (refused.value.certainty, refused.value.code) == (Certainty.UNSENT, "local_limit")
    assert refused.value.retry_after_s is not None
    assert 0.01 < refused.value.retry_after_s < 2


async def test_sweeps_that_use_up_their_lane_leave_buyers_theirs() -> None:
    turns = Turns(0.5)  # the next token comes after seconds
    async with turns.turn(Operation.READ, 0.0):
        pass
    for operation in (Operation.READ, Operation.LIST, Operation.LIST_REFUNDS, Operation.LIST_DISPUTES):
        with pytest.raises(ProviderError):
            async with turns.turn(operation, 0.0):
                pytest.fail("it had a turn")
    for operation in (Operation.CREATE, Operation.CAPTURE):
        async with turns.turn(operation, 1.0):
            pass


async def test_slow_requests_of_a_lane_leave_connections_to_the_others() -> None:
    turns, go_on = Turns(100_000), asyncio.Event()
    inside = 0

    async def read() -> None:
        nonlocal inside
        async with turns.turn(Operation.READ, 10.0):
            inside += 1
            await go_on.wait()

    reads = [asyncio.ensure_future(read()) for _ in range(Lane.READS.in_flight)]
    await until(lambda: inside == Lane.READS.in_flight)
    with pytest.raises(ProviderError) as refused:
        async with turns.turn(Operation.LIST, 0.05):
            pytest.fail("it had a turn")
    assert refused.value.certainty is Certainty.UNSENT
    async with turns.turn(Operation.CREATE, 0.05):
        go_on.set()
    await asyncio.gather(*reads)
    async with turns.turn(Operation.LIST, 0.05):
        pass


async def test_a_canceled_wait_gives_its_turn_back() -> None:
    turns = Turns(5)
    async with turns.turn(Operation.CREATE, 1.0):
        pass

    async def wait() -> None:
        async with turns.turn(Operation.CREATE, 60.0):
            pass

    for _ in range(50):
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with turns.turn(Operation.CREATE, 3.0):
        pass
