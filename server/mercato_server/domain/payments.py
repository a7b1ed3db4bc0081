"""Payments, their ledger, refunds, and requests to a provider. All amounts are minor units of the order's currency."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState

MANUAL = "manual"
"""The provider that is the shop itself: an administrator records cash, transfers and cash on delivery."""


class PaymentState(OpenEnum):
    """The state of a payment; the values are those of the database."""

    PENDING = "pending"
    """The buyer has not paid yet."""
    PROCESSING = "processing"
    """The money is under way."""
    AUTHORIZED = "authorized"
    """The money is held for the shop."""
    CAPTURED = "captured"
    CANCELLED = "cancelled"
    """No money can come any more."""
    EXPIRED = "expired"
    """The authorisation has lapsed, and no money can come any more."""
    UNKNOWN = "unknown"

    @property
    def is_live(self) -> bool:
        """Whether it holds money, or money may still come, so that the order must not be paid by another payment."""
        return self not in {PaymentState.CANCELLED, PaymentState.EXPIRED}


class PaymentMethod(OpenEnum):
    """How the money comes; the values are those of the database."""

    ONLINE = "online"
    CASH = "cash"
    TRANSFER = "transfer"
    CASH_ON_DELIVERY = "cash_on_delivery"
    OTHER = "other"
    """An administrator has only said that the order is paid."""
    UNKNOWN = "unknown"


class LedgerKind(StrEnum):
    """A movement of money; the values are those of the database."""

    AUTHORIZED = "authorized"
    VOIDED = "voided"
    """The end of an authorisation, by a capture too."""
    CAPTURED = "captured"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    """A refund that had succeeded has come back."""
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_APPEALED = "dispute_appealed"
    """Money of a lost dispute has come back."""


class RefundState(OpenEnum):
    """The state of a refund; the values are those of the database."""

    REQUESTED = "requested"
    """It is reserved; the provider has not answered yet."""
    PENDING = "pending"
    """The provider has accepted it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_open(self) -> bool:
        """Whether it reserves money that has not gone yet."""
        return self in {RefundState.REQUESTED, RefundState.PENDING}


class RequestKind(StrEnum):
    """The action that a request asks of a provider; the values are those of the database."""

    CREATE = "create"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class LedgerRow(NamedTuple):
    """A movement of money of a payment; a provider's reference has each kind once."""

    payment_id: UUID
    kind: LedgerKind
    provider_ref: str
    amount_minor: int


class RefundLine(NamedTuple):
    """Units of a refund, and the part of its amount that is theirs."""

    product_id: UUID
    quantity: int
    amount_minor: int


@dataclass(slots=True, kw_only=True)
class Refund:
    """A refund of a payment."""

    id: UUID
    payment_id: UUID
    state: RefundState
    amount_minor: int
    provider_ref: str | None = None
    is_own: bool = True
    """Whether the shop has made it; a refund that was made at the provider reserves nothing."""
    reason: str = ""
    failure: str = ""
    actor: Actor
    lines: tuple[RefundLine, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ProviderRequest(NamedTuple):
    """A request to open at a provider."""

    id: UUID
    provider: str
    kind: RequestKind
    payment_id: UUID
    refund_id: UUID | None
    amount_minor: int


@dataclass(slots=True, kw_only=True)
class Payment:
    """A payment of an order, with its ledger by provider's reference and kind."""

    id: UUID
    order_id: UUID
    provider: str
    method: PaymentMethod
    state: PaymentState
    currency_code: str
    amount_minor: int
    capture_later: bool = False
    provider_ref: str | None = None
    authorized_minor: int = 0
    captured_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    lost_minor: int = 0
    capture_before: datetime | None = None
    failure: str = ""
    reads: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ledger: dict[tuple[str, LedgerKind], int] = field(default_factory=dict)
    disputes: dict[str, DisputeFact] = field(default_factory=dict)
    """The last fact of each dispute, by its reference."""

    @property
    def is_manual(self) -> bool:
        """Whether the shop itself is the provider."""
        return self.provider == MANUAL

    @property
    def left_minor(self) -> int:
        """The captured money that the shop still has and has not promised to give back."""
        taken = self.refunded_minor + self.refunding_minor + self.disputed_minor + self.lost_minor
        return max(0, self.captured_minor - taken)

    def sum_up(self) -> None:
        """Set the amounts to the sums of the ledger."""
        sums = dict.fromkeys(LedgerKind, 0)
        for (_, kind), amount_minor in self.ledger.items():
            sums[kind] += amount_minor
        self.authorized_minor = sums[LedgerKind.AUTHORIZED] - sums[LedgerKind.VOIDED]
        self.captured_minor = sums[LedgerKind.CAPTURED]
        self.refunded_minor = sums[LedgerKind.REFUNDED] - sums[LedgerKind.REFUND_FAILED]
        returned = sums[LedgerKind.DISPUTE_WON] + sums[LedgerKind.DISPUTE_LOST]
        self.disputed_minor = sums[LedgerKind.DISPUTED] - returned
        self.lost_minor = sums[LedgerKind.DISPUTE_LOST] - sums[LedgerKind.DISPUTE_APPEALED]


def mismatch(payment: Payment, fact: PaymentFact) -> str | None:
    """Return why a fact cannot be about a payment, so that no money may be booked, or None."""
    if fact.payment_id != payment.id:
        return "the payment at the provider names another payment of the shop"
    if payment.provider_ref not in {None, fact.provider_ref}:
        return "the shop's payment has another reference at the provider"
    if fact.currency_code != payment.currency_code:
        return "its currency is not that of the order"
    if fact.amount_minor != payment.amount_minor or max(fact.captured_minor, fact.authorized_minor) > payment.amount_minor:
        return "its amount is not the one that the shop has asked for"
    return None


_DISPUTE_STEPS = (DisputeState.INQUIRY, DisputeState.OPEN, DisputeState.LOST, DisputeState.WON)
"""The order in which a dispute moves. An appeal against a lost one counts as lost until it is won."""


def is_news(payment: Payment, told: DisputeFact) -> bool:
    """Return whether a fact tells more of a dispute than the payment's books know; an older one does not."""
    known = payment.disputes.get(told.provider_ref)
    if known is None:
        return True
    if known.state is not told.state:
        return _DISPUTE_STEPS.index(known.state) < _DISPUTE_STEPS.index(told.state)
    if told.state is DisputeState.LOST:  # money of it can only come back
        return told.withdrawn_minor < known.withdrawn_minor
    return told.withdrawn_minor > known.withdrawn_minor and told.state is DisputeState.OPEN


def missing_rows(payment: Payment, fact: PaymentFact) -> Iterator[LedgerRow]:
    """Yield the movements of money that a fact tells and the ledger lacks.

    Facts may come in any order, and repeatedly; the caller leaves out of them the refunds and disputes of which the books know more.
    """
    for row in (*_charge_rows(payment, fact), *_refund_rows(payment, fact), *_dispute_rows(payment, fact)):
        if row.amount_minor > 0 and (row.provider_ref, row.kind) not in payment.ledger:
            yield row


def _charge_rows(payment: Payment, fact: PaymentFact) -> Iterator[LedgerRow]:
    # Once money was captured, or none can come any more, a fact that tells of an authorisation is out of date.
    if fact.state is ProviderState.AUTHORIZED and payment.state.is_live and not payment.captured_minor:
        yield LedgerRow(payment.id, LedgerKind.AUTHORIZED, fact.charge_ref, fact.authorized_minor)
    if fact.captured_minor or fact.state is ProviderState.DEAD:
        for (ref, kind), amount_minor in payment.ledger.items():
            if kind is LedgerKind.AUTHORIZED:
                yield LedgerRow(payment.id, LedgerKind.VOIDED, ref, amount_minor)
    yield LedgerRow(payment.id, LedgerKind.CAPTURED, fact.charge_ref, fact.captured_minor)


def _refund_rows(payment: Payment, fact: PaymentFact) -> Iterator[LedgerRow]:
    for refund in fact.refunds:
        ref = refund.provider_ref
        if refund.state is ProviderRefundState.SUCCEEDED:
            yield LedgerRow(payment.id, LedgerKind.REFUNDED, ref, refund.amount_minor)
        elif refund.state is ProviderRefundState.FAILED:
            yield LedgerRow(payment.id, LedgerKind.REFUND_FAILED, ref, payment.ledger.get((ref, LedgerKind.REFUNDED), 0))


def _dispute_rows(payment: Payment, fact: PaymentFact) -> Iterator[LedgerRow]:
    """Yield the movements of disputes. One that was partly won counts as lost, less the money that has come back."""
    for dispute in fact.disputes:
        known = {kind: amount_minor for (ref, kind), amount_minor in payment.ledger.items() if ref == dispute.provider_ref}
        for kind, amount_minor in _dispute_amounts(dispute, known):
            yield LedgerRow(payment.id, kind, dispute.provider_ref, amount_minor)


def _dispute_amounts(dispute: DisputeFact, known: Mapping[LedgerKind, int]) -> Iterator[tuple[LedgerKind, int]]:
    withdrawn_minor = dispute.withdrawn_minor
    is_lost, is_won = dispute.state is DisputeState.LOST, dispute.state is DisputeState.WON
    taken_minor = known.get(LedgerKind.DISPUTED, withdrawn_minor if is_lost or dispute.state is DisputeState.OPEN else 0)
    yield LedgerKind.DISPUTED, taken_minor
    if LedgerKind.DISPUTE_LOST in known:
        if is_lost or is_won:
            yield LedgerKind.DISPUTE_APPEALED, known[LedgerKind.DISPUTE_LOST] - (withdrawn_minor if is_lost else 0)
    elif is_lost and LedgerKind.DISPUTE_WON not in known:
        lost_minor = min(withdrawn_minor, taken_minor)
        yield LedgerKind.DISPUTE_LOST, lost_minor
        yield LedgerKind.DISPUTE_WON, taken_minor - lost_minor
    elif is_won:
        yield LedgerKind.DISPUTE_WON, taken_minor


def state_after(payment: Payment, fact: PaymentFact) -> PaymentState:
    """Return the state of a payment whose ledger has the fact's rows. Money decides: an older fact never takes back what the ledger has."""
    if payment.captured_minor:
        return PaymentState.CAPTURED
    if fact.state is ProviderState.DEAD:
        return PaymentState.EXPIRED if fact.lapsed else PaymentState.CANCELLED
    if not payment.state.is_live:
        return payment.state
    if payment.authorized_minor:
        return PaymentState.AUTHORIZED
    if fact.state in {ProviderState.PROCESSING, ProviderState.CAPTURED}:  # captured without an amount yet
        return PaymentState.PROCESSING
    return PaymentState.PENDING
