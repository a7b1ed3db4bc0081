"""CSV for spreadsheets and accounting, which PostgreSQL writes."""

from collections.abc import Sequence
from typing import Any, BinaryIO

from mercato_server.database.pool import Conn

COPY_TIMEOUT_S = 24 * 3600.0


async def write_csv(
    conn: "Conn",
    query: str,
    *arguments: Any,
    output: BinaryIO,
    force_quote: bool | Sequence[str] | None = None,
    timeout_s: float = COPY_TIMEOUT_S,
) -> int:
    """Write the rows of a query, with a header; return their number. Memory does not grow with it.

    `force_quote` names the columns whose cells always have quotes; True stands for all.
    """
    status = await conn.copy_from_query(
        query, *arguments, output=output, format="csv", header=True, force_quote=force_quote, timeout=timeout_s
    )
    return int(status.rpartition(" ")[2])


def protected(column: str) -> str:
    """Return an expression that shows the text of a column so that a spreadsheet does not run it.

    A spreadsheet takes a cell for a formula if it begins with one of these characters, also in full width (OWASP, CSV Injection). It takes
    no cell with an apostrophe before it for one. Cells that begin with an apostrophe get another one, so that an import can remove the
    first.
    """
    return rf"regexp_replace({column}, '^[''=+@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20-]', '''\&')"
