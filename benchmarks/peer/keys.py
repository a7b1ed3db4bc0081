"""Idempotency keys: the answer of a call is stored in the transaction that has its effect."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from peer.refusals import Refusal, invalid
from peer.tables import IdempotencyKey

LIFETIME = timedelta(hours=24)

STORED = IdempotencyKey.__table__

_WANTED = insert(STORED).values(
    scope_id=bindparam("scope_id"), key=bindparam("key"), method=bindparam("method"), fingerprint=bindparam("fingerprint")
)
_NEW = _WANTED.excluded
CLAIM = _WANTED.on_conflict_do_update(
    index_elements=[STORED.c.scope_id, STORED.c.key],
    set_={"method": _NEW.method, "fingerprint": _NEW.fingerprint, "response": None, "created_at": func.now()},
    where=STORED.c.created_at < func.now() - LIFETIME,
).returning(STORED.c.key)
_SAME = (STORED.c.scope_id == bindparam("account"), STORED.c.key == bindparam("name"))
EARLIER = select(STORED.c.fingerprint, STORED.c.response).where(*_SAME)
STORE = update(STORED).where(*_SAME).values(response=bindparam("answer", type_=LargeBinary))


@dataclass(frozen=True, slots=True)
class Key:
    """An account's key with the fingerprint of its request."""

    account_id: UUID
    key: str
    method: str
    fingerprint: bytes

    @classmethod
    def of(cls, secret: str, account_id: UUID, key: str | None, method: str, content: bytes) -> "Key | None":
        """Return the key of a call, or None if it has none."""
        if key is None:
            return None
        if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
            raise invalid("INVALID_FIELD", "idempotency-key: must be 1 to 255 visible ASCII characters")
        digest = hmac.digest(secret.encode(), method.encode() + b"\0" + content, hashlib.sha256)
        return cls(account_id, key, method, digest)


def reused() -> Refusal:
    """Refuse a key that belongs to another request."""
    return invalid("IDEMPOTENCY_KEY_REUSED", "idempotency-key: was used for another request; take a new key")


async def claim(db: AsyncSession, key: Key | None) -> bytes | None:
    """Claim a key for this transaction, or return its stored answer; waits for a transaction that holds the key."""
    if key is None:
        return None
    claimed = {"scope_id": key.account_id, "key": key.key, "method": key.method, "fingerprint": key.fingerprint}
    if (await db.execute(CLAIM, claimed)).first() is not None:
        return None
    fingerprint, response = (await db.execute(EARLIER, {"account": key.account_id, "name": key.key})).one()
    if fingerprint != key.fingerprint or response is None:
        raise reused()
    return bytes(response)


async def settle(db: AsyncSession, key: Key | None, response: bytes) -> None:
    """Store the answer."""
    if key is not None:
        await db.execute(STORE, {"account": key.account_id, "name": key.key, "answer": response})
