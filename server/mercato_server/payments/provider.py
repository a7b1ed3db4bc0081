"""The interface of a payment provider. No method is ever called within a transaction, or while a connection to the database is held."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from mercato_server.domain.provider_facts import DisputeFact, PaymentFact, RefundFact


class Certainty(StrEnum):
    """Whether a failed request has had an effect at the provider; the values are those of the log."""

    UNKNOWN = "unknown"
    """It may have had one, or may still have: the same key must be sent again (a time-out, 409, 429, 5xx, 401, 403)."""
    UNSENT = "unsent"
    """It never left: the same key must be sent again."""
    REFUSED = "refused"
    """The provider has stored a definite refusal under the key. The same key would get it again for ever; another try needs a new key."""
    INVALID = "invalid"
    """The provider has refused the parameters before it did anything, and stored nothing. Another try needs another request.

    It is about this try only: if an earlier one of the same key was UNKNOWN, that one may have had an effect, and only a read tells.
    """


class ProviderError(Exception):
    """A request that failed. The message is for the operator; it has no personal data and no secret."""

    def __init__(
        self, certainty: Certainty, code: str, detail: str, *, retry_after_s: float | None = None, is_stored: bool = False
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.certainty = certainty
        self.code = code
        """The provider's code, such as `charge_already_refunded`, or `timeout`, `connection`, `http_503`."""
        self.retry_after_s = retry_after_s
        self.is_stored = is_stored
        """Whether the provider has stored this failure under the key, so that the key only brings it again. Its execution has ended."""


class UnusableEventError(Exception):
    """The bytes of an event are not authentic, or not an event; the message says why. Its sender gets 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """A notice of a provider that something has changed. It is only a reason to read the payment: its content is never believed."""

    event_id: str
    kind: str
    provider_ref: str
    """The payment that it concerns; empty for an event of another kind of object, which is counted and not kept."""
    is_ours: bool
    """Whether it is of the account and mode of the shop's key."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CreatedPayment:
    """A payment, and the secret with which the buyer's browser pays it. The secret is never stored and never logged."""

    fact: PaymentFact
    client_secret: str


class PaymentProvider(Protocol):
    """Moves money. Every method raises ProviderError. A key names one request with one body for ever."""

    name: str
    """The value of the database, such as `stripe`."""

    def unpayable(self, amount_minor: int, currency: str) -> str | None:
        """Return why an amount cannot be charged, for a message to the buyer, or None; no request is sent."""

    async def create(
        self, key: str, payment_id: UUID, order_id: UUID, amount_minor: int, currency: str, *, capture_later: bool
    ) -> CreatedPayment:
        """Create a payment that the buyer confirms outside of the shop."""

    async def read(self, provider_ref: str) -> PaymentFact:
        """Return a payment with its refunds and disputes."""

    async def client_secret(self, provider_ref: str) -> str:
        """Return the secret of a payment again."""

    async def find(self, payment_id: UUID, since: datetime) -> PaymentFact | None:
        """Return the payment with an id of the shop's, created at `since` or later; None if there surely is none."""

    async def capture(self, key: str, provider_ref: str, amount_minor: int) -> PaymentFact:
        """Capture a part of an authorisation; the rest is released."""

    async def cancel(self, key: str, provider_ref: str) -> PaymentFact:
        """Cancel a payment that is not captured."""

    async def refund(self, key: str, provider_ref: str, refund_id: UUID, amount_minor: int) -> RefundFact:
        """Give a part of a captured payment back."""

    def event(self, body: bytes, signature: str) -> ProviderEvent:
        """Return the event of a signed request; raises UnusableEventError."""

    def payments(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[PaymentFact]]:
        """Yield pages of the payments that were created at `since` or later and before `until`, without refunds and disputes."""

    def refunds(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[tuple[str, RefundFact]]]:
        """Yield pages of the refunds of a time, each with the payment's reference."""

    def disputes(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[tuple[str, DisputeFact]]]:
        """Yield pages of the disputes of a time, each with the payment's reference."""

    async def close(self) -> None:
        """Close its connections."""
