"""Prices: the only module that computes what lines, carts and orders cost.

The functions are pure and use integers only: minor units of one currency. The steps are lines, then promotions, delivery and tax. `verify`
states the rules again in SQL.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple, Protocol
from uuid import UUID

from mercato_server.domain.errors import MercatoError
from mercato_server.domain.pricing_errors import (
    AddressRequired,
    PricingError,
    QuoteRequired,
    ShippingMethodRequired,
    ShippingMethodUnavailable,
    TaxRateMissing,
)
from mercato_server.domain.promotions import Discount, Given, PromotedLine, Promotion, give
from mercato_server.domain.provided_taxes import AskedDelivery, AskedLine, ProvidedTaxes, TaxQuestion
from mercato_server.domain.shipping import Destination, ShippingTable
from mercato_server.domain.taxes import (
    AS_GOODS,
    Taxed,
    TaxRate,
    TaxRateUnknown,
    TaxRounding,
    TaxTable,
    TaxTotal,
    TaxTreatment,
    as_goods,
    tax_totals,
    taxes_minor,
)

AMOUNT_MAX = 2**63 - 1
"""The maximum of a bigint in the database and of an int64 in a message."""

PRICING_VERSION = 1
"""The version of these rules, which an order keeps. The rules of a version stay while orders have it."""


class AmountOutOfRange(ArithmeticError):
    """An amount is negative or exceeds an int64. A bug: the limits of prices, quantities, lines and rates rule it out."""


class Line(PromotedLine, Protocol):
    """Units of a product at a price."""

    @property
    def unit_price_minor(self) -> int:
        """The price of one unit."""

    @property
    def tax_category(self) -> str:
        """The code of the tax category; the product bears no tax without one."""

    @property
    def needs_delivery(self) -> bool:
        """Whether the units go to an address."""

    @property
    def weight_grams(self) -> int:
        """The weight of one unit."""


class PriceRules(NamedTuple):
    """The charges of a shop besides the prices of its products."""

    version: int = 0
    """Rises with each change of the rules."""
    prices_include_tax: bool = True
    tax_rounding: TaxRounding = TaxRounding.LINE
    country_code: str = ""
    """The country of the shop, where a sale without an address is taxed; empty: it is not taxed."""
    taxes: TaxTable = TaxTable()
    shipping: ShippingTable = ShippingTable()
    promotions: Mapping[UUID, Promotion] = {}
    automatic: Sequence[Promotion] = ()
    """Those of the promotions that need no code."""
    asks_provider: bool = False
    """Whether a provider outside of the shop names the taxes, in place of the table."""


NO_RULES = PriceRules()

_BY_PRODUCT = attrgetter("product_id.int")  # integers compare much faster than UUIDs


class Purchase(NamedTuple):
    """The goods that a buyer wants to buy, and their destination."""

    lines: Sequence[Line]
    destination: Destination | None = None
    method_id: UUID | None = None
    promotions: Sequence[Promotion] = ()
    """The promotions that may apply: their windows are open, their codes entered, and their limits not reached."""
    treatment: TaxTreatment = TaxTreatment.NORMAL
    provided: ProvidedTaxes | None = None
    """The taxes that a provider has named; they count if it was asked about this very purchase."""


class PricedLine(NamedTuple):
    """Units of a product and what they cost."""

    product_id: UUID
    quantity: int
    unit_price_minor: int
    total_minor: int
    """The price of its units before discounts and tax."""
    discount_minor: int = 0
    tax_rate_ppm: int | None = None
    """The rate of the tax that is borne or taken out; None without one."""
    tax_minor: int = 0
    """The tax of the line, which is in its price or comes on top of it."""
    relief_minor: int = 0
    """The tax that is taken out of the price, for a buyer who bears none."""


class Delivery(NamedTuple):
    """The delivery of an order and what it costs."""

    method_id: UUID
    name: str
    price_minor: int
    discount_minor: int = 0
    tax_minor: int = 0
    relief_minor: int = 0

    @property
    def cost_minor(self) -> int:
        """The price less the discount."""
        return self.price_minor - self.discount_minor


class Breakdown(NamedTuple):
    """A total and its parts.

    The total is the sum of the lines' totals and of the delivery's price, less discounts and relief; tax comes on top where prices do not
    include it.
    """

    lines: tuple[PricedLine, ...]
    """By product id."""
    total_minor: int
    discounts: tuple[Discount, ...] = ()
    delivery: Delivery | None = None
    taxes: tuple[TaxTotal, ...] = ()
    prices_include_tax: bool = True
    missing: MercatoError | None = None
    """Why this is no price of an order yet, for example because the total lacks a delivery."""
    provided: ProvidedTaxes | None = None
    """The answer of a provider that the taxes are from; None if they are by the shop's rates."""

    @property
    def has_parts(self) -> bool:
        """Whether the total is more than the sum of the lines."""
        return bool(self.discounts or self.taxes or self.delivery) or any(line.relief_minor for line in self.lines)

    @property
    def subtotal_minor(self) -> int:
        """The sum of the lines' totals."""
        return sum(line.total_minor for line in self.lines)

    @property
    def discount_minor(self) -> int:
        """The discounts of lines and delivery."""
        return sum(discount.amount_minor for discount in self.discounts)

    def by_promotion(self) -> dict[UUID, Discount]:
        """Return what each promotion takes off in all, without a product."""
        found: dict[UUID, Discount] = {}
        for promotion_id, name, _, amount_minor in self.discounts:
            earlier_minor = found[promotion_id].amount_minor if promotion_id in found else 0
            found[promotion_id] = Discount(promotion_id, name, None, earlier_minor + amount_minor)
        return found

    @property
    def tax_minor(self) -> int:
        """The tax of lines and delivery."""
        return sum(part.tax_minor for part in self._parts)

    @property
    def relief_minor(self) -> int:
        """The tax that is taken out of the prices."""
        return sum(part.relief_minor for part in self._parts)

    @property
    def _parts(self) -> Sequence[PricedLine | Delivery]:
        return (*self.lines, self.delivery) if self.delivery else self.lines


def line_total_minor(quantity: int, unit_price_minor: int) -> int:
    """Return the price of a line before discounts and tax."""
    return quantity * unit_price_minor


def price(purchase: Purchase, rules: PriceRules, at: datetime) -> Breakdown:
    """Return what a purchase costs at a moment, with its parts; raises AmountOutOfRange."""
    lines = sorted(purchase.lines, key=_BY_PRODUCT)
    totals = [line_total_minor(line.quantity, line.unit_price_minor) for line in lines]
    if sum(totals) > AMOUNT_MAX or min(totals, default=0) < 0:
        raise AmountOutOfRange(f"lines of {totals} minor units")
    if purchase.promotions:
        given = give(lines, totals, purchase.promotions, purchase.method_id, lambda left: _delivery_minor(purchase, rules, lines, left))
    else:
        given = Given([], totals, None)
    delivery, undelivered = _deliver(purchase, rules, lines, given)
    discounts = tuple(given.discounts)
    if given.free_delivery and delivery:
        discounts += (Discount(given.free_delivery.id, given.free_delivery.name, None, delivery.discount_minor),)
    priced = [PricedLine(line.product_id, line.quantity, line.unit_price_minor, total) for line, total in zip(lines, totals, strict=True)]
    if given.discounts:
        priced = [line._replace(discount_minor=line.total_minor - left) for line, left in zip(priced, given.left, strict=True)]
    cost_minor = sum(given.left) + (delivery.cost_minor if delivery else 0)
    untaxed = Breakdown(tuple(priced), cost_minor, discounts, delivery, (), rules.prices_include_tax, undelivered)
    breakdown = _taxed(untaxed, purchase, rules, lines, at)
    if not 0 <= breakdown.total_minor <= AMOUNT_MAX:
        raise AmountOutOfRange(f"a total of {breakdown.total_minor} minor units")
    return breakdown


def _delivery_minor(purchase: Purchase, rules: PriceRules, lines: Sequence[Line], left: Sequence[int]) -> int | None:
    """Return the price of the delivery of lines that cost so much; None without goods to deliver, address or method."""
    if purchase.destination is None or purchase.method_id is None:
        return None
    delivered = [(line, total) for line, total in zip(lines, left, strict=True) if line.needs_delivery]
    if not delivered:
        return None
    weight_grams = sum(line.quantity * line.weight_grams for line, _ in delivered)
    return rules.shipping.price_minor(purchase.method_id, purchase.destination, weight_grams, sum(total for _, total in delivered))


def _deliver(purchase: Purchase, rules: PriceRules, lines: Sequence[Line], given: Given) -> tuple[Delivery | None, PricingError | None]:
    """Return the delivery, and why there is none although goods need one."""
    if not any([line.needs_delivery for line in lines]):  # noqa: C419 - a list is faster, and most orders end here
        return None, None
    if purchase.destination is None:
        return None, AddressRequired()
    if not rules.shipping.methods:
        return None, None
    if purchase.method_id is None:
        return None, ShippingMethodRequired()
    price_minor = _delivery_minor(purchase, rules, lines, given.left)
    if price_minor is None:
        return None, ShippingMethodUnavailable(purchase.method_id)
    method = rules.shipping.methods[purchase.method_id]
    return Delivery(method.id, method.name, price_minor, price_minor if given.free_delivery else 0), None


class _Portion(NamedTuple):
    """An amount of one rate; `position` is that of its line, or None for a portion of the delivery."""

    position: int | None
    taxed: Taxed


def _taxed(breakdown: Breakdown, purchase: Purchase, rules: PriceRules, lines: Sequence[Line], at: datetime) -> Breakdown:
    """Return the breakdown with the tax of its lines and delivery."""
    if purchase.destination is None and not rules.country_code:
        return breakdown
    place = purchase.destination or Destination(rules.country_code)
    bears_tax = purchase.treatment.bears_tax
    if not (bears_tax or rules.prices_include_tax):
        return breakdown
    try:
        provided = _provided(breakdown, purchase, rules, lines, place)
        portions = _provided_portions(provided, lines) if provided else _portions(breakdown, rules, lines, place, at)
    except PricingError as error:
        return breakdown._replace(missing=breakdown.missing or error)
    if not portions:
        return breakdown
    amounts = [portion.taxed for portion in portions]
    if provided:
        taxes = [part.tax_minor for part in (*provided.lines, *provided.delivery)]
    else:
        taxes = taxes_minor(amounts, rules.tax_rounding, included=rules.prices_include_tax)
    taxed, on_delivery_minor = list(breakdown.lines), 0
    for (position, (_, rate, _)), tax_minor in zip(portions, taxes, strict=True):
        if position is None:
            on_delivery_minor += tax_minor
        else:
            borne, relief = _shares(tax_minor, bears_tax=bears_tax)
            taxed[position] = taxed[position]._replace(tax_rate_ppm=rate.ppm, tax_minor=borne, relief_minor=relief)
    borne, relief = _shares(on_delivery_minor, bears_tax=bears_tax)
    delivery = breakdown.delivery and breakdown.delivery._replace(tax_minor=borne, relief_minor=relief)
    total_minor = breakdown.total_minor
    if not bears_tax:
        total_minor -= sum(taxes)
    elif not rules.prices_include_tax:
        total_minor += sum(taxes)
    totals = tax_totals(amounts, taxes, included=rules.prices_include_tax) if bears_tax else ()
    return breakdown._replace(lines=tuple(taxed), total_minor=total_minor, delivery=delivery, taxes=totals, provided=provided)


def _provided(
    breakdown: Breakdown, purchase: Purchase, rules: PriceRules, lines: Sequence[Line], place: Destination
) -> ProvidedTaxes | None:
    """Return the provider's answer to the question of this purchase, or None if the shop's rates count; raises QuoteRequired."""
    if not (rules.asks_provider or purchase.provided):
        return None
    question = _question(breakdown, purchase, rules, lines, place)
    if purchase.provided and purchase.provided.question == question.digest:
        return purchase.provided
    if not rules.asks_provider:
        return None
    if question.taxed_lines or (question.delivery and question.delivery.tax_category != AS_GOODS):
        raise QuoteRequired(question)
    return ProvidedTaxes(question.digest, (), ())  # nothing bears tax


def _question(breakdown: Breakdown, purchase: Purchase, rules: PriceRules, lines: Sequence[Line], place: Destination) -> TaxQuestion:
    asked = tuple(
        AskedLine(line.product_id, line.tax_category, line.needs_delivery, line.quantity, priced.total_minor - priced.discount_minor)
        for line, priced in zip(lines, breakdown.lines, strict=True)
    )
    delivery = breakdown.delivery
    category = rules.shipping.methods[delivery.method_id].tax_category if delivery else ""
    asked_delivery = AskedDelivery(category, delivery.cost_minor) if delivery and category else None
    return TaxQuestion(place, purchase.treatment, rules.prices_include_tax, asked, asked_delivery)


def _provided_portions(provided: ProvidedTaxes, lines: Sequence[Line]) -> list[_Portion]:
    """Return the taxed amounts as a provider has named them, in the order of its answer."""
    positions = [position for position, line in enumerate(lines) if line.tax_category]
    of_lines = [_Portion(position, Taxed(part.amount_minor, part.rate)) for position, part in zip(positions, provided.lines, strict=True)]
    return [*of_lines, *(_Portion(None, Taxed(part.amount_minor, part.rate, is_delivery=True)) for part in provided.delivery)]


def _shares(tax_minor: int, *, bears_tax: bool) -> tuple[int, int]:
    """Return the tax that the buyer bears, and the tax that is taken out of the price."""
    return (tax_minor, 0) if bears_tax else (0, tax_minor)


def _portions(breakdown: Breakdown, rules: PriceRules, lines: Sequence[Line], place: Destination, at: datetime) -> list[_Portion]:
    """Return the taxed amounts: lines by product id, then the delivery. Raises TaxRateMissing."""
    rate_of = {category: _rate(rules.taxes, place, category, at) for category in dict.fromkeys(line.tax_category for line in lines)}
    rates = [rate_of[line.tax_category] for line in lines]
    left = [line.total_minor - line.discount_minor for line in breakdown.lines]
    portions = [_Portion(position, Taxed(left[position], rate)) for position, rate in enumerate(rates) if rate]
    delivery = breakdown.delivery
    if delivery is None:
        return portions
    category = rules.shipping.methods[delivery.method_id].tax_category
    if category == AS_GOODS:
        goods = [(rate, left_minor) for line, rate, left_minor in zip(lines, rates, left, strict=True) if line.needs_delivery]
        return [*portions, *(_Portion(None, part) for part in as_goods(delivery.cost_minor, goods))]
    rate = _rate(rules.taxes, place, category, at)
    return [*portions, _Portion(None, Taxed(delivery.cost_minor, rate, is_delivery=True))] if rate else portions


def _rate(taxes: TaxTable, place: Destination, category: str, at: datetime) -> TaxRate | None:
    """Return the rate of a category, or None if it bears no tax; raises TaxRateMissing."""
    try:
        return taxes.rate(place.country_code, place.region, category, at) if category else None
    except TaxRateUnknown:
        raise TaxRateMissing(place.country_code, place.region, category) from None
