"""E-mail addresses: the one form in which they are stored and compared."""

import unicodedata

import email_validator
from email_validator import EmailNotValidError, validate_email

RESERVED_DOMAINS = tuple(email_validator.SPECIAL_USE_DOMAIN_NAMES)
"""Domains that no mail server has: RFC 6761 and its registry."""
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()  # ours to refuse, so that a setting can allow them


ADDRESS_MAX = 254
"""Characters of an address: RFC 5321 section 4.5.3.1.3, as corrected by erratum 1690 of RFC 3696."""


class AddressError(Exception):
    """The text is no e-mail address."""


def canonical(text: str) -> str:
    """Return an address in the form that is stored; raises AddressError.

    The address is in NFC and in lower case, and its domain in Unicode (RFC 5891), whether it was written in Unicode, in Punycode or with
    full-width characters (UTS 46). The form of this form is itself. Whether the domain exists is not checked.
    """
    try:
        address = validate_email(text.strip(), check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise AddressError from error
    return _folded(address)


def sought(text: str) -> str:
    """Return the stored form of an address, or, of text that is none, a form under which no account is stored."""
    try:
        return canonical(text)
    except AddressError:
        return _folded(text.strip())


def is_reserved(address: str) -> bool:
    """Tell whether an address in its canonical form is in a reserved domain, such as `.test`."""
    domain = address.rpartition("@")[2]
    return any(domain == reserved or domain.endswith(f".{reserved}") for reserved in RESERVED_DOMAINS)


def _folded(address: str) -> str:
    return unicodedata.normalize("NFC", address.lower())
