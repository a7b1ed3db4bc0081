"""The state of the queues of jobs and of the consumers of the change feed, for operators."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.store import audit_log

HELD_MAX = 1_000
"""Held jobs that one list has."""

LIST_QUEUES = """
SELECT entrypoint AS kind, count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'picked') AS running,
       count(*) FILTER (WHERE status = 'failed') AS held,
       coalesce(extract(epoch FROM now() - min(execute_after) FILTER (WHERE status = 'queued' AND execute_after < now())), 0)::float8
           AS oldest_due_s
  FROM pgqueuer
 GROUP BY entrypoint
 ORDER BY entrypoint
"""

LIST_HELD = """
SELECT id, entrypoint AS kind, CASE WHEN length(payload) = 16 THEN encode(payload, 'hex')::uuid END AS row_id, attempts,
       updated AS held_at
  FROM pgqueuer
 WHERE status = 'failed'
 ORDER BY id
 LIMIT $1
"""

RETRY_JOB = """
UPDATE pgqueuer
   SET status = 'queued', execute_after = now(), updated = now()
 WHERE id = $1 AND status = 'failed'
RETURNING entrypoint AS kind, CASE WHEN length(payload) = 16 THEN encode(payload, 'hex')::uuid END AS row_id, attempts
"""

LIST_CONSUMERS = """
SELECT name, moved_at, failures, lost_at,
       (SELECT extract(epoch FROM now() - min(created_at))::float8
          FROM events
         WHERE (xid, id) > (feed_cursors.xid, feed_cursors.id)) AS unread_s,
       (SELECT count(*) FROM feed_quarantine WHERE consumer = feed_cursors.name) AS quarantined
  FROM feed_cursors
 ORDER BY name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The jobs of one kind, by state."""

    kind: str
    queued: int
    running: int
    held: int
    """Jobs whose handler has given up; none runs again by itself."""
    oldest_due_s: float
    """Time for which the oldest job that may run has waited; 0 if none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJob:
    """A job whose handler has given up."""

    id: int
    kind: str
    row_id: UUID | None
    """The row that has the state of the work; None for a job of another release that names its row in another way."""
    attempts: int
    held_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerState:
    """The cursor of a consumer of the change feed."""

    name: str
    moved_at: datetime
    failures: int
    """Failures in a row of the event that is next."""
    lost_at: datetime | None
    """When the sweep stopped to wait for it; None if it did not."""
    unread_s: float | None
    """Age of the oldest event after the cursor, of any kind; None if there is none. The cursor passes other kinds once a minute."""
    quarantined: int


async def queues(pool: "Pool") -> list[QueueState]:
    """Return the state of each kind of job of which there is one."""
    return [QueueState(**row) for row in await pool.fetch(LIST_QUEUES)]


async def held(pool: "Pool") -> list[HeldJob]:
    """Return the jobs that were given up, oldest first, up to HELD_MAX."""
    return [HeldJob(**row) for row in await pool.fetch(LIST_HELD, HELD_MAX)]


@retry_conflicts
async def retry(pool: "Pool", id_: int, actor: Actor) -> bool:
    """Queue a held job again; False if no held job has this id."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(RETRY_JOB, id_)
        if row is None:
            return False
        await audit_log.append(
            conn, actor, "job.retried", row["row_id"], {}, {"job_id": id_, "kind": row["kind"], "attempts": row["attempts"]}
        )
        return True


async def consumers(pool: "Pool") -> list[ConsumerState]:
    """Return the consumers of the change feed, also those that this release does not know."""
    return [ConsumerState(**row) for row in await pool.fetch(LIST_CONSUMERS)]
