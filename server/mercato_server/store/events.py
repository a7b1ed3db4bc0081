"""The change feed: each change of state appends an event, in the same transaction."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import LIFE, note, require_primary
from mercato_server.domain.events import EventKind

SILENCE_S = 5.0
"""Time limit of a poll of a listener, after which it looks for another server: without it no cache of the worker is current."""

APPEND_EVENTS = """
INSERT INTO events (kind, subject_id, payload)
SELECT kind, subject_id, payload
  FROM unnest($1::text[], $2::uuid[], $3::jsonb[]) AS event (kind, subject_id, payload)
"""

# Transactions commit in another order than they begin. All transactions below the oldest running one have ended, so no event can appear
# there later. A reader that stops at that id misses no event, however late a transaction commits.
READ_EVENTS = """
SELECT xid::text AS position, id, kind, subject_id, payload, created_at
  FROM events
 WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id
 LIMIT $3
"""

# The events that have become visible since an earlier snapshot, each once and in no defined order. Older running transactions do not
# delay them.
GET_NEWS = f"""
SELECT pg_current_snapshot()::text AS snapshot, {LIFE} AS life,
       ARRAY(SELECT kind || ' ' || subject_id || ' ' || xid
               FROM events
              WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
                AND kind = ANY($2::text[])
              LIMIT $3) AS news
"""  # noqa: S608 - our own text

GET_SEEN = f"SELECT pg_current_snapshot()::text AS snapshot, {LIFE} AS life"

GET_END = """
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid, 9223372036854775807 AS id
"""


@dataclass(frozen=True, slots=True)
class Event:
    """A change to report: its kind, its subject, and a payload of facts that a reader cannot look up later."""

    kind: EventKind
    subject_id: UUID
    payload: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the feed: a transaction id and an id within it. The first place is (0, 0)."""

    xid: int = 0
    id: int = 0


class Entry(NamedTuple):
    """An event in the feed, with its place. The kind may be one of a later release."""

    cursor: Cursor
    kind: str
    subject_id: UUID
    payload: Mapping[str, str | int]
    created_at: datetime
    traceparent: str | None = None
    """The trace of the transaction that wrote it, if that is recorded and the reader has asked for it."""


class News(NamedTuple):
    """An event as a listener receives it: its kind, the id of its subject as text, and the id of the transaction that wrote it."""

    kind: str
    subject_id: str
    xid: int


class Seen(NamedTuple):
    """The progress of a listener: a snapshot, and the life of the database in which its ids are valid."""

    snapshot: str
    life: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The transactions that are visible to a read, as in PostgreSQL's `pg_snapshot`.

    Transactions below `xmin` had ended before the read, and those from `xmax` on had not begun. Of those between, the `running` ones had
    not ended.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    @functools.lru_cache(maxsize=64)  # reads between two writes share one snapshot, to save memory
    def parse(cls, text: str) -> Self:
        """Parse PostgreSQL's text of a snapshot, `xmin:xmax:xip,xip`."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, running.split(","))) if running else frozenset())

    def shows(self, xid: int) -> bool:
        """Return whether the writes of a committed transaction are visible in this snapshot (`pg_visible_in_snapshot`)."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def common(self, other: "Snapshot") -> "Snapshot":
        """Return the snapshot that shows what both show."""
        return Snapshot(min(self.xmin, other.xmin), min(self.xmax, other.xmax), self.running | other.running)


async def append(conn: "Conn", events: Sequence[Event]) -> None:
    """Append events in the caller's transaction, and record its changes for the pool's listeners.

    A caller whose own statement appends events must call `note` for them.
    """
    for event in events:
        note(conn, event.kind, (event.subject_id,))
    kinds = [event.kind for event in events]
    subjects = [event.subject_id for event in events]
    await conn.execute(APPEND_EVENTS, kinds, subjects, [json.dumps(dict(event.payload)) if event.payload else "{}" for event in events])


async def read(pool: "Pool", after: Cursor, limit: int) -> list[Entry]:
    """Return the events after a cursor, in order. A reader that continues after the last one receives each event exactly once."""
    return entries(await pool.fetch(READ_EVENTS, str(after.xid), after.id, limit))


async def seen(pool: "Pool") -> Seen:
    """Return the current progress, from which `news` continues."""
    row = await pool.fetchrow(GET_SEEN, timeout=SILENCE_S)
    require_primary(row)
    assert row is not None  # noqa: S101 - the statement has no condition
    return Seen(*row)


async def news(pool: "Pool", since: Seen, kinds: Sequence[str], limit: int) -> tuple[Seen, list[News]]:
    """Return the new progress, and at most `limit` events that have become visible since the earlier one.

    For consumers that need low latency and no ordering: an old transaction that still runs does not delay the events of others.
    """
    row = await pool.fetchrow(GET_NEWS, since.snapshot, kinds, limit, timeout=SILENCE_S)
    require_primary(row)
    assert row is not None  # noqa: S101 - the statement has no condition
    return Seen(row["snapshot"], row["life"]), [News(kind, subject_id, int(xid)) for kind, subject_id, xid in map(str.split, row["news"])]


async def end(pool: "Pool") -> Cursor:
    """Return the cursor after all events that `read` can return now, for a reader that needs only later events."""
    row = await pool.fetchrow(GET_END)
    return Cursor(int(row["xid"]), row["id"]) if row else Cursor()


def entries(rows: Iterable[Iterable[Any]]) -> list[Entry]:
    """Return the entries of rows of position, id, kind, subject, payload and time, and of a trace if they have one."""
    return [
        Entry(Cursor(int(xid), id_), kind, subject_id, json.loads(payload), *rest) for xid, id_, kind, subject_id, payload, *rest in rows
    ]
