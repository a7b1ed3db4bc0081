"""A worker, the edge and the client itself are killed under the Python client: each key has one order."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from faults.buyers import Goods, Tally, stock_up
from faults.client_crowds import Crowd, crowds
from faults.conftest import Conclude, Scale
from faults.processes import Edge, Worker, running

BUYERS, SOAK_BUYERS = 8, 32
ORDERS = 2
"""Orders of each buyer between two kills."""
HEALTH_INTERVAL_S = 0.2


@pytest.fixture
async def goods(database: str, scale: Scale) -> Goods:
    return await stock_up(database, buyers=scale(BUYERS, SOAK_BUYERS))


async def trade(both: list[Crowd]) -> None:
    """Return once every buyer of both clients has placed further orders."""
    for crowd in both:
        await crowd.trade(ORDERS)


def counts(both: list[Crowd], tally: Tally) -> dict[str, object]:
    """Return the counts of the report."""
    return {"unknown_to_the_caller": tally.unknown, "answered_by_an_earlier_attempt": sum(crowd.replayed() for crowd in both)}


async def test_workers_killed_under_the_python_client_leave_one_order_per_key(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    workers = [Worker(directory, goods.database_url, name=name) for name in ("first", "second")]
    kills, tally = scale(2, 100), Tally()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(*workers))
        edge = await stack.enter_async_context(Edge(directory, workers, HEALTH_INTERVAL_S))
        both = await stack.enter_async_context(crowds(goods, edge.address, directory, tally))
        for number in range(kills):
            await trade(both)
            worker = workers[number % 2]
            await worker.kill()
            await worker.restart()
        await trade(both)
    for worker in workers:
        worker.require_no_bugs_logged()
    await conclude("workers killed under the Python client", goods, tally, kills=kills, **counts(both, tally))
    assert tally.refused == {}


async def test_the_edge_killed_under_the_python_client_leaves_one_order_per_key(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    worker = Worker(directory, goods.database_url)
    kills, tally = scale(3, 200), Tally()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(worker))
        edge = await stack.enter_async_context(Edge(directory, [worker], HEALTH_INTERVAL_S))
        both = await stack.enter_async_context(crowds(goods, edge.address, directory, tally))
        for _ in range(kills):
            await trade(both)
            await edge.kill()
            await edge.restart()
        await trade(both)
    worker.require_no_bugs_logged()
    await conclude("the edge killed under the Python client", goods, tally, kills=kills, **counts(both, tally))
    assert tally.refused == {}


async def test_the_python_client_killed_at_any_moment_leaves_one_order_per_key(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    worker = Worker(directory, goods.database_url)
    kills, tally = scale(2, 100), Tally()
    async with running(worker), crowds(goods, worker.address, directory, tally) as both:
        for _ in range(kills):
            await trade(both)
            for crowd in both:
                await crowd.kill()
        await trade(both)
    worker.require_no_bugs_logged()
    unfinished = sum(crowd.unfinished for crowd in both)
    await conclude("the Python client killed", goods, tally, kills=2 * kills, unfinished=unfinished, **counts(both, tally))
    assert tally.refused == {}
    assert unfinished > 0
