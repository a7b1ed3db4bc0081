"""What `mercato verify` does: check a database, and show what was found."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import asyncpg
from rich.console import Console
from rich.table import Table

from mercato_server import schema
from mercato_server.db import Conn, refusal
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.schema import SchemaError
from mercato_server.store.verify import Finding, verify

LANES = 2
"""Connections that share the work."""
CONNECT_TIMEOUT_S = 5.0
COLUMNS = ("invariant", "violations", "ms", "what holds")


class AuditError(Exception):
    """There is nothing to check; the message says why."""


async def audit(database_url: str) -> list[Finding]:
    """Check every invariant of a database, in one snapshot.

    Raises AuditError if it cannot be reached, and SchemaError if its schema is not that of this release.
    """
    try:
        async with AsyncExitStack() as stack:
            conns: list[Conn] = []
            for _ in range(LANES):
                conn = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
                stack.push_async_callback(conn.close)
                conns.append(conn)
            await _require_schema(conns[0])
            return await verify(*conns)
    except Exception as error:
        if isinstance(refusal(error), DatabaseUnavailable):
            raise AuditError(f"cannot reach the database: {str(error) or type(error).__name__}") from error
        raise


async def _require_schema(conn: "Conn") -> None:
    if missing := await schema.pending(conn):
        raise SchemaError(f"the database lacks {', '.join(path.name for path in missing)}; run `mercato migrate`")


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a line for each invariant, as a table on a terminal, then the first rows that violate one."""
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
    """Print a line as it is: ids must not be wrapped, and what a customer wrote is no markup."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
