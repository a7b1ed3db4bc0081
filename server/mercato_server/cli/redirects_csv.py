"""`mercato import` and `mercato export` of redirects: a file with the columns of Shopify's URL redirects."""

import functools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from mercato_server.cli import whole_files
from mercato_server.cli.catalog_import import BadRowsError
from mercato_server.cli.csv_records import Malformed, Record, records
from mercato_server.cli.moving_in import LEFT_OUT, Report, opened
from mercato_server.cli.products_csv import CsvError
from mercato_server.cli.running import migrated_pool, output
from mercato_server.cli.shop_files import Remark, Weight
from mercato_server.cli.whole_files import Cells
from mercato_server.domain import redirects as rules
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.redirects import AddressError, Incoming
from mercato_server.domain.refused_lines import Refused
from mercato_server.store import redirects
from mercato_server.validation.checks import Checks

COLUMNS = ("redirect from", "redirect to")
LINE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectImport:
    """An import of a file of redirects."""

    path: Path
    refuse: bool = False
    """Whether bad lines make the import change nothing; otherwise the others are imported."""
    errors: Path | None = None
    """A file for the lines that are left out, as CSV."""
    public_url: str = ""
    """The address of the shop's pages, whose host addresses may name."""

    async def run(self, database_url: str) -> Report:
        """Import the file, 1,000 redirects a transaction. Raises BadRowsError, CsvError, OSError or SchemaError."""
        with opened(self.errors) as errors:
            report = Report(errors, dict.fromkeys(("created", "updated", "unchanged", LEFT_OUT), 0))
            rows = list(self._read(report.take))
            async with migrated_pool(database_url) as pool:
                slugs = {place.slug for row in rows for place in (row.source, row.target)}
                plan = rules.plan(rows, await redirects.held(pool, slugs))
                for line, reason in plan.refused:
                    report.take(Remark(line, "", Weight.BAD, reason))
                if self.refuse and report.bad:
                    report.show(lambda text: Console(stderr=True).print(text, soft_wrap=True, markup=False, highlight=False))
                    raise BadRowsError(f"{report.bad} lines of {self.path} are bad, so nothing was imported")
                actor = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}")
                kept = iter(plan.kept)
                while batch := list(islice(kept, redirects.BATCH)):
                    source = f"{self.path.name}, lines {batch[0].line} to {batch[-1].line}"
                    results = await redirects.write(pool, batch, source, actor)
                    for each in batch:
                        _tell(report, each.line, each.slug, results[each.line])
        return report

    def _read(self, take: Callable[[Remark], None]) -> Iterator[Incoming]:
        """Yield the good lines, and tell the bad ones. Raises CsvError."""
        host = urlsplit(self.public_url).hostname
        hosts = {host} if host else set()
        with self.path.open("rb") as file:
            found = records(file, LINE_BYTES_MAX, lambda _: None)
            columns = _columns(next(found, None))
            for count, record in enumerate(found, 1):
                if count > rules.LINES_MAX:
                    raise CsvError(f"{self.path} has more than {rules.LINES_MAX} redirects; split it")
                row = whole_files.row(columns, record, functools.partial(_incoming, line=record.first, hosts=hosts))
                if isinstance(row, Refused):
                    take(Remark(row.line, "", Weight.BAD, row.reason))
                else:
                    yield row


def is_of_redirects(path: Path) -> bool:
    """Tell whether a file has the header of redirects. Raises OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(_columns(next(records(file, LINE_BYTES_MAX, lambda _: None), None)))


async def export_file(path: Path | None, database_url: str) -> int:
    """Write all redirects to standard output, or to a file that appears once it is complete; return their number."""
    async with migrated_pool(database_url) as pool:
        with output(path) as file:
            return await redirects.export(pool, file)


def _columns(header: Record | Malformed | None) -> list[str]:
    """Return the names of the columns in lower case; an empty list for the header of another file."""
    columns = [cell.strip().lower() for cell in header.cells] if isinstance(header, Record) else []
    return columns if sorted(columns) == sorted(COLUMNS) else []


def _incoming(check: Checks, cells: Cells, line: int, hosts: set[str]) -> Incoming:
    places = []
    for column in COLUMNS:
        try:
            places.append(rules.place(cells[column], hosts))
        except AddressError as error:
            check.fail(column, "{problem}", problem=str(error))
            places.append(rules.Place((), ""))
    return Incoming(line, *places)


def _tell(report: Report, line: int, slug: str, result: str) -> None:
    if result in report.counts:
        report.written(result, line, slug)
    else:
        report.take(Remark(line, "", Weight.BAD, result))
