"""The rules by which shipments, returns and an administrator's steps change the books of an order. They are pure."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.accounts import Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, Return, Shipment, ShipmentState
from mercato_server.domain.order_statuses import is_covered
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payment_errors import ShipmentLimit, UnitsExceed, WrongPaymentState, WrongShipmentState
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, PaymentMethod, PaymentState
from mercato_server.domain.unit_moves import WAITING, arrive, depart, move_shipment, return_units, waiting_units

SHIPMENTS_MAX = 1_000
"""Shipments of an order, cancelled ones too: its books have all of them."""

CARRIER_MAX = 100
"""Characters; the table has the same limits."""
TRACKING_NUMBER_MAX = 100
TRACKING_URL_MAX = 2_000

FINAL = (OrderStatus.CANCELLED, OrderStatus.REFUNDED)
"""The states in which nothing is shipped any more."""


class Parcel(NamedTuple):
    """The carrier of a shipment, and where its way can be followed."""

    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""


def prepare(books: Books, units: Mapping[UUID, int], parcel: Parcel, actor: Actor) -> Shipment:
    """Prepare a shipment of units; without any, of all that are left.

    Raises UnitsExceed, ShipmentLimit or WrongPaymentState.
    """
    if books.status in FINAL:
        raise WrongPaymentState("the order is {status}, so nothing is shipped", status=books.status.name)
    waiting = waiting_units(books)
    left = {product_id: line.unshipped - waiting[product_id] for product_id, line in books.units.items()}
    wanted = dict(units) or {product_id: quantity for product_id, quantity in left.items() if quantity}
    for product_id, quantity in wanted.items():
        if quantity > left.get(product_id, 0):
            raise UnitsExceed(product_id, quantity, left.get(product_id, 0))
    if not wanted:
        raise WrongPaymentState("no units of the order are left to ship")
    if len(books.shipments) >= SHIPMENTS_MAX:
        raise ShipmentLimit(SHIPMENTS_MAX)
    shipment = Shipment(
        id=new_id(), state=ShipmentState.PREPARED, units=wanted, actor=actor, created_at=books.now, updated_at=books.now, **parcel._asdict()
    )
    books.shipments[shipment.id] = shipment
    books.writes.new_shipments.append(shipment)
    books.changed_shipment(shipment)
    books.tell(EventKind.SHIPMENT_CREATED, shipment.id)
    return shipment


def ship(books: Books, shipment: Shipment, actor: Actor) -> None:
    """Let a shipment leave; it waits while its payment is captured.

    Raises WrongShipmentState, or WrongPaymentState if the payment does not cover the order.
    """
    if shipment.state not in WAITING:
        raise WrongShipmentState(shipment.id, shipment.state.name)
    if books.status in FINAL:
        raise WrongPaymentState("the order is {status}, so nothing is shipped", status=books.status.name)
    if not is_covered(books.sums):
        raise WrongPaymentState("the payment does not cover the order, so nothing is shipped")
    held = next((payment for payment in books.payments.values() if payment.state is PaymentState.AUTHORIZED), None)
    if held and not held.is_manual and books.owed_minor:
        shipment.state, shipment.failure = ShipmentState.CAPTURING, ""
        books.changed_shipment(shipment)
        payment_rules.capture(books, held, actor)
    else:
        depart(books, shipment)
        books.conclude(actor)


def deliver(books: Books, shipment: Shipment, actor: Actor) -> None:
    """Note that a shipment has arrived; with the last one, cash on delivery has been paid. Raises WrongShipmentState."""
    if shipment.state is not ShipmentState.SHIPPED:
        raise WrongShipmentState(shipment.id, shipment.state.name)
    arrive(books, shipment)
    payment_rules.collect(books, actor)
    books.conclude(actor)


def cancel_shipment(books: Books, shipment: Shipment) -> None:
    """Take a shipment apart that has not left; raises WrongShipmentState."""
    if shipment.state is not ShipmentState.PREPARED:
        raise WrongShipmentState(shipment.id, shipment.state.name)
    move_shipment(books, shipment, ShipmentState.CANCELLED, EventKind.SHIPMENT_CANCELLED)


def take_back(books: Books, units: Mapping[UUID, int], reason: str, actor: Actor, *, restock: bool) -> Return:
    """Take units back that were shipped; raises UnitsExceed. A refund is a step of its own."""
    for product_id, wanted in units.items():
        line = books.units.get(product_id)
        left = line.shipped - line.returned if line else 0
        if wanted > left:
            raise UnitsExceed(product_id, wanted, left)
    made = Return(new_id(), units, restock, reason, actor, books.now)
    return_units(books, units, actor, made.id, restocked=restock)
    books.writes.returns.append(made)
    books.tell(EventKind.RETURN_CREATED, made.id)
    books.conclude(actor, reason)
    return made


def advance(books: Books, status: OrderStatus, actor: Actor, reason: str) -> None:
    """Do what an administrator means by moving an order to a status; the caller has checked that the status may follow.

    PAID records a payment of what is owed. SHIPPED and DELIVERED move all units that are left. REFUNDED gives all money back. The status
    itself follows from that, for the reason that is given; with a provider it may follow later. Raises WrongPaymentState.
    """
    steps = books.writes.steps
    before = len(steps)
    match status:
        case OrderStatus.PAID:
            if books.owed_minor:
                payment_rules.create(books, Means(MANUAL, PaymentMethod.OTHER), actor)
        case OrderStatus.SHIPPED:
            _ship_rest(books, actor)
        case OrderStatus.DELIVERED:
            for shipment in [each for each in books.shipments.values() if each.state is ShipmentState.SHIPPED]:
                deliver(books, shipment, actor)
        case OrderStatus.CANCELLED:
            payment_rules.cancel_order(books, actor, reason)
        case OrderStatus.REFUNDED:
            _refund_rest(books, actor, reason)
    books.conclude(actor, reason)
    steps[before:] = [step._replace(reason=reason) for step in steps[before:]]


def _ship_rest(books: Books, actor: Actor) -> None:
    for shipment in [each for each in books.shipments.values() if each.state in WAITING]:
        ship(books, shipment, actor)
    waiting = waiting_units(books)
    if any(line.unshipped > waiting[product_id] for product_id, line in books.units.items()):
        ship(books, prepare(books, {}, Parcel(), actor), actor)


def _refund_rest(books: Books, actor: Actor, reason: str) -> None:
    if books.has_open_dispute:
        raise WrongPaymentState("a dispute of the order's payment is open")
    if books.owed_minor == 0 and books.sums.captured_minor == 0:
        raise WrongPaymentState("nothing was to be paid, so nothing is refunded")
    for payment in list(books.payments.values()):
        if payment.state is PaymentState.AUTHORIZED:
            raise WrongPaymentState("the payment is only authorised; cancel the order, or capture it first")
        if payment.left_minor:
            refund_rules.open_refund(books, payment, payment.left_minor, reason, actor, refund_rules.all_lines(books, payment.left_minor))
