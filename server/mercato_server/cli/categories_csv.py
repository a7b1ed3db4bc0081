"""Reader of CSV files of categories (RFC 4180, UTF-8)."""

import functools
from pathlib import Path
from typing import NamedTuple

from mercato_server.cli import whole_files
from mercato_server.cli.csv_records import Malformed, Record, records
from mercato_server.cli.products_csv import CsvError, unprotected
from mercato_server.cli.whole_files import Cells
from mercato_server.domain.catalog import CATEGORY_NAME_MAX, CATEGORY_POSITION_MAX, DESCRIPTION_MAX
from mercato_server.domain.category_files import ROWS_MAX, Incoming
from mercato_server.domain.refused_lines import Refused
from mercato_server.validation import drafts
from mercato_server.validation.checks import Checks

OPTIONAL = ("slug", "parent", "position", "description")
LINE_BYTES_MAX = 64 * 1024
_HEADER = f"the first line must name columns, separated by commas: name, and of {', '.join(OPTIONAL)} any, once"
_DIGITS_MAX = 7


class CategoryFile(NamedTuple):
    """The content of a file."""

    incoming: list[Incoming]
    bad: list[Refused]


def read(path: Path, *, spreadsheet_safe: bool) -> CategoryFile:
    """Read a file; with `spreadsheet_safe` it was exported for spreadsheets.

    Raises CsvError for a wrong header or too many categories, and OSError.
    """
    found = CategoryFile([], [])
    with path.open("rb") as file:
        lines = records(file, LINE_BYTES_MAX, lambda _: None)
        columns = _columns(next(lines, None))
        for record in lines:
            parse = functools.partial(_category, line=record.first)
            row = whole_files.row(columns, unprotected(record) if spreadsheet_safe else record, parse)
            if isinstance(row, Refused):
                found.bad.append(row)
            else:
                found.incoming.append(row)
            if len(found.incoming) + len(found.bad) > ROWS_MAX:
                raise CsvError(f"{path} has more than {ROWS_MAX} categories")
    return found


def _columns(header: Record | Malformed | None) -> list[str]:
    """Return the names of the columns; raises CsvError."""
    columns = [cell.strip().lower() for cell in header.cells] if isinstance(header, Record) else []
    if "name" not in columns or len(set(columns)) < len(columns) or not set(columns) <= {"name", *OPTIONAL}:
        raise CsvError(_HEADER)
    return columns


def _category(check: Checks, cells: Cells, line: int) -> Incoming:
    return Incoming(
        line,
        check.line("name", cells["name"], shortest=1, longest=CATEGORY_NAME_MAX),
        slug=drafts.slug(check, "slug", cells.get("slug", "").strip()),
        parent=check.line("parent", cells["parent"], longest=CATEGORY_NAME_MAX) if "parent" in cells else None,
        position=_position(check, cells["position"].strip()) if cells.get("position", "").strip() else None,
        description=check.text("description", cells["description"], longest=DESCRIPTION_MAX) if "description" in cells else None,
    )


def _position(check: Checks, cell: str) -> int:
    if not (cell.isascii() and cell.isdigit()):
        check.fail("position", "must be a whole number, such as 10")
        return 0
    return check.between("position", int(cell) if len(cell) <= _DIGITS_MAX else CATEGORY_POSITION_MAX + 1, 0, CATEGORY_POSITION_MAX)
