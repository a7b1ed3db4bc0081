"""`mercato import` and `mercato export`: read or write a file, with progress and a summary."""

import contextlib
import csv
import itertools
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mercato_server.cli import products_csv
from mercato_server.cli.products_csv import BadRow, CsvError, Row
from mercato_server.cli.running import migrated_pool, output
from mercato_server.config.settings import ImportLimits
from mercato_server.database.pool import SET_CURRENCY, Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.store import bulk

Advance = Callable[[int], None]


class BadRowsError(CsvError):
    """Rows of the file are bad, and nothing was imported."""


@dataclass(slots=True)
class Outcome:
    """Numbers of rows by their result."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0


@dataclass(slots=True)
class BadRows:
    """Counts bad rows; writes all to a CSV file, and the first ones to standard error."""

    console: Console
    limits: ImportLimits
    file: TextIO | None
    count: int = field(default=0)

    def tell(self, row: BadRow) -> None:
        """Report a row."""
        self.count += 1
        if self.file:
            csv.writer(self.file, lineterminator="\n").writerow(row)
        if self.count <= self.limits.bad_rows_shown:
            named = f" ({row.sku})" if row.sku else ""
            self.console.print(f"line {row.line}{named}: {row.reason}", soft_wrap=True, markup=False, highlight=False)

    def end(self) -> None:
        """Report how many rows were not shown."""
        if (more := self.count - self.limits.bad_rows_shown) > 0:
            self.console.print(f"and {more} more bad rows", highlight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An import of a file."""

    path: Path
    skip: bool = False
    """Whether bad rows are skipped."""
    errors: Path | None = None
    """A file for the bad rows, as CSV: line, SKU, reason."""
    currency: str
    """The currency of the prices if the shop has none yet, since no worker has run."""
    pictures_url: str = ""
    """Base of the URLs of the shop's own pictures, which a file cannot show."""
    spreadsheet_safe: bool = False
    """Whether the file was exported for spreadsheets."""
    limits: ImportLimits = field(default_factory=ImportLimits)

    async def run(self, database_url: str) -> Outcome:
        """Import the file with one transaction per batch. If the process is killed, committed batches stay, and a second run goes on.

        Unless bad rows are skipped, the whole file is checked first, and BadRowsError is raised before anything changes. Also raises
        CsvError, OSError and SchemaError.
        """
        console = Console(stderr=True)
        with _opened(self.errors) as errors, progress(console, self.path) as begin:
            bad = BadRows(console, self.limits, errors)
            try:
                async with migrated_pool(database_url) as pool:
                    categories = await bulk.tax_categories(pool)
                    if not self.skip:
                        await self._check(pool, bad, categories, begin("checking"))
                    await pool.execute(SET_CURRENCY, self.currency)
                    return await self._write(pool, bad, categories, begin("importing"))
            finally:
                bad.end()

    async def _check(self, pool: "Pool", bad: BadRows, categories: Collection[str], advance: Advance) -> None:
        for batch in _batches(self._good(bad, categories, advance), self.limits.batch_rows):
            await _fitting(pool, bad, batch)
        if bad.count:
            raise BadRowsError(f"{bad.count} rows of {self.path} are bad, so nothing was imported; --on-error skip imports the others")

    async def _write(self, pool: "Pool", bad: BadRows, categories: Collection[str], advance: Advance) -> Outcome:
        actor, outcome = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}"), Outcome()
        for rows in _batches(self._good(bad, categories, advance), self.limits.batch_rows):
            batch = await _fitting(pool, bad, rows)
            if bad.count and not self.skip:
                raise CsvError(f"{self.path} or the shop changed while it was imported; what came before line {rows[0].line} is imported")
            if not batch:
                continue
            source = f"{self.path.name}, lines {batch[0].line} to {batch[-1].line}"
            written = await bulk.write(pool, [row.product for row in batch], source, actor)
            outcome.created += written.created
            outcome.updated += written.updated
            outcome.unchanged += len(batch) - written.created - written.updated
        outcome.bad = bad.count
        return outcome

    def _good(self, bad: BadRows, categories: Collection[str], advance: Advance) -> Iterator[Row]:
        found = products_csv.read(
            self.path,
            self.limits,
            advance,
            tax_categories=categories,
            pictures_url=self.pictures_url,
            spreadsheet_safe=self.spreadsheet_safe,
        )
        for row in found:
            if isinstance(row, BadRow):
                bad.tell(row)
            else:
                yield row


async def export(database_url: str, path: Path | None, *, spreadsheet_safe: bool = False) -> tuple[int, int]:
    """Write the catalog as CSV, to standard output or to a file that appears once it is complete.

    Returns how many products were written, and how many were left out because they have no SKU.
    """
    async with migrated_pool(database_url) as pool:
        with output(path) as file:
            return await bulk.export(pool, file, spreadsheet_safe=spreadsheet_safe)


async def _fitting(pool: "Pool", bad: BadRows, batch: list[Row]) -> list[Row]:
    """Return the rows of a batch that fit into the groups of the shop; report the others."""
    refused = await bulk.refused(pool, [row.product for row in batch])
    for row in batch:
        if reason := refused.get(row.product.sku):
            bad.tell(BadRow(row.line, row.product.sku, reason))
    return [row for row in batch if row.product.sku not in refused]


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, size)):
        yield batch


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(BadRow._fields)
        yield file


@contextlib.contextmanager
def progress(console: Console, path: Path) -> Iterator[Callable[[str], Advance]]:
    """Show progress bars on a terminal, by the bytes read from a file; the block opens one bar for each pass over the file."""
    size = path.stat().st_size
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def begin(what: str) -> Advance:
            task = bars.add_task(what, total=size)
            return lambda count: bars.advance(task, count)

        yield begin
