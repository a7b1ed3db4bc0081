"""Measure rates by number of workers at a fixed concurrency, and latencies at a fixed rate by number of connected clients."""

import os
import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import cases
import goods
import runs
from cases import REST, Load, Run
from goods import Goods
from mercato_server.database.pool import Conn
from report import Lines, Part, Spread
from runs import Scale
from stage import Stage, edge_beside

PRODUCTS = 1_000
WORKERS = (1, 2, 4)
BUYERS_PER_SECOND = 2_000
"""More requests than the servers can answer."""
CALLS_PER_S = 500
"""Calls of all connected clients together: a quarter of the capacity of two cores."""
SPARE_FILES = 1_000
"""Open files of Envoy and of the load generator beside their connections."""
Measures = dict[tuple[str, str], Callable[[], Awaitable[Run]]]


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure over REST, each number of workers and of clients behind an Envoy of its own, in turns."""
    counts = [count for count in WORKERS if count <= len(os.sched_getaffinity(0))]
    clients = _reachable(scale)
    # All clients have one address here.
    settings = {"MERCATO_CALLS_PER_CLIENT": "1024"}
    workers = {f"worker-{number}": settings for number in range(1, counts[-1] + 1)}
    async with runs.shop(directory, workers=workers, edge=False) as (running, conn), AsyncExitStack() as stack:
        shoppers, buyers = max(4 * scale.concurrency, *clients), int(BUYERS_PER_SECOND * scale.seconds)
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=buyers)
        environ = {"MERCATO_CONNECTIONS": str(clients[-1] + SPARE_FILES)}
        edges = {
            count: await stack.enter_async_context(edge_beside(running, workers=[*workers][:count], environ=environ)) for count in counts
        }
        lines = await runs.measure(await _lines(wares, edges, conn, clients, scale), scale.few)
    return Part(title="Workers and connected clients", goals=[], note=NOTE, lines=lines, tables=[_table(lines, clients)])


def _reachable(scale: Scale) -> list[int]:
    """Let this process and its children open as many files as they may; return the numbers of clients, the last as far as files allow."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return [clients if most == resource.RLIM_INFINITY else min(clients, most - SPARE_FILES) for clients in scale.clients]


async def _lines(wares: Goods, edges: dict[int, Stage], conn: "Conn", clients: list[int], scale: Scale) -> Measures:
    """Return the measurements, warmed up; connected clients call through the Envoy with most workers."""
    measures: Measures = {}
    calls = (cases.get_cart(REST, wares), cases.add_cart_item(REST, wares), cases.checkout(REST, wares.buyers))
    for case in calls:
        for count, stage in edges.items():
            await case.run(stage, conn, Load(scale.concurrency, scale.warm_up_s))
            measures[case.name, _workers(count)] = partial(case.run, stage, conn, Load(scale.concurrency, scale.seconds))
    for count in clients:
        case = cases.get_cart(REST, wares, readers=count)
        measures[case.name, _clients(count)] = partial(case.run, edges[max(edges)], conn, Load(count, scale.seconds, rate=CALLS_PER_S))
    return measures


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _clients(count: int) -> str:
    return f"{count:,} clients"


def _table(lines: Lines, clients: list[int]) -> list[tuple[str, ...]]:
    """Return how many clients were connected until the end."""
    [name] = {call for call, way in lines if way == _clients(clients[0])}
    rows = [(_clients(count), Spread.of([sample.connections for sample in lines[name, _clients(count)]]).text()) for count in clients]
    return [("asked for", "connected until the end"), *rows]


NOTE = (
    "Over REST through Envoy. By number of workers, as many callers as elsewhere send as fast as they are answered; there are no more "
    "workers than cores, and the load generator shares them. Connected clients have a connection and an account each, and call "
    f"{CALLS_PER_S} times a second together, at fixed times: one after the other, so of many clients most only stay connected. The edge "
    "may close idle connections sooner while it holds many (docs/edge.md); these are not connected until the end."
)
