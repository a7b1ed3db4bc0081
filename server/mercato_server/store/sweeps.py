"""The sweep: deletion of expired rows in small batches, by any worker.

It deletes failed logins and wrong codes of promotions after an hour. It deletes idempotency keys, ended quotes and the times of requested
mails after a day, and mails after a week. It deletes events after a week, once all consumers of the feed have read them, and sessions a
week after their expiry. It deletes notices of payment providers after 90 days, once they were applied or dismissed; requests to providers
stay for ever. Each queue of jobs has separate statements: a job is never deleted before its row is settled, and jobs of unknown
queues stay. It deletes uploads of pictures without a file after a day, and settled ones after a week. It does not delete entries of the
audit log.
"""

from mercato_server.database.pool import Pool

DELETE_EXPIRED_KEYS = """
DELETE FROM idempotency_keys
 WHERE (scope_id, key) IN (SELECT scope_id, key
                             FROM idempotency_keys
                            WHERE created_at < now() - interval '24 hours'
                            ORDER BY created_at
                            LIMIT $1
                              FOR UPDATE SKIP LOCKED)
"""

# This spares events that a consumer has not read, unless the consumer is lost.
DELETE_OLD_EVENTS = """
DELETE FROM events
 WHERE (xid, id) IN (SELECT old.xid, old.id
                       FROM events AS old
                      WHERE old.created_at < now() - interval '7 days'
                        AND NOT EXISTS (SELECT
                                          FROM feed_cursors AS reader
                                         WHERE reader.lost_at IS NULL AND (reader.xid, reader.id) < (old.xid, old.id))
                      ORDER BY old.created_at
                      LIMIT $1
                        FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_ATTEMPTS = """
DELETE FROM login_attempts
 WHERE address_digest IN (SELECT address_digest
                            FROM login_attempts
                           WHERE blocked_until < now() - interval '1 hour'
                           ORDER BY blocked_until
                           LIMIT $1
                             FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_SESSIONS = """
DELETE FROM sessions
 WHERE id IN (SELECT id
                FROM sessions
               WHERE expires_at < now() - interval '7 days'
               ORDER BY expires_at
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_ALLOWANCES = """
DELETE FROM mail_allowances
 WHERE (address, template) IN (SELECT address, template
                                 FROM mail_allowances
                                WHERE last_at < now() - interval '24 hours'
                                ORDER BY last_at
                                LIMIT $1
                                  FOR UPDATE SKIP LOCKED)
"""

# This also deletes their tokens. Mails of that age are settled: they were sent, have failed, or are too old to be useful.
DELETE_OLD_MAILS = """
DELETE FROM mails
 WHERE id IN (SELECT id
                FROM mails
               WHERE created_at < now() - interval '7 days'
               ORDER BY created_at
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

# A mail job stays as long as its mail: until then it may still run, or an operator may queue it again.
DELETE_OLD_MAIL_JOBS = """
DELETE FROM pgqueuer
 WHERE id IN (SELECT job.id
                FROM pgqueuer AS job
               WHERE job.entrypoint = 'mail' AND job.created < now() - interval '7 days'
                 AND NOT EXISTS (SELECT FROM mails AS mail WHERE mail.id = encode(job.payload, 'hex')::uuid)
               ORDER BY job.created
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_MAIL_JOB_LOG = """
DELETE FROM pgqueuer_log
 WHERE id IN (SELECT id
                FROM pgqueuer_log
               WHERE entrypoint = 'mail' AND created < now() - interval '7 days'
               ORDER BY created
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_QUOTES = """
DELETE FROM quotes
 WHERE id IN (SELECT id
                FROM quotes
               WHERE expires_at < now() - interval '24 hours'
               ORDER BY expires_at
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_GUESSES = """
DELETE FROM promotion_guesses
 WHERE account_id IN (SELECT account_id
                        FROM promotion_guesses
                       WHERE since < now() - interval '1 hour'
                       ORDER BY since
                       LIMIT $1
                         FOR UPDATE SKIP LOCKED)
"""

# A notice that was neither applied nor dismissed stays: it is retried, or waits for an administrator.
DELETE_OLD_NOTICES = """
DELETE FROM provider_events
 WHERE (provider, event_id) IN (SELECT provider, event_id
                                  FROM provider_events
                                 WHERE received_at < now() - interval '90 days'
                                   AND (resolved_at IS NOT NULL OR (applied_at IS NOT NULL AND quarantined_at IS NULL))
                                 ORDER BY received_at
                                 LIMIT $1
                                   FOR UPDATE SKIP LOCKED)
"""

# An upload without its file has expired by then. A pending one stays until it is settled, and so does one in a state of a later release.
DELETE_OLD_UPLOADS = """
DELETE FROM picture_uploads
 WHERE id IN (SELECT id
                FROM picture_uploads
               WHERE created_at < now() - interval '24 hours'
                 AND (state = 'waiting' OR (state IN ('ready', 'refused') AND created_at < now() - interval '7 days'))
               ORDER BY created_at
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

# As a mail job, a job of an upload stays as long as its row.
DELETE_OLD_PICTURE_JOBS = """
DELETE FROM pgqueuer
 WHERE id IN (SELECT job.id
                FROM pgqueuer AS job
               WHERE job.entrypoint = 'picture' AND job.created < now() - interval '7 days'
                 AND NOT EXISTS (SELECT FROM picture_uploads AS upload WHERE upload.id = encode(job.payload, 'hex')::uuid)
               ORDER BY job.created
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

DELETE_OLD_PICTURE_JOB_LOG = """
DELETE FROM pgqueuer_log
 WHERE id IN (SELECT id
                FROM pgqueuer_log
               WHERE entrypoint = 'picture' AND created < now() - interval '7 days'
               ORDER BY created
               LIMIT $1
                 FOR UPDATE SKIP LOCKED)
"""

SWEEPS = (
    DELETE_EXPIRED_KEYS,
    DELETE_OLD_EVENTS,
    DELETE_OLD_ATTEMPTS,
    DELETE_OLD_SESSIONS,
    DELETE_OLD_ALLOWANCES,
    DELETE_OLD_MAILS,
    DELETE_OLD_QUOTES,
    DELETE_OLD_GUESSES,
    DELETE_OLD_NOTICES,
    DELETE_OLD_MAIL_JOBS,
    DELETE_OLD_MAIL_JOB_LOG,
    DELETE_OLD_UPLOADS,
    DELETE_OLD_PICTURE_JOBS,
    DELETE_OLD_PICTURE_JOB_LOG,
)

BATCH = 500


async def sweep(pool: "Pool") -> int:
    """Delete one batch of expired rows of each kind; return the number of rows. The caller repeats this while batches are full."""
    deleted = 0
    for statement in SWEEPS:
        deleted += int((await pool.execute(statement, BATCH)).rpartition(" ")[2])
    return deleted
