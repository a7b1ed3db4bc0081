"""The commands of `mercato taxes`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.cli.running import DataDir, SpreadsheetSafe, database_url, run

if TYPE_CHECKING:
    from mercato_server.cli.whole_files import Outcome

app = typer.Typer(help="Tax rates from and to CSV.", no_args_is_help=True)


@app.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8.")],
    spreadsheet_safe: SpreadsheetSafe = False,
    data_dir: DataDir = None,
) -> None:
    """Create and change tax rates from a CSV file, in DATABASE_URL or in a data directory of `mercato up`.

    The first line names the columns: country_code, name, percent or rate_ppm, and any of region, tax_category, valid_from, valid_until and
    parts (such as State=6;City=1.5). A rate of the file is the rate of the shop with the same country, region, category and valid_from; its
    percentage cannot be changed. Rates that the file does not name stay. One bad line makes the import change nothing, with exit code 1.
    """
    created, updated, unchanged = run(_import(data_dir, file, spreadsheet_safe=spreadsheet_safe))
    typer.echo(f"{created} created, {updated} updated, {unchanged} unchanged")


@app.command("export")
def export_rates(
    file: Annotated[Path | None, typer.Argument(help="File to write; it appears once it is complete. Default: standard output.")] = None,
    spreadsheet_safe: SpreadsheetSafe = False,
    data_dir: DataDir = None,
) -> None:
    """Write the tax rates that are not archived as the CSV that `mercato taxes import` takes.

    Import a file that was exported with --spreadsheet-safe with the same option.
    """
    typer.echo(f"{run(_export(data_dir, file, spreadsheet_safe=spreadsheet_safe))} tax rates", err=True)


async def _import(data_dir: Path | None, file: Path, *, spreadsheet_safe: bool) -> "Outcome":
    from mercato_server.cli.tax_files import import_file

    async with database_url(data_dir) as url:
        return await import_file(file, url, spreadsheet_safe=spreadsheet_safe)


async def _export(data_dir: Path | None, file: Path | None, *, spreadsheet_safe: bool) -> int:
    from mercato_server.cli.tax_files import export_file

    async with database_url(data_dir) as url:
        return await export_file(file, url, spreadsheet_safe=spreadsheet_safe)
