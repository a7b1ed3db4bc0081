"""Numbers of orders for people: to read aloud, to type, and to tell a typing error at once."""

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, without the letters I, L, O and U, which look or sound like others."""
LENGTH = 10
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_DOUBLED = [2 * value // 32 + 2 * value % 32 for value in range(32)]
_READ_AS = str.maketrans("ILO", "110", "- ")


def new_number() -> str:
    """Return a random number: ten characters and their check character."""
    bits = secrets.randbits(5 * LENGTH)
    digits = "".join([ALPHABET[bits >> shift & 31] for shift in range(0, 5 * LENGTH, 5)])
    return digits + check_character(digits)


def check_character(digits: str) -> str:
    """Return the check character of a number.

    It is that of the Luhn algorithm (ISO/IEC 7812-1, annex B) for a base of 32: it tells each wrong character, and each swap of neighbours
    but that of 0 and Z.
    """
    values = [_VALUES[character] for character in digits]
    return ALPHABET[-(sum(values[-2::-2]) + sum([_DOUBLED[value] for value in values[::-2]])) % 32]


def parsed(text: str) -> str | None:
    """Return the number that a person has typed, with I and L for 1, O for 0, in any case, with hyphens or spaces; None if it is none."""
    number = text.upper().translate(_READ_AS)
    if len(number) != LENGTH + 1 or not set(number) <= set(ALPHABET):
        return None
    return number if check_character(number[:LENGTH]) == number[LENGTH] else None
