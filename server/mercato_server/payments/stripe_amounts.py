"""Amounts of ISO 4217 as Stripe counts them: https://docs.stripe.com/currencies. Minimums are Stripe's to refuse."""

from mercato_server.domain.money import DECIMALS

HUNDREDFOLD = frozenset(("ISK", "UGX"))
"""Without decimals in ISO 4217; Stripe's amounts have two, which must be 00."""
WHOLE = frozenset(("MGA",))
"""With two decimals in ISO 4217; Stripe's amounts have none."""
AMOUNT_MAX = 99_999_999
"""Eight digits (stripe-python 16.1.0, `PaymentIntent.amount`)."""


class UnsendableAmountError(Exception):
    """Stripe cannot express an amount; the message says why, without the amount."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """Return an amount as Stripe counts it; raises UnsendableAmountError."""
    decimals = DECIMALS.get(currency, 2)
    if amount_minor < 1:
        raise UnsendableAmountError("the amount must be above 0")
    if decimals > 3:
        raise UnsendableAmountError(f"Stripe has no amounts in {currency}")
    if currency in WHOLE and amount_minor % 100:
        raise UnsendableAmountError(f"an amount in {currency} must be a whole number")
    if decimals == 3 and amount_minor % 10:
        raise UnsendableAmountError(f"the last of the three decimals of an amount in {currency} must be 0")
    amount = amount_minor * 100 if currency in HUNDREDFOLD else amount_minor // 100 if currency in WHOLE else amount_minor
    if amount > AMOUNT_MAX:
        raise UnsendableAmountError("the amount has more than eight digits")
    return amount


def from_stripe(amount: int, currency: str) -> int | None:
    """Return an amount in minor units of ISO 4217; None if it has a fraction of one."""
    if currency in HUNDREDFOLD:
        return None if amount % 100 else amount // 100
    return amount * 100 if currency in WHOLE else amount


def unpayable(amount_minor: int, currency: str) -> str | None:
    """Return why Stripe cannot charge an amount, or None."""
    try:
        to_stripe(amount_minor, currency)
    except UnsendableAmountError as error:
        return str(error)
    return None
