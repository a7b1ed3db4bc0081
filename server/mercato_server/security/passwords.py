"""Rules for new passwords, and bcrypt with a pepper."""

import base64
import hashlib
import hmac
import itertools
import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import bcrypt

from mercato_server.security.common_passwords import common_passwords

PASSWORD_MIN_CHARACTERS = 8
"""NIST SP 800-63B section 5.1.1.2."""
PASSWORD_MAX_BYTES = 1_024

_CHARACTERS_MIN = 4
_PUNCTUATION = string.punctuation + string.whitespace
_APPENDED = string.digits + _PUNCTUATION


def prepared(password: str) -> str:
    """Return a password in the form that is hashed: RFC 8265 section 4.2.2, with other spaces as U+0020, in NFC."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


def weakness(password: str, *own: str) -> str | None:
    """Return why a new password is refused, or None; `own` are the address and the name of its account.

    Passwords are compared with the common ones and with the account's fields in any case, and without what is commonly appended: digits
    and punctuation. There is no score: NIST SP 800-63B section 5.1.1.2.
    """
    password = prepared(password)
    if len(password) < PASSWORD_MIN_CHARACTERS:
        return f"must have at least {PASSWORD_MIN_CHARACTERS} characters"
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        return f"must have at most {PASSWORD_MAX_BYTES} bytes"
    folded = password.casefold()
    if len(set(folded)) < _CHARACTERS_MIN:
        return f"must have at least {_CHARACTERS_MIN} different characters"
    shorter = (folded.strip(_PUNCTUATION), folded.rstrip(_APPENDED), folded.strip(_APPENDED))
    forms = {folded, *(form for form in shorter if len(form) >= _CHARACTERS_MIN)}
    if any(form in common_passwords() or _is_sequence(form) for form in forms):
        return "is one of the commonest passwords; choose another"
    if {*map(_letters, forms)} & {*map(_letters, _fields(own))} - {""}:
        return "must not be your own name or address"
    return None


def _is_sequence(text: str) -> bool:
    """Tell whether each character follows the one before it, upwards or downwards, 0 after 9, or the text repeats its beginning."""
    round_of = 10 if text.isdecimal() else sys.maxunicode + 1
    steps = {(ord(after) - ord(before)) % round_of for before, after in itertools.pairwise(text)}
    return steps in ({1}, {round_of - 1}) or text in (text + text)[1:-1]


def _fields(own: Sequence[str]) -> Iterator[str]:
    for field in own:
        folded = prepared(field).casefold()
        local, _, domain = folded.partition("@")
        yield from (folded, local, domain, *folded.split())
        yield domain.partition(".")[0]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).rstrip(string.digits)


def hash_password(password: str, *, pepper: str, cost: int) -> str:
    """Return a bcrypt hash of the password; takes about 0.25 s of a core at cost 12."""
    return bcrypt.hashpw(digest(password, pepper).encode(), bcrypt.gensalt(cost)).decode()


def unmatched_hash(cost: int) -> str:
    """Return a well-formed hash that no password matches. Verifying against it takes as long as against any other."""
    return bcrypt.gensalt(cost).decode() + "." * 31


def digest(password: str, pepper: str) -> str:
    """Return the input of bcrypt for a password. bcrypt reads at most 72 bytes and stops at NUL; this is shorter and has no NUL."""
    return _digest(prepared(password), pepper)


def digests(password: str, pepper: str) -> tuple[str, ...]:
    """Return the digests of which a stored hash may be: that of the prepared password, and that of the password as it was typed.

    The second one is in hashes from before passwords were prepared.
    """
    return tuple({_digest(form, pepper): None for form in (prepared(password), password)})


def _digest(form: str, pepper: str) -> str:
    return base64.b64encode(hmac.digest(pepper.encode(), form.encode(), hashlib.sha256)).decode()
