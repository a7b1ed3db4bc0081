"""The primary of a cluster dies, falls silent or hands over, and no acknowledged order is lost, also behind PgBouncer."""

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from faults.buyers import Goods, Tally
from faults.conftest import Conclude, Scale
from faults.processes import Worker, running
from ha import patroni
from ha.cluster import Cluster
from ha.leader_faults import FREEZE, MACHINE, POSTMASTER, SILENCE, SWITCHOVER, Fault
from ha.trading import HABITS, fail_over, gap_s, printed_role_settings, told, trading, url_of
from mercato.v1 import catalog_pb2, order_pb2
from support.patience import Within, allowed

FAULTS = (MACHINE, SILENCE, POSTMASTER, SWITCHOVER, FREEZE)
FULL = {"direct": FAULTS, "pgbouncer": FAULTS, "haproxy": (POSTMASTER, SWITCHOVER, FREEZE)}
"""Faults of `make soak` by the route of the workers to PostgreSQL."""
STANDBY_S = 10.0
"""The longest time without an acknowledged order after the death of the synchronous standby."""
ALONE_S = 8.0
READ_S, PAUSE_S = 2.0, 0.2
QUICK = {"direct": FAULTS, "pgbouncer": (POSTMASTER, SWITCHOVER), "haproxy": (SWITCHOVER,)}
"""Faults of a quick run, which has the long ones on one route only."""


# PgBouncer keeps connections whose parameters are those of before; an operator tells it to RECONNECT.
DISCONNECT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'mercato'"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the faults of each route."""
    if "fault" in metafunc.fixturenames:
        faults = FULL if metafunc.config.getoption("--soak") else QUICK
        cases = [(fault, route) for route in faults for fault in faults[route]]
        metafunc.parametrize(("fault", "route"), cases, ids=[f"{fault.name} {route}".replace(" ", "-") for fault, route in cases])


async def test_no_order_is_lost_and_others_follow(
    cluster: Cluster, goods: Goods, directory: Path, conclude: Conclude, within: Within, scale: Scale, fault: Fault, route: str
) -> None:
    times = scale(1, fault.times)
    rounds, repeats = (times, 1) if fault.is_met_by_new_workers else (1, times)
    tally, gaps_s = Tally(), list[float]()
    for _ in range(rounds):
        async with trading(cluster, goods, directory, tally, route=route) as shop:
            for _ in range(repeats):
                gaps_s.append(await fail_over(cluster, shop, fault))
    await cluster.settled()
    await conclude(f"{fault.name}, {route}", goods, tally, **told(gaps_s))
    assert max(gaps_s) <= within(fault.bound_s)


async def test_orders_go_on_with_another_standby(
    cluster: Cluster, goods: Goods, directory: Path, conclude: Conclude, within: Within
) -> None:
    tally = Tally()
    async with trading(cluster, goods, directory, tally) as shop:
        leadership = await cluster.settled()
        await shop.trade()
        began = time.monotonic()
        await cluster.node(await patroni.synchronous_standby(leadership.node.host)).kill()
        await shop.trade()
        lost_for_s = gap_s(tally, began)
        await cluster.revive()
        await cluster.settled()
    await conclude("synchronous standby killed", goods, tally, **told([lost_for_s]))
    assert lost_for_s <= within(STANDBY_S)


async def test_reads_go_on_without_any_standby_and_no_order_is_acknowledged(
    cluster: Cluster, goods: Goods, directory: Path, conclude: Conclude
) -> None:
    tally = Tally()
    async with trading(cluster, goods, directory, tally) as shop:
        leadership = await cluster.settled()
        await shop.trade()
        for node in cluster.nodes:
            if node is not leadership.node:
                await node.kill()
        until = time.monotonic() + ALONE_S
        while time.monotonic() < until:
            [orders], [catalog], [buyer, *_] = shop.orders, shop.catalog, goods.buyers
            await orders.ListOrders(order_pb2.ListOrdersRequest(), metadata=buyer.metadata(), timeout=allowed(READ_S))
            await catalog.ListProducts(catalog_pb2.ListProductsRequest(skip=1), timeout=allowed(READ_S))
            await asyncio.sleep(PAUSE_S)
        alone_until = time.monotonic()
        acknowledged_at = [purchase.acknowledged_at or 0.0 for purchase in tally.acknowledged]
        assert [at for at in acknowledged_at if until - ALONE_S + READ_S < at < alone_until] == []
        await cluster.revive()
        await cluster.settled()
        await shop.trade()
    await conclude("both standbys killed", goods, tally, times=1)


async def test_without_synchronous_replication_the_same_fault_loses_orders(
    cluster: Cluster, goods: Goods, directory: Path, conclude: Conclude
) -> None:
    """Control: if the check found nothing here, its silence would prove nothing."""
    without_cancelling = dataclasses.replace(HABITS, cancels=0.0)  # a lost order cannot be cancelled
    async with cluster.asynchronous():
        async with trading(cluster, goods, directory, Tally(), habits=without_cancelling) as shop:
            gap_s = await fail_over(cluster, shop, SILENCE)
        await cluster.settled()
        verdict = await conclude.record(f"{SILENCE.name}, asynchronous (control)", goods, shop.tally, told([gap_s]))
    assert verdict.lost > 0


async def test_a_worker_behind_pgbouncer_starts_once_its_role_has_the_printed_settings(
    cluster: Cluster, goods: Goods, directory: Path
) -> None:
    await cluster.execute("ALTER ROLE mercato RESET ALL")
    worker = Worker(directory, url_of(cluster, goods, cluster.nodes, "pgbouncer"))
    with pytest.raises(AssertionError, match="mercato migrate --print-role-settings"):
        await worker.start()
    for statement in await printed_role_settings(goods.database_url):
        await cluster.execute(statement)
    await cluster.execute(DISCONNECT)
    async with running(worker):
        pass
