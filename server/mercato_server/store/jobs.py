"""The rows of jobs. A job only has the id of a row to work on; that row, not the job, records the state of the work."""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind

# The trace of the transaction that queues a job, as the header of the job; NULL if it is not recorded. The tables of pgqueuer must be as it
# declares them, so this is no default.
TRACE = """('{"traceparent": "' || nullif(current_setting('mercato.traceparent', true), '') || '"}')::jsonb"""

# This deletes a held job of the same row. If two workers concurrently queue a job for one row, they create only one.
QUEUE_JOBS = """
WITH owed AS (
    SELECT uuid_send(id) AS payload, $1::text || ':' || id AS dedupe_key FROM unnest($2::uuid[]) AS id
), dropped AS (
    DELETE FROM pgqueuer WHERE status = 'failed' AND entrypoint = $1 AND dedupe_key IN (SELECT dedupe_key FROM owed)
)
INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status)
SELECT 0, $1, payload, dedupe_key, 'queued' FROM owed
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
RETURNING id
"""


async def queue(pool: "Pool", kind: JobKind, row_ids: Sequence[UUID]) -> int:
    """Queue a job for each row that has no queued or running one; return the number of new jobs."""
    return len(await pool.fetch(QUEUE_JOBS, kind, row_ids))
