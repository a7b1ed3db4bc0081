"""The states of payment intents, refunds and disputes, and each step that is allowed."""

from support.stripe_double.objects import Dispute, Intent, Refund

INTENT = {
    "requires_payment_method": {
        "requires_payment_method",  # declined again
        "requires_confirmation",
        "requires_action",
        "processing",
        "requires_capture",
        "succeeded",
        "canceled",
    },
    "requires_confirmation": {"requires_payment_method", "requires_action", "processing", "requires_capture", "succeeded", "canceled"},
    "requires_action": {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "processing",
        "requires_capture",
        "succeeded",
        "canceled",
    },
    "processing": {"requires_payment_method", "succeeded"},
    "requires_capture": {"succeeded", "canceled"},
    "succeeded": set[str](),
    "canceled": set[str](),
}
"""https://docs.stripe.com/payments/paymentintents/lifecycle. Stripe cancels a `processing` intent "in rare cases": the double, never."""

REFUND = {
    "pending": {"succeeded", "failed"},
    "requires_action": {"succeeded", "failed", "canceled"},
    "succeeded": {"failed"},
    "failed": set[str](),
    "canceled": set[str](),
}
"""https://docs.stripe.com/refunds#failed-refunds: it may fail after it succeeded; only `requires_action` can be canceled
(https://docs.stripe.com/api/refunds/cancel)."""

DISPUTE = {
    "warning_needs_response": {"warning_under_review", "warning_closed", "needs_response"},
    "warning_under_review": {"warning_closed", "needs_response"},
    "warning_closed": set[str](),
    "needs_response": {"under_review", "won", "lost"},
    "under_review": {"won", "lost"},
    "won": set[str](),
    "lost": {"appeal_needs_response"},
    "appeal_needs_response": {"appeal_under_review", "won", "lost"},
    "appeal_under_review": {"won", "lost"},
    "prevented": set[str](),
}
"""The statuses are those of stripe-python 16.1.0 (`Dispute.status`); their order is by the design and its names."""

INQUIRY = frozenset(("warning_needs_response", "warning_under_review", "warning_closed"))
WITHDRAWN = frozenset(("needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review"))
"""Disputes whose money Stripe has taken from the balance."""


class Impossible(AssertionError):
    """A step that no rule allows: a fault of the double itself, or of the test that acts as Stripe."""


def move(thing: Intent | Refund | Dispute, status: str) -> None:
    """Set the status of an object, if the step is allowed."""
    steps = {Intent: INTENT, Refund: REFUND, Dispute: DISPUTE}[type(thing)]
    if status not in steps[thing.status]:
        raise Impossible(f"{thing.id}: {thing.status} -> {status}")
    thing.status = status
