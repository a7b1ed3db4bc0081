"""Buyers at two workers on a cluster, and the gaps in their orders."""

import asyncio
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from faults.buyers import Goods, Habits, Market, Tally, market
from faults.processes import SERVER, Edge, Worker, running
from ha.cluster import Cluster
from ha.leader_faults import Fault
from ha.network import HAPROXY, PGBOUNCER, POSTGRES
from ha.node import Node
from mercato_server.config.settings import child_environ

ROUTES = {"direct": POSTGRES, "pgbouncer": PGBOUNCER, "haproxy": HAPROXY}
"""Ports to which workers connect: of each machine, or of HAProxy."""
HEALTH_INTERVAL_S = 1.0
# Deadlines so short that a gap is that of the shop, not of a buyer who waits; pauses that leave the cores to the cluster.
HABITS = Habits(timeout_s=5.0, think_s=(0.3, 0.9), retry_s=(0.1, 0.3))


@asynccontextmanager
async def trading(
    cluster: Cluster, goods: Goods, directory: Path, tally: Tally, *, route: str = "direct", habits: Habits = HABITS
) -> AsyncIterator[Market]:
    """Let buyers shop at two workers for a block. One worker's URL begins with the leader, and the other's ends with it."""
    leadership = await cluster.settled()
    if ROUTES[route] == PGBOUNCER:
        for statement in await printed_role_settings(goods.database_url):
            await cluster.execute(statement)
    others = [node for node in cluster.nodes if node is not leadership.node]
    urls = [url_of(cluster, goods, nodes, route) for nodes in ((leadership.node, *others), (*others, leadership.node))]
    workers = [Worker(directory, url, name=f"worker-{number}") for number, url in enumerate(urls)]
    async with AsyncExitStack() as stack:
        stack.push(cluster.tell_if_failed)
        await stack.enter_async_context(running(*workers))
        edge = await stack.enter_async_context(Edge(directory, workers, HEALTH_INTERVAL_S))
        shop = await stack.enter_async_context(market(goods, edge.address, tally=tally, habits=habits))
        await stack.enter_async_context(shop.crowd())
        yield shop
    for worker in workers:
        worker.require_no_bugs_logged()


def url_of(cluster: Cluster, goods: Goods, nodes: Sequence[Node], route: str) -> str:
    """Return the URL of the goods' database for a worker, with the machines in this order, or HAProxy alone."""
    hosts = [cluster.network.haproxy] if route == "haproxy" else [node.host for node in nodes]
    return cluster.url(urlsplit(goods.database_url).path.removeprefix("/"), hosts, port=ROUTES[route])


async def printed_role_settings(database_url: str) -> list[str]:
    """Return the statements that an operator of a pooler runs."""
    argv = [sys.executable, *SERVER, "migrate", "--print-role-settings"]
    environ = child_environ({"DATABASE_URL": database_url})
    done = await asyncio.to_thread(subprocess.run, argv, env=environ, capture_output=True, text=True, check=True)
    return str(done.stdout).splitlines()


async def fail_over(cluster: Cluster, shop: Market, fault: Fault) -> float:
    """Let a fault happen while buyers shop; return the longest time without an acknowledged order."""
    before = await cluster.settled()
    await shop.trade()
    began = time.monotonic()
    async with fault.strike(cluster, before.node):
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


def told(gaps_s: Sequence[float]) -> dict[str, object]:
    """Return what the report says about faults that left these gaps."""
    return {"times": len(gaps_s), "s gap (median/worst)": f"{statistics.median(gaps_s):.1f}/{max(gaps_s):.1f}"}
