"""The statuses of orders: those of an order that the release before has changed are those that it has once its books are adopted."""

import itertools
import uuid
from datetime import UTC, datetime

import pytest

from mercato_server.domain.accounts import SERVER
from mercato_server.domain.adopted_books import adopt
from mercato_server.domain.order_books import Books, Shipment, ShipmentState, Units
from mercato_server.domain.order_statuses import assumed_line, assumed_statuses, fulfillment_status, payment_status
from mercato_server.domain.orders import STORED, FulfillmentStatus, OrderLine, OrderStatus, PaymentStatus

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def books_of(status: OrderStatus, total_minor: int, product_id: uuid.UUID, line: Units) -> Books:
    """Return the books of an order of one line, whose units that have left are in a shipment."""
    books = Books(
        order_id=uuid.uuid4(),
        account_id=uuid.uuid4(),
        status=status,
        version=3,
        currency_code="USD",
        total_minor=total_minor,
        payment_due_at=None,
        now=NOW,
        has_redemptions=False,
        units={product_id: line},
    )
    if line.shipped:
        sent = Shipment(id=uuid.uuid4(), state=ShipmentState.SHIPPED, units={product_id: line.shipped}, actor=SERVER)
        books.shipments[sent.id] = sent
    return books


@pytest.mark.parametrize("status", STORED)
def test_an_order_shows_the_statuses_and_units_that_its_adopted_books_give(status: OrderStatus) -> None:
    for shipped, cancelled, total_minor in itertools.product(range(2), range(2), (0, 500)):
        if status is OrderStatus.REFUNDED and total_minor == 0:
            continue  # it is cancelled then, as no money can say that it was refunded
        product_id = uuid.uuid4()
        units = Units(quantity=3, amount_minor=total_minor, shipped=shipped, delivered=0, cancelled=cancelled)
        untouched = shipped == cancelled == 0
        line = OrderLine(product_id, "Ball", 1, 3, shipped, 0, cancelled)
        books = books_of(status, total_minor, product_id, units)
        adopt(books)
        shown = assumed_line(line, status)
        assert (shown.shipped, shown.delivered, shown.cancelled) == (units.shipped, units.delivered, units.cancelled)
        if untouched:
            assert assumed_statuses(status, total_minor) == (payment_status(books.sums), fulfillment_status(books.sums))


def test_the_statuses_of_an_order_are_those_of_its_state_where_no_books_say_more() -> None:
    paid, unfulfilled = PaymentStatus.PAID, FulfillmentStatus.UNFULFILLED
    assert {status: assumed_statuses(status, 1) for status in OrderStatus} == {
        OrderStatus.PLACED: (PaymentStatus.UNPAID, unfulfilled),
        OrderStatus.PAID: (paid, unfulfilled),
        OrderStatus.SHIPPED: (paid, FulfillmentStatus.SHIPPED),
        OrderStatus.DELIVERED: (paid, FulfillmentStatus.DELIVERED),
        OrderStatus.CANCELLED: (PaymentStatus.VOIDED, FulfillmentStatus.CANCELLED),
        OrderStatus.REFUNDED: (PaymentStatus.REFUNDED, unfulfilled),
        OrderStatus.UNKNOWN: (PaymentStatus.UNKNOWN, FulfillmentStatus.UNKNOWN),
    }
    assert assumed_statuses(OrderStatus.PLACED, 0) == (paid, unfulfilled)
