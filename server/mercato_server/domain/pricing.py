"""Prices: the only module that computes the totals of lines, carts and orders.

The functions are pure and use integers only: minor units of one currency. The steps are lines, then adjustments, then the total.
Adjustments are promotions, delivery and tax; the server makes none yet. `verify` states the same rule in SQL.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

AMOUNT_MAX = 2**63 - 1
"""The maximum of a bigint in the database and of an int64 in a message."""


class AmountOutOfRange(ArithmeticError):
    """An amount is negative or exceeds an int64. A bug: the limits of prices, quantities, lines and adjustments rule it out."""


class AdjustmentKind(StrEnum):
    """The reason for an adjustment of a total."""

    DISCOUNT = "discount"
    DELIVERY = "delivery"
    TAX = "tax"


class Adjustment(NamedTuple):
    """An amount that is added to the sum of the lines; a discount is negative."""

    kind: AdjustmentKind
    source: str
    """The promotion, delivery method or tax rate that causes it."""
    amount_minor: int
    product_id: UUID | None = None
    """The product of the line that is adjusted; None for the whole order."""


class PricedLine(NamedTuple):
    """Units of a product and their price before adjustments."""

    product_id: UUID
    quantity: int
    unit_price_minor: int
    total_minor: int


class Breakdown(NamedTuple):
    """A total and its parts: it is the sum of the lines' totals and of the adjustments."""

    lines: tuple[PricedLine, ...]
    adjustments: tuple[Adjustment, ...]
    total_minor: int


class Line(Protocol):
    """Units of a product at a price."""

    @property
    def product_id(self) -> UUID:
        """The product; a cart or an order has at most one line of each."""

    @property
    def quantity(self) -> int:
        """The number of units."""

    @property
    def unit_price_minor(self) -> int:
        """The price of one unit."""


def line_total_minor(quantity: int, unit_price_minor: int) -> int:
    """Return the price of a line before adjustments."""
    return quantity * unit_price_minor


def price(lines: Iterable[Line], adjustments: Iterable[Adjustment] = ()) -> Breakdown:
    """Return the total of lines and adjustments with its parts; raises AmountOutOfRange."""
    priced = tuple(
        PricedLine(line.product_id, line.quantity, line.unit_price_minor, line_total_minor(line.quantity, line.unit_price_minor))
        for line in lines
    )
    adjusted = tuple(adjustments)
    subtotal_minor = sum(line.total_minor for line in priced)
    total_minor = subtotal_minor + sum(adjustment.amount_minor for adjustment in adjusted)
    if not (0 <= subtotal_minor <= AMOUNT_MAX and 0 <= total_minor <= AMOUNT_MAX):
        raise AmountOutOfRange(f"lines of {subtotal_minor} minor units with adjustments are {total_minor}")
    return Breakdown(priced, adjusted, total_minor)
