"""The price of a sale, by the rules of docs/pricing.md in another form: with fractions, unit by unit. It shares nothing with the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import floor

from support.price_examples.model import AS_GOODS, Delivered, Method, Offer, Price, Rate, Sale, Tariff

MILLION = 1_000_000


def half_up(amount: Fraction) -> int:
    """Return the nearest whole number; of two that are equally near, the higher one."""
    return floor(amount + Fraction(1, 2))


def shares(whole: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole by Hamilton's method: first the whole parts of the quotas, then a unit for those that lack most, in order."""
    total = sum(weights)
    quotas = [Fraction(whole * weight, total) if total else Fraction(whole, len(weights)) for weight in weights]
    parts = [floor(quota) for quota in quotas]
    lacking = sorted(range(len(parts)), key=lambda index: (parts[index] - quotas[index], index))
    for index in lacking[: whole - sum(parts)]:
        parts[index] += 1
    return parts


@dataclass(frozen=True)
class State:
    """The discounts so far: each offer's amounts by item, and the offer that frees the delivery."""

    left: tuple[int, ...]
    given: tuple[tuple[Offer, tuple[int, ...]], ...] = ()
    free: Offer | None = None


class Oracle:
    """The rules, for one sale."""

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.at = moment(sale.at)
        self.method = sale.methods[0] if sale.methods and sale.chooses_method else None

    def price(self) -> Price:
        """Return the whole price."""
        sale = self.sale
        prices = tuple(item.price_minor * item.quantity for item in sale.items)
        offers = [offer for offer in sale.offers if within(self.at, offer.starts_at, offer.ends_at)]
        state = self.promoted(sorted(offers, key=lambda offer: -offer.priority), State(prices))
        cost, missing = self.delivery(state.left)
        delivered = None if cost is None else Delivered(cost, cost if state.free else 0)
        try:
            rates = [self.rate(item.tax_category) for item in sale.items]
            paid = None if delivered is None else delivered.price_minor - delivered.discount_minor
            taxes, on_delivery, groups = self.taxes(state.left, rates, paid)
        except LookupError:
            missing = missing or "TAX_RATE_MISSING"
            taxes, on_delivery, groups = [0] * len(prices), 0, ()
        owes = sale.treatment not in ("reverse_charge", "exempt")
        if delivered:
            tax, relief = (on_delivery, 0) if owes else (0, on_delivery)
            delivered = Delivered(delivered.price_minor, delivered.discount_minor, tax, relief)
        given = {offer.name: sum(amounts) for offer, amounts in state.given} | ({state.free.name: cost} if state.free and cost else {})
        change = sum(taxes) + on_delivery
        total = sum(state.left) + (paid_of(delivered) if delivered else 0)
        if owes and not sale.prices_include_tax:
            total += change
        if not owes:
            total -= change
        discounts = tuple(whole - rest for whole, rest in zip(prices, state.left, strict=True))
        none = (0,) * len(prices)
        borne, relieved = (tuple(taxes), none) if owes else (none, tuple(taxes))
        return Price(total, discounts, borne, relieved, delivered, groups if owes else (), given, missing)

    # Promotions: each state leads to the next, and a free delivery looks at the state at the end.

    def promoted(self, offers: Sequence[Offer], state: State) -> State:
        """Return the state after all offers."""
        if not offers:
            return state
        offer, *later = offers
        is_first = not state.given and not state.free
        if not offer.combinable and not is_first:
            return self.promoted(later, state)
        if offer.kind == "free_delivery":
            end = self.promoted(later if offer.combinable else [], State(state.left, state.given, state.free or offer))
            return end if not state.free and self.frees(offer, state, end) else self.promoted(later, state)
        amounts = self.amounts(offer, state.left)
        if not any(amounts):
            return self.promoted(later, state)
        left = tuple(whole - amount for whole, amount in zip(state.left, amounts, strict=True))
        after = State(left, (*state.given, (offer, tuple(amounts))), state.free)
        return self.promoted(later if offer.combinable else [], after)

    def frees(self, offer: Offer, state: State, end: State) -> bool:
        """Return whether an offer frees a delivery that costs something in the end."""
        cost, _ = self.delivery(end.left)
        names = [self.method.name] if self.method else []
        covered = self.covered(offer.products, offer.categories)
        return (
            cost is not None
            and cost > 0
            and (not offer.methods or any(name in offer.methods for name in names))
            and (offer.delivery_max_minor is None or cost <= offer.delivery_max_minor)
            and bool(covered)
            and sum(state.left[index] for index in covered) >= offer.min_subtotal_minor
        )

    def covered(self, products: Sequence[str], categories: Sequence[str]) -> list[int]:
        """Return the positions of the items of a scope."""
        everything = not products and not categories
        return [
            index
            for index, item in enumerate(self.sale.items)
            if everything or item.name in products or (item.category or None) in categories
        ]

    def amounts(self, offer: Offer, left: Sequence[int]) -> list[int]:
        """Return what an offer of goods takes off each item."""
        covered = self.covered(offer.products, offer.categories)
        base = sum(left[index] for index in covered)
        found = [0] * len(left)
        if not covered or base < offer.min_subtotal_minor:
            return found
        if offer.kind == "buy_x_get_y":
            return self.free_units(offer, left, covered)
        whole = half_up(Fraction(base * offer.percent_ppm, MILLION)) if offer.kind == "percent" else min(offer.amount_minor, base)
        for index, part in zip(covered, shares(whole, [left[index] for index in covered]), strict=True):
            found[index] = part
        return found

    def free_units(self, offer: Offer, left: Sequence[int], covered: Sequence[int]) -> list[int]:
        """Return the prices of free units: every unit is looked at by itself."""
        bought = sum(self.sale.items[index].quantity for index in covered)
        pool, other = covered, self.covered(offer.get_products, offer.get_categories)
        differs = (set(offer.products), set(offer.categories)) != (set(offer.get_products), set(offer.get_categories))
        if differs and (offer.get_products or offer.get_categories):
            pool, free = other, sum(offer.get for unit in range(1, bought + 1) if unit % offer.buy == 0)
        else:
            free = sum(unit % (offer.buy + offer.get) >= offer.buy for unit in range(bought))
        units = sorted((price, index) for index in pool for price in shares(left[index], [1] * self.sale.items[index].quantity))
        found = [0] * len(left)
        for price, index in units[:free]:
            found[index] += price
        return found

    # Delivery: every area that fits is a candidate.

    def delivery(self, left: Sequence[int]) -> tuple[int | None, str]:
        """Return the price of the delivery, or the reason why there is none although goods need one."""
        goods = [(item, rest) for item, rest in zip(self.sale.items, left, strict=True) if item.needs_delivery]
        if not goods:
            return None, ""
        if self.sale.address is None:
            return None, "ADDRESS_REQUIRED"
        if not self.sale.methods:
            return None, ""
        if self.method is None:
            return None, "SHIPPING_METHOD_REQUIRED"
        tariff = self.tariff(self.method)
        subtotal = sum(rest for _, rest in goods)
        measure = subtotal if tariff and tariff.basis == "subtotal" else sum(item.weight_grams * item.quantity for item, _ in goods)
        prices = [price for start, price in sorted(tariff.tiers) if start <= measure] if tariff else []
        if not tariff or not prices or (tariff.end is not None and tariff.end <= measure):
            return None, "SHIPPING_METHOD_UNAVAILABLE"
        is_free = tariff.free_from_minor is not None and tariff.free_from_minor <= subtotal
        return (0 if is_free else prices[-1]), ""

    def tariff(self, method: Method) -> Tariff | None:
        """Return the tariff of the most specific area that holds the address."""
        address = self.sale.address
        assert address is not None
        fitting = [
            (len(area.postal_prefix), bool(area.region), number)
            for number, tariff in enumerate(method.tariffs)
            for area in tariff.areas
            if area.country == address.country
            and area.region in ("", address.region)
            and f"{address.postal_code} ".startswith(area.postal_prefix)
        ]
        return method.tariffs[max(fitting)[2]] if fitting else None

    # Taxes: every row that fits is a candidate.

    def rate(self, category: str) -> Rate | None:
        """Return the rate of a category; None without tax; raises LookupError."""
        country = self.sale.address.country if self.sale.address else self.sale.country
        region = self.sale.address.region if self.sale.address else ""
        rows = [row for row in self.sale.rates if row.country == country]
        pays_net = not self.sale.prices_include_tax and self.sale.treatment in ("reverse_charge", "exempt")
        if not category or not rows or pays_net:
            return None
        fitting = [
            row
            for row in rows
            if row.region in ("", region) and row.category in ("", category) and within(self.at, row.valid_from, row.valid_until)
        ]
        if not fitting:
            raise LookupError(category)
        return max(fitting, key=lambda row: (bool(row.region), bool(row.category)))

    def taxes(
        self, left: Sequence[int], rates: Sequence[Rate | None], delivery: int | None
    ) -> tuple[list[int], int, tuple[tuple[int, int, int], ...]]:
        """Return the tax of each item and of the delivery, and the net amount and tax of each rate."""
        amounts = [(index, rest, rate) for index, (rest, rate) in enumerate(zip(left, rates, strict=True))]
        if delivery is not None:
            assert self.method is not None
            if self.method.tax_category == AS_GOODS:
                amounts += self.split(left, rates, delivery)
            else:
                amounts.append((len(left), delivery, self.rate(self.method.tax_category)))
        found = [0] * (len(left) + 1)
        groups = []
        for kind in sorted({kind_of(rate) for _, _, rate in amounts if rate}, key=lambda kind: (-kind[0], kind[1])):
            group = [(index, amount) for index, amount, rate in amounts if rate and kind_of(rate) == kind]
            base = sum(amount for _, amount in group)
            if self.sale.tax_rounding == "order":
                parts = shares(self.tax(base, kind[0]), [amount for _, amount in group])
            else:
                parts = [self.tax(amount, kind[0]) for _, amount in group]
            for (index, _), part in zip(group, parts, strict=True):
                found[index] += part
            groups.append((kind[0], base - sum(parts) if self.sale.prices_include_tax else base, sum(parts)))
        return found[:-1], found[-1], tuple(groups)

    def split(self, left: Sequence[int], rates: Sequence[Rate | None], delivery: int) -> list[tuple[int, int, Rate | None]]:
        """Return the parts of a delivery that is taxed as the goods, in the order of the first items of their rates."""
        rate_of = {kind_of(rate): rate for rate in rates}
        costs: dict[tuple[int, str, tuple[tuple[str, int], ...]], int] = {}
        for item, rest, rate in zip(self.sale.items, left, rates, strict=True):
            if item.needs_delivery:
                costs[kind_of(rate)] = costs.get(kind_of(rate), 0) + rest
        return [(len(left), part, rate_of[kind]) for kind, part in zip(costs, shares(delivery, list(costs.values())), strict=True)]

    def tax(self, amount: int, ppm: int) -> int:
        """Return the tax that is in an amount, or that comes on top of it."""
        rate = Fraction(ppm, MILLION)
        return half_up(amount * rate / (1 + rate) if self.sale.prices_include_tax else amount * rate)


def paid_of(delivered: Delivered) -> int:
    """Return what is paid for a delivery, without tax that comes on top."""
    return delivered.price_minor - delivered.discount_minor


def kind_of(rate: Rate | None) -> tuple[int, str, tuple[tuple[str, int], ...]]:
    """Return what makes rows one rate."""
    return (rate.ppm, rate.name, rate.parts) if rate else (-1, "", ())


def moment(text: str) -> datetime:
    """Return the moment of an RFC 3339 text."""
    return datetime.fromisoformat(text)


def within(at: datetime, start: str, end: str) -> bool:
    """Return whether a moment is in a half-open range; an empty text is no limit."""
    return (not start or moment(start) <= at) and (not end or at < moment(end))
