"""Jobs as rows. A job is a wake-up and never the record: what is owed is a row with a state of its own, of which the job has the id."""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind

# A held job of the same row goes. Two workers that queue a job for one row at once queue one.
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
    """Queue a job for each row that has none which is queued or under way; return how many that were."""
    return len(await pool.fetch(QUEUE_JOBS, kind, row_ids))
