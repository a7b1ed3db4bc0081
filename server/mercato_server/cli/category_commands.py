"""The commands of `mercato categories`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.cli.running import DataDir, SpreadsheetSafe, database_url, run

if TYPE_CHECKING:
    from mercato_server.cli.whole_files import Outcome

app = typer.Typer(help="The category tree from and to CSV.", no_args_is_help=True)


@app.command("import")
def import_categories(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8.")],
    spreadsheet_safe: SpreadsheetSafe = False,
    data_dir: DataDir = None,
) -> None:
    """Create, change and move categories from a CSV file, in DATABASE_URL or in a data directory of `mercato up`.

    The first line names the columns: name, and any of slug, parent (a slug or a name; empty for the top), position and description. A line
    is the category with its slug, else the one with its name, else a new one. A column that is left out changes nothing, and categories
    that the file does not name stay. One bad line makes the import change nothing, with exit code 1.
    """
    created, updated, unchanged = run(_import(data_dir, file, spreadsheet_safe=spreadsheet_safe))
    typer.echo(f"{created} created, {updated} updated, {unchanged} unchanged")


@app.command("export")
def export_categories(
    file: Annotated[Path | None, typer.Argument(help="File to write; it appears once it is complete. Default: standard output.")] = None,
    spreadsheet_safe: SpreadsheetSafe = False,
    data_dir: DataDir = None,
) -> None:
    """Write all categories as the CSV that `mercato categories import` takes.

    Import a file that was exported with --spreadsheet-safe with the same option.
    """
    typer.echo(f"{run(_export(data_dir, file, spreadsheet_safe=spreadsheet_safe))} categories", err=True)


async def _import(data_dir: Path | None, file: Path, *, spreadsheet_safe: bool) -> "Outcome":
    from mercato_server.cli.category_files import import_file

    async with database_url(data_dir) as url:
        return await import_file(file, url, spreadsheet_safe=spreadsheet_safe)


async def _export(data_dir: Path | None, file: Path | None, *, spreadsheet_safe: bool) -> int:
    from mercato_server.cli.category_files import export_file

    async with database_url(data_dir) as url:
        return await export_file(file, url, spreadsheet_safe=spreadsheet_safe)
