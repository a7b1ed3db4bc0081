"""Measure the database's processor time for `mercato verify --watch` while buyers check out: a full pass, and passes over changes.

With `--beside` measure the checkouts instead, with and without the periodic check of a worker beside them, among orders of a past year.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

import asyncpg

import past_orders
from mercato_server.background.verification import SAMPLE
from mercato_server.cli import verify as audit
from mercato_server.config.settings import OrderRules, Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import orders, search_documents
from mercato_server.store.idempotency import IdempotencyKey
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.verify import claim, inspect
from stage import processor_s

LINES = 3
INTERVAL_S = 1.0
SHOP = orders.Shop("USD", OrderRules(open_orders=0))

MAKE_SHOP = """
INSERT INTO accounts (email, full_name, role, password_hash)
SELECT number || '@example.com', '', 'user', '' FROM generate_series(1, 32) AS number;
INSERT INTO shop (currency_code) VALUES ('USD');
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'Thing ' || number, '', number, 'USD', '{}' FROM generate_series(1, 1000) AS number;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1000000 FROM products;
INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) SELECT product_id, 'initial', on_hand, 'system' FROM stock_levels;
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM accounts;
"""

FILL_CARTS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT account_id, product.id, 1, product.price_minor, 'USD'
  FROM unnest($1::uuid[]) AS account_id
 CROSS JOIN LATERAL (SELECT id, price_minor FROM products WHERE account_id IS NOT NULL ORDER BY random() LIMIT $2) AS product
"""

# Each order that was placed so far was paid by card, has left in one parcel, and has arrived.
DELIVER = """
INSERT INTO payments (order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, captured_minor)
SELECT id, 'stripe', 'online', 'pi_' || id, 'captured', false, 'USD', total_minor, total_minor FROM orders ORDER BY id;
INSERT INTO payment_ledger (payment_id, kind, provider_ref, amount_minor, currency_code)
SELECT id, 'captured', provider_ref, amount_minor, 'USD' FROM payments ORDER BY id;
INSERT INTO provider_requests (provider, kind, payment_id, amount_minor, outcome, settled_at)
SELECT provider, 'create', id, amount_minor, 'succeeded', now() FROM payments ORDER BY id;
INSERT INTO shipments (order_id, state, carrier, tracking_number, tracking_url, actor_kind)
SELECT id, 'delivered', '', '', '', 'administrator' FROM orders ORDER BY id;
INSERT INTO shipment_items (shipment_id, product_id, quantity)
SELECT id, product_id, quantity FROM shipments JOIN order_items USING (order_id) ORDER BY id, product_id;
UPDATE order_items SET shipped = quantity, delivered = quantity;
UPDATE orders
   SET status = 'delivered', version = 4, booked_version = 4, payment_status = 'paid', fulfillment_status = 'delivered';
INSERT INTO order_history (order_id, version, status, actor_kind, reason)
SELECT id, step.version, step.status, 'administrator', ''
  FROM orders
 CROSS JOIN (VALUES (2, 'paid'), (3, 'shipped'), (4, 'delivered')) AS step (version, status)
 ORDER BY id, step.version;
INSERT INTO events (kind, subject_id)
SELECT 'order.' || status, order_id FROM order_history WHERE version > 1 ORDER BY order_id, version;
"""


class Trade:
    """Buyers who check out without a pause, all of them in each batch."""

    def __init__(self, pool: "Pool", sessions: Mapping[UUID, UUID]) -> None:
        """`sessions` gives the session of each account."""
        self._pool = pool
        self.buyers = sessions
        self.placed = 0

    async def batch(self) -> None:
        """Fill every cart and buy it."""
        await self._pool.execute(FILL_CARTS, [*self.buyers], LINES)
        await self._check_out()

    async def _check_out(self) -> None:
        checkouts = [Checkout(account_id, session_id, self._key(account_id)) for account_id, session_id in self.buyers.items()]
        for outcome in await orders.checkout(self._pool, checkouts, SHOP):
            if isinstance(outcome, Exception):
                raise outcome
        self.placed += len(checkouts)

    async def until(self, is_over: Callable[[], bool]) -> list[float]:
        """Buy until a condition holds, ten times at least; return the seconds of each batch, without the filling of carts."""
        times: list[float] = []
        while len(times) < 10 or not is_over():
            await self._pool.execute(FILL_CARTS, [*self.buyers], LINES)
            began = time.perf_counter()
            await self._check_out()
            times.append(time.perf_counter() - began)
        return times

    async def go_on(self) -> None:
        """Buy until cancelled."""
        while True:
            await self.batch()

    def _key(self, account_id: UUID) -> IdempotencyKey:
        method = "/mercato.v1.OrderService/Checkout"
        return IdempotencyKey(account_id, str(self.placed), method, b"", lambda order: f"{order.id}{'x' * 500}".encode())


async def measure(directory: Path, order_count: int, passes: int, *, delivered: bool) -> None:
    """Print the processor time of the passes, in milliseconds; the orders that were placed before can be delivered."""
    # The data are disposable, and the disk is not measured.
    server = Postgres(directory, durable=False)
    await server.start()
    try:
        await migrations.migrate(server.url())
        async with await create_pool(Settings(database_url=server.url(), secret_key="x" * 32)) as pool:
            await pool.execute(MAKE_SHOP)
            async with pool.acquire() as conn:
                await search_documents.index(conn, [row["id"] for row in await conn.fetch("SELECT id FROM products")])
            trade = Trade(pool, {row["account_id"]: row["id"] for row in await pool.fetch("SELECT account_id, id FROM sessions")})
            while trade.placed < order_count:
                await trade.batch()
            if delivered:
                await _deliver(server.url())
            await pool.execute("ANALYZE")
            await _report(server.url(), trade, passes)
    finally:
        await server.stop()


async def beside(directory: Path, order_count: int, rounds: int) -> None:
    """Print the times of checkouts beside passes of the periodic check and without, in turns of equal length."""
    server = Postgres(directory, durable=False)
    await server.start()
    try:
        await migrations.migrate(server.url())
        conn = await asyncpg.connect(server.url())
        await conn.execute(MAKE_SHOP)
        await search_documents.index(conn, [row["id"] for row in await conn.fetch("SELECT id FROM products")])
        await past_orders.make(conn, order_count)
        async with await create_pool(Settings(database_url=server.url(), secret_key="x" * 32)) as pool:
            trade = Trade(pool, {row["account_id"]: row["id"] for row in await pool.fetch("SELECT account_id, id FROM sessions")})
            await claim(conn)
            line = None
            for number in range(rounds + 1):
                before = processor_s(conn.get_server_pid())
                checking = asyncio.create_task(inspect(conn, since=line, recompute=SAMPLE))
                began, checked = time.perf_counter(), await trade.until(checking.done)
                line, cost_s = checking.result().line, processor_s(conn.get_server_pid()) - before
                plain = await trade.until(asyncio.create_task(asyncio.sleep(time.perf_counter() - began)).done)
                kind = "changes" if number else "everything"
                told = f"{kind}: {cost_s:.1f} s of a core; a batch of {len(trade.buyers)}, ms: median"
                medians = [1000 * statistics.median(each) for each in (checked, plain)]
                highest = [1000 * statistics.quantiles(each, n=100)[98] for each in (checked, plain)]
                print(f"{told} {medians[0]:.1f} beside, {medians[1]:.1f} without; p99 {highest[0]:.1f} beside, {highest[1]:.1f} without")
    finally:
        await server.stop()


async def _deliver(url: str) -> None:
    """Deliver all orders, over a connection without a worker's time limits."""
    conn = await asyncpg.connect(url)
    await conn.execute(DELIVER)
    await conn.execute("VACUUM")
    await conn.close()


async def _report(url: str, trade: Trade, passes: int) -> None:
    conns = [await asyncpg.connect(url) for _ in range(audit.LANES)]
    pids = [conn.get_server_pid() for conn in conns]
    trading = asyncio.create_task(trade.go_on())
    line, costs, changed = None, [], []
    for _ in range(passes + 1):
        before = sum(map(processor_s, pids))
        found = await inspect(*conns, since=line)
        costs.append((sum(map(processor_s, pids)) - before) * 1000)
        if any(finding.violations for finding in found.findings):
            raise SystemExit("an invariant does not hold")
        line, placed = found.line, trade.placed
        await asyncio.sleep(INTERVAL_S)
        changed.append(trade.placed - placed)
    trading.cancel()
    for conn in conns:
        await conn.close()
    everything, *recent = costs
    print(f"{trade.placed} orders; everything: {everything:.0f} ms of a core; ", end="")
    print(f"{statistics.median(changed):.0f} orders since the last pass: {statistics.median(recent):.0f} ms")


def main() -> None:
    """Run the measurement that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--beside", action="store_true", help="measure checkouts beside the periodic check")
    parser.add_argument("--delivered", action="store_true", help="pay, ship and deliver all orders before the measurement")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mercato-verify-", dir=".") as directory:
        Path(directory).chmod(0o711)
        place = Path(directory).resolve()
        if arguments.beside:
            asyncio.run(beside(place, arguments.orders, arguments.passes))
        else:
            asyncio.run(measure(place, arguments.orders, arguments.passes, delivered=arguments.delivered))


if __name__ == "__main__":
    main()
