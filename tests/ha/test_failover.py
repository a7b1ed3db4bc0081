"""The primary of a cluster dies, falls silent or hands over, and no acknowledged order is lost."""

import asyncio
import dataclasses
import itertools
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.buyers import Goods, Habits, Market, Tally, market
from faults.conftest import Conclude
from faults.processes import Edge, Worker, running
from ha.cluster import Cluster
from ha.network import PGBOUNCER, POSTGRES
from ha.node import PATRONI_PROGRAM, Node, find_pgbouncer
from support import needs
from support.patience import Within

MACHINE_S, PROCESS_S = 30.0, 5.0
"""The longest time without an acknowledged order after the death of a machine, and of a process."""
SILENCE_S = 1.5
HEALTH_INTERVAL_S = 1.0
# Deadlines so short that a gap is that of the shop, not of a buyer who waits; pauses that leave the cores to the cluster.
HABITS = Habits(timeout_s=5.0, think_s=(0.3, 0.9), retry_s=(0.1, 0.3))
WITHOUT_CANCELLING = dataclasses.replace(HABITS, cancels=0.0)  # a lost order cannot be cancelled

ROUTES = {"direct": POSTGRES, "pgbouncer": PGBOUNCER}
"""Ports of the machines to which workers connect."""

pytestmark = [
    needs.ETCD.unless(shutil.which("etcd")),
    needs.PATRONI.unless(PATRONI_PROGRAM.exists()),
    needs.PGBOUNCER.unless(find_pgbouncer()),
]

Disaster = Callable[[Cluster, Node], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def machine_dies(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """All processes of the leader's machine are killed."""
    await leader.kill()
    yield


@asynccontextmanager
async def machine_dies_with_orders(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """For a moment nothing that the leader writes reaches a standby; then its machine dies."""
    leader.silence_replication()
    await asyncio.sleep(SILENCE_S)
    await leader.kill()
    yield


@asynccontextmanager
async def postmaster_dies(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """The postmaster of the leader is killed."""
    leader.kill_postmaster()
    yield


@asynccontextmanager
async def leader_hands_over(cluster: Cluster, _: Node) -> AsyncIterator[None]:
    """An operator switches over."""
    await cluster.switch_over()
    yield


@asynccontextmanager
async def leader_is_cut_off(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """The leader's machine neither answers nor closes a connection, and comes back when the others have a leader."""
    with leader.frozen():
        yield


@dataclass(frozen=True)
class Fault:
    """What happens to the leader, how often in `make soak`, and how long the shop may then take no order."""

    name: str
    disaster: Disaster
    bound_s: float
    times: int
    is_met_by_new_workers: bool = False
    """Whether workers start anew for each, so that the URL of one lists the leader first."""


FAULTS = (
    Fault("machine killed", machine_dies, MACHINE_S, 20),
    Fault("machine killed with orders that no standby has", machine_dies_with_orders, MACHINE_S, 10),
    Fault("postmaster killed", postmaster_dies, PROCESS_S, 10),
    Fault("switchover", leader_hands_over, PROCESS_S, 10),
    Fault("leader frozen", leader_is_cut_off, MACHINE_S, 5, is_met_by_new_workers=True),
)
QUICK_BEHIND_PGBOUNCER = ("postmaster killed", "switchover")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run all faults on both routes in `--soak`; a quick run has the long ones without PgBouncer only."""
    if "fault" in metafunc.fixturenames:
        soak = metafunc.config.getoption("--soak")
        cases = [
            pytest.param(fault, route, id=f"{fault.name.replace(' ', '-')}-{route}")
            for fault, route in itertools.product(FAULTS, ROUTES)
            if soak or route == "direct" or fault.name in QUICK_BEHIND_PGBOUNCER
        ]
        metafunc.parametrize(("fault", "route"), cases)


@asynccontextmanager
async def trading(cluster: Cluster, goods: Goods, directory: Path, tally: Tally, port: int, habits: Habits) -> AsyncIterator[Market]:
    """Let buyers shop at two workers, the URL of one of which begins with the leader, and that of the other ends with it."""
    leadership = await cluster.settled()
    database = goods.database_url.rpartition("/")[2].partition("?")[0]
    others = [node for node in cluster.nodes if node is not leadership.node]
    urls = [cluster.url(database, nodes, port=port) for nodes in ((leadership.node, *others), (*others, leadership.node))]
    workers = [Worker(directory, url, name=f"worker-{number}") for number, url in enumerate(urls)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(*workers))
        edge = await stack.enter_async_context(Edge(directory, workers, HEALTH_INTERVAL_S))
        shop = await stack.enter_async_context(market(goods, edge.address, tally=tally, habits=habits))
        await stack.enter_async_context(shop.crowd())
        yield shop
    for worker in workers:
        worker.require_no_bugs_logged()


async def fail_over(cluster: Cluster, shop: Market, fault: Fault) -> float:
    """Let a fault happen while buyers shop; return the longest time without an acknowledged order."""
    before = await cluster.settled()
    await shop.trade()
    began = time.monotonic()
    async with fault.disaster(cluster, before.node):
        after = await cluster.leader(after=before.timeline)
        await shop.trade()
    assert after.node is not before.node
    await cluster.revive()
    await shop.trade()
    return gap_s(shop.tally, began)


def gap_s(tally: Tally, began: float) -> float:
    """Return the longest time without an acknowledged order that ended after `began`."""
    times = sorted(purchase.acknowledged_at for purchase in tally.acknowledged if purchase.acknowledged_at)
    return max(later - earlier for earlier, later in itertools.pairwise(times) if later > began)


async def test_no_order_is_lost_and_orders_go_on(
    cluster: Cluster,
    goods: Goods,
    directory: Path,
    conclude: Conclude,
    within: Within,
    request: pytest.FixtureRequest,
    fault: Fault,
    route: str,
) -> None:
    times = fault.times if request.config.getoption("--soak") else 1
    rounds, repeats = (times, 1) if fault.is_met_by_new_workers else (1, times)
    tally, gaps = Tally(), list[float]()
    for _ in range(rounds):
        async with trading(cluster, goods, directory, tally, ROUTES[route], HABITS) as shop:
            for _ in range(repeats):
                gaps.append(await fail_over(cluster, shop, fault))
    await cluster.settled()
    did = {"times": times, "s gap (median/worst)": f"{statistics.median(gaps):.1f}/{max(gaps):.1f}"}
    await conclude(f"{fault.name}, {route}", goods, tally, **did)
    assert max(gaps) <= within(fault.bound_s)


async def test_without_synchronous_replication_the_same_fault_loses_orders(
    cluster: Cluster, goods: Goods, directory: Path, conclude: Conclude
) -> None:
    """Control: if the check found nothing here, it would prove nothing in the other tests."""
    fault = next(fault for fault in FAULTS if fault.disaster is machine_dies_with_orders)
    async with cluster.asynchronous():
        async with trading(cluster, goods, directory, Tally(), POSTGRES, WITHOUT_CANCELLING) as shop:
            gap = await fail_over(cluster, shop, fault)
        verdict = await conclude.record(
            f"{fault.name}, asynchronous (control)", goods, shop.tally, {"times": 1, "s gap (median/worst)": f"{gap:.1f}/{gap:.1f}"}
        )
    assert verdict.lost > 0
