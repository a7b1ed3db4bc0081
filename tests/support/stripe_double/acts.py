"""The acts of buyers outside of the shop, and of Stripe and banks later; by the ids of objects, as a test knows them."""

from contextlib import suppress

from support.stripe_double import disputes, refunds
from support.stripe_double.account import Account
from support.stripe_double.objects import Dispute, Intent, Refund
from support.stripe_double.refusals import Declined


class Acts:
    """The acts of everyone but the shop. All of them return when they are done, and their events are on their way."""

    def __init__(self, account: Account) -> None:
        self._account = account

    # The buyer.

    def pay(self, intent: str, method: str = "pm_card_visa") -> str:
        """Let the buyer pay in the browser; return the status that the buyer sees, which after a decline is `requires_payment_method`."""
        found = self._intent(intent)
        with suppress(Declined):
            self._account.confirm(found, method)
        return found.status

    def authenticate(self, intent: str, *, succeeds: bool = True) -> str:
        """Let the buyer confirm a payment with the bank, or fail to; return the status."""
        found = self._intent(intent)
        self._account.authenticate(found, succeeds=succeeds)
        return found.status

    # Stripe and the banks.

    def settle(self) -> None:
        """Do everything that is due: balance transactions, bank debits, lapsed authorisations, disputes and refunds by test methods."""
        self._account.settle_payments()
        disputes.settle(self._account)
        refunds.settle(self._account)

    def lapse(self, intent: str) -> None:
        """Let an authorisation lapse."""
        self._account.lapse(self._intent(intent))

    def succeed_refund(self, refund: str) -> None:
        """Let a refund that is pending, or waits for the buyer, reach the buyer."""
        refunds.succeed(self._account, self._refund(refund))

    def fail_refund(self, refund: str, reason: str = "expired_or_canceled_card") -> None:
        """Let a refund fail, also one that had succeeded."""
        refunds.fail(self._account, self._refund(refund), reason)

    def dispute(self, intent: str, status: str = "needs_response", amount: int | None = None) -> str:
        """Dispute a payment, or open an inquiry (`warning_needs_response`); return the dispute's id."""
        charge = self._account.charges[self._intent(intent).latest_charge or ""]
        return disputes.create(self._account, charge, status, amount).id

    def advance_dispute(self, dispute: str, status: str, reinstated: int | None = None) -> None:
        """Move a dispute; one that is partly won becomes `lost`, and `reinstated` is what returns."""
        found: Dispute = self._account.find("dispute", dispute)
        disputes.advance(self._account, found, status, reinstated)

    def refund(self, intent: str, amount: int | None = None) -> str:
        """Refund in the dashboard, without the shop; return the refund's id."""
        charge = self._account.charges[self._intent(intent).latest_charge or ""]
        return refunds.create(self._account, charge, amount, None, {}).id

    def pay_out(self, currency: str) -> None:
        """Pay the whole balance out, so that the next refunds find too little."""
        self._account.book("payout", None, -self._account.balance(currency), currency)

    def _intent(self, id_: str) -> Intent:
        found: Intent = self._account.find("payment_intent", id_)
        return found

    def _refund(self, id_: str) -> Refund:
        found: Refund = self._account.find("refund", id_)
        return found
