"""The outbox: requests to providers, leased by the worker that sends them. A lease only spares work; the idempotency key keeps order."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain.payments import PaymentState, ProviderRequest, RequestKind

LEASE_S = 60.0
"""Longer than the wait for a place, and a request with its wait for a turn in the provider's limits."""

_LEASED = """
RETURNING request.id, request.provider, request.kind, request.payment_id, request.refund_id, request.amount_minor, request.attempt,
          request.tries, request.sent_at, now() AS now, payment.order_id, payment.provider_ref, payment.currency_code,
          payment.state, payment.capture_later, payment.created_at AS payment_created_at, request.traceparent,
          (SELECT payments_paused_at IS NOT NULL FROM database_origin WHERE singleton) AS is_paused"""

LEASE_DUE = f"""
UPDATE provider_requests AS request
   SET leased_until = now() + make_interval(secs => $2), tries = request.tries + 1, sent_at = coalesce(request.sent_at, now())
  FROM (SELECT id
          FROM provider_requests
         WHERE outcome IS NULL AND next_at <= now() AND (leased_until IS NULL OR leased_until < now())
         ORDER BY next_at
         LIMIT $1
           FOR UPDATE SKIP LOCKED) AS due,
       payments AS payment
 WHERE request.id = due.id AND payment.id = request.payment_id
{_LEASED}
"""  # noqa: S608 - constants

LEASE_OF_ORDER = f"""
UPDATE provider_requests AS request
   SET leased_until = now() + make_interval(secs => $2), tries = request.tries + 1, sent_at = coalesce(request.sent_at, now())
  FROM (SELECT waiting.id
          FROM payments AS owed
          JOIN provider_requests AS waiting ON waiting.payment_id = owed.id AND waiting.outcome IS NULL
         WHERE owed.order_id = $1 AND ($3::uuid IS NULL OR coalesce(waiting.refund_id, waiting.payment_id) = $3)
         ORDER BY waiting.id
           FOR UPDATE OF waiting SKIP LOCKED) AS due,
       payments AS payment
 WHERE request.id = due.id AND payment.id = request.payment_id
{_LEASED}
"""  # noqa: S608 - constants

DEFER = """
UPDATE provider_requests
   SET next_at = now() + make_interval(secs => $2), leased_until = NULL, code = $3
 WHERE id = $1 AND outcome IS NULL
"""

NEXT_ATTEMPT = """
UPDATE provider_requests
   SET attempt = attempt + 1, sent_at = NULL, next_at = now(), leased_until = NULL
 WHERE id = $1 AND attempt = $2 AND outcome IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedRequest:
    """A request that this worker sends, with what it needs of its payment."""

    request: ProviderRequest
    attempt: int
    tries: int
    age_s: float
    """Seconds since this attempt was sent first."""
    order_id: UUID
    provider_ref: str | None
    payment_state: PaymentState
    """The state of the payment as the shop knows it."""
    currency_code: str
    capture_later: bool
    payment_created_at: datetime
    traceparent: str
    """The trace of the call that has written the request, if it is recorded; else empty."""
    is_paused: bool
    """Whether nothing may be sent, because the shop was restored: a worker only looks for the effect."""

    @property
    def key(self) -> str:
        """The idempotency key at the provider."""
        return f"{self.request.id}:{self.attempt}"


async def lease_due(pool: "Pool", limit: int) -> list[LeasedRequest]:
    """Lease requests whose time has come, at most `limit`."""
    return [_leased(row) for row in await pool.fetch(LEASE_DUE, limit, LEASE_S)]


async def lease_of_order(pool: "Pool", order_id: UUID, subject_id: UUID | None = None) -> list[LeasedRequest]:
    """Lease the open requests of an order at once, for a caller that waits; another worker may send them too, under the same keys.

    With the id of a refund or a payment, only the requests of this refund, or those of the payment itself.
    """
    return [_leased(row) for row in await pool.fetch(LEASE_OF_ORDER, order_id, LEASE_S, subject_id)]


async def defer(pool: "Pool", request_id: UUID, pause_s: float, code: str) -> None:
    """Send a request again later, with the same key."""
    await pool.execute(DEFER, request_id, pause_s, code)


async def next_attempt(pool: "Pool", request_id: UUID, attempt: int) -> None:
    """Give a request a new key. The caller knows from the provider that the attempt has had no effect and never will."""
    await pool.execute(NEXT_ATTEMPT, request_id, attempt)


def _leased(row: asyncpg.Record) -> LeasedRequest:
    return LeasedRequest(
        request=ProviderRequest(
            row["id"], row["provider"], RequestKind(row["kind"]), row["payment_id"], row["refund_id"], row["amount_minor"]
        ),
        attempt=row["attempt"],
        tries=row["tries"],
        age_s=(row["now"] - row["sent_at"]).total_seconds(),
        order_id=row["order_id"],
        provider_ref=row["provider_ref"],
        payment_state=PaymentState(row["state"]),
        currency_code=row["currency_code"],
        capture_later=row["capture_later"],
        payment_created_at=row["payment_created_at"],
        traceparent=row["traceparent"] or "",
        is_paused=bool(row["is_paused"]),
    )
