"""Mails about orders, made of the change feed: a checkout pays nothing for them.

The cursor is moved in the transaction that queues the mails, so each order has each of its mails once, however many workers read.
"""

from dataclasses import replace

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.store.events import Cursor

_NAME = "order mails"
KINDS = ("order.placed", "order.cancelled")
LAST_ID = 2**63 - 1

OPEN_CURSOR = """
INSERT INTO feed_cursors (name, xid, id)
VALUES ($1, (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8, 9223372036854775807)
    ON CONFLICT (name) DO NOTHING
"""

GET_CURSOR = "SELECT xid::text AS xid, id FROM feed_cursors WHERE name = $1"

LOCK_CURSOR = "SELECT xid::text AS xid, id FROM feed_cursors WHERE name = $1 FOR UPDATE"

HAS_NEWS = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid,
       EXISTS (SELECT
                 FROM events
                WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
                  AND kind = ANY($3::text[])) AS found
"""

QUEUE_MAILS = """
WITH news AS (
    SELECT xid, id, kind, subject_id
      FROM events
     WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND kind = ANY($3::text[])
     ORDER BY xid, id
     LIMIT $4
), mail AS (
    INSERT INTO mails (template, address, order_id)
    SELECT replace(news.kind, '.', '_'), account.email, placed.id
      FROM news
      JOIN orders AS placed ON placed.id = news.subject_id
      JOIN accounts AS account ON account.id = placed.account_id
     ORDER BY news.xid, news.id
        ON CONFLICT (order_id, template) WHERE order_id IS NOT NULL DO NOTHING
    RETURNING id
), job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status)
    SELECT 0, 'mail', uuid_send(id), 'mail:' || id, 'queued' FROM mail
), moved AS (
    UPDATE feed_cursors
       SET xid = last.xid, id = last.id
      FROM (SELECT xid, id FROM news ORDER BY xid DESC, id DESC LIMIT 1) AS last
     WHERE name = $5
)
SELECT count(*) FROM news
"""


async def open_cursor(pool: "Pool") -> None:
    """Begin with the orders that are to come, if nobody has begun before."""
    await pool.execute(OPEN_CURSOR, _NAME)


async def cursor(pool: "Pool") -> Cursor:
    """Return the place up to which orders have their mails."""
    row = await pool.fetchrow(GET_CURSOR, _NAME)
    return Cursor(int(row["xid"]), row["id"]) if row else Cursor()


async def look(pool: "Pool", after: Cursor) -> tuple[Cursor, bool]:
    """Tell whether anything has happened to orders after a place, and return the place up to which that is true."""
    row = await pool.fetchrow(HAS_NEWS, str(after.xid), after.id, KINDS)
    assert row is not None  # noqa: S101 - the statement has no condition
    return replace(after, xid=int(row["xid"]), id=LAST_ID), row["found"]


@retry_conflicts
async def queue(pool: "Pool", limit: int) -> int:
    """Queue the mails of what has happened to orders, oldest first; return how much that was, at most `limit`."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(LOCK_CURSOR, _NAME)
        if row is None:
            return 0
        return int(await conn.fetchval(QUEUE_MAILS, row["xid"], row["id"], KINDS, limit, _NAME))
