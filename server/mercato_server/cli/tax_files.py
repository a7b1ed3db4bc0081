"""`mercato taxes import` and `mercato taxes export`: read or write a file, and report its bad lines."""

import uuid
from pathlib import Path

from mercato_server.cli import tax_rates_csv
from mercato_server.cli.running import migrated_pool, output
from mercato_server.cli.whole_files import Outcome, refusal
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.store import tax_rate_files
from mercato_server.store.tax_rate_files import RatesRefusedError


async def import_file(path: Path, database_url: str, *, spreadsheet_safe: bool) -> Outcome:
    """Import a file in one transaction. Raises BadRowsError if lines are bad, and CsvError, OSError, TaxRateLimit and SchemaError."""
    found = tax_rates_csv.read(path, spreadsheet_safe=spreadsheet_safe)
    if found.bad:
        raise refusal(path, found.bad)
    actor = COMMAND_LINE._replace(request_id=f"import-{uuid.uuid4()}")
    async with migrated_pool(database_url) as pool:
        try:
            created, updated = await tax_rate_files.write(pool, found.incoming, found.fields, path.name, actor)
        except RatesRefusedError as error:
            raise refusal(path, error.refused) from None
    return Outcome(created, updated, len(found.incoming) - created - updated)


async def export_file(path: Path | None, database_url: str, *, spreadsheet_safe: bool) -> int:
    """Write the live rates to standard output, or to a file that appears once it is complete; return their number."""
    async with migrated_pool(database_url) as pool:
        rates = await tax_rate_files.export(pool)
    with output(path) as file:
        tax_rates_csv.write(file, rates, spreadsheet_safe=spreadsheet_safe)
    return len(rates)
