"""Conditions of product lists on variants: chosen options, a group, and one entry for each group; and the counts of options (facets)."""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.product_groups import OPTION_NAME_MAX, OPTION_VALUE_MAX, Option, fold

CHOSEN_MAX = 20
"""Most options that a list may choose; more names than a group has find nothing."""
CHOSEN_LENGTH_MAX = OPTION_NAME_MAX + 1 + OPTION_VALUE_MAX
FACETS_MAX = 20
FACET_VALUES_MAX = 100
FACET_MATCHES_MAX = 10_000
"""Matches that facets count, as many as `total_size` does."""

Choices = tuple[tuple[str, tuple[str, ...]], ...]
"""Folded names of options with the folded values that each may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFilter:
    """Conditions on variants. Products without a group have no options."""

    choices: Choices = ()
    group_id: UUID | None = None
    collapse: bool = False
    """Whether the list has one product for each group."""


ALL_VARIANTS = VariantFilter()
"""The conditions of a list that names none."""


class FacetValue(NamedTuple):
    """A value of an option, and how many groups a list has that choose it."""

    value: str
    groups: int
    selected: bool


class Facet(NamedTuple):
    """An option of the variants that match, with its values."""

    name: str
    values: Sequence[FacetValue]


def choices(chosen: Iterable[Option]) -> Choices:
    """Return options as conditions: of one option any of the values, and of all options one each."""
    values: dict[str, set[str]] = {}
    for name, value in chosen:
        values.setdefault(fold(name), set()).add(fold(value))
    return tuple((name, tuple(sorted(found))) for name, found in sorted(values.items()))


def path(wanted: Choices) -> str:
    """Return the predicate of choices in SQL/JSON path language, about `products.folded_options`.

    It is one argument of a statement for any number of choices, and an index can find what it holds for.
    """
    return " && ".join(_any_of(name, values) for name, values in wanted)


def path_without_one(wanted: Choices) -> str:
    """Return the predicate of variants that at most one of the choices leaves out; empty if that is every variant."""
    if len(wanted) <= 1:
        return ""
    return " || ".join(f"({path(others)})" for others in itertools.combinations(wanted, len(wanted) - 1))


def dump(wanted: Choices) -> str:
    """Return choices as JSON: values by name."""
    return json.dumps({name: list(values) for name, values in wanted}, ensure_ascii=False)


def _any_of(name: str, values: Iterable[str]) -> str:
    # A string of the path language has the escapes of JavaScript, which include those of JSON.
    alternatives = (f"$.{json.dumps(name)} == {json.dumps(value)}" for value in values)
    return f"({' || '.join(alternatives)})"
