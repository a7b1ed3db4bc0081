"""Guests: accounts without e-mail address and password, for buyers who do not sign up."""

from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import IDENTITY, identify, retry_conflicts, transaction
from mercato_server.domain.accounts import Device
from mercato_server.domain.errors import TooManyGuests
from mercato_server.store import belongings
from mercato_server.store.sessions import LIFETIME_DAYS, Opened

# Calls under way are not counted, so they may exceed the limit together; the edge limits them too.
OPEN_GUEST = f"""
WITH guest AS (
    INSERT INTO accounts (full_name, role, network, guest_check_at)
    SELECT '', 'guest', $1, now() + make_interval(secs => $3)
     WHERE (SELECT count(*)
              FROM (SELECT
                      FROM accounts
                     WHERE network = $1 AND created_at > now() - interval '1 hour'
                     LIMIT $2) AS counted) < $2
    RETURNING id
), session AS (
    INSERT INTO sessions (account_id, user_agent, ip_address, expires_at, is_guest)
    SELECT id, $4, $5, now() + make_interval(days => $6), true FROM guest
    RETURNING id, account_id
), token AS (
    INSERT INTO refresh_tokens (digest, session_id)
    SELECT $7, id FROM session
)
SELECT id, account_id, {IDENTITY} FROM session
"""  # noqa: S608 - constants

GET_WAIT = """
SELECT extract(epoch FROM min(created_at) + interval '1 hour' - now())::float8
  FROM (SELECT created_at FROM accounts WHERE network = $1 ORDER BY created_at DESC LIMIT $2) AS newest
"""

# Part of a statement: the live session of a guest whose refresh token has the digest $1.
LIVE_GUEST = """refresh_tokens AS token
  JOIN sessions AS session ON session.id = token.session_id
  JOIN accounts AS account ON account.id = session.account_id
 WHERE token.digest = $1 AND token.used_at IS NULL
   AND session.is_guest AND session.ended_at IS NULL AND session.expires_at > now()
   AND account.role = 'guest' AND account.disabled_at IS NULL"""

# FOR UPDATE conflicts with the checks of foreign keys, so no line can join the cart of a guest until this transaction has ended.
LOCK_GUEST = f"SELECT account.id FROM {LIVE_GUEST} FOR UPDATE OF account"  # noqa: S608 - constants

# The lock may have waited, and its statement sees the session as it was before. So another one looks at the session again.
GET_GUEST = f"SELECT account.id FROM {LIVE_GUEST}"  # noqa: S608 - constants

LOCK_DUE = """
SELECT id
  FROM accounts
 WHERE guest_check_at < now()
 ORDER BY guest_check_at
 LIMIT $1
   FOR UPDATE SKIP LOCKED
"""

# A call that changes the cart holds its header or a line. Guests whose cart is held are put off.
LOCK_CARTS = """
SELECT account_id FROM carts WHERE account_id = ANY($1::uuid[]) FOR UPDATE SKIP LOCKED
"""

# It runs after the locks: an order that was placed while this transaction waited is there.
GET_IDLE = """
SELECT account.id
  FROM accounts AS account
 WHERE account.id = ANY($1::uuid[]) AND account.role = 'guest'
   AND NOT EXISTS (SELECT FROM orders WHERE orders.account_id = account.id)
   AND NOT EXISTS (SELECT FROM carts WHERE carts.account_id = account.id AND carts.account_id <> ALL($2::uuid[]))
   AND NOT EXISTS (SELECT
                     FROM sessions AS session
                    WHERE session.account_id = account.id AND session.ended_at IS NULL AND session.expires_at > now()
                      AND session.refreshed_at > now() - make_interval(secs => $3))
"""

# Orders refer to their accounts for ever, so a guest that has one stays.
DELETE_GUESTS = """
DELETE FROM accounts WHERE id = ANY($1::uuid[])
"""

# A guest that keeps its orders, but has no session any more, counts no longer for its network.
PUT_OFF = """
UPDATE accounts AS account
   SET guest_check_at = CASE WHEN is_done THEN NULL ELSE now() + interval '1 day' END,
       network = CASE WHEN is_done THEN NULL ELSE network END
  FROM (SELECT id AS guest_id,
               EXISTS (SELECT FROM orders WHERE orders.account_id = due.id)
               AND NOT EXISTS (SELECT
                                 FROM sessions AS session
                                WHERE session.account_id = due.id AND session.ended_at IS NULL AND session.expires_at > now()) AS is_done
          FROM accounts AS due
         WHERE id = ANY($1::uuid[])) AS checked
 WHERE account.id = guest_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGuest:
    """A command to make a guest."""

    network: bytes
    """Keyed digest of the client's network."""
    device: Device
    token_digest: bytes
    """Digest of its first refresh token."""


async def create(pool: "Pool", new: NewGuest, per_hour: int, idle_s: float) -> Opened:
    """Make a guest with a session; raises TooManyGuests if its network has made `per_hour` in the last hour.

    The sweep looks at it first after `idle_s`.
    """
    opened = await _create(pool, new, per_hour, idle_s)
    if opened is None:
        wait_s = await pool.fetchval(GET_WAIT, new.network, per_hour)
        raise TooManyGuests(per_hour, max(wait_s or 0.0, 1.0))
    return opened


@retry_conflicts
async def _create(pool: "Pool", new: NewGuest, per_hour: int, idle_s: float) -> Opened | None:
    seen = new.device.user_agent, new.device.ip_address
    async with transaction(pool) as conn:
        row = await conn.fetchrow(OPEN_GUEST, new.network, per_hour, idle_s, *seen, LIFETIME_DAYS, new.token_digest)
        if row:
            identify(conn, row)
    return Opened(row["id"], row["account_id"], LIFETIME_DAYS * 24 * 60 * 60) if row else None


async def lock(conn: "Conn", token_digest: bytes) -> UUID | None:
    """Lock the account of a guest by a refresh token of its live session; None for any other token."""
    found: UUID | None = await conn.fetchval(LOCK_GUEST, token_digest)
    if found:
        found = await conn.fetchval(GET_GUEST, token_digest)
    return found


@retry_conflicts
async def sweep(pool: "Pool", batch: int, idle_s: float) -> int:
    """Delete guests of one batch that were not used for `idle_s`, with their carts; return how many guests it has looked at.

    Guests with orders stay, because orders refer to them. Locked guests and carts are left for a later sweep.
    """
    async with transaction(pool) as conn:
        due = [row["id"] for row in await conn.fetch(LOCK_DUE, batch)]
        if not due:
            return 0
        held = [row["account_id"] for row in await conn.fetch(LOCK_CARTS, due)]
        idle = [row["id"] for row in await conn.fetch(GET_IDLE, due, held, idle_s)]
        await delete(conn, idle)
        await conn.execute(PUT_OFF, due)
    return len(due)


async def delete(conn: "Conn", guest_ids: list[UUID]) -> None:
    """Delete locked guests without orders, with all that belongs to them, in the caller's transaction."""
    if guest_ids:
        await belongings.remove(conn, guest_ids)
        await conn.execute(DELETE_GUESTS, guest_ids)
