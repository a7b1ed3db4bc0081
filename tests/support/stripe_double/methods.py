"""The test payment methods that the double knows, by Stripe's names: https://docs.stripe.com/testing.

Names that begin with `pm_double_` are the double's own.
"""

from dataclasses import dataclass

from support.stripe_double.refusals import Refusal

DAY_S = 86_400


@dataclass(frozen=True)
class Method:
    """How payments by a method go on."""

    brand: str = "visa"
    is_card: bool = True
    authenticates: bool = False
    """The buyer must confirm the payment with the bank: `requires_action`."""
    decline: tuple[str, str | None] | None = None
    """The code and the issuer's code of a payment that is declined."""
    dispute: str | None = None
    """The status of the dispute that follows a payment."""
    refund: str = "succeeded"
    """The first status of a refund."""
    refund_fails: str | None = None
    """The reason for which a refund fails later."""

    def authorised_s(self, *, off_session: bool) -> int:
        """Return how long an authorisation lasts.

        7 days; 4 days and 18 hours by Visa if the merchant initiates it: https://docs.stripe.com/payments/capture-later.
        """
        return 4 * DAY_S + 18 * 3600 if off_session and self.brand == "visa" else 7 * DAY_S


METHODS = {
    "pm_card_visa": Method(),
    "pm_card_mastercard": Method("mastercard"),
    "pm_card_authenticationRequired": Method(authenticates=True),
    "pm_card_threeDSecure2Required": Method(authenticates=True),
    "pm_card_threeDSecureRequiredChargeDeclined": Method(authenticates=True, decline=("card_declined", "generic_decline")),
    "pm_card_chargeDeclined": Method(decline=("card_declined", "generic_decline")),
    "pm_card_visa_chargeDeclined": Method(decline=("card_declined", "generic_decline")),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Method(decline=("card_declined", "insufficient_funds")),
    "pm_card_chargeDeclinedExpiredCard": Method(decline=("expired_card", None)),
    "pm_card_createDispute": Method(dispute="needs_response"),
    "pm_card_createDisputeInquiry": Method(dispute="warning_needs_response"),
    "pm_card_pendingRefund": Method(refund="pending"),
    "pm_card_refundFail": Method(refund_fails="expired_or_canceled_card"),
    # Bank debits: https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment (section "Test your integration").
    "pm_usBankAccount_success": Method("", is_card=False, refund="pending"),
    "pm_usBankAccount_insufficientFunds": Method("", is_card=False, decline=("payment_method_provider_decline", "insufficient_funds")),
    "pm_double_refundRequiresAction": Method("", is_card=False, refund="requires_action"),
}


def find(name: str) -> Method:
    """Return a payment method."""
    if name not in METHODS:
        raise Refusal(f"No such PaymentMethod: '{name}'", code="resource_missing", param="payment_method")
    return METHODS[name]
