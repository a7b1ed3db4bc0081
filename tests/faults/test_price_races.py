"""Three workers race for the uses of promotions, and place orders while prices, settings and rates change."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from faults.buyers import FINAL, THINK_S, Buyer, Goods, Market, Purchase, describe, dice, fill_carts, market, stock_up
from faults.conftest import Conclude, Scale
from faults.prices import administered, charge, choose, enter, given, live, quote, uses
from faults.processes import Worker, running
from faults.test_contention import SHED
from mercato.v1 import catalog_pb2, promotion_pb2, shop_pb2, tax_pb2
from mercato.v1.money_pb2 import Money
from mercato.v1.price_pb2 import PriceBreakdown
from support import market as markets
from support.market import BERLIN, money
from support.patience import slowness
from support.shop import CALL_S

EXHAUSTED, NO_SUCH_STEP = "FAILED_PRECONDITION PROMOTION_EXHAUSTED", "FAILED_PRECONDITION ORDER_STATE"
WAITED = {"ABORTED CONFLICT", *SHED}
"""Errors of calls that waited in vain; buyers retry, and each gets a final answer."""
MILLION = 1_000_000
CANCELLED = 0.6
"""Share of the orders that their buyers cancel."""


@pytest.fixture
def workers(directory: Path, database: str) -> list[Worker]:
    return [Worker(directory, database, name=name) for name in ("one", "two", "three")]


@asynccontextmanager
async def open_market(goods: Goods, workers: list[Worker]) -> AsyncIterator[tuple[Market, markets.Market]]:
    """Run the workers for a block; yield the shop for buyers and for an administrator."""
    async with (
        running(*workers),
        market(goods, *(worker.address for worker in workers)) as shop,
        administered(goods, workers[0].address) as trade,
    ):
        yield shop, trade
    for worker in workers:
        worker.require_no_bugs_logged()


async def test_a_code_is_redeemed_to_its_last_use_and_not_beyond(
    database: str, workers: list[Worker], scale: Scale, conclude: Conclude
) -> None:
    uses = scale(20, 100)
    goods = await stock_up(database, buyers=10 * uses, products=5)
    async with open_market(goods, workers) as (shop, trade):
        await trade.promotion("Sale", percent_ppm=100_000, usage_limit=uses)
        await fill_carts(goods, goods.buyers, goods.product_ids[:2])
        await asyncio.gather(*(choose(shop, buyer, codes=["SALE"]) for buyer in goods.buyers))
        purchases = [shop.tally.begin(buyer) for buyer in goods.buyers]
        await asyncio.gather(*(shop.resolve(purchase) for purchase in purchases))
    placed = [purchase.order.price.discount.minor_units for purchase in shop.tally.acknowledged]
    await conclude("hot code", goods, shop.tally, buyers=len(goods.buyers), uses=uses)
    assert placed == [20] * uses
    assert shop.tally.refused == {EXHAUSTED: 9 * uses}
    assert set(shop.tally.codes) <= {EXHAUSTED, *WAITED}


async def test_limits_of_codes_promotions_and_buyers_are_exact_while_orders_are_cancelled(
    database: str, workers: list[Worker], scale: Scale, conclude: Conclude
) -> None:
    goods = await stock_up(database, buyers=24, products=20)
    rounds, most = scale(6, 60), 5
    emails = {buyer.id: f"person-{number % 8}@example.com" for number, buyer in enumerate(goods.buyers)}
    async with open_market(goods, workers) as (shop, trade):
        once = await trade.promotion("ONCE", percent_ppm=100_000, per_buyer_limit=1)
        few = await trade.promotion("FEW", percent_ppm=200_000, usage_limit=most, priority=1)
        two = await trade.promotion("ANY", percent_ppm=50_000)
        await trade.shop.code(trade.admin, two, "TWO", usage_limit=2)
        automatic = await trade.promotion(kind=promotion_pb2.PROMOTION_KIND_AMOUNT, amount=money(1), usage_limit=most)

        async def trading(buyer: Buyer) -> None:
            for _ in range(rounds):
                purchase = await bought(shop, trade, buyer, dice.choice(["ONCE", "FEW", "TWO"]), contact_email=emails[buyer.id])
                if purchase.reply and dice.random() < CANCELLED:
                    await cancel_twice(shop, purchase)

        await asyncio.gather(*map(trading, goods.buyers))
        redeemed = [(promotion_id, purchase) for purchase in live(shop.tally) for promotion_id in given(purchase.order)]
        assert await uses(trade) == dict.fromkeys((once.id, few.id, two.id, automatic.id), 0) | Counter(id_ for id_, _ in redeemed)
        buyers = [(emails[purchase.buyer.id], purchase.buyer.id) for promotion_id, purchase in redeemed if promotion_id == once.id]
        assert all(len({each[part] for each in buyers}) == len(buyers) for part in (0, 1))

        await asyncio.gather(*(cancel_twice(shop, purchase) for purchase in live(shop.tally)))
        assert set((await uses(trade)).values()) == {0}
        for code, limit in (("FEW", most), ("TWO", 2)):  # each use was given back once: as many are left as at first
            again = [await bought(shop, trade, buyer, code) for buyer in goods.buyers[: limit + 1]]
            assert [purchase.refusal for purchase in again] == [None] * limit + [EXHAUSTED]
    await conclude("limits under cancellations", goods, shop.tally, buyers=len(goods.buyers), rounds=rounds)
    assert shop.tally.refused[EXHAUSTED] > 1
    assert set(shop.tally.codes) <= {EXHAUSTED, NO_SUCH_STEP, *WAITED}


async def bought(shop: Market, trade: markets.Market, buyer: Buyer, *codes: str, contact_email: str | None = None) -> Purchase:
    """Fill the cart, enter codes and buy."""
    await shop.fill(buyer)
    await enter(trade, buyer, *codes, contact_email=contact_email)
    purchase = shop.tally.begin(buyer)
    await shop.resolve(purchase)
    return purchase


async def cancel_twice(shop: Market, purchase: Purchase) -> None:
    """Cancel an order by two calls at once; one of them is refused."""
    answers = await asyncio.gather(shop.cancel(purchase), shop.cancel(purchase), return_exceptions=True)
    [refused] = [answer for answer in answers if answer is not None]
    assert isinstance(refused, grpc.aio.AioRpcError)
    assert describe(refused) == NO_SUCH_STEP


async def test_a_quote_is_bought_for_its_price_or_refused_while_prices_change(
    goods: Goods, workers: list[Worker], scale: Scale, conclude: Conclude
) -> None:
    rounds = scale(8, 100)
    async with open_market(goods, workers) as (shop, trade):
        await charge(trade)
        promotion = await trade.promotion(percent_ppm=100_000)
        async with changing(trade, promotion, goods):
            await asyncio.gather(*(buy_by_quotes(shop, trade, buyer, rounds) for buyer in goods.buyers))
    await conclude("quotes under changes", goods, shop.tally, buyers=len(goods.buyers), rounds=rounds)  # it compares orders with quotes
    counts = len(shop.tally.acknowledged), shop.tally.refused[FINAL]
    assert min(counts) > 0
    assert sum(counts) == rounds * len(goods.buyers)
    assert set(shop.tally.codes) <= {FINAL, *WAITED}


async def buy_by_quotes(shop: Market, trade: markets.Market, buyer: Buyer, rounds: int) -> None:
    for _ in range(rounds):
        await shop.fill(buyer)
        await choose(shop, buyer, shipping_address=BERLIN, shipping_method_id=trade.parcel_id)
        agreed = await quote(shop, buyer)
        await asyncio.sleep(dice.uniform(*THINK_S))
        await shop.resolve(shop.tally.begin(buyer, quote=agreed))


@asynccontextmanager
async def changing(trade: markets.Market, promotion: promotion_pb2.Promotion, goods: Goods) -> AsyncIterator[None]:
    """Change the prices of products, a percentage and the taxation again and again during the block."""
    call: dict[str, Any] = {"metadata": trade.admin.metadata, "timeout": CALL_S}

    async def change() -> None:
        for number in itertools.count():
            product = catalog_pb2.Product(id=str(dice.choice(goods.product_ids)), price=money(dice.choice((100, 117))))
            request = catalog_pb2.UpdateProductRequest(product=product, update_mask=FieldMask(paths=["price"]))
            await trade.shop.catalog.UpdateProduct(request, **call)
            if number % 5 == 0:
                wanted = promotion_pb2.Promotion(id=promotion.id, percent_ppm=dice.choice((100_000, 150_000)))
                mask = FieldMask(paths=["percent_ppm"])
                await trade.shop.promotions.UpdatePromotion(
                    promotion_pb2.UpdatePromotionRequest(promotion=wanted, update_mask=mask), **call
                )
            if number % 7 == 0:
                await set_prices_include_tax(trade, included=dice.choice((False, True)))
            await asyncio.sleep(dice.uniform(*THINK_S))

    changes = asyncio.create_task(change())
    try:
        yield
    finally:
        changes.cancel()
        await asyncio.wait([changes])
    assert changes.cancelled(), changes.exception()


async def test_each_order_has_one_state_of_rates_and_settings_while_both_change(
    goods: Goods, workers: list[Worker], scale: Scale, conclude: Conclude
) -> None:
    before_s, after_s = scale(2, 20) * slowness(), scale(1, 20) * slowness()
    async with open_market(goods, workers) as (shop, trade):
        await charge(trade)
        change_at = datetime.now(UTC) + timedelta(seconds=before_s)
        await replace_rate(trade, change_at, 160_000)

        async def shopping(buyer: Buyer) -> None:
            while datetime.now(UTC) < change_at + timedelta(seconds=after_s):
                await shop.fill(buyer)
                await choose(shop, buyer, shipping_address=BERLIN, shipping_method_id=trade.parcel_id)
                await shop.resolve(shop.tally.begin(buyer))

        async with asyncio.TaskGroup() as group:
            for buyer in goods.buyers:
                group.create_task(shopping(buyer))
            while datetime.now(UTC) < change_at + timedelta(seconds=after_s):
                for included in (False, True):
                    await set_prices_include_tax(trade, included=included)
                    await asyncio.sleep(dice.uniform(*THINK_S))
    await conclude("rates change", goods, shop.tally, buyers=len(goods.buyers))
    states: Counter[tuple[int, bool]] = Counter()
    for purchase in shop.tally.acknowledged:
        order = purchase.order
        rate = 190_000 if order.create_time.ToDatetime(UTC) < change_at else 160_000
        require_taxes(order.price, rate)
        states[rate, order.price.prices_include_tax] += 1
    assert len(states) == 4, states
    assert set(shop.tally.codes) <= WAITED


async def replace_rate(trade: markets.Market, at: datetime, ppm: int) -> None:
    """Let the standard rate of Germany end at a moment, and another one begin."""
    call: dict[str, Any] = {"metadata": trade.admin.metadata, "timeout": CALL_S}
    moment = Timestamp()
    moment.FromDatetime(at)
    rates = (await trade.shop.taxes.ListTaxRates(tax_pb2.ListTaxRatesRequest(country_code="DE"), **call)).tax_rates
    [old] = [rate for rate in rates if rate.tax_category == "standard"]
    ended = tax_pb2.TaxRate(id=old.id, valid_until=moment)
    request = tax_pb2.UpdateTaxRateRequest(tax_rate=ended, update_mask=FieldMask(paths=["valid_until"]))
    await trade.shop.taxes.UpdateTaxRate(request, **call)
    new = tax_pb2.TaxRate(country_code="DE", tax_category="standard", name="New", rate_ppm=ppm, valid_from=moment)
    await trade.shop.taxes.CreateTaxRate(tax_pb2.CreateTaxRateRequest(tax_rate=new), **call)


async def set_prices_include_tax(trade: markets.Market, *, included: bool) -> None:
    shop = shop_pb2.Shop(prices_include_tax=included)
    await trade.shop.settings.UpdateShop(shop_pb2.UpdateShopRequest(shop=shop), metadata=trade.admin.metadata, timeout=CALL_S)


def require_taxes(price: PriceBreakdown, rate: int) -> None:
    """Check that one rate, half up on each line and on the delivery, gives all taxes and the total."""
    whole = MILLION + rate if price.prices_include_tax else MILLION

    def tax(amount: Money) -> int:
        return (2 * amount.minor_units * rate + whole) // (2 * whole)

    taxes = [*(tax(line.total) for line in price.lines), tax(price.delivery.price)]
    assert {line.tax_rate_ppm for line in price.lines} == {rate}
    assert [*(line.tax.minor_units for line in price.lines), price.delivery.tax.minor_units] == taxes
    on_top = 0 if price.prices_include_tax else sum(taxes)
    assert price.total.minor_units == price.subtotal.minor_units + price.delivery.price.minor_units + on_top
