"""An address has a number of undelayed login attempts, which concurrent attempts can use up but not exceed."""

import asyncio
import os

import pytest

from mercato_server.database.pool import Pool
from mercato_server.domain.errors import TooManyAttempts
from mercato_server.store import login_attempts
from mercato_server.store.login_attempts import FREE_FAILURES

NOW = "SELECT clock_timestamp()"
IS_BLOCKED = "SELECT failures = $2 AND blocked_until >= $3::timestamptz + interval '1 second' FROM login_attempts WHERE address_digest = $1"


@pytest.mark.race
async def test_attempts_at_once_are_refused_only_once_the_free_ones_are_used_up(pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds * 10):
        address, began = os.urandom(16), await pool.fetchval(NOW)
        attempts = [login_attempts.count(pool, address) for _ in range(FREE_FAILURES + 1)]
        assert await asyncio.gather(*attempts, return_exceptions=True) == [None] * len(attempts)
        assert await pool.fetchval(IS_BLOCKED, address, len(attempts), began)


async def test_an_attempt_that_comes_too_early_is_refused(pool: "Pool") -> None:
    address = os.urandom(16)
    await login_attempts.count(pool, address)
    await pool.execute("UPDATE login_attempts SET blocked_until = now() + interval '1 hour'")
    with pytest.raises(TooManyAttempts):
        await login_attempts.count(pool, address)
