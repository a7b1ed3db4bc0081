"""Amounts of money as text."""

DECIMALS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Digits after the decimal point, for currencies that do not have two (ISO 4217)."""

PAYABLE_STEPS = {**dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 10), "MGA": 100}
"""Minor units of which each payable amount is a multiple, for currencies where that is not 1: https://docs.stripe.com/currencies."""


def amount(minor: int, currency_code: str) -> str:
    """Return an amount as text for a reader, for example `1,234.50 USD`."""
    decimals = DECIMALS.get(currency_code, 2)
    whole, rest = divmod(minor, 10**decimals)
    return f"{whole:,}{f'.{rest:0{decimals}}' if decimals else ''} {currency_code}"
