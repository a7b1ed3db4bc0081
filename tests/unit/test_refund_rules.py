"""Refunds by amounts and by units. The expected amounts are worked out by hand from the rule of the design.

After k of n units of a line that cost T, ⌊T·k/n⌋ was refunded, rounded down to what the currency can send.
"""

from fractions import Fraction
from itertools import permutations
from math import floor
from uuid import UUID

import pytest

from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.order_books import Books, Settled
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payment_errors import RefundExceeds, UnitsExceed, WrongPaymentState
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, Payment, PaymentMethod, Refund, RefundState, RequestKind
from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState, RefundFact
from support.sample_books import ADMINISTRATOR, BALL, BIKE, BUYER, books_of, fact, opened, paid, saved, steps


def refund(books: Books, payment: Payment, units: dict[UUID, int] | None = None, amount: int | None = None) -> Refund:
    return refund_rules.refund(books, payment, amount, units or {}, "", ADMINISTRATOR)


def ended(payment: Payment, state: ProviderRefundState, *refunds: Refund) -> PaymentFact:
    """Return a fact of refunds that have come to a state."""
    told = [RefundFact(provider_ref=f"re_{made.id}", refund_id=made.id, state=state, amount_minor=made.amount_minor) for made in refunds]
    return fact(payment, ProviderState.CAPTURED, refunds=tuple(told))


@pytest.mark.parametrize(
    ("currency", "quantity", "cost", "expected"),
    [
        ("EUR", 3, 100, [33, 33, 34]),  # 33.3, 66.6, 100
        ("EUR", 3, 1_000, [333, 333, 334]),
        ("EUR", 4, 999, [249, 250, 250, 250]),  # 249.75, 499.5, 749.25, 999
        ("EUR", 7, 20, [2, 3, 3, 3, 3, 3, 3]),  # 2.86, 5.71, 8.57, 11.43, 14.29, 17.14, 20
        ("JPY", 2, 5, [2, 3]),
        ("KWD", 3, 1_000, [330, 330, 340]),  # 333.3 and 666.6 fils, down to tens
        ("MGA", 3, 1_000, [300, 300, 400]),  # 333.3 and 666.6 iraimbilanja, down to hundreds
    ],
)
def test_units_that_are_refunded_one_by_one_add_up_to_the_line(currency: str, quantity: int, cost: int, expected: list[int]) -> None:
    books = books_of({BALL: (quantity, cost)}, currency=currency)
    payment = paid(books)
    assert [refund(books, payment, {BALL: 1}).amount_minor for _ in range(quantity)] == expected
    assert payment.left_minor == 0
    with pytest.raises(UnitsExceed):
        refund(books, payment, {BALL: 1})


@pytest.mark.parametrize("parts", sorted(set(permutations((1, 2, 3)))))
@pytest.mark.parametrize(("currency", "step"), [("EUR", 1), ("BHD", 10), ("MGA", 100)])
def test_refunds_of_units_end_in_the_same_sums_in_any_order(parts: tuple[int, ...], currency: str, step: int) -> None:
    books = books_of({BALL: (7, 10_000), BIKE: (6, 5_500)}, currency=currency)
    payment = paid(books)
    done = 0
    for part in parts:
        refund(books, payment, {BALL: part, BIKE: part})
        done += part
        expected = [floor(Fraction(cost * done, quantity) / step) * step for cost, quantity in ((10_000, 7), (5_500, 6))]
        assert [books.units[product_id].refunded_minor for product_id in (BALL, BIKE)] == expected
        assert payment.refunding_minor == sum(expected)
    assert books.units[BIKE].refunded_minor == 5_500  # all six


@pytest.mark.parametrize("order", list(permutations([{BALL: 1}, {BALL: 2}, {BIKE: 1}, {BIKE: 1}])))
def test_the_last_refund_of_units_leaves_only_the_delivery(order: list[dict[UUID, int]]) -> None:
    books = books_of({BALL: (3, 100), BIKE: (2, 333)}, delivery=495)
    payment = paid(books)
    for units in order:
        refund(books, payment, units)
    assert payment.refunding_minor == 433
    assert payment.left_minor == 495


def test_a_refund_of_all_gives_the_delivery_back_too() -> None:
    books = books_of({BALL: (3, 100), BIKE: (2, 333)}, delivery=495)
    payment = paid(books)
    refund(books, payment, {BALL: 1})
    payment_rules.cancel_order(books, BUYER, "")
    rest = list(books.refunds.values())[-1]
    assert rest.amount_minor == 928 - 33
    assert [(part.product_id, part.quantity, part.amount_minor) for part in rest.lines] == [(BALL, 2, 67), (BIKE, 2, 333)]
    assert payment.left_minor == 0


def test_units_that_are_cancelled_one_by_one_end_with_all_money_back() -> None:
    books = books_of({BALL: (3, 100)}, delivery=495)
    payment = paid(books)
    for expected in (33, 33, 34 + 495):
        payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
        assert list(books.refunds.values())[-1].amount_minor == expected
    assert books.status is OrderStatus.CANCELLED
    assert payment.left_minor == 0


def test_an_amount_counts_as_a_part_of_the_money_but_of_no_units() -> None:
    books = books_of({BALL: (2, 100)})
    payment = paid(books)
    assert refund(books, payment, amount=30).lines == ()
    assert refund(books, payment, {BALL: 1}).amount_minor == 50
    last = refund(books, payment, {BALL: 1})
    assert last.amount_minor == 20  # of 50, as only that is left
    assert [part.amount_minor for part in last.lines] == [20]
    with pytest.raises(RefundExceeds):
        refund(books, payment, amount=1)


def test_an_amount_for_units_is_shared_among_them_up_to_itself() -> None:
    books = books_of({BALL: (2, 100), BIKE: (1, 500)})
    payment = paid(books)
    made = refund(books, payment, {BALL: 1, BIKE: 1}, amount=70)
    assert made.amount_minor == 70
    assert [part.amount_minor for part in made.lines] == [50, 20]
    assert books.units[BIKE].refunded_minor == 20
    assert refund(books, payment, {BALL: 1}).amount_minor == 50


def test_more_than_is_left_is_refused() -> None:
    books = books_of({BALL: (2, 100)})
    payment = paid(books)
    with pytest.raises(RefundExceeds) as refusal:
        refund(books, payment, amount=101)
    assert refusal.value.reason == "REFUND_EXCEEDS"
    refund(books, payment, amount=60)
    with pytest.raises(RefundExceeds):
        refund(books, payment, amount=41)
    refund(books, payment, amount=40)
    with pytest.raises(RefundExceeds):
        refund(books, payment, {BALL: 1})


@pytest.mark.parametrize(("cost", "units"), [(1, 1), (0, 3)])
def test_a_share_of_0_sends_nothing(cost: int, units: int) -> None:
    books = books_of({BALL: (3, cost), BIKE: (1, 100)})
    payment = paid(books)
    with pytest.raises(WrongPaymentState):
        refund(books, payment, {BALL: units})
    assert not books.refunds


def test_a_share_that_the_provider_cannot_send_is_rounded_down_until_the_rest_goes_back() -> None:
    """Two lines of 150 cost 300 iraimbilanja, and the provider sends hundreds only."""
    books = books_of({BALL: (1, 150), BIKE: (1, 150)}, currency="MGA")
    payment = paid(books)
    assert refund(books, payment, {BALL: 1}).amount_minor == 100
    assert refund(books, payment, {BIKE: 1}).amount_minor == 100
    assert refund(books, payment, amount=100).amount_minor == 100
    assert payment.left_minor == 0


def test_money_that_cancelled_units_cost_is_such_that_the_provider_can_send_and_capture_it() -> None:
    books = books_of({BALL: (1, 150), BIKE: (1, 150)}, currency="MGA")
    payment = opened(books, capture_later=True)
    payment_rules.apply(books, payment, fact(payment, ProviderState.AUTHORIZED))
    payment_rules.cancel_some(books, {BALL: 1}, ADMINISTRATOR, "")
    assert books.owed_minor == 200
    payment_rules.capture(books, payment, ADMINISTRATOR)
    assert [request.amount_minor for request in books.open_requests.values()] == [200]


def test_a_refund_that_fails_gives_its_units_and_money_free_again() -> None:
    books = books_of({BALL: (3, 100)})
    payment = paid(books)
    made = refund(books, payment, {BALL: 3})
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.SUCCEEDED, made))
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.FAILED, made))
    assert steps(books.writes) == [OrderStatus.PAID, OrderStatus.REFUNDED, OrderStatus.PAID]
    assert (payment.left_minor, books.units[BALL].refunded_minor) == (100, 0)
    assert refund(books, payment, {BALL: 3}).amount_minor == 100


def test_news_of_a_success_that_come_after_the_failure_change_nothing() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    made = refund(books, payment, {BALL: 1})
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.FAILED, made))
    saved(books)
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.SUCCEEDED, made))
    assert not books.writes.is_touched
    assert (payment.refunded_minor, books.status) == (0, OrderStatus.PAID)


def test_a_refund_that_was_refused_and_yet_exists_is_booked() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    made = refund(books, payment, {BALL: 1})
    payment_rules.refuse(books, next(iter(books.open_requests.values())), "refused")
    assert (made.state, payment.left_minor) == (RefundState.FAILED, 100)
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.PENDING, made))
    assert (made.state, payment.refunding_minor, books.units[BALL].refunded_minor) == (RefundState.PENDING, 100, 100)
    payment_rules.apply(books, payment, ended(payment, ProviderRefundState.SUCCEEDED, made))
    assert (payment.refunding_minor, payment.refunded_minor, books.status) == (0, 100, OrderStatus.REFUNDED)


def test_a_refund_at_the_provider_uses_up_money_and_the_shop_gives_back_the_rest_of_a_cancelled_order() -> None:
    """The provider refuses the shop's refund of all, as 30 went back at its dashboard in between."""
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    payment_rules.cancel_order(books, BUYER, "")
    [request] = books.open_requests.values()
    outside = RefundFact(provider_ref="re_outside", refund_id=None, state=ProviderRefundState.SUCCEEDED, amount_minor=30)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, refunds=(outside,)))
    payment_rules.refuse(books, request, "too much")
    [again] = books.open_requests.values()
    assert (again.kind, again.amount_minor) == (RequestKind.REFUND, 70)
    payment_rules.refuse(books, again, "too much")
    assert not books.open_requests, "an administrator decides after the second refusal"


def test_money_that_a_dispute_returns_to_a_cancelled_order_goes_back() -> None:
    """A disputed payment cannot be refunded; once the dispute is won, the buyer gets the money as an order is not there any more."""
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    payment_rules.cancel_order(books, BUYER, "")
    [request] = books.open_requests.values()
    dispute = DisputeFact(provider_ref="du", state=DisputeState.OPEN, amount_minor=100, withdrawn_minor=100)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, disputes=(dispute,)))
    payment_rules.refuse(books, request, "charge_disputed")
    assert not books.open_requests
    won = DisputeFact(provider_ref="du", state=DisputeState.WON, amount_minor=100, withdrawn_minor=0)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, disputes=(won,)))
    assert [each.amount_minor for each in books.open_requests.values()] == [100]


def test_a_manual_refund_is_done_at_once_and_may_be_of_any_amount() -> None:
    books = books_of({BALL: (2, 75)}, currency="MGA")
    payment = payment_rules.create(books, Means(MANUAL, PaymentMethod.CASH), ADMINISTRATOR)
    assert refund(books, payment, amount=33).state is RefundState.SUCCEEDED
    assert refund(books, payment, {BALL: 2}).amount_minor == 42  # of 75, as only that is left
    assert (payment.refunded_minor, payment.refunding_minor, books.status) == (75, 0, OrderStatus.REFUNDED)


def test_a_disputed_payment_is_not_refunded() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    dispute = DisputeFact(provider_ref="du", state=DisputeState.OPEN, amount_minor=40, withdrawn_minor=40)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, disputes=(dispute,)))
    with pytest.raises(WrongPaymentState):
        refund(books, payment, amount=10)
    assert payment.left_minor == 60


def test_a_refund_whose_answer_comes_twice_is_booked_once() -> None:
    books = books_of({BALL: (1, 100)})
    payment = paid(books)
    made = refund(books, payment, {BALL: 1})
    [request] = books.open_requests.values()
    books.settle(request.id, Settled.SUCCEEDED)
    done = ended(payment, ProviderRefundState.SUCCEEDED, made)
    payment_rules.apply(books, payment, done)
    assert steps(saved(books))[-1] is OrderStatus.REFUNDED
    payment_rules.apply(books, payment, done)
    assert not books.writes.is_touched
