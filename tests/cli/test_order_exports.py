"""`mercato export orders` and `mercato export refunds`, as an accountant's operator runs them. Expected amounts are computed by hand."""

import csv
import io
import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mercato.v1 import order_pb2, promotion_pb2, shop_pb2, user_pb2
from mercato.v1.order_pb2 import Order
from mercato_server.database.pool import Pool
from mercato_server.store.order_exports import Export, export
from support.commands import Mercato
from support.market import BERLIN, VIENNA, Market, market
from support.shop import Shop

HEADER = (
    "order_number,order_id,placed_at,changed_at,status,currency_code,kind,item_id,name,quantity,unit_price_minor,discount_minor,"
    "relief_minor,net_minor,tax_rate_ppm,tax_minor,gross_minor,country_code,tax_treatment,vat_number,options_text"
)
AMOUNTS = (
    *("kind", "name", "quantity", "unit_price_minor", "discount_minor", "relief_minor"),
    *("net_minor", "tax_rate_ppm", "tax_minor", "gross_minor"),
)
ALWAYS = ("--from", "2000-01-01", "--to", "2200-01-01")

Row = dict[str, str]


@pytest.fixture
async def trade(shop: Shop) -> Market:
    """A shop that charges tax and delivery."""
    return await market(shop)


def rows(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text)))


def amounts(found: list[Row]) -> list[str]:
    return [" ".join(row[name] or "-" for name in AMOUNTS) for row in found]


async def buy(trade: Market, *products: Any, treatment: int = 0, **header: Any) -> Order:
    """Buy a unit of each product, to Berlin by parcel if the header has no other address."""
    buyer = await trade.shop.person()
    if treatment not in (0, user_pb2.TAX_TREATMENT_NORMAL):
        wanted = user_pb2.UpdateUserRequest(user_id=buyer.id, tax_treatment=treatment, tax_number="ATU12345675")  # type: ignore[arg-type]
        await trade.shop.users.UpdateUser(wanted, metadata=trade.admin.metadata)
    for product in products:
        await trade.shop.add(buyer, product)
    if header:
        await trade.header(buyer, shipping_method_id=trade.parcel_id, **header)
    return await trade.shop.checkout(buyer)


async def advance(trade: Market, order: Order, *statuses: order_pb2.OrderStatus.ValueType) -> Order:
    for status in statuses:
        request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status)
        order = await trade.shop.orders.AdvanceOrder(request, metadata=trade.admin.metadata)
    return order


async def set_time_zone(trade: Market, zone: str) -> None:
    request = shop_pb2.UpdateShopRequest(shop=shop_pb2.Shop(time_zone=zone))
    await trade.shop.settings.UpdateShop(request, metadata=trade.admin.metadata)


async def test_an_order_has_a_row_for_each_line_and_each_rate_of_its_delivery(trade: Market, mercato: Mercato) -> None:
    await trade.promotion("TEN")
    goods = [await trade.ball(2_000), await trade.ball(1_000, name="Book", tax_category="reduced")]
    order = await buy(trade, *goods, shipping_address=BERLIN, codes=["TEN"])
    done = mercato("export", "orders", *ALWAYS)
    assert (done.returncode, done.stderr) == (0, "4 rows\n")
    assert done.stdout.splitlines()[0] == HEADER
    found = rows(done.stdout)
    # 18.00 at 19 % has 2.87, 9.00 at 7 % has 0.59; 4.90 is split 3.27 (0.52) to 1.63 (0.11).
    assert amounts(found) == [
        "product Ball 1 2000 200 0 1513 190000 287 1800",
        "product Book 1 1000 100 0 841 70000 59 900",
        "delivery Parcel 1 490 0 0 275 190000 52 327",
        "delivery Parcel - - - - 152 70000 11 163",
    ]
    shared = {(row["order_number"], row["order_id"], row["status"], row["currency_code"], row["country_code"]) for row in found}
    assert shared == {(order.number, order.id, "placed", "USD", "DE")}
    assert {row["placed_at"] for row in found} == {order.create_time.ToDatetime().isoformat(timespec="seconds") + "+00:00"}
    assert [row["item_id"] for row in found] == [*(line.product_id for line in order.lines), trade.parcel_id, trade.parcel_id]
    assert sum(int(row["gross_minor"]) for row in found) == order.total.minor_units == 3_190


async def test_orders_without_tax_or_with_reverse_charge_or_free_delivery_are_told_apart(trade: Market, mercato: Mercato) -> None:
    plain = await buy(trade, await trade.shop.product(trade.admin, price=1_999))
    reverse = await buy(
        trade, await trade.ball(2_400), shipping_address=VIENNA, billing_address=VIENNA, treatment=user_pb2.TAX_TREATMENT_REVERSE_CHARGE
    )
    free = promotion_pb2.PROMOTION_KIND_FREE_DELIVERY
    await trade.promotion("FREE", kind=free)
    given = await buy(trade, await trade.ball(1_190), shipping_address=BERLIN, codes=["FREE"])
    await trade.shop.pool.execute('UPDATE orders SET billing_address = billing_address || \'{"vat_number": "ATU12345675"}\'')
    found = rows(mercato("export", "orders", *ALWAYS).stdout)
    by_order = {order.id: [row for row in found if row["order_id"] == order.id] for order in (plain, reverse, given)}
    assert amounts(by_order[plain.id]) == ["product Ball 1 1999 0 0 1999 - 0 1999"]
    # 20/120 of 24.00 is 4.00, of 4.90 is 0.82.
    assert amounts(by_order[reverse.id]) == ["product Ball 1 2400 0 400 2000 200000 0 2000", "delivery Parcel 1 490 0 82 408 - 0 408"]
    # 19/119 of 11.90 is 1.90.
    assert amounts(by_order[given.id]) == ["product Ball 1 1190 0 0 1000 190000 190 1190", "delivery Parcel 1 490 490 0 0 - 0 0"]
    told = {order_id: {(row["country_code"], row["tax_treatment"], row["vat_number"]) for row in of} for order_id, of in by_order.items()}
    assert told == {
        plain.id: {("", "normal", "")},
        reverse.id: {("AT", "reverse_charge", "ATU12345675")},
        given.id: {("DE", "normal", "")},
    }
    for order in (plain, reverse, given):
        assert sum(int(row["gross_minor"]) for row in by_order[order.id]) == order.total.minor_units


async def test_tax_comes_on_top_where_prices_do_not_include_it(trade: Market, mercato: Mercato) -> None:
    request = shop_pb2.UpdateShopRequest(shop=shop_pb2.Shop(prices_include_tax=False))
    await trade.shop.settings.UpdateShop(request, metadata=trade.admin.metadata)
    goods = [await trade.ball(1_000), await trade.ball(1_000, name="Stamp", tax_category="")]
    order = await buy(trade, *goods, shipping_address=BERLIN)
    # 19 % of 10.00 is 1.90; half of 4.90 is taxed: 19 % of 2.45 is 0.4655.
    found = rows(mercato("export", "orders", *ALWAYS).stdout)
    assert amounts(found) == [
        "product Ball 1 1000 0 0 1000 190000 190 1190",
        "product Stamp 1 1000 0 0 1000 - 0 1000",
        "delivery Parcel 1 490 0 0 245 190000 47 292",
        "delivery Parcel - - - - 245 - 0 245",
    ]
    assert sum(int(row["gross_minor"]) for row in found) == order.total.minor_units == 2_727


SUMS = """
SELECT id::text, total_minor,
       (SELECT sum(quantity * unit_price_minor) FROM order_items WHERE order_id = id) + coalesce(delivery_minor, 0) AS price_minor,
       coalesce((SELECT sum(amount_minor) FROM order_discounts WHERE order_id = id), 0) AS discount_minor,
       coalesce((SELECT sum(tax_minor) FROM order_taxes WHERE order_id = id), 0) AS tax_minor,
       coalesce((SELECT sum(net_minor) FROM order_taxes WHERE order_id = id), 0) AS taxed_minor
  FROM orders
"""


async def test_the_sums_of_the_rows_are_those_of_the_orders(trade: Market, mercato: Mercato) -> None:
    await trade.promotion("TEN")
    goods = [await trade.ball(price, name=f"{price}", tax_category=tax) for price, tax in ((333, "standard"), (77, "reduced"), (1, ""))]
    for included in (True, False):
        for rounding in (shop_pb2.TAX_ROUNDING_LINE, shop_pb2.TAX_ROUNDING_ORDER):
            shop = shop_pb2.Shop(prices_include_tax=included, tax_rounding=rounding)
            await trade.shop.settings.UpdateShop(shop_pb2.UpdateShopRequest(shop=shop), metadata=trade.admin.metadata)
            for treatment in (user_pb2.TAX_TREATMENT_NORMAL, user_pb2.TAX_TREATMENT_EXEMPT):
                await buy(trade, *goods, shipping_address=BERLIN, treatment=treatment, codes=["TEN"])
                await buy(trade, *goods[:1], shipping_address=VIENNA, treatment=treatment)
                await buy(trade, await trade.shop.product(trade.admin, price=5), treatment=treatment)
    orders = {row["id"]: row for row in await trade.shop.pool.fetch(SUMS)}
    found = rows(mercato("export", "orders", *ALWAYS).stdout)
    assert {row["order_id"] for row in found} == set(orders)
    assert len(orders) == 24

    def total(name: str, of: list[Row]) -> int:
        return sum(int(row[name] or 0) for row in of)

    for order_id, order in orders.items():
        of = [row for row in found if row["order_id"] == order_id]
        assert total("gross_minor", of) == order["total_minor"]
        assert sum(int(row["quantity"] or 0) * int(row["unit_price_minor"] or 0) for row in of) == order["price_minor"]
        assert total("discount_minor", of) == order["discount_minor"]
        assert total("tax_minor", of) == order["tax_minor"]
        taxed = [row for row in of if row["tax_rate_ppm"] and row["tax_treatment"] == "normal"]
        assert total("net_minor", taxed) == order["taxed_minor"]
        assert all(int(row["net_minor"]) + int(row["tax_minor"]) == int(row["gross_minor"]) for row in of)


async def test_days_are_those_of_the_time_zone_of_the_shop(trade: Market, mercato: Mercato) -> None:
    product = await trade.shop.product(trade.admin, stock=100)
    await set_time_zone(trade, "Europe/Berlin")
    # The clocks of Berlin go forward on 2026-03-29, which has 23 hours: from 23:00 UTC to 22:00 UTC.
    times = ("2026-03-28T22:59:59.999999", "2026-03-28T23:00", "2026-03-29T21:59:59.999999", "2026-03-29T22:00")
    orders = {}
    for moment in times:
        orders[moment] = await buy(trade, product)
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        await trade.shop.pool.execute("UPDATE orders SET created_at = $2, updated_at = $2 WHERE id = $1", orders[moment].id, at)
    found = rows(mercato("export", "orders", "--from", "2026-03-29", "--to", "2026-03-30").stdout)
    assert [row["order_id"] for row in found] == [orders[moment].id for moment in times[1:3]]
    assert [row["placed_at"] for row in found] == ["2026-03-29T00:00:00+01:00", "2026-03-29T23:59:59+02:00"]
    assert [row["changed_at"] for row in found] == [row["placed_at"] for row in found]
    assert rows(mercato("export", "orders", "--from", "2026-03-30", "--to", "2026-03-31").stdout)[0]["order_id"] == orders[times[3]].id
    assert rows(mercato("export", "orders", "--from", "2026-03-27", "--to", "2026-03-28").stdout) == []
    today, tomorrow = datetime.now(UTC).date(), "2200-01-01"
    await buy(trade, product)
    assert len(rows(mercato("export", "orders", "--from", str(today.replace(day=1)), "--to", tomorrow).stdout)) == 1


async def test_refunds_are_negative_and_of_the_day_on_which_the_order_became_refunded(trade: Market, mercato: Mercato) -> None:
    refunded, other = [await buy(trade, await trade.ball(1_190), shipping_address=BERLIN) for _ in "12"]
    await advance(trade, refunded, order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_REFUNDED)
    await advance(trade, other, order_pb2.ORDER_STATUS_PAID)
    await trade.shop.pool.execute("UPDATE order_history SET created_at = '2026-05-02 10:00Z' WHERE status = 'refunded'")
    found = rows(mercato("export", "refunds", "--from", "2026-05-02", "--to", "2026-05-03").stdout)
    # 19/119 of 11.90 is 1.90, of 4.90 is 0.78.
    assert amounts(found) == ["product Ball -1 1190 0 0 -1000 190000 -190 -1190", "delivery Parcel -1 490 0 0 -412 190000 -78 -490"]
    assert {(row["order_id"], row["status"], row["changed_at"]) for row in found} == {
        (refunded.id, "refunded", "2026-05-02T10:00:00+00:00")
    }
    assert mercato("export", "refunds", "--from", "2026-05-03", "--to", "2026-05-04").stdout == f"{HEADER}\n"
    assert len(rows(mercato("export", "orders", *ALWAYS).stdout)) == 4  # the refunded one too


async def test_no_cell_is_a_formula_in_a_spreadsheet(trade: Market, mercato: Mercato, tmp_path: Path) -> None:
    names = ("=1+1", "+1", "-1", "@SUM(1)", "\uff1d1", "'=1", 'a "quoted", =name')
    for name in names:
        await buy(trade, await trade.ball(name=name), shipping_address=BERLIN, billing_address=VIENNA)
    await trade.shop.pool.execute('UPDATE orders SET billing_address = billing_address || \'{"vat_number": "=HYPERLINK(1)"}\'')
    assert mercato("export", "orders", "out.csv", *ALWAYS).returncode == 0
    found = rows((tmp_path / "out.csv").read_text("utf-8"))
    assert [row["name"] for row in found if row["kind"] == "product"] == [name if name[0] == "a" else f"'{name}" for name in names]
    assert {row["vat_number"] for row in found} == {"'=HYPERLINK(1)"}


MANY = """
WITH account AS (
    INSERT INTO accounts (email, full_name, role, password_hash) VALUES ('a@example.com', '', 'user', '') RETURNING id
), placed AS (
    INSERT INTO orders (account_id, status, currency_code, total_minor)
    SELECT id, 'placed', 'USD', 10 FROM account, generate_series(1, $1)
    RETURNING id
)
INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
SELECT id, uuidv7(), repeat('x', 200), 1, 'USD', 1 FROM placed, generate_series(1, 10)
"""


class Counted(io.RawIOBase):
    """A file that only counts what is written into it."""

    bytes = 0
    longest = 0

    def write(self, chunk: Any) -> int:
        self.bytes += len(chunk)
        self.longest = max(self.longest, len(chunk))
        return len(chunk)


async def test_the_memory_of_an_export_does_not_grow_with_the_orders(pool: "Pool") -> None:
    await pool.execute(MANY.replace("$1", "4000"))
    file = Counted()
    tracemalloc.start()
    written = await export(pool, Export.ORDERS, date(2000, 1, 1), date(2200, 1, 1), file)  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written == 40_000
    assert file.bytes > 14_000_000
    assert file.longest < 1_000_000
    assert peak < 4_000_000


async def test_an_export_reads_the_orders_of_its_days_only(pool: "Pool") -> None:
    await pool.execute(MANY.replace("$1", "3000"))
    await pool.execute("ANALYZE; SELECT pg_stat_force_next_flush()")
    reads = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'orders'"
    before = await pool.fetchval(reads)
    assert await export(pool, Export.ORDERS, date(2020, 1, 1), date(2020, 2, 1), Counted()) == 0  # type: ignore[arg-type]
    await pool.execute("SELECT pg_stat_force_next_flush()")
    assert await pool.fetchval(reads) - before < 10


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_wrong_arguments_are_refused_and_write_nothing(shop: Shop, mercato: Mercato, tmp_path: Path) -> None:
    for arguments, told in (
        (("orders",), "--from and --to"),
        (("orders", "out.csv", "--from", "2026-01-01"), "--from and --to"),
        (("refunds", "--from", "2026-01-01", "--to", "2026-01-01"), "later than --from"),
        (("orders", "--from", "2026-01-02", "--to", "2026-01-01"), "later than --from"),
        (("orders", "--from", "0001-01-01", "--to", "2026-01-01"), "before 1970"),
        (("orders", "--from", "2026-02-30", "--to", "2026-03-01"), "does not match"),
        (("orders", "--from", "1.1.2026", "--to", "2026-03-01"), "does not match"),
        (("orders", "a.csv", "b.csv", *ALWAYS), "unexpected extra argument (b.csv)"),
        (("a.csv", "b.csv"), "unexpected extra argument (b.csv)"),
        (("a.csv", *ALWAYS), "are for orders and refunds"),
    ):
        done = mercato("export", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert told in " ".join(done.stderr.replace("\u2502", " ").split()), done.stderr
    assert files(tmp_path) == []
    await shop.product(await shop.person(admin=True), sku="BALL")
    assert mercato("export", "./orders").stderr == "1 products\n"
    assert "BALL" in (tmp_path / "orders").read_text()
    assert mercato("export", "orders", "orders.csv", *ALWAYS).returncode == 0
    assert files(tmp_path) == ["orders", "orders.csv"]
