"""The books of an order: its units, payments, refunds and shipments, and the states that follow from them.

A use case loads the books of orders, which locks these, changes them by the rules of the modules payment_rules and fulfillment_rules, and
saves them. The books note each change, so that saving takes the same number of statements for any number of orders.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.events import EventKind
from mercato_server.domain.money import PAYABLE_STEPS
from mercato_server.domain.order_statuses import Sums, headline
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import LedgerKind, LedgerRow, Payment, PaymentState, ProviderRequest, Refund, RefundState, RequestKind
from mercato_server.domain.provider_facts import DisputeFact


class ShipmentState(OpenEnum):
    """The state of a shipment; the values are those of the database."""

    PREPARED = "prepared"
    CAPTURING = "capturing"
    """Its payment is being captured; it leaves once the provider has answered."""
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Shipment:
    """A parcel with units of an order."""

    id: UUID
    state: ShipmentState
    units: Mapping[UUID, int]
    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    failure: str = ""
    """The provider's code if it has refused to capture the payment."""
    actor: Actor
    created_at: datetime | None = None
    updated_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None


class Return(NamedTuple):
    """Units that came back."""

    id: UUID
    units: Mapping[UUID, int]
    restocked: bool
    reason: str
    actor: Actor
    created_at: datetime | None = None


class OrderShipment(NamedTuple):
    """A shipment, and the order that it is of."""

    order_id: UUID
    order_etag: str
    shipment: Shipment


class OrderReturn(NamedTuple):
    """A return, and the order that it is of."""

    order_id: UUID
    order_etag: str
    made: Return


@dataclass(slots=True, kw_only=True)
class Units:
    """A line of an order: its units, and what they cost together after discounts and with tax."""

    quantity: int
    amount_minor: int
    shipped: int = 0
    delivered: int = 0
    cancelled: int = 0
    returned: int = 0
    refunded_minor: int = 0

    @property
    def unshipped(self) -> int:
        """The units that can still be shipped or cancelled."""
        return self.quantity - self.shipped - self.cancelled


def share_minor(amount_minor: int, units: int, quantity: int, currency_code: str) -> int:
    """Return the part of a line's cost for some of its units, rounded down to an amount that the currency can send."""
    if units == quantity:
        return amount_minor
    return sendable_minor(amount_minor * units // quantity, currency_code)


def sendable_minor(amount_minor: int, currency_code: str) -> int:
    """Return an amount rounded down to one that the currency can send."""
    return amount_minor - amount_minor % PAYABLE_STEPS.get(currency_code, 1)


class StatusStep(NamedTuple):
    """A change of an order's status, for its history."""

    version: int
    status: OrderStatus
    actor: Actor
    reason: str


class StockMove(NamedTuple):
    """Units of an order that go back into stock."""

    product_id: UUID
    kind: str
    quantity: int
    reference_id: UUID | None
    actor: Actor


class News(NamedTuple):
    """An event to append to the feed."""

    kind: EventKind
    subject_id: UUID


class AuditNote(NamedTuple):
    """An administrator's change, for the audit log."""

    actor: Actor
    action: str
    before: Mapping[str, object]
    after: Mapping[str, object]


class Settled(StrEnum):
    """How a request to a provider has ended; the values are those of the database."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Settlement(NamedTuple):
    """The end of a request."""

    outcome: Settled
    code: str


@dataclass(slots=True)
class Writes:
    """The changes of books that were not saved yet."""

    is_touched: bool = False
    steps: list[StatusStep] = field(default_factory=list)
    payments: set[UUID] = field(default_factory=set)
    rows: list[LedgerRow] = field(default_factory=list)
    refunds: set[UUID] = field(default_factory=set)
    new_refunds: list[Refund] = field(default_factory=list)
    requests: list[ProviderRequest] = field(default_factory=list)
    settlements: dict[UUID, Settlement] = field(default_factory=dict)
    shipments: set[UUID] = field(default_factory=set)
    new_shipments: list[Shipment] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    lines: set[UUID] = field(default_factory=set)
    moves: list[StockMove] = field(default_factory=list)
    disputes: list[tuple[UUID, DisputeFact]] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    notes: list[AuditNote] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Books:
    """The books of one order, locked by the caller's transaction."""

    order_id: UUID
    account_id: UUID
    status: OrderStatus
    version: int
    currency_code: str
    total_minor: int
    payment_due_at: datetime | None
    now: datetime
    """The time of the transaction."""
    has_redemptions: bool
    units: dict[UUID, Units]
    payments: dict[UUID, Payment] = field(default_factory=dict)
    refunds: dict[UUID, Refund] = field(default_factory=dict)
    shipments: dict[UUID, Shipment] = field(default_factory=dict)
    open_requests: dict[UUID, ProviderRequest] = field(default_factory=dict)
    """Requests whose outcome is not known yet."""
    payments_paused: bool = False
    """Whether the shop takes no payments at a provider, after a restore that was not reconciled yet."""
    version_floor: int = 0
    """The least version after a change: above all versions of the time that a restore has lost."""
    writes: Writes = field(default_factory=Writes)

    @property
    def etag(self) -> str:
        """The etag, which every change of the order changes."""
        return str(self.version)

    @property
    def owed_minor(self) -> int:
        """The worth of the order: its total less the share of cancelled units."""
        if all(line.cancelled == line.quantity for line in self.units.values()):
            return 0
        parts_minor = sum(share_minor(line.amount_minor, line.cancelled, line.quantity, self.currency_code) for line in self.units.values())
        return self.total_minor - sendable_minor(parts_minor, self.currency_code)

    @property
    def sums(self) -> Sums:
        """The money and the units of the order."""
        lines, payments = self.units.values(), self.payments.values()
        return Sums(
            owed_minor=self.owed_minor,
            authorized_minor=sum(payment.authorized_minor for payment in payments),
            captured_minor=sum(payment.captured_minor for payment in payments),
            returned_minor=sum(payment.refunded_minor + payment.lost_minor for payment in payments),
            quantity=sum(line.quantity for line in lines),
            shipped=sum(line.shipped for line in lines),
            delivered=sum(line.delivered for line in lines),
            cancelled=sum(line.cancelled for line in lines),
            returned=sum(line.returned for line in lines),
            is_processing=any(payment.state is PaymentState.PROCESSING for payment in payments),
        )

    @property
    def live_payment(self) -> Payment | None:
        """The payment that holds money of the order, or by which money may still come."""
        return next((payment for payment in self.payments.values() if payment.state.is_live), None)

    @property
    def is_overdue(self) -> bool:
        """Whether it was not paid in time. While payments are paused its time does not end: it may have been paid before the restore."""
        is_due = self.payment_due_at is not None and self.payment_due_at <= self.now
        return is_due and self.status is OrderStatus.PLACED and not self.payments_paused

    @property
    def has_open_dispute(self) -> bool:
        """Whether a dispute of its money is open."""
        return any(payment.disputed_minor for payment in self.payments.values())

    def refunded_units(self, product_id: UUID) -> int:
        """Return the units of a line for which refunds were made or are under way."""
        lines = (line for refund in self.refunds.values() if refund.state is not RefundState.FAILED for line in refund.lines)
        return sum(line.quantity for line in lines if line.product_id == product_id)

    def touch(self) -> None:
        """Note a change of the order, which changes its etag."""
        if not self.writes.is_touched:
            self.writes.is_touched = True
            self.version = max(self.version + 1, self.version_floor)

    def book(self, payment: Payment, rows: Iterable[LedgerRow]) -> bool:
        """Append rows to the ledger of a payment; return whether there were any."""
        new = list(rows)
        for row in new:
            payment.ledger[row.provider_ref, row.kind] = row.amount_minor
        if new:
            self.writes.rows += new
            payment.sum_up()
            self.changed(payment)
        return bool(new)

    def book_manual(self, payment: Payment, kind: LedgerKind, ref: UUID, amount_minor: int) -> None:
        """Append a movement that an administrator records, under an id of the shop."""
        if amount_minor:
            self.book(payment, [LedgerRow(payment.id, kind, str(ref), amount_minor)])

    def changed(self, payment: Payment) -> None:
        """Note a change of a payment."""
        self.writes.payments.add(payment.id)
        self.touch()

    def changed_refund(self, refund: Refund) -> None:
        """Note a change of a refund."""
        self.writes.refunds.add(refund.id)
        self.touch()

    def changed_shipment(self, shipment: Shipment) -> None:
        """Note a change of a shipment."""
        self.writes.shipments.add(shipment.id)
        self.touch()

    def changed_line(self, product_id: UUID) -> Units:
        """Note a change of a line, and return it."""
        self.writes.lines.add(product_id)
        self.touch()
        return self.units[product_id]

    def request(self, request: ProviderRequest) -> None:
        """Open a request at a provider, unless the same one is open."""
        subject = (request.kind, request.payment_id, request.refund_id)
        if all((other.kind, other.payment_id, other.refund_id) != subject for other in self.open_requests.values()):
            self.open_requests[request.id] = request
            self.writes.requests.append(request)

    def settle(self, request_id: UUID, outcome: Settled, code: str = "") -> None:
        """Note the end of a request."""
        self.open_requests.pop(request_id, None)
        self.writes.settlements[request_id] = Settlement(outcome, code)

    def has_open(self, kind: RequestKind, payment: Payment) -> bool:
        """Return whether a request of a kind for a payment is open."""
        return any(request.kind is kind and request.payment_id == payment.id for request in self.open_requests.values())

    def tell(self, kind: EventKind, subject_id: UUID) -> None:
        """Append an event to the feed."""
        self.writes.news.append(News(kind, subject_id))

    def audit(self, actor: Actor, action: str, after: Mapping[str, object], before: Mapping[str, object] | None = None) -> None:
        """Append a change to the audit log; the caller knows that the actor is an administrator."""
        self.writes.notes.append(AuditNote(actor, action, before or {}, after))

    def conclude(self, actor: Actor, reason: str = "") -> OrderStatus | None:
        """Set the status to the headline of money and units; return the new one, or None if it stays."""
        status = headline(self.sums)
        if status is self.status:
            return None
        self.touch()
        self.status = status
        self.writes.steps.append(StatusStep(self.version, status, actor, reason))
        self.tell(EventKind(f"order.{status}"), self.order_id)
        return status
