"""Idempotency keys: a call's response is stored in the transaction of its effect, and a repeated call receives it as a replay."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import await_standbys
from mercato_server.domain.errors import IdempotencyKeyReused, MercatoError, TooManyKeys

Result = TypeVar("Result")

UNLIMITED = 0
# The count reads the keys of the scope up to its limit, $5; it takes 0.4 ms at 1,000. Calls under way are not counted, so they may exceed
# the limit together.
CLAIM_KEYS = """
INSERT INTO idempotency_keys AS stored (scope_id, key, method, fingerprint)
SELECT scope_id, key, method, fingerprint
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS claim (scope_id, key, method, fingerprint)
 WHERE $5::integer = 0  -- no limit
    OR (SELECT count(*) FROM (SELECT FROM idempotency_keys AS live WHERE live.scope_id = claim.scope_id LIMIT $5) AS counted) < $5
 ORDER BY scope_id, key  -- one order for all claims, so that they cannot deadlock
    ON CONFLICT (scope_id, key) DO UPDATE  -- waits for a claim by a running transaction
   SET method = excluded.method, fingerprint = excluded.fingerprint, response = NULL, created_at = now()
 WHERE stored.created_at < now() - interval '24 hours'  -- expired, but not deleted by the sweep yet
RETURNING scope_id, key
"""

GET_RESPONSES = """
SELECT stored.scope_id, stored.key, stored.fingerprint, stored.response
  FROM unnest($1::uuid[], $2::text[]) AS claim (scope_id, key)
  JOIN idempotency_keys AS stored ON stored.scope_id = claim.scope_id AND stored.key = claim.key
 WHERE stored.created_at >= now() - interval '24 hours'
"""

STORE_RESPONSES = """
UPDATE idempotency_keys AS stored
   SET response = done.response
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS done (scope_id, key, response)
 WHERE stored.scope_id = done.scope_id AND stored.key = done.key
"""

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
    used = (await claim(conn, [key])).get(key)
    if isinstance(used, MercatoError):
        raise used
    if used is not None:
        try:
            await authorise()
        except MercatoError as error:
            error.security_event = "REPLAY_REFUSED"
            raise
        return used
    return (await settle(conn, [(key, await work())]))[key]


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


async def claim(conn: "Conn", keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, Stored | MercatoError]:
    """Claim keys for the caller's transaction; return the stored responses, or the refusals, of those that it cannot claim.

    It waits for a key that another transaction has claimed, up to lock_timeout. Keys must differ in (scope, key).
    """
    if not keys:
        return {}
    scopes, names = [key.scope_id for key in keys], [key.key for key in keys]
    methods, fingerprints = [key.method for key in keys], [key.fingerprint for key in keys]
    claimed = await conn.fetch(CLAIM_KEYS, scopes, names, methods, fingerprints, keys[0].live_max)
    if len(claimed) == len(keys):
        return {}
    taken = {(row["scope_id"], row["key"]) for row in claimed}
    used = {(key.scope_id, key.key): key for key in keys if (key.scope_id, key.key) not in taken}
    rows = await conn.fetch(GET_RESPONSES, [scope for scope, _ in used], [name for _, name in used])
    outcomes: dict[IdempotencyKey, Stored | MercatoError] = {key: TooManyKeys(key.live_max) for key in used.values()}
    for row in rows:
        key = used[row["scope_id"], row["key"]]
        same = row["fingerprint"] == key.fingerprint
        outcomes[key] = Stored(row["response"], replayed=True) if same else IdempotencyKeyReused()
    return outcomes


async def settle(conn: "Conn", results: Sequence[tuple[IdempotencyKey | None, Any]]) -> dict[IdempotencyKey, Stored]:
    """Store the responses of claimed keys and return them; release the keys of errors, so that clients can retry these calls."""
    done = [(key, key.serialize(result)) for key, result in results if key and not isinstance(result, Exception)]
    failed = [key for key, result in results if key and isinstance(result, Exception)]
    if done:
        scopes, names, responses = [key.scope_id for key, _ in done], [key.key for key, _ in done], [response for _, response in done]
        await conn.execute(STORE_RESPONSES, scopes, names, responses)
    if failed:
        await conn.execute(RELEASE_KEYS, [key.scope_id for key in failed], [key.key for key in failed])
    return {key: Stored(response, replayed=False) for key, response in done}
