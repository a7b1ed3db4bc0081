"""The money of one Stripe account, without HTTP: its objects, its balance and its payments."""

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from support.stripe_double import currencies, methods
from support.stripe_double.objects import Charge, Dispute, Intent, Refund, Thing, Transaction
from support.stripe_double.refusals import Declined, Refusal, missing, unexpected_state
from support.stripe_double.states import move

Emit = Callable[[str, Thing], None]

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
OPENING_BALANCE = 1_000_000
"""Per currency, so that Stripe's fees do not make the first refunds wait."""


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def fee(amount: int) -> int:
    """Return what Stripe keeps of a payment; by the double, so that `net` differs from `amount`."""
    return amount * 29 // 1000


class Account:
    """All objects by their ids, in the order of their creation.

    Every method either succeeds, or raises a Refusal and changes nothing. Only a decline is both: the attempt stays as a failed charge.
    """

    def __init__(self, now: Callable[[], int], emit: Emit) -> None:
        self.now, self.emit = now, emit
        self.intents: dict[str, Intent] = {}
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Dispute] = {}
        self.transactions: dict[str, Transaction] = {}
        self._booked = Counter[str]()
        self._unbooked: list[Charge] = []
        self._expected = Counter[str]()
        """The net of the charges that are not booked."""

    def find(self, kind: str, id_: str, param: str = "id") -> Any:
        """Return the object of an id."""
        kinds: dict[str, dict[str, Any]] = {
            "payment_intent": self.intents,
            "charge": self.charges,
            "refund": self.refunds,
            "dispute": self.disputes,
            "balance_transaction": self.transactions,
        }
        objects = kinds[kind]
        if id_ not in objects:
            raise missing(kind, id_, param)
        return objects[id_]

    # The balance.

    def book(self, kind: str, source: str | None, amount: int, currency: str, kept: int = 0) -> Transaction:
        """Change the balance."""
        transaction = Transaction(_id("txn"), kind, source, amount, kept, currency, self.now())
        self.transactions[transaction.id] = transaction
        self._booked[currency] += transaction.net
        return transaction

    def balance(self, currency: str) -> int:
        """Return the balance, with the captured money that has no balance transaction yet."""
        return OPENING_BALANCE + self._booked[currency] + self._expected[currency]

    def count_again(self) -> None:
        """Count the balance, and find the charges that are not booked, by the objects, which were read from a file."""
        for transaction in self.transactions.values():
            self._booked[transaction.currency] += transaction.net
        self._unbooked = [each for each in self.charges.values() if each.captured and each.transaction is None]
        for charge in self._unbooked:
            self._expected[charge.currency] += charge.amount_captured - fee(charge.amount_captured)

    # Payments.

    def create(self, amount: int, currency: str, capture_method: str, **fields: Any) -> Intent:
        """Create a payment intent; the parameters are valid."""
        id_ = _id("pi")
        intent = Intent(id_, f"{id_}_secret_{secrets.token_hex(12)}", amount, currency, self.now(), capture_method, **fields)
        if intent.payment_method:
            move(intent, "requires_confirmation")
        self.intents[intent.id] = intent
        self.emit("payment_intent.created", intent)
        return intent

    def update(self, intent: Intent, changes: dict[str, Any]) -> None:
        """Change fields. By the double, an intent with money keeps all but its metadata and description."""
        if intent.status == "canceled" or (intent.status not in CONFIRMABLE and changes.keys() - {"metadata", "description"}):
            raise unexpected_state(
                f"This PaymentIntent's parameters could not be updated because it has a status of {intent.status}.", intent.id
            )
        currencies.check_charge(changes.get("amount", intent.amount), changes.get("currency", intent.currency))
        for name, value in changes.items():
            setattr(intent, name, value)
        if "payment_method" in changes and intent.status != "requires_confirmation":
            move(intent, "requires_confirmation")
        intent.last_payment_error = None  # "cleared if the PaymentIntent is later updated for any reason" (its API reference)

    def confirm(self, intent: Intent, payment_method: str | None = None) -> Charge | None:
        """Attempt the payment; None if the buyer must authenticate first.

        Raises:
            Declined: the issuer refused; another attempt is possible.
        """
        name = payment_method or intent.payment_method
        if intent.status not in CONFIRMABLE:
            raise unexpected_state(f"You cannot confirm this PaymentIntent because it has a status of {intent.status}.", intent.id)
        if name is None:
            raise unexpected_state("You cannot confirm this PaymentIntent because it's missing a payment method.", intent.id)
        method = methods.find(name)
        if intent.capture_method == "manual" and not method.is_card:
            raise Refusal(f"The payment method {name} cannot be captured manually.", param="capture_method", intent=intent.id)
        intent.payment_method, intent.last_payment_error = name, None
        if method.authenticates:
            move(intent, "requires_action")
            self.emit("payment_intent.requires_action", intent)
            return None
        charge = self._attempt(intent, method)
        if charge.failure:
            raise Declined(*charge.failure, intent=intent.id, charge=charge.id)
        return charge

    def authenticate(self, intent: Intent, *, succeeds: bool = True) -> None:
        """Let the buyer finish, or fail, the authentication that `requires_action` waits for."""
        if intent.status != "requires_action" or intent.payment_method is None:
            raise unexpected_state(f"This PaymentIntent has a status of {intent.status}.", intent.id)
        if succeeds:
            self._attempt(intent, methods.find(intent.payment_method))
        else:
            self._fail(intent, {"code": "payment_intent_authentication_failure", "type": "invalid_request_error"})

    def _attempt(self, intent: Intent, method: methods.Method) -> Charge:
        charge = Charge(
            _id("ch"), intent.id, intent.amount, intent.currency, self.now(), intent.payment_method or "", dict(intent.metadata)
        )
        self.charges[charge.id] = charge
        intent.latest_charge = charge.id
        if not method.is_card:  # an asynchronous method: "the PaymentIntent moves to processing" (its lifecycle)
            charge.status = "pending"
            move(intent, "processing")
            self.emit("charge.pending", charge)
            self.emit("payment_intent.processing", intent)
        elif method.decline:
            self._decline(intent, charge, method.decline)
        elif intent.capture_method == "manual":
            charge.capture_before = self.now() + method.authorised_s(off_session=intent.off_session)
            intent.amount_capturable = intent.amount
            move(intent, "requires_capture")
            self.emit("charge.succeeded", charge)
            self.emit("payment_intent.amount_capturable_updated", intent)
        else:
            self._succeed(intent, charge)
        return charge

    def _succeed(self, intent: Intent, charge: Charge) -> None:
        charge.status = "succeeded"
        self._take(intent, charge, intent.amount)
        self.emit("charge.succeeded", charge)
        self.emit("payment_intent.succeeded", intent)

    def _take(self, intent: Intent, charge: Charge, amount: int) -> None:
        """Capture; with `automatic_async` the balance transaction follows in `settle`.

        https://docs.stripe.com/payments/payment-intents/asynchronous-capture.
        """
        charge.captured, charge.amount_captured = True, amount
        intent.amount_received, intent.amount_capturable = amount, 0
        move(intent, "succeeded")
        if intent.capture_method == "automatic_async":
            self._unbooked.append(charge)
            self._expected[charge.currency] += amount - fee(amount)
        else:
            self._book_charge(charge)

    def _book_charge(self, charge: Charge) -> None:
        """Write the one balance transaction of a charge, over the captured amount (changelog 2025-03-31.basil)."""
        charge.transaction = self.book("charge", charge.id, charge.amount_captured, charge.currency, fee(charge.amount_captured)).id

    def _decline(self, intent: Intent, charge: Charge, failure: tuple[str, str | None]) -> None:
        charge.status, charge.failure = "failed", failure
        self.emit("charge.failed", charge)
        self._fail(intent, {"code": failure[0], "decline_code": failure[1], "charge": charge.id, "type": "card_error"})

    def _fail(self, intent: Intent, error: dict[str, Any]) -> None:
        """Let an attempt fail: the intent becomes `requires_payment_method` (stripe-python 16.1.0, `confirm`)."""
        intent.last_payment_error = {**error, "message": "The payment failed."}
        intent.payment_method = None
        move(intent, "requires_payment_method")
        self.emit("payment_intent.payment_failed", intent)

    def capture(self, intent: Intent, amount: int | None = None) -> None:
        """Capture an authorisation, once; the rest of it is released without any refund (changelog 2025-03-31.basil)."""
        if intent.status != "requires_capture" or intent.latest_charge is None:
            raise unexpected_state(
                f"This PaymentIntent could not be captured because it has a status of {intent.status}. "
                "Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
                intent.id,
            )
        taken = intent.amount_capturable if amount is None else amount
        currencies.check_sendable(taken, intent.currency, "amount_to_capture")
        if taken > intent.amount_capturable:
            raise Refusal("The requested capture amount is greater than the amount you can capture.", param="amount_to_capture")
        charge = self.charges[intent.latest_charge]
        self._take(intent, charge, taken)
        self.emit("charge.captured", charge)
        self.emit("payment_intent.succeeded", intent)

    def cancel(self, intent: Intent, reason: str | None = None) -> None:
        """Cancel an intent that has no captured money; an authorisation is released without any refund (changelog 2025-03-31.basil)."""
        if intent.status not in CANCELABLE:
            raise unexpected_state(
                f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent with one of the "
                f"following statuses may be canceled: {', '.join(CANCELABLE)}.",
                intent.id,
            )
        self._cancel(intent, reason)

    def _cancel(self, intent: Intent, reason: str | None) -> None:
        intent.amount_capturable = 0
        intent.canceled_at, intent.cancellation_reason = self.now(), reason
        move(intent, "canceled")
        self.emit("payment_intent.canceled", intent)

    def lapse(self, intent: Intent) -> None:
        """Let an authorisation lapse: `expired`, with charge.expired and payment_intent.canceled (changelog 2025-03-31.basil)."""
        if intent.status == "requires_capture" and intent.latest_charge:
            self.emit("charge.expired", self.charges[intent.latest_charge])
            self._cancel(intent, "expired")

    def settle_payments(self) -> None:
        """Do what Stripe does later: end bank debits, let authorisations lapse that are too old, and write balance transactions."""
        for intent in list(self.intents.values()):
            charge = self.charges.get(intent.latest_charge or "")
            if charge is None:
                continue
            if intent.status == "processing":
                method = methods.find(charge.method)
                if method.decline:
                    self._decline(intent, charge, method.decline)
                else:
                    self._succeed(intent, charge)
            elif intent.status == "requires_capture" and (charge.capture_before or 0) <= self.now():
                self.lapse(intent)
        for charge in self._unbooked:
            self._book_charge(charge)
            self.emit("charge.updated", charge)
        self._unbooked.clear()
        self._expected.clear()
