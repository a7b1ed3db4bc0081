"""Reads of payments for their comparison with a provider: by the provider's ids, by pages of a time, and with all their parts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts
from mercato_server.domain.payments import PaymentState, RefundState
from mercato_server.domain.reconciliation import Difference, Discrepancy, Kind, ShopDispute, ShopPayment, ShopRefund

PAGE = 5_000
"""Rows of a page of the shop's own."""
MARGIN_MS = 86_400_000
"""Ids are made up to so many milliseconds before the `created_at` of their rows, as clocks differ."""

Part = TypeVar("Part")

_COLUMNS = "id, order_id, provider_ref, state, currency_code, amount_minor, captured_minor, created_at"

FIND_PAYMENTS = f"""
SELECT {_COLUMNS}
  FROM payments
 WHERE provider = $1 AND provider_ref = ANY($2::text[])
 UNION
SELECT {_COLUMNS}
  FROM payments
 WHERE provider = $1 AND id = ANY($3::uuid[])
"""  # noqa: S608 - constants


async def find(conn: "Conn | Pool", provider: str, refs: Sequence[str], ids: Sequence[UUID]) -> list[ShopPayment]:
    """Return the payments with references at a provider, or with ids, without their parts."""
    return [_payment(row) for row in await conn.fetch(FIND_PAYMENTS, provider, refs, ids)]


GET_REFUNDS = """
SELECT payment_id, id, provider_ref, state, amount_minor, created_at
  FROM refunds
 WHERE payment_id = ANY($1::uuid[])
"""

GET_DISPUTES = """
SELECT payment_id, id, provider_ref, state, amount_minor, withdrawn_minor, created_at
  FROM disputes
 WHERE order_id = ANY($1::uuid[])
"""

GET_WAITING = """
SELECT payment_id, min(waiting_since) AS waiting_since
  FROM (SELECT payment_id, created_at AS waiting_since
          FROM provider_requests
         WHERE payment_id = ANY($1::uuid[]) AND outcome IS NULL
         UNION ALL
        SELECT payment.id, event.received_at
          FROM payments AS payment
          JOIN provider_events AS event ON event.provider = payment.provider AND event.provider_ref = payment.provider_ref
         WHERE payment.id = ANY($1::uuid[]) AND event.applied_at IS NULL AND event.quarantined_at IS NULL) AS waiting
 GROUP BY payment_id
"""


@retry_conflicts
async def load(pool: "Pool", provider: str, refs: Sequence[str], ids: Sequence[UUID]) -> list[ShopPayment]:
    """Return payments as `find`, with their refunds, disputes and what they wait for, in one snapshot."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        payments = {each.id: each for each in await find(conn, provider, refs, ids)}
        for row in await conn.fetch(GET_REFUNDS, list(payments)):
            payments[row["payment_id"]].refunds.append(_refund(row))
        for row in await conn.fetch(GET_DISPUTES, [each.order_id for each in payments.values()]):
            if row["payment_id"] in payments:
                payments[row["payment_id"]].disputes.append(_dispute(row))
        for row in await conn.fetch(GET_WAITING, list(payments)):
            payments[row["payment_id"]].waiting_since = row["waiting_since"]
    return list(payments.values())


GET_REFUNDS_AT = """
SELECT payment.provider_ref AS payment_ref, part.id, part.provider_ref, part.state, part.amount_minor, part.created_at
  FROM payments AS payment
  LEFT JOIN refunds AS part ON part.payment_id = payment.id
 WHERE payment.provider = $1 AND payment.provider_ref = ANY($2::text[])
"""

GET_DISPUTES_AT = """
SELECT payment.provider_ref AS payment_ref, part.id, part.provider_ref, part.state, part.amount_minor, part.withdrawn_minor, part.created_at
  FROM payments AS payment
  LEFT JOIN disputes AS part ON part.order_id = payment.order_id AND part.payment_id = payment.id
 WHERE payment.provider = $1 AND payment.provider_ref = ANY($2::text[])
"""


async def refunds_at(pool: "Pool", provider: str, refs: Iterable[str]) -> dict[str, list[ShopRefund]]:
    """Return the refunds of payments by their references; a payment that the shop does not have is left out."""
    return _by_payment(await pool.fetch(GET_REFUNDS_AT, provider, list(set(refs))), _refund)


async def disputes_at(pool: "Pool", provider: str, refs: Iterable[str]) -> dict[str, list[ShopDispute]]:
    """Return the disputes of payments as `refunds_at` does their refunds."""
    return _by_payment(await pool.fetch(GET_DISPUTES_AT, provider, list(set(refs))), _dispute)


def _by_payment(rows: Sequence[asyncpg.Record], make: Callable[[asyncpg.Record], Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = defaultdict(list)
    for row in rows:
        parts = found[row["payment_ref"]]
        if row["id"] is not None:
            parts.append(make(row))
    return dict(found)


class Own(NamedTuple):
    """A payment, refund or dispute of the shop that the provider should have."""

    id: UUID
    payment_id: UUID


LIST_PAYMENTS = """
SELECT id, id AS payment_id
  FROM payments
 WHERE id > $1 AND provider = $2 AND created_at >= $3 AND created_at < $4
   AND (provider_ref IS NOT NULL OR state NOT IN ('cancelled', 'expired'))
 ORDER BY id
 LIMIT $5
"""

LIST_REFUNDS = """
SELECT part.id, part.payment_id
  FROM refunds AS part
  JOIN payments AS payment ON payment.id = part.payment_id
 WHERE part.id > $1 AND payment.provider = $2 AND part.created_at >= $3 AND part.created_at < $4
   AND (part.provider_ref IS NOT NULL OR part.state <> 'failed')
 ORDER BY part.id
 LIMIT $5
"""

LIST_DISPUTES = """
SELECT part.id, part.payment_id
  FROM disputes AS part
  JOIN payments AS payment ON payment.id = part.payment_id
 WHERE part.id > $1 AND payment.provider = $2 AND part.created_at >= $3 AND part.created_at < $4
 ORDER BY part.id
 LIMIT $5
"""


async def page(pool: "Pool", statement: str, provider: str, since: datetime, until: datetime, after: UUID | None) -> list[Own]:
    """Return the next page of what the shop has made at `since` or later and before `until`, by one of the three statements above."""
    rows = await pool.fetch(statement, after or _before(since), provider, since, until, PAGE)
    return [Own(*row) for row in rows]


def _before(moment: datetime) -> UUID:
    """Return an id below all that were made at a moment or later."""
    return UUID(int=max(0, int(moment.timestamp() * 1000) - MARGIN_MS) << 80)


GET_KEPT = """
SELECT placed.id AS order_id, placed.status, placed.currency_code, paid.kept_minor, paid.payment_ids
  FROM (SELECT order_id, sum(kept_minor) AS kept_minor, array_agg(id ORDER BY id) AS payment_ids
          FROM (SELECT id, order_id, captured_minor - refunded_minor - refunding_minor - disputed_minor - lost_minor AS kept_minor
                  FROM payments
                 WHERE order_id IN (SELECT order_id FROM payments WHERE id = ANY($1::uuid[]))) AS payment
         WHERE kept_minor > 0
         GROUP BY order_id) AS paid
  JOIN orders AS placed ON placed.id = paid.order_id
 WHERE placed.status = 'cancelled' OR cardinality(paid.payment_ids) > 1
 ORDER BY placed.id
"""


async def kept(pool: "Pool", payment_ids: Sequence[UUID]) -> list[Discrepancy]:
    """Return the orders of payments that are cancelled and keep money, or keep that of several payments."""
    found = []
    for row in await pool.fetch(GET_KEPT, payment_ids):
        kind = Kind.PAID_TWICE if len(row["payment_ids"]) > 1 else Kind.CANCELLED_KEEPS_MONEY
        payments = ", ".join(map(str, row["payment_ids"]))
        told = f"{row['status']}, kept {row['kept_minor']} {row['currency_code']} of {payments}"
        found.append(Discrepancy(Difference(kind=kind, shop=told), row["payment_ids"][-1], row["order_id"]))
    return found


GET_UNSETTLED = """
SELECT payment.id, payment.order_id, coalesce(payment.provider_ref, '') AS provider_ref, request.refund_id,
       request.kind || ' request ' || request.id AS waiting, request.created_at AS since
  FROM provider_requests AS request
  JOIN payments AS payment ON payment.id = request.payment_id
 WHERE request.provider = $1 AND request.outcome IS NULL AND request.created_at <= $2 AND NOT $4
 UNION ALL
SELECT payment.id, payment.order_id, event.provider_ref, NULL, 'notice ' || event.event_id, event.received_at
  FROM provider_events AS event
  LEFT JOIN payments AS payment ON payment.provider = event.provider AND payment.provider_ref = event.provider_ref
 WHERE event.provider = $1 AND event.applied_at IS NULL AND event.quarantined_at IS NULL AND event.received_at <= $2
 ORDER BY since
 LIMIT $3
"""


async def unsettled(pool: "Pool", provider: str, until: datetime, limit: int, *, notices_only: bool) -> list[Discrepancy]:
    """Return requests and notices that have waited since `until` or longer, the oldest first; only notices while requests are paused."""
    return [
        Discrepancy(
            Difference(
                kind=Kind.UNSETTLED, shop=f"{row['waiting']} since {row['since']:%Y-%m-%dT%H:%M:%SZ}", part_id=row["refund_id"], since=None
            ),
            row["id"],
            row["order_id"],
            row["provider_ref"],
        )
        for row in await pool.fetch(GET_UNSETTLED, provider, until, limit, notices_only)
    ]


def _payment(row: asyncpg.Record) -> ShopPayment:
    return ShopPayment(**{**row, "state": PaymentState(row["state"])})


def _refund(row: asyncpg.Record) -> ShopRefund:
    return ShopRefund(
        id=row["id"],
        provider_ref=row["provider_ref"],
        state=RefundState(row["state"]),
        amount_minor=row["amount_minor"],
        created_at=row["created_at"],
    )


def _dispute(row: asyncpg.Record) -> ShopDispute:
    return ShopDispute(
        id=row["id"],
        provider_ref=row["provider_ref"],
        state=row["state"],
        amount_minor=row["amount_minor"],
        withdrawn_minor=row["withdrawn_minor"],
        created_at=row["created_at"],
    )
