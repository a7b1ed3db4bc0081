"""Where the consumers of the change feed have got to.

A cursor moves in the transaction of what its consumer makes of the events, so each has its effect once, however many workers read. Events
are read below the oldest running transaction, so none is missed however late it commits.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from mercato_server.database.pool import Conn, Pool, refusal
from mercato_server.database.transactions import CONFLICT, retry_conflicts, transaction
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.store.events import Cursor, Entry, entries

Handle = Callable[["Conn", Sequence[Entry]], Awaitable[None]]
OnGap = Callable[["Conn", datetime], Awaitable[None]]

LAST_ID = 2**63 - 1
UNKNOWN_LOST_S = 24 * 60 * 60
"""A cursor that is not in the code may belong to the next release, whose workers move it once a minute."""

OPEN_CURSOR = """
INSERT INTO feed_cursors (name, xid, id)
VALUES ($1, (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8, 9223372036854775807)
    ON CONFLICT (name) DO NOTHING
"""

GET_CURSOR = "SELECT xid::text AS xid, id FROM feed_cursors WHERE name = $1"

LOCK_CURSOR = "SELECT xid::text AS xid, id, moved_at, lost_at IS NOT NULL AS lost FROM feed_cursors WHERE name = $1 FOR UPDATE"

LOOK = """
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
SELECT xid::text AS position, id, kind, subject_id, payload, created_at
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

RESUME = "UPDATE feed_cursors SET lost_at = NULL, moved_at = now(), failures = 0 WHERE name = $1"

MARK_LOST = """
UPDATE feed_cursors
   SET lost_at = now()
 WHERE lost_at IS NULL AND moved_at < now() - make_interval(secs => CASE WHEN name = ANY($1::text[]) THEN $2 ELSE $3::float8 END)
RETURNING name
"""


class Sight(NamedTuple):
    """What a consumer sees of the feed from where it is."""

    end: Cursor
    """The place up to which events can be read."""
    xmax: int
    """The first transaction that had not begun."""
    waiting_s: float | None
    """The age of the first event that is for the consumer; None if there is none."""


class ConsumerLostError(Exception):
    """The consumer has not moved for so long that events may have been swept which it has not read."""


class EventsFailedError(Exception):
    """The consumer could not handle some events; the cause says why. Nothing of it was committed."""

    def __init__(self, after: Cursor, pending: Sequence[Entry]) -> None:
        super().__init__(after, pending)
        self.after = after
        """The cursor, which has not moved."""
        self.pending = pending


async def open_cursor(pool: "Pool", name: ConsumerName) -> None:
    """Begin with the events that are to come, if nobody has begun before."""
    await pool.execute(OPEN_CURSOR, name)


async def get(pool: "Pool", name: ConsumerName) -> Cursor:
    """Return the place up to which a consumer has handled its events."""
    row = await pool.fetchrow(GET_CURSOR, name)
    if row is None:
        raise ConsumerLostError(name)
    return Cursor(int(row["xid"]), row["id"])


async def look(pool: "Pool", after: Cursor, kinds: Collection[EventKind]) -> Sight:
    """Return what there is to read after a place."""
    row = await pool.fetchrow(LOOK, str(after.xid), after.id, list(kinds))
    assert row is not None  # noqa: S101 - the statement has no condition
    return Sight(Cursor(int(row["xid"]), LAST_ID), int(row["xmax"]), row["waiting_s"])


@retry_conflicts
async def take(pool: "Pool", name: ConsumerName, kinds: Collection[EventKind], limit: int, handle: Handle) -> int:
    """Handle events and move the cursor behind them, in one transaction; return how many they were, at most `limit`.

    Raises EventsFailedError if the handler fails by itself, not for want of the database, and ConsumerLostError.
    """
    async with transaction(pool) as conn:
        row = await conn.fetchrow(LOCK_CURSOR, name)
        if row is None or row["lost"]:
            raise ConsumerLostError(name)
        pending = entries(await conn.fetch(READ_PENDING, row["xid"], row["id"], list(kinds), limit))
        if pending:
            try:
                await handle(conn, pending)
            except Exception as error:
                if is_passing(error):
                    raise
                raise EventsFailedError(Cursor(int(row["xid"]), row["id"]), pending) from error
            await _move(conn, name, pending[-1].cursor)
        return len(pending)


async def advance_idle(pool: "Pool", name: ConsumerName, to: Cursor, after_s: float) -> None:
    """Move a cursor to a place up to which there is nothing for its consumer, if it has not moved for so long."""
    await pool.execute(ADVANCE_IDLE, name, str(to.xid), to.id, after_s)


@retry_conflicts
async def count_failure(pool: "Pool", name: ConsumerName, failed: EventsFailedError, failure: str, tries: int) -> tuple[int, bool]:
    """Count a failure of the one event that failed; at the last try put it into quarantine, and move the cursor on.

    Returns the failures so far, 0 if another worker has handled the event meanwhile, and whether the event is in quarantine now.
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
    """Let a lost consumer go on where it was; return since when it may have missed events, None if it was not lost."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(LOCK_CURSOR, name)
        if row is None or not row["lost"]:
            return None
        since: datetime = row["moved_at"]
        await on_gap(conn, since)
        await conn.execute(RESUME, name)
        return since


async def mark_lost(pool: "Pool", after_s: float) -> list[str]:
    """Give up the consumers that have not moved for so long, or for a day if they are not in the code; return their names.

    The sweep no longer spares the events that they have not read.
    """
    rows = await pool.fetch(MARK_LOST, list(ConsumerName), after_s, min(after_s, UNKNOWN_LOST_S))
    return [row["name"] for row in rows]


def is_passing(error: Exception) -> bool:
    """Tell whether an error is no fault of the event that was handled: a conflict with others, or a database that is away."""
    return isinstance(error, CONFLICT) or isinstance(refusal(error), DatabaseUnavailable)


async def _move(conn: "Conn", name: ConsumerName, to: Cursor) -> None:
    await conn.execute(MOVE_CURSOR, name, str(to.xid), to.id)
