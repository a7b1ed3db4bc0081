"""The demo shop charges real taxes and delivers. Expected amounts are computed by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mercato.v1 import cart_pb2, catalog_pb2, tax_pb2
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server import demo
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.demo.prices import method_id, prices
from mercato_server.store.demo import load
from mercato_server.store.verify import verify
from support.demo_shop import load_whole
from support.market import BERLIN, BERN, VIENNA, Market
from support.shop import CALL_S, Person, refusal, worker

PARCEL, EXPRESS, PICK_UP = (str(method_id(number)) for number in range(3))
AMSTERDAM = PostalAddress(country_code="NL", recipient="Jo Doe", street_lines=["Dam 1"], city="Amsterdam", postal_code="1012 JS")
BRUSSELS = PostalAddress(country_code="BE", recipient="Jo Doe", street_lines=["Rue de la Loi 16"], city="Bruxelles", postal_code="1000")
PARIS = PostalAddress(country_code="FR", recipient="Jo Doe", street_lines=["5 avenue Anatole France"], city="Paris", postal_code="75007")
SOCKS, GELS, BALL, JUNIOR_BALL, KETTLEBELL = "RUN-0008", "RUN-0025", "FTB-0002", "FTB-0003", "FIT-0012"

RATES = {
    ("AT", "reduced"): 100_000,
    ("AT", "standard"): 200_000,
    ("BE", "reduced"): 60_000,
    ("BE", "standard"): 210_000,
    ("DE", "reduced"): 70_000,
    ("DE", "standard"): 190_000,
    ("FR", "reduced"): 55_000,
    ("FR", "standard"): 200_000,
    ("NL", "reduced"): 90_000,
    ("NL", "standard"): 210_000,
}
"""As lists of the rates of member states have them, for goods in general and for food."""


@pytest.fixture
async def trade(settings: Settings, pool: "Pool", tmp_path: Path) -> AsyncIterator[Market]:
    """A worker of the demo shop."""
    assert await load_whole(settings.database_url, tmp_path)
    async with worker(settings, pool) as shop:
        yield Market(shop, await shop.person(admin=True))


async def product(trade: Market, sku: str) -> catalog_pb2.Product:
    """Return a product of the catalog."""
    return catalog_pb2.Product(id=await trade.shop.pool.fetchval("SELECT id::text FROM products WHERE sku = $1", sku))


async def buyer_of(trade: Market, *skus: str, to: PostalAddress | None = BERLIN, **header: object) -> Person:
    """Return a buyer whose cart has a unit of each product, and goes somewhere by parcel."""
    buyer = await trade.shop.person()
    for sku in skus:
        await trade.shop.add(buyer, await product(trade, sku))
    await trade.header(buyer, **{"shipping_address": to, "shipping_method_id": PARCEL, **header})
    return buyer


async def options(trade: Market, buyer: Person) -> dict[str, int]:
    """Return the price of each way of delivery, by its name."""
    request = cart_pb2.GetShippingOptionsRequest()
    answer = await trade.shop.carts.GetShippingOptions(request, metadata=buyer.metadata, timeout=CALL_S)
    return {option.name: option.price.minor_units for option in answer.options}


async def violated(pool: "Pool") -> list[str]:
    async with pool.acquire() as conn:
        return [f"{each.invariant.name}: {each.examples}" for each in await verify(conn) if each.violations]


async def test_a_purchase_has_the_tax_the_delivery_and_the_discount_of_its_address(trade: Market) -> None:
    buyer = await buyer_of(trade, SOCKS, SOCKS, GELS, codes=["welcome10"])
    order = await trade.shop.checkout(buyer, quote_id=(await trade.quote(buyer)).id)
    # Ten percent of 29.98 + 23.99 is 5.397. 5.40 is divided: 2.9996 and 2.4004. The goods weigh 800 g.
    assert [line.discount.minor_units for line in order.price.lines] == [300, 240]
    assert (order.price.delivery.name, order.price.delivery.price.minor_units) == ("Parcel", 490)
    assert order.total.minor_units == 2_998 + 2_399 - 540 + 490
    # 19/119 of 26.98 is 4.3077, 7/107 of 21.59 is 1.4124. The parcel is divided 2.7219 to 2.1781: 0.4343 and 0.1426.
    assert [line.tax.minor_units for line in order.price.lines] == [431, 141]
    assert order.price.delivery.tax.minor_units == 43 + 14
    assert [(tax.name, tax.rate_ppm, tax.tax.minor_units, tax.net.minor_units) for tax in order.price.taxes] == [
        ("USt", 190_000, 431 + 43, 2_698 + 272 - 474),
        ("USt", 70_000, 141 + 14, 2_159 + 218 - 155),
    ]
    assert await violated(trade.shop.pool) == []


# Of the socks at 14.99 and the gels at 23.99. The parcel costs 12.90, which is divided 4.96 to 7.94.
@pytest.mark.parametrize(
    ("address", "taxes"),
    [
        (VIENNA, [250 + 83, 218 + 72]),  # 20/120 of 14.99 and 4.96: 2.4983, 0.8267; 10/110 of 23.99 and 7.94: 2.1809, 0.7218
        (BRUSSELS, [260 + 86, 136 + 45]),  # 21/121: 2.6016, 0.8608; 6/106: 1.3579, 0.4494
        (PARIS, [250 + 83, 125 + 41]),  # 20/120 as in Vienna; 5.5/105.5: 1.2507, 0.4139
        (AMSTERDAM, [260 + 86, 198 + 66]),  # 21/121 as in Brussels; 9/109: 1.9808, 0.6556
    ],
    ids=["Vienna", "Brussels", "Paris", "Amsterdam"],
)
async def test_the_rates_are_those_of_the_destination(trade: Market, address: PostalAddress, taxes: list[int]) -> None:
    cart = await trade.cart(await buyer_of(trade, SOCKS, GELS, to=address))
    assert sorted((tax.tax.minor_units for tax in cart.price.taxes), reverse=True) == taxes
    assert cart.total.minor_units == 1_499 + 2_399 + 1_290


async def test_a_product_of_an_old_client_costs_its_price_and_needs_no_address(trade: Market) -> None:
    plain = await trade.shop.product(trade.admin, price=1_999)
    buyer = await trade.shop.person()
    cart = await trade.shop.add(buyer, plain, 2)
    assert (cart.total.minor_units, cart.missing, cart.HasField("price")) == (3_998, "", False)
    order = await trade.shop.checkout(buyer, expected_total=cart.total)
    assert (order.total.minor_units, order.HasField("price")) == (3_998, False)
    assert await violated(trade.shop.pool) == []


async def test_goods_of_the_demo_shop_need_an_address(trade: Market) -> None:
    buyer = await buyer_of(trade, SOCKS, to=None)
    assert (await refusal(trade.shop.checkout(buyer))).reason == "ADDRESS_REQUIRED"


async def test_a_football_of_three_is_free_with_the_code(trade: Market) -> None:
    buyer = await buyer_of(trade, BALL, BALL, JUNIOR_BALL, SOCKS)
    assert (await trade.cart(buyer)).price.discount.minor_units == 0
    await trade.header(buyer, codes=["TEAM3"])
    cart = await trade.cart(buyer)
    assert [(each.name, each.amount.minor_units) for each in cart.price.discounts] == [("Football: three for the price of two", 1_799)]


async def test_the_delivery_of_goods_for_thirty_is_free_with_the_code(trade: Market) -> None:
    buyer = await buyer_of(trade, SOCKS, SOCKS, codes=["FREESHIP"])
    assert (await trade.cart(buyer)).total.minor_units == 2_998 + 490
    await trade.shop.add(buyer, await product(trade, "FTB-0019"))
    assert (await trade.cart(buyer)).total.minor_units == 2_998 + 699


async def test_a_buyer_has_ten_percent_off_once(trade: Market) -> None:
    buyer = await buyer_of(trade, SOCKS, codes=["WELCOME10"])
    assert (await trade.shop.checkout(buyer)).price.discount.minor_units == 150
    await trade.shop.add(buyer, await product(trade, SOCKS))
    again = trade.header(buyer, shipping_address=BERLIN, shipping_method_id=PARCEL, codes=["WELCOME10"])
    assert (await refusal(again)).reason == "PROMOTION_EXHAUSTED"


async def test_each_zone_has_its_prices_and_methods(trade: Market) -> None:
    assert await options(trade, await buyer_of(trade, BALL)) == {"Parcel": 490, "Express": 1_490, "Pick-up point": 290}
    assert await options(trade, await buyer_of(trade, BALL, to=VIENNA)) == {"Parcel": 1_290, "Express": 2_990}
    assert await options(trade, await buyer_of(trade, BALL, to=BERN)) == {}
    # Two kettlebells of 16 kg weigh 32.8 kg, and cost 105.98: from 100.00 on the parcel is free in Germany.
    assert await options(trade, await buyer_of(trade, KETTLEBELL, KETTLEBELL)) == {"Parcel": 0}
    assert await options(trade, await buyer_of(trade, KETTLEBELL, KETTLEBELL, to=VIENNA)) == {"Parcel": 2_990}


async def test_the_rates_are_those_in_force(trade: Market) -> None:
    listed = await trade.shop.taxes.ListTaxRates(tax_pb2.ListTaxRatesRequest(page_size=50), metadata=trade.admin.metadata)
    assert {(rate.country_code, rate.tax_category): rate.rate_ppm for rate in listed.tax_rates} == RATES
    assert not any(rate.HasField("valid_until") for rate in listed.tax_rates)


async def test_every_promotion_needs_its_code(trade: Market) -> None:
    rows = await trade.shop.pool.fetch("SELECT code, needs_code FROM promotions JOIN promotion_codes ON promotion_id = id ORDER BY code")
    assert [tuple(row) for row in rows] == [("FREESHIP", True), ("TEAM3", True), ("WELCOME10", True)]


async def snapshot(pool: "Pool") -> list[str]:
    """Return all rows of the shop that an import might write."""
    return [row for table in TABLES for (row,) in await pool.fetch(f"SELECT each::text FROM {table} AS each ORDER BY 1")]  # noqa: S608 - constants


TABLES = (
    "audit_log",
    "categories",
    "category_listings",
    "events",
    "pictures",
    "price_rules",
    "product_groups",
    "product_pictures",
    "product_search",
    "products",
    "promotion_codes",
    "promotions",
    "shipping_areas",
    "shipping_methods",
    "shipping_rates",
    "shipping_zones",
    "shop_settings",
    "slugs",
    "stock_ledger",
    "stock_levels",
    "tax_categories",
    "tax_rates",
)


async def test_a_second_import_changes_nothing_and_brings_nothing_back(settings: Settings, pool: "Pool", tmp_path: Path) -> None:
    assert await load_whole(settings.database_url, tmp_path)
    await pool.execute("UPDATE shipping_methods SET archived_at = now()")
    await pool.execute("UPDATE products SET tax_category = NULL, needs_delivery = false")
    before = await snapshot(pool)
    assert len(before) > 4 * 200  # products, levels, ledger and events
    assert not await load_whole(settings.database_url, tmp_path)
    assert await snapshot(pool) == before


@pytest.fixture
async def old_shop(settings: Settings, pool: "Pool") -> "Pool":
    """The demo shop of a release without prices."""
    assert await load(settings.database_url, "USD", *demo.catalog())
    await pool.execute("UPDATE products SET needs_delivery = false, weight_grams = 0")
    return pool


async def test_the_demo_shop_of_the_previous_release_gets_prices_and_keeps_what_was_changed(settings: Settings, old_shop: "Pool") -> None:
    await old_shop.execute("UPDATE products SET name = 'A voucher', version = 2 WHERE sku = $1", SOCKS)
    await old_shop.execute("UPDATE products SET deleted_at = now(), version = 2 WHERE sku = $1", GELS)
    await old_shop.execute("UPDATE stock_levels SET on_hand = 0, version = 7")
    await old_shop.execute("UPDATE products SET category_id = NULL, version = 2 WHERE sku LIKE 'FTB%'")
    await old_shop.execute("DELETE FROM categories WHERE name = 'Football'")
    kept = "SELECT * FROM products WHERE version = 2 AND id = ANY($1::uuid[]) ORDER BY id"
    changed = [row["id"] for row in await old_shop.fetch("SELECT id FROM products WHERE version = 2")]
    before = await old_shop.fetch(kept, changed)
    assert await load(settings.database_url, "USD", *demo.catalog(), prices())
    assert await old_shop.fetch(kept, changed) == before
    delivered = await old_shop.fetch("SELECT version FROM products WHERE needs_delivery AND weight_grams > 0 AND tax_category <> ''")
    assert [row["version"] for row in delivered] == [2] * (200 - 27)
    assert await old_shop.fetchval("SELECT count(*) FROM events WHERE kind = 'product.updated'") == 200 - 27
    assert await old_shop.fetchval("SELECT count(*) FROM tax_rates") == len(RATES)
    assert {row["code"] for row in await old_shop.fetch("SELECT code FROM promotion_codes")} == {"WELCOME10", "FREESHIP"}
    assert not await load(settings.database_url, "USD", *demo.catalog(), prices())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE price_rules SET version = 1",
        "INSERT INTO tax_categories (id, display_name) VALUES ('books', 'Books')",
        "UPDATE products SET version = version + 1",
    ],
    ids=["a rule", "a tax category", "own products"],
)
async def test_a_shop_that_an_administrator_has_made_their_own_gets_no_prices(settings: Settings, old_shop: "Pool", change: str) -> None:
    await old_shop.execute(change)
    before = await snapshot(old_shop)
    assert not await load(settings.database_url, "USD", *demo.catalog(), prices())
    assert await snapshot(old_shop) == before


async def test_each_rule_is_in_the_audit_log(trade: Market) -> None:
    rows = await trade.shop.pool.fetch("SELECT action, count(*) FROM audit_log WHERE actor_kind = 'system' GROUP BY action")
    assert {row["action"]: row["count"] for row in rows} == {
        "tax_category.created": 2,
        "tax_rate.created": 10,
        "shipping_zone.created": 2,
        "shipping_method.created": 3,
        "promotion.created": 3,
        "promotion.code_created": 3,
        "shop.updated": 1,
    }
