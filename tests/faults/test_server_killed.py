"""A worker is killed during checkouts: at any moment, and between any two of their statements."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from faults.buyers import Goods, dice, market
from faults.conftest import Conclude, Scale
from faults.processes import READY_S, Start, Worker, running
from mercato_server.failpoints import CHECKOUT_PLACES
from support.patience import Within

LIFE_S = (0.1, 0.6)
CHANCE = 0.1
"""Probability of dying at the armed place, for each batch that reaches it."""


def times(starts: Sequence[Start]) -> dict[str, object]:
    """Return the figures of the starts for the report."""
    longest, total = max(start.own_s for start in starts), max(start.total_s for start in starts)
    return {"seconds_until_ready_at_most": f"{longest:.1f}", "with_waiting_for_a_core": f"{total:.1f}"}


async def test_a_server_killed_at_any_moment_loses_and_doubles_nothing(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, goods.database_url)
    cycles = scale(6, 200)
    starts = []
    async with running(worker), market(goods, worker.address) as shop, shop.crowd():
        for _ in range(cycles):
            await asyncio.sleep(dice.uniform(*LIFE_S))
            await worker.kill()
            starts.append(await worker.restart())
    worker.require_no_bugs_logged()
    await conclude("server killed at any moment", goods, shop.tally, kills=cycles, **times(starts))
    assert max(start.own_s for start in starts) <= within(READY_S)
    assert set(shop.tally.codes) == {"UNAVAILABLE"}


async def test_a_server_that_dies_between_two_statements_leaves_all_of_a_checkout_or_nothing(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, goods.database_url)
    places = CHECKOUT_PLACES * scale(1, 50)
    starts = []
    async with running(worker), market(goods, worker.address) as shop, shop.crowd():
        await worker.kill()
        for place in places:
            starts.append(await worker.restart(MERCATO_TEST_FAILPOINTS=f"{place}={CHANCE}"))
            assert await worker.wait() < 0
        await worker.restart()
    worker.require_no_bugs_logged()
    did = {"deaths": len(places), "places": len(CHECKOUT_PLACES)} | times(starts)
    await conclude("server dies between two statements", goods, shop.tally, **did)
    assert max(start.own_s for start in starts) <= within(READY_S)
    assert set(shop.tally.codes) == {"UNAVAILABLE"}
