"""Prices of lines, carts and orders. Expected amounts are computed by hand, or with fractions of a whole unit."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX, CartLine, price_cart
from mercato_server.domain.catalog import PRICE_MAX_MINOR
from mercato_server.domain.pricing import Adjustment, AdjustmentKind, AmountOutOfRange, PricedLine, price

BALL, BIKE, BOOTS = UUID(int=1), UUID(int=2), UUID(int=3)
INT64_MAX = 9_223_372_036_854_775_807


class Line(NamedTuple):
    product_id: UUID
    quantity: int
    unit_price_minor: int


def discount(amount_minor: int, product_id: UUID | None = None) -> Adjustment:
    return Adjustment(AdjustmentKind.DISCOUNT, "summer", amount_minor, product_id)


DELIVERY = Adjustment(AdjustmentKind.DELIVERY, "parcel", 490)
TAX = Adjustment(AdjustmentKind.TAX, "GB 20 %", 1_098)

# Lines as (units, price of one), adjustments, and the expected amounts of the lines and of the whole.
TABLE = [
    pytest.param([], [], [], 0, id="nothing"),
    pytest.param([(1, 1999)], [], [1999], 1999, id="one unit"),
    pytest.param([(3, 1999)], [], [5997], 5997, id="three units"),
    pytest.param([(2, 15499), (1, 8999), (12, 5)], [], [30998, 8999, 60], 40057, id="three lines"),
    pytest.param([(7, 0)], [], [0], 0, id="free of charge"),
    pytest.param([(2, 2500)], [DELIVERY], [5000], 5490, id="delivery"),
    pytest.param([(2, 2500)], [discount(-500)], [5000], 4500, id="a discount of the order"),
    pytest.param([(2, 2500), (1, 100)], [discount(-1, BIKE)], [5000, 100], 5099, id="a discount of a line"),
    pytest.param([(2, 2500)], [discount(-5000)], [5000], 0, id="a discount of everything"),
    pytest.param([(2, 2500), (1, 100)], [discount(-100, BIKE), DELIVERY, TAX], [5000, 100], 6588, id="all kinds"),
]


@pytest.mark.parametrize(("bought", "adjustments", "line_totals", "total"), TABLE)
def test_a_total_is_the_sum_of_lines_and_adjustments(
    bought: Sequence[tuple[int, int]], adjustments: Sequence[Adjustment], line_totals: list[int], total: int
) -> None:
    lines = [Line(product_id, *each) for product_id, each in zip((BALL, BIKE, BOOTS), bought, strict=False)]
    breakdown = price(lines, adjustments)
    assert breakdown.lines == tuple(PricedLine(*line, line_total) for line, line_total in zip(lines, line_totals, strict=True))
    assert breakdown.adjustments == tuple(adjustments)
    assert breakdown.total_minor == total


@pytest.mark.parametrize(
    ("lines", "adjustments"),
    [
        pytest.param([Line(BALL, 1, 100)], [discount(-101)], id="below nothing"),
        pytest.param([], [discount(-1)], id="a discount of nothing"),
        pytest.param([Line(BALL, 1, -1)], [], id="a negative price"),
        pytest.param([Line(BALL, 1, INT64_MAX), Line(BIKE, 1, 1)], [], id="lines beyond an int64"),
        pytest.param([Line(BALL, 2, INT64_MAX)], [discount(-INT64_MAX)], id="a line beyond an int64, and a total within"),
        pytest.param([Line(BALL, 1, INT64_MAX)], [DELIVERY], id="a total beyond an int64"),
    ],
)
def test_an_amount_that_is_negative_or_beyond_an_int64_is_an_error(lines: Sequence[Line], adjustments: Sequence[Adjustment]) -> None:
    with pytest.raises(AmountOutOfRange):
        price(lines, adjustments)


def test_the_largest_int64_is_a_price_like_any_other() -> None:
    assert price([Line(BALL, 1, INT64_MAX)]).total_minor == INT64_MAX


def test_the_dearest_cart_that_the_limits_allow_is_far_inside_an_int64() -> None:
    cart = [Line(UUID(int=number), LINE_QUANTITY_MAX, PRICE_MAX_MINOR) for number in range(LINES_MAX)]
    assert price(cart).total_minor == 200_000_000_000_000_000


LINES = st.lists(st.builds(Line, st.uuids(), st.integers(1, 20), st.integers(0, PRICE_MAX_MINOR)), max_size=10)
SURCHARGES = st.lists(st.builds(Adjustment, st.sampled_from(AdjustmentKind), st.text(max_size=5), st.integers(0, 10**12)), max_size=5)


@given(LINES, SURCHARGES)
@settings(deadline=None, database=None)
def test_a_total_counts_each_unit_and_each_adjustment_once(lines: list[Line], surcharges: list[Adjustment]) -> None:
    units = [Fraction(line.unit_price_minor, 100) for line in lines for _ in range(line.quantity)]
    extra = [Fraction(surcharge.amount_minor, 100) for surcharge in surcharges]
    assert Fraction(price(lines, surcharges).total_minor, 100) == sum(units) + sum(extra)


def cart_line(product_id: UUID, quantity: int, *, on_sale: bool = True) -> CartLine:
    return CartLine(product_id, "", quantity, unit_price_minor=100, added_price_minor=90, stock=0, on_sale=on_sale)


def test_a_cart_costs_what_its_lines_cost_now_whatever_is_left_of_them() -> None:
    assert price_cart([cart_line(BALL, 3)]).lines == (PricedLine(BALL, 3, 100, 300),)


def test_a_line_that_is_gone_costs_nothing() -> None:
    cart = price_cart([cart_line(BALL, 3), cart_line(BIKE, 1, on_sale=False)])
    assert [line.product_id for line in cart.lines] == [BALL]
    assert cart.total_minor == 300
