"""Validation of units of products."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX
from mercato_server.validation.checks import Checks


class Line(Protocol):
    """Units of a product, as a request has them."""

    product_id: str
    quantity: int


def units(check: Checks, lines: Sequence[Line]) -> dict[UUID, int]:
    """Return the units of a request's `lines` by product, each product once; reports lines that are wrong."""
    found: dict[UUID, int] = {}
    for number, line in enumerate(check.entries("lines", lines, LINES_MAX)):
        product_id = check.uuid(f"lines[{number}].product_id", line.product_id)
        quantity = check.between(f"lines[{number}].quantity", line.quantity, 1, LINE_QUANTITY_MAX)
        if product_id in found:
            check.fail(f"lines[{number}].product_id", "is there twice")
        found[product_id] = quantity
    return found
