"""Measure REST through Envoy beside a peer: a FastAPI and SQLAlchemy server with the same calls, tables and guarantees."""

from collections.abc import Awaitable, Callable
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
from peer_stage import Peer
from report import Figures, Goal, Lines, Part, costs, curves, per_cpu_second, ratios
from runs import Scale
from stage import Stage

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
BUYERS_PER_SECOND = 2_000
"""More requests than the server can answer."""
MERCATO, PROXIED, DIRECT = "REST", "REST of the peer", "REST of the peer, no Envoy"
GOALS = {"GetProduct": 5.0, "ListProducts(20)": 5.0, "AddCartItem": 8.0, "Checkout, 3 lines": 10.0}
"""Goal: Mercato's calls per processor-second, as a multiple of the peer's."""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure Mercato and the peer on one database, by turns."""
    async with runs.shop(directory) as (running, conn), peer_stage.running(running) as peer:
        shoppers, buyers = scale.concurrency * SHOPPERS_PER_CALLER, int(BUYERS_PER_SECOND * scale.seconds)
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=buyers)
        lines = await runs.measure(await _lines(wares, running, peer, conn, scale), scale.rounds)
    shown = {line: own for line, own in lines.items() if line[1] != DIRECT}
    return Part(
        title="REST beside the peer",
        goals=_goals(lines),
        note=NOTE,
        lines=lines,
        figures=Figures(latency_ms=curves(shown), cost_us=costs(shown)),
    )


async def _lines(
    wares: Goods, running: Stage, peer: Peer, conn: "Conn", scale: Scale
) -> dict[tuple[str, str], Callable[[], Awaitable[Run]]]:
    """Return each call on each way, warmed up."""
    stages = {MERCATO: running, PROXIED: peer.proxied} | ({DIRECT: peer.direct} if scale.thorough else {})
    load = Load(scale.concurrency, scale.seconds)
    measures: dict[tuple[str, str], Callable[[], Awaitable[Run]]] = {}
    for case in (cases.get_product(REST, wares), cases.list_products(REST)):
        for way, stage in stages.items():
            measures[case.name, way] = await drivers.read(case, stage, conn, load, scale.warm_up_s)
    for case in (cases.add_cart_item(REST, wares), cases.checkout(REST, wares.buyers)):
        for way, stage in stages.items():
            await case.run(stage, conn, Load(scale.concurrency, scale.warm_up_s))
            measures[case.name, way] = partial(case.run, stage, conn, load)
    return measures


def _goals(lines: Lines) -> list[Goal]:
    return [
        Goal(
            what=f"{call}, REST ÷ peer, per CPU-second",
            bound=bound,
            found=ratios(lines[call, MERCATO], lines[call, PROXIED], per_cpu_second),
        )
        for call, bound in GOALS.items()
    ]


NOTE = (
    "Both servers work on one database, in one run, by turns, and the books of orders, stock and carts must balance after each "
    "measurement. CPU is the processor time of the server (under `worker`), PostgreSQL with its backends, and Envoy for one answered "
    "request; the server that is not measured idles meanwhile. Envoy does for Mercato what it does in `mercato up` (transcoding, "
    "validation, access log), and for the peer nothing but pass requests on. wrk asks for one and the same thing, a second at least, "
    "over connections that are kept. PostgreSQL is durable (fsync on)."
)
