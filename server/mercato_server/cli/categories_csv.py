"""Reader of CSV files of categories (RFC 4180, UTF-8)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mercato_server.cli.csv_records import Malformed, Record, extent, records
from mercato_server.cli.products_csv import CsvError, unprotected
from mercato_server.domain.catalog import CATEGORY_NAME_MAX, CATEGORY_POSITION_MAX, DESCRIPTION_MAX
from mercato_server.domain.category_files import ROWS_MAX, Incoming, Refused
from mercato_server.domain.errors import InvalidRequest
from mercato_server.validation import drafts
from mercato_server.validation.checks import Checks
from mercato_server.validation.fields import is_unicode

OPTIONAL = ("slug", "parent", "position", "description")
LINE_BYTES_MAX = 64 * 1024
_HEADER = f"the first line must name columns, separated by commas: name, and of {', '.join(OPTIONAL)} any, once"
_DIGITS_MAX = 7

Cells = Mapping[str, str]


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
            row = _row(columns, unprotected(record) if spreadsheet_safe else record)
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


def _row(columns: Sequence[str], record: Record | Malformed) -> Incoming | Refused:
    if isinstance(record, Malformed):
        return Refused(record.first, record.reason)
    if len(record.cells) != len(columns):
        return Refused(record.first, f"has {len(record.cells)} cells, not {len(columns)}{extent(record.first, record.last)}")
    try:
        with Checks() as check:
            return _category(check, record.first, dict(zip(columns, record.cells, strict=True)))
    except InvalidRequest as error:
        return Refused(record.first, f"{error}{extent(record.first, record.last)}")


def _category(check: Checks, line: int, cells: Cells) -> Incoming:
    if not all(map(is_unicode, cells.values())):
        check.fail("", "is not in UTF-8")
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
