"""Failed logins by e-mail address, with a growing delay before the next attempt.

The table has keyed digests of addresses, because users type passwords into the wrong field. Addresses without an account get the same
delays.
"""

from mercato_server.database.pool import Pool
from mercato_server.domain.errors import TooManyAttempts

FREE_FAILURES = 5
"""Failures without a delay, for typing errors."""
DELAY_MAX_S = 60

# The attempt is counted before the password is checked, so that concurrent guesses cannot bypass the delay. The statement uses
# clock_timestamp(): now() is the start of the transaction, which may precede the time that a concurrent attempt has written.
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
    """Count an attempt as failed; opening a session resets the count. Raises TooManyAttempts if the attempt comes too early."""
    if await pool.fetchval(COUNT_ATTEMPT, address_digest, FREE_FAILURES, DELAY_MAX_S) is None:
        raise TooManyAttempts(max(await pool.fetchval(GET_WAIT, address_digest) or 0.0, 1.0))
