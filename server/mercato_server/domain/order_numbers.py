"""Numbers of orders for people: to read aloud, to type, and to tell a typing error at once."""

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, without the letters I, L, O and U, which look or sound like others."""
LENGTH = 10
_DIGITS = bytes(ALPHABET[byte % 32].encode()[0] for byte in range(256))
_VALUES = bytes.maketrans(ALPHABET.encode(), bytes(range(32)))
_DOUBLED = bytes(2 * value // 32 + 2 * value % 32 for value in range(32)).ljust(256)
_READ_AS = str.maketrans("ILO", "110", "- ")


def new_numbers(count: int) -> list[str]:
    """Return random numbers: ten characters and their check character."""
    digits = secrets.token_bytes(LENGTH * count).translate(_DIGITS).decode()
    return [number + check_character(number) for number in (digits[start : start + LENGTH] for start in range(0, len(digits), LENGTH))]


def check_character(digits: str) -> str:
    """Return the check character of a number.

    It is that of the Luhn algorithm (ISO/IEC 7812-1, annex B) for a base of 32: it tells each wrong character, and each swap of neighbours
    but that of 0 and Z.
    """
    values = digits.encode().translate(_VALUES)
    return ALPHABET[-(sum(values[-2::-2]) + sum(values[::-2].translate(_DOUBLED))) % 32]


def parsed(text: str) -> str | None:
    """Return the number that a person has typed, with I and L for 1, O for 0, in any case, with hyphens or spaces; None if it is none."""
    number = _read(text)
    return number if has_form(text) and check_character(number[:LENGTH]) == number[LENGTH] else None


def has_form(text: str) -> bool:
    """Return whether a text has the characters of a number, though its check character may tell a typing error."""
    number = _read(text)
    return len(number) == LENGTH + 1 and set(number) <= set(ALPHABET)


def _read(text: str) -> str:
    return text.upper().translate(_READ_AS)
