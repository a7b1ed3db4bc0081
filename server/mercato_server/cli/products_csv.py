"""Reader of product CSV files (RFC 4180, UTF-8) that reports bad rows."""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mercato_server.config.settings import ImportLimits
from mercato_server.domain.catalog import CATEGORY_NAME_MAX, PRICE_MAX_MINOR, STOCK_MAX, ProductDraft
from mercato_server.domain.errors import InvalidRequest
from mercato_server.store.bulk import Incoming
from mercato_server.validation import drafts
from mercato_server.validation.checks import Checks

REQUIRED = ("sku", "name", "price_minor")
OPTIONAL = ("description", "category", "stock", "image_urls")
_BOM = b"\xef\xbb\xbf"
_DIGITS_MAX = 19

Cells = Mapping[str, str]


class CsvError(Exception):
    """The file cannot be imported; the message says why."""


class Row(NamedTuple):
    """A product, and the first line of its row."""

    line: int
    product: Incoming


class BadRow(NamedTuple):
    """A row that cannot be imported: its first line, its SKU, and the reason."""

    line: int
    sku: str
    reason: str


def read(path: Path, limits: ImportLimits, advance: Callable[[int], None], *, spreadsheet_safe: bool = False) -> Iterator[Row | BadRow]:
    """Yield the rows of a file without blank lines; `advance` is called with the number of bytes read since its last call.

    With `spreadsheet_safe` the apostrophe is removed with which an export protects a cell (store/bulk.py).
    A second row with the same SKU is a bad row. Raises CsvError for a wrong header or too many rows, and OSError.
    """
    with path.open("rb") as file:
        reader = csv.reader(_lines(file, advance))
        columns = _columns(next(reader, []))
        seen: dict[str, int] = {}
        while True:
            line = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:  # a cell is too long, usually because a quotation mark is missing
                yield BadRow(line, "", f"cannot be read as CSV: {error}")
                continue
            if not values:
                continue
            row = _row(line, columns, [value.removeprefix("'") for value in values] if spreadsheet_safe else values)
            if isinstance(row, Row):
                first = seen.setdefault(row.product.sku, line)
                if first != line:
                    row = BadRow(line, row.product.sku, f"sku: is that of line {first}, too")
                if len(seen) > limits.rows_max:
                    raise CsvError(f"{path} has more than {limits.rows_max} products; split it")
            yield row


def _lines(file: BinaryIO, advance: Callable[[int], None]) -> Iterator[str]:
    """Decode line by line. Bytes that are not UTF-8 become lone surrogates, for which the row is refused."""
    for number, line in enumerate(file):
        advance(len(line))
        yield (line.removeprefix(_BOM) if number == 0 else line).decode(errors="surrogateescape")


def _columns(header: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    absent = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    if absent or unknown or len(set(columns)) < len(columns):
        given = ",".join(header).encode(errors="replace").decode()
        raise CsvError(f"the first line must name columns: {', '.join(REQUIRED)}, and of {', '.join(OPTIONAL)} any, once; it is {given!r}")
    return columns


def _row(line: int, columns: list[str], values: list[str]) -> Row | BadRow:
    if len(values) != len(columns):
        return BadRow(line, "", f"has {len(values)} cells, not {len(columns)}")
    cells = dict(zip(columns, values, strict=True))
    try:
        with Checks() as check:
            return Row(line, _product(check, cells))
    except InvalidRequest as error:
        return BadRow(line, cells["sku"].encode(errors="replace").decode(), str(error))


def _product(check: Checks, cells: Cells) -> Incoming:
    if not all(map(_is_unicode, cells.values())):
        check.fail("", "is not in UTF-8")
    draft = drafts.checked(
        check,
        "",
        ProductDraft(
            name=drafts.named(check, "", cells["name"]),
            description=cells.get("description", ""),
            price_minor=check.between("price_minor", _integer(check, "price_minor", cells["price_minor"]), 0, PRICE_MAX_MINOR),
            sku=check.text("sku", cells["sku"], shortest=1, longest=len(cells["sku"])),
            stock=_integer(check, "stock", cells["stock"]) if cells.get("stock") else None,
            image_urls=tuple(cells.get("image_urls", "").split()),
        ),
    )
    return Incoming(
        sku=draft.sku or "",
        name=draft.name,
        description=draft.description if "description" in cells else None,
        price_minor=draft.price_minor,
        category=check.text("category", cells["category"], longest=CATEGORY_NAME_MAX) if "category" in cells else None,
        stock=draft.stock,
        image_urls=draft.image_urls if "image_urls" in cells else None,
    )


def _integer(check: Checks, field: str, cell: str) -> int:
    """Parse a whole number in decimal digits; one with too many digits becomes a number out of range."""
    digits = cell.strip()
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit()):
        check.fail(field, "must be a whole number, such as 1999")
        return 0
    return int(digits) if len(digits) <= _DIGITS_MAX else max(PRICE_MAX_MINOR, STOCK_MAX) + 1


def _is_unicode(cell: str) -> bool:
    return cell.isascii() or not any("\ud800" <= character <= "\udfff" for character in cell)
