"""Validation of the conditions of product lists on variants."""

import re
from collections.abc import Sequence

from mercato_server.domain import variant_filters
from mercato_server.domain.product_groups import OPTION_NAME_MAX, OPTION_VALUE_MAX, Option
from mercato_server.domain.variant_filters import CHOSEN_MAX, Choices
from mercato_server.validation.checks import Checks

_CHOSEN = re.compile(r"((?:\\.|[^\\:])*):(.*)", re.DOTALL)
"""A name, in which a backslash stands before a colon or backslash, a colon, and a value."""


def choices(check: Checks, field: str, given: Sequence[str]) -> Choices:
    """Return the choices of options such as `Size:M`; whether any product has them is not checked.

    Names and values of options are data of the catalog, which change. So a choice that no product has finds nothing, and is no error.
    """
    found = [_chosen(check, f"{field}[{index}]", each) for index, each in enumerate(check.entries(field, given, CHOSEN_MAX))]
    return variant_filters.choices(found)


def _chosen(check: Checks, field: str, given: str) -> Option:
    parts = _CHOSEN.fullmatch(given)
    if parts is None:
        check.fail(field, "must be a name and a value of an option such as Size:M")
        return Option("", "")
    name = check.line(field, re.sub(r"\\(.)", r"\1", parts[1]), shortest=1, longest=OPTION_NAME_MAX)
    return Option(name, check.line(field, parts[2], shortest=1, longest=OPTION_VALUE_MAX))
