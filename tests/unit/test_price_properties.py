"""Rules that every price obeys: random sales, compared with the rules in another form (support/price_oracle.py) and by themselves."""

import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from mercato_server.domain.pricing import Delivery, PricedLine, price
from mercato_server.domain.rounding import half_up, spread
from mercato_server.domain.taxes import TaxTable
from support import price_oracle
from support.price_engine import EngineSale, engine_price, tax_rate
from support.price_examples.model import REDUCED, VAT, Item, Rate, Sale
from support.price_oracle import MILLION, Oracle
from support.random_sales import BEFORE_END, END, PRICE_MAX, QUANTITY_MAX, START, large_sale, random_sale

SEEDS = st.integers(0, 2**63)
SALES, LARGE_SALES = st.builds(random_sale, SEEDS), st.builds(large_sale, SEEDS)


def examples(count: int) -> settings:
    """Return the settings of a test that draws so many sales."""
    return settings(max_examples=count, deadline=None, database=None)


@given(SALES)
@examples(500)
def test_a_price_is_that_of_the_rules_with_fractions(sale: Sale) -> None:
    assert engine_price(sale) == Oracle(sale).price()


@given(LARGE_SALES)
@examples(15)
def test_a_price_of_up_to_200_lines_is_that_of_the_rules_with_fractions(sale: Sale) -> None:
    assert engine_price(sale) == Oracle(sale).price()


@given(SALES)
@examples(150)
def test_a_total_is_lines_less_discounts_and_relief_with_delivery_and_the_tax_on_top(sale: Sale) -> None:
    answer = EngineSale(sale).breakdown()
    lines, delivery = answer.lines, [answer.delivery] if answer.delivery else []
    parts: list[PricedLine | Delivery] = [*lines, *delivery]
    expected = sum(line.quantity * line.unit_price_minor - line.discount_minor - line.relief_minor for line in lines)
    expected += sum(part.price_minor - part.discount_minor - part.relief_minor for part in delivery)
    if not sale.prices_include_tax:
        expected += sum(part.tax_minor for part in parts)
    assert answer.total_minor == expected
    assert sum(total.tax_minor for total in answer.taxes) == sum(part.tax_minor for part in parts) == answer.tax_minor
    discounts: Counter[UUID | None] = Counter()
    for discount in answer.discounts:
        discounts[discount.product_id] += discount.amount_minor
    assert all(discounts.pop(line.product_id, 0) == line.discount_minor for line in lines)
    assert discounts.pop(None, 0) == sum(part.discount_minor for part in delivery)
    assert not discounts


@given(SALES)
@examples(150)
def test_no_amount_is_negative_and_no_discount_relief_or_included_tax_exceeds_its_base(sale: Sale) -> None:
    answer = EngineSale(sale).breakdown()
    assert answer.total_minor >= 0
    assert all(discount.amount_minor > 0 for discount in answer.discounts)
    bases: list[tuple[int, PricedLine | Delivery]] = [(line.total_minor, line) for line in answer.lines]
    bases += [(answer.delivery.price_minor, answer.delivery)] if answer.delivery else []
    for base, part in bases:
        rest = base - part.discount_minor
        assert 0 <= rest <= base
        assert 0 <= part.tax_minor <= rest  # no rate is above 100 %
        assert 0 <= part.relief_minor <= rest
    for total in answer.taxes:
        assert total.net_minor >= 0
        assert total.tax_minor >= 0


@given(SALES, SEEDS)
@examples(150)
def test_the_order_of_lines_promotions_and_rates_does_not_matter(sale: Sale, seed: int) -> None:
    engine = EngineSale(sale)
    purchase, rules = engine.purchase(), engine.rules
    rows = [tax_rate(row, number) for number, row in enumerate(sale.rates, start=1)]
    lines, promotions = list(purchase.lines), list(purchase.promotions)
    chance = random.Random(seed)  # noqa: S311 # the test repeats it
    for each in (rows, lines, promotions):
        chance.shuffle(each)
    shuffled = purchase._replace(lines=lines, promotions=promotions)
    answer = price(shuffled, rules._replace(taxes=TaxTable(rows)), engine.at)
    straight = engine.breakdown()
    assert repr(answer) == repr(straight)  # a refusal, an exception, is equal only to itself


@given(SALES)
@examples(150)
def test_a_promotion_that_stands_alone_is_the_only_one(sale: Sale) -> None:
    given = engine_price(sale).given or {}
    alone = {offer.name for offer in sale.offers if not offer.combinable}
    assert len(given) <= 1 or not alone & set(given)


@given(SALES)
@examples(150)
def test_a_promotion_gives_from_its_start_to_before_its_end(sale: Sale) -> None:
    always = replace(sale, offers=tuple(replace(offer, starts_at="", ends_at="") for offer in sale.offers))
    limited = replace(sale, offers=tuple(replace(offer, starts_at=START, ends_at=END) for offer in sale.offers))
    assert engine_price(limited).given == (engine_price(always).given if sale.at in (START, BEFORE_END) else {})


@given(SALES)
@examples(150)
def test_a_rate_holds_from_its_start_to_before_its_end(sale: Sale) -> None:
    always = replace(sale, rates=tuple(replace(rate, valid_from="", valid_until="") for rate in sale.rates))
    limited = replace(sale, rates=tuple(replace(rate, valid_from=START, valid_until=END) for rate in sale.rates))
    over = replace(sale, rates=tuple(replace(rate, valid_from="", valid_until=sale.at) for rate in sale.rates))
    assert engine_price(limited) == engine_price(always if sale.at in (START, BEFORE_END) else over)


# Spreads and roundings by themselves.

PPMS = st.integers(0, MILLION)
amounts = st.one_of(st.integers(0, 50), st.integers(0, PRICE_MAX * QUANTITY_MAX))
weights = st.lists(amounts, min_size=1, max_size=200)


@given(weights, st.fractions(0, 1))
@examples(80)
def test_a_spread_keeps_the_sum_and_stays_within_a_unit_of_the_exact_share(whole: list[int], part: Fraction) -> None:
    total = sum(whole)
    amount = int(total * part)
    shares = spread(amount, whole)
    assert sum(shares) == amount
    for share, weight in zip(shares, whole, strict=True):
        assert abs(share - Fraction(amount * weight, max(total, 1))) < 1
        assert 0 <= share <= weight


@given(weights, amounts)
@examples(100)
def test_of_equal_weights_the_first_ones_get_more(whole: list[int], amount: int) -> None:
    shares = spread(amount, whole)
    by_weight: dict[int, list[int]] = {}
    for share, weight in zip(shares, whole, strict=True):
        by_weight.setdefault(weight, []).append(share)
    for equals in by_weight.values():
        assert equals == sorted(equals, reverse=True)
        assert equals[0] - equals[-1] <= 1


@given(amounts, st.integers(1, 2 * MILLION))
@examples(150)
def test_half_up_is_the_nearest_integer_and_the_higher_of_two(numerator: int, denominator: int) -> None:
    exact, rounded = Fraction(numerator, denominator), half_up(numerator, denominator)
    assert -Fraction(1, 2) < rounded - exact <= Fraction(1, 2)


@given(st.lists(st.tuples(amounts, st.sampled_from([VAT, REDUCED])), min_size=1, max_size=20), PPMS, PPMS, st.booleans())
@examples(60)
def test_tax_per_order_rounds_the_sum_of_a_rate_and_tax_per_line_adds_rounded_lines(
    lines: list[tuple[int, str]],
    standard: int,
    reduced: int,
    included: bool,  # noqa: FBT001 # drawn by hypothesis
) -> None:
    table = {VAT: (standard, "VAT"), REDUCED: (reduced, "Reduced")}
    sale = Sale(
        tuple(Item(f"P{number}", amount, 1, category) for number, (amount, category) in enumerate(lines)),
        prices_include_tax=included,
        country="DE",
        rates=tuple(Rate("DE", ppm, category, name=name) for category, (ppm, name) in table.items()),
    )

    def exact(amount: int, ppm: int) -> Fraction:
        return Fraction(amount * ppm, MILLION + ppm if included else MILLION)

    per_line = EngineSale(sale).breakdown()
    assert [line.tax_minor for line in per_line.lines] == [
        price_oracle.half_up(exact(amount, table[category][0])) for amount, category in lines
    ]
    per_order = EngineSale(replace(sale, tax_rounding="order")).breakdown()
    for category, (ppm, name) in table.items():
        sums = sum((exact(amount, ppm) for amount, kind in lines if kind == category), Fraction())
        assert sum(total.tax_minor for total in per_order.taxes if total.name == name) == price_oracle.half_up(sums)
    for line, (amount, category) in zip(per_order.lines, lines, strict=True):
        assert abs(line.tax_minor - exact(amount, table[category][0])) < Fraction(3, 2)  # within 1 of its share of the rounded tax
