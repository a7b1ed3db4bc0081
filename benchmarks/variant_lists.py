"""Measure lists with one entry for each group, options and facets, beside the same lists of all products: in turns, in one catalog."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import grpc

import variant_catalog
from catalog_size import resident_mb
from goods import ALGORITHM, Mismatch
from mercato.v1 import catalog_pb2, catalog_pb2_grpc
from mercato_server.config.log_settings import LogSettings
from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool, small_pool
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.variant_filters import VariantFilter
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.probes import until_listening
from mercato_server.observability import logging
from mercato_server.store import facets, product_lists
from mercato_server.worker import running
from report import Goal, Part, Spread
from runs import Scale
from stage import READY_TIMEOUT_S, worker_process

RATIO_MAX = 1.2
PAGE, REPEATS = 20, 20
FEW = 5
"""Calls of a read that may take long."""
KEPT = 500
"""First pages that fill the memory of a worker."""
LEAF, MIDDLE, TOP = "Trail Shoes", "Running", "Training"
"""A category without subcategories, one with its own products and those of six below it, and one that has only subcategories."""
QUERY = "waterproof boots"
Read = Callable[["Pool"], Awaitable[object]]


def chosen(*colours: str, **others: str) -> VariantFilter:
    """Return the conditions of a collapsed list on options."""
    choices = {"colour": colours, **{name: (value,) for name, value in others.items()}} if colours else {}
    return VariantFilter(collapse=True, choices=tuple(sorted(choices.items())))


COLLAPSED, COMMON, RARE, ABSENT = chosen(), chosen("black"), chosen("shade 7"), chosen("no colour")


class Pair(NamedTuple):
    """A list of all products, and a collapsed list with the same conditions beside it."""

    plain: Read
    collapsed: Read


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Fill a database with the variants of groups, compare reads of lists, and measure the memory of a worker that keeps lists."""
    logging.start(LogSettings(level="warning", style="console"))  # the worker of the answers runs in this process
    products = scale.catalogs[-1]
    with tempfile.TemporaryDirectory(prefix="mercato-variants-", dir=directory) as name:
        place = Path(name).resolve()  # noqa: ASYNC240 - nothing runs yet
        place.chmod(0o711)  # as root, PostgreSQL runs as another user, which must be able to enter
        server = Postgres(place, durable=False)  # the disk is not measured
        await server.start()
        try:
            url, seconds = await _fill(server, products)
            settings = Settings(database_url=url, secret_key="x" * 32, pool_size=1)
            pool = await create_pool(settings)
            kinds = {name: await _category(pool, name) for name in (LEAF, MIDDLE, TOP)}
            answers = await _answers(settings, kinds, scale.rounds)
            times = await _compare(pool, await _pairs(pool, kinds), scale.rounds)
            cold = {what: await _cold(pool, wanted) for what, wanted in _counted(kinds).items()}
            await pool.close()
            memory = await _memory(place, server, url)
        finally:
            await server.stop()
    of = f"{products:,} products in {products // variant_catalog.VARIANTS:,} groups"
    goals = [
        Goal(what=f"{of}, {what}", bound=RATIO_MAX, found=[two / one for one, two in found], at_least=False)
        for what, found in answers.items()
    ]
    note = f"{NOTE} The catalog was made in {seconds:,.0f} s. {memory}"
    tables = [_table("whole answer", answers), _table("list at the store", times), _cold_table(cold)]
    return Part(title="Lists of variants", goals=goals, note=note, tables=tables)


async def _fill(server: Postgres, count: int) -> tuple[str, float]:
    """Create a database with a catalog of variants; return its URL and how long that took."""
    url, began = server.url("variants"), time.perf_counter()
    conn = await asyncpg.connect(server.url())
    await conn.execute('CREATE DATABASE "variants"')
    await conn.close()
    await migrations.migrate(url)
    async with small_pool(url) as pool:
        await variant_catalog.make(pool, count, Settings(database_url=url, secret_key="x" * 32).currency)
    return url, time.perf_counter() - began


async def _category(pool: "Pool", name: str) -> UUID:
    found: UUID = await pool.fetchval("SELECT id FROM categories WHERE name = $1", name)
    return found


def _pair(
    order: ProductOrder = ProductOrder.NEWEST, after: Position | None = None, variants: VariantFilter = COLLAPSED, **wanted: object
) -> Pair:
    """Return a list of all products beside one of groups; if these have options, the other one has none."""
    page = Page(PAGE, after=after)
    plain, collapsed = ProductFilter(**wanted), ProductFilter(variants=variants, **wanted)  # type: ignore[arg-type] # named as there
    return Pair(
        lambda pool: product_lists.products(pool, plain, order, page), lambda pool: product_lists.products(pool, collapsed, order, page)
    )


async def _pairs(pool: "Pool", kinds: Mapping[str, UUID]) -> Mapping[str, Pair]:
    """Return the lists by name."""
    leaf, middle, top = kinds.values()
    half = await pool.fetchval("SELECT count(*) / 2 FROM products")
    newer = await pool.fetchval("SELECT id FROM products ORDER BY id OFFSET $1 LIMIT 1", half)
    row = await pool.fetchrow("SELECT price_minor, id FROM products ORDER BY price_minor, id OFFSET $1 LIMIT 1", half)
    cheaper = Position(*(row or ()))
    cheapest, name = ProductOrder.CHEAPEST, ProductOrder.NAME
    return {
        "newest": _pair(),
        "cheapest": _pair(cheapest),
        "by name": _pair(name),
        "newest, from the middle": _pair(after=Position(None, newer)),
        "cheapest, from the middle": _pair(cheapest, cheaper),
        "category without subcategories": _pair(category_id=leaf),
        "category with subcategories": _pair(category_id=middle),
        "category of subcategories only": _pair(category_id=top),
        "the same, cheapest": _pair(cheapest, category_id=top),
        "the same, in stock, by name": _pair(name, category_id=top, in_stock=True),
        "prices, by name": _pair(name, min_price_minor=2_000, max_price_minor=6_000),
        "search": _pair(ProductOrder.RELEVANCE, query=QUERY),
        "search, newest": _pair(query=QUERY),
        "search, cheapest": _pair(cheapest, query=QUERY),
        "search, with a common colour, newest": _pair(query=QUERY, variants=COMMON),
        "common colour": _pair(variants=COMMON),
        "common colour, cheapest": _pair(cheapest, variants=COMMON),
        "two colours in one size": _pair(variants=chosen("black", "red", size="m")),
        "common colour in a category of subcategories": _pair(category_id=top, variants=COMMON),
        "colour of few, cheapest": _pair(cheapest, variants=RARE),
        "colour that no variant has": _pair(variants=ABSENT),
    }


async def _compare(pool: "Pool", pairs: Mapping[str, Pair], rounds: int) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return the milliseconds of both lists of each pair, the medians of each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for name, pair in [*pairs.items()] * (rounds + 1):  # once to warm up
        found[name].append(await _turns((lambda pair=pair: pair.plain(pool), lambda pair=pair: pair.collapsed(pool)), REPEATS))  # type: ignore[misc] # mypy does not infer lambdas with defaults
    return {name: times[1:] for name, times in found.items()}


async def _turns(reads: Sequence[Callable[[], Awaitable[object]]], times: int) -> tuple[float, float]:
    """Return the median milliseconds of two reads, which take turns."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for read, taken in zip(reads, spent, strict=True):
            began = time.perf_counter()
            await read()
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent[0]), statistics.median(spent[1])


def _counted(kinds: Mapping[str, UUID]) -> Mapping[str, ProductFilter]:
    """Return the lists whose facets are counted."""
    leaf, _, top = kinds.values()
    return {
        "all products": ProductFilter(),
        "a category without subcategories": ProductFilter(category_id=leaf),
        "a category of subcategories": ProductFilter(category_id=top),
        "a category, with a common colour": ProductFilter(category_id=leaf, variants=COMMON),
        "a common colour": ProductFilter(variants=COMMON),
        "a common colour in one size": ProductFilter(variants=chosen("black", size="m")),
        "a colour of few": ProductFilter(variants=RARE),
        "a colour that no variant has": ProductFilter(variants=ABSENT),
        "a search": ProductFilter(query=QUERY),
    }


async def _cold(pool: "Pool", wanted: ProductFilter) -> float:
    """Return the milliseconds of counting the facets of a list."""
    spent = []
    for _ in range(FEW):
        began = time.perf_counter()
        await facets.read(pool, wanted, None)
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


Asked = catalog_pb2.ListProductsRequest


def _asked(kinds: Mapping[str, UUID], deep: Mapping[str, tuple[str, str]]) -> Mapping[str, tuple[Asked, Asked]]:
    """Return the requests of each pair of answers. Workers keep first pages without `skip`, and facets.

    `deep` has the tokens of the pages after 1,000 entries, of all products and collapsed.
    """
    leaf, middle, top = map(str, kinds.values())
    black = ["Colour:Black"]
    kept = {
        "first page": (Asked(), Asked(collapse=True)),
        "with facets": (Asked(), Asked(collapse=True, facets=True)),
        "with an option and facets": (Asked(), Asked(collapse=True, facets=True, options=black)),
        "category with subcategories, facets": (Asked(category_id=top), Asked(collapse=True, facets=True, category_id=top)),
        "search with facets": (Asked(q=QUERY), Asked(collapse=True, facets=True, q=QUERY)),
    }
    read = {
        "newest": (Asked(), Asked(collapse=True)),
        "newest, facets from memory": (Asked(), Asked(collapse=True, facets=True)),
        "cheapest": (Asked(order_by="price"), Asked(collapse=True, order_by="price")),
        "by name": (Asked(order_by="name"), Asked(collapse=True, order_by="name")),
        "category without subcategories": (Asked(category_id=leaf), Asked(collapse=True, category_id=leaf)),
        "category with subcategories": (Asked(category_id=middle), Asked(collapse=True, category_id=middle)),
        "category of subcategories only": (Asked(category_id=top), Asked(collapse=True, category_id=top)),
        "search": (Asked(q=QUERY), Asked(collapse=True, q=QUERY)),
        "common colour ÷ all products": (Asked(), Asked(collapse=True, options=black)),
        "common colour, cheapest ÷ all": (Asked(order_by="price"), Asked(collapse=True, options=black, order_by="price")),
        "colour of few ÷ all products": (Asked(), Asked(collapse=True, options=["Colour:Shade 7"])),
    }
    pages = {
        f"deep page, {order or 'newest'}": (
            Asked(page_token=one, order_by=order),
            Asked(collapse=True, page_token=two, order_by=order),
        )
        for order, (one, two) in deep.items()
    }
    trees = {"all products, category with ÷ without subcategories": (Asked(category_id=leaf, skip=1), Asked(category_id=top, skip=1))}
    for asked in (each for pair in read.values() for each in pair):
        asked.skip = 1
    return {
        **{f"collapsed ÷ all products, from memory, {what}": pair for what, pair in kept.items()},
        **{f"collapsed ÷ all products, from the database, {what}": pair for what, pair in {**read, **pages}.items()},
        **{f"from the database, {what}": pair for what, pair in trees.items()},
    }


async def _answers(settings: Settings, kinds: Mapping[str, UUID], rounds: int) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return the milliseconds of a worker's answers to the requests of each pair, the medians of each round."""
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        shop = catalog_pb2_grpc.CatalogServiceStub(channel)
        deep = {order: (await _token(shop, order, collapse=False), await _token(shop, order, collapse=True)) for order in ("", "price")}
        asked = _asked(kinds, deep)
        found: dict[str, list[tuple[float, float]]] = {what: [] for what in asked}
        for what, (one, two) in [*asked.items()] * (rounds + 1):  # once to warm up
            reads = (lambda one=one: shop.ListProducts(one), lambda two=two: shop.ListProducts(two))
            found[what].append(await _turns(reads, REPEATS * 2))
    return {what: times[1:] for what, times in found.items()}


async def _token(shop: "catalog_pb2_grpc.CatalogServiceAsyncStub", order: str, *, collapse: bool) -> str:
    answer = await shop.ListProducts(Asked(order_by=order, collapse=collapse, skip=1_000 - PAGE))
    return str(answer.next_page_token)


async def _memory(directory: Path, server: Postgres, url: str) -> str:
    """Return how much memory a worker takes for first pages of lists with facets, beside lists of all products: a worker for each."""
    taken = {what: await _grown(directory, server, url, collapse=what == "collapsed") for what in ("of all products", "collapsed")}
    lists = ", ".join(f"{after - before:.0f} MB if they are {what}" for what, (before, after) in taken.items())
    return f"{KEPT} first pages of lists of different prices took a worker {lists}, the collapsed ones with facets."


async def _grown(directory: Path, server: Postgres, url: str, *, collapse: bool) -> tuple[float, float]:
    """Return a worker's memory in MB before and after it has answered KEPT different lists."""
    socket = server.run_dir / f"lists-{collapse}.sock"
    worker = worker_process(directory, socket, {"DATABASE_URL": url, "SECRET_KEY": secrets.token_hex(32), "ALGORITHM": ALGORITHM})
    try:
        await worker.start()
        async with asyncio.timeout(READY_TIMEOUT_S):
            await until_listening([socket])
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            shop = catalog_pb2_grpc.CatalogServiceStub(channel)
            await shop.ListProducts(Asked(collapse=collapse, facets=collapse))
            before = resident_mb(worker.pid or 0)
            for number in range(KEPT):
                answer = await shop.ListProducts(Asked(collapse=collapse, facets=collapse, max_price=9_900 - number, order_by="price desc"))
                if len(answer.products) != PAGE:
                    raise Mismatch(f"a list has {len(answer.products)} products, not {PAGE}")
        return before, resident_mb(worker.pid or 0)
    finally:
        await worker.stop()


def _table(what: str, times: Mapping[str, Sequence[tuple[float, float]]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(what, "first, ms", "second, ms", "second ÷ first")]
    for name, rounds in times.items():
        medians = (f"{statistics.median(side):.2f}" for side in zip(*rounds, strict=True))
        rows.append((name, *medians, Spread.of([two / one for one, two in rounds]).text(2)))
    return rows


def _cold_table(cold: Mapping[str, float]) -> list[tuple[str, ...]]:
    return [("facets, not from memory", "ms"), *((what, f"{ms:.1f}") for what, ms in cold.items())]


NOTE = (
    f"Groups have {variant_catalog.VARIANTS} variants. Whole answers are those of a worker over gRPC, one call after the other; its groups "
    "are those that it has just read. The lists at the store are without gRPC and the memory of a worker. The first list of a pair is that "
    f"of all products, the second one has an entry for each group; lists with options stand beside lists without. Each time is the median "
    f"of {REPEATS} or more, in turns, and the median over the rounds. PostgreSQL runs without fsync."
)
