"""Measure what the size of a catalog costs: its import, and the same reads of 1,000 products and of many, in turns on one PostgreSQL."""

import argparse
import asyncio
import random
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
from mercato_server import db, schema
from mercato_server.config import Settings, child_environ
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import catalog, product_lists
from stage import processor_s

SMALL = 1_000
PAGE = 20
Read = Callable[["db.Pool"], Awaitable[object]]


async def reads(pool: "db.Pool") -> Mapping[str, Read]:
    """Return the reads by name; each finds full pages in a catalog of either size, without the memory of a worker."""
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
        "get": lambda pool: catalog.get(pool, [random.choice(ids)]),  # noqa: S311
        "get 100": lambda pool: catalog.get(pool, random.sample(ids, 100)),
        "list, newest": listing(ProductOrder.NEWEST),
        "list, by price": listing(ProductOrder.CHEAPEST),
        "list, category": listing(ProductOrder.NEWEST, category_id=category_id),
        "list, category in stock by price": listing(ProductOrder.CHEAPEST, category_id=category_id, in_stock=True),
        "list, prices by name": listing(ProductOrder.NAME, min_price_minor=2_000, max_price_minor=6_000),
        "deep page, newest": listing(ProductOrder.NEWEST, deep[ProductOrder.NEWEST]),
        "deep page, by price": listing(ProductOrder.CHEAPEST, deep[ProductOrder.CHEAPEST]),
        "search, a SKU": listing(ProductOrder.RELEVANCE, query=rare.lower()),
        "search, common words": listing(ProductOrder.RELEVANCE, query="waterproof boots"),
        "search, one common word": listing(ProductOrder.RELEVANCE, query="ball"),
        "search, a typo": listing(ProductOrder.RELEVANCE, query="kestrl helmet"),
        "search, newest first": listing(ProductOrder.NEWEST, query="waterproof boots"),
        "count of a category": lambda pool: product_lists.count(pool, ProductFilter(category_id=category_id), 10_000),
    }


async def compare(pools: Sequence["db.Pool"], rounds: int) -> None:
    """Print the median time of each read and the ratio, small and large in turns."""
    sides = [(pool, await reads(pool)) for pool in pools]
    print("| read | small, ms | large, ms | large / small |\n|---|--:|--:|--:|")
    for name in sides[0][1]:
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            for (pool, those), spent in zip(sides, times, strict=True):
                began = time.perf_counter()
                await those[name](pool)
                spent.append((time.perf_counter() - began) * 1000)
        small, large = (statistics.median(spent[rounds // 10 :]) for spent in times)
        print(f"| {name} | {small:.2f} | {large:.2f} | {large / small:.2f} |", flush=True)


async def fill(directory: Path, url: str, count: int) -> None:
    """Import a catalog by the command, twice, and print what that costs."""
    path = directory / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        catalog_csv.write(file, count)
    command = [sys.executable, "-m", "mercato_server", "import", str(path)]
    for what in ("import", "again, unchanged"):
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, command, env=child_environ({"DATABASE_URL": url}), check=True)
        elapsed = time.perf_counter() - began
        print(f"{what} of {count}: {elapsed:.1f} s, {count / elapsed:,.0f} rows/s")


async def measure(directory: Path, count: int, rounds: int) -> None:
    """Fill two databases and compare them."""
    server = Postgres(directory, durable=False)  # what is measured is no disk
    await server.start()
    try:
        urls = []
        for name, size in (("small", SMALL), ("large", count)):
            connection = await asyncpg.connect(server.url("postgres"))
            await connection.execute(f'CREATE DATABASE "{name}"')
            await connection.close()
            urls.append(server.url(name))
            await schema.migrate(urls[-1])
            before = processor_s(server.pid or 0)
            await fill(directory, urls[-1], size)
            print(f"PostgreSQL: {processor_s(server.pid or 0) - before:.1f} s of a core")
        await compare_urls(urls, rounds)
    finally:
        await server.stop()


async def compare_urls(urls: Sequence[str], rounds: int) -> None:
    """Compare two databases that are filled."""
    pools = [await db.create_pool(Settings(database_url=url, secret_key="x" * 32, pool_size=1)) for url in urls]
    for pool in pools:
        await pool.execute("VACUUM ANALYZE products", timeout=600)
    await compare(pools, rounds)
    for pool in pools:
        await pool.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--databases", nargs=2, metavar="URL", help="compare these, which are filled, instead")
    arguments = parser.parse_args()
    if arguments.databases:
        asyncio.run(compare_urls(arguments.databases, arguments.rounds))
        return
    with tempfile.TemporaryDirectory(prefix="mercato-catalog-", dir=".") as directory:
        Path(directory).chmod(0o711)
        asyncio.run(measure(Path(directory).resolve(), arguments.products, arguments.rounds))


if __name__ == "__main__":
    main()
