"""Validation of countries and time zones."""

from functools import cache
from importlib.resources import files

from mercato_server.domain.postal_rules import countries
from mercato_server.validation.checks import Checks

_NO_ZONE = "Factory"
"""The zone of clocks that were never set."""


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the zones that zoneinfo loads on every machine, whether it has any of its own or not."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split()) - {_NO_ZONE}


def country(check: Checks, field: str, value: str) -> str:
    """Return the code of a country."""
    if value not in countries():
        check.fail(field, "must be the code of a country (ISO 3166-1 alpha-2) in upper case, such as DE")
    return value


def optional_country(check: Checks, field: str, value: str) -> str:
    """Return the code of a country, or an empty text."""
    return country(check, field, value) if value else ""


def time_zone(check: Checks, field: str, value: str) -> str:
    """Return the name of a time zone."""
    if value not in time_zones():
        check.fail(field, "must be the name of a time zone of the IANA database, such as Europe/Berlin")
    return value
