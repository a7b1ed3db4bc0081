"""Mails to send: their templates, and the age at which each becomes useless."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

HOUR_S = 60 * 60
DAY_S = 24 * HOUR_S


class Template(StrEnum):
    """The template of a mail; the values are those of the database."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a template
    ORDER_PLACED = "order_placed"
    ORDER_CANCELLED = "order_cancelled"


TOKEN_LIFETIMES_S = {Template.VERIFY_EMAIL: DAY_S, Template.RESET_PASSWORD: HOUR_S}
"""The lifetimes of tokens, for the templates that carry one."""

AGE_MAX_S = {
    Template.VERIFY_EMAIL: DAY_S,
    Template.RESET_PASSWORD: HOUR_S,
    Template.ORDER_PLACED: 3 * DAY_S,
    Template.ORDER_CANCELLED: 3 * DAY_S,
}
"""The maximum age of a mail at which the server still sends it. A reset that was requested yesterday, for example, is useless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail to send. The server looks its content up at the time of sending."""

    id: UUID
    template: Template
    address: str
    order_id: UUID | None
    account_id: UUID | None = None
    """The guest whose contact address the mail verifies."""
    created_at: float
    """Seconds since 1970, by the database's clock."""
    age_s: float


@dataclass(frozen=True, slots=True)
class Recipient:
    """The account holder to whom a mail is addressed."""

    account_id: UUID
    full_name: str
    """Empty unless the address is verified."""
    is_stranger: bool = False
    """Whether the address is the contact address of a guest, which has not proven it."""


def ascii_address(address: str) -> str:
    """Return an address with its domain in Punycode, which every mail server accepts, or unchanged if it has no ASCII form."""
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:  # it was stored when other rules applied
        return address
