"""Postal addresses of requests."""

import asyncio
from dataclasses import replace

from mercato.v1 import postal_address_pb2
from mercato_server.domain import postal_addresses
from mercato_server.domain.postal_addresses import (
    CITY_MAX,
    COMPANY_MAX,
    PHONE_MAX,
    POSTAL_CODE_MAX,
    RECIPIENT_MAX,
    REGION_MAX,
    SORTING_CODE_MAX,
    STREET_LINE_MAX,
    STREET_LINES_MAX,
    VAT_NUMBER_MAX,
    PostalAddress,
)
from mercato_server.validation.checks import Checks

_LONGEST = {
    "recipient": RECIPIENT_MAX,
    "company": COMPANY_MAX,
    "city_area": CITY_MAX,
    "city": CITY_MAX,
    "region": REGION_MAX,
    "postal_code": POSTAL_CODE_MAX,
    "sorting_code": SORTING_CODE_MAX,
    "phone": PHONE_MAX,
    "vat_number": VAT_NUMBER_MAX,
}
"""Characters of each field that is one line."""


async def load(message: postal_address_pb2.PostalAddress) -> None:
    """Load the rules by which an address is checked off the event loop: the first use of a country takes long."""
    await asyncio.to_thread(postal_addresses.load, message.country_code)


def checked(check: Checks, field: str, message: postal_address_pb2.PostalAddress) -> PostalAddress:
    """Return an address in its normal form; violations name `field` and the field of the address."""
    texts = {name: check.line(f"{field}.{name}", getattr(message, name), longest=longest) for name, longest in _LONGEST.items()}
    given = check.entries(f"{field}.street_lines", message.street_lines, STREET_LINES_MAX)
    lines = [check.line(f"{field}.street_lines[{index}]", line, longest=STREET_LINE_MAX) for index, line in enumerate(given)]
    typed = PostalAddress(country_code=message.country_code, street_lines=tuple(lines), **texts)
    address, violations = postal_addresses.normalised(typed)
    check.add(replace(violation, field=f"{field}.{violation.field}") for violation in violations)
    return address
