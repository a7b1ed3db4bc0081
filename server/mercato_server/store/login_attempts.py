"""Failed logins by e-mail address, with a growing delay before the next attempt.

They are counted twice: for the address from one network of a client, and for the address from all networks. The second count allows more
failures, and does not delay logins from networks that the account has logged in from. So guesses elsewhere do not keep its owner out.

An attempt is reserved before the password is checked, and settled by its outcome. Until then it counts as failed, so that guesses at the
same time cannot exceed the free failures. If its call ends without an outcome, it is released; if its worker is killed, its lease ends.

The table has keyed digests, because users type passwords into the wrong field. Addresses without an account get the same delays.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import UNREACHABLE, complete, deadline
from mercato_server.domain.errors import TooManyAttempts

LEASE_MARGIN_S = (1.0, 11.0)
"""Bounds of the random time after the deadline of a call in which its attempt can still be settled.

An attempt is known by the end of its lease. Without the random part, two that begin in the same microsecond would be settled as one.
"""
WAIT_S = (0.03, 0.15)
"""Bounds of the random pause before an attempt that waits for others looks again."""

# A lease is open until `now()`, the start of the statement; it is one instant for the whole statement. A delay has passed at
# clock_timestamp(): now() may precede the time that a concurrent attempt has written. All statements lock the row of the network first.
_RESERVED = """
    INSERT INTO login_attempts AS known (address_digest, failures, blocked_until, leases)
    SELECT {digest}, 1, began, ARRAY[ends] FROM {source}
        ON CONFLICT (address_digest) DO UPDATE
       SET failures = known.failures - (SELECT count(*) FROM unnest(known.leases) AS lease WHERE lease <= now()) + 1,
           leases = ARRAY(SELECT lease FROM unnest(known.leases) AS lease WHERE lease > now()) || excluded.leases
     WHERE {unless}
        OR known.blocked_until <= clock_timestamp()
       AND (SELECT count(*) FROM unnest(known.leases) AS lease WHERE lease > now())
           < greatest(1, {free} + 1 - known.failures + cardinality(known.leases))
    RETURNING address_digest
"""
RESERVE = f"""
WITH lease AS MATERIALIZED (
    SELECT clock_timestamp() AS began, clock_timestamp() + make_interval(secs => $3) AS ends
), here AS ({_RESERVED.format(digest="$1", source="lease", free="$4", unless="FALSE")}), everywhere AS (
    {_RESERVED.format(digest="$2", source="lease, here", free="$5", unless="$6")})
SELECT ends AS lease, EXISTS (SELECT FROM here) AS here, EXISTS (SELECT FROM everywhere) AS everywhere FROM lease
"""  # noqa: S608 - constants

GET_WAIT = """
SELECT max(extract(epoch FROM blocked_until - clock_timestamp()))::float8
  FROM login_attempts
 WHERE address_digest = $1 OR address_digest = $2 AND NOT $3
"""

# The attempt counts already, unless its lease has ended or a success has removed the row.
FAIL = """
INSERT INTO login_attempts AS known (address_digest, failures, blocked_until)
VALUES ($1, 1, clock_timestamp()), ($2, 1, clock_timestamp())
    ON CONFLICT (address_digest) DO UPDATE
   SET failures = known.failures + CASE WHEN $3 = ANY (known.leases) THEN 0 ELSE 1 END,
       leases = array_remove(known.leases, $3),
       blocked_until = clock_timestamp()
           + CASE WHEN known.failures - cardinality(known.leases) < CASE known.address_digest WHEN $1 THEN $4::integer ELSE $5 END
                  THEN interval '0'
                  ELSE make_interval(secs => least($6, 2 ^ least(16, known.failures - cardinality(known.leases)
                                                                    - CASE known.address_digest WHEN $1 THEN $4 ELSE $5 END))) END
"""

# The next attempt removes leases that have ended.
RELEASE = """
WITH open AS (
    SELECT address_digest
      FROM login_attempts
     WHERE (address_digest = $1 OR address_digest = $2) AND $3 = ANY (leases)
     ORDER BY address_digest = $2
       FOR NO KEY UPDATE
)
UPDATE login_attempts AS known
   SET leases = array_replace(known.leases, $3, now())
  FROM open
 WHERE known.address_digest = open.address_digest
"""

FORGET = """
WITH here AS (
    DELETE FROM login_attempts WHERE address_digest = $1 RETURNING address_digest
)
DELETE FROM login_attempts WHERE address_digest = $2 AND (SELECT count(*) FROM here) >= 0
"""


@dataclass(frozen=True, slots=True)
class Counters:
    """The two counts of an attempt: for its address from one network, and for its address from all networks."""

    here: bytes
    """Digest of address and network."""
    everywhere: bytes
    """Digest of the address."""


@dataclass(slots=True)
class Attempt:
    """A reserved attempt to log in."""

    counters: Counters
    lease: datetime
    failed: bool = False
    """Set by the caller if the password was wrong."""
    succeeded: bool = False
    """Set by the caller once the transaction that forgets the failures has been committed."""


@asynccontextmanager
async def attempt(pool: "Pool", limits: Limits, counters: Counters, *, known: bool) -> AsyncIterator[Attempt]:
    """Reserve an attempt for a block, and settle it by its outcome at the end; without an outcome it is as if it had not been made.

    An attempt beyond the free ones waits until the others are settled. Raises TooManyAttempts if it comes too early after a failure.

    Args:
        pool: where to take connections from.
        limits: the free failures and the longest delay.
        counters: where it is counted.
        known: whether the account has logged in from this network, so that failures elsewhere do not delay it.
    """
    reserved = await _reserve(pool, limits, counters, known=known)
    try:
        yield reserved
    finally:
        if reserved.failed:
            await complete(_fail(pool, limits, reserved))
        elif not reserved.succeeded:
            await complete(_release(pool, reserved))


async def forget(conn: "Conn", counters: Counters) -> None:
    """Delete the failed logins of an address from this network, and from all networks together, in the caller's transaction."""
    await conn.execute(FORGET, counters.here, counters.everywhere)


async def _reserve(pool: "Pool", limits: Limits, counters: Counters, *, known: bool) -> Attempt:
    until, free = deadline.get(), (limits.failures_free, limits.failures_free_everywhere)
    while True:
        remaining_s = limits.timeout_max_s if until is None else max(0.0, until - asyncio.get_running_loop().time())
        lease_s = remaining_s + random.uniform(*LEASE_MARGIN_S)  # noqa: S311 - not a secret
        row = await pool.fetchrow(RESERVE, counters.here, counters.everywhere, lease_s, *free, known)
        if row is None:
            raise RuntimeError("the statement returns one row")
        reserved = Attempt(counters, row["lease"])
        if row["everywhere"]:
            return reserved
        if row["here"]:
            await complete(_release(pool, reserved))
        wait_s = await pool.fetchval(GET_WAIT, counters.here, counters.everywhere, known)
        if wait_s is not None and wait_s > 0:
            raise TooManyAttempts(max(wait_s, 1.0))
        await asyncio.sleep(random.uniform(*WAIT_S))  # noqa: S311 - jitter, not a secret


async def _fail(pool: "Pool", limits: Limits, failed: Attempt) -> None:
    free, longest_s = (limits.failures_free, limits.failures_free_everywhere), limits.failures_delay_max_s
    await pool.execute(FAIL, failed.counters.here, failed.counters.everywhere, failed.lease, *free, longest_s)


async def _release(pool: "Pool", ended: Attempt) -> None:
    with contextlib.suppress(*UNREACHABLE):  # then its lease ends
        await pool.execute(RELEASE, ended.counters.here, ended.counters.everywhere, ended.lease)
