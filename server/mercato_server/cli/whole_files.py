"""Imports of CSV files that change everything or nothing: their rows, their results, and the report of their bad lines."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.console import Console

from mercato_server.cli.catalog_import import BadRowsError
from mercato_server.cli.csv_records import Malformed, Record, extent
from mercato_server.config.settings import ImportLimits
from mercato_server.domain.errors import InvalidRequest
from mercato_server.domain.refused_lines import Refused
from mercato_server.validation.checks import Checks
from mercato_server.validation.fields import is_unicode

Row = TypeVar("Row")
Cells = Mapping[str, str]


class Outcome(NamedTuple):
    """Numbers of rows by their result."""

    created: int
    updated: int
    unchanged: int


def row(columns: Sequence[str], record: Record | Malformed, parse: Callable[[Checks, Cells], Row]) -> Row | Refused:
    """Return the row of a record, which `parse` checks, or why the line is bad."""
    if isinstance(record, Malformed):
        return Refused(record.first, record.reason)
    if len(record.cells) != len(columns):
        return Refused(record.first, f"has {len(record.cells)} cells, not {len(columns)}{extent(record.first, record.last)}")
    try:
        with Checks() as check:
            if not all(map(is_unicode, record.cells)):
                check.fail("", "is not in UTF-8")
            return parse(check, dict(zip(columns, record.cells, strict=True)))
    except InvalidRequest as error:
        return Refused(record.first, f"{error}{extent(record.first, record.last)}")


def refusal(path: Path, bad: Sequence[Refused]) -> BadRowsError:
    """Report bad lines on standard error, and return the error that ends the import."""
    console, shown_max = Console(stderr=True), ImportLimits().bad_rows_shown
    for line, reason in bad[:shown_max]:
        console.print(f"line {line}: {reason}", soft_wrap=True, markup=False, highlight=False)
    if (more := len(bad) - shown_max) > 0:
        console.print(f"and {more} more", highlight=False)
    return BadRowsError(f"lines of {path} are bad, so nothing was imported")
