"""Measure how checkouts, lists of orders, `verify --watch` and the sweeps slow down with the number of orders, both sizes in turns."""

import os
import random
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg

import cases
import goods
import past_orders
import runs
from cases import GRPC, Load
from goods import ALGORITHM, Cart, Mismatch
from mercato_server import demo
from mercato_server.background.order_expiry import BATCH
from mercato_server.cli.verify import LANES
from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Conn, Pool, create_pool
from mercato_server.domain.order_filters import OrderFilter
from mercato_server.domain.paging import Page, Position
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import EmbeddedError
from mercato_server.store import order_lists, order_search, order_states, sweeps
from mercato_server.store.demo import load
from mercato_server.store.verify import inspect
from report import Goal, Part, Sample, Spread, total_us
from runs import Scale
from stage import ENVOY, WORKER, Stage, processor_s, until_serving, worker_process

PRODUCTS = 1_000
PAGE = 20
REPEATS = 20
"""Number of calls of each read in a round."""
UNTIL_ALL_S = 60.0
RATIO_MAX = 1.2
SWEEPS = 5
CHECKOUT, WATCH, SWEEP, OVERDUE = (
    "Checkout, CPU in µs",
    "a pass of verify --watch, CPU in ms",
    "a sweep, ms",
    "the search for overdue orders, ms",
)
OWN, OWN_DEEP = "orders of an account, ms", "orders of an account, deep page, ms"
ALL, ALL_DEEP = "all orders, ms", "all orders, deep page, ms"
GOALS = {"Checkout": (CHECKOUT,), "history": (OWN, OWN_DEEP, ALL, ALL_DEEP), "verify --watch": (WATCH,), "sweeps": (SWEEP, OVERDUE)}
"""Figures by goal: the one that grows most decides."""

MAKE_EXPIRED = """
WITH keys AS (
    INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response, created_at)
    SELECT uuidv7(), 'expired', '/mercato.v1.CartService/AddCartItem', '', '', now() - interval '2 days'
      FROM generate_series(1, $1::integer)
)
INSERT INTO events (kind, subject_id, created_at)
SELECT 'stock.changed', uuidv7(), now() - interval '8 days' FROM generate_series(1, $1)
"""

Figures = dict[str, float]


@dataclass(slots=True)
class Side:
    """A shop with past orders, its worker, and connections to its database."""

    running: Stage
    conn: "Conn"
    pool: "Pool"
    lanes: "Sequence[Conn]"
    carts: Sequence[Cart]
    accounts: int
    middle: UUID
    """The order in the middle of all."""
    line: str = ""
    """Where the last pass of the verification ended."""

    async def round(self, concurrency: int) -> Figures:
        """Measure everything once; the verification checks the orders of this round."""
        run = await cases.checkout(GRPC, self.carts).run(self.running, self.conn, Load(concurrency, UNTIL_ALL_S))
        if run.outcome.failures:
            raise Mismatch(f"a checkout is answered wrongly: {run.outcome.failures}")
        figures = {CHECKOUT: total_us(Sample.of(run)), WATCH: await self.verify()}
        figures[SWEEP] = statistics.median([await self._sweep() for _ in range(SWEEPS)])
        for name, read in self._reads().items():
            figures[name] = statistics.median([await _took_ms(read) for _ in range(REPEATS)])
        return figures

    async def verify(self) -> float:
        """Check all rows, or after the first time those that changed; return the processor time. Raises Mismatch for a violation."""
        pids = [conn.get_server_pid() for conn in self.lanes]
        before = sum(map(processor_s, pids))
        found = await inspect(*self.lanes, since=self.line or None)
        if wrong := [finding.invariant.name for finding in found.findings if finding.violations]:
            raise Mismatch(f"these invariants do not hold: {', '.join(wrong)}")
        self.line = found.line
        return (sum(map(processor_s, pids)) - before) * 1000

    async def _sweep(self) -> float:
        await self.conn.execute(MAKE_EXPIRED, sweeps.BATCH)
        return await _took_ms(partial(sweeps.sweep, self.pool))

    def _reads(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        pool = self.pool

        async def of_account(*, deep: bool) -> None:
            account_id = UUID(int=random.randint(1, self.accounts))  # noqa: S311 - any will do
            await order_lists.of_account(pool, account_id, None, Page(PAGE, after=Position(None, self.middle) if deep else None))

        return {
            OWN: partial(of_account, deep=False),
            OWN_DEEP: partial(of_account, deep=True),
            ALL: lambda: order_search.orders(pool, OrderFilter(), Page(PAGE)),
            ALL_DEEP: lambda: order_search.orders(pool, OrderFilter(), Page(PAGE, after=Position(None, self.middle))),
            OVERDUE: lambda: order_states.cancel_overdue(pool, BATCH),
        }


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Make a database for each number of orders, and measure both in turns; raises EmbeddedError if the disk is too small."""
    with tempfile.TemporaryDirectory(prefix="mercato-orders-", dir=directory) as name:
        place = Path(name).resolve()  # noqa: ASYNC240 - nothing runs yet
        place.chmod(0o711)  # as root, PostgreSQL runs as another user, which must be able to enter
        _require_room(place, sum(scale.orders))
        made_s = await make_databases(place, scale.orders)
        async with AsyncExitStack() as stack:
            server = Postgres(place, durable=True)
            stack.push_async_callback(server.stop)
            await server.start()
            sides = [await stack.enter_async_context(open_side(place, server, count, scale)) for count in scale.orders]
            full_ms = [await side.verify() for side in sides]
            rounds = [partial(side.round, scale.concurrency) for side in sides]
            await runs.interleave(rounds, 1)  # fills pools, plans and caches
            few, many = await runs.interleave(rounds, scale.rounds)
    note = f"{NOTE} {scale.orders[-1]:,} orders were made in {made_s:.0f} s."
    return Part(title="Number of orders", goals=_goals(few, many, scale), note=note, tables=[_table(few, many, full_ms, scale)])


def _require_room(place: Path, orders: int) -> None:
    needed, free = orders * past_orders.BYTES_PER_ORDER, shutil.disk_usage(place).free
    if needed > free:
        gigabytes = f"{needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free"
        raise EmbeddedError(f"{orders:,} orders need {gigabytes}; choose another --directory, or fewer with --orders")


async def make_databases(place: Path, orders: Sequence[int]) -> float:
    """Make a migrated database for each number of orders, without fsync; return the seconds that the last one took."""
    server, took_s = Postgres(place, durable=False), 0.0
    await server.start()
    try:
        for count in orders:
            conn = await asyncpg.connect(server.url())
            await conn.execute(f'CREATE DATABASE "{_database(count)}"')
            await conn.close()
            url = server.url(_database(count))
            await migrations.migrate(url)
            await load(url, "USD", *demo.catalog())
            conn = await asyncpg.connect(url)
            await goods.make_products(conn, PRODUCTS)
            await goods.analyze(conn)
            began = time.perf_counter()
            await past_orders.make(conn, count)
            took_s = time.perf_counter() - began
            await conn.execute("CHECKPOINT")
            await conn.close()
    finally:
        await server.stop()
    os.sync()  # or the kernel would write them during the measurement
    return took_s


def _database(count: int) -> str:
    return f"orders_{count}"


@asynccontextmanager
async def open_side(place: Path, server: Postgres, count: int, scale: Scale) -> AsyncIterator[Side]:
    """Run a worker on a database with past orders, and make buyers with carts."""
    url, secret_key, socket = server.url(_database(count)), secrets.token_hex(32), server.run_dir / f"{_database(count)}.sock"
    worker = worker_process(place, socket, {"DATABASE_URL": url, "SECRET_KEY": secret_key, "ALGORITHM": ALGORITHM})
    async with AsyncExitStack() as stack:
        conn, *lanes = [await asyncpg.connect(url) for _ in range(1 + LANES)]
        for each in (conn, *lanes):
            stack.push_async_callback(each.close)
        pool = await stack.enter_async_context(await create_pool(Settings(database_url=url, secret_key=secret_key, pool_size=1)))
        accounts: int = await conn.fetchval("SELECT count(*) FROM accounts")
        middle: UUID = await conn.fetchval("SELECT id FROM orders ORDER BY id OFFSET $1 LIMIT 1", count // 2)
        products = [row["id"] for row in await conn.fetch("SELECT id FROM products ORDER BY id DESC LIMIT $1", PRODUCTS)]
        chosen = random.Random(count)  # noqa: S311 - a sample, not a secret
        contents = [tuple(chosen.sample(products, goods.LINES)) for _ in range(scale.concurrency * scale.turns)]
        carts = await goods.make_carts(conn, secret_key, accounts + 1, contents)
        await goods.analyze(conn)
        stack.push_async_callback(worker.stop)
        await worker.start()
        await until_serving([worker], [socket])
        pids = {WORKER: (worker.pid or 0,), "postgres": (server.pid or 0,), ENVOY: ()}
        yield Side(Stage(place, url, secret_key, {WORKER: socket}, 0, pids), conn, pool, lanes, carts, accounts, middle)


def _goals(few: Sequence[Figures], many: Sequence[Figures], scale: Scale) -> list[Goal]:
    """Return a goal for each kind of work, about the figure that grows most."""
    sizes, goals = f"{scale.orders[-1]:,} ÷ {scale.orders[0]:,} orders", []
    for what, names in GOALS.items():
        name = max(names, key=lambda each: statistics.median(_growth(each, few, many)))
        told = f" ({name.rpartition(',')[0]})" if len(names) > 1 else ""
        goals.append(Goal(what=f"{sizes}, {what}{told}", bound=RATIO_MAX, found=_growth(name, few, many), at_least=False))
    return goals


def _growth(name: str, few: Sequence[Figures], many: Sequence[Figures]) -> list[float]:
    return [large[name] / max(small[name], 1e-9) for small, large in zip(few, many, strict=True)]


def _table(few: Sequence[Figures], many: Sequence[Figures], full_ms: Sequence[float], scale: Scale) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = [("", *(f"{count:,} orders" for count in scale.orders), "last ÷ first")]
    for name in few[0]:
        medians = (Spread.of([figures[name] for figures in own]).text(2, spread=False) for own in (few, many))
        cells.append((name, *medians, Spread.of(_growth(name, few, many)).text(2)))
    full = (f"{each:,.0f}" for each in full_ms)
    return [*cells, ("a check of everything, CPU in ms", *full, f"{full_ms[-1] / max(full_ms[0], 1e-9):.1f}")]


async def _took_ms(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


NOTE = (
    f"Both databases are on one PostgreSQL, durable (fsync on), with a worker each. Their orders are generated inside PostgreSQL, spread "
    f"over a year, {past_orders.ORDERS_PER_ACCOUNT} an account, and every invariant holds for them. Checkouts go over gRPC straight to the "
    f"worker; the lists are those of the store, {PAGE} orders of an account chosen at random, the median of {REPEATS}. A pass of "
    f"`verify --watch` checks the checkouts of its round. A sweep deletes {sweeps.BATCH} expired keys and as many events, which were "
    "added just before."
)
