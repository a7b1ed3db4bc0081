"""The cursors of the consumers of the change feed.

A cursor moves in the transaction in which its consumer handles the events, so each event takes effect once, with any number of workers.
Consumers read events below the oldest running transaction, so they miss no event, however late its transaction commits.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from mercato_server.database.pool import Conn, Pool, refusal
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.errors import Conflict, DatabaseUnavailable
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.store.events import Cursor, Entry, entries

Handle = Callable[["Conn", Sequence[Entry]], Awaitable[None]]
OnGap = Callable[["Conn", datetime], Awaitable[None]]

LAST_ID = 2**63 - 1
UNKNOWN_LOST_S = 24 * 60 * 60
"""Time after which an unknown consumer is lost. It may belong to the next release, whose workers move its cursor once a minute."""

OPEN_CURSOR = """
INSERT INTO feed_cursors (name, xid, id)
VALUES ($1, (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8, 9223372036854775807)
    ON CONFLICT (name) DO NOTHING
"""

GET_CURSOR = "SELECT xid::text AS xid, id FROM feed_cursors WHERE name = $1"

LOCK_CURSOR = """
SELECT xid::text AS xid, id, moved_at, lost_at IS NOT NULL AS lost
  FROM feed_cursors
 WHERE name = $1
   FOR UPDATE
"""

GET_BACKLOG = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid,
       pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
       (SELECT extract(epoch FROM now() - created_at)::float8
          FROM events
         WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
           AND kind = ANY($3::text[])
         ORDER BY xid, id
         LIMIT 1) AS waiting_s
"""

READ_PENDING = """
SELECT xid::text AS position, id, kind, subject_id, payload, created_at, traceparent
  FROM events
 WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND kind = ANY($3::text[])
 ORDER BY xid, id
 LIMIT $4
"""

MOVE_CURSOR = "UPDATE feed_cursors SET xid = $2::text::xid8, id = $3, moved_at = now(), failures = 0 WHERE name = $1"

ADVANCE_IDLE = """
UPDATE feed_cursors
   SET xid = $2::text::xid8, id = $3, moved_at = now()
 WHERE name = $1 AND lost_at IS NULL AND (xid, id) <= ($2::text::xid8, $3::bigint) AND moved_at < now() - make_interval(secs => $4)
"""

COUNT_FAILURE = """
UPDATE feed_cursors SET failures = failures + 1 WHERE name = $1 AND xid = $2::text::xid8 AND id = $3 RETURNING failures
"""

QUARANTINE_EVENT = """
INSERT INTO feed_quarantine (consumer, xid, event_id, kind, subject_id, payload, created_at, tries, failure)
SELECT $1, xid, id, kind, subject_id, payload, created_at, $4, $5 FROM events WHERE xid = $2::text::xid8 AND id = $3
"""

RESUME = """
UPDATE feed_cursors SET lost_at = NULL, moved_at = now(), failures = 0 WHERE name = $1
"""

MARK_LOST = """
UPDATE feed_cursors
   SET lost_at = now()
 WHERE lost_at IS NULL AND moved_at < now() - make_interval(secs => CASE WHEN name = ANY($1::text[]) THEN $2 ELSE $3::float8 END)
RETURNING name
"""


class Backlog(NamedTuple):
    """The state of the feed after a consumer's cursor."""

    end: Cursor
    """The last place up to which events can be read."""
    xmax: int
    """The first transaction id that was not assigned yet."""
    waiting_s: float | None
    """The age of the consumer's first unread event; None if there is none."""


class ConsumerLostError(Exception):
    """The consumer's cursor has not moved for so long that the sweep may have deleted unread events."""


class EventsFailedError(Exception):
    """The consumer could not handle some events, for the reason in the cause. The transaction was rolled back."""

    def __init__(self, after: Cursor, pending: Sequence[Entry]) -> None:
        super().__init__(after, pending)
        self.after = after
        """The cursor, which has not moved."""
        self.pending = pending


async def open_cursor(pool: "Pool", name: ConsumerName) -> None:
    """Create a consumer's cursor at the end of the feed, unless it exists."""
    await pool.execute(OPEN_CURSOR, name)


async def get(pool: "Pool", name: ConsumerName) -> Cursor:
    """Return the place up to which a consumer has handled its events."""
    row = await pool.fetchrow(GET_CURSOR, name)
    if row is None:
        raise ConsumerLostError(name)
    return Cursor(int(row["xid"]), row["id"])


async def backlog(pool: "Pool", after: Cursor, kinds: Collection[EventKind]) -> Backlog:
    """Return the state of the feed after a place, for a consumer of these kinds."""
    row = await pool.fetchrow(GET_BACKLOG, str(after.xid), after.id, list(kinds))
    assert row is not None  # noqa: S101 - the statement has no condition
    return Backlog(Cursor(int(row["xid"]), LAST_ID), int(row["xmax"]), row["waiting_s"])


@retry_conflicts
async def take(pool: "Pool", name: ConsumerName, kinds: Collection[EventKind], limit: int, handle: Handle) -> int:
    """Handle at most `limit` events and move the cursor past them, in one transaction; return the number of events.

    Raises EventsFailedError if the handler fails and the database is not the cause; raises ConsumerLostError.
    """
    async with transaction(pool) as conn:
        row = await conn.fetchrow(LOCK_CURSOR, name)
        if row is None or row["lost"]:
            raise ConsumerLostError(name)
        pending = entries(await conn.fetch(READ_PENDING, row["xid"], row["id"], list(kinds), limit))
        if pending:
            await run(handle, conn, pending, EventsFailedError(Cursor(int(row["xid"]), row["id"]), pending))
            await _move(conn, name, pending[-1].cursor)
        return len(pending)


async def advance_idle(pool: "Pool", name: ConsumerName, to: Cursor, after_s: float) -> None:
    """Move a cursor past events of other kinds, if it has not moved for `after_s` seconds."""
    await pool.execute(ADVANCE_IDLE, name, str(to.xid), to.id, after_s)


@retry_conflicts
async def count_failure(pool: "Pool", name: ConsumerName, failed: EventsFailedError, failure: str, tries: int) -> tuple[int, bool]:
    """Count a failure of a single event; after `tries` failures, put it into quarantine and move the cursor past it.

    Returns the number of failures (0 if another worker has handled the event meanwhile), and whether the event is now in quarantine.
    """
    [event] = failed.pending
    async with transaction(pool) as conn:
        failures = await conn.fetchval(COUNT_FAILURE, name, str(failed.after.xid), failed.after.id) or 0
        if failures < tries:
            return failures, False
        await conn.execute(QUARANTINE_EVENT, name, str(event.cursor.xid), event.cursor.id, failures, failure)
        await _move(conn, name, event.cursor)
        return failures, True


@retry_conflicts
async def resume(pool: "Pool", name: ConsumerName, on_gap: OnGap) -> datetime | None:
    """Resume a lost consumer at its cursor; return the time since which it may have missed events, None if it was not lost."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(LOCK_CURSOR, name)
        if row is None or not row["lost"]:
            return None
        since: datetime = row["moved_at"]
        await on_gap(conn, since)
        await conn.execute(RESUME, name)
        return since


async def mark_lost(pool: "Pool", after_s: float) -> list[str]:
    """Mark consumers as lost whose cursors have not moved for `after_s` seconds, at most a day for unknown ones; return their names.

    The sweep then deletes events that they have not read.
    """
    rows = await pool.fetch(MARK_LOST, list(ConsumerName), after_s, min(after_s, UNKNOWN_LOST_S))
    return [row["name"] for row in rows]


async def run(handle: Handle, conn: "Conn", events: Sequence[Entry], failed: Exception) -> None:
    """Run a consumer's handler; raise `failed` from its error.

    An error that is unrelated to the events is raised itself: a conflict with other transactions, or an unavailable database.
    """
    try:
        await handle(conn, events)
    except Exception as error:
        if isinstance(refusal(error), Conflict | DatabaseUnavailable):
            raise
        raise failed from error


async def _move(conn: "Conn", name: ConsumerName, to: Cursor) -> None:
    await conn.execute(MOVE_CURSOR, name, str(to.xid), to.id)
