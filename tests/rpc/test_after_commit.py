"""Each RPC that changes something notifies its worker's listeners of exactly the events that it appended to the feed."""

from uuid import UUID

import pytest

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Changes, Pool
from support.idempotency_cases import CASES, call, new_world
from support.shop import open_worker, refusal

APPENDED = "SELECT kind, subject_id FROM events WHERE id > $1"
LAST = "SELECT coalesce(max(id), 0) FROM events"


def flat(told: list[Changes]) -> set[tuple[str, UUID]]:
    return {(kind, subject_id) for changes in told for kind, subject_ids in changes.items() for subject_id in subject_ids}


@pytest.mark.parametrize("name", CASES)
async def test_listeners_are_told_once_of_the_events_of_an_rpc(settings: Settings, pool: "Pool", name: str) -> None:
    case = CASES[name]
    async with open_worker(settings, pool) as (worker, shop):
        world = await new_world(shop, case)
        caller, last = world.person(case.caller), await pool.fetchval(LAST)
        told: list[Changes] = []
        worker.parts.pool.on_commit(told.append)
        if case.refused:
            await refusal(call(shop, case.refused(world), caller, "refused"))
        assert told == []
        request = case.first(world)
        for _ in range(2):  # the second call is answered from the key
            await call(shop, request, caller, "key")
            assert flat(told) == {tuple(row) for row in await pool.fetch(APPENDED, last)}
            assert len(told) <= 1
