"""`mercato categories import` and `mercato categories export`: read or write a file, and report its bad lines."""

import uuid
from pathlib import Path

from mercato_server.cli import categories_csv
from mercato_server.cli.running import migrated_pool, output
from mercato_server.cli.whole_files import Outcome, refusal
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.store import category_files
from mercato_server.store.category_files import CategoriesRefusedError


async def import_file(path: Path, database_url: str, *, spreadsheet_safe: bool) -> Outcome:
    """Import a file in one transaction. Raises BadRowsError if lines are bad, and CsvError, OSError and SchemaError."""
    found = categories_csv.read(path, spreadsheet_safe=spreadsheet_safe)
    if found.bad:
        raise refusal(path, found.bad)
    actor = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}")
    async with migrated_pool(database_url) as pool:
        try:
            created, updated = await category_files.write(pool, found.incoming, path.name, actor)
        except CategoriesRefusedError as error:
            raise refusal(path, error.refused) from None
    return Outcome(created, updated, len(found.incoming) - created - updated)


async def export_file(path: Path | None, database_url: str, *, spreadsheet_safe: bool) -> int:
    """Write all categories to standard output, or to a file that appears once it is complete; return their number."""
    async with migrated_pool(database_url) as pool:
        with output(path) as file:
            return await category_files.export(pool, file, spreadsheet_safe=spreadsheet_safe)
