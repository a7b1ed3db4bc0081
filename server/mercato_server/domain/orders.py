"""Orders, their states, and the allocation of stock to carts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.carts import LINE_QUANTITY_MAX, CartLine, cart_etag, price_cart
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.errors import (
    CartEmpty,
    EmailNotVerified,
    EtagMismatch,
    MercatoError,
    OrderState,
    OutOfStock,
    Shortage,
    TotalChanged,
    UnitsLimit,
)
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


class SystemReason(StrEnum):
    """The reason in an order's history for a change that a worker makes by itself."""

    NOT_PAID = "not paid in time"


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
    version: int
    """Number of the order's states so far."""
    payment_due_at: datetime | None
    """When a worker cancels the order if it still is PLACED; None never does."""

    @property
    def etag(self) -> str:
        """The etag, which every change of the order changes."""
        return str(self.version)


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
    verified: bool = True
    """Whether the buyer has verified the e-mail address."""


def allocate(
    baskets: Sequence[Basket], stock: Mapping[UUID, int], *, units_max: int = LINE_QUANTITY_MAX, verified_only: bool = False
) -> list[MercatoError | None]:
    """Allocate stock to baskets in the order of arrival; return for each basket its refusal, or None if it is served.

    A basket gets the stock for all of its lines or for none. A refused basket leaves its units to the next ones.

    Args:
        baskets: the carts in the order of arrival.
        stock: available units by product; a product that is absent is not on sale.
        units_max: units that a basket may have of one product.
        verified_only: whether only buyers with a verified e-mail address are served.
    """
    left = dict(stock)
    outcomes: list[MercatoError | None] = []
    for basket in baskets:
        refusal = _buyers_refusal(basket, units_max, verified_only=verified_only) or _refusal(basket, left)
        if refusal is None and not basket.validate_only:
            for line in basket.lines:
                left[line.product_id] -= line.quantity
        outcomes.append(refusal)
    return outcomes


def _buyers_refusal(basket: Basket, units_max: int, *, verified_only: bool) -> MercatoError | None:
    """Return the refusal by the rules of the shop, whatever its stock is."""
    if not basket.lines:
        return CartEmpty()
    if verified_only and not basket.verified:
        return EmailNotVerified()
    if large := [line.name for line in basket.lines if line.quantity > units_max]:
        return UnitsLimit(large, units_max)
    return None


def _refusal(basket: Basket, left: Mapping[UUID, int]) -> MercatoError | None:
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
