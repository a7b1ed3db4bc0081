"""Groups of products that differ in options: the rules of options, and the limits of a group.

A variant is a product of a group. It has one value for each option by which its group varies.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

GROUP_NAME_MAX = 200
GROUP_CODE_MAX = 64
OPTION_NAMES_MAX = 5
"""The same limit as product_groups_varies_by_check."""
OPTION_NAME_MAX = 50
OPTION_VALUE_MAX = 100
OPTIONS_TEXT_MAX = 500
"""Characters of the text of a variant's options, which 200 lines of a cart repeat."""
POSITION_MAX = 1_000_000
VARIANTS_MAX = 200
"""Variants of a group that are on sale; the same limit as product_groups_variants_check."""


_MARKS = re.compile(r"[\\;=]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OPTION = re.compile(r"(?:\\.|[^\\;])+", re.DOTALL)
_PART = re.compile(r"(?:\\.|[^\\=])+", re.DOTALL)


class Option(NamedTuple):
    """An option of a product: by what it varies, and which of the values it is."""

    name: str
    value: str


Options = tuple[Option, ...]


class OptionsMismatchError(Exception):
    """The options are not exactly those of the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDraft:
    """The writable part of a group; a new group with the code None has its id as code."""

    name: str = ""
    code: str | None = None
    varies_by: tuple[str, ...] = ()
    slug: str | None = None
    """None keeps the slug, or lets the server make one of the name."""


class Variant(NamedTuple):
    """A variant on sale as its group shows it. Its price is in minor units. The fields have the order of the columns."""

    id: UUID
    sku: str | None
    options: str
    """JSON as stored; `parse` reads it."""
    price_minor: int
    stock: int


class ProductGroup(NamedTuple):
    """A group as stored. Prices are in minor units, and None without variants on sale. The fields have the order of the columns."""

    id: UUID
    code: str
    name: str
    varies_by: list[str]
    min_price_minor: int | None
    max_price_minor: int | None
    variant_count: int
    """The number of variants on sale."""
    version: int
    """The number of writes to the group itself; writes to its variants do not count."""
    created_at: datetime
    updated_at: datetime
    slug: str | None
    """None until a task has given one to a group of the previous release."""
    representative_id: UUID | None
    """The variant on sale with the lowest price, of several the oldest one."""

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the group itself."""
        return f"{self.version:x}"


class WholeGroup(NamedTuple):
    """A group with its variants on sale, in their order."""

    group: ProductGroup
    variants: Sequence[Variant] = ()


def fold(text: str) -> str:
    """Return the form in which names and values of options are compared: trimmed, without case, in NFC.

    The case is folded in NFD, as the Unicode Standard has it for canonical caseless matching (section 3.13, D145).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text.strip()).casefold())


def written(text: str) -> str:
    """Return a name or value of an option in the form that is stored and shown: trimmed, in NFC, with the case of its writer."""
    return unicodedata.normalize("NFC", text.strip())


def of_group(options: Iterable[Option], varies_by: Sequence[str]) -> Options:
    """Return options in the order of their group, with its spelling of the names; raises OptionsMismatchError."""
    given = [(fold(name), value) for name, value in options]
    values = dict(given)
    names = [fold(name) for name in varies_by]
    if len(given) != len(names) or set(values) != set(names):
        raise OptionsMismatchError
    return tuple(Option(name, written(values[folded])) for name, folded in zip(varies_by, names, strict=True))


def key(options: Iterable[Option]) -> tuple[tuple[str, str], ...]:
    """Return options in the form in which two variants of a group are the same, in any order."""
    return tuple(sorted((fold(name), fold(value)) for name, value in options))


def dump(options: Iterable[Option]) -> str:
    """Return options as JSON for the column `options`: pairs of name and value in their order."""
    return json.dumps([list(option) for option in options], ensure_ascii=False)


def dump_folded(options: Iterable[Option]) -> str | None:
    """Return folded options as JSON for the column `folded_options`: values by name; None without options."""
    folded = dict(key(options))
    return json.dumps(folded, ensure_ascii=False) if folded else None


def load_folded(stored: str) -> dict[str, str]:
    """Return the folded values by name, of JSON as stored."""
    return {str(name): str(value) for name, value in json.loads(stored).items()}


def parse(stored: str) -> Options:
    """Return the options of JSON as stored."""
    return tuple(Option(name, value) for name, value in json.loads(stored)) if stored != "[]" else ()


def cell(options: Iterable[Option]) -> str:
    """Return options as a cell of a file, such as `Size=M;Colour=Red`; a backslash precedes each `;`, `=` and backslash in them."""
    return ";".join("=".join(_MARKS.sub(r"\\\g<0>", part) for part in option) for option in options)


def of_cell(written_cell: str) -> Options | None:
    """Return the options of a cell, whose parts are trimmed; None if it is not written so."""
    found = []
    for option in filter(None, map(str.strip, _OPTION.findall(written_cell))):
        parts = [_ESCAPED.sub(r"\1", part).strip() for part in _PART.findall(option)]
        if len(parts) != len(Option._fields):
            return None
        found.append(Option(*parts))
    return tuple(found)


def text(options: Iterable[Option]) -> str:
    """Return options as lines of carts, orders and mails show them, such as `Size: M, Colour: Red`; empty without options."""
    return ", ".join(f"{name}: {value}" for name, value in options)
