"""Carts, quotes and orders of a shop that charges tax and delivery and gives discounts. Expected amounts are computed by hand."""

import asyncio
import hashlib
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mercato.v1 import cart_pb2, catalog_pb2, order_pb2, promotion_pb2, tax_pb2
from mercato.v1.price_pb2 import PriceBreakdown
from mercato.v1.shipping_pb2 import ArchiveShippingMethodRequest
from mercato_server.store import purchases
from support.market import BERLIN, BERN, VIENNA, Market, buyer_of, market, money, violations
from support.shop import CALL_S, Shop, refusal


@pytest.fixture
async def trade(shop: Shop) -> Market:
    """A shop that charges tax and delivery."""
    return await market(shop)


def amounts(price: PriceBreakdown) -> dict[str, int]:
    return {name: getattr(price, name).minor_units for name in ("subtotal", "discount", "tax", "tax_relief", "total")}


async def test_an_order_has_delivery_and_the_tax_in_its_prices(trade: Market) -> None:
    buyer = await buyer_of(trade, await trade.ball(1_999))
    order = await trade.shop.checkout(buyer)
    # 19/119 of 19.99 is 3.1917, of 4.90 is 0.7824.
    assert amounts(order.price) == {"subtotal": 1_999, "discount": 0, "tax": 319 + 78, "tax_relief": 0, "total": 2_489}
    assert order.total.minor_units == 2_489
    assert order.price.delivery.price.minor_units == 490
    assert order.price.delivery.name == "Parcel"
    assert [(tax.name, tax.net.minor_units, tax.tax.minor_units) for tax in order.price.taxes] == [("VAT 19%", 2_489 - 397, 397)]
    assert order.shipping_address == BERLIN
    assert order.contact_email == buyer.email
    assert len(order.number) == 11
    read = await trade.shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=buyer.metadata)
    assert read == order
    assert not await violations(trade.shop)


async def test_an_order_takes_the_header_along(trade: Market) -> None:
    ball = await trade.ball()
    buyer = await buyer_of(trade, ball, contact_email="Other@Example.com", note="Ring twice.", billing_address=VIENNA)
    order = await trade.shop.checkout(buyer)
    assert (order.contact_email, order.note, order.billing_address) == ("other@example.com", "Ring twice.", VIENNA)
    header = await trade.shop.carts.GetCartHeader(cart_pb2.GetCartHeaderRequest(), metadata=buyer.metadata)
    assert header == cart_pb2.CartHeader(etag="0")


async def test_a_discount_lowers_the_tax_of_its_line(trade: Market) -> None:
    await trade.promotion("TEN")
    book = await trade.ball(1_000, name="Book", tax_category="reduced")
    buyer = await buyer_of(trade, await trade.ball(2_000), book, codes=[" ten "])
    cart = await trade.cart(buyer)
    order = await trade.shop.checkout(buyer, expected_total=cart.total)
    # 27.00 of goods: 18.00 at 19 % has 2.8739, 9.00 at 7 % has 0.5888; 4.90 is split 3.27 (0.5221) to 1.63 (0.1066).
    assert amounts(order.price) == {"subtotal": 3_000, "discount": 300, "tax": 287 + 59 + 52 + 11, "tax_relief": 0, "total": 3_190}
    assert amounts(cart.price) == amounts(order.price)
    assert sorted(line.discount.minor_units for line in order.price.lines) == [100, 200]
    assert not await violations(trade.shop)


async def test_a_promotion_without_a_code_is_used_by_the_account_and_address_of_a_buyer_who_has_chosen_nothing(trade: Market) -> None:
    await trade.promotion(percent_ppm=100_000)
    buyer = await trade.shop.person()
    await trade.shop.add(buyer, await trade.shop.product(trade.admin, price=1_000))
    order = await trade.shop.checkout(buyer)
    assert amounts(order.price) == {"subtotal": 1_000, "discount": 100, "tax": 0, "tax_relief": 0, "total": 900}
    redeemed = await trade.shop.pool.fetch("SELECT order_id::text, amount_minor, subjects FROM promotion_redemptions")
    digest = hashlib.sha256(buyer.email.encode()).hexdigest()[:32]
    assert [tuple(row) for row in redeemed] == [(order.id, 100, [f"account:{buyer.id}", f"email:{digest}"])]
    assert not await violations(trade.shop)


async def test_goods_need_an_address_and_a_method_that_goes_there(trade: Market) -> None:
    buyer = await trade.shop.person()
    await trade.shop.add(buyer, await trade.ball())
    assert (await trade.cart(buyer)).missing == "ADDRESS_REQUIRED"
    assert (await refusal(trade.shop.checkout(buyer))).reason == "ADDRESS_REQUIRED"
    await trade.header(buyer, shipping_address=BERN)
    assert (await refusal(trade.shop.checkout(buyer))).reason == "SHIPPING_METHOD_REQUIRED"
    await trade.header(buyer, shipping_method_id=trade.parcel_id)
    assert (await refusal(trade.shop.checkout(buyer))).reason == "SHIPPING_METHOD_UNAVAILABLE"
    assert (await refusal(trade.quote(buyer))).reason == "SHIPPING_METHOD_UNAVAILABLE"
    await trade.header(buyer, shipping_address=VIENNA)
    # 20/120 of 19.99 is 3.3317, of 4.90 is 0.8167.
    assert amounts((await trade.shop.checkout(buyer)).price)["tax"] == 333 + 82


async def test_a_product_of_today_costs_what_it_costs_today(trade: Market) -> None:
    plain = await trade.shop.product(trade.admin, price=1_999)
    buyer = await trade.shop.person()
    cart = await trade.shop.add(buyer, plain)
    assert not cart.HasField("price")
    order = await trade.shop.checkout(buyer, expected_total=cart.total)
    assert (order.total.minor_units, order.HasField("price")) == (1_999, False)


async def test_a_missing_rate_is_an_error_and_no_free_sale(trade: Market) -> None:
    buyer = await buyer_of(trade, await trade.ball(tax_category="reduced"), shipping_address=VIENNA)
    error = await refusal(trade.shop.checkout(buyer))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TAX_RATE_MISSING")
    assert error.metadata["country_code"] == "AT"
    assert error.metadata["tax_category"] == "reduced"


async def test_options_have_the_price_of_each_method(trade: Market) -> None:
    express = await trade.method("Express", 1_290)
    await trade.promotion(kind=promotion_pb2.PROMOTION_KIND_FREE_DELIVERY, shipping_method_ids=[express.id])
    buyer = await buyer_of(trade, await trade.ball(2_000))
    options = (await trade.shop.carts.GetShippingOptions(cart_pb2.GetShippingOptionsRequest(), metadata=buyer.metadata)).options
    assert [(option.name, option.price.minor_units, option.total.minor_units) for option in options] == [
        ("Parcel", 490, 2_490),
        ("Express", 0, 2_000),
    ]


async def test_a_quote_holds_while_nothing_changes(trade: Market) -> None:
    ball = await trade.ball(2_000)
    buyer = await buyer_of(trade, ball)
    quote = await trade.quote(buyer)
    order = await trade.shop.checkout(buyer, quote_id=quote.id)
    assert (order.price, order.quote_id) == (quote.price, quote.id)


async def test_a_quote_tells_what_has_changed_line_by_line(trade: Market) -> None:
    ball, same = await trade.ball(2_000), await trade.ball(500, name="Net")
    buyer = await buyer_of(trade, ball, same)
    quote = await trade.quote(buyer)
    dearer = catalog_pb2.Product(id=ball.id, price=money(2_100))
    await trade.shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=dearer), metadata=trade.admin.metadata)
    error = await refusal(trade.shop.checkout(buyer, quote_id=quote.id))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "QUOTE_CHANGED")
    change = error.detail(cart_pb2.QuoteChange)
    assert change.quoted.total == quote.price.total
    assert (change.current.total.minor_units, change.current.total.currency_code) == (2_100 + 500 + 490, "USD")
    assert [line.product_id for line in change.quoted.lines] == [line.product_id for line in change.current.lines] == [ball.id]
    assert [line.total.minor_units for line in change.current.lines] == [2_100]


async def test_a_quote_changes_with_a_rate_although_the_total_stays(trade: Market) -> None:
    buyer = await buyer_of(trade, await trade.ball(2_000))
    quote = await trade.quote(buyer)
    listed = await trade.shop.taxes.ListTaxRates(tax_pb2.ListTaxRatesRequest(country_code="DE"), metadata=trade.admin.metadata)
    [old] = [rate for rate in listed.tax_rates if rate.tax_category == "standard"]
    await trade.shop.taxes.ArchiveTaxRate(tax_pb2.ArchiveTaxRateRequest(tax_rate_id=old.id), metadata=trade.admin.metadata)
    new = tax_pb2.TaxRate(country_code="DE", tax_category="standard", name="VAT 16%", rate_ppm=160_000)
    await trade.shop.taxes.CreateTaxRate(tax_pb2.CreateTaxRateRequest(tax_rate=new), metadata=trade.admin.metadata)
    error = await refusal(trade.shop.checkout(buyer, quote_id=quote.id))
    assert error.reason == "QUOTE_CHANGED"
    change = error.detail(cart_pb2.QuoteChange)
    assert change.quoted.total == change.current.total
    assert change.quoted.tax.minor_units > change.current.tax.minor_units


async def test_quotes_end_and_belong_to_their_buyer(trade: Market) -> None:
    buyer = await buyer_of(trade, await trade.ball(2_000))
    quote = await trade.quote(buyer)
    other = await buyer_of(trade, await trade.ball(2_000))
    foreign, unknown = [
        await refusal(trade.shop.checkout(other, quote_id=id_)) for id_ in (quote.id, "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
    ]
    assert foreign.reason == unknown.reason == "QUOTE_NOT_FOUND"
    assert foreign.message.replace(quote.id, "") == unknown.message.replace("0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57", "")
    await trade.shop.pool.execute("UPDATE quotes SET expires_at = now()")
    assert (await refusal(trade.shop.checkout(buyer, quote_id=quote.id))).reason == "QUOTE_EXPIRED"
    assert len((await trade.cart(buyer)).lines) == 1


async def test_codes_that_cannot_be_used_answer_alike(trade: Market) -> None:
    archived = await trade.promotion("GONE")
    request = promotion_pb2.ArchivePromotionRequest(promotion_id=archived.id)
    await trade.shop.promotions.ArchivePromotion(request, metadata=trade.admin.metadata)
    await trade.promotion("ENDED", percent_ppm=100_000, end_time=Timestamp(seconds=1_600_000_000))
    await trade.promotion("LATER", percent_ppm=100_000, start_time=Timestamp(seconds=4_000_000_000))
    buyer = await buyer_of(trade, await trade.ball(2_000))
    errors = {code: await refusal(trade.header(buyer, codes=[code.upper()])) for code in ("gone", "ended", "later", "never")}
    assert {error.reason for error in errors.values()} == {"PROMOTION_INVALID"}
    assert len({error.message.replace(code, "") for code, error in errors.items()}) == 1
    header = await trade.shop.carts.GetCartHeader(cart_pb2.GetCartHeaderRequest(), metadata=buyer.metadata)
    assert list(header.codes) == []


async def test_codes_cannot_be_guessed_for_long(trade: Market) -> None:
    await trade.promotion("RIGHT")
    buyer = await trade.shop.person()
    reasons = [(await refusal(trade.header(buyer, codes=[f"WRONG-{number}"]))).reason for number in range(22)]
    assert reasons == ["PROMOTION_INVALID"] * 20 + ["TOO_MANY_ATTEMPTS"] * 2
    assert (await refusal(trade.header(buyer, codes=["RIGHT"]))).reason == "TOO_MANY_ATTEMPTS"


async def test_a_code_for_one_use_is_used_once_when_buyers_race(trade: Market) -> None:
    await trade.promotion("ONCE", percent_ppm=100_000, usage_limit=1)
    ball = await trade.ball(2_000)
    buyers = [await buyer_of(trade, ball, codes=["ONCE"]) for _ in range(8)]
    outcomes = await asyncio.gather(*(trade.shop.checkout(buyer) for buyer in buyers), return_exceptions=True)
    assert sum(isinstance(outcome, order_pb2.Order) for outcome in outcomes) == 1
    [order] = [outcome for outcome in outcomes if isinstance(outcome, order_pb2.Order)]
    assert order.price.discount.minor_units == 200
    assert not await violations(trade.shop)
    cancel = order_pb2.CancelOrderRequest(order_id=order.id)
    await trade.shop.orders.CancelOrder(cancel, metadata=trade.admin.metadata, timeout=CALL_S)
    assert not await violations(trade.shop)
    again = next(buyer for buyer, outcome in zip(buyers, outcomes, strict=True) if not isinstance(outcome, order_pb2.Order))
    assert (await trade.shop.checkout(again)).price.discount.minor_units == 200
    assert not await violations(trade.shop)


@pytest.mark.parametrize("change", ["method", "rate", "promotion"])
async def test_a_quote_whose_price_is_no_longer_whole_has_changed(trade: Market, change: str) -> None:
    promotion = await trade.promotion("TEN")
    await trade.method("Express", 990)
    buyer = await buyer_of(trade, await trade.ball(2_000), codes=["TEN"])
    quote = await trade.quote(buyer)
    metadata = trade.admin.metadata
    if change == "method":
        await trade.shop.shipping.ArchiveShippingMethod(ArchiveShippingMethodRequest(shipping_method_id=trade.parcel_id), metadata=metadata)
    elif change == "rate":
        listed = await trade.shop.taxes.ListTaxRates(tax_pb2.ListTaxRatesRequest(country_code="DE"), metadata=metadata)
        [rate] = [each for each in listed.tax_rates if each.tax_category == "standard"]
        await trade.shop.taxes.ArchiveTaxRate(tax_pb2.ArchiveTaxRateRequest(tax_rate_id=rate.id), metadata=metadata)
    else:
        await trade.shop.promotions.ArchivePromotion(promotion_pb2.ArchivePromotionRequest(promotion_id=promotion.id), metadata=metadata)
    error = await refusal(trade.shop.checkout(buyer, quote_id=quote.id))
    missing = {"method": "SHIPPING_METHOD_UNAVAILABLE", "rate": "TAX_RATE_MISSING", "promotion": "PROMOTION_INVALID"}[change]
    assert (error.code, error.reason, error.metadata["missing"]) == (grpc.StatusCode.ABORTED, "QUOTE_CHANGED", missing)
    assert (await refusal(trade.shop.checkout(buyer))).reason == missing


async def test_a_cart_with_goods_that_are_gone_gets_no_quote(trade: Market) -> None:
    ball, gone = await trade.ball(2_000), await trade.ball(700, name="Net")
    buyer = await buyer_of(trade, ball, gone)
    await trade.shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=gone.id), metadata=trade.admin.metadata)
    error = await refusal(trade.quote(buyer))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OUT_OF_STOCK")
    assert await trade.shop.pool.fetchval("SELECT count(*) FROM quotes") == 0


async def test_a_header_that_is_written_during_a_checkout_stays_for_the_next_one(trade: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    ball = await trade.shop.product(trade.admin, price=2_000, tax_category="standard")
    buyer = await trade.shop.person()
    await trade.shop.add(buyer, ball)
    offer = purchases.offer

    async def slow_offer(*arguments: Any) -> Any:
        offered = await offer(*arguments)
        await trade.header(buyer, note="Please ring twice.")
        return offered

    monkeypatch.setattr(purchases, "offer", slow_offer)
    order = await trade.shop.checkout(buyer)
    assert (order.note, order.price.tax.minor_units) == ("", 319)  # 19/119 of 20.00
    kept = await trade.shop.carts.GetCartHeader(cart_pb2.GetCartHeaderRequest(), metadata=buyer.metadata, timeout=CALL_S)
    assert kept.note == "Please ring twice."
