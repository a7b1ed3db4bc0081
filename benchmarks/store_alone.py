"""Measure checkouts and changes of carts without gRPC and Envoy: the store and PostgreSQL, one call at a time and in batches of 17."""

import argparse
import asyncio
import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool
from mercato_server.database.transactions import deadline
from mercato_server.embedded.postgres import Postgres
from mercato_server.handlers import convert
from mercato_server.store import carts, orders
from mercato_server.store.idempotency import IdempotencyKey
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.price_book import PriceBook
from mercato_server.worker import GARBAGE_MAX
from stage import family_s

LINES = 3
PEOPLE = 2_040
CALLS = {1: 600, 17: PEOPLE}
"""Calls of a measurement by the size of their batches."""
DEADLINE_S = 2.0
CURRENCY = "USD"

MAKE_SHOP = """
INSERT INTO accounts (email, full_name, role, password_hash) SELECT n || '@example.com', '', 'user', '' FROM generate_series(1, 2040) AS n;
INSERT INTO shop (currency_code) VALUES ('USD');
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'Thing ' || n, '', n, 'USD', '{}' FROM generate_series(1, 5000) AS n;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1000000 FROM products;
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM accounts;
"""
FILL_CARTS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT buyer.id, product.id, 1, product.price_minor, product.currency_code
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM accounts) AS buyer
  JOIN (SELECT id, price_minor, currency_code, row_number() OVER (ORDER BY id) - 1 AS n FROM products) AS product
    ON (product.n - buyer.n * $1) % 5000 BETWEEN 0 AND $1 - 1
    ON CONFLICT DO NOTHING
"""

Call = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]


class Cost(NamedTuple):
    """Microseconds for each call."""

    python: float
    postgres: float
    waited: float


class Subject:
    """A shop whose calls are measured."""

    def __init__(self, pool: "Pool", server: Postgres, people: Sequence[tuple[UUID, UUID]], products: Sequence[UUID]) -> None:
        """`people` has accounts with their sessions."""
        self._pool = pool
        self._server = server
        self._people = people
        self._products = products
        self._numbers = itertools.count()

    async def checkouts(self, size: int, *, keyed: bool) -> Cost:
        """Buy carts of three lines."""
        await self._pool.execute(FILL_CARTS, LINES)

        def command(account_id: UUID, session_id: UUID) -> Checkout:
            return Checkout(account_id, session_id, self._key(account_id, convert.order) if keyed else None)

        shop = orders.Shop(CURRENCY)
        return await self._measure(lambda batch: orders.checkout(self._pool, batch, shop), size, command)

    async def added_lines(self, size: int, *, keyed: bool) -> Cost:
        """Add the third line to carts of two."""
        await self._pool.execute("DELETE FROM cart_items")
        await self._pool.execute(FILL_CARTS, LINES - 1)
        products = itertools.cycle(self._products)

        def command(account_id: UUID, session_id: UUID) -> carts.LineChange:
            key = self._key(account_id, lambda lines: convert.cart(lines, CURRENCY)) if keyed else None
            return carts.LineChange(account_id, next(products), 1, session_id, key)

        book = PriceBook()
        return await self._measure(lambda batch: carts.add(self._pool, batch, book), size, command)

    def _key(self, account_id: UUID, to_message: Callable[[Any], Any]) -> IdempotencyKey:
        method = "/mercato.v1.OrderService/Checkout"
        return IdempotencyKey(
            account_id, f"key-{next(self._numbers)}", method, bytes(32), lambda result: to_message(result).SerializeToString()
        )

    async def _measure(self, call: Call, size: int, command: Callable[[UUID, UUID], Any]) -> Cost:
        batches: Iterator[list[Any]] = (
            [command(*person) for person in self._people[start : start + size]] for start in range(0, CALLS[size], size)
        )
        clock = asyncio.get_running_loop().time
        before = time.process_time(), self._postgres_s(), time.perf_counter()
        for batch in batches:
            deadline.set(clock() + DEADLINE_S)
            if errors := [result for result in await call(batch) if isinstance(result, Exception)]:
                raise errors[0]
        after = time.process_time(), self._postgres_s(), time.perf_counter()
        return Cost(*((late - early) / CALLS[size] * 1e6 for early, late in zip(before, after, strict=True)))

    def _postgres_s(self) -> float:
        return family_s(self._server.pid or 0)


async def measure(directory: Path, rounds: int) -> None:
    """Print a table of the medians."""
    server = Postgres(directory, durable=False)
    await server.start()
    try:
        await migrations.migrate(server.url())
        async with await create_pool(Settings(database_url=server.url(), secret_key="x" * 32, pool_size=1)) as pool:
            await pool.execute(MAKE_SHOP)
            await pool.execute("ANALYZE accounts, products, stock_levels, sessions")
            people = [(row["account_id"], row["id"]) for row in await pool.fetch("SELECT account_id, id FROM sessions ORDER BY account_id")]
            products = [row["id"] for row in await pool.fetch("SELECT id FROM products ORDER BY id")]
            await _report(Subject(pool, server, people, products), rounds)
    finally:
        await server.stop()


async def _report(subject: Subject, rounds: int) -> None:
    found: dict[str, list[Cost]] = {}
    for _ in range(rounds + 1):
        for size in CALLS:
            for keyed in (True, False):
                for what, measured in (("Checkout", subject.checkouts), ("AddCartItem", subject.added_lines)):
                    name = f"{what}, {'with' if keyed else 'without'} a key, batches of {size}"
                    found.setdefault(name, []).append(await measured(size, keyed=keyed))
    print("| call | Python | PostgreSQL | together, with waiting |\n|---|--:|--:|--:|")
    for name, costs in sorted(found.items()):
        median = Cost(*map(statistics.median, zip(*costs[1:], strict=True)))  # the first round warms up
        print(f"| {name} | {median.python:,.0f} µs | {median.postgres:,.0f} µs | {median.waited:,.0f} µs |")


def main() -> None:
    """Run the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    gc.set_threshold(GARBAGE_MAX)
    with tempfile.TemporaryDirectory(prefix="mercato-store-", dir=".") as directory:
        Path(directory).chmod(0o711)
        asyncio.run(measure(Path(directory).resolve(), arguments.rounds))


if __name__ == "__main__":
    main()
