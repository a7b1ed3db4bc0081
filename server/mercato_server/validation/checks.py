"""Validation of requests: every violation of a request is reported at once."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from mercato.v1.money_pb2 import Money
from mercato_server.domain.catalog import PRICE_MAX_MINOR
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.messages import Value

_NO_ID = UUID(int=0)
_CANONICAL_LENGTH = 36


class Checks:
    """Collects violations; leaving the block raises InvalidRequest if there are any.

    with Checks() as check:
        product_id = check.uuid("product_id", request.product_id)

    A check that finds a violation returns a placeholder. It is never used, because the block raises.
    """

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._found:
            raise InvalidRequest(self._found)

    def fail(self, field: str, template: str, **values: Value) -> None:
        """Add a violation; the values are those in the template."""
        self._found.append(Violation(field, template, values))

    def uuid(self, field: str, value: str) -> UUID:
        """Parse a UUID in its canonical form, 8-4-4-4-12 hexadecimal digits."""
        try:
            if len(value) == _CANONICAL_LENGTH:
                return UUID(value)
        except ValueError:
            pass
        self.fail(field, "must be a UUID such as 0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
        return _NO_ID

    def optional_uuid(self, field: str, value: str) -> UUID | None:
        """Parse a UUID; None if the field is empty."""
        return self.uuid(field, value) if value else None

    def text(self, field: str, value: str, *, longest: int, shortest: int = 0) -> str:
        """Return the text without surrounding white space; it must have `shortest` to `longest` characters."""
        stripped = value.strip()
        if "\0" in value:
            self.fail(field, "must not contain NUL")
        if len(stripped) < shortest:
            self.fail(field, "must not be empty" if shortest == 1 else "must have at least {shortest} characters", shortest=shortest)
        if len(stripped) > longest:
            self.fail(field, "must have at most {longest} characters", longest=longest)
        return stripped

    def between(self, field: str, value: int, low: int, high: int) -> int:
        """Return the number; it must be from `low` to `high`."""
        if not low <= value <= high:
            self.fail(field, "must be from {low} to {high}", low=low, high=high)
        return value

    def money(self, field: str, value: Money, currency: str, *, present: bool = True) -> int:
        """Return an amount in minor units; its currency must be the shop's."""
        if not present:
            self.fail(field, "is required")
        if value.currency_code not in ("", currency):
            self.fail(f"{field}.currency_code", "must be {currency_code}, the currency of this shop", currency_code=currency)
        return self.between(f"{field}.minor_units", value.minor_units, 0, PRICE_MAX_MINOR)

    def email(self, field: str, value: str) -> str:
        """Return an e-mail address in lower case. Whether its domain exists is not checked."""
        try:
            return validate_email(value.strip(), check_deliverability=False, strict=True).normalized.lower()
        except EmailNotValidError:
            self.fail(field, "must be an e-mail address such as jo@example.com")
            return ""

    def http_urls(self, field: str, values: Sequence[str], *, most: int, longest: int) -> tuple[str, ...]:
        """Return http or https URLs; at most `most`, each of at most `longest` characters."""
        if len(values) > most:
            self.fail(field, "must have at most {most} entries", most=most)
        for index, value in enumerate(values[:most]):
            if len(value) > longest:
                self.fail(f"{field}[{index}]", "must have at most {longest} characters", longest=longest)
            elif not _is_http_url(value):
                self.fail(f"{field}[{index}]", "must be an http or https URL")
        return tuple(values)


def _is_http_url(value: str) -> bool:
    if not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
