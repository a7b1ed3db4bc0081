"""Pages of payments, refunds, disputes, requests and quarantined events, newest first; of an order, or of the shop."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.payment_records import Dispute, DisputeStatus, ListedRefund, QuarantinedEvent, RequestRecord
from mercato_server.domain.payments import Payment, RequestKind
from mercato_server.store import order_books
from mercato_server.store.provider_events import EVENT_COLUMNS

Row = TypeVar("Row")

DISPUTE_COLUMNS = """id, payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason, created_at,
       updated_at"""

REQUEST_COLUMNS = """id, provider, kind, payment_id, (SELECT order_id FROM payments WHERE payments.id = payment_id) AS order_id, refund_id,
       amount_minor, (SELECT currency_code FROM payments WHERE payments.id = payment_id) AS currency_code, attempt, tries, code, outcome,
       created_at, settled_at"""

TABLES = {
    "payments": order_books.PAYMENT_COLUMNS,
    "refunds": f"currency_code, {order_books.REFUND_COLUMNS}",
    "disputes": DISPUTE_COLUMNS,
    "provider_requests": REQUEST_COLUMNS,
    "provider_events": EVENT_COLUMNS,
}
CONDITIONS = {
    "order": " AND order_id = $3",
    "state": " AND state = $3",
    "open": " AND outcome IS NULL",
    "unresolved": " AND quarantined_at IS NOT NULL AND resolved_at IS NULL",
    "quarantined": " AND quarantined_at IS NOT NULL",
    "": "",
}


@cache
def list_sql(table: str, condition: str) -> str:
    """Return the statement of a list; its parameters are the position, LIMIT, then the value of the condition."""
    return f"""
    SELECT {TABLES[table]}
      FROM {table}
     WHERE id < $1{CONDITIONS[condition]}
     ORDER BY id DESC
     LIMIT $2
    """  # noqa: S608 - constants


async def _page(
    pool: "Pool", page: Page, table: str, condition: str, make: Callable[[asyncpg.Record], Row], *values: object
) -> tuple[Sequence[Row], Position | None]:
    rows = await pool.fetch(list_sql(table, condition), page.below, page.size + 1, *values)
    found = [make(row) for row in rows[: page.size]]
    return found, Position(None, rows[page.size - 1]["id"]) if len(rows) > page.size else None


async def payments_of(pool: "Pool", order_id: UUID, page: Page) -> tuple[Sequence[Payment], Position | None]:
    """Return a page of the payments of an order."""
    return await _page(pool, page, "payments", "order", order_books.payment, order_id)


async def refunds_of(pool: "Pool", order_id: UUID, page: Page) -> tuple[Sequence[ListedRefund], Position | None]:
    """Return a page of the refunds of an order."""
    return await _page(pool, page, "refunds", "order", _refund, order_id)


async def payments(pool: "Pool", state: str | None, page: Page) -> tuple[Sequence[Payment], Position | None]:
    """Return a page of the payments of the shop, perhaps of one state."""
    return await _page(pool, page, "payments", "state" if state else "", order_books.payment, *_given(state))


async def refunds(pool: "Pool", state: str | None, page: Page) -> tuple[Sequence[ListedRefund], Position | None]:
    """Return a page of the refunds of the shop, perhaps of one state."""
    return await _page(pool, page, "refunds", "state" if state else "", _refund, *_given(state))


async def disputes(pool: "Pool", state: str | None, page: Page) -> tuple[Sequence[Dispute], Position | None]:
    """Return a page of the disputes of the shop, perhaps of one state."""
    return await _page(pool, page, "disputes", "state" if state else "", _dispute, *_given(state))


async def requests(pool: "Pool", page: Page, *, settled: bool) -> tuple[Sequence[RequestRecord], Position | None]:
    """Return a page of the requests to providers; only those without an outcome unless `settled`."""
    return await _page(pool, page, "provider_requests", "" if settled else "open", _request)


async def events(pool: "Pool", page: Page, *, resolved: bool) -> tuple[Sequence[QuarantinedEvent], Position | None]:
    """Return a page of the quarantined events; only unresolved ones unless `resolved`."""
    return await _page(pool, page, "provider_events", "quarantined" if resolved else "unresolved", QuarantinedEvent._make)


def _given(state: str | None) -> tuple[object, ...]:
    return (state,) if state else ()


def _refund(row: asyncpg.Record) -> ListedRefund:
    fields = {name: value for name, value in row.items() if name != "currency_code"}
    return ListedRefund(row["order_id"], row["currency_code"], order_books.refund(fields))


def _dispute(row: asyncpg.Record) -> Dispute:
    fields: dict[str, Any] = {**row, "state": DisputeStatus(row["state"])}
    return Dispute(**fields)


def _request(row: asyncpg.Record) -> RequestRecord:
    fields: dict[str, Any] = {**row, "kind": RequestKind(row["kind"])}
    return RequestRecord(**fields)
