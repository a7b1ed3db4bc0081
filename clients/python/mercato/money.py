"""Amounts of money as decimals, exactly: floats are refused.

>>> from decimal import Decimal
>>> to_decimal(money("19.99", "USD"))
Decimal('19.99')
"""

import re
from decimal import Decimal

from mercato.v1.money_pb2 import Money

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE
CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP
LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
YER ZAR ZMW ZWG
"""
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
DECIMALS = {code: digits for digits, codes in ((0, _NONE), (2, _TWO), (3, _THREE), (4, _FOUR)) for code in codes.split()}
"""Digits after the decimal point of each currency: ISO 4217, list one, and BGN, which ended in 2026. Codes without a minor unit, such as
gold, are not in it."""

_AMOUNT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_MINOR_MAX = 2**63 - 1
_DIGITS_MAX = 60
"""Digits of a number that is worth converting: an amount has 19."""


def to_decimal(amount: Money) -> Decimal:
    """Return an amount in the currency's unit, with all its decimals: 1,500 cents are `Decimal('15.00')`.

    Raises ValueError for an amount without `minor_units` or with a currency that is not of ISO 4217.
    """
    if not amount.HasField("minor_units"):
        raise ValueError("the amount has no minor_units")
    minor = amount.minor_units
    # Made of its digits, so that no precision of a decimal context can round it.
    return Decimal((int(minor < 0), tuple(map(int, str(abs(minor)))), -decimals(amount.currency_code)))


def money(amount: Decimal | int | str, currency: str) -> Money:
    """Return an amount of a currency's unit as a message: `money("19.99", "USD")` is 1,999 minor units.

    Raises TypeError for a float, which cannot hold most amounts, and ValueError for an amount with more decimals than the currency has.
    """
    exact, digits = _exact(amount), decimals(currency)
    if not exact.is_finite() or max(len(exact.as_tuple().digits), abs(exact.adjusted())) > _DIGITS_MAX:
        raise ValueError(f"{amount!r} is no amount of money")
    sign, units, exponent = exact.as_tuple()
    whole, rest = _shifted(int("".join(map(str, units))), int(exponent) + digits)
    if rest:
        raise ValueError(f"{amount} has more than the {digits} decimals of {currency}")
    if whole > _MINOR_MAX:
        raise ValueError(f"{amount} {currency} is more than a message can hold")
    return Money(currency_code=currency, minor_units=-whole if sign else whole)


def decimals(currency: str) -> int:
    """Return the digits after the decimal point of a currency. Raises ValueError for a code that is not of ISO 4217; it guesses none."""
    try:
        return DECIMALS[currency]
    except KeyError:
        raise ValueError(f"{currency!r} is no currency of ISO 4217") from None


def _exact(amount: object) -> Decimal:
    """Return the same number as a decimal."""
    if isinstance(amount, str):
        if not _AMOUNT.fullmatch(amount):
            raise ValueError(f"{amount!r} is no amount of money; write it like 19.99")
        return Decimal(amount)
    if isinstance(amount, Decimal):
        return amount
    if isinstance(amount, int) and not isinstance(amount, bool):
        return Decimal(amount)
    raise TypeError(f"an amount of money is a Decimal, an int or a str, not a {type(amount).__name__}")


def _shifted(number: int, places: int) -> tuple[int, int]:
    """Return a number times a power of ten, and the rest that is no whole number."""
    return (number * 10**places, 0) if places >= 0 else divmod(number, 10**-places)
