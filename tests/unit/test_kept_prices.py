"""Recomputing an order from what it keeps agrees with every price that the rules give, and finds what sums cannot show."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mercato_server.domain.kept_prices import KeptOrder, disagreements
from mercato_server.domain.pricing import Breakdown
from mercato_server.domain.promotions import PromotionKind
from mercato_server.domain.taxes import TaxRounding, TaxTreatment
from support.price_engine import EngineSale
from support.price_examples import EXAMPLES
from support.price_examples.model import AS_GOODS, REDUCED, VAT, Address, Item, Offer, Rate, Sale, everywhere
from support.random_sales import large_sale, random_sale

GOODS = tuple(Item(f"Pen {number}", 1_00, 1, VAT, needs_delivery=True) for number in range(3))
GERMAN = (Rate("DE", 105_000, VAT), Rate("DE", 70_000, REDUCED))
NET = Sale(GOODS, prices_include_tax=False, tax_rounding="order", country="DE", rates=GERMAN)
BOOK, BALL = Item("Book", 20_00, 1, REDUCED, needs_delivery=True), Item("Ball", 10_00, 2, VAT, needs_delivery=True)
MIXED = Sale((BOOK, BALL), rates=GERMAN, methods=everywhere("DE", 4_90, AS_GOODS), address=Address("DE"))
TENTH, FREE = Offer("Tenth", "percent", percent_ppm=100_000), Offer("Free", "free_delivery")


def kept(sale: Sale) -> KeptOrder:
    """Return what an order of a sale keeps."""
    engine = EngineSale(sale)
    price = engine.breakdown()
    taxes = tuple(total._replace(parts=()) for total in price.taxes)  # these are not kept
    kinds = {promotion.id: promotion.kind for promotion in engine.promotions}
    return KeptOrder(price._replace(taxes=taxes), TaxRounding(sale.tax_rounding), TaxTreatment(sale.treatment), kinds)


@pytest.mark.parametrize("example", [pytest.param(each, id=each.name) for each in EXAMPLES if not each.price.missing])
def test_no_example_disagrees(example: Any) -> None:
    assert disagreements(kept(example.sale)) == []


def test_a_delivery_that_two_rates_of_one_percentage_share_is_rounded_for_each() -> None:
    rates = (Rate("DE", 190_000, VAT), Rate("DE", 190_000, REDUCED, name="Other"))
    goods = replace(BOOK, price_minor=10_00), replace(BALL, quantity=1)
    sale = Sale(goods, rates=rates, methods=everywhere("DE", 4, AS_GOODS), address=Address("DE"))
    order = kept(sale)
    # 2 for each rate, and 19/119 of 2 is 0.32; of 4 together it would be 0.64, which is 1
    assert [(total.delivery_net_minor, total.delivery_tax_minor) for total in order.price.taxes] == [(2, 0), (2, 0)]
    assert disagreements(order) == []


def test_no_order_that_the_rules_priced_disagrees() -> None:
    sales = [*map(random_sale, range(1_500)), *map(large_sale, range(20))]
    orders = [(sale, kept(sale)) for sale in sales]
    wrong = [(sale, found) for sale, order in orders if order.price.missing is None and (found := disagreements(order))]
    assert wrong == []


def moved(values: Sequence[Any], field: str, amount: int, *, to: int = 1) -> tuple[Any, ...]:
    """Move an amount from the first of some values to another one."""
    changed = list(values)
    changed[0] = changed[0]._replace(**{field: getattr(changed[0], field) - amount})
    changed[to] = changed[to]._replace(**{field: getattr(changed[to], field) + amount})
    return tuple(changed)


def with_discount_moved(price: Breakdown) -> Breakdown:
    return price._replace(discounts=moved(price.discounts, "amount_minor", 1), lines=moved(price.lines, "discount_minor", 1))


def with_delivery_moved(price: Breakdown) -> Breakdown:
    taxes = moved(price.taxes, "delivery_net_minor", 1)
    return price._replace(taxes=moved(taxes, "net_minor", 1))


def with_half_a_free_delivery(price: Breakdown) -> Breakdown:
    assert price.delivery
    [free] = price.discounts
    half = price.delivery._replace(discount_minor=2_45)
    return price._replace(discounts=(free._replace(amount_minor=2_45),), delivery=half, total_minor=price.total_minor + 2_45)


@pytest.mark.parametrize(
    ("sale", "change", "named"),
    [
        pytest.param(NET, lambda price: price._replace(lines=moved(price.lines, "tax_minor", 1, to=2)), ".tax: ", id="tax of another line"),
        pytest.param(replace(NET, offers=(TENTH,), rates=()), with_discount_moved, "discounts[", id="discount of another line"),
        pytest.param(replace(MIXED, tax_rounding="order"), with_delivery_moved, "the delivery is divided", id="delivery of another rate"),
        pytest.param(
            replace(MIXED, offers=(replace(TENTH, kind="buy_x_get_y", buy=2, get=1),), methods=()),
            lambda price: price._replace(
                discounts=(price.discounts[0]._replace(product_id=price.lines[0].product_id),),
                lines=(price.lines[0]._replace(discount_minor=10_00), price.lines[1]._replace(discount_minor=0)),
            ),
            "discounts[",
            id="free units that are not the cheapest",
        ),
        pytest.param(replace(MIXED, rates=(), offers=(FREE,)), with_half_a_free_delivery, "delivery.discount", id="half a free delivery"),
        pytest.param(
            MIXED, lambda price: price._replace(taxes=moved(price.taxes, "tax_minor", 1)), "taxes[105000 ppm]", id="tax of another rate"
        ),
        pytest.param(
            MIXED,
            lambda price: price._replace(taxes=(price.taxes[0]._replace(net_minor=1), price.taxes[1])),
            "taxes[105000 ppm]",
            id="net of a rate",
        ),
        pytest.param(
            replace(MIXED, treatment="exempt"),
            lambda price: price._replace(lines=moved(price.lines, "relief_minor", 1)),
            ".tax_relief: ",
            id="relief of another line",
        ),
        pytest.param(MIXED, lambda price: price._replace(total_minor=price.total_minor + 1), "total: ", id="total"),
    ],
)
def test_an_order_whose_sums_are_right_is_found(sale: Sale, change: Any, named: str) -> None:
    order = kept(sale)
    assert disagreements(order) == []
    found = disagreements(order._replace(price=change(order.price)))
    assert any(named in line for line in found), found


def test_a_kind_of_a_later_release_may_give_anything() -> None:
    order = kept(replace(NET, offers=(TENTH,), rates=()))
    later = order._replace(price=with_discount_moved(order.price), kinds=dict.fromkeys(order.kinds, PromotionKind.UNKNOWN))
    assert disagreements(later) == []
