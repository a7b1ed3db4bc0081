"""Carts: what they cost, what stands in the way of buying them, and what tells two of them apart."""

import hashlib
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.pricing import Breakdown, line_total_minor, price

LINE_QUANTITY_MAX = 1_000
"""As cart_items_quantity_check; with LINES_MAX and PRICE_MAX_MINOR it keeps every total far inside an int64."""
LINES_MAX = 200


class CartWarning(Enum):
    """What a buyer should know of a line."""

    OUT_OF_STOCK = auto()
    FEWER_LEFT = auto()
    PRODUCT_GONE = auto()
    PRICE_CHANGED = auto()


class CartLine(NamedTuple):
    """A line beside its product as it is now; prices in minor units for one unit. The fields are in the order in which they are read."""

    product_id: UUID
    name: str
    quantity: int
    unit_price_minor: int
    added_price_minor: int
    """The price when the line was made."""
    stock: int
    on_sale: bool

    @property
    def total_minor(self) -> int:
        """What the line costs now, in minor units."""
        return line_total_minor(self.quantity, self.unit_price_minor)

    @property
    def available(self) -> int:
        """Units that can be bought now."""
        return self.stock if self.on_sale else 0

    def warnings(self) -> list[CartWarning]:
        """Return what stands in the way of the line or changed since it was made."""
        if not self.on_sale:
            return [CartWarning.PRODUCT_GONE]
        found = []
        if self.stock == 0:
            found.append(CartWarning.OUT_OF_STOCK)
        elif self.stock < self.quantity:
            found.append(CartWarning.FEWER_LEFT)
        if self.unit_price_minor != self.added_price_minor:
            found.append(CartWarning.PRICE_CHANGED)
        return found


def price_cart(lines: Sequence[CartLine]) -> Breakdown:
    """Return what a cart costs now: the lines that are on sale. A line that is gone is no part of it."""
    return price(line for line in lines if line.on_sale)


def cart_etag(lines: Sequence[CartLine]) -> str:
    """Return a digest of products, quantities and prices: equal for carts that would make the same order."""
    content = sorted((line.product_id.bytes, line.quantity, line.unit_price_minor, line.on_sale) for line in lines)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
