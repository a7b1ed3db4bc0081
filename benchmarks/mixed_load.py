"""Calls of every kind at the same time, over REST: as many as are answered, or a share of that at fixed times."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import asyncpg

import cases
import goods
from cases import REST, Case, Load
from goods import Goods, Mismatch
from mercato_server.database.pool import Conn
from meter import Outcome
from stage import Stage

PRODUCTS = 1_000
WORKERS = ("worker-0", "worker-1")
CALLERS = 16
"""Concurrency of each call."""
SHARE = 0.8
"""Share of the highest rate."""
SECONDS_MIN, EAGER_S = 2.0, 1.0
"""Shortest duration of a measurement, long enough for the rare slow calls; and the duration of the run that finds the highest rate."""
BUYERS_PER_SECOND = 1_000
"""More checkouts than the server can answer beside the other calls."""


async def calls(conn: "Conn", running: Stage, seconds: float) -> list[Case]:
    """Make goods for a measurement of some seconds, and return a case of each call; caches and connections are warm."""
    buyers = int(BUYERS_PER_SECOND * seconds)
    wares: Goods = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=4 * CALLERS, buyers=buyers)
    reads = [cases.get_product(REST, wares), cases.list_products(REST), cases.get_cart(REST, wares)]
    made = [*reads, cases.add_cart_item(REST, wares), cases.checkout(REST, wares.buyers)]
    await eager(made, running)
    return made


async def eager(kinds: Sequence[Case], running: Stage) -> dict[str, Outcome]:
    """Make calls of all kinds without a pause."""
    return await _call([(case, Load(CALLERS, EAGER_S)) for case in kinds], running)


def asked(outcomes: dict[str, Outcome]) -> dict[str, float]:
    """Return the calls a second that are the share of what was answered."""
    return {name: outcome.count / outcome.seconds * SHARE for name, outcome in outcomes.items()}


async def paced(kinds: Sequence[Case], running: Stage, rates: dict[str, float], seconds: float) -> dict[str, Outcome]:
    """Make calls of all kinds at fixed times."""
    return await _call([(case, Load(CALLERS, seconds, rates[case.name])) for case in kinds], running)


async def _call(kinds: Sequence[tuple[Case, Load]], running: Stage) -> dict[str, Outcome]:
    """Make calls of all kinds at once; raises an ExceptionGroup of goods.Mismatch if an answer is wrong."""
    ready = asyncio.Barrier(len(kinds))
    async with asyncio.TaskGroup() as group:
        calling = {case.name: group.create_task(_run(case, running, replace(load, together=ready))) for case, load in kinds}
    return {name: task.result() for name, task in calling.items()}


async def _run(case: Case, running: Stage, load: Load) -> Outcome:
    """Make the calls of a kind, and check the database over a separate connection."""
    conn = await asyncpg.connect(running.database_url)
    try:
        outcome = (await case.run(running, conn, load)).outcome
    finally:
        await conn.close()
    if outcome.failures:
        raise Mismatch(f"{case.name} is answered wrongly: {outcome.failures}")
    return outcome
