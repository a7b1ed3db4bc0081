"""The keys that sign access tokens. The next key is published before its use; a retired key still verifies the tokens that it signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.signing_keys import SealedKey
from mercato_server.store import audit_log, events
from mercato_server.store.events import Event

PUBLISHED_S = 300
"""Time for which clients may cache the published keys; the server does not use the next key earlier."""
NOTHING = UUID(int=0)

LOCK_KEYS = "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"

GET_KEYS = "SELECT kid, state, sealed FROM signing_keys ORDER BY created_at"

INSERT_KEYS = """
INSERT INTO signing_keys (kid, state, sealed)
SELECT kid, state, sealed FROM unnest($1::text[], $2::text[], $3::bytea[]) AS key (kid, state, sealed)
"""

DELETE_KEYS = "DELETE FROM signing_keys RETURNING kid, state"

RETIRE_CURRENT = "UPDATE signing_keys SET state = 'retired', changed_at = now() WHERE state = 'current' RETURNING kid"

PROMOTE_NEXT = """
UPDATE signing_keys
   SET state = 'current', changed_at = now()
 WHERE state = 'next' AND created_at < now() - make_interval(secs => $1)
RETURNING kid
"""

DELETE_RETIRED = "DELETE FROM signing_keys WHERE state = 'retired' AND changed_at < now() - interval '24 hours'"


class KeyState(StrEnum):
    """The state of a key; the values are those of the database."""

    NEXT = "next"
    CURRENT = "current"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A sealed key and its state."""

    key: SealedKey
    state: KeyState


class NextKeyTooNewError(Exception):
    """The next key has not been published for long enough; the keys are unchanged."""


async def load(pool: "Pool") -> list[StoredKey]:
    """Return all keys, oldest first."""
    return [StoredKey(SealedKey(row["kid"], row["sealed"]), KeyState(row["state"])) for row in await pool.fetch(GET_KEYS)]


@retry_conflicts
async def ensure(pool: "Pool", current: SealedKey, following: SealedKey) -> None:
    """Store the first keys of a shop; without effect if it has keys."""
    async with transaction(pool) as conn:
        await conn.execute(LOCK_KEYS)
        if not await conn.fetch(GET_KEYS):
            await _insert(conn, [StoredKey(current, KeyState.CURRENT), StoredKey(following, KeyState.NEXT)])


@retry_conflicts
async def rotate(pool: "Pool", following: SealedKey, actor: Actor) -> None:
    """Retire the current key, make the next key the current one and publish a new next key; raises NextKeyTooNewError."""
    async with transaction(pool) as conn:
        await conn.execute(LOCK_KEYS)
        old = await conn.fetchval(RETIRE_CURRENT)
        new = await conn.fetchval(PROMOTE_NEXT, PUBLISHED_S)
        if new is None:
            raise NextKeyTooNewError
        await conn.execute(DELETE_RETIRED)
        await _insert(conn, [StoredKey(following, KeyState.NEXT)])
        await events.append(conn, [Event(EventKind.KEYS_CHANGED, NOTHING)])
        await audit_log.append(conn, actor, "keys.rotated", None, {"kid": old}, {"kid": new})


@retry_conflicts
async def replace(pool: "Pool", current: SealedKey, following: SealedKey, actor: Actor) -> None:
    """Delete all keys and store new ones; all access tokens become invalid at once."""
    async with transaction(pool) as conn:
        await conn.execute(LOCK_KEYS)
        dropped = {row["state"]: row["kid"] for row in await conn.fetch(DELETE_KEYS)}
        await _insert(conn, [StoredKey(current, KeyState.CURRENT), StoredKey(following, KeyState.NEXT)])
        await events.append(conn, [Event(EventKind.KEYS_CHANGED, NOTHING)])
        await audit_log.append(conn, actor, "keys.discarded", None, {"kid": dropped.get(KeyState.CURRENT)}, {"kid": current.kid})


async def _insert(conn: "Conn", keys: Sequence[StoredKey]) -> None:
    await conn.execute(INSERT_KEYS, [each.key.kid for each in keys], [each.state for each in keys], [each.key.sealed for each in keys])
