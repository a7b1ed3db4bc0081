"""The steps of an order's units: they leave with a shipment, arrive, are cancelled, or come back into stock."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.order_books import Books, Shipment, ShipmentState, StockMove

WAITING = (ShipmentState.PREPARED, ShipmentState.CAPTURING)
"""The states of a shipment whose units have not left."""


def waiting_units(books: Books) -> Counter[UUID]:
    """Return the units of shipments that have not left."""
    return Counter(
        {
            product_id: sum(shipment.units.get(product_id, 0) for shipment in books.shipments.values() if shipment.state in WAITING)
            for product_id in books.units
        }
    )


def depart(books: Books, shipment: Shipment) -> None:
    """Let a shipment leave."""
    for product_id, quantity in shipment.units.items():
        books.changed_line(product_id).shipped += quantity
    shipment.shipped_at = books.now
    move_shipment(books, shipment, ShipmentState.SHIPPED, EventKind.SHIPMENT_SHIPPED)


def arrive(books: Books, shipment: Shipment) -> None:
    """Let a shipment that has left arrive."""
    for product_id, quantity in shipment.units.items():
        books.changed_line(product_id).delivered += quantity
    shipment.delivered_at = books.now
    move_shipment(books, shipment, ShipmentState.DELIVERED, EventKind.SHIPMENT_DELIVERED)


def move_shipment(books: Books, shipment: Shipment, state: ShipmentState, news: EventKind) -> None:
    """Set the state of a shipment and tell it."""
    shipment.state = state
    books.changed_shipment(shipment)
    books.tell(news, shipment.id)


def cancel_units(books: Books, units: Mapping[UUID, int], actor: Actor, step_id: UUID | None) -> None:
    """Cancel units that were not shipped, and put them back into stock. The step tells several cancellations of an order apart."""
    for product_id, quantity in units.items():
        books.changed_line(product_id).cancelled += quantity
        books.writes.moves.append(StockMove(product_id, "cancel", quantity, step_id, actor))


def return_units(books: Books, units: Mapping[UUID, int], actor: Actor, return_id: UUID, *, restocked: bool) -> None:
    """Take units back, and put them into stock if they can be sold again."""
    for product_id, quantity in units.items():
        books.changed_line(product_id).returned += quantity
        if restocked:
            books.writes.moves.append(StockMove(product_id, "return", quantity, return_id, actor))
