"""The change feed: every change of state appends to it, in the transaction of the change."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import note
from mercato_server.domain.events import EventKind

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

# What has come to be visible since an earlier snapshot, whatever older transactions still run: each event once, in no order to rely on.
GET_NEWS = """
SELECT pg_current_snapshot()::text AS snapshot, pg_stat_get_bgwriter_stat_reset_time() AS since,
       ARRAY(SELECT kind || ' ' || subject_id || ' ' || xid
               FROM events
              WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
                AND kind = ANY($2::text[])
              LIMIT $3) AS news
"""

# A crash gives the ids of transactions that were not on disk yet to others, and another host has ids of its own. Both have statistics that
# begin at another time.
GET_SEEN = "SELECT pg_current_snapshot()::text AS snapshot, pg_stat_get_bgwriter_stat_reset_time() AS since"

GET_END = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid, 9223372036854775807 AS id
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its kind, what it happened to, and what a reader cannot look up later."""

    kind: EventKind
    subject_id: UUID
    payload: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the feed: a transaction id and an id within it. The first place is (0, 0)."""

    xid: int = 0
    id: int = 0


class Entry(NamedTuple):
    """An event as it is read: its place, and what happened; the kind may be one of a later release."""

    cursor: Cursor
    kind: str
    subject_id: UUID
    payload: Mapping[str, str | int]
    created_at: datetime


class News(NamedTuple):
    """An event as a listener hears of it: kind, id of its subject as text, and id of the transaction that wrote it."""

    kind: str
    subject_id: str
    xid: int


class Seen(NamedTuple):
    """What a listener has seen: a snapshot, and since when the server of that snapshot counts without a crash."""

    snapshot: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions a read has seen, as PostgreSQL's `pg_snapshot` says it.

    All below `xmin` have ended before the read, none from `xmax` on, and of those between not the ones that were `running`.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    @functools.lru_cache(maxsize=64)  # reads between two writes have the same one, which then takes memory once
    def parse(cls, text: str) -> Self:
        """Return the snapshot that PostgreSQL writes as `xmin:xmax:xip,xip`."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, running.split(","))) if running else frozenset())

    def shows(self, xid: int) -> bool:
        """Tell whether a read with this snapshot has seen what a committed transaction wrote (`pg_visible_in_snapshot`)."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)


async def append(conn: "Conn", events: Sequence[Event]) -> None:
    """Write events in the caller's transaction, and note them for those who are told of its changes.

    A statement that appends events by itself is followed by a `note` of them.
    """
    for event in events:
        note(conn, event.kind, (event.subject_id,))
    kinds = [event.kind for event in events]
    subjects = [event.subject_id for event in events]
    await conn.execute(APPEND_EVENTS, kinds, subjects, [json.dumps(dict(event.payload)) if event.payload else "{}" for event in events])


async def read(pool: "Pool", after: Cursor, limit: int) -> list[Entry]:
    """Return the events that follow a cursor, oldest first; a reader that goes on after the last one misses none and sees none twice."""
    return entries(await pool.fetch(READ_EVENTS, str(after.xid), after.id, limit))


async def seen(pool: "Pool") -> Seen:
    """Return what is visible now, for `news`."""
    row = await pool.fetchrow(GET_SEEN)
    assert row is not None  # noqa: S101 - the statement has no condition
    return Seen(*row)


async def news(pool: "Pool", since: Seen, kinds: Sequence[str], limit: int) -> tuple[Seen, list[News]]:
    """Return the events that had not been seen, at most `limit`, and what has been seen with them.

    For consumers that need low latency and no ordering: an old transaction that still runs does not delay the events of others.
    """
    row = await pool.fetchrow(GET_NEWS, since.snapshot, kinds, limit)
    assert row is not None  # noqa: S101 - the statement has no condition
    return Seen(row["snapshot"], row["since"]), [News(kind, subject_id, int(xid)) for kind, subject_id, xid in map(str.split, row["news"])]


async def end(pool: "Pool") -> Cursor:
    """Return the cursor behind all that `read` can give now: where somebody starts who minds only what is to come."""
    row = await pool.fetchrow(GET_END)
    return Cursor(int(row["xid"]), row["id"]) if row else Cursor()


def entries(rows: Sequence[asyncpg.Record]) -> list[Entry]:
    """Return what rows of position, id, kind, subject, payload and moment say."""
    return [Entry(Cursor(int(xid), id_), kind, subject_id, json.loads(payload), at) for xid, id_, kind, subject_id, payload, at in rows]
