"""The version of the price rules, which workers keep in memory."""

from mercato_server.database.pool import Conn

LOCK_RULES = "SELECT version FROM price_rules FOR UPDATE"

# A transaction that does not lock the row first locks it last here, so such writers wait for each other only at their end.
RAISE_VERSION = "UPDATE price_rules SET version = version + 1"


async def lock(conn: "Conn") -> None:
    """Wait until no other transaction writes rules of the kinds whose writers take turns by this lock; docs/transactions.md names them.

    So limits are exact, an area belongs to one zone, and no rate names a zone or tax category that is being archived. Tax rates that
    overlap are not written at once: their exclusion constraint would also refuse the second, but without the id of the first.
    """
    await conn.execute(LOCK_RULES)


async def changed(conn: "Conn") -> None:
    """Raise the version, in the transaction that changes a rule; the last statement that locks."""
    await conn.execute(RAISE_VERSION)
