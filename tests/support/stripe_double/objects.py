"""The objects of the double. Amounts are in the currency's smallest unit as Stripe counts them, times in Unix seconds."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Intent:
    """A payment intent: https://docs.stripe.com/api/payment_intents/object."""

    id: str
    client_secret: str
    amount: int
    currency: str
    created: int
    capture_method: str
    payment_method: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    return_url: str | None = None
    off_session: bool = False
    status: str = "requires_payment_method"
    latest_charge: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    last_payment_error: dict[str, Any] | None = None


@dataclass
class Charge:
    """One attempt to move money: https://docs.stripe.com/api/charges/object."""

    id: str
    intent: str
    amount: int
    currency: str
    created: int
    method: str
    metadata: dict[str, str]
    status: str = "succeeded"
    captured: bool = False
    amount_captured: int = 0
    capture_before: int | None = None
    failure: tuple[str, str | None] | None = None
    transaction: str | None = None
    refunds: list[str] = field(default_factory=list)
    dispute: str | None = None


@dataclass
class Refund:
    """A refund: https://docs.stripe.com/api/refunds/object."""

    id: str
    charge: str
    intent: str
    amount: int
    currency: str
    created: int
    status: str
    reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    pending_reason: str | None = None
    failure_reason: str | None = None
    transaction: str | None = None
    failure_transaction: str | None = None


@dataclass
class Dispute:
    """A dispute: https://docs.stripe.com/api/disputes/object."""

    id: str
    charge: str
    intent: str
    amount: int
    currency: str
    created: int
    status: str
    reason: str
    transactions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Transaction:
    """A change of the balance: https://docs.stripe.com/api/balance_transactions/object."""

    id: str
    kind: str
    source: str | None
    amount: int
    fee: int
    currency: str
    created: int

    @property
    def net(self) -> int:
        """Return the change of the balance: "amount - fee"."""
        return self.amount - self.fee


Thing = Intent | Charge | Refund | Dispute
