"""Prices of orders, computed again by the rules of domain/pricing from what the orders keep.

An order keeps amounts, and not which lines a promotion was for or which lines needed delivery. It agrees with the rules if some choice of
these lines leads to its amounts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.pricing import Breakdown, Delivery, PricedLine
from mercato_server.domain.promotions import Promotion, PromotionKind, Scope, give
from mercato_server.domain.taxes import (
    Taxed,
    TaxRate,
    TaxRounding,
    TaxTotal,
    TaxTreatment,
    as_goods,
    tax_totals,
    taxes_minor,
    unlisted_rate,
)

CHOICES_MAX = 10
"""Lines of which each choice is tried. An order with more of them is taken to agree."""


class KeptOrder(NamedTuple):
    """The price of an order, and what else it depends on."""

    price: Breakdown
    tax_rounding: TaxRounding | None
    """None if a provider has named the taxes, which only the provider could compute again."""
    treatment: TaxTreatment
    kinds: Mapping[UUID, PromotionKind]
    """The kinds of its promotions; they never change."""


class _Units(NamedTuple):
    """A line as promotions see it."""

    product_id: UUID
    quantity: int
    category_id: UUID | None = None


def disagreements(order: KeptOrder) -> list[str]:
    """Return the fields of an order's price that the rules do not give, each with its value by the rules if there is only one."""
    taxes = [*_delivery_split(order), *_taxes(order, order.tax_rounding)] if order.tax_rounding else []
    return [*_discounts(order), *_delivery_discount(order), *taxes, *_total(order.price)]


def _discounts(order: KeptOrder) -> list[str]:
    """Compare what each promotion gives to the lines, in the order in which they applied."""
    lines, wrong = order.price.lines, []
    place = {line.product_id: position for position, line in enumerate(lines)}
    given: dict[UUID, list[int]] = defaultdict(lambda: [0] * len(lines))
    for promotion_id, _, product_id, amount_minor in order.price.discounts:
        if product_id in place:
            given[promotion_id][place[product_id]] += amount_minor
        elif product_id is not None:
            wrong.append(f"discounts[{promotion_id}]: it has no line {product_id}")
    left = [line.total_minor for line in lines]
    for promotion_id, amounts in given.items():
        if any(amount > most for amount, most in zip(amounts, left, strict=True)):
            return [*wrong, f"discounts[{promotion_id}]: more than is left of a line"]
        if not _could_give(order.kinds[promotion_id], lines, left, amounts):
            wrong.append(f"discounts[{promotion_id}]: {sum(amounts)} are divided among the lines in another way")
        left = [most - amount for most, amount in zip(left, amounts, strict=True)]
    for line, rest in zip(lines, left, strict=True):
        wrong += _differ(f"lines[{line.product_id}].discount", line.discount_minor, line.total_minor - rest)
    return wrong


def _could_give(kind: PromotionKind, lines: Sequence[PricedLine], left: Sequence[int], amounts: Sequence[int]) -> bool:
    """Return whether a promotion of a kind can give these amounts, for some scope."""
    units = [_Units(line.product_id, line.quantity) for line in lines]
    expected = [most - amount for most, amount in zip(left, amounts, strict=True)]
    whole = sum(amounts)

    def gives(promotion: Promotion) -> bool:
        return give(units, left, [promotion], None, lambda _: None).left == expected

    chosen = {line.product_id for line, amount in zip(lines, amounts, strict=True) if amount}
    blank = Promotion(UUID(int=0), "", kind, Scope(frozenset(chosen)))
    match kind:
        case PromotionKind.FREE_DELIVERY:
            return False
        case PromotionKind.BUY_X_GET_Y:
            counts = zip(amounts, left, lines, strict=True)
            free = sum(_free_units(amount, most, line.quantity) for amount, most, line in counts if amount)
            bought = sum(line.quantity for line in lines)  # one lot of them: then `free` units of the chosen lines are given
            return gives(blank._replace(scope=Scope(), buy_quantity=bought, get_quantity=free, get_scope=blank.scope))
        case PromotionKind.PERCENT | PromotionKind.AMOUNT:
            # Lines of so small a share that it may be 0 although they are in the scope.
            weights = zip(lines, amounts, left, strict=True)
            open_ = [line.product_id for line, amount, most in weights if most and not amount and whole * most < sum(left)]
            amount_off = blank._replace(kind=PromotionKind.AMOUNT, amount_minor=whole)
            return _for_some(open_, lambda others: gives(amount_off._replace(scope=Scope(frozenset({*chosen, *others})))))
        case _:
            return True


def _free_units(amount: int, left: int, quantity: int) -> int:
    """Return how many units, the cheapest ones first, cost an amount; see `_priced_units` in promotions.py."""
    low, dearer = divmod(left, quantity)
    cheap = quantity - dearer
    return amount // low if low and amount <= low * cheap else cheap + (amount - low * cheap) // (low + 1)


def _for_some(open_: Sequence[UUID], holds: Callable[[tuple[UUID, ...]], bool]) -> bool:
    """Return whether a condition holds for some of the choices among lines, the smallest first."""
    choices = chain.from_iterable(combinations(open_, size) for size in range(len(open_) + 1))
    return len(open_) > CHOICES_MAX or any(map(holds, choices))


def _delivery_discount(order: KeptOrder) -> list[str]:
    """Compare the discount of the delivery: all of its price, or nothing."""
    free = [each for each in order.price.discounts if each.product_id is None]
    if any(order.kinds[each.promotion_id] not in (PromotionKind.FREE_DELIVERY, PromotionKind.UNKNOWN) for each in free):
        return ["delivery.discount: a promotion of goods gives it"]
    delivery = order.price.delivery
    given, price = sum(each.amount_minor for each in free), delivery.price_minor if delivery and free else 0
    return [
        *_differ("discounts of the delivery", given, price),
        *_differ("delivery.discount", delivery.discount_minor if delivery else 0, price),
    ]


def _delivery_split(order: KeptOrder) -> list[str]:
    """Compare the parts of the delivery that the rates tax: all by one rate, or as the goods for some choice of lines."""
    delivery, parts = order.price.delivery, _delivery_parts(order.price)
    if delivery is None:
        return ["taxes: they have a part of a delivery"] if parts else []
    if not parts or list(parts.values()) == [delivery.cost_minor] or _have_one_percentage(order.price.taxes):
        return []
    goods = {line.product_id: (_rate(line.tax_rate_ppm), line.total_minor - line.discount_minor) for line in order.price.lines}

    def is_split(undelivered: Sequence[UUID]) -> bool:
        split = as_goods(delivery.cost_minor, [share for product_id, share in goods.items() if product_id not in undelivered])
        return {share.rate.ppm: share.amount_minor for share in split if share.amount_minor} == parts

    return [] if _for_some(list(goods), is_split) else ["taxes: the delivery is divided among the rates in another way"]


def _delivery_parts(price: Breakdown) -> dict[int, int]:
    """Return the parts of the delivery's cost by the percentage of their tax, without those that are 0."""
    parts: dict[int, int] = defaultdict(int)
    for rate in price.taxes:
        parts[rate.ppm] += _delivery_part(price, rate)
    return {ppm: amount for ppm, amount in parts.items() if amount}


def _delivery_part(price: Breakdown, total: TaxTotal) -> int:
    """Return the part of the delivery's cost that a rate taxes."""
    return total.delivery_net_minor + (total.delivery_tax_minor if price.prices_include_tax else 0)


def _have_one_percentage(taxes: Iterable[TaxTotal]) -> bool:
    """Return whether two rates have one percentage. A line does not tell which of them is its own."""
    percentages = [rate.ppm for rate in taxes]
    return len(percentages) != len(set(percentages))


def _rate(ppm: int | None) -> TaxRate | None:
    return None if ppm is None else unlisted_rate(ppm)


def _taxes(order: KeptOrder, rounding: TaxRounding) -> list[str]:
    """Compare the tax of each line, of the delivery and of each rate."""
    price, included = order.price, order.price.prices_include_tax
    if not order.treatment.bears_tax:
        return _reliefs(order)
    if rounding is TaxRounding.ORDER and _have_one_percentage(price.taxes):
        return []
    rated = [(line, rate) for line in price.lines if (rate := _rate(line.tax_rate_ppm))]
    amounts = [Taxed(line.total_minor - line.discount_minor, rate) for line, rate in rated]
    parts = [(rate, amount) for total in price.taxes if (rate := _rate(total.ppm)) and (amount := _delivery_part(price, total))]
    amounts += [Taxed(amount, rate, is_delivery=True) for rate, amount in parts]
    taxes = taxes_minor(amounts, rounding, included=included)
    of_line = dict(zip((line.product_id for line, _ in rated), taxes, strict=False))
    wrong = []
    for line in price.lines:
        wrong += _differ(f"lines[{line.product_id}].tax", line.tax_minor, of_line.get(line.product_id, 0))
        wrong += _differ(f"lines[{line.product_id}].tax_relief", line.relief_minor, 0)
    delivery = price.delivery or Delivery(UUID(int=0), "", 0)
    wrong += _differ("delivery.tax", delivery.tax_minor, sum(taxes[len(rated) :]))
    wrong += _differ("delivery.tax_relief", delivery.relief_minor, 0)
    kept, found = _by_percentage(price.taxes), _by_percentage(tax_totals(amounts, taxes, included=included))
    for ppm in sorted({*kept, *found}):
        wrong += _differ(f"taxes[{ppm} ppm]", kept.get(ppm, _NOTHING), found.get(ppm, _NOTHING))
    return wrong


class _Sums(NamedTuple):
    net: int
    tax: int
    delivery_net: int
    delivery_tax: int


_NOTHING = _Sums(0, 0, 0, 0)


def _by_percentage(taxes: Iterable[TaxTotal]) -> dict[int, _Sums]:
    sums: dict[int, _Sums] = {}
    for rate in taxes:
        own = (rate.net_minor, rate.tax_minor, rate.delivery_net_minor, rate.delivery_tax_minor)
        sums[rate.ppm] = _Sums(*map(sum, zip(sums.get(rate.ppm, _NOTHING), own, strict=True)))
    return sums


def _reliefs(order: KeptOrder) -> list[str]:
    """Compare the tax that is taken out of each line. The rates of the delivery are not kept, nor which lines share a rate of the order."""
    price, wrong = order.price, [f"taxes[{rate.ppm} ppm]: the buyer bears no tax" for rate in order.price.taxes]
    for line in price.lines:
        rate = _rate(line.tax_rate_ppm) if price.prices_include_tax else None
        wrong += _differ(f"lines[{line.product_id}].tax", line.tax_minor, 0)
        if order.tax_rounding is TaxRounding.LINE or rate is None:
            relief = rate.tax_minor(line.total_minor - line.discount_minor, included=True) if rate else 0
            wrong += _differ(f"lines[{line.product_id}].tax_relief", line.relief_minor, relief)
    if price.delivery:
        wrong += _differ("delivery.tax", price.delivery.tax_minor, 0)
    return wrong


def _total(price: Breakdown) -> list[str]:
    cost = sum(line.total_minor - line.discount_minor for line in price.lines) + (price.delivery.cost_minor if price.delivery else 0)
    return _differ("total", price.total_minor, cost - price.relief_minor + (0 if price.prices_include_tax else price.tax_minor))


def _differ(field: str, kept: object, found: object) -> list[str]:
    """Return a line for a field whose value is another one by the rules."""
    return [] if kept == found else [f"{field}: {kept}, by the rules {found}"]
