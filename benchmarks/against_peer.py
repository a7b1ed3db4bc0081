"""Measure REST through Envoy beside a peer: a FastAPI and SQLAlchemy server with the same calls, tables and guarantees."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import cases
import drivers
import goods
import peer_stage
import runs
from cases import REST, Load, Run
from goods import Goods
from mercato_server.database.pool import Conn
from report import Figures, Goal, Lines, Part, Spread, costs, curves, orders_per_cpu_second, per_cpu_second, ratios
from runs import Scale
from stage import EDGE_CACHE, Stage, edge_beside

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
BUYERS_PER_SECOND = 2_000
"""More requests than the server can answer."""
PEER_CACHED_S = 5.0
"""Time for which the peer with a cache keeps answers: as long as a client may keep one of Mercato."""

MERCATO, CACHED = "REST", "REST with the edge cache"
PROXIED, PROXIED_CACHED, DIRECT = "REST of the peer", "REST of the peer with a cache", "REST of the peer, no Envoy"
GET, LIST, ADD, BUY = "GetProduct", f"ListProducts({cases.PAGE_SIZE})", "AddCartItem", f"Checkout, {goods.LINES} lines"
CACHED_MIN, UNCACHED_MIN = 5.0, 1.8
"""Goals of anonymous reads: Mercato's calls per processor-second, as a multiple of those of the peer without a cache."""
WRITES_MIN = {ADD: 4.0, BUY: 6.0}
ORDERS_MIN = 450.0
"""Goal: orders per second of processor time."""
Measures = dict[tuple[str, str], Callable[[], Awaitable[Run]]]


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure Mercato and the peer on one database, by turns."""
    async with runs.shop(directory) as (running, conn), AsyncExitStack() as stack:
        ways = await _ways(running, stack, scale)
        shoppers, buyers = scale.concurrency * SHOPPERS_PER_CALLER, int(BUYERS_PER_SECOND * scale.seconds)
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=buyers)
        lines = await runs.measure(await _lines(wares, ways, conn, scale), scale.rounds)
    shown = {line: own for line, own in lines.items() if line[1] in (MERCATO, PROXIED)}
    return Part(
        title="REST beside the peer",
        goals=_goals(lines),
        note=NOTE,
        lines=lines,
        tables=[_table(lines)],
        figures=Figures(latency_ms=curves(shown), cost_us=costs(shown)),
    )


async def _ways(running: Stage, stack: AsyncExitStack, scale: Scale) -> dict[str, Stage]:
    """Start the peers, and an Envoy with the cache of the edge if this release has one; return the ways to both servers."""
    peer = await stack.enter_async_context(peer_stage.running(running))
    caching_peer = await stack.enter_async_context(peer_stage.running(running, cached_s=PEER_CACHED_S))
    ways = {MERCATO: running, PROXIED: peer.proxied, PROXIED_CACHED: caching_peer.proxied}
    if EDGE_CACHE:
        ways[CACHED] = await stack.enter_async_context(edge_beside(running, cached=True))
    return ways | ({DIRECT: peer.direct} if scale.thorough else {})


async def _lines(wares: Goods, ways: Mapping[str, Stage], conn: "Conn", scale: Scale) -> Measures:
    """Return the reads on each way, and the other calls on each way without a cache; all are warmed up."""
    load = Load(scale.concurrency, scale.seconds)
    measures: Measures = {}
    for case in (cases.get_product(REST, wares), cases.list_products(REST)):
        for way, stage in ways.items():
            measures[case.name, way] = await drivers.read(case, stage, conn, load, scale.warm_up_s)
    for case in (cases.add_cart_item(REST, wares), cases.checkout(REST, wares.buyers)):
        for way, stage in ways.items():
            if way not in (CACHED, PROXIED_CACHED):
                await case.run(stage, conn, Load(scale.concurrency, scale.warm_up_s))
                measures[case.name, way] = partial(case.run, stage, conn, load)
    return measures


def _goals(lines: Lines) -> list[Goal]:
    cached = (GET, CACHED) in lines

    def goal(call: str, way: str, bound: float, where: str = "") -> Goal:
        found = ratios(lines[call, way], lines[call, PROXIED], per_cpu_second)
        return Goal(what=f"{call}, REST ÷ peer, per CPU-second{where}", bound=bound, found=found)

    reads = [goal(call, CACHED, CACHED_MIN, ", with the edge cache") for call in (GET, LIST) if cached]
    reads += [goal(call, MERCATO, UNCACHED_MIN, ", without the edge cache" if cached else "") for call in (GET, LIST)]
    orders = orders_per_cpu_second(lines[ADD, MERCATO], lines[BUY, MERCATO])
    writes = [goal(call, MERCATO, bound) for call, bound in WRITES_MIN.items()]
    return [*reads, *writes, Goal(what="orders per CPU-second, REST", bound=ORDERS_MIN, found=orders, unit="", digits=0)]


def _table(lines: Lines) -> list[tuple[str, ...]]:
    """Return the reads per processor-second on each way of Mercato as a multiple of each of the peer's."""
    peers = (PROXIED, PROXIED_CACHED)
    cells: list[tuple[str, ...]] = [("per CPU-second", "way", *(f"÷ {way}" for way in peers))]
    for call, way in lines:
        if call in (GET, LIST) and way in (MERCATO, CACHED):
            figures = (Spread.of(ratios(lines[call, way], lines[call, peer], per_cpu_second)).text(2) for peer in peers)
            cells.append((call, way, *figures))
    return cells


NOTE = (
    "Both servers work on one database, in one run, by turns, and the books of orders, stock and carts must balance after each "
    "measurement. CPU is the processor time of the server (under `worker`), PostgreSQL with its backends, and Envoy for one answered "
    "request; the servers that are not measured idle meanwhile. Envoy does for Mercato what it does in `mercato up` (transcoding, "
    "validation, access log), and for the peer nothing but pass requests on. The peer with a cache keeps answers about products for "
    f"{PEER_CACHED_S:g} s in its process. wrk asks for one and the same thing, a second at least, over connections that are kept. "
    "PostgreSQL is durable (fsync on)."
)
