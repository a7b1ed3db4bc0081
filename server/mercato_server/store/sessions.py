"""Sessions and their refresh tokens: opening, refreshing, listing and ending."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import StaleReadError, connection, retry_conflicts, transaction
from mercato_server.domain.accounts import Account, Device, Role, Session, SessionEnd
from mercato_server.domain.errors import MercatoError, RefreshTokenInvalid, SessionNotFound, TokenInvalid
from mercato_server.domain.events import EventKind
from mercato_server.domain.paging import Page, Position
from mercato_server.store import events
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.login_attempts import Counters

LIFETIME_DAYS = 30

# The statement locks the account. A transaction that disables it or replaces its password either waits and then ends this session, or this
# finds it changed. The lock is one that allows to change the row: of two logins with a lock to share it, neither could.
OPEN_SESSION = """
WITH session AS (
    INSERT INTO sessions (account_id, user_agent, ip_address, expires_at)
    SELECT id, $2, $3, now() + make_interval(days => $5)
      FROM accounts
     WHERE id = $1 AND disabled_at IS NULL AND password_hash = $9
       FOR NO KEY UPDATE
    RETURNING id
), token AS (
    INSERT INTO refresh_tokens (digest, session_id)
    SELECT $4, id FROM session
), known AS (
    UPDATE accounts
       SET known_networks = ($6 || array_remove(known_networks, $6))[1:$8]
     WHERE id = (SELECT $1 FROM session) AND known_networks[1] IS DISTINCT FROM $6
), here AS (
    DELETE FROM login_attempts WHERE address_digest = $6 AND EXISTS (SELECT FROM session) RETURNING address_digest
), everywhere AS (
    DELETE FROM login_attempts WHERE address_digest = $7 AND EXISTS (SELECT FROM session) AND (SELECT count(*) FROM here) >= 0
)
SELECT id FROM session
"""

# Of concurrent calls with one token, the first locks the row; the others wait for it and then find the token used.
ROTATE = """
WITH used AS (
    UPDATE refresh_tokens AS token
       SET used_at = clock_timestamp()
      FROM sessions AS session
     WHERE token.digest = $1 AND token.used_at IS NULL
       AND session.id = token.session_id AND session.ended_at IS NULL AND session.expires_at > now()
    RETURNING session.id, session.account_id, session.expires_at
), successor AS (
    INSERT INTO refresh_tokens (digest, session_id)
    SELECT $2, id FROM used
), refreshed AS (
    UPDATE sessions SET refreshed_at = now() FROM used WHERE sessions.id = used.id
)
SELECT id, account_id, extract(epoch FROM expires_at - now())::integer AS lasts_s FROM used
"""

GET_USED = """
SELECT session.id, session.account_id, extract(epoch FROM session.expires_at - now())::integer AS lasts_s,
       session.ended_at IS NULL AND session.expires_at > now() AS live,
       token.used_at > clock_timestamp() - make_interval(secs => $3)
           AND EXISTS (SELECT FROM refresh_tokens AS next WHERE next.digest = $2 AND next.used_at IS NULL) AS repeated
  FROM refresh_tokens AS token
  JOIN sessions AS session ON session.id = token.session_id
 WHERE token.digest = $1
"""

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)

GRACE_S = 10.0
"""Time in which a client that lost the response may repeat the exchange."""

END_SESSION = """
UPDATE sessions
   SET ended_at = now(), end_reason = $3
 WHERE id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > now()
RETURNING id, user_agent, ip_address, created_at, refreshed_at, expires_at
"""

END_SESSIONS = """
UPDATE sessions
   SET ended_at = now(), end_reason = $2
 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > now() AND id IS DISTINCT FROM $3
RETURNING id
"""

LIST_SESSIONS = """
SELECT id, user_agent, ip_address, created_at, refreshed_at, expires_at
  FROM sessions
 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > now()
   AND (refreshed_at, id) < ($2::timestamptz, $3::uuid)
 ORDER BY refreshed_at DESC, id DESC
 LIMIT $4
"""

# Part of a statement: whether a session and its account may make calls.
IS_LIVE = "session.ended_at IS NULL AND session.expires_at > now() AND account.disabled_at IS NULL"

# The ids are the only condition: with `ended_at IS NULL`, PostgreSQL would also scan an index of all live sessions.
GET_ROLES = f"""
SELECT session.account_id, session.id, CASE WHEN session.is_guest THEN 'guest' ELSE account.role END AS role, {IS_LIVE} AS live
  FROM sessions AS session
  JOIN accounts AS account ON account.id = session.account_id
 WHERE session.id = ANY($1::uuid[])
"""  # noqa: S608 - constants

HAS_ENDED = "SELECT EXISTS (SELECT FROM sessions WHERE id = ANY($1::uuid[]) AND ended_at IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened or refreshed session, for which the caller issues tokens."""

    id: UUID
    account_id: UUID
    lasts_s: int
    """Seconds until it expires."""


@retry_conflicts
async def open_session(
    pool: "Pool", account: Account, device: Device, token_digest: bytes, counters: Counters, known_max: int
) -> Opened | None:
    """Open a session with its first refresh token, and delete failed logins; None if the account is disabled or deleted.

    None too if its password is no longer that of `account`, which was verified: else a login under way would outlive a reset.

    The account remembers the last `known_max` networks that it logged in from.
    """
    async with transaction(pool) as conn:
        return await insert(conn, account, device, token_digest, counters, known_max)


async def insert(conn: "Conn", account: Account, device: Device, token_digest: bytes, counters: Counters, known_max: int) -> Opened | None:
    """Open a session as `open_session` does, in the caller's transaction."""
    row = await conn.fetchrow(
        OPEN_SESSION,
        account.id,
        device.user_agent,
        device.ip_address,
        token_digest,
        LIFETIME_DAYS,
        counters.here,
        counters.everywhere,
        known_max,
        account.password_hash,
    )
    return Opened(row["id"], account.id, LIFETIME_DAYS * 24 * 60 * 60) if row else None


async def refresh(pool: "Pool", token_digest: bytes, successor_digest: bytes) -> Opened:
    """Exchange a refresh token for its successor; raises RefreshTokenInvalid.

    A token that was used before ends its session, except within 10 s while its successor is unused: then the response was probably lost.
    """
    opened = await _refresh(pool, token_digest, successor_digest)
    if isinstance(opened, RefreshTokenInvalid):
        raise opened
    return opened


@retry_conflicts
async def _refresh(pool: "Pool", token_digest: bytes, successor_digest: bytes) -> Opened | RefreshTokenInvalid:
    async with transaction(pool) as conn:
        if row := await conn.fetchrow(ROTATE, token_digest, successor_digest):
            return Opened(row["id"], row["account_id"], row["lasts_s"])
        used = await conn.fetchrow(GET_USED, token_digest, successor_digest, GRACE_S)
        if used is None:
            raise RefreshTokenInvalid
        if not used["live"]:
            raise RefreshTokenInvalid(used["account_id"])
        if used["repeated"]:
            return Opened(used["id"], used["account_id"], used["lasts_s"])
        await _end(conn, used["id"], used["account_id"], SessionEnd.REUSE)
        return RefreshTokenInvalid(used["account_id"], reused=True)


@retry_conflicts
async def end(pool: "Pool", session_id: UUID, account_id: UUID) -> None:
    """End a session; without effect if it has already ended."""
    async with transaction(pool) as conn:
        await _end(conn, session_id, account_id, SessionEnd.LOGOUT)


@retry_conflicts
async def revoke(pool: "Pool", session_id: UUID, account_id: UUID, key: IdempotencyKey | None) -> Session | Stored:
    """End a session of an account and return it; raises SessionNotFound if the account has no live session with this id."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _revoke(conn, session_id, account_id))


async def _revoke(conn: "Conn", session_id: UUID, account_id: UUID) -> Session:
    session = await _end(conn, session_id, account_id, SessionEnd.REVOKED)
    if session is None:
        raise SessionNotFound(session_id)
    return session


async def _end(conn: "Conn", session_id: UUID, account_id: UUID, reason: SessionEnd) -> Session | None:
    row = await conn.fetchrow(END_SESSION, session_id, account_id, reason)
    if row is None:
        return None
    await events.append(conn, [Event(EventKind.SESSION_ENDED, session_id)])
    return _session(row)


@retry_conflicts
async def end_all(pool: "Pool", account_id: UUID) -> int:
    """End all live sessions of an account; return their number."""
    async with transaction(pool) as conn:
        return await end_others(conn, account_id, SessionEnd.LOGOUT)


async def end_others(conn: "Conn", account_id: UUID, reason: SessionEnd, keep: UUID | None = None) -> int:
    """End the live sessions of an account except `keep`, in the caller's transaction; return their number."""
    ended = [row["id"] for row in await conn.fetch(END_SESSIONS, account_id, reason, keep)]
    await events.append(conn, [Event(EventKind.SESSION_ENDED, session_id) for session_id in ended])
    return len(ended)


async def of_account(pool: "Pool", account_id: UUID, page: Page) -> tuple[Sequence[Session], Position | None]:
    """Return a page of the live sessions of an account, most recently refreshed first, and the position of its last row if more follow."""
    after = datetime.fromisoformat(str(page.after.key)) if page.after else _END_OF_TIME
    rows = await pool.fetch(LIST_SESSIONS, account_id, after, page.below, page.size + 1)
    found = [_session(row) for row in rows[: page.size]]
    return found, Position(found[-1].refreshed_at.isoformat(), found[-1].id) if len(rows) > page.size else None


class InSession(Protocol):
    """A caller, or a command, within a session of an account."""

    @property
    def account_id(self) -> UUID:
        """The account to which the session must belong."""

    @property
    def session_id(self) -> UUID:
        """The session that must be live."""


async def roles(pool: "Pool", callers: Sequence[InSession]) -> list[Role | MercatoError]:
    """Return for each caller the current role of the account, or TokenInvalid if the session has ended or is another account's.

    A session of a guest keeps the role GUEST.
    """
    async with connection(pool) as conn:
        rows = await conn.fetch(GET_ROLES, [caller.session_id for caller in callers])
    live = {(account_id, session_id): Role(role) for account_id, session_id, role, live in rows if live}
    return [live.get((caller.account_id, caller.session_id)) or session_ended() for caller in callers]


async def require_live(conn: "Conn", guest_sessions: Collection[UUID]) -> None:
    """Raise StaleReadError if a session of a guest has ended since a statement of the transaction has found it live.

    It must run after the statement that writes the guest's cart: that may have waited for the login that merges the cart, and has then
    written to the cart that the login has emptied. Another run finds that the session has ended.
    """
    if guest_sessions and await conn.fetchval(HAS_ENDED, list(guest_sessions)):
        raise StaleReadError


def session_ended() -> TokenInvalid:
    """Return the refusal of a call whose session has ended."""
    return TokenInvalid("the session of this token has ended; log in again")


def _session(row: asyncpg.Record) -> Session:
    return Session(**dict(row))
