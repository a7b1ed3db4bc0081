"""Failed logins of an address: the free ones are free however many come at once."""

import asyncio
import os

import pytest

from mercato_server.database.pool import Pool
from mercato_server.domain.errors import TooManyAttempts
from mercato_server.store import login_attempts
from mercato_server.store.login_attempts import FREE_FAILURES


@pytest.mark.race
async def test_attempts_at_once_are_refused_only_once_the_free_ones_are_used_up(pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds * 10):
        address = os.urandom(16)
        attempts = [login_attempts.count(pool, address) for _ in range(FREE_FAILURES + 1)]
        assert await asyncio.gather(*attempts, return_exceptions=True) == [None] * len(attempts)
        with pytest.raises(TooManyAttempts):
            await login_attempts.count(pool, address)
