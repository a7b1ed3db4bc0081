"""Mails to send: what each kind is for, and how long it is worth sending."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

HOUR_S = 60 * 60
DAY_S = 24 * HOUR_S


class Template(StrEnum):
    """What a mail says; the values are those of the database."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a template
    ORDER_PLACED = "order_placed"
    ORDER_CANCELLED = "order_cancelled"


TOKEN_LIFETIMES_S = {Template.VERIFY_EMAIL: DAY_S, Template.RESET_PASSWORD: HOUR_S}
"""Of the templates that carry a token: how long it can be used."""

WORTH_S = {
    Template.VERIFY_EMAIL: DAY_S,
    Template.RESET_PASSWORD: HOUR_S,
    Template.ORDER_PLACED: 3 * DAY_S,
    Template.ORDER_CANCELLED: 3 * DAY_S,
}
"""How old a mail may be and still be sent: nobody waits any more for a reset that was asked for yesterday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail to send; what it says is looked up when it is sent."""

    id: UUID
    template: Template
    address: str
    order_id: UUID | None
    created_at: float
    """Seconds since 1970, by the database's clock."""
    age_s: float


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody with an account, as a mail addresses them."""

    account_id: UUID
    full_name: str
    """Empty unless the address is verified."""


def ascii_address(address: str) -> str:
    """Return an address as every server knows it, with its domain in Punycode, if there is such a form."""
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:  # stored by another version of the rules
        return address
