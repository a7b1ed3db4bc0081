"""`mercato import` of another shop's product file, with a report of what it took and what it left out."""

import csv
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rich.console import Console

from mercato_server.cli import moved_products
from mercato_server.cli.catalog_import import BadRowsError, progress
from mercato_server.cli.running import migrated_pool
from mercato_server.cli.shop_files import Header, Remark, Spool, Weight, header, spooled
from mercato_server.cli.shopify_csv import ShopifyFile
from mercato_server.cli.woocommerce_csv import WooCommerceFile
from mercato_server.config.settings import ImportLimits
from mercato_server.database.pool import GET_CURRENCY, SET_CURRENCY
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.moved_goods import MovedProduct

KINDS = (ShopifyFile(), WooCommerceFile())
"""The kinds of files that are known by their header."""
SHOWN_MAX = 100
"""Lines of each part of a report that are shown."""
LEFT_OUT = "left out as bad"
_PARTS = {Weight.BAD: LEFT_OUT, Weight.NOT_FOR_SALE: "left out as not for sale", Weight.CHANGED: "taken in part"}


@dataclass(slots=True)
class Report:
    """The lines of a file by their result: the number of each part, and its first lines."""

    errors: TextIO | None = None
    """A file for all remarks, as CSV."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("created", "updated", "unchanged", *_PARTS.values()), 0))
    shown: dict[str, list[str]] = field(default_factory=dict)

    def written(self, part: str, line: int, product: str) -> None:
        """Take a line that is in the shop now."""
        self._add(part, f"line {line} ({product})")

    def take(self, remark: Remark) -> None:
        """Take a remark."""
        part = _PARTS[remark.weight]
        self._add(part, f"line {remark.line}{f' ({remark.product})' if remark.product else ''}: {remark.reason}")
        if self.errors:
            csv.writer(self.errors, lineterminator="\n").writerow((remark.line, remark.product, part, remark.reason))

    @property
    def bad(self) -> int:
        """The number of lines that were left out because they are bad."""
        return self.counts[LEFT_OUT]

    def show(self, echo: Callable[[str], object]) -> None:
        """Print the parts, each with its first lines, then all numbers."""
        for part, count in self.counts.items():
            if count and part != "unchanged":
                echo(f"{part}:")
                for line in self.shown[part]:
                    echo(f"  {line}")
                if (more := count - len(self.shown[part])) > 0:
                    echo(f"  and {more} more")
        echo(", ".join(f"{count} {part}" for part, count in self.counts.items()))

    def _add(self, part: str, text: str) -> None:
        self.counts[part] += 1
        lines = self.shown.setdefault(part, [])
        if len(lines) < SHOWN_MAX:
            lines.append(_printable(text))


def _printable(text: str) -> str:
    """Return a text of one line, in which characters of cells that a terminal would obey are escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveIn:
    """An import of another shop's file."""

    path: Path
    head: Header
    refuse: bool = False
    """Whether bad lines make the import change nothing; otherwise the others are imported."""
    errors: Path | None = None
    """A file for all remarks, as CSV: line, product, result, reason."""
    currency: str
    """The currency of the prices if the shop has none yet, since no worker has run."""
    pictures_url: str = ""
    """Base of the URLs of the shop's own pictures, which are left out."""
    limits: ImportLimits = field(default_factory=ImportLimits)

    async def run(self, database_url: str) -> Report:
        """Import the file, about a thousand products at a time. A second run goes on where a killed one ended.

        Raises BadRowsError, CsvError, OSError or SchemaError.
        """
        with opened(self.errors) as errors, progress(Console(stderr=True), self.path) as begin:
            report = Report(errors)
            with spooled(self.path, self.head, self.limits, begin("reading"), report.take) as spool:
                async with migrated_pool(database_url) as pool:
                    await pool.execute(SET_CURRENCY, self.currency)
                    currency = await pool.fetchval(GET_CURRENCY)
                    if self.refuse:
                        self._check(spool, currency, report)
                    actor = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}")
                    writer = moved_products.Writer(pool, actor, self.path.name, report.take, report.written)
                    for batch in _batches(moved_products.checked(spool, currency, report.take, self.pictures_url), self.limits.batch_rows):
                        await writer.write(batch)
        return report

    def _check(self, spool: Spool, currency: str, report: Report) -> None:
        found = Report(report.errors, report.counts.copy(), {part: lines.copy() for part, lines in report.shown.items()})
        for _ in moved_products.checked(spool, currency, found.take, self.pictures_url):
            pass
        if found.bad:
            found.show(lambda text: Console(stderr=True).print(text, soft_wrap=True, markup=False, highlight=False))
            raise BadRowsError(f"{found.bad} lines of {self.path} are bad, so nothing was imported")


def recognised(path: Path) -> Header | None:
    """Return the header of another shop's file; None for any other file. Raises CsvError or OSError."""
    return header(path, ImportLimits(), KINDS)


def _batches(products: Iterable[MovedProduct], variants_max: int) -> Iterator[list[MovedProduct]]:
    """Yield products together that have about so many variants."""
    batch: list[MovedProduct] = []
    count = 0
    for product in products:
        batch.append(product)
        count += len(product.variants)
        if count >= variants_max:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO | None]:
    """Yield a file for all remarks of a report, with its header; None without a path."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(("line", "product", "result", "reason"))
        yield file
