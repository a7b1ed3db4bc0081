"""`mercato export`: products, orders or refunds as CSV."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mercato_server.cli.running import DataDir, database_url, output, run, shop_pool

DAY = "%Y-%m-%d"
FIRST_YEAR = 1970
REDIRECTS = "redirects"
KINDS = ("orders", "refunds", REDIRECTS)
"""The words before a file; without one it has the products."""


def export_csv(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[orders|refunds|redirects] [FILE]",
            help="File to write; it appears once it is complete. Default: standard output. Without one of the words it has the products.",
        ),
    ] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=[DAY], help="First day of the orders or refunds.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=[DAY], help="The day after their last one.")] = None,
    spreadsheet_safe: Annotated[
        bool, typer.Option("--spreadsheet-safe", help="Put an apostrophe before cells that a spreadsheet would run as formulas.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write the products on sale as the CSV that `mercato import` takes, from DATABASE_URL or a data directory of `mercato up`.

    Import a file that was exported with --spreadsheet-safe with the same option.

    With `orders` or `refunds` write those of the days from --from to before --to, in the shop's time zone, for accounting. No spreadsheet
    runs a cell of these files as a formula.

    With `redirects` write the earlier slugs of products, groups and categories, with the columns of Shopify's redirects.
    """
    kind, path = _kind_and_path(words or [])
    if kind != REDIRECTS and kind:
        typer.echo(f"{run(_export_orders(kind, first, end, path, data_dir))} rows", err=True)
        return
    if first or end:
        raise typer.BadParameter("--from and --to are for orders and refunds")
    if kind == REDIRECTS:
        typer.echo(f"{run(_export_redirects(data_dir, path))} redirects", err=True)
        return
    written, left_out = run(_export_products(data_dir, path, spreadsheet_safe=spreadsheet_safe))
    typer.echo(f"{written} products" + (f"; {left_out} without a SKU were left out" if left_out else ""), err=True)


def _kind_and_path(words: Sequence[str]) -> tuple[str, Path | None]:
    """Return one of KINDS, or an empty text for products, and the file; None for standard output."""
    kind = words[0] if words and words[0] in KINDS else ""
    paths = words[bool(kind) :]
    if len(paths) > 1:
        raise typer.BadParameter(f"got unexpected extra argument ({paths[1]})")
    return kind, Path(paths[0]) if paths else None


async def _export_products(data_dir: Path | None, path: Path | None, *, spreadsheet_safe: bool) -> tuple[int, int]:
    from mercato_server.cli.catalog_import import export

    async with database_url(data_dir) as url:
        return await export(url, path, spreadsheet_safe=spreadsheet_safe)


async def _export_redirects(data_dir: Path | None, path: Path | None) -> int:
    from mercato_server.cli.redirects_csv import export_file

    async with database_url(data_dir) as url:
        return await export_file(path, url)


async def _export_orders(kind: str, first: datetime | None, end: datetime | None, path: Path | None, data_dir: Path | None) -> int:
    """Write orders or refunds; return the number of rows. Raises BadParameter unless `end` is a later day than `first`."""
    from mercato_server.store.order_exports import Export, export

    if first is None or end is None:
        raise typer.BadParameter(f"an export of {kind} needs --from and --to; a file of products named {kind} is ./{kind}")
    if first.year < FIRST_YEAR or first >= end:
        raise typer.BadParameter(f"--from must not be before {FIRST_YEAR}, and --to, the day after the last one, must be later than --from")
    async with shop_pool(data_dir) as pool:
        with output(path) as file:
            return await export(pool, Export(kind), first.date(), end.date(), file)
