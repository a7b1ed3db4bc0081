"""Login attempts: free ones, reservations, delays here and everywhere, and networks that an account knows."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.errors import TooManyAttempts
from mercato_server.store import login_attempts
from mercato_server.store.login_attempts import Attempt, Counters
from support.delays import delays
from support.patience import until

LIMITS = Limits()
FREE = LIMITS.failures_free + 1
"""Attempts that need not wait: the free failures, and the one after which the first delay begins."""
UNKNOWN = LIMITS.failures_free, LIMITS.failures_free_everywhere, False
"""Arguments of an attempt from an unknown network."""
EVERYWHERE = LIMITS.failures_free_everywhere + 1
COUNT = "SELECT failures, cardinality(leases) FROM login_attempts WHERE address_digest = $1"
IS_BLOCKED = "SELECT blocked_until > clock_timestamp() FROM login_attempts WHERE address_digest = $1"
END_LEASES = "UPDATE login_attempts SET leases = ARRAY(SELECT now() FROM unnest(leases))"


def new_counters(address: bytes | None = None) -> Counters:
    """Return a counters of a new address, or of an address from a new network."""
    return Counters(here=os.urandom(16), everywhere=address or os.urandom(16))


@pytest.fixture
def long_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let delays last minutes instead of seconds, so that none ends before the next attempt on a busy machine."""
    longer = login_attempts.FAIL.replace("make_interval(secs", "60 * make_interval(secs")
    assert longer != login_attempts.FAIL
    monkeypatch.setattr(login_attempts, "FAIL", longer)


@asynccontextmanager
async def attempt(pool: "Pool", counters: Counters, *, known: bool = False) -> AsyncIterator[Attempt]:
    async with login_attempts.attempt(pool, LIMITS, counters, known=known) as made:
        yield made


async def fail(pool: "Pool", counters: Counters, *, known: bool = False) -> None:
    """Make an attempt with a wrong password."""
    async with attempt(pool, counters, known=known) as made:
        made.failed = True


async def count(pool: "Pool", digest: bytes) -> tuple[int, int]:
    """Return the failures and open attempts of a row; both are 0 without one."""
    return tuple(await pool.fetchrow(COUNT, digest) or (0, 0))


@pytest.mark.race
async def test_guesses_at_once_are_checked_only_as_long_as_there_are_free_ones(pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds):
        counters = new_counters()
        with delays() as over:
            outcomes = await asyncio.gather(*(fail(pool, counters) for _ in range(3 * FREE)), return_exceptions=True)
            is_blocked = await pool.fetchval(IS_BLOCKED, counters.here)
        checked = [outcome for outcome in outcomes if not isinstance(outcome, TooManyAttempts)]
        assert checked == [None] * len(checked)
        assert FREE <= len(checked) <= FREE + over.passed
        assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (len(checked), 0)
        assert is_blocked or over.passed


async def test_attempts_that_begin_at_the_same_moment_are_told_apart(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    began = "clock_timestamp() + make_interval"
    coarse = login_attempts.RESERVE.replace(began, "date_trunc('hour', clock_timestamp()) + interval '1 hour' + make_interval")
    assert coarse != login_attempts.RESERVE
    monkeypatch.setattr(login_attempts, "RESERVE", coarse)
    counters = new_counters()
    await asyncio.gather(*(fail(pool, counters) for _ in range(FREE)))
    assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (FREE, 0)


@pytest.mark.race
async def test_right_passwords_at_once_all_succeed_however_many(pool: "Pool", race_rounds: int) -> None:
    async def succeed(counters: Counters) -> None:
        async with attempt(pool, counters) as made:
            async with transaction(pool) as conn:
                await login_attempts.forget(conn, counters)
            made.succeeded = True

    for _ in range(race_rounds):
        counters = new_counters()
        await asyncio.gather(*(succeed(counters) for _ in range(4 * FREE)))
        assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (0, 0)


async def test_an_attempt_beyond_the_free_ones_waits_for_the_others(pool: "Pool") -> None:
    counters = new_counters()
    ends = [asyncio.Event() for _ in range(FREE)]

    async def hold(end: asyncio.Event) -> None:
        async with attempt(pool, counters):
            await end.wait()

    holding = [asyncio.create_task(hold(end)) for end in ends]

    async def all_open() -> bool:
        return await count(pool, counters.here) == (FREE, FREE)

    await until(all_open)
    last = asyncio.create_task(fail(pool, counters))
    await asyncio.wait([last], timeout=0.3)
    assert not last.done()
    ends[0].set()
    await last
    for end in ends:
        end.set()
    await asyncio.gather(*holding)
    assert (await count(pool, counters.here))[1] <= FREE


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError, OSError])
async def test_an_attempt_without_an_outcome_counts_for_nothing(pool: "Pool", error: type[BaseException]) -> None:
    counters = new_counters()
    for _ in range(3 * FREE):
        with pytest.raises(error):
            async with attempt(pool, counters):
                raise error
    await fail(pool, counters)
    assert await count(pool, counters.here) == (1, 0)
    assert not await pool.fetchval(IS_BLOCKED, counters.here)


async def test_attempts_of_a_killed_worker_end_with_their_leases(pool: "Pool") -> None:
    counters = new_counters()
    for _ in range(FREE):
        await pool.execute(login_attempts.RESERVE, counters.here, counters.everywhere, 60.0, *UNKNOWN)
    assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (FREE, FREE)
    await pool.execute(END_LEASES)
    await fail(pool, counters)
    assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (1, 0)


async def test_an_attempt_that_comes_too_early_is_refused(pool: "Pool") -> None:
    counters = new_counters()
    await fail(pool, counters)
    await pool.execute("UPDATE login_attempts SET blocked_until = now() + interval '1 hour' WHERE address_digest = $1", counters.here)
    with pytest.raises(TooManyAttempts) as refused:
        await fail(pool, counters)
    assert 3590 < (refused.value.retry_after_s or 0) <= 3600
    assert await count(pool, counters.everywhere) == (1, 0)


@pytest.mark.usefixtures("long_delays")
async def test_guesses_from_one_network_do_not_delay_those_from_another(pool: "Pool") -> None:
    there = new_counters()
    for _ in range(FREE):
        await fail(pool, there)
    with pytest.raises(TooManyAttempts):
        await fail(pool, there)
    await fail(pool, new_counters(there.everywhere))


@pytest.mark.usefixtures("long_delays")
async def test_guesses_from_many_networks_delay_those_from_unknown_networks_only(pool: "Pool") -> None:
    address = os.urandom(16)
    for _ in range(EVERYWHERE):
        await fail(pool, new_counters(address))
    with pytest.raises(TooManyAttempts):
        await fail(pool, new_counters(address))
    home = new_counters(address)
    for _ in range(FREE):
        await fail(pool, home, known=True)
    with pytest.raises(TooManyAttempts):  # its own failures count
        await fail(pool, home, known=True)
    assert await count(pool, address) == (EVERYWHERE + FREE, 0)


async def test_a_failure_after_another_attempt_has_succeeded_counts(pool: "Pool") -> None:
    counters = new_counters()
    async with attempt(pool, counters) as late:
        async with transaction(pool) as conn:
            await login_attempts.forget(conn, counters)
        late.failed = True
    assert await count(pool, counters.here) == await count(pool, counters.everywhere) == (1, 0)
