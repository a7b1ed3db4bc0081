"""The use of one-time tokens from mails: to set a new password, and to verify an address."""

from dataclasses import dataclass, field

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import SessionEnd
from mercato_server.domain.errors import OneTimeTokenInvalid
from mercato_server.store import joined_orders, login_attempts, sessions
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.login_attempts import Counters

GET_ADDRESS = "SELECT email FROM live_one_time_tokens WHERE digest = $1 AND purpose = 'reset_password'"

# Of concurrent calls with one token, the first locks the row; the others wait for it and then find the token used.
SPEND_DIGEST = """
UPDATE one_time_tokens AS token
   SET used_at = now()
  FROM live_one_time_tokens AS live
 WHERE token.digest = $1 AND token.used_at IS NULL AND live.digest = token.digest AND live.purpose = $2
RETURNING token.account_id, token.email
"""

# The token of a mail to the contact address of a guest.
SPEND_CONTACT = """
UPDATE one_time_tokens AS token
   SET used_at = now()
  FROM accounts AS account
 WHERE token.digest = $1 AND token.used_at IS NULL AND token.purpose = 'verify_email' AND token.expires_at > now()
   AND account.id = token.account_id AND account.role = 'guest' AND account.disabled_at IS NULL
RETURNING token.account_id, token.email
"""

SET_CONTACT = "UPDATE accounts SET verified_contact = $2 WHERE id = $1 AND role = 'guest'"

END_RESETS = """
UPDATE one_time_tokens
   SET used_at = now()
 WHERE account_id = $1 AND purpose = 'reset_password' AND used_at IS NULL
"""

REPLACE_HASH = """
UPDATE accounts
   SET password_hash = $2, email_verified_at = coalesce(email_verified_at, now())
 WHERE id = $1
"""

SET_VERIFIED = "UPDATE accounts SET email_verified_at = coalesce(email_verified_at, now()) WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A command to set a password with a token."""

    token_digest: bytes
    counters: Counters
    """Where the failed logins of its address are counted."""
    new_hash: str = field(repr=False)


async def address(pool: "Pool", token_digest: bytes) -> str:
    """Return the address whose password a token can set; raises OneTimeTokenInvalid."""
    found = await pool.fetchval(GET_ADDRESS, token_digest)
    if found is None:
        raise OneTimeTokenInvalid
    return str(found)


@retry_conflicts
async def reset_password(pool: "Pool", reset: Reset, key: IdempotencyKey | None = None) -> int | Stored:
    """Set a password and end all of the account's sessions; return their number. Raises OneTimeTokenInvalid.

    This also invalidates the account's other reset tokens, deletes its failed logins and marks its address as verified, so that orders of
    guests join the account.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _reset_password(conn, reset))


async def _reset_password(conn: "Conn", reset: Reset) -> int:
    used = await conn.fetchrow(SPEND_DIGEST, reset.token_digest, "reset_password")
    if used is None:
        raise OneTimeTokenInvalid
    account_id = used["account_id"]
    await conn.execute(END_RESETS, account_id)
    await conn.execute(REPLACE_HASH, account_id, reset.new_hash)
    await login_attempts.forget(conn, reset.counters)
    ended = await sessions.end_others(conn, account_id, SessionEnd.PASSWORD)
    await joined_orders.join(conn, account_id)
    return ended


@retry_conflicts
async def verify_email(pool: "Pool", token_digest: bytes, key: IdempotencyKey | None = None) -> str | Stored:
    """Mark the address of a token, or a guest's contact address, as verified and return it; raises OneTimeTokenInvalid."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _verify_email(conn, token_digest))


async def _verify_email(conn: "Conn", token_digest: bytes) -> str:
    if used := await conn.fetchrow(SPEND_DIGEST, token_digest, "verify_email"):
        await conn.execute(SET_VERIFIED, used["account_id"])
        await joined_orders.join(conn, used["account_id"])
        return str(used["email"])
    contact = await conn.fetchrow(SPEND_CONTACT, token_digest)
    if contact is None:
        raise OneTimeTokenInvalid
    await conn.execute(SET_CONTACT, contact["account_id"], contact["email"])
    return str(contact["email"])
