"""Which amounts Stripe takes in which currency: https://docs.stripe.com/currencies, for refunds as for payments."""

import re

from support.stripe_double.refusals import Refusal

HUNDREDS = frozenset(("isk", "ugx"))
"""Amounts have two decimals that must be 00, although the currency has none (section "Special cases")."""
TENS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
"""Amounts have three decimals, of which the last must be 0 (section "Three-decimal currencies")."""
CODE = re.compile("[a-z]{3}")
"""Section "Supported presentment currencies": lower case. A currency with no decimals (JPY, and also MGA) or with two
of them needs no rule: each whole number can be sent."""

MINIMUM = {
    **dict.fromkeys(("usd", "aud", "brl", "cad", "chf", "eur", "inr", "nzd", "sgd", "jpy"), 50),
    **dict.fromkeys(("aed", "myr", "pln", "ron"), 200),
    **dict.fromkeys(("nok", "sek"), 300),
    **dict.fromkeys(("mxn", "thb"), 1_000),
    "bgn": 100,
    "czk": 1_500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17_500,
}
"""Section "Minimum and maximum charge amounts". Stripe compares in the currency of settlement; here that is the currency of the payment."""
MAXIMUM = 99_999_999
"""Eight digits (stripe-python 16.1.0, `PaymentIntent.amount`)."""


def check_sendable(amount: int, currency: str, param: str) -> None:
    """Refuse an amount that is not positive, or has digits that the currency cannot send."""
    if amount < 1:
        raise Refusal("This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=param)
    step = 100 if currency in HUNDREDS else 10 if currency in TENS else 1
    if amount % step:
        raise Refusal(f"Amounts in {currency} must be divisible by {step}.", code="invalid_charge_amount", param=param)


def check_charge(amount: int, currency: str) -> None:
    """Refuse a currency or an amount that no payment can have."""
    if not CODE.fullmatch(currency):
        raise Refusal(f"Invalid currency: {currency}.", param="currency")
    check_sendable(amount, currency, "amount")
    if amount < MINIMUM.get(currency, 1):
        raise Refusal(f"Amount must be at least {MINIMUM[currency]} {currency}.", code="amount_too_small", param="amount")
    if amount > MAXIMUM:
        raise Refusal(f"Amount must be no more than {MAXIMUM} {currency}.", code="amount_too_large", param="amount")
