"""Prices of lines, carts and orders. Expected amounts are computed by hand, or with fractions of a whole unit."""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX, CartLine
from mercato_server.domain.catalog import PRICE_MAX_MINOR
from mercato_server.domain.pricing import NO_RULES, AmountOutOfRange, Breakdown, Delivery, PricedLine, PriceRules, Purchase, price
from mercato_server.domain.pricing_errors import ShippingMethodUnavailable, TaxRateMissing
from mercato_server.domain.promotions import Discount, Promotion, PromotionKind, Scope, folded_code, give
from mercato_server.domain.purchases import NO_CHOICES, PriceTerms
from mercato_server.domain.shipping import Area, Destination, RateBasis, ShippingMethod, ShippingRate, ShippingTable, Tier, Zone
from mercato_server.domain.taxes import TaxPart, TaxRate, TaxTable, TaxTotal, TaxTreatment

BALL, BIKE, BOOTS = UUID(int=1), UUID(int=2), UUID(int=3)
PARCEL, EVERYWHERE, SUMMER, FREE, VAT_ROW = UUID(int=11), UUID(int=12), UUID(int=13), UUID(int=14), UUID(int=15)
INT64_MAX = 9_223_372_036_854_775_807
NOW = datetime(2026, 6, 1, tzinfo=UTC)
GERMANY = Destination("DE")


class Line(NamedTuple):
    product_id: UUID
    quantity: int
    unit_price_minor: int
    category_id: UUID | None = None
    tax_category: str = "standard"
    needs_delivery: bool = False
    weight_grams: int = 0


def plain_price(lines: Sequence[Line]) -> Breakdown:
    return price(Purchase(lines), NO_RULES, NOW)


def rules(ppm: int = 0, delivery_minor: int = 0, *, prices_include_tax: bool = False) -> PriceRules:
    """Return the rules of a shop in Germany with one rate and one method."""
    rate = ShippingRate(RateBasis.SUBTOTAL, (Tier(0, delivery_minor),))
    return PriceRules(
        prices_include_tax=prices_include_tax,
        country_code="DE",
        taxes=TaxTable([TaxRate(VAT_ROW, "DE", "", "", "VAT", ppm, (TaxPart("State", ppm),))]),
        shipping=ShippingTable(
            [Zone(EVERYWHERE, "Germany", (Area("DE"),))], [ShippingMethod(PARCEL, "Parcel", "standard", {EVERYWHERE: rate})]
        ),
    )


# Lines as (units, price of one), and the expected amounts of the lines and of the whole.
TABLE = [
    pytest.param([], [], 0, id="nothing"),
    pytest.param([(1, 1999)], [1999], 1999, id="one unit"),
    pytest.param([(3, 1999)], [5997], 5997, id="three units"),
    pytest.param([(2, 15499), (1, 8999), (12, 5)], [30998, 8999, 60], 40057, id="three lines"),
    pytest.param([(7, 0)], [0], 0, id="free of charge"),
]


@pytest.mark.parametrize(("bought", "line_totals", "total"), TABLE)
def test_without_rules_a_total_is_the_sum_of_the_lines(bought: Sequence[tuple[int, int]], line_totals: list[int], total: int) -> None:
    lines = [Line(product_id, *each) for product_id, each in zip((BALL, BIKE, BOOTS), bought, strict=False)]
    breakdown = plain_price(lines)
    assert breakdown == Breakdown(
        tuple(PricedLine(*line[:3], line_total) for line, line_total in zip(lines, line_totals, strict=True)), total
    )
    assert breakdown.subtotal_minor == total
    assert breakdown.discount_minor == breakdown.tax_minor == breakdown.relief_minor == 0


def test_lines_are_priced_by_product_id() -> None:
    breakdown = plain_price([Line(BOOTS, 1, 300), Line(BALL, 1, 100), Line(BIKE, 1, 200)])
    assert breakdown.lines == (PricedLine(BALL, 1, 100, 100), PricedLine(BIKE, 1, 200, 200), PricedLine(BOOTS, 1, 300, 300))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([Line(BALL, 1, -1)], id="a negative price"),
        pytest.param([Line(BALL, 1, 1), Line(BIKE, -1, 1)], id="a negative quantity"),
        pytest.param([Line(BALL, 1, INT64_MAX), Line(BIKE, 1, 1)], id="lines beyond an int64"),
        pytest.param([Line(BALL, 2, INT64_MAX)], id="a line beyond an int64"),
    ],
)
def test_lines_that_are_negative_or_beyond_an_int64_are_an_error(lines: Sequence[Line]) -> None:
    with pytest.raises(AmountOutOfRange):
        plain_price(lines)


def test_lines_beyond_an_int64_are_an_error_although_a_promotion_makes_them_free() -> None:
    everything = Promotion(SUMMER, "Summer", PromotionKind.PERCENT, percent_ppm=1_000_000)
    with pytest.raises(AmountOutOfRange):
        price(Purchase([Line(BALL, 2, INT64_MAX)], promotions=[everything]), NO_RULES, NOW)


def test_a_delivery_or_a_tax_that_takes_a_total_beyond_an_int64_is_an_error() -> None:
    full = [Line(BALL, 1, INT64_MAX, needs_delivery=True)]
    assert price(Purchase(full, GERMANY, PARCEL), rules(), NOW).total_minor == INT64_MAX
    for beyond in (rules(delivery_minor=1), rules(ppm=1)):
        with pytest.raises(AmountOutOfRange):
            price(Purchase(full, GERMANY, PARCEL), beyond, NOW)


def test_the_largest_int64_is_a_price_like_any_other() -> None:
    assert plain_price([Line(BALL, 1, INT64_MAX)]).total_minor == INT64_MAX


def test_the_dearest_cart_that_the_limits_allow_is_far_inside_an_int64() -> None:
    cart = [Line(UUID(int=number), LINE_QUANTITY_MAX, PRICE_MAX_MINOR) for number in range(LINES_MAX)]
    assert plain_price(cart).total_minor == 200_000_000_000_000_000
    assert price(Purchase(cart), rules(ppm=1_000_000), NOW).total_minor == 400_000_000_000_000_000


LINES = st.lists(st.builds(Line, st.uuids(), st.integers(1, 20), st.integers(0, PRICE_MAX_MINOR)), max_size=10)


@given(LINES)
@settings(deadline=None, database=None)
def test_a_total_counts_each_unit_once(lines: list[Line]) -> None:
    units = [Fraction(line.unit_price_minor, 100) for line in lines for _ in range(line.quantity)]
    assert Fraction(plain_price(lines).total_minor, 100) == sum(units)


def test_a_breakdown_names_each_part() -> None:
    books = Scope(category_ids=frozenset({UUID(int=9)}))
    promotions = [
        Promotion(SUMMER, "Summer", PromotionKind.AMOUNT, books, amount_minor=200),
        Promotion(FREE, "Free delivery", PromotionKind.FREE_DELIVERY),
    ]
    lines = [Line(BIKE, 2, 500, UUID(int=9), needs_delivery=True), Line(BALL, 1, 300, tax_category="", needs_delivery=True)]
    breakdown = price(Purchase(lines, GERMANY, PARCEL, promotions), rules(100_000, 490), NOW)
    assert breakdown == Breakdown(
        (PricedLine(BALL, 1, 300, 300), PricedLine(BIKE, 2, 500, 1000, 200, 100_000, 80)),
        1180,
        (Discount(SUMMER, "Summer", BIKE, 200), Discount(FREE, "Free delivery", None, 490)),
        Delivery(PARCEL, "Parcel", 490, 490),
        (TaxTotal("VAT", 100_000, (TaxPart("State", 100_000),), 800, 80),),
        prices_include_tax=False,
    )
    assert (breakdown.subtotal_minor, breakdown.discount_minor, breakdown.tax_minor, breakdown.relief_minor) == (1300, 690, 80, 0)


def test_the_rate_of_a_tax_that_is_taken_out_stays_on_the_line() -> None:
    lines = [Line(BALL, 1, 110)]
    breakdown = price(Purchase(lines, treatment=TaxTreatment.EXEMPT), rules(100_000, prices_include_tax=True), NOW)
    assert breakdown == Breakdown((PricedLine(BALL, 1, 110, 110, 0, 100_000, 0, 10),), 100)
    assert (breakdown.tax_minor, breakdown.relief_minor) == (0, 10)


def test_a_refusal_says_what_is_missing() -> None:
    lines = [Line(BALL, 1, 110, needs_delivery=True)]
    unavailable = price(Purchase(lines, Destination("FR"), PARCEL), rules(), NOW).missing
    assert isinstance(unavailable, ShippingMethodUnavailable)
    assert unavailable.metadata["shipping_method_id"] == str(PARCEL)
    shop = rules()._replace(taxes=TaxTable(countries=["DE"]))
    no_rate = price(Purchase(lines, Destination("DE", "BY"), PARCEL), shop, NOW).missing
    assert isinstance(no_rate, TaxRateMissing)
    assert no_rate.metadata == {"tax_category": "standard", "country_code": "DE", "region": "BY"}


@pytest.mark.parametrize(
    ("code", "folded"),
    [
        ("SUMMER", "summer"),
        ("  Summer\t", "summer"),
        ("ＳＵＭＭＥＲ", "summer"),  # noqa: RUF001 # full-width letters, which NFKC replaces
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("Été", "été"),
        ("E\u0301te\u0301", "été"),
        ("ΣΟΦΌΣ", "σοφόσ"),
        ("\u3000x\u00a0", "x"),
    ],
)
def test_codes_are_compared_trimmed_normalised_and_without_case(code: str, folded: str) -> None:
    assert folded_code(code) == folded


@given(st.text(max_size=8))
@settings(deadline=None, database=None)
def test_a_folded_code_stays_as_it_is(code: str) -> None:
    assert folded_code(folded_code(code)) == folded_code(code)


def cart_price(*lines: CartLine) -> Breakdown:
    return PriceTerms(NO_RULES, datetime.now(UTC)).price(lines, NO_CHOICES)


def cart_line(product_id: UUID, quantity: int, *, on_sale: bool = True) -> CartLine:
    return CartLine(product_id, "", quantity, unit_price_minor=100, added_price_minor=90, stock=0, on_sale=on_sale)


def test_a_cart_costs_what_its_lines_cost_now_whatever_is_left_of_them() -> None:
    assert cart_price(cart_line(BALL, 3)).lines == (PricedLine(BALL, 3, 100, 300),)


def test_a_line_that_is_gone_costs_nothing() -> None:
    cart = cart_price(cart_line(BALL, 3), cart_line(BIKE, 1, on_sale=False))
    assert [line.product_id for line in cart.lines] == [BALL]
    assert cart.total_minor == 300


def test_a_delivery_is_priced_only_for_promotions_that_may_free_it() -> None:
    lines = [Line(BALL, 1, 1_000)]
    others = [
        Promotion(UUID(int=100 + number), "", PromotionKind.FREE_DELIVERY, Scope(), method_ids=frozenset({BIKE})) for number in range(50)
    ]
    dear = [Promotion(UUID(int=200 + number), "", PromotionKind.FREE_DELIVERY, Scope(), min_subtotal_minor=1_001) for number in range(50)]
    fitting = Promotion(FREE, "", PromotionKind.FREE_DELIVERY, Scope())
    priced: list[Sequence[int]] = []

    def delivery(left: Sequence[int]) -> int:
        priced.append(left)
        return 490

    assert give(lines, [1_000], [*others, *dear, fitting], PARCEL, delivery).free_delivery == fitting
    assert priced == [[1_000]]
