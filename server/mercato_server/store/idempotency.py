"""Idempotency keys: a call's response is stored in the transaction of its effect, and a repeated call receives it as a replay."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import IDENTITY, await_standbys, identify
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, TokenInvalid, TooManyKeys
from mercato_server.store import guest_networks

Result = TypeVar("Result")

UNLIMITED = 0
# Part of a statement: claims the keys of `claim`, in which all have one live_max. The count reads the keys of the scope up to that limit.
# It takes 0.4 ms at 1,000. Calls under way are not counted, so they may exceed the limit together. Claims of guests have their network.
CLAIMED = f"""
    INSERT INTO idempotency_keys AS stored (scope_id, key, method, fingerprint)
    SELECT scope_id, key, method, fingerprint
      FROM claim
     WHERE live_max = 0  -- no limit
        OR (SELECT count(*)
              FROM (SELECT FROM idempotency_keys AS live WHERE live.scope_id = claim.scope_id LIMIT live_max) AS counted) < live_max
       AND (network IS NULL
            OR NOT {guest_networks.is_full("claim.network", "FROM idempotency_keys AS live WHERE live.scope_id = guest.id", "live_max")})
     ORDER BY scope_id, key  -- one order for all claims, so that they cannot deadlock
        ON CONFLICT (scope_id, key) DO UPDATE  -- waits for a claim by a running transaction
       SET method = excluded.method, fingerprint = excluded.fingerprint, response = NULL, created_at = now()
     WHERE stored.created_at < now() - interval '24 hours'  -- expired, but not deleted by the sweep yet
    RETURNING scope_id, key
"""  # noqa: S608 - constants

# An erasure of the account waits for the call, and then deletes its response.
CLAIM_KEY = f"""
WITH holder AS MATERIALIZED (
    SELECT network, erased_at FROM accounts WHERE id = $1 FOR KEY SHARE
), claim AS (
    SELECT $1::uuid AS scope_id, $2::text AS key, $3::text AS method, $4::bytea AS fingerprint, $5::integer AS live_max,
           (SELECT network FROM holder) AS network
     WHERE NOT EXISTS (SELECT FROM holder WHERE erased_at IS NOT NULL)
), claimed AS ({CLAIMED})
SELECT (SELECT key FROM claimed) AS key, EXISTS (SELECT FROM holder WHERE erased_at IS NOT NULL) AS is_erased
"""  # noqa: S608 - constants

GET_RESPONSES = """
SELECT stored.scope_id, stored.key, stored.fingerprint, stored.response
  FROM unnest($1::uuid[], $2::text[]) AS claim (scope_id, key)
  JOIN idempotency_keys AS stored ON stored.scope_id = claim.scope_id AND stored.key = claim.key
 WHERE stored.created_at >= now() - interval '24 hours'
"""

STORE_RESPONSES = f"""
WITH answered AS (
    UPDATE idempotency_keys AS stored
       SET response = done.response
      FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS done (scope_id, key, response)
     WHERE stored.scope_id = done.scope_id AND stored.key = done.key
)
SELECT {IDENTITY}
"""  # noqa: S608 - constants

RELEASE_KEYS = """
DELETE FROM idempotency_keys AS stored
 USING unnest($1::uuid[], $2::text[]) AS failed (scope_id, key)
 WHERE stored.scope_id = failed.scope_id AND stored.key = failed.key
"""


@dataclass(frozen=True, slots=True, eq=False)  # identity as dict key costs nothing
class IdempotencyKey:
    """An idempotency key and the fingerprint of its request. The scope is an account, or of an anonymous call a digest of its request."""

    scope_id: UUID
    key: str
    method: str
    fingerprint: bytes
    """A digest of method and request."""
    serialize: Callable[[Any], bytes] = field(repr=False)
    """Serializes the result of the use case as the response to store."""
    live_max: int = UNLIMITED
    """Stored keys that the scope may have before a new one; the same for all keys of a transaction."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The serialized response that is stored with a key; `replayed` if an earlier call stored it."""

    response: bytes
    replayed: bool


async def _allow() -> None:
    """Refuse no caller: the layers have checked all that a caller of this kind must still be."""


async def once(
    conn: "Conn", key: IdempotencyKey | None, work: Callable[[], Awaitable[Result]], authorise: Callable[[], Awaitable[None]] = _allow
) -> Result | Stored:
    """Do the work of a transaction, or return the stored response if its key was used before.

    Raises IdempotencyKeyReused for another request, and TooManyKeys if the scope has no room for a new key.

    `authorise` runs before a stored response is returned. It raises the refusal that the caller would get for a new call now. Work that
    looks at the caller's role or at the owner of its subject needs one: the caller may have lost the right since the first call.
    """
    if key is None:
        return await work()
    replay = await _claim(conn, key)
    if isinstance(replay, MercatoError):
        raise replay
    if replay is not None:
        try:
            await authorise()
        except MercatoError as error:
            error.security_event = "REPLAY_REFUSED"
            raise
        return replay
    response = key.serialize(await work())
    await store(conn, {key: response})
    return Stored(response, replayed=False)


async def answered_or(pool: "Pool", key: IdempotencyKey | None, serve: Callable[[], Awaitable[Result]]) -> Result | Stored:
    """Return the stored response of a key, or serve the call if there is none; raises IdempotencyKeyReused.

    This is for calls that cannot succeed twice, for example because the request has the password that the first call replaces. If a
    duplicate is refused because the first call has just succeeded, the duplicate receives the response of the first.
    """
    if stored := await _find(pool, key):
        return stored
    try:
        return await serve()
    except MercatoError:
        if stored := await _find(pool, key):
            return stored
        raise


async def _find(pool: "Pool", key: IdempotencyKey | None) -> Stored | None:
    if key is None:
        return None
    row = await pool.fetchrow(GET_RESPONSES, [key.scope_id], [key.key])
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReused
    await await_standbys(pool)
    return Stored(row["response"], replayed=True)


async def _claim(conn: "Conn", key: IdempotencyKey) -> Stored | MercatoError | None:
    """Claim a key for the caller's transaction; return its stored response, or the refusal, if that is not possible.

    It waits for a key that another transaction has claimed, up to lock_timeout.
    """
    claim = await conn.fetchrow(CLAIM_KEY, key.scope_id, key.key, key.method, key.fingerprint, key.live_max)
    if claim and claim["is_erased"]:
        return TokenInvalid("the account of this token no longer exists")
    if claim and claim["key"]:
        return None
    return (await replays(conn, [key]))[key]


async def replays(conn: "Conn", keys: Collection[IdempotencyKey]) -> dict[IdempotencyKey, Stored | MercatoError]:
    """Return the stored response, or the refusal, of each key that a statement before could not claim. They must differ in (scope, key)."""
    rows = await conn.fetch(GET_RESPONSES, [key.scope_id for key in keys], [key.key for key in keys])
    found = {(row["scope_id"], row["key"]): row for row in rows}

    def outcome(key: IdempotencyKey) -> Stored | MercatoError:
        row = found.get((key.scope_id, key.key))
        if row is None:
            return TooManyKeys(key.live_max)
        return Stored(row["response"], replayed=True) if row["fingerprint"] == key.fingerprint else IdempotencyKeyReused()

    return {key: outcome(key) for key in keys}


async def store(conn: "Conn", responses: Mapping[IdempotencyKey, bytes]) -> None:
    """Store the responses of claimed keys."""
    scopes, names = [key.scope_id for key in responses], [key.key for key in responses]
    rows = await conn.fetch(STORE_RESPONSES, scopes, names, list(responses.values()))
    identify(conn, rows[0])


async def release(conn: "Conn", keys: Collection[IdempotencyKey]) -> None:
    """Release the claimed keys of refused calls, so that clients can retry these calls."""
    await conn.execute(RELEASE_KEYS, [key.scope_id for key in keys], [key.key for key in keys])
