"""The quarantine: events that a consumer of the change feed could not handle.

An event stays there until a retry succeeds. Operators request retries at the command line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import ConsumerName
from mercato_server.store import audit_log
from mercato_server.store.events import entries
from mercato_server.store.feed_cursors import Handle, run

LIST_QUARANTINED = """
SELECT id, consumer, kind, subject_id, payload, created_at, tries, failure, quarantined_at, retry_at
  FROM feed_quarantine
 ORDER BY id
"""

COUNT_QUARANTINED = "SELECT count(*) AS events, count(retry_at) AS wanted FROM feed_quarantine WHERE consumer = $1"

REQUEST_RETRY = """
UPDATE feed_quarantine SET retry_at = now() WHERE id = $1 RETURNING consumer, kind, subject_id, tries
"""

TAKE_RETRY = """
SELECT id, xid::text AS position, event_id, kind, subject_id, payload, created_at
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
    """The class of the last error; the log has the details."""
    quarantined_at: datetime
    retry_at: datetime | None
    """The time at which an operator requested a retry; None if there is no request since the last one."""


class RetryFailedError(Exception):
    """The retry of an event failed, for the reason in the cause. The transaction was rolled back."""

    def __init__(self, id_: int) -> None:
        super().__init__(id_)
        self.id = id_


async def quarantined(pool: "Pool") -> list[Quarantined]:
    """Return all events in quarantine, oldest first."""
    return [Quarantined(**{**row, "payload": json.loads(row["payload"])}) for row in await pool.fetch(LIST_QUARANTINED)]


async def count(pool: "Pool", consumer: ConsumerName) -> tuple[int, int]:
    """Return the number of a consumer's events in quarantine, and how many of these have a requested retry."""
    row = await pool.fetchrow(COUNT_QUARANTINED, consumer)
    assert row is not None  # noqa: S101 - the statement has no condition
    return row["events"], row["wanted"]


@retry_conflicts
async def request_retry(pool: "Pool", id_: int, actor: Actor) -> bool:
    """Request that the consumer retries an event; False if no event in quarantine has this id."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(REQUEST_RETRY, id_)
        if row is None:
            return False
        after = {"quarantine_id": id_, "consumer": row["consumer"], "kind": row["kind"], "tries": row["tries"]}
        await audit_log.append(conn, actor, "event.retried", row["subject_id"], {}, after)
        return True


@retry_conflicts
async def retry_next(pool: "Pool", consumer: ConsumerName, handle: Handle) -> bool:
    """Handle the next event with a requested retry and release it; False if there is none. Raises RetryFailedError."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(TAKE_RETRY, consumer)
        if row is None:
            return False
        await run(handle, conn, entries([row[1:]]), RetryFailedError(row["id"]))
        await conn.execute(RELEASE_EVENT, row["id"])
        return True


async def fail_again(pool: "Pool", id_: int, failure: str) -> None:
    """Record the failure of a retry; the event waits for the next request."""
    await pool.execute(FAIL_AGAIN, id_, failure)
