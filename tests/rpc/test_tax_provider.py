"""Quotes and orders of a shop whose taxes a provider outside of it names. Expected amounts are computed by hand."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2

from mercato.v1 import cart_pb2, catalog_pb2, shop_pb2, user_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from support.certificates import certificate
from support.market import VIENNA, Market, buyer_of, market, money, violations
from support.shop import CALL_S, Person, Refusal, Shop, refusal, worker
from support.tax_provider import SECRET, Office, response


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    await office.start()
    yield office
    await office.stop()


@pytest.fixture
async def asking(settings: Settings, office: Office, pool: "Pool") -> AsyncIterator[Shop]:
    """A worker whose shop asks the provider. It has fewer connections than questions."""
    async with worker(replace(settings, tax_provider=office.settings(), pool_size=2), pool) as shop:
        yield shop


@pytest.fixture
async def trade(asking: Shop) -> Market:
    """A shop with delivery, and with rates of its own that must not count."""
    return await market(asking)


async def set_prices(trade: Market, *, include_tax: bool) -> None:
    settings = shop_pb2.Shop(country_code="DE", prices_include_tax=include_tax)
    request = shop_pb2.UpdateShopRequest(shop=settings)
    request.update_mask.paths.append("prices_include_tax")
    await trade.shop.settings.UpdateShop(request, metadata=trade.admin.metadata, timeout=CALL_S)


async def exempt(trade: Market, buyer: Person) -> None:
    request = user_pb2.UpdateUserRequest(user_id=buyer.id, tax_treatment=user_pb2.TAX_TREATMENT_EXEMPT, tax_number="E-1")
    await trade.shop.users.UpdateUser(request, metadata=trade.admin.metadata, timeout=CALL_S)


async def quotes(shop: Shop) -> int:
    return int(await shop.pool.fetchval("SELECT count(*) FROM quotes"))


async def test_an_order_keeps_the_taxes_that_the_provider_has_named(trade: Market, office: Office) -> None:
    ball, book = await trade.ball(1_999), await trade.ball(1_000, tax_category="reduced")
    plain = await trade.shop.product(trade.admin, price=500)
    buyer = await buyer_of(trade, ball, book, plain)
    quote = await trade.quote(buyer)
    order = await trade.shop.checkout(buyer, quote_id=quote.id)
    # 19/119 of 19.99 is 3.1917, of 4.90 is 0.7824; 7/107 of 10.00 is 0.6542. The shop's own rule would divide the delivery.
    assert order.price == quote.price
    assert {line.product_id: (line.tax_rate_ppm, line.tax.minor_units) for line in order.price.lines} == {
        ball.id: (190_000, 319),
        book.id: (70_000, 65),
        plain.id: (0, 0),
    }
    assert [(tax.name, tax.net.minor_units, tax.tax.minor_units) for tax in order.price.taxes] == [
        ("Provided 19%", 1_999 + 490 - 397, 397),
        ("Provided 7%", 935, 65),
    ]
    assert order.total.minor_units == 1_999 + 1_000 + 500 + 490
    row = await trade.shop.pool.fetchrow("SELECT tax_rounding, quote_id FROM orders WHERE id = $1", UUID(order.id))
    assert tuple(row or ()) == ("provider", UUID(quote.id))
    assert len(office.questions) == 1
    assert not await violations(trade.shop)


async def test_the_provider_is_told_what_tax_needs_and_not_who_buys(trade: Market, office: Office) -> None:
    await trade.promotion("TEN")
    ball = await trade.ball(2_000)
    buyer = await buyer_of(trade, ball, codes=["TEN"])
    await trade.quote(buyer)
    assert office.questions == [
        {
            "version": 1,
            "currency_code": "USD",
            "prices_include_tax": True,
            "tax_treatment": "normal",
            "place": {"country_code": "DE", "region": "", "postal_code": "10117"},
            "lines": [
                {"product_id": ball.id, "tax_category": "standard", "needs_delivery": True, "quantity": 1, "amount_minor": 1_800},
            ],
            "delivery": {"tax_category": "as-goods", "amount_minor": 490},
        }
    ]
    [head] = office.heads
    assert head.startswith("POST /v1/taxes?shop=1 HTTP/1.1\r\n")
    assert f"\r\nauthorization: bearer {SECRET}\r\n" in head.lower()


async def test_a_purchase_with_tax_needs_a_quote(trade: Market, office: Office) -> None:
    ball = await trade.ball(2_000, stock=5)
    buyer = await buyer_of(trade, ball)
    cart = await trade.cart(buyer)
    assert (cart.missing, cart.price.tax.minor_units, cart.total.minor_units) == ("QUOTE_REQUIRED", 0, 2_490)
    error = await refusal(trade.shop.checkout(buyer, expected_total=cart.total))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "QUOTE_REQUIRED")
    assert await trade.shop.stock(ball) == 5
    assert await trade.shop.pool.fetchval("SELECT count(*) FROM orders") == 0
    assert office.questions == []


async def test_goods_without_tax_need_neither_quote_nor_provider(trade: Market, office: Office) -> None:
    await office.stop()
    buyer = await trade.shop.person()
    cart = await trade.shop.add(buyer, await trade.shop.product(trade.admin, price=1_999))
    quote = await trade.quote(buyer)
    order = await trade.shop.checkout(buyer, expected_total=cart.total, quote_id=quote.id)
    assert (cart.missing, order.total.minor_units, order.HasField("price")) == ("", 1_999, False)


async def more(trade: Market, buyer: Person, ball: catalog_pb2.Product) -> None:
    await trade.shop.add(buyer, ball)


async def dearer(trade: Market, _buyer: Person, ball: catalog_pb2.Product) -> None:
    product = catalog_pb2.Product(id=ball.id, price=money(2_001))
    await trade.shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=product), metadata=trade.admin.metadata)


async def other_goods(trade: Market, _buyer: Person, ball: catalog_pb2.Product) -> None:
    product = catalog_pb2.Product(id=ball.id, tax_category="reduced")
    await trade.shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=product), metadata=trade.admin.metadata)


async def elsewhere_sent(trade: Market, buyer: Person, _ball: catalog_pb2.Product) -> None:
    await trade.header(buyer, shipping_address=VIENNA)


async def other_buyer(trade: Market, buyer: Person, _ball: catalog_pb2.Product) -> None:
    await exempt(trade, buyer)


@pytest.mark.parametrize("change", [more, dearer, other_goods, elsewhere_sent, other_buyer])
async def test_taxes_are_for_what_was_asked_and_for_nothing_else(
    trade: Market, change: Callable[[Market, Person, catalog_pb2.Product], Any]
) -> None:
    ball = await trade.ball(2_000)
    buyer = await buyer_of(trade, ball)
    quote = await trade.quote(buyer)
    await change(trade, buyer, ball)
    error = await refusal(trade.shop.checkout(buyer, quote_id=quote.id))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "QUOTE_CHANGED")
    assert error.detail(cart_pb2.QuoteChange).quoted.total.minor_units == 2_490
    again = await trade.quote(buyer)
    assert (await trade.shop.checkout(buyer, quote_id=again.id)).price == again.price
    assert not await violations(trade.shop)


async def test_goods_that_get_a_tax_category_after_their_quote_are_not_sold_without_tax(trade: Market, office: Office) -> None:
    plain = await trade.shop.product(trade.admin, price=2_000)
    buyer = await trade.shop.person()
    await trade.shop.add(buyer, plain)
    quote = await trade.quote(buyer)
    await other_goods(trade, buyer, plain)
    error = await refusal(trade.shop.checkout(buyer, quote_id=quote.id))
    assert error.reason == "QUOTE_CHANGED"
    change = error.detail(cart_pb2.QuoteChange)
    assert change.quoted.total == change.current.total  # the taxes of the current price are not known
    assert (office.questions, await trade.shop.pool.fetchval("SELECT count(*) FROM orders")) == ([], 0)


async def test_tax_on_top_is_the_providers(trade: Market) -> None:
    await set_prices(trade, include_tax=False)
    buyer = await buyer_of(trade, await trade.ball(1_999))
    quote = await trade.quote(buyer)
    # 19 % of 19.99 is 3.7981, of 4.90 is 0.931.
    assert (quote.price.tax.minor_units, quote.price.total.minor_units) == (380 + 93, 1_999 + 490 + 473)
    assert (await trade.shop.checkout(buyer, quote_id=quote.id)).total.minor_units == 2_962
    assert not await violations(trade.shop)


async def test_a_buyer_without_tax_gets_the_providers_tax_out_of_prices(trade: Market, office: Office) -> None:
    buyer = await buyer_of(trade, await trade.ball(1_999))
    await exempt(trade, buyer)
    quote = await trade.quote(buyer)
    assert (quote.price.tax.minor_units, quote.price.tax_relief.minor_units, quote.price.total.minor_units) == (0, 397, 2_489 - 397)
    assert office.questions[0]["tax_treatment"] == "exempt"
    assert (await trade.shop.checkout(buyer, quote_id=quote.id)).total == quote.price.total
    await set_prices(trade, include_tax=False)
    second = await buyer_of(trade, await trade.ball(1_999))
    await exempt(trade, second)
    assert (await trade.shop.checkout(second)).total.minor_units == 2_489
    assert len(office.questions) == 1
    assert not await violations(trade.shop)


async def failing(trade: Market, buyer: Person) -> str:
    """Ask for a quote that must fail as an outage does; return how the provider has failed."""
    error: Refusal = await refusal(trade.quote(buyer))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "TAX_PROVIDER_UNAVAILABLE")
    assert error.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
    return error.metadata["failure"]


def saying(text: bytes) -> Callable[[dict[str, Any]], Any]:
    async def answer(_question: dict[str, Any]) -> bytes:
        return text

    return answer


FAILURES = {
    "an error": (response(b"{}", "500 Internal Server Error"), "refused"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "refused"),
    "a redirect": (response(b"", "307 Temporary Redirect", "location: /elsewhere"), "refused"),
    "a closed connection": (b"", "unreachable"),
    "no HTTP": (b"220 smtp.example.com ESMTP\r\n\r\n", "unreachable"),
    "half an answer": (response(b"{}").replace(b"content-length: 2", b"content-length: 200"), "slow"),
    "no JSON": (response(b"<html>"), "unusable"),
    "deep JSON": (response(b"[" * 200_000), "unusable"),
    "compressed": (response(b"\x1f\x8b\x08", "200 OK", "content-encoding: gzip"), "unusable"),
    "a list": (response(b"[]"), "unusable"),
    "no taxes": (response(b'{"lines": [], "delivery": [], "tax_minor": 0}'), "unusable"),
    "a huge answer": (response(b" " * 300_000), "unusable"),
    "a huge answer without a length": (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b" " * 300_000, "unusable"),
}


@pytest.mark.parametrize(("answer", "failure"), FAILURES.values(), ids=FAILURES)
async def test_a_provider_that_fails_is_an_outage_and_no_price(
    settings: Settings, pool: "Pool", office: Office, answer: bytes, failure: str
) -> None:
    timeout_s = 0.3 if failure == "slow" else 20.0
    async with worker(replace(settings, tax_provider=office.settings(timeout_s)), pool) as shop:
        trade = await market(shop)
        buyer = await buyer_of(trade, await trade.ball(2_000))
        office.answer = saying(answer)
        assert await failing(trade, buyer) == failure
        assert len(office.questions) == 1  # no redirect was followed, and nothing was repeated
        assert await quotes(shop) == 0


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_provider_must_have_a_certificate_that_the_worker_trusts(
    settings: Settings, pool: "Pool", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> None:
    own = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own.path, own.key)
    office = Office(tls)
    await office.start()
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(own.path))
    async with worker(replace(settings, tax_provider=office.settings()), pool) as shop:
        trade = await market(shop)
        buyer = await buyer_of(trade, await trade.ball(2_000))
        if is_trusted:
            assert (await trade.quote(buyer)).price.total.minor_units == 2_490
        else:
            assert await failing(trade, buyer) == "unreachable"
            assert office.questions == []
    await office.stop()


async def test_a_provider_that_is_away_is_an_outage_until_it_is_back(trade: Market, office: Office) -> None:
    buyer = await buyer_of(trade, await trade.ball(2_000))
    await trade.quote(buyer)
    await office.stop()
    assert await failing(trade, buyer) == "unreachable"
    assert await quotes(trade.shop) == 1
    await office.start()
    quote = await trade.quote(buyer)
    assert (await trade.shop.checkout(buyer, quote_id=quote.id)).total.minor_units == 2_490


async def test_a_worker_waits_for_so_many_answers_and_holds_nothing_meanwhile(
    trade: Market, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato_server.taxes.http_provider.QUESTIONS_MAX", 3)
    ball = await trade.ball(2_000)
    buyers = [await buyer_of(trade, ball) for _ in range(4)]
    go_on = asyncio.Event()

    async def slow(question: dict[str, Any]) -> bytes:
        await go_on.wait()
        return await office.right(question)

    office.answer = slow
    waiting = [asyncio.create_task(wait_for(trade.quote(buyer))) for buyer in buyers[:3]]
    await office.until_asked(3)
    busy = await trade.shop.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert busy == 0
    assert len((await trade.cart(buyers[3])).lines) == 1  # the worker has fewer connections than questions
    assert await failing(trade, buyers[3]) == "busy"
    go_on.set()
    assert len({quote.id for quote in await asyncio.gather(*waiting)}) == 3


async def wait_for(call: Any) -> cart_pb2.Quote:
    quote = await call
    assert isinstance(quote, cart_pb2.Quote)
    return quote


async def test_a_cart_that_changes_while_the_provider_is_asked_is_asked_for_again(trade: Market, office: Office) -> None:
    ball = await trade.ball(2_000)
    buyer = await buyer_of(trade, ball)

    async def while_the_cart_grows(question: dict[str, Any]) -> bytes:
        await trade.shop.add(buyer, ball)
        return await office.right(question)

    office.answer = while_the_cart_grows
    error = await refusal(trade.quote(buyer))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "CONFLICT")
    assert await quotes(trade.shop) == 0
    office.answer = office.right
    assert (await trade.quote(buyer)).price.total.minor_units == 4_000 + 490


async def test_a_repeated_call_gets_its_quote_without_the_provider(trade: Market, office: Office) -> None:
    buyer = await buyer_of(trade, await trade.ball(2_000))
    metadata = (*buyer.metadata, ("idempotency-key", "a-quote"))

    async def ask() -> cart_pb2.Quote:
        return await trade.shop.carts.QuoteCart(cart_pb2.QuoteCartRequest(), metadata=metadata, timeout=CALL_S)

    first = await ask()
    await office.stop()
    assert await ask() == first
    assert len(office.questions) == await quotes(trade.shop) == 1


async def test_a_quote_is_kept_when_a_provider_comes_or_goes(shop: Shop, asking: Shop, office: Office) -> None:
    """The other worker of the shop has no provider, as while settings are rolled out."""
    trade = await market(shop)
    beside = replace(trade, shop=asking)
    buyer = await buyer_of(trade, await trade.ball(2_000))
    by_rates, by_provider = await trade.quote(buyer), await beside.quote(buyer)
    assert by_rates.price.tax == by_provider.price.tax
    assert (await refusal(asking.checkout(buyer, quote_id=by_rates.id))).reason == "QUOTE_CHANGED"
    assert (await shop.checkout(buyer, quote_id=by_provider.id)).price == by_provider.price
    assert len(office.questions) == 1


async def test_verify_finds_a_tax_that_is_not_of_its_rate(trade: Market) -> None:
    buyer = await buyer_of(trade, await trade.ball(2_000))
    quote = await trade.quote(buyer)
    await trade.shop.checkout(buyer, quote_id=quote.id)
    assert not await violations(trade.shop)
    await trade.shop.pool.execute("UPDATE order_items SET tax_minor = tax_minor + 2")
    assert set(await violations(trade.shop)) == {"line taxes", "taxes"}


def test_a_shop_without_a_provider_does_not_load_an_http_client() -> None:
    check = "import sys, mercato_server.worker; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
