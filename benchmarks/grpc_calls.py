"""Measure calls over gRPC beside an empty RPC of the same server, and their rates by number of callers."""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import cases
import drivers
import goods
import runs
from cases import GRPC, Load, Run
from goods import Goods, Mismatch
from mercato_server.database.pool import Conn
from report import Figures, Goal, Lines, Part, above_us, costs, curves, orders_per_cpu_second, rate, ratios
from runs import Scale
from stage import Stage

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
"""Enough that two concurrent calls are hardly ever of one account."""
BUYERS_PER_SECOND = 3_000
"""More requests than the server can answer."""

GET, LIST, CART, ADD, BUY = "GetProduct", f"ListProducts({cases.PAGE_SIZE})", "GetCart", "AddCartItem", f"Checkout, {goods.LINES} lines"
EMPTY, EMPTY_GET, EMPTY_LIST = "empty RPC", "empty RPC, bytes of GetProduct", "empty RPC, bytes of ListProducts"
EMPTIES = {GET: EMPTY_GET, LIST: EMPTY_LIST}
RATE_MIN = 0.9
ABOVE_MAX_US = {ADD: 150.0, CART: 180.0, BUY: 280.0}
"""Goals: processor time of a call above an empty RPC."""
ORDERS_MIN = 750.0
"""Goal: orders per second of processor time."""
Measures = Mapping[tuple[str, str], Callable[[], Awaitable[Run]]]


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure one worker over its socket."""
    load = Load(scale.concurrency, scale.seconds)
    async with runs.shop(directory, edge=False) as (running, conn):
        shoppers = max(scale.concurrencies) * SHOPPERS_PER_CALLER
        buyers = int(BUYERS_PER_SECOND * scale.seconds)
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=buyers)
        lines = await runs.measure(await _lines(wares, running, conn, load, scale), scale.rounds)
        throughput = await _throughput(wares, running, conn, scale)
    return Part(
        title="Calls over gRPC beside an empty RPC",
        goals=_goals(lines),
        note=NOTE,
        lines=lines,
        figures=Figures(latency_ms=curves(lines), cost_us=costs(lines), throughput=throughput),
    )


async def _lines(wares: Goods, running: Stage, conn: "Conn", load: Load, scale: Scale) -> Measures:
    """Return the measurements, warmed up; calls that are compared are driven by the same program."""
    reads = {GET: cases.get_product(GRPC, wares), LIST: cases.list_products(GRPC)}
    measures = {}
    for name, case in reads.items():
        reply_bytes = (await case.one().run(running, conn, Load(1, 0.1))).outcome.reply_bytes
        measures[EMPTIES[name], GRPC] = await drivers.read(cases.empty(reply_bytes), running, conn, load, scale.warm_up_s)
        measures[name, GRPC] = await drivers.read(case, running, conn, load, scale.warm_up_s)
    others = (cases.empty(), cases.get_cart(GRPC, wares), cases.add_cart_item(GRPC, wares), cases.checkout(GRPC, wares.buyers))
    for case in others:
        await case.run(running, conn, replace(load, seconds=scale.warm_up_s))
        measures[case.name, GRPC] = partial(case.run, running, conn, load)
    return measures


def _goals(lines: Lines) -> list[Goal]:
    by_call = {call: own for (call, _), own in lines.items()}
    same = "gRPC ÷ empty RPC that answers as many bytes"
    rates = [Goal(what=f"{name}, {same}", bound=RATE_MIN, found=ratios(by_call[name], by_call[empty])) for name, empty in EMPTIES.items()]
    costs_above = [
        Goal(
            what=f"CPU above an empty RPC: {name}, gRPC",
            bound=bound,
            found=above_us(by_call[name], by_call[EMPTY]),
            unit="µs",
            digits=0,
            at_least=False,
        )
        for name, bound in ABOVE_MAX_US.items()
    ]
    found = orders_per_cpu_second(by_call[ADD], by_call[BUY])
    return [*rates, *costs_above, Goal(what="orders per CPU-second, gRPC", bound=ORDERS_MIN, found=found, unit="", digits=0)]


async def _throughput(wares: Goods, running: Stage, conn: "Conn", scale: Scale) -> dict[str, dict[int, float]]:
    """Return the rates of calls by concurrency, driven by our own client."""
    lines: dict[tuple[str, int], Callable[[], Awaitable[Run]]] = {}
    await cases.get_product(GRPC, wares).run(
        running, conn, Load(scale.concurrency, scale.seconds)
    )  # until now h2load requested one product only
    for concurrency in scale.concurrencies:
        reads = (cases.empty(), cases.get_product(GRPC, wares), cases.list_products(GRPC))
        for case in (*reads, cases.add_cart_item(GRPC, wares), cases.checkout(GRPC, wares.buyers)):
            lines[case.name, concurrency] = partial(case.run, running, conn, Load(concurrency, scale.seconds))
    samples = await runs.measure(lines, scale.few)
    if failures := [line for line, own in samples.items() if any(sample.failures for sample in own)]:
        raise Mismatch(f"calls were answered wrongly: {failures}")
    found: dict[str, dict[int, float]] = {}
    for (name, concurrency), own in samples.items():
        found.setdefault(name, {})[concurrency] = statistics.median(map(rate, own))
    return found


NOTE = (
    "Medians over the rounds, lowest and highest in brackets; the lines of a round are measured one after the other, every second "
    "round backwards, and ratios are taken within each round. The empty RPC is a handler of the same grpc.aio server that answers a "
    "constant, past all of our layers. CPU is the processor time of the worker, PostgreSQL with its backends, and Envoy for one "
    "answered request. The load generator is not in it, but shares the cores with them, which makes rates lower than a machine of its "
    "own would show. All calls go straight to one worker over a Unix socket. h2load asks for one and the same thing; our own client "
    "goes round the products and carts, and the units in the carts afterwards are those that were answered. PostgreSQL is durable "
    "(fsync on)."
)
