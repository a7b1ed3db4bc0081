"""`mercato categories import` and `mercato categories export`: read or write a file, and report its bad lines."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from mercato_server.cli import categories_csv
from mercato_server.cli.catalog_import import BadRowsError
from mercato_server.cli.running import migrated_pool, output
from mercato_server.config.settings import ImportLimits
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.category_files import Refused
from mercato_server.store import category_files
from mercato_server.store.category_files import CategoriesRefusedError


class Outcome(NamedTuple):
    """Numbers of categories by their result."""

    created: int
    updated: int
    unchanged: int


async def import_file(path: Path, database_url: str, *, spreadsheet_safe: bool) -> Outcome:
    """Import a file in one transaction. Raises BadRowsError if lines are bad, and CsvError, OSError and SchemaError."""
    found = categories_csv.read(path, spreadsheet_safe=spreadsheet_safe)
    if found.bad:
        raise _refusal(path, found.bad)
    actor = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}")
    async with migrated_pool(database_url) as pool:
        try:
            created, updated = await category_files.write(pool, found.incoming, path.name, actor)
        except CategoriesRefusedError as error:
            raise _refusal(path, error.refused) from None
    return Outcome(created, updated, len(found.incoming) - created - updated)


def _refusal(path: Path, bad: Sequence[Refused]) -> BadRowsError:
    """Report bad lines on standard error, and return the error that ends the import."""
    console, shown_max = Console(stderr=True), ImportLimits().bad_rows_shown
    for line, reason in bad[:shown_max]:
        console.print(f"line {line}: {reason}", soft_wrap=True, markup=False, highlight=False)
    if (more := len(bad) - shown_max) > 0:
        console.print(f"and {more} more", highlight=False)
    return BadRowsError(f"lines of {path} are bad, so nothing was imported")


async def export_file(path: Path | None, database_url: str, *, spreadsheet_safe: bool) -> int:
    """Write all categories to standard output, or to a file that appears once it is complete; return their number."""
    async with migrated_pool(database_url) as pool:
        with output(path) as file:
            return await category_files.export(pool, file, spreadsheet_safe=spreadsheet_safe)
