"""The statuses of an order follow from its money and units by the table of the design (docs/payments.md)."""

from itertools import product

import pytest

from mercato_server.domain.order_statuses import Sums, fulfillment_status, headline, payment_status
from mercato_server.domain.orders import FulfillmentStatus, OrderStatus, PaymentStatus


def sums(money: tuple[int, int, int, int], units: tuple[int, int, int, int, int], *, processing: bool = False) -> Sums:
    """Return sums of what is owed, authorised, captured, returned; and of units in all, shipped, delivered, cancelled, returned."""
    return Sums(*money, *units, is_processing=processing)


HEADLINES = [
    ("nothing has come", (100, 0, 0, 0), (2, 0, 0, 0, 0), "placed"),
    ("less is authorised than is owed", (100, 99, 0, 0), (2, 0, 0, 0, 0), "placed"),
    ("less is captured than is owed", (100, 0, 99, 0), (2, 0, 0, 0, 0), "placed"),
    ("the total is 0", (0, 0, 0, 0), (2, 0, 0, 0, 0), "paid"),
    ("it is authorised", (100, 100, 0, 0), (2, 0, 0, 0, 0), "paid"),
    ("it is captured", (100, 0, 100, 0), (2, 0, 0, 0, 0), "paid"),
    ("both together cover it", (100, 40, 60, 0), (2, 0, 0, 0, 0), "paid"),
    ("a part is refunded", (100, 0, 100, 99), (2, 0, 0, 0, 0), "paid"),
    ("a part is shipped", (100, 0, 100, 0), (2, 1, 0, 0, 0), "paid"),
    ("a part is delivered, and a part was never shipped", (100, 0, 100, 0), (3, 1, 1, 1, 0), "paid"),
    ("all is shipped", (100, 0, 100, 0), (2, 2, 0, 0, 0), "shipped"),
    ("all that is left is shipped", (50, 0, 100, 50), (2, 1, 0, 1, 0), "shipped"),
    ("all is shipped, a part is delivered", (100, 0, 100, 0), (2, 2, 1, 0, 0), "shipped"),
    ("all is shipped, and paid on delivery", (100, 100, 0, 0), (2, 2, 0, 0, 0), "shipped"),
    ("all is delivered", (100, 0, 100, 0), (2, 2, 2, 0, 0), "delivered"),
    ("all that is left is delivered", (50, 0, 100, 50), (2, 1, 1, 1, 0), "delivered"),
    ("all is delivered and came back, but no money went back", (100, 0, 100, 0), (2, 2, 2, 0, 2), "delivered"),
    ("all money went back", (100, 0, 100, 100), (2, 0, 0, 0, 0), "refunded"),
    ("all money went back after the delivery", (100, 0, 100, 100), (2, 2, 2, 0, 2), "refunded"),
    ("a refund and a dispute together exceed the money", (100, 0, 100, 150), (2, 2, 2, 0, 0), "refunded"),
    ("less was captured than is owed, and all of it went back", (100, 0, 60, 60), (2, 0, 0, 0, 0), "refunded"),
    ("all is cancelled before any money", (0, 0, 0, 0), (2, 0, 0, 2, 0), "cancelled"),
    ("all is cancelled while money is held", (0, 100, 0, 0), (2, 0, 0, 2, 0), "cancelled"),
    ("all is cancelled, and the refund is under way", (0, 0, 100, 0), (2, 0, 0, 2, 0), "cancelled"),
    ("all is cancelled and refunded", (0, 0, 100, 100), (2, 0, 0, 2, 0), "cancelled"),
]


@pytest.mark.parametrize(("money", "units", "expected"), [case[1:] for case in HEADLINES], ids=[case[0] for case in HEADLINES])
def test_the_headline_is_that_of_the_table(money: tuple[int, int, int, int], units: tuple[int, int, int, int, int], expected: str) -> None:
    assert headline(sums(money, units)) == expected


PAYMENTS = [
    ("nothing has come", (100, 0, 0, 0), False, "unpaid"),
    ("money is under way", (100, 0, 0, 0), True, "processing"),
    ("money is held", (100, 100, 0, 0), False, "authorized"),
    ("a part has come", (100, 0, 60, 0), False, "partially_paid"),
    ("all has come", (100, 0, 100, 0), False, "paid"),
    ("nothing was ever owed", (0, 0, 0, 0), False, "paid"),
    ("a part went back as a favour", (100, 0, 100, 30), False, "partially_refunded"),
    ("the rest that is owed was kept", (70, 0, 100, 30), False, "paid"),
    ("more is kept than is owed", (70, 0, 100, 20), False, "refund_due"),
    ("nothing is owed any more, and money is kept", (0, 0, 100, 0), False, "refund_due"),
    ("all went back", (100, 0, 100, 100), False, "refunded"),
    ("more went back than had come", (0, 0, 100, 130), False, "refunded"),
]


@pytest.mark.parametrize(("money", "processing", "expected"), [case[1:] for case in PAYMENTS], ids=[case[0] for case in PAYMENTS])
def test_the_payment_status_compares_the_money_with_what_is_owed(money: tuple[int, int, int, int], processing: bool, expected: str) -> None:  # noqa: FBT001 # a column
    assert payment_status(sums(money, (2, 0, 0, 0, 0), processing=processing)) == expected


def test_a_cancelled_order_without_money_is_voided() -> None:
    assert payment_status(sums((0, 0, 0, 0), (2, 0, 0, 2, 0))) is PaymentStatus.VOIDED


FULFILLMENTS = [
    ((3, 0, 0, 0, 0), "unfulfilled"),
    ((3, 0, 0, 1, 0), "unfulfilled"),
    ((3, 1, 0, 0, 0), "partially_shipped"),
    ((3, 2, 0, 1, 0), "shipped"),
    ((3, 3, 1, 0, 0), "partially_delivered"),
    ((3, 2, 2, 0, 0), "partially_delivered"),
    ((3, 2, 2, 1, 0), "delivered"),
    ((3, 3, 3, 0, 1), "partially_returned"),
    ((3, 2, 2, 1, 2), "returned"),
    ((3, 0, 0, 3, 0), "cancelled"),
]


@pytest.mark.parametrize(("units", "expected"), FULFILLMENTS)
def test_the_fulfillment_status_counts_units(units: tuple[int, int, int, int, int], expected: str) -> None:
    assert fulfillment_status(sums((100, 0, 100, 0), units)) == expected


def rows_that_fit(each: Sums) -> dict[str, bool]:
    """Return the rows of the table of the design as conditions without an order, each without the rows before it."""
    uncancelled = [unit >= each.cancelled for unit in range(each.quantity)]  # the units are cancelled from the first on
    delivered = each.quantity - each.cancelled - each.delivered <= 0
    shipped = each.quantity - each.cancelled - each.shipped <= 0
    cancelled = not any(uncancelled)
    refunded = each.captured_minor > 0 and not each.captured_minor > each.returned_minor
    paid = not each.owed_minor > each.authorized_minor + each.captured_minor
    return {
        "cancelled": cancelled,
        "refunded": not cancelled and refunded,
        "delivered": not cancelled and not refunded and delivered,
        "shipped": not cancelled and not refunded and not delivered and shipped,
        "paid": not (cancelled or refunded or delivered or shipped) and paid,
        "placed": not (cancelled or refunded or delivered or shipped or paid),
    }


def test_exactly_one_row_of_the_table_fits_all_small_orders_and_it_is_the_headline() -> None:
    seen = set()
    for quantity, *units in product((1, 2, 3), *[range(4)] * 3):
        shipped, delivered, cancelled = units
        if shipped + cancelled > quantity or delivered > shipped:
            continue
        for owed, authorized, captured, returned in product(range(4), repeat=4):
            each = Sums(owed, authorized, captured, returned, quantity, shipped, delivered, cancelled, 0)
            fitting = [status for status, fits in rows_that_fit(each).items() if fits]
            assert [headline(each)] == fitting, each
            seen.add(headline(each))
    assert seen == set(OrderStatus) - {OrderStatus.UNKNOWN}


def test_all_small_orders_have_a_known_status_of_payment_and_fulfillment() -> None:
    for owed, authorized, captured, returned in product(range(4), repeat=4):
        for quantity, shipped, delivered, cancelled, came_back in product((1, 2), *[range(3)] * 4):
            if shipped + cancelled > quantity or max(delivered, came_back) > shipped:
                continue
            each = Sums(owed, authorized, captured, returned, quantity, shipped, delivered, cancelled, came_back)
            kept = captured - returned
            assert (payment_status(each) is PaymentStatus.REFUND_DUE) == (captured > 0 and kept > owed and kept > 0)
            assert (payment_status(each) is PaymentStatus.REFUNDED) == (captured > 0 and kept <= 0)
            assert (fulfillment_status(each) is FulfillmentStatus.CANCELLED) == (headline(each) is OrderStatus.CANCELLED)
