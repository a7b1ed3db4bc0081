"""Shipments of orders. All changes lock the order and load its books (order_books)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import fulfillment_rules
from mercato_server.domain.accounts import Actor
from mercato_server.domain.fulfillment_rules import Parcel
from mercato_server.domain.order_books import Books, OrderShipment, Shipment
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.payment_errors import ShipmentNotFound
from mercato_server.store import order_books, saved_books
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.order_states import Subject, open_books_of

GET_SHIPMENT = f"""
SELECT {order_books.SHIPMENT_COLUMNS}, (SELECT version FROM orders WHERE orders.id = $1) AS order_version
  FROM shipments
 WHERE order_id = $1 AND id = $2
"""  # noqa: S608 - constants

LIST_SHIPMENTS = f"""
SELECT {order_books.SHIPMENT_COLUMNS}, (SELECT version FROM orders WHERE orders.id = $1) AS order_version
  FROM shipments
 WHERE order_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShipment(Subject):
    """A command to prepare a shipment; without units, of all that are left."""

    units: Mapping[UUID, int]
    parcel: Parcel
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentStep(Subject):
    """A command about a shipment of an order."""

    shipment_id: UUID
    actor: Actor
    parcel: Parcel
    """Replaces those values of the shipment's that are not empty here."""


async def get(pool: "Pool", order_id: UUID, shipment_id: UUID) -> OrderShipment:
    """Return a shipment of an order; raises ShipmentNotFound."""
    row = await pool.fetchrow(GET_SHIPMENT, order_id, shipment_id)
    if row is None:
        raise ShipmentNotFound(shipment_id)
    return _from_row(row)


async def shipments(pool: "Pool", order_id: UUID, page: Page) -> tuple[Sequence[OrderShipment], Position | None]:
    """Return a page of the shipments of an order, newest first, and the position of its last row if more follow."""
    rows = await pool.fetch(LIST_SHIPMENTS, order_id, page.below, page.size + 1)
    found = [_from_row(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].shipment.id) if len(rows) > page.size else None


def _from_row(row: asyncpg.Record) -> OrderShipment:
    columns = dict(row)
    version = columns.pop("order_version")
    return OrderShipment(row["order_id"], str(version), order_books.shipment(columns))


@retry_conflicts
async def create(pool: "Pool", new: NewShipment, key: IdempotencyKey | None = None) -> OrderShipment | Stored:
    """Prepare a shipment; raises OrderNotFound, OrderState, EtagMismatch, UnitsExceed, ShipmentLimit or WrongPaymentState."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, new))


async def _create(conn: "Conn", new: NewShipment) -> OrderShipment:
    books = await open_books_of(conn, new)
    made = fulfillment_rules.prepare(books, new.units, new.parcel, new.actor)
    return await _saved(conn, books, made, new.actor, "shipment.created", before=None)


@retry_conflicts
async def ship(pool: "Pool", step: ShipmentStep, key: IdempotencyKey | None = None) -> OrderShipment | Stored:
    """Let a shipment leave, or let it wait for the capture of its payment, for which this opens a request.

    Raises OrderNotFound, ShipmentNotFound, OrderState, EtagMismatch, WrongShipmentState or WrongPaymentState.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _ship(conn, step))


async def _ship(conn: "Conn", step: ShipmentStep) -> OrderShipment:
    books, shipment = await _subject(conn, step)
    before = shipment.state
    shipment.carrier = step.parcel.carrier or shipment.carrier
    shipment.tracking_number = step.parcel.tracking_number or shipment.tracking_number
    shipment.tracking_url = step.parcel.tracking_url or shipment.tracking_url
    books.changed_shipment(shipment)
    fulfillment_rules.ship(books, shipment, step.actor)
    return await _saved(conn, books, shipment, step.actor, "shipment.shipped", before)


@retry_conflicts
async def deliver(pool: "Pool", step: ShipmentStep, key: IdempotencyKey | None = None) -> OrderShipment | Stored:
    """Note that a shipment has arrived; raises OrderNotFound, ShipmentNotFound, OrderState, EtagMismatch or WrongShipmentState."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _deliver(conn, step))


async def _deliver(conn: "Conn", step: ShipmentStep) -> OrderShipment:
    books, shipment = await _subject(conn, step)
    before = shipment.state
    fulfillment_rules.deliver(books, shipment, step.actor)
    return await _saved(conn, books, shipment, step.actor, "shipment.delivered", before)


@retry_conflicts
async def cancel(pool: "Pool", step: ShipmentStep, key: IdempotencyKey | None = None) -> OrderShipment | Stored:
    """Cancel a shipment that has not left; raises OrderNotFound, ShipmentNotFound, OrderState, EtagMismatch or WrongShipmentState."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _cancel(conn, step))


async def _cancel(conn: "Conn", step: ShipmentStep) -> OrderShipment:
    books, shipment = await _subject(conn, step)
    before = shipment.state
    fulfillment_rules.cancel_shipment(books, shipment)
    return await _saved(conn, books, shipment, step.actor, "shipment.cancelled", before)


async def _subject(conn: "Conn", step: ShipmentStep) -> tuple[Books, Shipment]:
    books = await open_books_of(conn, step)
    shipment = books.shipments.get(step.shipment_id)
    if shipment is None:
        raise ShipmentNotFound(step.shipment_id)
    return books, shipment


async def _saved(conn: "Conn", books: Books, shipment: Shipment, actor: Actor, action: str, before: str | None) -> OrderShipment:
    """Save the books with the entry of the audit log, and return the shipment as it is then."""
    after = {"shipment_id": shipment.id, "state": shipment.state}
    books.audit(actor, action, after, {"state": before} if before else None)
    await saved_books.save(conn, [books])
    return OrderShipment(books.order_id, books.etag, shipment)
