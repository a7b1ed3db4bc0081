"""Facts from the objects of Stripe's API, at the version of the SDK. Its enumerations are open: later versions may send other words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog

from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState, RefundFact
from mercato_server.payments.stripe_amounts import from_stripe

log = structlog.get_logger(__name__)

Body = Mapping[str, Any]
Field = TypeVar("Field")

PAYMENT_STATES = {
    "requires_payment_method": ProviderState.OPEN,
    "requires_confirmation": ProviderState.OPEN,
    "requires_action": ProviderState.OPEN,
    "processing": ProviderState.PROCESSING,
    "requires_capture": ProviderState.AUTHORIZED,
    "succeeded": ProviderState.CAPTURED,
    "canceled": ProviderState.DEAD,
}
REFUND_STATES = {
    "pending": ProviderRefundState.PENDING,
    "requires_action": ProviderRefundState.PENDING,
    "succeeded": ProviderRefundState.SUCCEEDED,
    "failed": ProviderRefundState.FAILED,
    "canceled": ProviderRefundState.FAILED,
}
DISPUTE_STATES = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.WON,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "appeal_needs_response": DisputeState.OPEN,
    "appeal_under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "prevented": DisputeState.WON,
    "lost": DisputeState.LOST,
}
LAPSES = ("expired", "automatic")
"""Reasons for which Stripe itself cancels a payment; earlier versions of the API call a lapse `automatic`."""
UNKNOWN_WORDS_MAX = 100
TIME_MAX_S = 253_402_300_799
"""The last second of the year 9999."""


class UnusableObjectError(Exception):
    """An object is not as Stripe documents it; the message names the field, and never its value."""


class Facts:
    """Turns objects into facts. A word that it does not know is logged once, and never read as an end of a payment."""

    def __init__(self) -> None:
        self._unknown: set[tuple[str, str]] = set()

    def payment(self, intent: Body) -> PaymentFact:
        """Return the fact of a payment intent, whose charge may be expanded; raises UnusableObjectError."""
        currency = _currency(intent)
        status, received = field(intent, "status", str), field(intent, "amount_received", int)
        state = PAYMENT_STATES.get(status) or self._unfamiliar("payment_intent", status, ProviderState.PROCESSING)
        if state is ProviderState.DEAD and received:  # a part was captured before the rest was canceled, which only Stripe's staff allows
            state = ProviderState.CAPTURED
        charge = intent.get("latest_charge")
        return PaymentFact(
            provider_ref=field(intent, "id", str),
            payment_id=shop_id(intent, "payment_id"),
            state=state,
            currency_code=currency,
            amount_minor=_minor(field(intent, "amount", int), currency),
            authorized_minor=_minor(field(intent, "amount_capturable", int), currency),
            captured_minor=_minor(received, currency),
            charge_ref=_moving_charge(charge),
            capture_before=_capture_before(charge) if state is ProviderState.AUTHORIZED else None,
            lapsed=state is ProviderState.DEAD and intent.get("cancellation_reason") in LAPSES and _was_authorized(charge),
            failure=_failure(intent.get("last_payment_error")),
            created_at=moment(intent, "created"),
            moved_at=_moved_at(intent, charge),
        )

    def refund(self, refund: Body) -> RefundFact:
        """Return the fact of a refund; raises UnusableObjectError."""
        status = refund.get("status")
        known = REFUND_STATES.get(status) if isinstance(status, str) else None
        return RefundFact(
            provider_ref=field(refund, "id", str),
            refund_id=shop_id(refund, "refund_id"),
            state=known or self._unfamiliar("refund", status, ProviderRefundState.PENDING),
            amount_minor=_minor(field(refund, "amount", int), _currency(refund)),
            failure=word(refund.get("failure_reason")),
            created_at=_moment_if_any(refund, "created"),
        )

    def dispute(self, dispute: Body, currency: str, captured_minor: int) -> DisputeFact:
        """Return the fact of a dispute; raises UnusableObjectError.

        Args:
            dispute: the object, with its balance transactions.
            currency: the payment's.
            captured_minor: the amount that is taken as disputed where the dispute is in another currency than the payment.
        """
        status = field(dispute, "status", str)
        is_foreign = _currency(dispute) != currency
        amount_minor = captured_minor if is_foreign else _minor(field(dispute, "amount", int), currency)
        return DisputeFact(
            provider_ref=field(dispute, "id", str),
            state=DISPUTE_STATES.get(status) or self._unfamiliar("dispute", status, DisputeState.OPEN),
            amount_minor=amount_minor,
            withdrawn_minor=_withdrawn(dispute, currency, amount_minor),
            reason=word(dispute.get("reason")),
            created_at=_moment_if_any(dispute, "created"),
        )

    def _unfamiliar(self, kind: str, status: object, instead: Field) -> Field:
        seen = (kind, word(status))
        if seen not in self._unknown and len(self._unknown) < UNKNOWN_WORDS_MAX:
            self._unknown.add(seen)
            log.warning("Stripe sent an unknown status", object=kind, status=seen[1], read_as=str(instead))
        return instead


def of_payment(body: Body) -> str:
    """Return the payment intent's id of a charge, a refund or a dispute, which may be expanded; empty without one."""
    found = body.get("payment_intent")
    if found is None:
        return ""
    return field(found, "id", str) if isinstance(found, Mapping) else field(body, "payment_intent", str)


def charge_of(dispute: Body) -> tuple[str, int]:
    """Return the currency, and the captured amount in minor units, of the expanded charge of a dispute."""
    charge: Body = field(dispute, "charge", dict)
    currency = _currency(charge)
    return currency, _minor(field(charge, "amount_captured", int), currency)


def shop_id(body: Body, name: str) -> UUID | None:
    """Return an id that the shop has put into the metadata of an object."""
    metadata = body.get("metadata")
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def field(body: Body, name: str, kind: type[Field]) -> Field:
    """Return a field of a type; a truth value is no integer, and no text is empty."""
    value = body.get(name)
    if type(value) is not kind or value == "":
        raise UnusableObjectError(f"{name} must be there, and of the type {kind.__name__}")
    return value


def moment(body: Body, name: str) -> datetime:
    """Return a time in whole seconds since 1970."""
    value = field(body, name, int)
    if not 0 <= value <= TIME_MAX_S:
        raise UnusableObjectError(f"{name} must be a time")
    return datetime.fromtimestamp(value, UTC)


def _moment_if_any(body: Body, name: str) -> datetime | None:
    return None if body.get(name) is None else moment(body, name)


def word(value: object) -> str:
    """Return a word of Stripe's, such as `card_declined`; never free text, which may have personal data."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_]{1,80}", value) else ""


def _currency(body: Body) -> str:
    code = field(body, "currency", str)
    if not re.fullmatch(r"[a-z]{3}", code):
        raise UnusableObjectError("currency must have three letters")
    return code.upper()


def _minor(amount: int, currency: str) -> int:
    minor = from_stripe(amount, currency)
    if minor is None or minor < 0:
        raise UnusableObjectError(f"an amount in {currency} must be a whole number of minor units")
    return minor


def _moving_charge(charge: Any) -> str:
    """Return the id of a charge; empty if it failed."""
    if isinstance(charge, Mapping):
        return "" if charge.get("status") == "failed" else field(charge, "id", str)
    return charge if isinstance(charge, str) else ""


def _moved_at(intent: Body, charge: Any) -> datetime | None:
    """Return when an intent was canceled, or else when its expanded charge was made."""
    return _moment_if_any(intent, "canceled_at") or (_moment_if_any(charge, "created") if isinstance(charge, Mapping) else None)


def _was_authorized(charge: Any) -> bool:
    """Return whether a charge was authorised and not captured; a charge that is not expanded counts."""
    if isinstance(charge, Mapping):
        return charge.get("status") == "succeeded" and charge.get("captured") is False
    return isinstance(charge, str)


def _capture_before(charge: Any) -> datetime | None:
    """Return when an authorisation lapses; it differs by method, brand and kind, so it is read and never computed."""
    details = charge.get("payment_method_details") if isinstance(charge, Mapping) else None
    if not isinstance(details, Mapping):
        return None
    of_kind = details.get(details.get("type", ""))
    return _moment_if_any(of_kind, "capture_before") if isinstance(of_kind, Mapping) else None


def _failure(error: Any) -> str:
    return word(error.get("code") or error.get("type")) if isinstance(error, Mapping) else ""


def _withdrawn(dispute: Body, currency: str, amount_minor: int) -> int:
    """Return what is withdrawn: a dispute that is partly won reads `lost`, so only the balance transactions tell it.

    They are in the currency of the account's balance; where that is another one, the share of what was withdrawn counts.
    """
    moves: list[Body] = field(dispute, "balance_transactions", list)
    amounts = [field(each, "amount", int) for each in moves]
    left = max(0, -sum(amounts))
    if all(_currency(each) == currency for each in moves):
        return _minor(left, currency)
    taken = -sum(amount for amount in amounts if amount < 0)
    return amount_minor * left // taken if left else 0
