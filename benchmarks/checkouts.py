"""Measure checkouts of distinct products and of one product beside pgbench, of a lone buyer, and without the coalescer."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import cases
import goods
import pgbench
import runs
from cases import GRPC, Case, Load, Run
from goods import Cart
from mercato_server.database.pool import Conn
from report import Goal, Lines, Part, ratios, total_us
from runs import Scale
from stage import WORKER, Stage

ALONE = "worker-alone"
PRODUCTS = 3_000
"""Enough that buyers of distinct products who buy at the same time share no product."""
UNTIL_ALL_S = 60.0
"""Long enough to buy every cart."""
LONE_MAX = 500
RATE_MIN, COST_MAX = 2.5, 0.4
"""Goals: rate and processor time of a checkout, as multiples of pgbench's."""
LONE_MAX_MS, LONE_P50_MAX_MS = 1.3, 1.5
"""Goals: processor time of a lone buyer's checkout, and its median latency."""
CROWD_MIN = 0.9
PGBENCH = "pgbench"

EMPTY = "empty RPC"
DISTINCT, HOT = "distinct products", "one hot product"
ON, OFF, CROWD, LONE_ON, LONE_OFF = "64 buyers", "64 buyers, coalescer off", "1,000 buyers", "a lone buyer", "a lone buyer, coalescer off"
Measures = dict[tuple[str, str], Callable[[], Awaitable[Run]]]


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure a worker over its socket, and pgbench on the same database."""
    workers: dict[str, dict[str, str]] = {WORKER: {}} | ({ALONE: {"MERCATO_BATCH_MAX": "1"}} if scale.thorough else {})
    async with runs.shop(directory, workers=workers, edge=False) as (running, conn):
        carts = await _carts(conn, running.secret_key, max(scale.concurrency * scale.turns, scale.crowd))
        lines = await runs.measure(await _lines(running, conn, carts, scale), scale.rounds)
    return Part(title="Checkouts beside pgbench", goals=_goals(lines), note=NOTE, lines=lines)


async def _carts(conn: "Conn", secret_key: str, count: int) -> dict[str, list[Cart]]:
    """Make carts of distinct products, and carts that all hold one hot product beside distinct ones."""
    products = await goods.make_products(conn, PRODUCTS)
    random.Random(count).shuffle(products)  # noqa: S311 - neighbours on a page must not be neighbours in a cart
    hot, *others = products
    contents = {DISTINCT: dealt(products, goods.LINES, count), HOT: [(hot, *rest) for rest in dealt(others, goods.LINES - 1, count)]}
    made = {}
    for number, (kind, held) in enumerate(contents.items()):
        made[kind] = await goods.make_carts(conn, secret_key, 1 + number * count, held)
    await goods.analyze(conn)
    return made


def dealt(products: Sequence[UUID], size: int, count: int) -> list[tuple[UUID, ...]]:
    """Divide the products into groups of one size, from the beginning again when they run out."""
    hands = len(products) // size
    return [tuple(products[number % hands * size : (number % hands + 1) * size]) for number in range(count)]


async def _lines(running: Stage, conn: "Conn", carts: dict[str, list[Cart]], scale: Scale) -> Measures:
    """Return the measurements; their pools, plans and caches are warm."""
    usual, crowd, lone = (Load(callers, UNTIL_ALL_S) for callers in (scale.concurrency, scale.crowd, 1))

    def buying(held: Sequence[Cart], load: Load, worker: str = WORKER) -> Callable[[], Awaitable[Run]]:
        return run(cases.checkout(GRPC, held, worker=worker), load)

    def run(case: Case, load: Load) -> Callable[[], Awaitable[Run]]:
        return partial(case.run, running, conn, load)

    some = {kind: held[: scale.concurrency * scale.turns] for kind, held in carts.items()}
    lines: Measures = {(EMPTY, GRPC): run(cases.empty(), replace(usual, seconds=scale.seconds))}
    lines |= {(ON, kind): buying(held, usual) for kind, held in some.items()}
    lines |= {(CROWD, kind): buying(held[: scale.crowd], crowd) for kind, held in carts.items()}
    few = some[DISTINCT][:LONE_MAX]
    lines |= {(LONE_ON, DISTINCT): buying(few, lone)}
    if scale.thorough:  # half of the carts are enough, because they take long
        lines |= {(OFF, kind): buying(held[::2], usual, ALONE) for kind, held in some.items()}
        lines |= {(LONE_OFF, DISTINCT): buying(few, lone, ALONE)}
    warmed_up = {line: await each() for line, each in lines.items()}
    reply_bytes = warmed_up[ON, DISTINCT].outcome.reply_bytes
    for kind in (DISTINCT, HOT) if scale.thorough else (DISTINCT,):
        lines[PGBENCH, kind] = partial(_pgbench, running, conn, some[kind], scale.concurrency, reply_bytes)
    return lines


async def _pgbench(running: Stage, conn: "Conn", carts: Sequence[Cart], clients: int, reply_bytes: int) -> Run:
    run = await cases.sell(conn, carts, partial(pgbench.checkouts, running, carts, clients, reply_bytes))
    return replace(run, driver=PGBENCH)


def _goals(lines: Lines) -> list[Goal]:
    own, pgbenchs, lone = lines[ON, DISTINCT], lines[PGBENCH, DISTINCT], lines[LONE_ON, DISTINCT]
    what, crowd = "Checkout, 64 buyers, gRPC ÷ pgbench", "1,000 buyers at once, one product ÷ distinct ones"
    lone_ms, lone_p50_ms = [total_us(sample) / 1000 for sample in lone], [sample.p50_ms for sample in lone]
    return [
        Goal(what=f"{what}, by rate", bound=RATE_MIN, found=ratios(own, pgbenchs)),
        Goal(what=f"{what}, by CPU", bound=COST_MAX, found=ratios(own, pgbenchs, total_us), at_least=False),
        Goal(what="CPU of a lone buyer's Checkout, gRPC", bound=LONE_MAX_MS, found=lone_ms, unit="ms", at_least=False),
        Goal(what="p50 of a lone buyer's Checkout, gRPC", bound=LONE_P50_MAX_MS, found=lone_p50_ms, unit="ms", at_least=False),
        Goal(what=crowd, bound=CROWD_MIN, found=ratios(lines[CROWD, HOT], lines[CROWD, DISTINCT])),
    ]


NOTE = (
    "Each checkout buys a cart of three lines with an idempotency key over gRPC, straight at a worker; 1,000 buyers buy once each. A "
    "cart of the hot product holds two more lines, of products that no other buyer buys at the same time. Where the coalescer is off, "
    "another worker on the same database has MERCATO_BATCH_MAX=1: each order is a transaction of its own, and as many are under way "
    "as the pool has connections. pgbench runs `checkout.sql`, the same statements for the same carts with the same session settings: "
    "as many clients, a connection and prepared statements for each, no gRPC, tokens or Python. The time in which its sessions plan "
    "does not count. After every measurement the orders, units and carts in the database agreed with the answers, and at the end the "
    "stock with its ledger. PostgreSQL is durable (fsync on)."
)
