"""Validation of tax categories and tax rates from calls and files."""

from collections.abc import Sequence
from dataclasses import replace

from mercato_server.domain.rounding import MILLION
from mercato_server.domain.tax_rates import (
    CATEGORY_ID,
    DISPLAY_NAME_MAX,
    PART_SEPARATOR,
    PARTS_MAX,
    RATE_NAME_MAX,
    REGION_MAX,
    RateDraft,
)
from mercato_server.domain.taxes import AS_GOODS, TaxPart
from mercato_server.validation.checks import Checks
from mercato_server.validation.places import country


def category_id(check: Checks, field: str, value: str) -> str:
    """Return the id of a tax category."""
    if not CATEGORY_ID.fullmatch(value):
        check.fail(field, "must be a lower-case letter, then up to 31 of a to z, 0 to 9 and -")
    return value


def new_category_id(check: Checks, field: str, value: str) -> str:
    """Return the id of a new tax category."""
    if value == AS_GOODS:
        check.fail(field, "is reserved: deliveries of {reserved} are taxed like the goods in them", reserved=AS_GOODS)
    return category_id(check, field, value)


def display_name(check: Checks, field: str, value: str) -> str:
    """Return the name of a tax category without surrounding white space."""
    return check.line(field, value, shortest=1, longest=DISPLAY_NAME_MAX)


def rate_name(check: Checks, field: str, value: str) -> str:
    """Return the name of a rate or of a part without surrounding white space."""
    return check.line(field, value, shortest=1, longest=RATE_NAME_MAX)


def ppm(check: Checks, field: str, value: int) -> int:
    """Return a rate in parts per million."""
    return check.between(field, value, 0, MILLION)


def parts(check: Checks, field: str, values: Sequence[TaxPart]) -> tuple[TaxPart, ...]:
    """Return the parts of a rate; whether they sum up to it is not checked."""
    found = []
    for index, part in enumerate(check.entries(field, values, PARTS_MAX)):
        name = rate_name(check, f"{field}[{index}].name", part.name)
        if PART_SEPARATOR in name:
            check.fail(f"{field}[{index}].name", "must not contain {separator}", separator=PART_SEPARATOR)
        found.append(TaxPart(name, ppm(check, f"{field}[{index}].ppm", part.ppm)))
    return tuple(found)


def fixed(check: Checks, prefix: str, draft: RateDraft) -> RateDraft:
    """Return a new rate whose other fields are checked already, in the form that is stored; violations name `prefix` and field."""
    stored = replace(
        draft,
        country_code=country(check, f"{prefix}country_code", draft.country_code),
        region=check.line(f"{prefix}region", draft.region, longest=REGION_MAX),
        category=category_id(check, f"{prefix}tax_category", draft.category) if draft.category else "",
        ppm=ppm(check, f"{prefix}rate_ppm", draft.ppm),
    )
    check.add(stored.contradictions(prefix))
    return stored
