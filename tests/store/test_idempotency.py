"""A duplicate call that the first call overtakes gets the stored answer."""

from uuid import uuid4

import pytest

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.errors import OneTimeTokenInvalid
from mercato_server.store.idempotency import IdempotencyKey, Stored, answered_or, once


def key_of_call() -> IdempotencyKey:
    return IdempotencyKey(uuid4(), "key", "/mercato.v1.AuthService/ResetPassword", b"", lambda answer: str(answer).encode())


async def first_call(pool: "Pool", key: IdempotencyKey) -> None:
    async def effect() -> str:
        return "done"

    async with transaction(pool) as conn:
        await once(conn, key, effect)


async def test_a_duplicate_that_is_refused_because_the_first_call_has_succeeded_gets_its_answer(pool: "Pool") -> None:
    key = key_of_call()

    async def refused_for_the_first_call() -> str:
        await first_call(pool, key)
        raise OneTimeTokenInvalid

    assert await answered_or(pool, key, refused_for_the_first_call) == Stored(b"done", replayed=True)


async def test_a_refusal_of_its_own_stays_one(pool: "Pool") -> None:
    async def refused() -> str:
        raise OneTimeTokenInvalid

    for key in (key_of_call(), None):
        with pytest.raises(OneTimeTokenInvalid):
            await answered_or(pool, key, refused)
