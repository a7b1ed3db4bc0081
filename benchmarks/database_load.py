"""Count the SQL statements that reads of the catalog cost, for a worker with its cache and one without."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import cases
import goods
import runs
from cases import GRPC, Case, Load
from mercato_server.database.pool import Conn
from report import Goal, Part, Spread
from runs import Scale
from stage import WORKER, Stage

PRODUCTS = 1_000
UNCACHED = "worker-uncached"
FEWER_MIN = 99.0

COUNT_STATEMENTS = """
SELECT coalesce(sum(calls), 0)::bigint
  FROM pg_stat_statements
 WHERE query NOT LIKE '%pg_stat_statements%'
"""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Count the statements in pg_stat_statements, in turns. Statements of a worker's background tasks count too."""
    workers = {WORKER: {}, UNCACHED: {"MERCATO_CACHED_PRODUCTS": "0"}}
    load = Load(scale.concurrency, scale.seconds)
    async with runs.shop(directory, workers=workers, edge=False, preload="pg_stat_statements") as (running, conn):
        await conn.execute("CREATE EXTENSION pg_stat_statements")
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=1, buyers=1)
        reads = [cases.get_product(GRPC, wares), cases.list_products(GRPC)]
        lines = [replace(case, worker=worker) for case in reads for worker in workers]
        for case in lines:
            await case.run(running, conn, load)
        counts = await runs.interleave([partial(_statements, case, running, conn, load) for case in lines], scale.rounds)
    spared = [
        100 * (1 - sum(few) / sum(many)) for few, many in zip(zip(*counts[::2], strict=True), zip(*counts[1::2], strict=True), strict=True)
    ]
    goal = Goal(
        what="database statements that memory spares GetProduct and ListProducts", bound=FEWER_MIN, found=spared, unit="%", digits=1
    )
    rows = [(case.name, case.worker, Spread.of(own).text(1)) for case, own in zip(lines, counts, strict=True)]
    return Part(
        title="Database load of catalog reads", goals=[goal], note=NOTE, tables=[[("call", "worker", "statements per 1,000"), *rows]]
    )


async def _statements(case: Case, running: Stage, conn: "Conn", load: Load) -> float:
    """Return the statements per thousand calls; raises goods.Mismatch if an answer is wrong."""
    before = await conn.fetchval(COUNT_STATEMENTS)
    outcome = (await case.run(running, conn, load)).outcome
    if outcome.failures:
        raise goods.Mismatch(f"{case.name} is answered wrongly: {outcome.failures}")
    return 1000 * int(await conn.fetchval(COUNT_STATEMENTS) - before) / outcome.count


NOTE = (
    "Counted by pg_stat_statements, everything that the workers ask by themselves included: what is left with memory is the look at the "
    "change feed, several times a second whatever is read. The worker without memory has MERCATO_CACHED_PRODUCTS=0; concurrent GetProducts "
    "share a statement there, too. The goal is of as many calls of one kind as of the other."
)
