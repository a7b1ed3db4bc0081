"""Orders, the states they go through, and how carts are turned into them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.carts import CartLine, cart_etag, price_cart
from mercato_server.domain.errors import CartEmpty, EtagMismatch, MercatoError, OrderState, OutOfStock, Shortage, TotalChanged
from mercato_server.domain.pricing import line_total_minor

REASON_MAX = 500


class OrderStatus(StrEnum):
    """Where an order stands; the values are those of the database."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"
    """A state of a later release: it is read, and never written."""

    @classmethod
    def _missing_(cls, _: object) -> Self:
        return cls.UNKNOWN


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
"""The states that an order can go to from each state."""


class OrderLine(NamedTuple):
    """A product of an order, with name and unit price (minor units) as they were when it was placed. A tuple, as orders have many."""

    product_id: UUID
    product_name: str
    unit_price_minor: int
    quantity: int

    @property
    def total_minor(self) -> int:
        """What the line costs, in minor units."""
        return line_total_minor(self.quantity, self.unit_price_minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTransition:
    """A status that the order has had: since when, by whom and why."""

    status: OrderStatus
    actor: Actor
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order; `id` is None for one that was only validated."""

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
    """Raise OrderState, with the states that are allowed, unless the order may go there."""
    allowed = NEXT[current]
    if wanted not in allowed:
        names = ",".join(status.name for status in allowed)
        raise OrderState(
            f"the order is {current.name} and cannot become {wanted.name}; it can become: {names or 'nothing, this state is final'}",
            metadata={"status": current.name, "allowed": names},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a buyer insists on; None does not matter."""

    expected_total_minor: int | None = None
    cart_etag: str | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """One buyer's cart in a batch of checkouts. One that only validates takes no stock."""

    lines: Sequence[CartLine]
    terms: Terms
    validate_only: bool = False


def allocate(baskets: Sequence[Basket], stock: Mapping[UUID, int]) -> list[MercatoError | None]:
    """Decide who can be served, in the order of arrival; None says that the basket can.

    A basket gets all of its lines or none: one that does not fit leaves its units to those behind it.

    Args:
        baskets: the carts, first come first.
        stock: units of each product that can be sold; a product that is absent is not on sale.
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
