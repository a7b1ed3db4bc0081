"""Measure lists with one entry for each group, and facets, beside the same lists of all products: in turns, in one catalog of variants."""

import asyncio
import csv
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import grpc

import catalog_csv
from mercato.v1 import catalog_pb2, catalog_pb2_grpc
from mercato_server.config.settings import Settings, child_environ
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.variant_filters import VariantFilter
from mercato_server.embedded.postgres import Postgres
from mercato_server.observability.logging import log_to_stderr
from mercato_server.store import facets, product_lists
from mercato_server.worker import running
from report import Goal, Part, Spread
from runs import Scale

VARIANTS = 4
"""Variants of each group."""
RATIO_MAX = 1.2
PAGE, REPEATS = 20, 20
Read = Callable[["Pool"], Awaitable[object]]
COLLAPSED = VariantFilter(collapse=True)
RED = VariantFilter(collapse=True, choices=(("colour", ("red",)),))
RARE = VariantFilter(collapse=True, choices=(("colour", ("shade 7",)),))

# Products of one name become the variants of a group, in two sizes and two of a few colours; a thousandth of the groups have a colour that
# few others have.
GROUP = """
INSERT INTO product_groups (code, name, varies_by, currency_code)
SELECT name, name, '{Size,Colour}', currency_code FROM products GROUP BY name, currency_code;

WITH numbered AS (
    SELECT products.id, product_groups.id AS group_id, number, row_number() OVER variants AS place,
           row_number() OVER (PARTITION BY product_groups.id ORDER BY price_minor, products.id) = 1 AS is_listed
      FROM products
      JOIN product_groups USING (name)
    WINDOW variants AS (PARTITION BY product_groups.id ORDER BY products.id)
), named AS (
    SELECT *, CASE WHEN place % 2 = 0 THEN 'S' ELSE 'M' END AS size,
           CASE WHEN number / 4 % 1000 = 0 AND place > 2 THEN 'Shade ' || number / 4000 % 10
                WHEN place > 2 THEN (ARRAY['Red', 'Green', 'Blue'])[1 + number / 4 % 3] ELSE 'Black' END AS colour
      FROM numbered
)
UPDATE products
   SET group_id = named.group_id, position = place, is_listed = named.is_listed, options_text = 'Size: ' || size || ', Colour: ' || colour,
       options = jsonb_build_array(jsonb_build_array('Size', size), jsonb_build_array('Colour', colour)),
       folded_options = jsonb_build_object('size', lower(size), 'colour', lower(colour))
  FROM named
 WHERE named.id = products.id;

UPDATE product_groups
   SET min_price_minor = lowest, max_price_minor = highest, variants = number
  FROM (SELECT group_id, min(price_minor) AS lowest, max(price_minor) AS highest, count(*)::integer AS number
          FROM products
         GROUP BY group_id)
       AS variant
 WHERE group_id = id;
"""


class Pair(NamedTuple):
    """A list of all products, and a collapsed list with the same conditions beside it."""

    plain: Read
    collapsed: Read


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Fill a database with the variants of groups, and compare reads of lists."""
    log_to_stderr("warning", "console")  # the worker of the answers runs in this process
    products = scale.catalogs[-1]
    with tempfile.TemporaryDirectory(prefix="mercato-variants-", dir=directory) as name:
        place = Path(name).resolve()  # noqa: ASYNC240 - nothing runs yet
        place.chmod(0o711)  # as root, PostgreSQL runs as another user, which must be able to enter
        server = Postgres(place, durable=False)  # the disk is not measured
        await server.start()
        try:
            url = await _fill(place, server, products)
            settings = Settings(database_url=url, secret_key="x" * 32, pool_size=1)
            pool = await create_pool(settings)
            times = await _compare(pool, await _pairs(pool), scale.rounds)
            cold = {what: await _cold(pool, wanted) for what, wanted in _counted(await _category(pool)).items()}
            answers = await _answers(settings, scale.rounds)
            await pool.close()
        finally:
            await server.stop()
    of = f"{products:,} products in {products // VARIANTS:,} groups"
    goals = [
        Goal(what=f"{of}, {what} ÷ list of all products", bound=RATIO_MAX, found=[two / one for one, two in found], at_least=False)
        for what, found in answers.items()
    ]
    return Part(title="Lists of variants", goals=goals, note=NOTE, tables=[_table({**answers, **times}), _cold_table(cold)])


async def _fill(directory: Path, server: Postgres, count: int) -> str:
    """Create a database with variants: import products, of which several follow each other with one name, and make them groups."""
    url = server.url("variants")
    await _execute(server.url(), 'CREATE DATABASE "variants"')
    await migrations.migrate(url)
    path = directory / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(catalog_csv.HEADER)
        writer.writerows(_variants(count))
    command = [sys.executable, "-m", "mercato_server", "import", str(path)]
    await asyncio.to_thread(subprocess.run, command, env=child_environ({"DATABASE_URL": url}), check=True, stdout=subprocess.DEVNULL)
    await _execute(url, GROUP)
    for table in ("products", "product_groups", "product_search", "search_words", "stock_levels"):
        await _execute(url, f"VACUUM ANALYZE {table}")
    return url


def _variants(count: int) -> itertools.chain[tuple[object, ...]]:
    """Return rows of products: those of a group have one name, description and category, each its own SKU, price and stock."""
    rows = catalog_csv.products(count)
    return itertools.chain.from_iterable(
        [(sku, f"{first[1]} {number}", *first[2:3], price, first[4], stock, picture) for sku, _, _, price, _, stock, picture in several]
        for number, several in enumerate(zip(*[rows] * VARIANTS, strict=True))
        for first in several[:1]
    )


async def _execute(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute(statement)
    await conn.close()


async def _category(pool: "Pool") -> UUID:
    found: UUID = await pool.fetchval("SELECT id FROM categories WHERE name = 'Running'")
    return found


async def _pairs(pool: "Pool") -> Mapping[str, Pair]:
    """Return the lists by name."""
    category_id = await _category(pool)
    count = await pool.fetchval("SELECT count(*) FROM products")
    newer = await pool.fetchval("SELECT id FROM products ORDER BY id OFFSET $1 LIMIT 1", count // 2)
    middle = await pool.fetchrow("SELECT id, price_minor FROM products ORDER BY price_minor, id OFFSET $1 LIMIT 1", count // 2)
    cheaper = Position(middle["price_minor"], middle["id"])  # type: ignore[index] # there is one

    def pair(order: ProductOrder, after: Position | None = None, **wanted: object) -> Pair:
        plain, collapsed = ProductFilter(**wanted), ProductFilter(variants=COLLAPSED, **wanted)  # type: ignore[arg-type] # named as there
        page = Page(PAGE, after=after)
        return Pair(
            lambda pool: product_lists.products(pool, plain, order, page), lambda pool: product_lists.products(pool, collapsed, order, page)
        )

    return {
        "newest": pair(ProductOrder.NEWEST),
        "cheapest": pair(ProductOrder.CHEAPEST),
        "dearest": pair(ProductOrder.DEAREST),
        "by name": pair(ProductOrder.NAME),
        "newest, deep page": pair(ProductOrder.NEWEST, Position(None, newer)),
        "cheapest, deep page": pair(ProductOrder.CHEAPEST, cheaper),
        "category": pair(ProductOrder.NEWEST, category_id=category_id),
        "category, cheapest": pair(ProductOrder.CHEAPEST, category_id=category_id),
        "category, in stock, cheapest": pair(ProductOrder.CHEAPEST, category_id=category_id, in_stock=True),
        "prices, by name": pair(ProductOrder.NAME, min_price_minor=2_000, max_price_minor=6_000),
        "search": pair(ProductOrder.RELEVANCE, query="waterproof boots"),
        "search, newest": pair(ProductOrder.NEWEST, query="waterproof boots"),
        "search, cheapest": pair(ProductOrder.CHEAPEST, query="waterproof boots"),
        "of one colour in three, beside all": Pair(
            pair(ProductOrder.NEWEST).plain,
            lambda pool: product_lists.products(pool, ProductFilter(variants=RED), ProductOrder.NEWEST, Page(PAGE)),
        ),
        "of a rare colour, cheapest, beside all": Pair(
            pair(ProductOrder.CHEAPEST).plain,
            lambda pool: product_lists.products(pool, ProductFilter(variants=RARE), ProductOrder.CHEAPEST, Page(PAGE)),
        ),
    }


async def _compare(pool: "Pool", pairs: Mapping[str, Pair], rounds: int) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return the milliseconds of both lists of each pair, the medians of each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for name, pair in [*pairs.items()] * (rounds + 1):  # once to warm up
        spent: tuple[list[float], list[float]] = ([], [])
        for _ in range(REPEATS):
            for read, taken in zip(pair, spent, strict=True):
                began = time.perf_counter()
                await read(pool)
                taken.append((time.perf_counter() - began) * 1000)
        found[name].append((statistics.median(spent[0]), statistics.median(spent[1])))
    return {name: times[1:] for name, times in found.items()}


def _counted(category_id: UUID) -> Mapping[str, ProductFilter]:
    """Return the lists whose facets are counted."""
    return {
        "all products": ProductFilter(),
        "a category": ProductFilter(category_id=category_id),
        "a category, one colour in three": ProductFilter(category_id=category_id, variants=RED),
        "a rare colour": ProductFilter(variants=RARE),
        "a search": ProductFilter(query="waterproof boots"),
    }


async def _cold(pool: "Pool", wanted: ProductFilter) -> float:
    """Return the milliseconds of counting the facets of a list."""
    spent = []
    for _ in range(REPEATS // 4):
        began = time.perf_counter()
        await facets.read(pool, wanted, None)
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


ANSWERS = {
    "answer, collapsed, from memory": catalog_pb2.ListProductsRequest(collapse=True),
    "answer, collapsed with facets, from memory": catalog_pb2.ListProductsRequest(collapse=True, facets=True),
    "answer, collapsed, a page that is not kept": catalog_pb2.ListProductsRequest(collapse=True, skip=1),
    "answer, collapsed with facets, a page that is not kept": catalog_pb2.ListProductsRequest(collapse=True, facets=True, skip=1),
}
"""Requests of whole answers. Workers keep first pages without `skip`, and facets."""


async def _answers(settings: Settings, rounds: int) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return the milliseconds of a worker's answers for each request, beside those of the same page of all products."""
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in ANSWERS}
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        shop = catalog_pb2_grpc.CatalogServiceStub(channel)
        for what, request in [*ANSWERS.items()] * (rounds + 1):  # once to warm up
            spent: tuple[list[float], list[float]] = ([], [])
            for _ in range(REPEATS * 5):
                for wanted, taken in zip((catalog_pb2.ListProductsRequest(skip=request.skip), request), spent, strict=True):
                    began = time.perf_counter()
                    await shop.ListProducts(wanted)
                    taken.append((time.perf_counter() - began) * 1000)
            found[what].append((statistics.median(spent[0]), statistics.median(spent[1])))
    return {what: times[1:] for what, times in found.items()}


def _table(times: Mapping[str, Sequence[tuple[float, float]]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("list", "all products, ms", "one entry a group, ms", "ratio")]
    for name, rounds in times.items():
        medians = (f"{statistics.median(side):.2f}" for side in zip(*rounds, strict=True))
        rows.append((name, *medians, Spread.of([two / one for one, two in rounds]).text(2)))
    return rows


def _cold_table(cold: Mapping[str, float]) -> list[tuple[str, ...]]:
    return [("facets, not from memory", "ms"), *((what, f"{ms:.1f}") for what, ms in cold.items())]


NOTE = (
    f"Groups have {VARIANTS} variants. The lists are those of the store, without gRPC and the memory of a worker; each time is the median "
    f"of {REPEATS}, one list after the other, and the median over the rounds. Whole answers are those of a worker over gRPC, one call "
    "after the other. PostgreSQL runs without fsync."
)
