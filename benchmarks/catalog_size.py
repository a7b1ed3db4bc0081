"""Measure how reads slow down and a worker's memory grows with the size of the catalog, all sizes in turns on one PostgreSQL."""

import asyncio
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg

import catalog_csv
import http2
from goods import ALGORITHM, Mismatch
from mercato.v1 import catalog_pb2
from mercato_server.config.settings import Settings, child_environ
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.probes import until_listening
from mercato_server.store import catalog, product_lists
from meter import Job
from report import Figures, Goal, Part, Spread
from runs import Scale
from stage import READY_TIMEOUT_S, WORKER, Stage, generate, worker_process

PAGE = 20
RATIO_MAX = 1.3
SEARCH_RATIO_MAX, SEARCH_MAX_MS = 4.0, 5.0
"""Goals of the searches: time in the largest catalog as a multiple of that in the smallest, and in milliseconds."""
REPEATS = 20
"""Number of calls of each read in a round."""
BATCH = 100
MEMORY_MAX_MB = 150.0
GET, LIST, FILTERED, SEARCH = "get", "list", "filtered list", "search"
Read = Callable[["Pool"], Awaitable[object]]
Times = Mapping[tuple[str, str], Sequence[Sequence[float]]]
"""Milliseconds of each read: a list for each round, with a median for each catalog."""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Fill a database for each size, compare their reads, and measure the memory of a worker that has read one of them."""
    with tempfile.TemporaryDirectory(prefix="mercato-catalog-", dir=directory) as name:
        place = Path(name).resolve()  # noqa: ASYNC240 - nothing runs yet
        place.chmod(0o711)  # as root, PostgreSQL runs as another user, which must be able to enter
        server = Postgres(place, durable=False)  # the disk is not measured
        await server.start()
        try:
            urls = {size: server.url(f"products_{size}") for size in scale.catalogs}
            rates = {size: await _fill(place, server, url, size) for size, url in urls.items()}
            times = await _compare([*urls.values()], scale.rounds)
            enough = min(size for size in scale.catalogs if size >= scale.cached)
            memory = [await _memory(place, server, urls[enough], scale.cached) for _ in range(scale.few)]
        finally:
            await server.stop()
    largest = scale.catalogs[-1]
    imported = f"The import of {largest:,} products took {largest / rates[largest]:,.0f} s, {rates[largest]:,.0f} rows a second."
    return Part(
        title="Size of the catalog",
        goals=[*_goals(times, scale), _memory_goal([full for _, full in memory], scale)],
        note=f"{NOTE} {imported} The worker took {statistics.median(empty for empty, _ in memory):.0f} MB before it had read anything.",
        tables=[_table(times, scale)],
        figures=Figures(growth_ms={f"{kind}: {read}": _growth(rounds, scale) for (kind, read), rounds in times.items()}),
    )


async def _fill(directory: Path, server: Postgres, url: str, count: int) -> float:
    """Create a database and import a catalog with `mercato import`; return the rows per second."""
    await _execute(server.url(), f'CREATE DATABASE "products_{count}"')
    await migrations.migrate(url)
    path = directory / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        catalog_csv.write(file, count)
    command = [sys.executable, "-m", "mercato_server", "import", str(path)]
    began = time.perf_counter()
    await asyncio.to_thread(subprocess.run, command, env=child_environ({"DATABASE_URL": url}), check=True, stdout=subprocess.DEVNULL)
    rate = count / (time.perf_counter() - began)
    await _execute(url, "VACUUM ANALYZE products, product_search, search_words")
    return rate


async def _execute(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute(statement)
    await conn.close()


async def _compare(urls: Sequence[str], rounds: int) -> Times:
    """Measure each read of all catalogs in turns."""
    pools = [await create_pool(Settings(database_url=url, secret_key="x" * 32, pool_size=1)) for url in urls]
    sides = [await _reads(pool) for pool in pools]
    times: dict[tuple[str, str], list[list[float]]] = {name: [] for name in sides[0]}
    for name, found in [*times.items()] * (rounds + 1):  # once to warm up
        spent: list[list[float]] = [[] for _ in pools]
        for _ in range(REPEATS):
            for pool, those, taken in zip(pools, sides, spent, strict=True):
                began = time.perf_counter()
                await those[name](pool)
                taken.append((time.perf_counter() - began) * 1000)
        found.append([*map(statistics.median, spent)])
    for pool in pools:
        await pool.close()
    return {name: found[1:] for name, found in times.items()}


async def _reads(pool: "Pool") -> Mapping[tuple[str, str], Read]:
    """Return the reads by kind and name. Each finds full pages in a catalog of any size, without a worker's cache."""
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM products")]
    category_id: UUID = await pool.fetchval("SELECT id FROM categories WHERE name = 'Running'")
    middle = await pool.fetchrow("SELECT id, price_minor FROM products ORDER BY price_minor, id OFFSET $1 LIMIT 1", len(ids) // 2)
    rare = await pool.fetchval("SELECT sku FROM products WHERE id = $1", random.choice(ids))  # noqa: S311 - any will do
    deep = {
        ProductOrder.NEWEST: Position(None, sorted(ids)[len(ids) // 2]),
        ProductOrder.CHEAPEST: Position(middle["price_minor"], middle["id"]),  # type: ignore[index] # there is one
    }

    def listing(order: ProductOrder, after: Position | None = None, **wanted: object) -> Read:
        found = ProductFilter(**wanted)  # type: ignore[arg-type] # named as there
        return lambda pool: product_lists.products(pool, found, order, Page(PAGE, after=after))

    return {
        (GET, "one"): lambda pool: catalog.get(pool, [random.choice(ids)]),  # noqa: S311
        (LIST, "newest"): listing(ProductOrder.NEWEST),
        (LIST, "by price"): listing(ProductOrder.CHEAPEST),
        (LIST, "newest, deep page"): listing(ProductOrder.NEWEST, deep[ProductOrder.NEWEST]),
        (LIST, "by price, deep page"): listing(ProductOrder.CHEAPEST, deep[ProductOrder.CHEAPEST]),
        (FILTERED, "category"): listing(ProductOrder.NEWEST, category_id=category_id),
        (FILTERED, "category, in stock, by price"): listing(ProductOrder.CHEAPEST, category_id=category_id, in_stock=True),
        (FILTERED, "prices, by name"): listing(ProductOrder.NAME, min_price_minor=2_000, max_price_minor=6_000),
        (SEARCH, "a SKU"): listing(ProductOrder.RELEVANCE, query=rare.lower()),
        (SEARCH, "common words"): listing(ProductOrder.RELEVANCE, query="waterproof boots"),
        (SEARCH, "one common word"): listing(ProductOrder.RELEVANCE, query="ball"),
        (SEARCH, "a typo"): listing(ProductOrder.RELEVANCE, query="kestrl helmet"),
        (SEARCH, "common words, newest first"): listing(ProductOrder.NEWEST, query="waterproof boots"),
        (SEARCH, "common words, cheapest first"): listing(ProductOrder.CHEAPEST, query="waterproof boots"),
        (SEARCH, "common words, by name"): listing(ProductOrder.NAME, query="waterproof boots"),
        (SEARCH, "common words in a range of prices, by name"): listing(
            ProductOrder.NAME, query="waterproof boots", min_price_minor=2_000, max_price_minor=6_000
        ),
        (SEARCH, "common word in a category, cheapest first"): listing(ProductOrder.CHEAPEST, query="waterproof", category_id=category_id),
        (SEARCH, "a word of few, in stock, dearest first"): listing(ProductOrder.DEAREST, query="kestrel 42", in_stock=True),
        (SEARCH, "common words that no product has together"): listing(ProductOrder.RELEVANCE, query="boots gloves"),
        (SEARCH, "common word in a category"): listing(ProductOrder.RELEVANCE, query="waterproof", category_id=category_id),
    }


def _goals(times: Times, scale: Scale) -> list[Goal]:
    """Return a goal for each kind of read, about the read of that kind that slows down most, and one for the slowest search."""
    growth = {name: [large / small for small, *_, large in rounds] for name, rounds in times.items()}
    largest_ms = {name: [large for *_, large in rounds] for name, rounds in times.items()}
    sizes = f"{scale.catalogs[-1]:,} ÷ {scale.catalogs[0]:,} products"
    goals = []
    for kind in dict.fromkeys(kind for kind, _ in times):
        read, found = _worst(growth, kind)
        bound = SEARCH_RATIO_MAX if kind == SEARCH else RATIO_MAX
        goals.append(Goal(what=f"{sizes}, time of {kind} ({read})", bound=bound, found=found, at_least=False))
    read, found = _worst(largest_ms, SEARCH)
    what = f"{scale.catalogs[-1]:,} products, the slowest {SEARCH} ({read})"
    return [*goals, Goal(what=what, bound=SEARCH_MAX_MS, found=found, unit="ms", digits=1, at_least=False)]


def _worst(figures: Mapping[tuple[str, str], Sequence[float]], kind: str) -> tuple[str, Sequence[float]]:
    """Return the read of a kind whose median figure is highest, and its figures."""
    (_, read), found = max(((name, own) for name, own in figures.items() if name[0] == kind), key=lambda each: statistics.median(each[1]))
    return read, found


def _growth(rounds: Sequence[Sequence[float]], scale: Scale) -> dict[int, float]:
    return {size: statistics.median(own) for size, own in zip(scale.catalogs, zip(*rounds, strict=True), strict=True)}


def _table(times: Times, scale: Scale) -> list[tuple[str, ...]]:
    head = ("", "read", *(f"{size:,} products, ms" for size in scale.catalogs), "last ÷ first")
    rows = []
    for name, rounds in times.items():
        medians = (f"{each:.2f}" for each in _growth(rounds, scale).values())
        rows.append((*name, *medians, Spread.of([large / small for small, *_, large in rounds]).text(2)))
    return [head, *rows]


async def _memory(directory: Path, server: Postgres, url: str, count: int) -> tuple[float, float]:
    """Return a worker's memory in MB before and after it has read that many products, all of which it caches."""
    secret_key, socket = secrets.token_hex(32), server.run_dir / "worker.sock"
    settings = {"DATABASE_URL": url, "SECRET_KEY": secret_key, "ALGORITHM": ALGORITHM, "MERCATO_CACHED_PRODUCTS": str(count)}
    worker = worker_process(directory, socket, settings)
    try:
        await worker.start()
        async with asyncio.timeout(READY_TIMEOUT_S):
            await until_listening([socket])
        pids = {WORKER: (worker.pid or 0,), "postgres": (server.pid or 0,)}
        before = resident_mb(worker.pid or 0)
        await _read_all(Stage(directory, url, secret_key, {WORKER: socket}, 0, pids), count)
        return before, resident_mb(worker.pid or 0)
    finally:
        await worker.stop()


async def _read_all(running: Stage, count: int) -> None:
    """Read that many products through the worker, each once; raises Mismatch if an answer is an error."""
    conn = await asyncpg.connect(running.database_url)
    ids = [str(row["id"]) for row in await conn.fetch("SELECT id FROM products LIMIT $1", count)]
    await conn.close()
    messages = [catalog_pb2.BatchGetProductsRequest(ids=ids[start : start + BATCH]) for start in range(0, count, BATCH)]
    requests = [http2.request("/mercato.v1.CatalogService/BatchGetProducts", each.SerializeToString()) for each in messages]
    job = Job(
        protocol="h2",
        address=str(running.workers[WORKER]),
        requests=requests,
        concurrency=4,
        seconds=READY_TIMEOUT_S,
        repeatable=True,
        once=True,
    )
    outcome, _ = await generate(job, running)
    if outcome.failures or outcome.count != len(requests):
        raise Mismatch(f"{outcome.count} of {len(requests)} batches of products were read: {outcome.failures}")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, including pages shared with other processes (proc_pid_status(5))."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def _memory_goal(found: Sequence[float], scale: Scale) -> Goal:
    what = f"memory of a worker that keeps {scale.cached:,} products"
    return Goal(what=what, bound=MEMORY_MAX_MB, found=found, unit="MB", digits=0, at_least=False)


NOTE = (
    f"The reads are those of the store, without gRPC and the memory of a worker; each time is the median of {REPEATS}, one catalog "
    "after the other, and the median over the rounds. PostgreSQL runs without fsync. Memory is the resident set of the process."
)
