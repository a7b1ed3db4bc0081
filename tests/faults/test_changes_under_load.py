"""An operator restarts the workers of a busy shop one after the other, and migrates its database. No call fails."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import asyncpg

from faults.buyers import Goods, Habits, market
from faults.conftest import Conclude, Scale
from faults.processes import Edge, Worker, running
from faults.releases import SAMPLES
from mercato_server.database import migrations
from support.patience import Within, slowness, until

HEALTH_INTERVAL_S = 1.0
DRAIN_S = 2.5 * HEALTH_INTERVAL_S
"""A worker reports that it stops this long before it does. The edge sees it at its next health check, late on a busy machine."""
REPORT_S = 3.0
"""A report reads a table for this long, and a migration that needs an exclusive lock must wait for it."""
CALL_S = 2.0
WAITING = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"


async def test_workers_that_restart_one_after_the_other_fail_no_call(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    def drain_s() -> str:
        return str(DRAIN_S * slowness())

    workers = [Worker(directory, goods.database_url, name=name, MERCATO_DRAIN_SECONDS=drain_s()) for name in ("one", "two")]
    cycles = scale(4, 20)
    async with running(*workers), Edge(directory, workers, HEALTH_INTERVAL_S) as edge, market(goods, edge.address) as shop, shop.crowd():
        for number in range(cycles):
            worker = workers[number % 2]
            await worker.stop()
            assert await worker.wait() == 0
            await worker.restart(MERCATO_DRAIN_SECONDS=drain_s())
            await edge.until_all_healthy()
    for worker in workers:
        worker.require_no_bugs_logged()
    await conclude("rolling restart", goods, shop.tally, restarts=cycles, failed_calls=shop.tally.codes.total())
    assert shop.tally.codes == Counter(), shop.tally.texts


async def test_a_migration_that_must_wait_for_a_long_report_lets_calls_pass_meanwhile(
    directory: Path, goods: Goods, conclude: Conclude, within: Within
) -> None:
    samples = sorted(SAMPLES.glob("*.sql"))
    worker = Worker(directory, goods.database_url)
    report = await asyncpg.connect(goods.database_url)
    async with running(worker), market(goods, worker.address, habits=Habits(timeout_s=within(CALL_S))) as shop, shop.crowd():
        await shop.trade()
        began = time.monotonic()
        async with report.transaction():
            await report.execute("SELECT count(*) FROM orders, products, cart_items")
            migrating = asyncio.ensure_future(migrations.migrate(goods.database_url, [*migrations.migration_files(), *samples]))
            await until(lambda: report.fetchval(WAITING))
            await asyncio.sleep(REPORT_S)
        applied = await migrating
        took_s = time.monotonic() - began
        await shop.trade()
    await report.close()
    worker.require_no_bugs_logged()
    did = {"migrations": len(applied), "seconds": f"{took_s:.1f}", "failed_calls": shop.tally.codes.total()}
    await conclude("migration behind a long report", goods, shop.tally, **did)
    assert applied == [path.name for path in samples]
    assert shop.tally.codes == Counter(), shop.tally.texts
