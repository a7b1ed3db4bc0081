"""The version of the price rules, which workers keep in memory."""

from mercato_server.database.pool import Conn

# The row is locked last in a transaction, so writers of different rules wait for each other only at their end.
RAISE_VERSION = "UPDATE price_rules SET version = version + 1"


async def changed(conn: "Conn") -> None:
    """Raise the version, in the transaction that changes a rule; the last statement that locks."""
    await conn.execute(RAISE_VERSION)
