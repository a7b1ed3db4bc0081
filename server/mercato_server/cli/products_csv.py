"""Reader of product CSV files (RFC 4180, UTF-8) that reports bad rows."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mercato_server.cli import file_groups
from mercato_server.cli.csv_records import Malformed, Record, extent, records
from mercato_server.config.settings import ImportLimits
from mercato_server.domain import product_groups
from mercato_server.domain.catalog import CATEGORY_NAME_MAX, PRICE_MAX_MINOR, STOCK_MAX, ProductDraft
from mercato_server.domain.errors import InvalidRequest
from mercato_server.domain.pictures import digest_of
from mercato_server.domain.product_groups import GROUP_CODE_MAX, GROUP_NAME_MAX, POSITION_MAX
from mercato_server.store.bulk import Incoming
from mercato_server.store.bulk_groups import Placement
from mercato_server.validation import drafts
from mercato_server.validation import product_groups as validation
from mercato_server.validation.checks import Checks
from mercato_server.validation.fields import is_unicode

REQUIRED = ("sku", "name", "price_minor")
GROUPED = ("group", "group_name", "options", "position")
OPTIONAL = (
    "description", "category", "stock", "image_urls", "tax_category", "needs_delivery", "weight_grams", "slug", *GROUPED,
    "description_html",
)  # fmt: skip
_HEADER = (
    f"the first line must name columns, separated by commas: {', '.join(REQUIRED)}, and of {', '.join(OPTIONAL)} any, once; "
    "columns of a group need both group and options"
)
_SHOWN_MAX = 200
_DIGITS_MAX = 19
_CELL_OF_LINE = re.compile(r'(?:^|,)("(?:[^"]++|"")*+"(?=,|$)|[^,]*+)')
"""A cell of a line by itself; a quotation mark that is not closed on the line is a part of its cell."""

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


def read(
    path: Path,
    limits: ImportLimits,
    advance: Callable[[int], None],
    *,
    tax_categories: Collection[str] = (),
    pictures_url: str = "",
    spreadsheet_safe: bool = False,
) -> Iterator[Row | BadRow]:
    """Yield the rows of a file without blank lines; `advance` is called with the number of bytes read since its last call.

    With `spreadsheet_safe` the apostrophe is removed with which an export protects a cell (store/bulk.py).
    A row with another tax category than those of the shop is a bad row, and so is one with the URL of a picture of the shop, below
    `pictures_url`, or a second row with the same SKU. Raises CsvError for a wrong header or too many rows, and OSError.
    """
    if path.exists() and not path.is_file():
        raise CsvError(f"{path} must be a regular file, because an import reads it twice")
    with path.open("rb") as file:
        found = records(file, limits.line_bytes_max, advance)
        columns = _columns(next(found, None))
        seen: dict[str, int] = {}
        groups = file_groups.FileGroups()
        slugs: dict[str, int] = {}
        for record in found:
            row = _external(_row(columns, unprotected(record) if spreadsheet_safe else record), pictures_url)
            if isinstance(row, Row) and (category := row.product.tax_category) and category not in tax_categories:
                row = BadRow(row.line, row.product.sku, f"tax_category: the shop has no tax category {category}")
            if isinstance(row, Row):
                first = seen.setdefault(row.product.sku, row.line)
                if first != row.line:
                    row = BadRow(row.line, row.product.sku, f"sku: is that of line {first}, too")
                elif reason := groups.add(row.line, row.product.placement):
                    row = BadRow(row.line, row.product.sku, reason)
                elif (slug := row.product.slug) and (first := slugs.setdefault(slug, row.line)) != row.line:
                    row = BadRow(row.line, row.product.sku, f"slug: is that of line {first}, too")
                if len(seen) > limits.rows_max:
                    raise CsvError(f"{path} has more than {limits.rows_max} products; split it")
            yield row


def _columns(header: Record | Malformed | None) -> list[str]:
    """Return the names of the columns; raises CsvError."""
    if isinstance(header, Malformed):
        raise CsvError(f"the first line {header.reason}. {_HEADER}")
    given = header.cells if header else []
    columns = [cell.strip().lower() for cell in given]
    absent = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    is_part = any(name in columns for name in GROUPED) and not {"group", "options"} <= set(columns)
    if absent or unknown or is_part or len(set(columns)) < len(columns):
        text = ",".join(given).encode(errors="replace").decode()
        raise CsvError(f"{_HEADER}; it is {text[:_SHOWN_MAX]!r}{'…' if len(text) > _SHOWN_MAX else ''}")
    return columns


def _row(columns: list[str], record: Record | Malformed) -> Row | BadRow:
    if isinstance(record, Malformed):
        return BadRow(record.first, "", record.reason)
    if len(record.cells) != len(columns):
        return BadRow(record.first, "", f"has {len(record.cells)} cells, not {len(columns)}{extent(record.first, record.last)}")
    cells = dict(zip(columns, record.cells, strict=True))
    sku = cells["sku"].encode(errors="replace").decode()
    if _holds_rows(columns, record.text):
        return BadRow(
            record.first,
            sku,
            f"has a quotation mark too many{extent(record.first, record.last)}, and the first and the last of them are rows by themselves",
        )
    try:
        with Checks() as check:
            return Row(record.first, _product(check, cells))
    except InvalidRequest as error:
        return BadRow(record.first, sku, f"{error}{extent(record.first, record.last)}")


def _external(row: Row | BadRow, pictures_url: str) -> Row | BadRow:
    """Return a row whose pictures are external: the shop keeps its own pictures while products show them, which a file cannot say."""
    if isinstance(row, Row):
        for index, url in enumerate(row.product.image_urls or ()):
            if digest_of(url, pictures_url):
                return BadRow(row.line, row.product.sku, f"image_urls[{index}]: is a picture of this shop; only calls show those")
    return row


def unprotected(record: Record | Malformed) -> Record | Malformed:
    """Return a record of a file that was exported for spreadsheets, without the apostrophes that protect its cells."""
    return record._replace(cells=[cell.removeprefix("'") for cell in record.cells]) if isinstance(record, Record) else record


def _holds_rows(columns: list[str], text: str) -> bool:
    """Tell whether the first and the last line of a record of several lines are whole rows.

    Two stray quotation marks make one valid record of the rows between them, with the SKU of the first row and the price of the last. Lines
    between may be anything: blank ones, and rows that are bad by themselves.
    """
    first, _, rest = text.removesuffix("\n").partition("\n")
    return bool(rest) and all(_is_row(columns, _CELL_OF_LINE.findall(line.rstrip("\r"))) for line in (first, rest.rpartition("\n")[2]))


def _is_row(columns: list[str], values: list[str]) -> bool:
    if len(values) != len(columns):
        return False
    cells = dict(zip(columns, values, strict=True))
    return bool(cells["sku"] and cells["name"]) and cells["price_minor"].strip(' "').isdecimal()


def _product(check: Checks, cells: Cells) -> Incoming:
    if not all(map(is_unicode, cells.values())):
        check.fail("", "is not in UTF-8")
        cells = {name: cell.encode(errors="replace").decode() for name, cell in cells.items()}
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
            tax_category=cells.get("tax_category", ""),
            needs_delivery=_boolean(check, "needs_delivery", cells["needs_delivery"]) if cells.get("needs_delivery") else False,
            weight_grams=_integer(check, "weight_grams", cells["weight_grams"]) if cells.get("weight_grams") else 0,
            slug=cells.get("slug", ""),
            description_html=cells.get("description_html"),
        ),
    )
    return Incoming(
        sku=draft.sku or "",
        name=draft.name,
        description=draft.description if "description" in cells or draft.description_html else None,
        price_minor=draft.price_minor,
        category=check.line("category", cells["category"], longest=CATEGORY_NAME_MAX) if "category" in cells else None,
        stock=draft.stock,
        image_urls=draft.image_urls if "image_urls" in cells else None,
        tax_category=draft.tax_category or "" if "tax_category" in cells else None,
        needs_delivery=draft.needs_delivery if cells.get("needs_delivery") else None,
        weight_grams=draft.weight_grams if cells.get("weight_grams") else None,
        slug=draft.slug,
        description_html=draft.description_html or "" if "description_html" in cells else None,
        placement=_placement(check, cells) if "group" in cells else None,
    )


def _placement(check: Checks, cells: Cells) -> Placement:
    """Return the place in a group that a row states; an empty code means no group."""
    code = check.code("group", cells["group"], longest=GROUP_CODE_MAX)
    name = check.line("group_name", cells.get("group_name", ""), longest=GROUP_NAME_MAX) or None
    found = product_groups.of_cell(cells["options"])
    if found is None or bool(found) != bool(code):
        check.fail("options", "must be such as Size=M;Colour=Red with a group, and empty without one")
    options = validation.options(check, "options", found or ())
    position = _integer(check, "position", cells["position"]) if code and cells.get("position") else None
    if position is not None:
        check.between("position", position, 0, POSITION_MAX)
    return Placement(code, name, options, position)


def _boolean(check: Checks, field: str, cell: str) -> bool:
    word = cell.strip().lower()
    if word not in ("true", "false"):
        check.fail(field, "must be true or false")
    return word == "true"


def _integer(check: Checks, field: str, cell: str) -> int:
    """Parse a whole number in decimal digits; one with too many digits becomes a number out of range."""
    digits = cell.strip()
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit()):
        check.fail(field, "must be a whole number, such as 1999")
        return 0
    return int(digits) if len(digits) <= _DIGITS_MAX else max(PRICE_MAX_MINOR, STOCK_MAX) + 1
