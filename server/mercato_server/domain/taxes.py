"""Taxes: the rate of a sale, and the tax of its parts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.rounding import MILLION, half_up, spread

TAX_CATEGORY_MAX = 32
"""Characters of the id of a tax category."""
AS_GOODS = "as-goods"
"""The tax category of a delivery that is taxed like the goods in it."""


class TaxRounding(StrEnum):
    """Where tax is rounded; the values are those of the database."""

    LINE = "line"
    """Each line by itself."""
    ORDER = "order"
    """The sum of each rate; the lines share it."""


class TaxTreatment(OpenEnum):
    """How a buyer is taxed; the values are those of the database."""

    NORMAL = "normal"
    REVERSE_CHARGE = "reverse_charge"
    """The buyer owes the tax to the state (Directive 2006/112/EC, article 196)."""
    EXEMPT = "exempt"
    UNKNOWN = "unknown"
    """A treatment of a later release: it is read, and never written. It is taxed like NORMAL."""

    @property
    def bears_tax(self) -> bool:
        """Whether the buyer pays tax to the shop."""
        return self not in (TaxTreatment.REVERSE_CHARGE, TaxTreatment.EXEMPT)


class TaxPart(NamedTuple):
    """A named part of a rate, for display, such as the tax of a state and that of a city."""

    name: str
    ppm: int


RateKind = tuple[int, str, tuple[TaxPart, ...]]
"""Percentage, name and parts: rows that are equal in them are one rate, whatever place and category they are for."""


_NO_ROW = UUID(int=0)


class TaxRate(NamedTuple):
    """A rate in parts per million, valid from its first moment to before its last. An empty region or category stands for all."""

    id: UUID
    country_code: str
    region: str
    category: str
    name: str
    ppm: int
    parts: tuple[TaxPart, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @property
    def kind(self) -> RateKind:
        """Percentage, name and parts."""
        return self.ppm, self.name, self.parts

    def is_valid(self, at: datetime) -> bool:
        """Return whether the rate holds at a moment."""
        return (self.valid_from is None or self.valid_from <= at) and (self.valid_until is None or at < self.valid_until)

    def tax_minor(self, base_minor: int, *, included: bool) -> int:
        """Return the tax of an amount, which is in the amount or comes on top of it, rounded half up."""
        return half_up(base_minor * self.ppm, MILLION + self.ppm if included else MILLION)


def unlisted_rate(ppm: int, name: str = "") -> TaxRate:
    """Return a rate that is in no table of the shop, for computing a tax."""
    return TaxRate(_NO_ROW, "", "", "", name, ppm)


class TaxRateUnknown(Exception):
    """A country has rates, but none for the region and category at this moment."""


class TaxTable:
    """The rates of a shop, found by place and category."""

    def __init__(self, rates: Iterable[TaxRate] = (), countries: Iterable[str] = ()) -> None:
        """Create a table.

        Args:
            rates: the rates; of those with the same place and category only one is valid at a moment.
            countries: countries that have any rate, also one that is no longer valid.
        """
        self._rates: dict[tuple[str, str, str], list[TaxRate]] = defaultdict(list)
        for rate in rates:
            self._rates[rate.country_code, rate.region, rate.category].append(rate)
        self._countries = {country for country, _, _ in self._rates} | set(countries)

    def rate(self, country_code: str, region: str, category: str, at: datetime) -> TaxRate | None:
        """Return the most specific rate: a region goes before the whole country, then a category before all.

        None for a country without rates, which takes no tax. Raises TaxRateUnknown.
        """
        if country_code not in self._countries:
            return None
        for place in dict.fromkeys((region, "")):
            for kind in dict.fromkeys((category, "")):
                for rate in self._rates.get((country_code, place, kind), ()):
                    if rate.is_valid(at):
                        return rate
        raise TaxRateUnknown


class TaxTotal(NamedTuple):
    """The tax of an order by one rate."""

    name: str
    ppm: int
    parts: tuple[TaxPart, ...]
    net_minor: int
    tax_minor: int
    delivery_net_minor: int = 0
    delivery_tax_minor: int = 0
    """The part of the delivery in net and tax."""


class Taxed(NamedTuple):
    """An amount and the rate of its tax."""

    amount_minor: int
    rate: TaxRate
    is_delivery: bool = False


def taxes_minor(amounts: Sequence[Taxed], rounding: TaxRounding, *, included: bool) -> list[int]:
    """Return the tax of each amount. With TaxRounding.ORDER, earlier amounts get the units that are left of a rate's tax."""
    if rounding is TaxRounding.LINE:
        return [amount.rate.tax_minor(amount.amount_minor, included=included) for amount in amounts]
    found = [0] * len(amounts)
    for indexes in _by_rate(amounts).values():
        weights = [amounts[index].amount_minor for index in indexes]
        whole = amounts[indexes[0]].rate.tax_minor(sum(weights), included=included)
        for index, share in zip(indexes, spread(whole, weights), strict=True):
            found[index] = share
    return found


def as_goods(cost_minor: int, goods: Iterable[tuple[TaxRate | None, int]]) -> list[Taxed]:
    """Divide the cost of a delivery among the rates of its goods, by what these cost; the part of goods without a rate is left out."""
    rates: dict[RateKind | None, TaxRate | None] = {}
    costs: dict[RateKind | None, int] = defaultdict(int)
    for rate, amount_minor in goods:
        kind = rate.kind if rate else None
        rates.setdefault(kind, rate)
        costs[kind] += amount_minor
    shares = spread(cost_minor, list(costs.values()))
    return [Taxed(share, rate, is_delivery=True) for rate, share in zip(rates.values(), shares, strict=True) if rate]


def tax_totals(amounts: Sequence[Taxed], taxes: Sequence[int], *, included: bool) -> tuple[TaxTotal, ...]:
    """Return net and tax by rate, the highest rate first."""
    totals = []
    for (ppm, name, parts), indexes in _by_rate(amounts).items():
        sums = []
        for some in (indexes, [index for index in indexes if amounts[index].is_delivery]):
            tax_minor = sum(taxes[index] for index in some)
            amount_minor = sum(amounts[index].amount_minor for index in some)
            sums += [amount_minor - tax_minor if included else amount_minor, tax_minor]
        totals.append(TaxTotal(name, ppm, parts, *sums))
    return tuple(sorted(totals, key=lambda total: (-total.ppm, total.name)))


def _by_rate(amounts: Sequence[Taxed]) -> dict[RateKind, list[int]]:
    """Return the positions of the amounts of each rate."""
    indexes: dict[RateKind, list[int]] = defaultdict(list)
    for index, amount in enumerate(amounts):
        indexes[amount.rate.kind].append(index)
    return indexes
