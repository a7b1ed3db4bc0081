"""Orders of the release before, which wrote only a status, get the books that the status stands for."""

import pytest

from mercato_server.domain import fulfillment_rules, payment_rules
from mercato_server.domain.adopted_books import adopt
from mercato_server.domain.fulfillment_rules import Parcel
from mercato_server.domain.order_books import Books, ShipmentState
from mercato_server.domain.order_statuses import headline
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import PaymentState, RequestKind
from mercato_server.domain.provider_facts import ProviderState
from support.sample_books import ADMINISTRATOR, BALL, BIKE, books_of, fact, opened, paid, saved

LEGACY = [OrderStatus.PLACED, OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.REFUNDED]
ORDERS = {
    "a plain order": ({BALL: (2, 200)}, 0),
    "lines with discounts, and a delivery": ({BALL: (3, 250), BIKE: (1, 999)}, 495),
    "a free line": ({BALL: (1, 0), BIKE: (1, 100)}, 0),
    "a total of 0": ({BALL: (2, 0)}, 0),
}


CASES = [
    (kind, status)
    for kind in ORDERS
    for status in LEGACY
    if kind != "a total of 0" or status not in {OrderStatus.PLACED, OrderStatus.REFUNDED}
]
"""All but those that the table gives another headline: an order with a total of 0 is paid from the start, and never refunded."""


@pytest.mark.parametrize(("kind", "status"), CASES)
def test_adopted_books_have_the_status_as_their_headline_and_tell_nothing(kind: str, status: OrderStatus) -> None:
    lines, delivery = ORDERS[kind]
    books = books_of(lines, delivery=delivery)
    books.status = status
    adopt(books)
    assert headline(books.sums) is status is books.status
    assert quiet(books)
    assert sum(payment.captured_minor for payment in books.payments.values()) in (0, books.total_minor)
    adopted = len(books.payments), len(books.shipments)
    adopt(books)
    assert (len(books.payments), len(books.shipments)) == adopted


def quiet(books: Books) -> bool:
    return not (books.writes.news or books.writes.moves or books.writes.steps)


def test_a_free_order_that_was_refunded_is_cancelled_without_its_units_as_nothing_may_be_shipped() -> None:
    books = books_of({BALL: (2, 0)})
    books.status = OrderStatus.REFUNDED
    adopt(books)
    assert headline(books.sums) is OrderStatus.CANCELLED is books.status
    assert not any([books.writes.news, books.writes.moves])


@pytest.mark.parametrize(
    ("status", "state"), [(OrderStatus.SHIPPED, ShipmentState.SHIPPED), (OrderStatus.DELIVERED, ShipmentState.DELIVERED)]
)
def test_shipments_that_were_prepared_go_with_an_order_that_the_release_before_has_shipped(
    status: OrderStatus, state: ShipmentState
) -> None:
    books = books_of({BALL: (3, 300)})
    paid(books)
    gone = fulfillment_rules.prepare(books, {BALL: 1}, Parcel(), ADMINISTRATOR)
    fulfillment_rules.ship(books, gone, ADMINISTRATOR)
    waiting = fulfillment_rules.prepare(books, {BALL: 1}, Parcel(), ADMINISTRATOR)
    saved(books)
    books.status = status
    adopt(books)
    assert [shipment.state for shipment in books.shipments.values()] == [state] * 3
    assert waiting.state is state
    assert sum(shipment.units[BALL] for shipment in books.shipments.values()) == books.units[BALL].shipped == 3
    assert headline(books.sums) is status
    assert quiet(books)


def test_money_of_an_order_that_the_release_before_has_cancelled_goes_back() -> None:
    books = books_of({BALL: (1, 100)})
    paid(books)
    fulfillment_rules.prepare(books, {}, Parcel(), ADMINISTRATOR)
    saved(books)
    books.status = OrderStatus.CANCELLED
    adopt(books)
    assert [(each.kind, each.amount_minor) for each in books.open_requests.values()] == [(RequestKind.REFUND, 100)]
    assert [shipment.state for shipment in books.shipments.values()] == [ShipmentState.CANCELLED]
    assert quiet(books)


def test_a_payment_beside_an_order_that_the_release_before_has_marked_paid_is_cancelled_or_refunded() -> None:
    books = books_of({BALL: (1, 100)})
    payment = opened(books)
    books.status = OrderStatus.PAID
    adopt(books)
    assert [each.kind for each in books.open_requests.values()] == [RequestKind.CANCEL]
    assert payment.state is PaymentState.CANCELLED
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED))
    assert [each.kind for each in books.open_requests.values()] == [RequestKind.CANCEL, RequestKind.REFUND]
    assert books.status is OrderStatus.PAID


def test_units_that_the_release_before_has_restocked_twice_are_taken_back() -> None:
    books = books_of({BALL: (3, 300)})
    paid(books)
    payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
    saved(books)
    books.status = OrderStatus.CANCELLED  # that release has put all three back
    adopt(books)
    assert [(move.product_id, move.kind, move.quantity) for move in books.writes.moves] == [(BALL, "cancel", -1)]
    assert books.units[BALL].cancelled == 3


def test_money_of_an_order_that_the_release_before_has_refunded_goes_back_by_card() -> None:
    books = books_of({BALL: (1, 300)})
    paid(books)
    saved(books)
    books.status = OrderStatus.REFUNDED
    adopt(books)
    assert [(request.kind, request.amount_minor) for request in books.writes.requests] == [(RequestKind.REFUND, 300)]
