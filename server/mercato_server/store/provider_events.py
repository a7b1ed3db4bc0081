"""The inbox: notices of providers, each stored once, leased by the worker that reads its payment, or quarantined."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.payment_errors import PaymentEventNotFound
from mercato_server.domain.payment_records import QuarantinedEvent
from mercato_server.store import audit_log
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

LEASE_S = 30.0

INSERT_EVENT = """
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (provider, event_id) DO NOTHING
RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A notice of a provider about a payment."""

    id: UUID
    provider: str
    provider_ref: str
    tries: int


async def insert(pool: "Pool", provider: str, event_id: str, kind: str, provider_ref: str, happened_at: datetime) -> bool:
    """Store an event; False if it is stored already."""
    return await pool.fetchval(INSERT_EVENT, provider, event_id, kind, provider_ref, happened_at) is not None


LEASE_EVENTS = """
UPDATE provider_events AS event
   SET leased_until = now() + make_interval(secs => $2), tries = event.tries + 1
  FROM (SELECT provider, event_id
          FROM provider_events
         WHERE applied_at IS NULL AND quarantined_at IS NULL AND next_at <= now() AND (leased_until IS NULL OR leased_until < now())
         ORDER BY next_at
         LIMIT $1
           FOR UPDATE SKIP LOCKED) AS due
 WHERE event.provider = due.provider AND event.event_id = due.event_id
RETURNING event.id, event.provider, event.provider_ref, event.tries
"""


async def lease(pool: "Pool", limit: int) -> list[StoredEvent]:
    """Lease events that no worker has applied, at most `limit`."""
    return [StoredEvent(**row) for row in await pool.fetch(LEASE_EVENTS, limit, LEASE_S)]


DEFER_EVENTS = """
UPDATE provider_events
   SET next_at = now() + make_interval(secs => $2), leased_until = NULL, failure = $3
 WHERE id = ANY($1::uuid[])
"""


async def defer(pool: "Pool", ids: Sequence[UUID], pause_s: float, failure: str) -> None:
    """Try events again later."""
    await pool.execute(DEFER_EVENTS, ids, pause_s, failure)


SET_APPLIED = "UPDATE provider_events SET applied_at = now(), leased_until = NULL, failure = '' WHERE id = ANY($1::uuid[])"


async def set_applied(conn: "Conn | Pool", ids: Sequence[UUID]) -> None:
    """Mark events as applied, in the transaction of their effect."""
    await conn.execute(SET_APPLIED, ids)


QUARANTINE_EVENTS = """
UPDATE provider_events SET quarantined_at = now(), leased_until = NULL, failure = $2 WHERE id = ANY($1::uuid[]) AND quarantined_at IS NULL
"""

QUARANTINE_READ = """
INSERT INTO provider_events AS known (provider, event_id, kind, provider_ref, happened_at, quarantined_at, failure)
VALUES ($1, 'read:' || $2, 'payment.read', $2, now(), now(), $3)
    ON CONFLICT (provider, event_id) DO UPDATE
   SET quarantined_at = now(), resolved_at = NULL, failure = excluded.failure
 WHERE known.resolved_at IS NULL OR known.failure <> excluded.failure
"""


async def quarantine(conn: "Conn | Pool", ids: Sequence[UUID], failure: str) -> None:
    """Set events aside for an administrator."""
    await conn.execute(QUARANTINE_EVENTS, ids, failure)


async def quarantine_read(conn: "Conn | Pool", provider: str, provider_ref: str, failure: str) -> None:
    """Set a payment aside that was read without an event and does not fit the shop's."""
    await conn.execute(QUARANTINE_READ, provider, provider_ref, failure)


EVENT_COLUMNS = "id, provider, event_id, kind, provider_ref, failure, happened_at, quarantined_at, resolved_at"

RESOLVE_EVENT = f"""
UPDATE provider_events
   SET resolved_at = CASE WHEN $2 THEN NULL ELSE now() END, quarantined_at = CASE WHEN $2 THEN NULL ELSE quarantined_at END,
       next_at = now(), tries = 0
 WHERE id = $1 AND quarantined_at IS NOT NULL AND resolved_at IS NULL
RETURNING {EVENT_COLUMNS}
"""  # noqa: S608 - constants


@retry_conflicts
async def resolve(pool: "Pool", event_id: UUID, actor: Actor, key: IdempotencyKey | None, *, retry: bool) -> QuarantinedEvent | Stored:
    """Try a quarantined event again, or dismiss it; raises PaymentEventNotFound."""

    async def work() -> QuarantinedEvent:
        row = await conn.fetchrow(RESOLVE_EVENT, event_id, retry)
        if row is None:
            raise PaymentEventNotFound(event_id)
        action = "payment_event.retried" if retry else "payment_event.dismissed"
        await audit_log.append(conn, actor, action, event_id, {}, {"provider_ref": row["provider_ref"], "failure": row["failure"]})
        return QuarantinedEvent._make(row)

    async with transaction(pool) as conn:
        return await once(conn, key, work)
