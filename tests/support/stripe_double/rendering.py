"""The JSON of objects, as the pinned version of the API has it; fields that no rule of the double needs are left out."""

from collections.abc import Callable, Iterable
from typing import Any

from support.stripe_double import methods, refunds
from support.stripe_double.account import Account
from support.stripe_double.objects import Charge, Dispute, Intent, Refund, Thing, Transaction
from support.stripe_double.refusals import Body, Refusal
from support.stripe_double.states import INQUIRY

EXPANDABLE = {
    "payment_intent": {"latest_charge": "charge"},
    "charge": {"payment_intent": "payment_intent", "balance_transaction": "balance_transaction"},
    "refund": {
        "charge": "charge",
        "payment_intent": "payment_intent",
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "event": dict[str, str](),
    "balance_transaction": dict[str, str](),
}
DEPTH_MAX = 4
"""https://docs.stripe.com/api/expanding_objects."""
BUYERS = (
    "amount",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "created",
    "currency",
    "description",
    "id",
    "last_payment_error",
    "livemode",
    "next_action",
    "object",
    "payment_method",
    "status",
)
"""Fields of a payment intent that a publishable key sees: those without "secret" in https://docs.stripe.com/api/payment_intents/object."""


def check_expandable(kind: str, paths: Iterable[str]) -> None:
    """Refuse paths that name no object below one of this kind."""
    for path in paths:
        names, place = path.split("."), kind
        for name in names:
            if len(names) > DEPTH_MAX or name not in EXPANDABLE[place]:
                raise Refusal(f"This property cannot be expanded ({path}).", param="expand")
            place = EXPANDABLE[place][name]


class Renderer:
    """Renders the objects of an account."""

    def __init__(self, account: Account, base_url: Callable[[], str]) -> None:
        self._account, self._base_url = account, base_url

    def plain(self, thing: Thing | Transaction) -> Body:
        """Return an object, with the ids of others."""
        match thing:
            case Intent():
                return self._intent(thing)
            case Charge():
                return self._charge(thing)
            case Refund():
                return _refund(thing)
            case Dispute():
                return self._dispute(thing)
            case Transaction():
                return _transaction(thing)

    def full(self, thing: Thing | Transaction, expand: Iterable[str] = ()) -> Body:
        """Return an object with others in the place of their ids: https://docs.stripe.com/api/expanding_objects."""
        return self.expanded(self.plain(thing), expand)

    def expanded(self, body: Body, expand: Iterable[str]) -> Body:
        """Replace ids in a body by their objects."""
        for path in expand:
            self._expand(body, path)
        return body

    def _expand(self, body: Body, path: str) -> None:
        name, _, rest = path.partition(".")
        if isinstance(body[name], str):
            body[name] = self.plain(self._account.find(EXPANDABLE[body["object"]][name], body[name]))
        if rest and body[name]:
            self._expand(body[name], rest)

    def _intent(self, intent: Intent) -> Body:
        return {
            "id": intent.id,
            "object": "payment_intent",
            "amount": intent.amount,
            "amount_capturable": intent.amount_capturable,
            "amount_received": intent.amount_received,
            "canceled_at": intent.canceled_at,
            "cancellation_reason": intent.cancellation_reason,
            "capture_method": intent.capture_method,
            "client_secret": intent.client_secret,
            "confirmation_method": "automatic",
            "created": intent.created,
            "currency": intent.currency,
            "description": intent.description,
            "last_payment_error": intent.last_payment_error,
            "latest_charge": intent.latest_charge,
            "livemode": False,
            "metadata": dict(intent.metadata),
            "next_action": self._next_action(intent),
            "payment_method": intent.payment_method,
            "status": intent.status,
        }

    def _next_action(self, intent: Intent) -> Body | None:
        """Return where the buyer authenticates: a page of the double (real Stripe: of the bank)."""
        if intent.status != "requires_action":
            return None
        url = f"{self._base_url()}/double/authenticate/{intent.id}?client_secret={intent.client_secret}"
        return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": intent.return_url}}

    def _charge(self, charge: Charge) -> Body:
        refunded = refunds.amount_refunded(self._account, charge.id)
        return {
            "id": charge.id,
            "object": "charge",
            "amount": charge.amount,
            "amount_captured": charge.amount_captured,
            "amount_refunded": refunded,
            "balance_transaction": charge.transaction,
            "captured": charge.captured,
            "created": charge.created,
            "currency": charge.currency,
            "disputed": charge.dispute is not None,
            "failure_code": charge.failure[0] if charge.failure else None,
            "livemode": False,
            "metadata": dict(charge.metadata),
            "paid": charge.status == "succeeded",
            "payment_intent": charge.intent,
            "payment_method": charge.method,
            "payment_method_details": _details(charge),
            "refunded": charge.captured and refunded == charge.amount_captured,
            "status": charge.status,
        }

    def _dispute(self, dispute: Dispute) -> Body:
        return {
            "id": dispute.id,
            "object": "dispute",
            "amount": dispute.amount,
            "balance_transactions": [_transaction(self._account.transactions[each]) for each in dispute.transactions],
            "charge": dispute.charge,
            "created": dispute.created,
            "currency": dispute.currency,
            "is_charge_refundable": dispute.status in INQUIRY,
            "livemode": False,
            "metadata": {},
            "payment_intent": dispute.intent,
            "reason": dispute.reason,
            "status": dispute.status,
        }


def _details(charge: Charge) -> Body:
    method = methods.find(charge.method)
    if not method.is_card:
        return {"type": "us_bank_account", "us_bank_account": {}}
    return {"type": "card", "card": {"brand": method.brand, "capture_before": charge.capture_before}}


def _refund(refund: Refund) -> Body:
    body: dict[str, Any] = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.transaction,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "metadata": dict(refund.metadata),
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "status": refund.status,
    }
    optional = {
        "failure_balance_transaction": refund.failure_transaction,
        "failure_reason": refund.failure_reason,
        "pending_reason": refund.pending_reason,
    }
    return body | {name: value for name, value in optional.items() if value}


def _transaction(transaction: Transaction) -> Body:
    return {
        "id": transaction.id,
        "object": "balance_transaction",
        "amount": transaction.amount,
        "created": transaction.created,
        "currency": transaction.currency,
        "fee": transaction.fee,
        "net": transaction.net,
        "source": transaction.source,
        "type": transaction.kind,
    }
