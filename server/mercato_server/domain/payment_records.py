"""The records of payments that administrators list besides payments and refunds."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.payments import Payment, Refund, RequestKind


class DisputeStatus(OpenEnum):
    """The state of a dispute; the values are those of the database."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    UNKNOWN = "unknown"


class ListedRefund(NamedTuple):
    """A refund, with its order and currency."""

    order_id: UUID
    currency_code: str
    refund: Refund


class Dispute(NamedTuple):
    """A buyer's dispute of a payment, as the provider tells it."""

    id: UUID
    payment_id: UUID
    order_id: UUID
    provider_ref: str
    state: DisputeStatus
    amount_minor: int
    withdrawn_minor: int
    currency_code: str
    reason: str
    created_at: datetime
    updated_at: datetime


class QuarantinedEvent(NamedTuple):
    """A provider's notice, or a read of a payment, that does not fit the shop's payments."""

    id: UUID
    provider: str
    event_id: str
    kind: str
    provider_ref: str
    failure: str
    happened_at: datetime
    quarantined_at: datetime
    resolved_at: datetime | None


class RequestRecord(NamedTuple):
    """A request to a provider, and how it ended."""

    id: UUID
    provider: str
    kind: RequestKind
    payment_id: UUID
    order_id: UUID
    refund_id: UUID | None
    amount_minor: int
    currency_code: str
    attempt: int
    tries: int
    code: str
    outcome: str | None
    created_at: datetime
    settled_at: datetime | None


class Opened(NamedTuple):
    """A payment, and what the buyer's browser needs to pay it: empty if nothing is to be paid there."""

    payment: Payment
    client_secret: str = ""
    publishable_key: str = ""
