"""Allocation of stock to baskets, and the states of an order."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mercato_server.domain.carts import CartLine, CartWarning, cart_etag
from mercato_server.domain.errors import (
    CartEmpty,
    EmailNotVerified,
    EtagMismatch,
    MercatoError,
    OrderState,
    OutOfStock,
    Shortage,
    TotalChanged,
    UnitsLimit,
)
from mercato_server.domain.orders import NEXT, Basket, OrderStatus, Sale, Terms, allocate, check_transition
from mercato_server.domain.pricing import NO_RULES, Breakdown
from mercato_server.domain.redemptions import NO_USES

BALL, BIKE = UUID(int=1), UUID(int=2)


def line(
    product_id: UUID = BALL, quantity: int = 1, *, price: int = 100, added: int = 100, stock: int = 10, on_sale: bool = True
) -> CartLine:
    return CartLine(
        product_id=product_id,
        name=f"product {product_id.int}",
        quantity=quantity,
        unit_price_minor=price,
        added_price_minor=added,
        stock=stock,
        on_sale=on_sale,
    )


def basket(*lines: CartLine, validate_only: bool = False, **terms: str | int) -> Basket:
    return Basket(lines, Terms(**terms), validate_only)  # type: ignore[arg-type] # the tests name the terms by keyword


def sale(stock: dict[UUID, int], **limits: Any) -> Sale:
    return Sale(stock, NO_RULES, datetime.now(UTC), NO_USES, **limits)


def total(outcome: MercatoError | Breakdown) -> int:
    """Return the price of a basket that is served."""
    assert isinstance(outcome, Breakdown)
    return outcome.total_minor


def totals(baskets: list[Basket], sale: Sale) -> list[int]:
    return [total(outcome) for outcome in allocate(baskets, sale)]


def test_the_first_to_come_gets_the_last_unit() -> None:
    first, second = allocate([basket(line()), basket(line())], sale({BALL: 1}))
    assert total(first) == 100
    assert isinstance(second, OutOfStock)


def test_a_basket_that_does_not_fit_leaves_its_units_to_those_behind_it() -> None:
    outcomes = allocate([basket(line(BALL, 1), line(BIKE, 5)), basket(line(BALL, 1))], sale({BALL: 1, BIKE: 4}))
    assert isinstance(outcomes[0], OutOfStock)
    assert total(outcomes[1]) == 100


def test_every_line_that_cannot_be_served_is_listed_by_product_id() -> None:
    [refusal] = allocate([basket(line(BIKE, 5), line(BALL, 3))], sale({BALL: 2}))
    assert isinstance(refusal, OutOfStock)
    assert refusal.shortages == (Shortage(BALL, "product 1", 3, 2), Shortage(BIKE, "product 2", 5, 0))


def test_validating_takes_nothing() -> None:
    assert totals([basket(line(), validate_only=True), basket(line())], sale({BALL: 1})) == [100, 100]


def test_an_empty_basket_is_refused() -> None:
    [refusal] = allocate([basket()], sale({}))
    assert isinstance(refusal, CartEmpty)


def test_units_above_the_limit_of_the_shop_are_refused_with_their_products_and_leave_the_stock() -> None:
    large, fitting = basket(line(BALL, 5), line(BIKE, 6), line(BIKE, 4)), basket(line(BALL, 4))
    refusal, served = allocate([large, fitting], sale({BALL: 5, BIKE: 99}, units_max=4))
    assert isinstance(refusal, UnitsLimit)
    assert refusal.metadata == {"limit": "4", "product_names": "product 1, product 2"}
    assert refusal.message.endswith("take fewer of: product 1, product 2")
    assert total(served) == 400


def test_a_shop_for_verified_buyers_refuses_the_others() -> None:
    known, unknown = Basket([line()], Terms()), Basket([line()], Terms(), verified=False)
    assert totals([known, unknown], sale({BALL: 9})) == [100, 100]
    served, refused = allocate([known, unknown], sale({BALL: 9}, verified_only=True))
    assert total(served) == 100
    assert isinstance(refused, EmailNotVerified)


def test_the_etag_that_the_buyer_saw_is_compared_before_the_stock() -> None:
    seen = cart_etag([line(quantity=2)])
    [refusal] = allocate([basket(line(quantity=3), cart_etag=seen)], sale({}))
    assert isinstance(refusal, EtagMismatch)
    assert refusal.metadata == {"expected_etag": seen, "etag": cart_etag([line(quantity=3)])}
    assert totals([basket(line(quantity=2), cart_etag=seen)], sale({BALL: 2})) == [200]


def test_another_total_is_refused_with_both_values() -> None:
    [refusal] = allocate([basket(line(quantity=2), expected_total_minor=150)], sale({BALL: 2}))
    assert isinstance(refusal, TotalChanged)
    assert refusal.metadata == {"expected_total": "150", "total": "200"}
    assert totals([basket(line(quantity=2), expected_total_minor=200)], sale({BALL: 2})) == [200]


def test_a_total_of_nothing_can_be_expected() -> None:
    assert totals([basket(line(price=0), expected_total_minor=0)], sale({BALL: 2})) == [0]
    [refusal] = allocate([basket(line(price=1), expected_total_minor=0)], sale({BALL: 2}))
    assert isinstance(refusal, TotalChanged)


@pytest.mark.parametrize("change", [{"quantity": 2}, {"price": 101}, {"product_id": BIKE}, {"on_sale": False}], ids=str)
def test_the_etag_of_a_cart_changes_with_what_would_be_bought(change: dict[str, int]) -> None:
    assert cart_etag([line(**change)]) != cart_etag([line()])  # type: ignore[arg-type] # the table names arguments


def test_the_etag_of_a_cart_does_not_depend_on_stock_or_order() -> None:
    assert cart_etag([line(), line(BIKE)]) == cart_etag([line(BIKE, stock=0), line(stock=1)])


@pytest.mark.parametrize(
    ("item", "warnings"),
    [
        pytest.param(line(), [], id="nothing"),
        pytest.param(line(stock=0), [CartWarning.OUT_OF_STOCK], id="out of stock"),
        pytest.param(line(quantity=2, stock=1), [CartWarning.FEWER_LEFT], id="fewer left"),
        pytest.param(line(quantity=2, stock=1, added=90), [CartWarning.FEWER_LEFT, CartWarning.PRICE_CHANGED], id="two"),
        pytest.param(line(on_sale=False, stock=0, added=90), [CartWarning.PRODUCT_GONE], id="gone says it all"),
    ],
)
def test_a_line_warns_of_every_reason_against_its_sale(item: CartLine, warnings: list[CartWarning]) -> None:
    assert item.warnings() == warnings


def test_an_order_goes_only_where_its_state_leads() -> None:
    for current in OrderStatus:
        for wanted in OrderStatus:
            if wanted in NEXT[current]:
                check_transition(current, wanted)
            else:
                with pytest.raises(OrderState) as caught:
                    check_transition(current, wanted)
                assert caught.value.metadata == {"status": current.name, "allowed": ",".join(status.name for status in NEXT[current])}


def test_cancelled_and_refunded_are_final() -> None:
    assert not NEXT[OrderStatus.CANCELLED]
    assert not NEXT[OrderStatus.REFUNDED]
