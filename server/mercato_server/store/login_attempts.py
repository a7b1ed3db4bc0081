"""Failed logins of an e-mail address, and the growing time until it may be tried again.

An address is known by a keyed digest, because people type passwords into the wrong field; one without an account is treated alike.
"""

from mercato_server.database.pool import Pool
from mercato_server.domain.errors import TooManyAttempts

FREE_FAILURES = 5
"""Failures that cost nothing: people mistype."""
DELAY_MAX_S = 60

# Counted before the password is looked at, so that guesses sent at once do not all slip through. Those that meet at the row are judged by
# the time at which they get it: now() is when each began, which may be before the time that the one ahead of it has written.
COUNT_ATTEMPT = """
INSERT INTO login_attempts AS known (address_digest, failures, blocked_until)
VALUES ($1, 1, clock_timestamp())
    ON CONFLICT (address_digest) DO UPDATE
   SET failures = known.failures + 1,
       blocked_until = clock_timestamp() + CASE WHEN known.failures < $2 THEN interval '0'
                                    ELSE make_interval(secs => least(2 ^ least(known.failures - $2, 16), $3)) END
 WHERE known.blocked_until <= clock_timestamp()
RETURNING failures
"""

GET_WAIT = "SELECT extract(epoch FROM blocked_until - clock_timestamp())::float8 FROM login_attempts WHERE address_digest = $1"


async def count(pool: "Pool", address_digest: bytes) -> None:
    """Count an attempt as failed until a session is opened; raises TooManyAttempts if it comes too early."""
    if await pool.fetchval(COUNT_ATTEMPT, address_digest, FREE_FAILURES, DELAY_MAX_S) is None:
        raise TooManyAttempts(max(await pool.fetchval(GET_WAIT, address_digest) or 0.0, 1.0))
