"""Orders, their states, and the allocation of stock to carts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.carts import CartLine, cart_etag, price_cart
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.errors import CartEmpty, EtagMismatch, MercatoError, OrderState, OutOfStock, Shortage, TotalChanged
from mercato_server.domain.pricing import line_total_minor

REASON_MAX = 500


class OrderStatus(OpenEnum):
    """The state of an order; the values are those of the database."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"
    """A state of a later release: it is read, and never written."""


STORED = tuple(status for status in OrderStatus if status is not OrderStatus.UNKNOWN)
"""The states that this release writes."""

NEXT: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.PLACED: (OrderStatus.PAID, OrderStatus.CANCELLED),
    OrderStatus.PAID: (OrderStatus.SHIPPED, OrderStatus.CANCELLED, OrderStatus.REFUNDED),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED, OrderStatus.REFUNDED),
    OrderStatus.DELIVERED: (OrderStatus.REFUNDED,),
    OrderStatus.CANCELLED: (),
    OrderStatus.REFUNDED: (),
    OrderStatus.UNKNOWN: (),
}
"""The transitions: the possible next states for each state."""


class OrderLine(NamedTuple):
    """A line of an order, with the product's name and unit price (minor units) at the time of the checkout.

    It is a tuple because lists of orders create many.
    """

    product_id: UUID
    product_name: str
    unit_price_minor: int
    quantity: int

    @property
    def total_minor(self) -> int:
        """The price of the line, in minor units."""
        return line_total_minor(self.quantity, self.unit_price_minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTransition:
    """A status that an order has had, with the time, the actor and the reason of the transition."""

    status: OrderStatus
    actor: Actor
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order; `id` is None if the call only validated it."""

    id: UUID | None
    account_id: UUID
    status: OrderStatus
    currency_code: str
    total_minor: int
    created_at: datetime
    updated_at: datetime
    lines: tuple[OrderLine, ...]
    history: tuple[OrderTransition, ...]


def check_transition(current: OrderStatus, wanted: OrderStatus) -> None:
    """Raise OrderState, which lists the allowed states, unless the transition is allowed."""
    allowed = NEXT[current]
    if wanted not in allowed:
        final = (
            "the order is {status}, which a later release added"
            if current is OrderStatus.UNKNOWN
            else "the order is {status}, which is final"
        )
        raise OrderState(
            "the order is {status}; it can become: {allowed}" if allowed else final,
            status=current.name,
            allowed=",".join(status.name for status in allowed),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The conditions on which a buyer checks out; None sets no condition."""

    expected_total_minor: int | None = None
    cart_etag: str | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """The cart of one buyer in a batch of checkouts. A basket that is only validated takes no stock."""

    lines: Sequence[CartLine]
    terms: Terms
    validate_only: bool = False


def allocate(baskets: Sequence[Basket], stock: Mapping[UUID, int]) -> list[MercatoError | None]:
    """Allocate stock to baskets in the order of arrival; return for each basket its refusal, or None if it is served.

    A basket gets the stock for all of its lines or for none. A refused basket leaves its units to the next ones.

    Args:
        baskets: the carts in the order of arrival.
        stock: available units by product; a product that is absent is not on sale.
    """
    left = dict(stock)
    outcomes: list[MercatoError | None] = []
    for basket in baskets:
        refusal = _refusal(basket, left)
        if refusal is None and not basket.validate_only:
            for line in basket.lines:
                left[line.product_id] -= line.quantity
        outcomes.append(refusal)
    return outcomes


def _refusal(basket: Basket, left: Mapping[UUID, int]) -> MercatoError | None:
    if not basket.lines:
        return CartEmpty()
    if basket.terms.cart_etag and basket.terms.cart_etag != (etag := cart_etag(basket.lines)):
        return EtagMismatch("cart", basket.terms.cart_etag, etag)
    shortages = [
        Shortage(line.product_id, line.name, line.quantity, left.get(line.product_id, 0))
        for line in basket.lines
        if left.get(line.product_id, 0) < line.quantity
    ]
    if shortages:
        return OutOfStock(sorted(shortages, key=lambda shortage: shortage.product_id))
    expected_minor = basket.terms.expected_total_minor
    if expected_minor is not None and expected_minor != (total_minor := price_cart(basket.lines).total_minor):
        return TotalChanged(expected_minor, total_minor)
    return None
