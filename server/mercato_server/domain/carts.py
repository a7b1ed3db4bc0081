"""Carts: their prices, the warnings about their lines, and the etag that identifies their content."""

import hashlib
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.pricing import line_total_minor

LINE_QUANTITY_MAX = 1_000
"""The same limit as cart_items_quantity_check. Together with LINES_MAX and PRICE_MAX_MINOR it keeps every total far inside an int64."""
LINES_MAX = 200


class CartWarning(Enum):
    """A reason why a buyer should look at a line before the checkout."""

    OUT_OF_STOCK = auto()
    FEWER_LEFT = auto()
    PRODUCT_GONE = auto()
    PRICE_CHANGED = auto()


class CartLine(NamedTuple):
    """A line of a cart with the current state of its product. Prices are in minor units for one unit.

    The fields have the order of the columns of the statement that reads them.
    """

    product_id: UUID
    name: str
    quantity: int
    unit_price_minor: int
    added_price_minor: int
    """The price when the buyer first added the line, or last set its quantity."""
    stock: int
    on_sale: bool
    category_id: UUID | None = None
    tax_category: str = ""
    needs_delivery: bool = False
    weight_grams: int = 0
    options_text: str = ""
    """The options of a variant, such as `Size: M`; empty for other products."""

    @property
    def total_minor(self) -> int:
        """The current price of the line, in minor units."""
        return line_total_minor(self.quantity, self.unit_price_minor)

    @property
    def available(self) -> int:
        """Units that the buyer can buy now."""
        return self.stock if self.on_sale else 0

    def warnings(self) -> list[CartWarning]:
        """Return the obstacles to buying the line, and the changes since the buyer added or last set it."""
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


def cart_etag(lines: Sequence[CartLine], header_version: int = 0) -> str:
    """Return a digest of products, quantities and prices, and of a header that was written; equal orders have equal digests."""
    content = sorted((line.product_id.bytes, line.quantity, line.unit_price_minor, line.on_sale) for line in lines)
    text = repr((content, header_version)) if header_version else repr(content)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
