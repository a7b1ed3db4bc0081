"""Races of money with an order: facts out of order, captures in flight, lapses, and payments one after another."""

from datetime import timedelta

import pytest

from mercato_server.domain import fulfillment_rules, payment_rules
from mercato_server.domain.events import EventKind
from mercato_server.domain.fulfillment_rules import Parcel
from mercato_server.domain.order_books import Books, Settled, Shipment, ShipmentState
from mercato_server.domain.order_statuses import payment_status
from mercato_server.domain.orders import OrderStatus, PaymentStatus
from mercato_server.domain.payment_errors import WrongPaymentState
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, Payment, PaymentMethod, PaymentState, RequestKind
from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderState
from support.sample_books import ADMINISTRATOR, BALL, BIKE, BUYER, NOW, books_of, fact, opened, paid, saved, steps


def authorized(books: Books) -> Payment:
    payment = opened(books, capture_later=True)
    payment_rules.apply(books, payment, fact(payment, ProviderState.AUTHORIZED))
    assert books.status is OrderStatus.PAID
    return payment


def shipped(books: Books, quantity: int) -> Shipment:
    shipment = fulfillment_rules.prepare(books, {BALL: quantity}, Parcel(), ADMINISTRATOR)
    fulfillment_rules.ship(books, shipment, ADMINISTRATOR)
    return shipment


def open_kinds(books: Books) -> list[tuple[RequestKind, int]]:
    return [(request.kind, request.amount_minor) for request in books.open_requests.values()]


def dispute(state: DisputeState, withdrawn: int, ref: str = "du") -> DisputeFact:
    return DisputeFact(provider_ref=ref, state=state, amount_minor=100, withdrawn_minor=withdrawn)


def disputed(payment: Payment, *disputes: DisputeFact) -> PaymentFact:
    return fact(payment, ProviderState.CAPTURED, disputes=disputes)


@pytest.mark.parametrize("end", [ProviderState.CAPTURED, ProviderState.DEAD])
def test_an_authorization_that_is_told_after_its_end_is_not_booked(end: ProviderState) -> None:
    books = books_of({BALL: (1, 100)})
    payment = opened(books, capture_later=True)
    payment_rules.apply(books, payment, fact(payment, end))
    before = books.status
    saved(books)
    payment_rules.apply(books, payment, fact(payment, ProviderState.AUTHORIZED))
    assert (payment.authorized_minor, books.status) == (0, before)


def test_the_end_of_an_authorization_is_booked_also_if_the_fact_names_no_charge() -> None:
    books = books_of({BALL: (1, 100)})
    payment = authorized(books)
    payment_rules.apply(books, payment, fact(payment, ProviderState.DEAD, charge_ref="", lapsed=True))
    assert payment.authorized_minor == 0


def test_a_lapse_cancels_the_order_in_one_step_and_restocks_it() -> None:
    books = books_of({BALL: (2, 100)})
    payment = authorized(books)
    saved(books)
    payment_rules.apply(books, payment, fact(payment, ProviderState.DEAD, lapsed=True))
    writes = saved(books)
    assert (payment.state, steps(writes)) == (PaymentState.EXPIRED, [OrderStatus.CANCELLED])
    assert [(move.product_id, move.quantity) for move in writes.moves] == [(BALL, 2)]
    assert EventKind.ORDER_PLACED not in [news.kind for news in writes.news]


def test_the_time_to_capture_stays_known_if_an_older_fact_comes() -> None:
    books = books_of({BALL: (1, 100)})
    payment = opened(books, capture_later=True)
    payment_rules.apply(books, payment, fact(payment, ProviderState.AUTHORIZED, capture_before=NOW))
    payment_rules.apply(books, payment, fact(payment, ProviderState.OPEN))
    assert (payment.capture_before, payment.state) == (NOW, PaymentState.AUTHORIZED)


def test_a_capture_in_flight_when_the_order_is_cancelled_is_refunded() -> None:
    books = books_of({BALL: (1, 100)})
    payment = authorized(books)
    shipment = shipped(books, 1)
    payment_rules.cancel_order(books, BUYER, "")
    assert open_kinds(books) == [(RequestKind.CAPTURE, 100), (RequestKind.CANCEL, 100)]
    capture, cancel = books.open_requests.values()
    books.settle(capture.id, Settled.SUCCEEDED)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED))
    payment_rules.refuse(books, cancel, "captured")
    assert (books.status, shipment.state) == (OrderStatus.CANCELLED, ShipmentState.CANCELLED)
    assert open_kinds(books) == [(RequestKind.REFUND, 100)]


def test_units_that_are_cancelled_while_a_capture_is_in_flight_are_refunded_when_it_has_come() -> None:
    books = books_of({BALL: (2, 101)})
    payment = authorized(books)
    payment_rules.capture(books, payment, ADMINISTRATOR)
    payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED))
    assert (RequestKind.REFUND, 50) in open_kinds(books)
    assert books.owed_minor == 51


def test_units_that_are_cancelled_before_the_capture_are_not_captured() -> None:
    books = books_of({BALL: (2, 101)}, delivery=500)
    payment = authorized(books)
    payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
    payment_rules.capture(books, payment, ADMINISTRATOR)
    assert open_kinds(books) == [(RequestKind.CAPTURE, 551)]


def test_nothing_leaves_if_less_was_captured_than_is_owed() -> None:
    books = books_of({BALL: (1, 100)})
    payment = authorized(books)
    shipment = shipped(books, 1)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, captured_minor=60))
    assert (shipment.state, shipment.failure) == (ShipmentState.PREPARED, "captured_too_little")
    assert payment_status(books.sums) is PaymentStatus.PARTIALLY_PAID
    with pytest.raises(WrongPaymentState):
        fulfillment_rules.ship(books, shipment, ADMINISTRATOR)


def test_an_order_of_which_only_free_units_are_left_releases_the_money_and_is_shipped() -> None:
    books = books_of({BALL: (1, 0), BIKE: (1, 100)})
    payment = authorized(books)
    payment_rules.cancel_some(books, {BIKE: 1}, ADMINISTRATOR, "")
    assert open_kinds(books) == [(RequestKind.CANCEL, 100)]
    shipment = shipped(books, 1)
    assert shipment.state is ShipmentState.SHIPPED
    payment_rules.apply(books, payment, fact(payment, ProviderState.DEAD))
    assert (books.status, payment.state) == (OrderStatus.SHIPPED, PaymentState.CANCELLED)


def test_an_order_that_owes_nothing_stays_when_its_authorization_ends() -> None:
    books = books_of({BALL: (1, 0), BIKE: (1, 100)})
    payment = authorized(books)
    payment_rules.cancel_some(books, {BIKE: 1}, ADMINISTRATOR, "")
    payment_rules.apply(books, payment, fact(payment, ProviderState.DEAD))
    assert (books.status, books.units[BALL].cancelled) == (OrderStatus.PAID, 0)


def test_cash_on_delivery_is_recorded_also_if_the_last_units_are_cancelled_after_the_delivery_of_the_others() -> None:
    books = books_of({BALL: (2, 100)})
    payment = payment_rules.create(books, Means(MANUAL, PaymentMethod.CASH_ON_DELIVERY), ADMINISTRATOR)
    fulfillment_rules.deliver(books, shipped(books, 1), ADMINISTRATOR)
    assert payment.captured_minor == 0
    payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
    assert (payment.captured_minor, payment.authorized_minor, books.status) == (50, 0, OrderStatus.DELIVERED)


def test_a_second_payment_comes_only_after_the_first_is_dead() -> None:
    books = books_of({BALL: (1, 100)})
    first = opened(books)
    assert payment_rules.create(books, Means("stripe", PaymentMethod.ONLINE), BUYER) is first
    with pytest.raises(WrongPaymentState):
        payment_rules.create(books, Means(MANUAL, PaymentMethod.CASH), ADMINISTRATOR)
    payment_rules.cancel_payment(books, first)
    assert payment_rules.create(books, Means("stripe", PaymentMethod.ONLINE), BUYER) is first, "its cancellation is not known yet"
    payment_rules.apply(books, first, fact(first, ProviderState.DEAD))
    second = paid(books)
    assert (second is not first, books.status) == (True, OrderStatus.PAID)
    payment_rules.apply(books, first, fact(first, ProviderState.OPEN))
    assert first.state is PaymentState.CANCELLED


def test_a_cancelled_order_gives_no_payment_out() -> None:
    books = books_of({BALL: (1, 100)})
    opened(books)
    payment_rules.cancel_order(books, BUYER, "")
    with pytest.raises(WrongPaymentState):
        payment_rules.create(books, Means("stripe", PaymentMethod.ONLINE), BUYER)


def test_a_payment_that_was_refused_and_yet_exists_is_cancelled_at_the_provider() -> None:
    books = books_of({BALL: (1, 100)})
    payment = payment_rules.create(books, Means("stripe", PaymentMethod.ONLINE), BUYER)
    payment_rules.refuse(books, next(iter(books.open_requests.values())), "refused")
    assert payment.state is PaymentState.CANCELLED
    payment_rules.apply(books, payment, fact(payment, ProviderState.OPEN))
    assert open_kinds(books) == [(RequestKind.CANCEL, 100)]


def test_money_of_a_processing_payment_comes_after_the_order_was_cancelled_and_goes_back() -> None:
    books = books_of({BALL: (1, 100)})
    payment = opened(books)
    payment_rules.apply(books, payment, fact(payment, ProviderState.PROCESSING))
    payment_rules.cancel_order(books, BUYER, "")
    assert open_kinds(books) == []
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED))
    assert open_kinds(books) == [(RequestKind.REFUND, 100)]


def test_an_overdue_order_ends_only_when_its_payment_is_dead() -> None:
    books = books_of({BALL: (1, 100)})
    payment = opened(books)
    payment_rules.void(books, payment)
    books.now = NOW + timedelta(hours=2)
    payment_rules.apply(books, payment, fact(payment, ProviderState.PROCESSING))
    assert steps(saved(books)) == []
    payment_rules.apply(books, payment, fact(payment, ProviderState.DEAD))
    assert steps(saved(books)) == [OrderStatus.CANCELLED]


@pytest.mark.parametrize("end", [dispute(DisputeState.WON, 0), dispute(DisputeState.LOST, 40), dispute(DisputeState.LOST, 100)])
def test_the_facts_of_a_dispute_lead_to_the_same_sums_in_any_order(end: DisputeFact) -> None:
    told = [dispute(DisputeState.INQUIRY, 0), dispute(DisputeState.OPEN, 100), end]
    for order in (told, told[::-1], [told[1], end, told[0]], [end, told[1], told[0], end]):
        books = books_of({BALL: (1, 100)})
        payment = paid(books)
        for each in order:
            payment_rules.apply(books, payment, disputed(payment, each))
        assert (payment.disputed_minor, payment.lost_minor) == (0, end.withdrawn_minor)
        assert payment.disputes["du"].state is end.state
        assert (books.status is OrderStatus.REFUNDED) == (end.withdrawn_minor == 100)


def test_an_appeal_that_is_won_returns_the_money_whatever_is_told_later() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    for each in (
        dispute(DisputeState.LOST, 100),
        dispute(DisputeState.OPEN, 100),
        dispute(DisputeState.WON, 0),
        dispute(DisputeState.LOST, 100),
    ):
        payment_rules.apply(books, payment, disputed(payment, each))
    assert (payment.lost_minor, payment.disputed_minor, books.status) == (0, 0, OrderStatus.PAID)


def test_a_dispute_is_told_once() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    payment_rules.apply(books, payment, disputed(payment, dispute(DisputeState.OPEN, 50)))
    both = disputed(payment, dispute(DisputeState.OPEN, 50), dispute(DisputeState.OPEN, 30, "second"))
    payment_rules.apply(books, payment, both)
    payment_rules.apply(books, payment, both)
    assert [news.kind for news in books.writes.news].count(EventKind.PAYMENT_DISPUTED) == 2
    assert len(books.writes.disputes) == 2
    with pytest.raises(WrongPaymentState):
        payment_rules.cancel_order(books, BUYER, "")


def test_an_order_may_be_cancelled_after_a_lost_dispute_which_counts_as_money_back() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    payment_rules.apply(books, payment, disputed(payment, dispute(DisputeState.LOST, 60)))
    payment_rules.cancel_order(books, BUYER, "")
    assert open_kinds(books) == [(RequestKind.REFUND, 40)]
