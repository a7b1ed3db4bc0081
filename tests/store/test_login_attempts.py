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
from mercato_server.store.login_attempts import Attempt, Place
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


def new_place(address: bytes | None = None) -> Place:
    """Return a place of a new address, or of an address from a new network."""
    return Place(here=os.urandom(16), everywhere=address or os.urandom(16))


@asynccontextmanager
async def attempt(pool: "Pool", place: Place, *, known: bool = False) -> AsyncIterator[Attempt]:
    async with login_attempts.attempt(pool, LIMITS, place, known=known) as made:
        yield made


async def fail(pool: "Pool", place: Place, *, known: bool = False) -> None:
    """Make an attempt with a wrong password."""
    async with attempt(pool, place, known=known) as made:
        made.failed = True


async def count(pool: "Pool", digest: bytes) -> tuple[int, int]:
    """Return the failures and open attempts of a row; both are 0 without one."""
    return tuple(await pool.fetchrow(COUNT, digest) or (0, 0))


@pytest.mark.race
async def test_guesses_at_once_are_checked_only_as_long_as_there_are_free_ones(pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds):
        place = new_place()
        outcomes = await asyncio.gather(*(fail(pool, place) for _ in range(3 * FREE)), return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, TooManyAttempts)] == [None] * FREE
        assert await count(pool, place.here) == await count(pool, place.everywhere) == (FREE, 0)
        assert await pool.fetchval(IS_BLOCKED, place.here)


@pytest.mark.race
async def test_right_passwords_at_once_all_succeed_however_many(pool: "Pool", race_rounds: int) -> None:
    async def succeed(place: Place) -> None:
        async with attempt(pool, place) as made:
            async with transaction(pool) as conn:
                await login_attempts.forget(conn, place)
            made.succeeded = True

    for _ in range(race_rounds):
        place = new_place()
        await asyncio.gather(*(succeed(place) for _ in range(4 * FREE)))
        assert await count(pool, place.here) == await count(pool, place.everywhere) == (0, 0)


async def test_an_attempt_beyond_the_free_ones_waits_for_the_others(pool: "Pool") -> None:
    place = new_place()
    ends = [asyncio.Event() for _ in range(FREE)]

    async def hold(end: asyncio.Event) -> None:
        async with attempt(pool, place):
            await end.wait()

    holding = [asyncio.create_task(hold(end)) for end in ends]

    async def all_open() -> bool:
        return await count(pool, place.here) == (FREE, FREE)

    await until(all_open)
    last = asyncio.create_task(fail(pool, place))
    await asyncio.wait([last], timeout=0.3)
    assert not last.done()
    ends[0].set()
    await last
    for end in ends:
        end.set()
    await asyncio.gather(*holding)
    assert (await count(pool, place.here))[1] <= FREE


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError, OSError])
async def test_an_attempt_without_an_outcome_counts_for_nothing(pool: "Pool", error: type[BaseException]) -> None:
    place = new_place()
    for _ in range(3 * FREE):
        with pytest.raises(error):
            async with attempt(pool, place):
                raise error
    await fail(pool, place)
    assert await count(pool, place.here) == (1, 0)
    assert not await pool.fetchval(IS_BLOCKED, place.here)


async def test_attempts_of_a_killed_worker_end_with_their_leases(pool: "Pool") -> None:
    place = new_place()
    for _ in range(FREE):
        await pool.execute(login_attempts.RESERVE, place.here, place.everywhere, 60.0, *UNKNOWN)
    assert await count(pool, place.here) == await count(pool, place.everywhere) == (FREE, FREE)
    await pool.execute(END_LEASES)
    await fail(pool, place)
    assert await count(pool, place.here) == await count(pool, place.everywhere) == (1, 0)


async def test_an_attempt_that_comes_too_early_is_refused(pool: "Pool") -> None:
    place = new_place()
    await fail(pool, place)
    await pool.execute("UPDATE login_attempts SET blocked_until = now() + interval '1 hour' WHERE address_digest = $1", place.here)
    with pytest.raises(TooManyAttempts) as refused:
        await fail(pool, place)
    assert 3590 < refused.value.retry_after_s <= 3600
    assert await count(pool, place.everywhere) == (1, 0)


async def test_guesses_from_one_network_do_not_delay_those_from_another(pool: "Pool") -> None:
    there = new_place()
    for _ in range(FREE):
        await fail(pool, there)
    with pytest.raises(TooManyAttempts):
        await fail(pool, there)
    await fail(pool, new_place(there.everywhere))


async def test_guesses_from_many_networks_delay_those_from_unknown_networks_only(pool: "Pool") -> None:
    address = os.urandom(16)
    for _ in range(EVERYWHERE):
        await fail(pool, new_place(address))
    with pytest.raises(TooManyAttempts):
        await fail(pool, new_place(address))
    home = new_place(address)
    for _ in range(FREE):
        await fail(pool, home, known=True)
    with pytest.raises(TooManyAttempts):  # its own failures count
        await fail(pool, home, known=True)
    assert await count(pool, address) == (EVERYWHERE + FREE, 0)


async def test_a_failure_after_another_attempt_has_succeeded_counts(pool: "Pool") -> None:
    place = new_place()
    async with attempt(pool, place) as late:
        async with transaction(pool) as conn:
            await login_attempts.forget(conn, place)
        late.failed = True
    assert await count(pool, place.here) == await count(pool, place.everywhere) == (1, 0)
