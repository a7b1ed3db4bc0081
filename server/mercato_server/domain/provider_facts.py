"""The facts that a payment provider tells about a payment, in the shop's words. All amounts are in ISO 4217 minor units."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from uuid import UUID


class ProviderState(Enum):
    """Where a payment is at the provider."""

    OPEN = auto()
    """The buyer has not paid yet, and still can."""
    PROCESSING = auto()
    """The money is under way; it may come or not."""
    AUTHORIZED = auto()
    """The money is held for the shop, and not captured."""
    CAPTURED = auto()
    """The money has come."""
    DEAD = auto()
    """No money can come any more, and none was captured."""


class ProviderRefundState(Enum):
    """Where a refund is at the provider."""

    PENDING = auto()
    """It was accepted; the money has not gone yet, or the buyer must do something first."""
    SUCCEEDED = auto()
    FAILED = auto()
    """It failed or was cancelled; the money is the shop's again."""


class DisputeState(Enum):
    """Where a dispute is at the provider."""

    INQUIRY = auto()
    """A question that moves no money yet."""
    OPEN = auto()
    WON = auto()
    """The money is the shop's; so are disputes that were prevented or withdrawn without a cost."""
    LOST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFact:
    """A refund at the provider."""

    provider_ref: str
    refund_id: UUID | None
    """The shop's id, which the provider keeps with it; None for a refund that was made at the provider."""
    state: ProviderRefundState
    amount_minor: int
    failure: str = ""
    """The provider's word for the reason of a failure."""
    created_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFact:
    """A dispute at the provider."""

    provider_ref: str
    state: DisputeState
    amount_minor: int
    """The amount that the buyer disputes."""
    withdrawn_minor: int
    """The amount that the provider has taken from the shop and not given back; fees do not count."""
    reason: str = ""
    created_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFact:
    """A payment at the provider, as one consistent read of it tells."""

    provider_ref: str
    payment_id: UUID | None
    """The shop's id, which the provider keeps with it; None for a payment of another program."""
    state: ProviderState
    currency_code: str
    amount_minor: int
    """The amount that it was created with."""
    authorized_minor: int = 0
    """The amount that is held and not captured."""
    captured_minor: int = 0
    charge_ref: str = ""
    """The provider's id of the movement of money; empty before there is one."""
    capture_before: datetime | None = None
    """When an authorisation lapses."""
    lapsed: bool = False
    """Whether it is dead because an authorisation has lapsed."""
    failure: str = ""
    """The provider's word for why the buyer's last try failed, such as `card_declined`."""
    refunds: tuple[RefundFact, ...] = ()
    disputes: tuple[DisputeFact, ...] = ()
    created_at: datetime | None = None
    moved_at: datetime | None = field(default=None, compare=False)
    """When its money moved, or it died, as far as the read tells."""
