"""Product files of other shops: their rows by product, whatever order they have in the file, with little memory.

The rows go through a temporary SQLite database: the rows of a product may be apart, and a file may be larger than the memory.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, Protocol

from mercato_server.cli.csv_records import Malformed, Record, records
from mercato_server.cli.products_csv import CsvError
from mercato_server.config.settings import ImportLimits
from mercato_server.domain.moved_goods import MovedProduct
from mercato_server.validation.fields import is_unicode

ROWS_OF_PRODUCT_MAX = 5_000
"""Rows of one product, its pictures included."""
_ADD_ROW = "INSERT INTO file_row (line, product, cells) VALUES (?, ?, ?)"
_ADD_ALIAS = "INSERT OR IGNORE INTO alias (name, product) VALUES (?, ?)"
_RESOLVE = """
UPDATE file_row
   SET product = (SELECT product FROM alias WHERE name = file_row.product)
 WHERE product IN (SELECT name FROM alias)
"""
_GET_ROWS = """
SELECT file_row.line, file_row.product, cells
  FROM file_row
  JOIN (SELECT product, min(line) AS first FROM file_row GROUP BY product) AS place USING (product)
 ORDER BY first, file_row.line
"""


class Weight(Enum):
    """How much a remark on a line weighs."""

    BAD = auto()
    """The line, or its whole product, was left out because something is wrong with it."""
    NOT_FOR_SALE = auto()
    """It was left out because it is not for sale in the other shop."""
    CHANGED = auto()
    """It was taken, but not all of it."""


class Remark(NamedTuple):
    """A remark on a line of the file: the product, and the reason."""

    line: int
    product: str
    weight: Weight
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file: its first line, and the cells of the columns that are used, by their names in lower case."""

    line: int
    cells: Mapping[str, str]
    columns: frozenset[str] = frozenset()
    """The used columns of the file, by the same names; cells are absent if they are empty, too."""

    def __getitem__(self, column: str) -> str:
        """Return a cell without surrounding white space; empty if the file lacks the column."""
        return self.cells.get(column, "").strip()


class Remarks:
    """Takes the remarks on the rows of one product."""

    def __init__(self, take: Callable[[Remark], None], product: str) -> None:
        self._take = take
        self._product = product

    def bad(self, line: int, reason: str) -> None:
        """Tell that a line is left out because it is bad."""
        self._take(Remark(line, self._product, Weight.BAD, reason))

    def not_for_sale(self, line: int, reason: str) -> None:
        """Tell that a line is left out because it is not for sale."""
        self._take(Remark(line, self._product, Weight.NOT_FOR_SALE, reason))

    def changed(self, line: int) -> Callable[[str], None]:
        """Return a function that tells what of a line is lost."""
        return lambda reason: self._take(Remark(line, self._product, Weight.CHANGED, reason))


class Kind(Protocol):
    """A kind of file: of which shop it is, and how a product is read from its rows."""

    name: str

    def columns(self, header: Sequence[str]) -> frozenset[str]:
        """Return the names of a header, in lower case, that are used; an empty set if the header is of another kind."""
        ...

    def product_key(self, row: Row) -> str:
        """Return the key of the product to which a row belongs; empty if it names none."""
        ...

    def other_key(self, row: Row) -> str:
        """Return another key by which rows may name the product of this row; empty if there is none."""
        ...

    def product(self, key: str, rows: Sequence[Row], currency_code: str, remarks: Remarks) -> MovedProduct | None:
        """Return the product of all its rows, without variants that cannot be taken; None if none is left."""
        ...


class Header(NamedTuple):
    """The header of a file of a known kind: its columns in lower case, and those that are not used as they are written."""

    kind: Kind
    columns: Sequence[str]
    ignored: Sequence[str]


def header(path: Path, limits: ImportLimits, kinds: Sequence[Kind]) -> Header | None:
    """Return the header of a file of a known kind; None for any other file. Raises OSError."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        first = next(records(file, limits.line_bytes_max, lambda _: None), None)
    if not isinstance(first, Record):
        return None
    columns = [cell.strip().lower() for cell in first.cells]
    for kind in kinds:
        if used := kind.columns(columns):
            if twice := [name for name in sorted(used) if columns.count(name) > 1]:
                raise CsvError(f"{path} has the column {twice[0]!r} twice")
            ignored = [cell.strip() for cell, name in zip(first.cells, columns, strict=True) if name not in used]
            return Header(kind, [name if name in used else "" for name in columns], ignored)
    return None


@dataclass(frozen=True, slots=True)
class Spool:
    """The rows of a file, in a temporary database."""

    database: sqlite3.Connection
    kind: Kind
    columns: frozenset[str]

    def products(self, currency_code: str, take: Callable[[Remark], None]) -> Iterator[MovedProduct]:
        """Yield the products in the order of their first rows."""
        rows: list[Row] = []
        current = ""
        for line, product, cells in self.database.execute(_GET_ROWS):
            if product != current and rows:
                yield from self._product(current, rows, currency_code, take)
                rows = []
            current = product
            if len(rows) < ROWS_OF_PRODUCT_MAX:
                rows.append(Row(line, json.loads(cells), self.columns))
            else:
                take(Remark(line, product, Weight.BAD, f"a product has at most {ROWS_OF_PRODUCT_MAX} rows"))
        if rows:
            yield from self._product(current, rows, currency_code, take)

    def _product(self, key: str, rows: Sequence[Row], currency_code: str, take: Callable[[Remark], None]) -> Iterator[MovedProduct]:
        if found := self.kind.product(key, rows, currency_code, Remarks(take, key)):
            yield found


@contextmanager
def spooled(
    path: Path, head: Header, limits: ImportLimits, advance: Callable[[int], None], take: Callable[[Remark], None]
) -> Iterator[Spool]:
    """Yield the rows of a file, and tell the bad ones.

    Raises CsvError if a line is not UTF-8, because then all of the file is in another encoding, or if the file has too many rows.
    """
    with tempfile.TemporaryDirectory(prefix="mercato-import-") as directory:
        database = sqlite3.connect(Path(directory, "rows.db"))
        try:
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;")
            database.execute("CREATE TABLE file_row (line INTEGER PRIMARY KEY, product TEXT NOT NULL, cells TEXT NOT NULL)")
            database.execute("CREATE TABLE alias (name TEXT PRIMARY KEY, product TEXT NOT NULL) WITHOUT ROWID")
            with path.open("rb") as file:
                found = records(file, limits.line_bytes_max, advance)
                next(found)
                for line, product, other, cells in _entries(path, found, head, limits, take):
                    database.execute(_ADD_ROW, (line, product, cells))
                    if other:
                        database.execute(_ADD_ALIAS, (other, product))
            database.execute(_RESOLVE)
            database.execute("CREATE INDEX file_row_by_product ON file_row (product, line)")
            yield Spool(database, head.kind, frozenset(filter(None, head.columns)))
        finally:
            database.close()


def _entries(
    path: Path, found: Iterator[Record | Malformed], head: Header, limits: ImportLimits, take: Callable[[Remark], None]
) -> Iterator[tuple[int, str, str, str]]:
    """Yield the good rows: line, key and other key of the product, and used cells as JSON."""
    for count, record in enumerate(found, 1):
        if count > limits.rows_max:
            raise CsvError(f"{path} has more than {limits.rows_max} rows; split it")
        if isinstance(record, Malformed):
            take(Remark(record.first, "", Weight.BAD, record.reason))
            continue
        if not is_unicode(record.text):
            raise CsvError(f"line {record.first} of {path} is not UTF-8, so nothing was imported; save the file as CSV in UTF-8")
        if len(record.cells) != len(head.columns):
            reason = f"has {len(record.cells)} cells, not {len(head.columns)}"
            take(Remark(record.first, "", Weight.BAD, reason))
            continue
        cells = {name: cell for name, cell in zip(head.columns, record.cells, strict=True) if name and cell}
        row = Row(record.first, cells)
        if not cells:
            continue
        if key := head.kind.product_key(row):
            yield record.first, key, head.kind.other_key(row), json.dumps(cells, ensure_ascii=False)
        else:
            take(Remark(record.first, "", Weight.BAD, "does not say to which product it belongs"))
