"""Orders, their states, and the allocation of stock to carts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.carts import LINE_QUANTITY_MAX, CartLine, cart_etag
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.errors import (
    CartEmpty,
    ContactRequired,
    EmailNotVerified,
    EtagMismatch,
    MercatoError,
    OpenOrdersLimit,
    OrderState,
    OutOfStock,
    Shortage,
    TotalChanged,
    UnitsLimit,
)
from mercato_server.domain.postal_addresses import PostalAddress
from mercato_server.domain.pricing import Breakdown, PriceRules, line_total_minor
from mercato_server.domain.purchases import NO_CHOICES, Choices, PriceTerms, promotion_uses
from mercato_server.domain.quotes import Quote, QuoteNotFound
from mercato_server.domain.redemptions import UsesLeft

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


class PaymentStatus(OpenEnum):
    """The state of an order's money; the values are those of the database."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUND_DUE = "refund_due"
    """The shop has more money than the order is worth now."""
    REFUNDED = "refunded"
    VOIDED = "voided"
    """Nothing is owed, and no money was kept."""
    UNKNOWN = "unknown"


class FulfillmentStatus(OpenEnum):
    """The state of an order's units; the values are those of the database."""

    UNFULFILLED = "unfulfilled"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    PARTIALLY_DELIVERED = "partially_delivered"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    PARTIALLY_RETURNED = "partially_returned"
    RETURNED = "returned"
    UNKNOWN = "unknown"


class SystemReason(StrEnum):
    """The reason in an order's history for a change that a worker makes by itself."""

    NOT_PAID = "not paid in time"
    LAPSED = "the authorised payment has lapsed"
    NOTHING_TO_PAY = "nothing is to be paid"


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
"""The states to which a command may move an order of each state. Money and units make more steps: order_statuses.TRANSITIONS."""


class OrderLine(NamedTuple):
    """A line of an order, with the product's name, options and unit price (minor units) at the time of the checkout."""

    product_id: UUID
    product_name: str
    unit_price_minor: int
    quantity: int
    shipped: int = 0
    delivered: int = 0
    cancelled: int = 0
    returned: int = 0
    refunded_minor: int = 0
    options_text: str = ""

    @property
    def total_minor(self) -> int:
        """The price of the line, in minor units."""
        return line_total_minor(self.quantity, self.unit_price_minor)


class OrderTransition(NamedTuple):
    """A status that an order has had, with the time, the actor and the reason of the transition."""

    status: OrderStatus
    actor: Actor
    reason: str
    created_at: datetime


class Order(NamedTuple):
    """An order; `id` is None if the call only validated it. Like its parts it is a tuple, which takes half the time to create."""

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
    number: str = ""
    """The number for people; empty for an order of an earlier release until a worker numbers it."""
    price: Breakdown | None = None
    """The parts of the total; None if it is the sum of the lines."""
    shipping_address: PostalAddress | None = None
    billing_address: PostalAddress | None = None
    contact_email: str = ""
    note: str = ""
    quote_id: UUID | None = None
    payment_status: PaymentStatus = PaymentStatus.UNPAID
    fulfillment_status: FulfillmentStatus = FulfillmentStatus.UNFULFILLED
    erased_at: datetime | None = None
    """When the data of its buyer was erased."""

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
    quote_id: UUID | None = None
    """The quote whose price the buyer has agreed to."""


class Basket(NamedTuple):
    """The cart of one buyer in a batch of checkouts. A basket that is only validated takes no stock."""

    lines: Sequence[CartLine]
    terms: Terms
    validate_only: bool = False
    verified: bool = True
    """Whether the buyer has verified the e-mail address."""
    choices: Choices = NO_CHOICES
    quote: Quote | QuoteNotFound | None = None
    has_contact: bool = True
    """Whether mails about the order have an address to go to; a guest has none without the header's."""
    crowded: bool = False
    """Whether the guests of the buyer's network have as many unpaid orders as they may have together."""


class Sale(NamedTuple):
    """The goods and promotions that the shop can sell at a moment, and its conditions."""

    stock: Mapping[UUID, int]
    """Available units by product; a product that is absent is not on sale."""
    rules: PriceRules
    at: datetime
    uses: UsesLeft
    """The uses of limited promotions."""
    units_max: int = LINE_QUANTITY_MAX
    """Units that a basket may have of one product."""
    verified_only: bool = False
    """Whether only buyers with a verified e-mail address are served."""
    network_orders: int = 0
    """Unpaid orders that the guests of a network may have together."""

    def after(self, served: Iterable[tuple[Basket, Breakdown]]) -> "Sale":
        """Return what is left after baskets were served."""
        stock, uses = dict(self.stock), self.uses.copy()
        for basket, price in served:
            _take(basket, price, stock, uses, self.rules)
        return self._replace(stock=stock, uses=uses)


def allocate(baskets: Sequence[Basket], sale: Sale) -> list[MercatoError | Breakdown]:
    """Allocate stock and uses of promotions to baskets in the order of arrival; return for each its refusal, or the price if it is served.

    A basket gets the stock for all of its lines or for none. A refused basket leaves its units and uses to the next ones.
    """
    left = dict(sale.stock)
    uses = sale.uses.copy()
    terms = PriceTerms(sale.rules, sale.at, uses)
    outcomes: list[MercatoError | Breakdown] = []
    for basket in baskets:
        outcome = _buyers_refusal(basket, sale) or _shortage(basket, left) or _price(basket, terms)
        if isinstance(outcome, Breakdown) and not basket.validate_only:
            _take(basket, outcome, left, uses, sale.rules)
        outcomes.append(outcome)
    return outcomes


def _take(basket: Basket, price: Breakdown, stock: dict[UUID, int], uses: UsesLeft, rules: PriceRules) -> None:
    for line in basket.lines:
        stock[line.product_id] -= line.quantity
    for promotion, folded_code, _ in promotion_uses(price, basket.choices, rules):
        uses.take(promotion, folded_code, basket.choices.subjects)


def _buyers_refusal(basket: Basket, sale: Sale) -> MercatoError | None:
    """Return the refusal by the rules of the shop, whatever its stock is."""
    if not basket.lines:
        return CartEmpty()
    if refusal := _persons_refusal(basket, sale):
        return refusal
    if large := [line.name for line in basket.lines if line.quantity > sale.units_max]:
        return UnitsLimit(large, sale.units_max)
    if basket.terms.cart_etag and basket.terms.cart_etag != (etag := cart_etag(basket.lines, basket.choices.header.version)):
        return EtagMismatch("cart", basket.terms.cart_etag, etag)
    return basket.quote if isinstance(basket.quote, QuoteNotFound) else None


def _persons_refusal(basket: Basket, sale: Sale) -> MercatoError | None:
    """Return the refusal of a buyer for who it is."""
    if not basket.has_contact:
        return ContactRequired()
    if basket.crowded:
        return OpenOrdersLimit(sale.network_orders, of_network=True)
    return EmailNotVerified() if sale.verified_only and not basket.verified else None


def _shortage(basket: Basket, left: Mapping[UUID, int]) -> MercatoError | None:
    shortages = [
        Shortage(line.product_id, line.name, line.quantity, left.get(line.product_id, 0))
        for line in basket.lines
        if left.get(line.product_id, 0) < line.quantity
    ]
    if shortages:
        return OutOfStock(sorted(shortages, key=lambda shortage: shortage.product_id))
    return None


def _price(basket: Basket, terms: PriceTerms) -> MercatoError | Breakdown:
    """Return what a basket costs, or why it is not sold for that."""
    quote = basket.quote if isinstance(basket.quote, Quote) else None
    choices = replace(basket.choices, provided=quote.price.provided) if quote and quote.price.provided else basket.choices
    price = terms.price(basket.lines, choices)
    if quote and (refusal := quote.check(price, choices.header.destination, terms.at)):
        return refusal
    if price.missing:
        return price.missing
    expected_minor = basket.terms.expected_total_minor
    if expected_minor is not None and expected_minor != price.total_minor:
        return TotalChanged(expected_minor, price.total_minor)
    return price
