"""The books of orders, loaded under locks in a constant number of statements for any number of orders."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.adopted_books import adopt
from mercato_server.domain.order_books import Books, Shipment, ShipmentState, Units
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import (
    LedgerKind,
    Payment,
    PaymentMethod,
    PaymentState,
    ProviderRequest,
    Refund,
    RefundLine,
    RefundState,
    RequestKind,
)
from mercato_server.domain.provider_facts import DisputeFact, DisputeState

VERSION_STEP = 2**20
"""Versions between two restores: no order changes so often."""

LOCK_ORDERS = """
SELECT id, account_id, status, version, booked_version, currency_code, total_minor, payment_due_at, now() AS now,
       pricing_version IS NOT NULL AS has_redemptions,
       (SELECT payments_paused_at IS NOT NULL FROM database_origin WHERE singleton) AS payments_paused,
       (SELECT restores FROM database_origin WHERE singleton) AS restores
  FROM orders
 WHERE id = ANY($1::uuid[])
 ORDER BY id  -- one lock order for all transactions
   FOR NO KEY UPDATE  -- FOR UPDATE would block the consumer that writes its mails
"""

GET_UNITS = """
SELECT item.order_id, item.product_id, item.quantity,
       item.quantity * item.unit_price_minor - coalesce(item.discount_minor + item.relief_minor, 0)
       + CASE WHEN placed.prices_include_tax THEN 0 ELSE coalesce(item.tax_minor, 0) END AS amount_minor,
       item.shipped, item.delivered, item.cancelled, item.returned, item.refunded_minor
  FROM order_items AS item
  JOIN orders AS placed ON placed.id = item.order_id
 WHERE item.order_id = ANY($1::uuid[])
 ORDER BY item.order_id, item.product_id
"""

PAYMENT_COLUMNS = """id, order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor,
       authorized_minor, captured_minor, refunding_minor, refunded_minor, disputed_minor, lost_minor, capture_before, failure, reads,
       created_at, updated_at"""

GET_PAYMENTS = f"""
SELECT {PAYMENT_COLUMNS},
       (SELECT coalesce(jsonb_agg(jsonb_build_array(ledger.provider_ref, ledger.kind, ledger.amount_minor)), '[]')
          FROM payment_ledger AS ledger
         WHERE ledger.payment_id = payments.id) AS ledger,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(dispute.provider_ref, dispute.state, dispute.amount_minor, dispute.withdrawn_minor,
                                                    dispute.reason)), '[]')
          FROM disputes AS dispute
         WHERE dispute.order_id = payments.order_id AND dispute.payment_id = payments.id) AS disputes
  FROM payments
 WHERE order_id = ANY($1::uuid[])
 ORDER BY id
"""  # noqa: S608 - constants

REFUND_COLUMNS = """id, payment_id, order_id, state, amount_minor, provider_ref, is_own, reason, failure, actor_kind, actor_id,
       created_at, updated_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(line.product_id, line.quantity, line.amount_minor) ORDER BY line.product_id), '[]')
          FROM refund_lines AS line
         WHERE line.refund_id = refunds.id) AS lines"""

GET_REFUNDS = f"""
SELECT {REFUND_COLUMNS}
  FROM refunds
 WHERE order_id = ANY($1::uuid[])
 ORDER BY id
"""  # noqa: S608 - constants

SHIPMENT_COLUMNS = """id, order_id, state, carrier, tracking_number, tracking_url, failure, actor_kind, actor_id, created_at,
       updated_at, shipped_at, delivered_at,
       (SELECT jsonb_object_agg(item.product_id, item.quantity)
          FROM shipment_items AS item
         WHERE item.shipment_id = shipments.id) AS units"""

GET_SHIPMENTS = f"""
SELECT {SHIPMENT_COLUMNS}
  FROM shipments
 WHERE order_id = ANY($1::uuid[])
 ORDER BY id
"""  # noqa: S608 - constants

GET_OPEN_REQUESTS = """
SELECT request.id, request.provider, request.kind, request.payment_id, request.refund_id, request.amount_minor, payment.order_id
  FROM payments AS payment
  JOIN provider_requests AS request ON request.payment_id = payment.id AND request.outcome IS NULL
 WHERE payment.order_id = ANY($1::uuid[])
"""


async def load(conn: "Conn", order_ids: Iterable[UUID], require: Callable[[Books], None] | None = None) -> dict[UUID, Books]:
    """Lock orders and return their books; an order that does not exist has none.

    `require` sees each order as it was read, before the books of an earlier release are brought up to date, and may raise a refusal.
    It takes four statements, and two more if there are payments, for any number of orders.
    """
    wanted = list(order_ids)
    rows = await conn.fetch(LOCK_ORDERS, wanted)
    books = {row["id"]: _books(row) for row in rows}
    if require:
        for found in books.values():
            require(found)
    for order_id, product_id, *numbers in await conn.fetch(GET_UNITS, wanted):
        books[order_id].units[product_id] = _units(numbers)
    await _load_money(conn, books, wanted)
    for row in await conn.fetch(GET_SHIPMENTS, wanted):
        books[row["order_id"]].shipments[row["id"]] = shipment(row)
    for row in rows:
        if row["booked_version"] != row["version"]:
            adopt(books[row["id"]])
    return books


async def _load_money(conn: "Conn", books: Mapping[UUID, Books], wanted: Sequence[UUID]) -> None:
    payments = await conn.fetch(GET_PAYMENTS, wanted)
    for row in payments:
        books[row["order_id"]].payments[row["id"]] = payment(row)
    if not payments:
        return
    for *request, order_id in await conn.fetch(GET_OPEN_REQUESTS, wanted):
        opened = _request(request)
        books[order_id].open_requests[opened.id] = opened
    for row in await conn.fetch(GET_REFUNDS, wanted):
        books[row["order_id"]].refunds[row["id"]] = refund(row)


def _books(row: asyncpg.Record) -> Books:
    return Books(
        order_id=row["id"],
        account_id=row["account_id"],
        status=OrderStatus(row["status"]),
        version=row["version"],
        currency_code=row["currency_code"],
        total_minor=row["total_minor"],
        payment_due_at=row["payment_due_at"],
        now=row["now"],
        has_redemptions=row["has_redemptions"],
        units={},
        payments_paused=bool(row["payments_paused"]),
        version_floor=(row["restores"] or 0) * VERSION_STEP,
    )


def _units(numbers: Sequence[int]) -> Units:
    quantity, amount_minor, shipped, delivered, cancelled, returned, refunded_minor = numbers
    return Units(
        quantity=quantity,
        amount_minor=amount_minor,
        shipped=shipped,
        delivered=delivered,
        cancelled=cancelled,
        returned=returned,
        refunded_minor=refunded_minor,
    )


def payment(row: asyncpg.Record) -> Payment:
    """Return the payment of a row with PAYMENT_COLUMNS, and with its ledger and disputes if it has these."""
    fields = dict(row)
    ledger = {(ref, LedgerKind(kind)): amount_minor for ref, kind, amount_minor in json.loads(fields.pop("ledger", "[]"))}
    disputes = {told[0]: _dispute(told) for told in json.loads(fields.pop("disputes", "[]"))}
    fields |= {"method": PaymentMethod(row["method"]), "state": PaymentState(row["state"])}
    return Payment(**fields, ledger=ledger, disputes=disputes)


def _dispute(told: Sequence[Any]) -> DisputeFact:
    ref, state, amount_minor, withdrawn_minor, reason = told
    return DisputeFact(
        provider_ref=ref, state=DisputeState[state.upper()], amount_minor=amount_minor, withdrawn_minor=withdrawn_minor, reason=reason
    )


def refund(row: asyncpg.Record | Mapping[str, Any]) -> Refund:
    """Return the refund of a row with REFUND_COLUMNS."""
    fields = dict(row)
    del fields["order_id"]
    actor = Actor(ActorKind(fields.pop("actor_kind")), fields.pop("actor_id"))
    lines = tuple(RefundLine(UUID(product_id), quantity, amount) for product_id, quantity, amount in json.loads(fields.pop("lines")))
    return Refund(**{**fields, "state": RefundState(row["state"])}, actor=actor, lines=lines)


def shipment(row: asyncpg.Record | Mapping[str, Any]) -> Shipment:
    """Return the shipment of a row with SHIPMENT_COLUMNS."""
    fields = dict(row)
    del fields["order_id"]
    actor = Actor(ActorKind(fields.pop("actor_kind")), fields.pop("actor_id"))
    units = {UUID(product_id): quantity for product_id, quantity in json.loads(fields.pop("units")).items()}
    return Shipment(**{**fields, "state": ShipmentState(row["state"])}, actor=actor, units=units)


def _request(fields: Sequence[object]) -> ProviderRequest:
    id_, provider, kind, payment_id, refund_id, amount_minor = fields
    return ProviderRequest(id_, provider, RequestKind(kind), payment_id, refund_id, amount_minor)  # type: ignore[arg-type] # the columns' types
