"""The changes of books, written to the database: a constant number of statements for any number of orders."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.order_books import Books
from mercato_server.domain.order_statuses import fulfillment_status, payment_status
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import Payment, PaymentState, Refund
from mercato_server.store import audit_log, events, inventory, redemptions
from mercato_server.store.events import Event

FIRST_READ = timedelta(minutes=1)
"""Time until a worker reads a payment of which the provider will have news; without news it waits twice as long each time."""

UPDATE_ORDERS = """
UPDATE orders
   SET status = book.status, version = book.version, booked_version = book.version, payment_status = book.payment_status,
       fulfillment_status = book.fulfillment_status,
       updated_at = CASE WHEN orders.status = book.status THEN orders.updated_at ELSE now() END
  FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[])
       AS book (id, status, version, payment_status, fulfillment_status)
 WHERE orders.id = book.id
"""

INSERT_HISTORY = """
INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
SELECT order_id, version, status, actor_kind, actor_id, reason
  FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::uuid[], $6::text[])
       AS step (order_id, version, status, actor_kind, actor_id, reason)
"""

UPDATE_UNITS = """
UPDATE order_items AS item
   SET shipped = line.shipped, delivered = line.delivered, cancelled = line.cancelled, returned = line.returned,
       refunded_minor = line.refunded_minor
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::bigint[])
       AS line (order_id, product_id, shipped, delivered, cancelled, returned, refunded_minor)
 WHERE item.order_id = line.order_id AND item.product_id = line.product_id
"""

PUT_PAYMENTS = """
INSERT INTO payments (id, order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, authorized_minor,
                      captured_minor, refunding_minor, refunded_minor, disputed_minor, lost_minor, capture_before, failure, next_read_at)
SELECT id, order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, authorized_minor,
       captured_minor, refunding_minor, refunded_minor, disputed_minor, lost_minor, capture_before, failure, next_read_at
  FROM jsonb_to_recordset($1::jsonb)
       AS changed (id uuid, order_id uuid, provider text, method text, provider_ref text, state text, capture_later boolean,
                   currency_code text, amount_minor bigint, authorized_minor bigint, captured_minor bigint, refunding_minor bigint,
                   refunded_minor bigint, disputed_minor bigint, lost_minor bigint, capture_before timestamptz, failure text,
                   next_read_at timestamptz)
    ON CONFLICT (id) DO UPDATE
   SET provider_ref = excluded.provider_ref, state = excluded.state, authorized_minor = excluded.authorized_minor,
       captured_minor = excluded.captured_minor, refunding_minor = excluded.refunding_minor, refunded_minor = excluded.refunded_minor,
       disputed_minor = excluded.disputed_minor, lost_minor = excluded.lost_minor, capture_before = excluded.capture_before,
       failure = excluded.failure, next_read_at = excluded.next_read_at, reads = 0, updated_at = now()
"""

INSERT_LEDGER = """
INSERT INTO payment_ledger (payment_id, kind, provider_ref, amount_minor, currency_code)
SELECT payment_id, kind, provider_ref, amount_minor, currency_code
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])
       AS movement (payment_id, kind, provider_ref, amount_minor, currency_code)
"""

PUT_REFUNDS = """
INSERT INTO refunds (id, payment_id, order_id, state, amount_minor, currency_code, provider_ref, is_own, reason, failure, actor_kind,
                     actor_id)
SELECT id, payment_id, order_id, state, amount_minor, currency_code, provider_ref, is_own, reason, failure, actor_kind, actor_id
  FROM jsonb_to_recordset($1::jsonb)
       AS changed (id uuid, payment_id uuid, order_id uuid, state text, amount_minor bigint, currency_code text, provider_ref text,
                   is_own boolean, reason text, failure text, actor_kind text, actor_id uuid)
    ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, provider_ref = excluded.provider_ref, failure = excluded.failure, updated_at = now()
"""

INSERT_REFUND_LINES = """
INSERT INTO refund_lines (refund_id, product_id, quantity, amount_minor, currency_code)
SELECT refund_id, product_id, quantity, amount_minor, currency_code
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[])
       AS line (refund_id, product_id, quantity, amount_minor, currency_code)
"""

PUT_DISPUTES = """
INSERT INTO disputes AS known (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
SELECT payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])
       AS told (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
    ON CONFLICT (provider_ref) DO UPDATE
   SET state = excluded.state, withdrawn_minor = excluded.withdrawn_minor, updated_at = now()
 WHERE (known.state, known.withdrawn_minor) IS DISTINCT FROM (excluded.state, excluded.withdrawn_minor)
"""

# The worker of the call sends it first, before any other one finds it due: the provider refuses a key that is in use.
INSERT_REQUESTS = """
INSERT INTO provider_requests (id, provider, kind, payment_id, refund_id, amount_minor, next_at)
SELECT id, provider, kind, payment_id, refund_id, amount_minor, now() + interval '1 second'
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[])
       AS opened (id, provider, kind, payment_id, refund_id, amount_minor)
"""

SETTLE_REQUESTS = """
UPDATE provider_requests AS request
   SET outcome = settled.outcome, code = settled.code, settled_at = now(), leased_until = NULL
  FROM unnest($1::uuid[], $2::text[], $3::text[]) AS settled (id, outcome, code)
 WHERE request.id = settled.id AND request.outcome IS NULL
"""

PUT_SHIPMENTS = """
INSERT INTO shipments (id, order_id, state, carrier, tracking_number, tracking_url, failure, actor_kind, actor_id, shipped_at, delivered_at)
SELECT id, order_id, state, carrier, tracking_number, tracking_url, failure, actor_kind, actor_id, shipped_at, delivered_at
  FROM jsonb_to_recordset($1::jsonb)
       AS changed (id uuid, order_id uuid, state text, carrier text, tracking_number text, tracking_url text, failure text, actor_kind text,
                   actor_id uuid, shipped_at timestamptz, delivered_at timestamptz)
    ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, carrier = excluded.carrier, tracking_number = excluded.tracking_number,
       tracking_url = excluded.tracking_url, failure = excluded.failure, shipped_at = excluded.shipped_at,
       delivered_at = excluded.delivered_at, updated_at = now()
"""

INSERT_SHIPMENT_ITEMS = """
INSERT INTO shipment_items (shipment_id, product_id, quantity)
SELECT shipment_id, product_id, quantity
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS item (shipment_id, product_id, quantity)
"""

INSERT_RETURNS = """
WITH given AS (
    SELECT id, order_id, restocked, reason, actor_kind, actor_id
      FROM jsonb_to_recordset($1::jsonb) AS given (id uuid, order_id uuid, restocked boolean, reason text, actor_kind text, actor_id uuid)
), made AS (
    INSERT INTO returns (id, order_id, restocked, reason, actor_kind, actor_id)
    SELECT id, order_id, restocked, reason, actor_kind, actor_id FROM given
    RETURNING id
)
INSERT INTO return_items (return_id, product_id, quantity)
SELECT return_id, product_id, quantity
  FROM unnest($2::uuid[], $3::uuid[], $4::integer[]) AS item (return_id, product_id, quantity)
  JOIN made ON made.id = return_id
"""


async def save(conn: "Conn", books: Iterable[Books]) -> None:
    """Write the changes of books that the caller's transaction has loaded; each table takes one statement, and none without changes."""
    changed = [each for each in books if each.writes.is_touched or each.writes.disputes or each.writes.settlements]
    touched = [each for each in changed if each.writes.is_touched]
    await _save_orders(conn, touched)
    await _save_payments(conn, changed)
    await _save_refunds(conn, changed)
    await _save_requests(conn, changed)
    await _save_shipments(conn, changed)
    await _restock(conn, changed)
    cancelled = [each.order_id for each in changed if each.has_redemptions and _is_cancelled_now(each)]
    if cancelled:
        await redemptions.release(conn, cancelled)
    if news := [event for each in changed for event in _events(each)]:
        await events.append(conn, news)
    for each in changed:
        for note in each.writes.notes:
            await audit_log.append(conn, note.actor, note.action, each.order_id, note.before, note.after)


def _is_cancelled_now(books: Books) -> bool:
    return any(step.status is OrderStatus.CANCELLED for step in books.writes.steps)


def _events(books: Books) -> list[Event]:
    order = {"account_id": str(books.account_id)}
    part = {**order, "order_id": str(books.order_id)}
    news = [Event(each.kind, each.subject_id, order if each.subject_id == books.order_id else part) for each in books.writes.news]
    restocked = {move.product_id for move in books.writes.moves}
    return news + [Event(EventKind.STOCK_CHANGED, product_id) for product_id in sorted(restocked)]


async def _save_orders(conn: "Conn", touched: Sequence[Books]) -> None:
    if not touched:
        return
    sums = [each.sums for each in touched]
    await conn.execute(
        UPDATE_ORDERS,
        [each.order_id for each in touched],
        [each.status for each in touched],
        [each.version for each in touched],
        [payment_status(each) for each in sums],
        [fulfillment_status(each) for each in sums],
    )
    if steps := [(each.order_id, step) for each in touched for step in each.writes.steps]:
        await conn.execute(
            INSERT_HISTORY,
            [order_id for order_id, _ in steps],
            [step.version for _, step in steps],
            [step.status for _, step in steps],
            [step.actor.kind for _, step in steps],
            [step.actor.id for _, step in steps],
            [step.reason for _, step in steps],
        )
    if lines := [(each.order_id, product_id, each.units[product_id]) for each in touched for product_id in sorted(each.writes.lines)]:
        numbers = [(line.shipped, line.delivered, line.cancelled, line.returned, line.refunded_minor) for _, _, line in lines]
        columns = [list(column) for column in zip(*numbers, strict=True)]
        await conn.execute(UPDATE_UNITS, [line[0] for line in lines], [line[1] for line in lines], *columns)


def _payment(books: Books, payment: Payment) -> dict[str, Any]:
    """Return the columns of a payment."""
    names = (
        "id", "order_id", "provider", "method", "provider_ref", "state", "capture_later", "currency_code", "amount_minor",
        "authorized_minor", "captured_minor", "refunding_minor", "refunded_minor", "disputed_minor", "lost_minor", "capture_before",
        "failure",
    )  # fmt: skip
    return {name: getattr(payment, name) for name in names} | {"next_read_at": _next_read(books, payment)}


def _ended_first(books: Books) -> list[UUID]:
    """Return the changed payments in an order in which none becomes live while another one still is."""
    return sorted(books.writes.payments, key=lambda id_: (books.payments[id_].state.is_live, id_))


def _next_read(books: Books, payment: Payment) -> datetime | None:
    """Return when a worker reads a payment at the provider: soon, and when the time to pay ends; None if nothing is expected there."""
    if not _awaits_news(payment):
        return None
    due, soon = books.payment_due_at, books.now + FIRST_READ
    return min(soon, due) if due and due > books.now else soon


def _awaits_news(payment: Payment) -> bool:
    """Return whether the provider will have news of a payment, also if its notice is lost."""
    if payment.is_manual or payment.provider_ref is None:
        return False
    under_way = {PaymentState.PENDING, PaymentState.PROCESSING, PaymentState.AUTHORIZED}
    return payment.state in under_way or payment.refunding_minor > 0 or payment.disputed_minor > 0


async def _save_payments(conn: "Conn", changed: Sequence[Books]) -> None:
    if payments := [_payment(each, each.payments[id_]) for each in changed for id_ in _ended_first(each)]:
        await conn.execute(PUT_PAYMENTS, _json(payments))
    if rows := [(row, each.currency_code) for each in changed for row in each.writes.rows]:
        await conn.execute(
            INSERT_LEDGER,
            [row.payment_id for row, _ in rows],
            [row.kind for row, _ in rows],
            [row.provider_ref for row, _ in rows],
            [row.amount_minor for row, _ in rows],
            [currency for _, currency in rows],
        )
    if disputes := [(each, payment_id, fact) for each in changed for payment_id, fact in each.writes.disputes]:
        await conn.execute(
            PUT_DISPUTES,
            [payment_id for _, payment_id, _ in disputes],
            [each.order_id for each, _, _ in disputes],
            [fact.provider_ref for _, _, fact in disputes],
            [fact.state.name.lower() for _, _, fact in disputes],
            [fact.amount_minor for _, _, fact in disputes],
            [fact.withdrawn_minor for _, _, fact in disputes],
            [each.currency_code for each, _, _ in disputes],
            [fact.reason for _, _, fact in disputes],
        )


def _refund(books: Books, refund: Refund) -> dict[str, Any]:
    names = ("id", "payment_id", "state", "amount_minor", "provider_ref", "is_own", "reason", "failure")
    made = {name: getattr(refund, name) for name in names}
    return made | {"order_id": books.order_id, "currency_code": books.currency_code} | _actor(refund.actor)


def _actor(actor: Actor) -> dict[str, Any]:
    return {"actor_kind": actor.kind, "actor_id": actor.id}


async def _save_refunds(conn: "Conn", changed: Sequence[Books]) -> None:
    if refunds := [_refund(each, each.refunds[refund_id]) for each in changed for refund_id in sorted(each.writes.refunds)]:
        await conn.execute(PUT_REFUNDS, _json(refunds))
    if lines := [(made.id, line, each.currency_code) for each in changed for made in each.writes.new_refunds for line in made.lines]:
        await conn.execute(
            INSERT_REFUND_LINES,
            [refund_id for refund_id, _, _ in lines],
            [line.product_id for _, line, _ in lines],
            [line.quantity for _, line, _ in lines],
            [line.amount_minor for _, line, _ in lines],
            [currency for _, _, currency in lines],
        )


async def _save_requests(conn: "Conn", changed: Sequence[Books]) -> None:
    opened = [request for each in changed for request in each.writes.requests]
    settled = [(request_id, *end) for each in changed for request_id, end in each.writes.settlements.items()]
    new = {request.id for request in opened}
    await _settle(conn, [end for end in settled if end[0] not in new])  # first: a new request may take the place of a settled one
    if opened:
        await conn.execute(INSERT_REQUESTS, *(list(column) for column in zip(*opened, strict=True)))
    await _settle(conn, [end for end in settled if end[0] in new])


async def _settle(conn: "Conn", settled: Sequence[tuple[UUID, str, str]]) -> None:
    if settled:
        await conn.execute(SETTLE_REQUESTS, *(list(column) for column in zip(*settled, strict=True)))


async def _save_shipments(conn: "Conn", changed: Sequence[Books]) -> None:
    names = ("id", "state", "carrier", "tracking_number", "tracking_url", "failure", "shipped_at", "delivered_at")
    shipments = [(each.order_id, each.shipments[shipment_id]) for each in changed for shipment_id in sorted(each.writes.shipments)]
    if shipments:
        rows = [{name: getattr(parcel, name) for name in names} | {"order_id": id_} | _actor(parcel.actor) for id_, parcel in shipments]
        await conn.execute(PUT_SHIPMENTS, _json(rows))
    if items := [(made.id, *item) for each in changed for made in each.writes.new_shipments for item in made.units.items()]:
        await conn.execute(INSERT_SHIPMENT_ITEMS, *(list(column) for column in zip(*items, strict=True)))
    if returns := [(each.order_id, made) for each in changed for made in each.writes.returns]:
        rows = [
            {"id": made.id, "order_id": order_id, "restocked": made.restocked, "reason": made.reason} | _actor(made.actor)
            for order_id, made in returns
        ]
        back = [(made.id, *item) for _, made in returns for item in made.units.items()]
        await conn.execute(INSERT_RETURNS, _json(rows), *(list(column) for column in zip(*back, strict=True)))


async def _restock(conn: "Conn", changed: Sequence[Books]) -> None:
    if moves := [(each.order_id, move) for each in changed for move in each.writes.moves]:
        await inventory.restock(conn, moves)


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(rows), default=str)
