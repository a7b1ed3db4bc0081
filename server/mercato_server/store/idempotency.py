"""Idempotency keys: the answer of a call is stored in the transaction of its effect, so a repeated call gets it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mercato_server.db import Conn
from mercato_server.domain.errors import IdempotencyKeyReused

CLAIM_KEYS = """
INSERT INTO idempotency_keys (account_id, key, method, fingerprint)
SELECT account_id, key, method, fingerprint
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS claim (account_id, key, method, fingerprint)
 ORDER BY account_id, key  -- one order for everybody, so that claims cannot deadlock
    ON CONFLICT (account_id, key) DO NOTHING  -- waits for a claim that is still open in another transaction
RETURNING account_id, key
"""

GET_RESPONSES = """
SELECT stored.account_id, stored.key, stored.fingerprint, stored.response
  FROM unnest($1::uuid[], $2::text[]) AS claim (account_id, key)
  JOIN idempotency_keys AS stored ON stored.account_id = claim.account_id AND stored.key = claim.key
"""

STORE_RESPONSES = """
UPDATE idempotency_keys AS stored
   SET response = done.response
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS done (account_id, key, response)
 WHERE stored.account_id = done.account_id AND stored.key = done.key
"""

RELEASE_KEYS = """
DELETE FROM idempotency_keys AS stored
 USING unnest($1::uuid[], $2::text[]) AS failed (account_id, key)
 WHERE stored.account_id = failed.account_id AND stored.key = failed.key
"""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key of one account, with what tells its request from others: the method and a SHA-256 of both."""

    account_id: UUID
    key: str
    method: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """The serialized response of the call that used the key first."""

    response: bytes


async def claim(conn: "Conn", keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, Replay | IdempotencyKeyReused]:
    """Take the keys for the caller's transaction; return what became of those that were used before.

    A key that another transaction is using is waited for (lock_timeout). Keys must differ in (account, key).
    """
    if not keys:
        return {}
    accounts, names = [key.account_id for key in keys], [key.key for key in keys]
    claimed = await conn.fetch(CLAIM_KEYS, accounts, names, [key.method for key in keys], [key.fingerprint for key in keys])
    if len(claimed) == len(keys):
        return {}
    taken = {(row["account_id"], row["key"]) for row in claimed}
    used = {(key.account_id, key.key): key for key in keys if (key.account_id, key.key) not in taken}
    rows = await conn.fetch(GET_RESPONSES, [account for account, _ in used], [name for _, name in used])
    outcomes: dict[IdempotencyKey, Replay | IdempotencyKeyReused] = {}
    for row in rows:
        key = used[row["account_id"], row["key"]]
        outcomes[key] = Replay(row["response"]) if row["fingerprint"] == key.fingerprint else IdempotencyKeyReused()
    return outcomes


async def settle(conn: "Conn", responses: Sequence[tuple[IdempotencyKey, bytes | None]]) -> None:
    """Store the responses of claimed keys; a key without response is released, so that the call can be tried again."""
    done = [(key, response) for key, response in responses if response is not None]
    failed = [key for key, response in responses if response is None]
    if done:
        await conn.execute(
            STORE_RESPONSES, [key.account_id for key, _ in done], [key.key for key, _ in done], [response for _, response in done]
        )
    if failed:
        await conn.execute(RELEASE_KEYS, [key.account_id for key in failed], [key.key for key in failed])
