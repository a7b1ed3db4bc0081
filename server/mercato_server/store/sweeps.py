"""What is thrown away when it is old: idempotency keys after a day, events after a week; in small batches, by any worker."""

from mercato_server.db import Pool

DELETE_EXPIRED_KEYS = """
DELETE FROM idempotency_keys
 WHERE (scope_id, key) IN (SELECT scope_id, key
                             FROM idempotency_keys
                            WHERE created_at < now() - interval '24 hours'
                            ORDER BY created_at
                            LIMIT $1
                              FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_EVENTS = """
DELETE FROM events
 WHERE (xid, id) IN (SELECT xid, id
                       FROM events
                      WHERE created_at < now() - interval '7 days'
                      ORDER BY created_at
                      LIMIT $1
                        FOR UPDATE SKIP LOCKED)
"""

BATCH = 500


async def sweep(pool: "Pool") -> int:
    """Delete a batch of what is too old of each kind; return how many rows that were, so that the caller goes on while it is worth it."""
    deleted = 0
    for statement in (DELETE_EXPIRED_KEYS, DELETE_OLD_EVENTS):
        deleted += int((await pool.execute(statement, BATCH)).rpartition(" ")[2])
    return deleted
