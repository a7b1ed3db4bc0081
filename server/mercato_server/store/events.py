"""The change feed: every change of state appends to it, in the transaction of the change."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from mercato_server.db import Conn, Pool

APPEND_EVENTS = """
INSERT INTO events (kind, subject_id, payload)
SELECT kind, subject_id, payload
  FROM unnest($1::text[], $2::uuid[], $3::jsonb[]) AS event (kind, subject_id, payload)
"""

# Transactions commit in another order than they begin. All below the oldest one that still runs have ended, and none can come to be
# there any more: a reader that stops at that line misses nothing, however late somebody commits.
READ_EVENTS = """
SELECT xid::text AS position, id, kind, subject_id, payload, created_at
  FROM events
 WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id
 LIMIT $3
"""

# What is visible beyond the line already; it will be read again by READ_EVENTS.
PEEK_EVENTS = """
SELECT xid::text AS position, id, kind, subject_id, payload, created_at
  FROM events
 WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid >= pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id
 LIMIT $3
"""

GET_END = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid, 9223372036854775807 AS id
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its kind (`order.placed`), what it happened to, and what a reader cannot look up later."""

    kind: str
    subject_id: UUID
    payload: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the feed: a transaction id and an id within it. The first place is (0, 0)."""

    xid: int = 0
    id: int = 0


async def append(conn: "Conn", events: Sequence[Event]) -> None:
    """Write events in the caller's transaction."""
    kinds = [event.kind for event in events]
    subjects = [event.subject_id for event in events]
    await conn.execute(APPEND_EVENTS, kinds, subjects, [json.dumps(dict(event.payload)) if event.payload else "{}" for event in events])


async def read(pool: "Pool", after: Cursor, limit: int) -> list[tuple[Cursor, Event]]:
    """Return the events that follow a cursor, oldest first; a reader that goes on after the last one misses none and sees none twice."""
    return _events(await pool.fetch(READ_EVENTS, str(after.xid), after.id, limit))


async def peek(pool: "Pool", after: Cursor, limit: int) -> list[tuple[Cursor, Event]]:
    """Return the events that are visible although older transactions still run: for those who must hear soon and mind no repetition."""
    return _events(await pool.fetch(PEEK_EVENTS, str(after.xid), after.id, limit))


async def end(pool: "Pool") -> Cursor:
    """Return the cursor behind all that `read` can give now: where somebody starts who minds only what is to come."""
    row = await pool.fetchrow(GET_END)
    return Cursor(int(row["xid"]), row["id"]) if row else Cursor()


def _events(rows: Sequence[asyncpg.Record]) -> list[tuple[Cursor, Event]]:
    return [(Cursor(int(xid), id_), Event(kind, subject_id, json.loads(payload))) for xid, id_, kind, subject_id, payload, _ in rows]
