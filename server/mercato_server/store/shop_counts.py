"""Counts over the whole shop for its metrics: jobs, and products without stock."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind

JOBS_MAX = 100_000
"""Jobs of a queue and state that are counted at most, so that the count takes a bounded time."""

# Each part reads an index of the jobs in one state only: finished jobs are deleted, and a backlog is counted up to $2.
COUNT_JOBS = """
SELECT queue,
       (SELECT count(*)
          FROM (SELECT FROM pgqueuer WHERE status = 'queued' AND entrypoint = queue LIMIT $2) AS job) AS queued,
       (SELECT count(*)
          FROM (SELECT FROM pgqueuer WHERE status = 'picked' AND entrypoint = queue LIMIT $2) AS job) AS running,
       (SELECT count(*)
          FROM (SELECT FROM pgqueuer WHERE status = 'failed' AND entrypoint = queue LIMIT $2) AS job) AS failed,
       greatest(extract(epoch FROM now() - (SELECT min(execute_after)
                                              FROM pgqueuer
                                             WHERE status = 'queued' AND entrypoint = queue)), 0)::float8 AS oldest_s
  FROM unnest($1::text[]) AS queue
"""

# A scan of the stock, which is a small table: an index on `on_hand` would make each sale an update of that index too.
COUNT_OUT_OF_STOCK = """
SELECT count(*)
  FROM stock_levels
  JOIN products ON products.id = product_id
 WHERE on_hand = 0 AND deleted_at IS NULL
"""


class QueueCounts(NamedTuple):
    """The jobs of a queue by state, JOBS_MAX at most in each."""

    queued: int
    running: int
    failed: int
    oldest_s: float
    """Seconds since the oldest queued job was due; 0 without one."""


async def count_jobs(pool: "Pool", kinds: Sequence[JobKind] = tuple(JobKind)) -> Mapping[str, QueueCounts]:
    """Count the jobs of each queue of this release."""
    rows = await pool.fetch(COUNT_JOBS, [kind.value for kind in kinds], JOBS_MAX)
    return {queue: QueueCounts(*counts) for queue, *counts in rows}


async def count_out_of_stock(pool: "Pool") -> int:
    """Count the products on sale of which no unit is in stock."""
    return int(await pool.fetchval(COUNT_OUT_OF_STOCK))
