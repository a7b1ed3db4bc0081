"""Prices: the one place that computes what lines, carts and orders cost.

Pure, and integers only: amounts are minor units of one currency. The steps are lines, then adjustments (promotions, delivery, tax: none is
made yet), then the total. `verify` states the same rule in SQL.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

AMOUNT_MAX = 2**63 - 1
"""What a bigint of the database and an int64 of a message hold."""


class AmountOutOfRange(ArithmeticError):
    """An amount is negative or beyond an int64. The limits of prices, quantities, lines and adjustments rule it out, so it is a bug."""


class AdjustmentKind(StrEnum):
    """Why a total is not the sum of its lines."""

    DISCOUNT = "discount"
    DELIVERY = "delivery"
    TAX = "tax"


class Adjustment(NamedTuple):
    """An amount that is added to the lines; a discount is negative."""

    kind: AdjustmentKind
    source: str
    """Which promotion, delivery method or tax rate it comes from."""
    amount_minor: int
    product_id: UUID | None = None
    """The line that it is for; None for the whole order."""


class PricedLine(NamedTuple):
    """Units of a product and what they cost before adjustments."""

    product_id: UUID
    quantity: int
    unit_price_minor: int
    total_minor: int


class Breakdown(NamedTuple):
    """A total and what it is made of: the sum of the lines' totals and of the adjustments."""

    lines: tuple[PricedLine, ...]
    adjustments: tuple[Adjustment, ...]
    total_minor: int


class Line(Protocol):
    """Units of a product at a price."""

    @property
    def product_id(self) -> UUID:
        """The product; a cart or an order has one line of each."""

    @property
    def quantity(self) -> int:
        """Units."""

    @property
    def unit_price_minor(self) -> int:
        """The price of one unit."""


def line_total_minor(quantity: int, unit_price_minor: int) -> int:
    """Return what a line costs before adjustments."""
    return quantity * unit_price_minor


def price(lines: Iterable[Line], adjustments: Iterable[Adjustment] = ()) -> Breakdown:
    """Return what lines cost together with their adjustments; raises AmountOutOfRange."""
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
