"""Events that a consumer of the change feed could not handle. Each stays until a try succeeds; administrators ask for one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import ConsumerName
from mercato_server.store import audit_log
from mercato_server.store.events import Cursor, Entry
from mercato_server.store.feed_cursors import Handle, is_passing

LIST_QUARANTINED = """
SELECT id, consumer, kind, subject_id, payload, created_at, tries, failure, quarantined_at, retry_at
  FROM feed_quarantine
 ORDER BY id
"""

COUNT_QUARANTINED = "SELECT count(*) AS events, count(retry_at) AS wanted FROM feed_quarantine WHERE consumer = $1"

ASK_FOR_RETRY = """
UPDATE feed_quarantine SET retry_at = now() WHERE id = $1 RETURNING consumer, kind, subject_id, tries
"""

TAKE_RETRY = """
SELECT id, xid::text AS xid, event_id, kind, subject_id, payload, created_at
  FROM feed_quarantine
 WHERE consumer = $1 AND retry_at IS NOT NULL
 ORDER BY id
 LIMIT 1
   FOR UPDATE SKIP LOCKED
"""

RELEASE_EVENT = "DELETE FROM feed_quarantine WHERE id = $1"

FAIL_AGAIN = "UPDATE feed_quarantine SET retry_at = NULL, tries = tries + 1, failure = $2 WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An event in quarantine."""

    id: int
    consumer: str
    kind: str
    subject_id: UUID
    payload: Mapping[str, str | int]
    created_at: datetime
    tries: int
    failure: str
    """The class of the last error; the log has the rest."""
    quarantined_at: datetime
    retry_at: datetime | None
    """When an administrator has asked for another try; None if nobody has since the last one."""


class RetryFailedError(Exception):
    """The consumer could not handle an event again; the cause says why. Nothing of it was committed."""

    def __init__(self, id_: int) -> None:
        super().__init__(id_)
        self.id = id_


async def quarantined(pool: "Pool") -> list[Quarantined]:
    """Return all events in quarantine, the oldest first."""
    return [Quarantined(**{**row, "payload": json.loads(row["payload"])}) for row in await pool.fetch(LIST_QUARANTINED)]


async def count(pool: "Pool", consumer: ConsumerName) -> tuple[int, int]:
    """Return how many events of a consumer are in quarantine, and how many of them are to be tried again."""
    row = await pool.fetchrow(COUNT_QUARANTINED, consumer)
    assert row is not None  # noqa: S101 - the statement has no condition
    return row["events"], row["wanted"]


@retry_conflicts
async def ask_for_retry(pool: "Pool", id_: int, actor: Actor) -> bool:
    """Let the consumer of an event try it again soon; False if there is no such event in quarantine."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(ASK_FOR_RETRY, id_)
        if row is None:
            return False
        after = {"quarantine_id": id_, "consumer": row["consumer"], "kind": row["kind"], "tries": row["tries"]}
        await audit_log.append(conn, actor, "event.retried", row["subject_id"], {}, after)
        return True


@retry_conflicts
async def retry_next(pool: "Pool", consumer: ConsumerName, handle: Handle) -> bool:
    """Handle an event for which an administrator has asked, and release it; False if there is none. Raises RetryFailedError."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(TAKE_RETRY, consumer)
        if row is None:
            return False
        await _handle(conn, row, handle)
        await conn.execute(RELEASE_EVENT, row["id"])
        return True


async def _handle(conn: "Conn", row: asyncpg.Record, handle: Handle) -> None:
    cursor = Cursor(int(row["xid"]), row["event_id"])
    try:
        await handle(conn, [Entry(cursor, row["kind"], row["subject_id"], json.loads(row["payload"]), row["created_at"])])
    except Exception as error:
        if is_passing(error):
            raise
        raise RetryFailedError(row["id"]) from error


async def fail_again(pool: "Pool", id_: int, failure: str) -> None:
    """Note that an event could not be handled again; it waits for the next request."""
    await pool.execute(FAIL_AGAIN, id_, failure)
