"""`verify` finds no violation in a shop that only the server has changed, and each invariant finds its own corruption."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.cli import verify as audit
from mercato_server.database import migrations
from mercato_server.database.pool import Conn, Pool, small_pool
from mercato_server.demo import catalog
from mercato_server.domain.order_statuses import TRANSITIONS
from mercato_server.domain.orders import STORED, OrderStatus
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import demo, sweeps
from mercato_server.store.invariants import INVARIANTS
from mercato_server.store.verify import EXAMPLES, Finding, inspect, verify
from support.corruptions import CORRUPTIONS, PREPARE
from support.databases import MIGRATED, copied, create
from support.paid_orders import place_orders, tell_stories
from support.patience import patient, until
from support.payment_corruptions import CORRUPTIONS as PAYMENT_CORRUPTIONS
from support.payment_corruptions import PREPARE as PREPARE_PAYMENTS
from support.picture_corruptions import CORRUPTIONS as PICTURE_CORRUPTIONS
from support.shop import Person, Shop, refusal, settings_of, worker

ADVANCES = {
    "paid": [order_pb2.ORDER_STATUS_PAID],
    "delivered": [order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_SHIPPED, order_pb2.ORDER_STATUS_DELIVERED],
    "refunded": [order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_REFUNDED],
}


async def advance(shop: Shop, admin: Person, order: order_pb2.Order, statuses: "list[order_pb2.OrderStatus.ValueType]") -> None:
    for status in statuses:
        request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status)
        await shop.orders.AdvanceOrder(request, metadata=(*admin.metadata, ("idempotency-key", f"{order.id}-{status}")))


async def cancel(shop: Shop, who: Person, order: order_pb2.Order) -> None:
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=who.metadata)


async def buy(shop: Shop, buyer: Person, products: list[catalog_pb2.Product], key: str | None = None) -> order_pb2.Order:
    for product in products:
        request = cart_pb2.AddCartItemRequest(product_id=product.id, quantity=2)
        await shop.carts.AddCartItem(request, metadata=(*buyer.metadata, ("idempotency-key", str(uuid.uuid4()))))
    return await shop.checkout(buyer, key)


async def trade(shop: Shop) -> None:
    """Make calls of every kind: at least one order in each state, and each way of a refusal or replay."""
    admin, buyer, other = await shop.person(admin=True), await shop.person(), await shop.person()
    ball, bike, gone = [await shop.product(admin, name=name, stock=100) for name in ("Ball", "Bike", "Gone")]
    for statuses in ADVANCES.values():
        await advance(shop, admin, await buy(shop, buyer, [ball, bike], str(uuid.uuid4())), statuses)
    await asyncio.gather(*(buy(shop, person, [ball, bike, gone], "shared") for person in (admin, buyer, other)))
    await cancel(shop, other, await shop.checkout(other, "shared"))  # the replayed one
    last = await buy(shop, admin, [gone])
    await advance(shop, admin, last, ADVANCES["paid"])
    await shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=gone.id), metadata=admin.metadata)
    await cancel(shop, admin, last)
    await shop.catalog.AdjustStock(catalog_pb2.AdjustStockRequest(product_id=ball.id, delta=-5, reason="lost"), metadata=admin.metadata)
    restocked = catalog_pb2.Product(id=bike.id, name="Bike", price=Money(minor_units=5), stock=7)
    await shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=restocked), metadata=admin.metadata)
    shirts = [
        catalog_pb2.Product(
            name=f"Shirt {size}", price=Money(minor_units=price), stock=100, options=[catalog_pb2.ProductOption(name="Size", value=size)]
        )
        for size, price in (("S", 900), ("M", 1000))
    ]
    shirt = catalog_pb2.ProductGroup(name="Shirt", code="SHIRT", varies_by=["Size"])
    await shop.catalog.UpsertProductGroup(catalog_pb2.UpsertProductGroupRequest(group=shirt, variants=shirts), metadata=admin.metadata)
    await shop.add(other, bike, 900)
    assert (await refusal(shop.checkout(other, "refused"))).reason == "OUT_OF_STOCK"
    assert (await refusal(shop.checkout(admin, "refused"))).reason == "CART_EMPTY"
    await shop.add(buyer, ball)
    assert not (await shop.checkout(buyer, "validated", validate_only=True)).id


@pytest.fixture
async def conn(pool: "Pool") -> AsyncIterator["Conn"]:
    async with pool.acquire() as conn:
        yield conn


@pytest.fixture(scope="session")
def traded_template(postgres: Postgres) -> str:
    """The name of a database in which a shop has traded; made once, because each test needs only a copy."""
    asyncio.run(_make_template(postgres, "template_traded"))
    return "template_traded"


async def _make_template(postgres: Postgres, name: str) -> None:
    url = await create(postgres, name, MIGRATED)
    async with small_pool(url) as pool:
        async with worker(settings_of(url), pool) as shop:
            await trade(shop)
            placed = await place_orders(shop)
        await tell_stories(pool, placed)


@pytest.fixture
async def traded_url(postgres: Postgres, traded_template: str) -> AsyncIterator[str]:
    """The URL of the test's own database, in which a shop has traded."""
    async with copied(postgres, traded_template) as url:
        yield url


@pytest.fixture
async def traded(traded_url: str) -> AsyncIterator["Conn"]:
    connection = await asyncpg.connect(traded_url)
    yield connection
    await connection.close()


def violated(findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    """Return the examples of each violated invariant."""
    return {item.invariant.name: item.examples for item in findings if item.violations}


async def test_nothing_is_found_in_an_empty_shop(conn: "Conn") -> None:
    findings = await verify(conn)
    assert [item.invariant for item in findings] == list(INVARIANTS)
    assert not violated(findings)
    assert not conn.is_in_transaction()


async def test_nothing_is_found_in_the_demo_shop(database: str, conn: "Conn") -> None:
    categories, products = catalog()
    assert await demo.load(database, "USD", categories, products)
    assert not violated(await verify(conn))


async def test_nothing_is_found_in_a_shop_that_trades(traded: "Conn") -> None:
    states = {row["status"] for row in await traded.fetch("SELECT status FROM orders")}
    assert states == set(STORED)
    assert await traded.fetchval("SELECT count(*) FROM cart_items") > 0
    assert not violated(await verify(traded))


AGE = (
    "UPDATE orders SET created_at = created_at - $1::text::interval",
    "UPDATE order_history SET created_at = created_at - $1::text::interval",
    "UPDATE events SET created_at = created_at - $1::text::interval",
    "UPDATE idempotency_keys SET created_at = created_at - $1::text::interval",
)


async def grow_old(conn: "Conn", age: str) -> None:
    for statement in AGE:
        await conn.execute(statement, age)


@pytest.mark.parametrize("age", ["23 hours 59 minutes", "25 hours", "6 days 23 hours 30 minutes", "8 days"])
async def test_swept_rows_are_not_reported_as_missing(traded_url: str, traded: "Conn", age: str) -> None:
    await grow_old(traded, age)
    async with small_pool(traded_url) as pool:
        await sweeps.sweep(pool)
    assert not violated(await verify(traded))


async def test_a_key_that_another_call_took_after_a_day_is_not_its_orders_any_more(shop: Shop, conn: "Conn") -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    await buy(shop, buyer, [ball], "again")
    await grow_old(conn, "25 hours")
    request = cart_pb2.AddCartItemRequest(product_id=ball.id, quantity=1)
    await shop.carts.AddCartItem(request, metadata=(*buyer.metadata, ("idempotency-key", "again")))
    assert not violated(await verify(conn))


ONLY_IN_EVERYTHING = {
    "sales: a line that was not sold",
    "restocks: a line that was not put back",
    "stored keys: an order without its key",
    "stored keys: a key without its order",
    "events: an order that was not told of",
    "events: a transition that was not told of",
    "events: another transition told of",
    "states: no history at all",
    "search: a product without its document",
    "vocabulary: a word that is not known",
    "restocks: a return that was not put back",
    "payments: a payment without its ledger",
    "refunds: a refund of another order",
    "awaited answers: a payment whose request is lost",
    "category listings: a product that its category does not list",
    "slugs: a product whose slug leads nowhere",
}
"""Corruptions that write no row of the corrupted subject: its row was deleted, or belongs to another subject now."""


@pytest.mark.parametrize(
    ("invariant", "corruption"),
    [
        pytest.param(invariant, corruption, id=f"{invariant}: {name}")
        for invariant, corruptions in (*CORRUPTIONS.items(), *PAYMENT_CORRUPTIONS.items(), *PICTURE_CORRUPTIONS.items())
        for name, corruption in corruptions.items()
    ],
)
async def test_a_corruption_is_found_by_its_invariant_and_no_other(
    traded: "Conn", request: pytest.FixtureRequest, invariant: str, corruption: str
) -> None:
    await traded.execute(PREPARE)
    await traded.execute(PREPARE_PAYMENTS)
    before = await inspect(traded)
    await traded.execute(corruption)
    found = violated(await verify(traded))
    assert list(found) == [invariant], found
    assert all("=" in example for example in found[invariant])
    recent = violated((await inspect(traded, since=before.line)).findings)
    if request.node.callspec.id in ONLY_IN_EVERYTHING:
        assert not recent
    else:
        assert invariant in recent
        assert set(recent) <= {invariant, "events"}  # a rewritten step of the history is new, and has no event


def test_every_invariant_has_its_corruptions() -> None:
    assert [invariant.name for invariant in INVARIANTS] == list(CORRUPTIONS | PAYMENT_CORRUPTIONS | PICTURE_CORRUPTIONS)


async def test_violations_are_counted_and_the_first_ones_named(traded: "Conn") -> None:
    orders = await traded.fetchval("SELECT count(*) FROM orders")
    await traded.execute("UPDATE orders SET total_minor = total_minor + 1")
    [totals] = [item for item in await verify(traded) if item.invariant.name == "totals"]
    assert (totals.violations, len(totals.examples)) == (orders, EXAMPLES)
    assert await traded.fetchval("SELECT id::text FROM orders WHERE $1 LIKE '%' || id || '%'", totals.examples[0])


async def test_each_allowed_way_holds_and_no_other(shop: Shop, conn: "Conn") -> None:
    """Every path of three states is tried: exactly the paths that money and units can take pass the check."""
    admin, buyer = await shop.person(admin=True), await shop.person()
    order = await buy(shop, buyer, [await shop.product(admin)])

    async def holds(path: list[OrderStatus]) -> bool:
        await conn.execute("DELETE FROM order_history")
        steps = [(uuid.UUID(order.id), version, status, uuid.UUID(buyer.id)) for version, status in enumerate(path, start=1)]
        await conn.executemany(
            "INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason) VALUES ($1, $2, $3, 'buyer', $4, '')",
            steps,
        )
        await conn.execute("UPDATE orders SET status = $1, version = $2", path[-1], len(path))
        return "states" not in violated(await verify(conn))

    for first in STORED:
        assert await holds([first]) == (first is OrderStatus.PLACED)
        for second in STORED:
            for third in STORED:
                allowed = {(first, second), (second, third)} <= TRANSITIONS
                if first is OrderStatus.PLACED:
                    assert await holds([first, second, third]) == allowed


@pytest.mark.parametrize(("currency", "share_minor"), [("USD", 1951), ("KWD", 1950), ("MGA", 1900)])
async def test_an_order_is_worth_its_total_less_a_share_that_the_currency_can_send(traded: "Conn", currency: str, share_minor: int) -> None:
    """Two of three lamps are cancelled, which cost 2927 after a discount of 76: ⌊2927 · 2 / 3⌋ = 1951, in steps of 1, 10 or 100."""
    await traded.execute(PREPARE_PAYMENTS)
    await traded.execute("ALTER TABLE orders DROP CONSTRAINT orders_currency_code_fkey")
    await traded.execute(
        "UPDATE order_items SET discount_minor = 76, relief_minor = 0 WHERE order_id = noted('cancelled in part') AND product_id = lamp()"
    )
    total_minor = await traded.fetchval(
        "UPDATE orders SET currency_code = $1, payment_status = 'paid', total_minor = total_minor - 76"
        " WHERE id = noted('cancelled in part') RETURNING total_minor",
        currency,
    )
    for returned_minor, holds in ((share_minor - 1, False), (share_minor, True), (share_minor + 1, False)):
        await traded.execute(
            "UPDATE payments SET captured_minor = $1, refunded_minor = $2 WHERE id = paying('cancelled in part')",
            total_minor,
            returned_minor,
        )
        assert ("statuses" not in violated(await verify(traded))) == holds


async def test_all_connections_see_one_snapshot_while_others_commit(traded_url: str, traded: "Conn") -> None:
    """A transaction holds locks until the snapshot is taken, and corrupts every table before `verify` reads it."""
    others = [await asyncpg.connect(traded_url) for _ in range(3)]
    writer, second, watcher = others
    writing = writer.transaction()
    await writing.start()
    await writer.execute(
        "LOCK TABLE orders, products, stock_levels, order_items, stock_ledger, idempotency_keys, events, order_history, cart_items"
    )
    verifying = asyncio.create_task(verify(traded, second))
    blocked = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    await until(partial(watcher.fetchval, blocked))
    await writer.execute(
        "UPDATE orders SET total_minor = total_minor + 1; UPDATE stock_levels SET on_hand = on_hand + 1; DELETE FROM events"
    )
    await writing.commit()
    assert not violated(await verifying)
    assert set(violated(await verify(traded, second))) == {"stock", "totals", "events", "statuses"}
    for other in others:
        await other.close()


TOUCH = "UPDATE orders SET total_minor = total_minor + $1 WHERE id = (SELECT id FROM orders WHERE status = 'placed' ORDER BY id LIMIT 1)"


async def test_rows_written_before_the_last_pass_are_not_checked_again(traded: "Conn") -> None:
    await traded.execute(TOUCH, 1)
    everything = await inspect(traded)
    assert list(violated(everything.findings)) == ["totals"]
    assert not violated((await inspect(traded, since=everything.line)).findings)
    await traded.execute(TOUCH, 1)
    changed = await inspect(traded, since=everything.line)
    assert [item.violations for item in changed.findings if item.invariant.name == "totals"] == [1]


async def test_a_transaction_that_commits_late_is_not_skipped(traded_url: str, traded: "Conn") -> None:
    writer = await asyncpg.connect(traded_url)
    late = writer.transaction()
    await late.start()
    await writer.execute(TOUCH, 1)
    line = (await inspect(traded)).line
    for _ in range(3):
        await traded.execute("UPDATE products SET version = version + 1")  # other transactions commit meanwhile
        found = await inspect(traded, since=line)
        assert not violated(found.findings)
        line = found.line
    await late.commit()
    assert list(violated((await inspect(traded, since=line)).findings)) == ["totals"]
    await writer.close()


async def test_a_checkout_under_way_is_no_finding(traded_url: str, traded: "Conn") -> None:
    writer = await asyncpg.connect(traded_url)
    async with writer.transaction():
        await writer.execute("UPDATE stock_levels SET on_hand = on_hand - 1; DELETE FROM order_history")
        assert not violated(await verify(traded))
    await writer.close()


@pytest.mark.race
async def test_nothing_is_found_at_any_moment_of_a_busy_shop(shop: Shop, conn: "Conn", race_rounds: int) -> None:
    for _ in range(race_rounds):
        trading = asyncio.gather(*(trade(shop) for _ in range(3)))
        line = None
        while not trading.done():
            assert not violated(await verify(conn))
            recent = await inspect(conn, since=line)
            assert not violated(recent.findings)
            line = recent.line
        await trading
        assert not violated(await verify(conn))
        assert not violated((await inspect(conn, since=line)).findings)


def mercato_verify(*arguments: str, url: str = "") -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | ({"DATABASE_URL": url} if url else {})
    command = [sys.executable, "-m", "mercato_server", "verify", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=patient(), check=False)


async def run_verify(*arguments: str, url: str = "") -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(mercato_verify, *arguments, url=url)


async def test_the_command_succeeds_and_lists_every_invariant_if_all_hold(traded_url: str) -> None:
    done = await run_verify(url=traded_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(invariant.name in done.stdout for invariant in INVARIANTS)


async def test_the_command_fails_and_names_what_is_violated(traded_url: str, traded: "Conn") -> None:
    order_ids = [row["id"] for row in await traded.fetch("UPDATE orders SET total_minor = total_minor + 1 RETURNING id")]
    done = await run_verify(url=traded_url)
    assert done.returncode == 1
    named = [line for line in done.stdout.splitlines() if line.startswith("totals: ")]
    assert len(named) == EXAMPLES + 1
    assert any(str(order_id) in named[0] for order_id in order_ids)
    assert named[-1] == f"totals: and {len(order_ids) - EXAMPLES} more"


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a watch up to the first line of its output, which is about the first pass."""
    command = (sys.executable, "-m", "mercato_server", "verify", "--watch", "0.05")
    environ = {**os.environ, "DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(patient()):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_watch_goes_on_with_what_changed_and_ends_when_something_does_not_hold(traded_url: str, traded: "Conn") -> None:
    async with watching(traded_url) as process:
        assert process.stdout
        assert b"checked everything" in await process.stdout.readline()
        assert b"checked what changed" in await process.stdout.readline()
        await traded.execute(TOUCH, 1)
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")
    assert b": 1 violations" in output
    assert b"\ntotals: order_id=" in output


async def test_a_watch_that_is_interrupted_checks_everything_at_the_end(traded_url: str, traded: "Conn") -> None:
    async with watching(traded_url) as process:
        assert process.stdout
        await process.stdout.readline()
        await traded.execute("DELETE FROM events WHERE kind = 'order.paid'")  # the corruption is in no row that has changed since
        assert b"checked what changed" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")
    assert b"\nevents: order_id=" in output


async def test_the_command_fails_if_the_schema_is_missing(empty_database: str) -> None:
    done = await run_verify(url=empty_database)
    assert (done.returncode, done.stdout) == (1, "")
    assert "mercato migrate" in done.stderr


@pytest.mark.parametrize("url", ["postgresql://mercato@127.0.0.1:1/mercato", "postgresql://mercato@/mercato?host=/nonexistent"])
async def test_the_command_fails_if_the_database_cannot_be_reached(url: str) -> None:
    done = await run_verify(url=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mercato: cannot reach the database: ")
    assert done.stderr.count("\n") == 1


async def test_the_command_checks_a_data_directory(own_postgres: Postgres, tmp_path: Path) -> None:
    await migrations.migrate(own_postgres.url())
    done = await run_verify("--data-dir", str(own_postgres.run_dir.parent))
    assert (done.returncode, done.stderr) == (0, "")
    done = await run_verify("--data-dir", str(tmp_path))
    assert (done.returncode, "there is no database" in done.stderr) == (1, True)


def test_a_terminal_gets_a_table() -> None:
    output = StringIO()
    finding = Finding(INVARIANTS[0], 2, ("product_id=[bold]1",), 0.0123)
    audit.show([finding], Console(file=output, force_terminal=True, color_system=None, width=120))
    assert "┃ invariant ┃" in output.getvalue()
    assert output.getvalue().splitlines()[-2:] == ["stock: product_id=[bold]1", "stock: and 1 more"]
