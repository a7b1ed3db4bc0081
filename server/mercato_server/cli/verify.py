"""`mercato verify`: checks the invariants of a database and prints the findings."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from mercato_server.config.picture_settings import PictureSettings
from mercato_server.database import migrations
from mercato_server.database.connections import connect
from mercato_server.database.pool import Conn, refusal
from mercato_server.database.session_settings import FOR_COMMANDS
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.domain.picture_errors import PicturesUnavailable
from mercato_server.pictures.missing import find
from mercato_server.pictures.storage import storage_of
from mercato_server.store.verify import Finding, inspect, verify

LANES = 2
"""Connections over which the checks are spread."""
EVERYTHING_EVERY_S = 60.0
"""Interval of full checks of a watch: deleted rows are not among the rows that changed."""
SAMPLE = 200
"""Orders that each pass of a watch recomputes, the newest of those that it checks."""
COLUMNS = ("invariant", "violations", "ms", "what holds")


class VerifyError(Exception):
    """The database cannot be checked; the message says why."""


async def check(database_url: str, *, deep: bool = False, pictures: PictureSettings | None = None) -> list[Finding]:
    """Check every invariant of a database, in one snapshot; a deep check also recomputes the price of every order.

    After that it looks for the files of all pictures where their settings are given and name a storage. Raises VerifyError if the database
    or the storage cannot be reached, and SchemaError if the schema is not that of this release.
    """
    storage = storage_of(pictures) if pictures else None
    async with _lanes(database_url) as conns:
        found = await verify(*conns, recompute=None if deep else 0)
        try:
            return [*found, await find(conns[0], storage)] if storage else found
        except PicturesUnavailable as error:
            raise VerifyError(str(error)) from None


async def watch(database_url: str, interval_s: float, console: Console, *, deep: bool = False) -> list[Finding]:
    """Check everything, then repeatedly the changes since the last pass, until an invariant is violated; return the last findings.

    A full check follows once a minute, and at the end, which SIGINT and SIGTERM request. Each pass has its own snapshot and prints a line.
    It recomputes the price of each order that it checks if it is deep, else of the newest of them. Raises as `check`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    async with _lanes(database_url) as conns:
        line, all_due = None, loop.time()
        while True:
            last, start = stop.is_set(), loop.time()
            if last or start >= all_due:
                line, all_due = None, start + EVERYTHING_EVERY_S
            found = await inspect(*conns, since=line, recompute=None if deep else SAMPLE)
            violations = sum(finding.violations for finding in found.findings)
            what = "what changed" if line else "everything"
            _print(
                console, f"{datetime.now(UTC):%H:%M:%S} checked {what} in {(loop.time() - start) * 1000:.0f} ms: {violations} violations"
            )
            if last or violations:
                return found.findings
            line = found.line
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval_s)


@asynccontextmanager
async def _lanes(database_url: str) -> AsyncIterator[list["Conn"]]:
    """Yield connections to a database with this release's schema; raises VerifyError if they are lost during the block."""
    try:
        async with AsyncExitStack() as stack:
            conns: list[Conn] = []
            for _ in range(LANES):
                conn = await connect(database_url, server_settings=FOR_COMMANDS)
                stack.push_async_callback(conn.close)
                conns.append(conn)
            await migrations.require(conns[0])
            yield conns
    except Exception as error:
        if isinstance(refusal(error), DatabaseUnavailable):
            raise VerifyError(f"cannot reach the database: {str(error) or type(error).__name__}") from error
        raise


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a line for each invariant, as a table on a terminal, then the first violating rows."""
    rows = [(item.invariant.name, str(item.violations), f"{item.elapsed_s * 1000:.0f}", item.invariant.description) for item in findings]
    if console.is_terminal:
        table = Table(*COLUMNS)
        for item, row in zip(findings, rows, strict=True):
            table.add_row(*row, style="bold red" if item.violations else None)
        console.print(table)
    else:
        widths = [max(len(row[column]) for row in (COLUMNS, *rows)) for column in range(len(COLUMNS))]
        for row in (COLUMNS, *rows):
            _print(console, "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for item in findings:
        for example in item.examples:
            _print(console, f"{item.invariant.name}: {example}")
        if more := item.violations - len(item.examples):
            _print(console, f"{item.invariant.name}: and {more} more")


def _print(console: Console, line: str) -> None:
    """Print a line without wrapping ids and without interpreting customers' text as markup."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
