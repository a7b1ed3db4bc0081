"""`verify --deep` recomputes the prices of orders: it finds what all sums hide, and nothing in a shop that only the server has changed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from mercato.v1 import catalog_pb2, promotion_pb2, shop_pb2
from mercato_server.config.settings import child_environ
from mercato_server.database.pool import Conn, small_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store.verify import Finding, inspect, verify
from support.databases import MIGRATED, copied, create
from support.market import BERLIN, Market, market
from support.patience import patient
from support.price_corruptions import CORRUPTIONS, PREPARE
from support.shop import CALL_S, settings_of, worker

ORDERS = ("mixed", "tenth", "units", "free", "net", "plain")


async def trade(shop: Market) -> None:
    """Place an order of each kind, known by its note."""
    prices = {"A": 100, "B": 100, "C": 250}
    a, b, c = [await shop.shop.product(shop.admin, name=name, price=price, stock=100) for name, price in prices.items()]
    await shop.promotion("TENTH", percent_ppm=333_333)
    buy = {"kind": promotion_pb2.PROMOTION_KIND_BUY_X_GET_Y, "buy_quantity": 1, "get_quantity": 1}
    await shop.promotion("UNITS", **buy)
    await shop.promotion("FREE", kind=promotion_pb2.PROMOTION_KIND_FREE_DELIVERY)
    ball, book = await shop.ball(1_999), await shop.ball(1_250, name="Book", tax_category="reduced")
    boat = await shop.method("Boat", 600, tax_category="")
    await place(shop, "mixed", (ball, ball, book), codes=["TENTH"])
    await place(shop, "tenth", (a, b, c), codes=["TENTH"])
    await place(shop, "units", (a, a, c, c), codes=["UNITS"])
    await place(shop, "free", (ball, a), codes=["FREE"], shipping_method_id=boat.id)
    await place(shop, "plain", (a,))
    await settings(shop, prices_include_tax=False, tax_rounding=shop_pb2.TAX_ROUNDING_ORDER)
    pens = [await shop.ball(103, name=f"Pen {number}") for number in (1, 2, 3)]
    await place(shop, "net", (*pens, book))


async def settings(shop: Market, **fields: Any) -> None:
    request = shop_pb2.UpdateShopRequest(shop=shop_pb2.Shop(**fields))
    await shop.shop.settings.UpdateShop(request, metadata=shop.admin.metadata, timeout=CALL_S)


async def place(shop: Market, note: str, products: Sequence[catalog_pb2.Product], **header: Any) -> None:
    buyer = await shop.shop.person()
    for product in products:
        await shop.shop.add(buyer, product)
    await shop.header(buyer, **{"note": note, "shipping_address": BERLIN, "shipping_method_id": shop.parcel_id, **header})
    await shop.shop.checkout(buyer)


@pytest.fixture(scope="session")
def priced_template(postgres: Postgres) -> str:
    """The name of a database with orders of each kind."""
    asyncio.run(_make_template(postgres, "template_priced"))
    return "template_priced"


async def _make_template(postgres: Postgres, name: str) -> None:
    url = await create(postgres, name, MIGRATED)
    async with small_pool(url) as pool, worker(settings_of(url), pool) as shop:
        await trade(await market(shop))


@pytest.fixture
async def priced_url(postgres: Postgres, priced_template: str) -> AsyncIterator[str]:
    """The URL of the test's own database with orders of each kind."""
    async with copied(postgres, priced_template) as url:
        yield url


@pytest.fixture
async def priced(priced_url: str) -> AsyncIterator["Conn"]:
    connection = await asyncpg.connect(priced_url)
    await connection.execute(PREPARE)
    yield connection
    await connection.close()


def violated(findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    """Return the examples of each violated invariant."""
    return {item.invariant.name: item.examples for item in findings if item.violations}


async def test_nothing_is_found_in_a_shop_that_only_the_server_has_changed(priced: "Conn") -> None:
    notes = await priced.fetchval("SELECT array_agg(note ORDER BY note) FROM orders WHERE pricing_version = 1")
    assert notes == sorted({*ORDERS} - {"plain"})
    findings = await verify(priced, recompute=None)
    assert findings[0].invariant.name == "prices"
    assert not violated(findings)


@pytest.mark.parametrize("name", CORRUPTIONS)
async def test_a_corruption_that_leaves_all_sums_right_is_found_and_its_field_is_named(priced: "Conn", name: str) -> None:
    note, field, corruption = CORRUPTIONS[name]
    before = await inspect(priced)
    await priced.execute(corruption)
    assert not violated(await verify(priced))
    found = violated(await verify(priced, recompute=None))
    order_id = await priced.fetchval("SELECT noted($1)", note)
    assert list(found) == ["prices"]
    [example] = found["prices"]
    assert example.startswith(f"order_id={order_id} ")
    assert field in example
    recent = await inspect(priced, since=before.line, recompute=10)
    assert violated(recent.findings) == found


async def test_a_sample_has_the_newest_orders(priced: "Conn") -> None:
    for name in ("the net amount of a rate", "a tax that another line bears"):  # of the first order, and of the last
        await priced.execute(CORRUPTIONS[name][2])
    assert [len(violated(await verify(priced, recompute=newest))["prices"]) for newest in (1, 4, 5, None)] == [1, 1, 2, 2]


async def test_orders_are_read_in_parts(priced: "Conn", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercato_server.store.recomputed_prices.ORDERS_AT_ONCE", 2)
    await priced.execute("UPDATE orders SET total_minor = total_minor + 1")
    found = violated(await verify(priced, recompute=None))
    assert len(found["prices"]) == 3
    assert all("total: " in example for example in found["prices"])


async def test_an_order_of_a_later_pricing_version_is_left_alone(priced: "Conn") -> None:
    await priced.execute(CORRUPTIONS["the net amount of a rate"][2])
    await priced.execute("UPDATE orders SET pricing_version = 2 WHERE pricing_version = 1")
    assert not violated(await verify(priced, recompute=None))


async def test_the_command_recomputes_if_it_is_asked_to(priced_url: str, priced: "Conn") -> None:
    await priced.execute(CORRUPTIONS["the net amount of a rate"][2])

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mercato_server", "verify", *options]
        environ = child_environ({"DATABASE_URL": priced_url})
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=patient(), check=False)

    plain, deep = await asyncio.gather(asyncio.to_thread(run), asyncio.to_thread(run, "--deep"))
    assert (plain.returncode, "\nprices " in plain.stdout) == (0, False)
    assert (deep.returncode, "\nprices  " in deep.stdout) == (1, True)
    order_id = await priced.fetchval("SELECT noted('mixed')")
    assert f"\nprices: order_id={order_id} taxes[190000 ppm]" in deep.stdout
