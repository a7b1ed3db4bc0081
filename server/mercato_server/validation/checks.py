"""Validation of requests: every violation of a request is reported at once."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mercato.v1.money_pb2 import Money
from mercato_server.domain import addresses
from mercato_server.domain.catalog import PRICE_MAX_MINOR
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.messages import Value
from mercato_server.domain.moments import EPOCH

Entry = TypeVar("Entry")

_NANOS = 10**9
_NO_ID = UUID(int=0)
_BREAKS = ("Cc", "Zl", "Zp")
_INVISIBLE = (*_BREAKS, "Cf", "Zs", "Mn", "Me")
_PART_OF_CODES = ("Zs", "Mn", "Me")
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Fillers of Hangul (Unicode: Default_Ignorable_Code_Point) and the empty pattern of Braille: by their category they would show."""


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

    def add(self, found: Iterable[Violation]) -> None:
        """Add violations that were found elsewhere."""
        self._found += found

    def uuid(self, field: str, value: str) -> UUID:
        """Parse a UUID in its canonical form, 8-4-4-4-12 hexadecimal digits in either case (RFC 9562 section 4)."""
        try:
            found = UUID(value)
            if str(found) == value.lower():  # UUID() also takes braces, prefixes, and hyphens anywhere
                return found
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

    def line(self, field: str, value: str, *, longest: int, shortest: int = 0) -> str:
        """Return text of one line, as `text` does; it must show a character, and have no control characters."""
        stripped = self.text(field, value, longest=longest, shortest=shortest)
        if "\0" in value:
            return stripped  # reported already
        if any(unicodedata.category(character) in _BREAKS for character in stripped):
            self.fail(field, "must be one line without control characters")
        elif stripped and all(map(_is_invisible, stripped)):
            self.fail(field, "must have a visible character")
        return stripped

    def code(self, field: str, value: str, *, longest: int, shortest: int = 0) -> str:
        """Return a code, such as an SKU: one line without invisible characters, so that two codes never look alike for that reason."""
        stripped = self.line(field, value, longest=longest, shortest=shortest)
        if any(_is_invisible(character) and unicodedata.category(character) not in _PART_OF_CODES for character in stripped):
            self.fail(field, "must not have invisible characters")
        return stripped

    def between(self, field: str, value: int, low: int, high: int) -> int:
        """Return the number; it must be from `low` to `high`."""
        if not low <= value <= high:
            self.fail(field, "must be from {low} to {high}", low=low, high=high)
        return value

    def present(self, message: Message, name: str, field: str) -> bool:
        """Return whether a message has a field; it must."""
        if not message.HasField(name):
            self.fail(field, "is required")
            return False
        return True

    def money(self, field: str, value: Money, currency: str) -> int:
        """Return an amount in minor units, which must be there; its currency must be the shop's."""
        if value.currency_code not in ("", currency):
            self.fail(f"{field}.currency_code", "must be {currency_code}, the currency of this shop", currency_code=currency)
        self.present(value, "minor_units", f"{field}.minor_units")
        return self.between(f"{field}.minor_units", value.minor_units, 0, PRICE_MAX_MINOR)

    def time(self, field: str, value: Timestamp, earliest: datetime, latest: datetime) -> datetime:
        """Return a moment from `earliest` to `latest`; what is finer than a microsecond is cut off."""
        if (earliest.timestamp(), 0) <= (value.seconds, value.nanos) <= (latest.timestamp(), 0) and (found := moment(value)):
            return found
        self.fail(field, "must be a time from {earliest} to {latest}", earliest=earliest.isoformat(), latest=latest.isoformat())
        return earliest

    def any_time(self, field: str, value: Timestamp) -> datetime | None:
        """Return a moment of the years 1 to 9999; what is finer than a microsecond is cut off."""
        found = moment(value)
        if found is None:
            self.fail(field, "must be a time in the years 1 to 9999")
        return found

    def email(self, field: str, value: str) -> str:
        """Return an e-mail address in the form that is stored."""
        try:
            return addresses.canonical(value)
        except addresses.AddressError:
            self.fail(field, "must be an e-mail address such as jo@example.com")
            return ""

    def new_email(self, field: str, value: str, *, reserved: bool) -> str:
        """Return the e-mail address of a new account; `reserved` allows domains such as `.test`."""
        address = self.email(field, value)
        if addresses.is_reserved(address) and not reserved:
            self.fail(field, "is in a reserved domain, to which no mail can be sent")
        return address

    def entries(self, field: str, values: Sequence[Entry], most: int) -> Sequence[Entry]:
        """Return the entries of a list, up to the most that it may have."""
        if len(values) > most:
            self.fail(field, "must have at most {most} entries", most=most)
        return values[:most]

    def http_urls(self, field: str, values: Sequence[str], *, most: int, longest: int) -> tuple[str, ...]:
        """Return http or https URLs; at most `most`, each of at most `longest` bytes.

        Bytes, because characters outside ASCII take up to twelve in JSON, and a request has a limit.
        """
        for index, value in enumerate(self.entries(field, values, most)):
            self.http_url(f"{field}[{index}]", value, longest=longest)
        return tuple(values)

    def http_url(self, field: str, value: str, *, longest: int) -> str:
        """Return an http or https URL of at most `longest` bytes."""
        if len(value.encode(errors="surrogatepass")) > longest:
            self.fail(field, "must have at most {longest} bytes", longest=longest)
        elif not _is_http_url(value):
            self.fail(field, "must be an http or https URL")
        return value


def moment(value: Timestamp) -> datetime | None:
    """Return a time, to the microsecond; None if it is out of the years 1 to 9999 or malformed, which only requests over gRPC can be."""
    try:
        return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000) if 0 <= value.nanos < _NANOS else None
    except OverflowError:
        return None


def _is_invisible(character: str) -> bool:
    return character in _BLANK_LETTERS or unicodedata.category(character) in _INVISIBLE


def _is_http_url(value: str) -> bool:
    if not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
