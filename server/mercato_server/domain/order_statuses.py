"""The statuses of an order, which follow from its money and units. The functions are pure; docs/orders.md has the table."""

from typing import NamedTuple

from mercato_server.domain.orders import FulfillmentStatus, OrderLine, OrderStatus, PaymentStatus


class Sums(NamedTuple):
    """The money and the units of an order."""

    owed_minor: int
    authorized_minor: int
    captured_minor: int
    returned_minor: int
    """Refunds that have succeeded, and disputes that were lost."""
    quantity: int
    shipped: int
    delivered: int
    cancelled: int
    returned: int
    is_processing: bool = False


_S = OrderStatus
TRANSITIONS: frozenset[tuple[OrderStatus, OrderStatus]] = frozenset(
    {
        *((_S.PLACED, after) for after in (_S.PAID, _S.CANCELLED, _S.REFUNDED)),
        *((_S.PAID, after) for after in (_S.PLACED, _S.SHIPPED, _S.DELIVERED, _S.CANCELLED, _S.REFUNDED)),
        *((_S.SHIPPED, after) for after in (_S.DELIVERED, _S.REFUNDED)),
        (_S.DELIVERED, _S.REFUNDED),
        *((_S.REFUNDED, after) for after in (_S.PLACED, _S.PAID, _S.SHIPPED, _S.DELIVERED, _S.CANCELLED)),
    }
)
"""All steps of the headline. Most are plain; these need an event that is rare:

- PLACED to REFUNDED: one read of the provider tells of the money and of its return.
- PAID to DELIVERED: a part has arrived, and an administrator cancels the rest.
- PAID to PLACED: less than the authorised amount was captured at the provider.
- REFUNDED to CANCELLED: an administrator cancels the units, which restocks them.
- REFUNDED to any other: a refund fails after it had succeeded, or an appeal against a lost dispute is won.
"""


def is_covered(sums: Sums) -> bool:
    """Return whether the money that was authorised or captured covers what is owed."""
    return sums.authorized_minor + sums.captured_minor >= sums.owed_minor


def headline(sums: Sums) -> OrderStatus:
    """Return the status of an order, which its money and units decide; the first that fits."""
    left = sums.quantity - sums.cancelled
    if left == 0:
        return OrderStatus.CANCELLED
    if 0 < sums.captured_minor <= sums.returned_minor:
        return OrderStatus.REFUNDED
    if sums.delivered == left:
        return OrderStatus.DELIVERED
    if sums.shipped == left:
        return OrderStatus.SHIPPED
    if is_covered(sums):
        return OrderStatus.PAID
    return OrderStatus.PLACED


def payment_status(sums: Sums) -> PaymentStatus:
    """Return the state of an order's money."""
    owed, captured, returned = sums.owed_minor, sums.captured_minor, sums.returned_minor
    if captured == 0:
        return _status_without_money(sums)
    if returned >= captured:
        return PaymentStatus.REFUNDED
    if captured - returned > owed:
        return PaymentStatus.REFUND_DUE
    if returned and captured - returned < owed:
        return PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus.PAID if captured >= owed else PaymentStatus.PARTIALLY_PAID


def _status_without_money(sums: Sums) -> PaymentStatus:
    if sums.authorized_minor:
        return PaymentStatus.AUTHORIZED
    if sums.is_processing:
        return PaymentStatus.PROCESSING
    if sums.owed_minor:
        return PaymentStatus.UNPAID
    return PaymentStatus.VOIDED if sums.cancelled else PaymentStatus.PAID


def fulfillment_status(sums: Sums) -> FulfillmentStatus:
    """Return the state of an order's units."""
    left = sums.quantity - sums.cancelled
    if left == 0:
        return FulfillmentStatus.CANCELLED
    if sums.returned:
        return FulfillmentStatus.RETURNED if sums.returned == left else FulfillmentStatus.PARTIALLY_RETURNED
    if sums.delivered:
        return FulfillmentStatus.DELIVERED if sums.delivered == left else FulfillmentStatus.PARTIALLY_DELIVERED
    if sums.shipped:
        return FulfillmentStatus.SHIPPED if sums.shipped == left else FulfillmentStatus.PARTIALLY_SHIPPED
    return FulfillmentStatus.UNFULFILLED


_ASSUMED_PAYMENT = {
    OrderStatus.PLACED: PaymentStatus.UNPAID,
    OrderStatus.PAID: PaymentStatus.PAID,
    OrderStatus.SHIPPED: PaymentStatus.PAID,
    OrderStatus.DELIVERED: PaymentStatus.PAID,
    OrderStatus.CANCELLED: PaymentStatus.VOIDED,
    OrderStatus.REFUNDED: PaymentStatus.REFUNDED,
    OrderStatus.UNKNOWN: PaymentStatus.UNKNOWN,
}
_ASSUMED_FULFILLMENT = {
    OrderStatus.SHIPPED: FulfillmentStatus.SHIPPED,
    OrderStatus.DELIVERED: FulfillmentStatus.DELIVERED,
    OrderStatus.CANCELLED: FulfillmentStatus.CANCELLED,
    OrderStatus.UNKNOWN: FulfillmentStatus.UNKNOWN,
}


def assumed_statuses(status: OrderStatus, total_minor: int) -> tuple[PaymentStatus, FulfillmentStatus]:
    """Return the statuses of an order whose books lack its last change, which a worker of the release before has made.

    They are those that the order has once its books are adopted.
    """
    paid = _ASSUMED_PAYMENT[status]
    if paid is PaymentStatus.UNPAID and total_minor == 0:
        paid = PaymentStatus.PAID
    return paid, _ASSUMED_FULFILLMENT.get(status, FulfillmentStatus.UNFULFILLED)


def assumed_line(line: OrderLine, status: OrderStatus) -> OrderLine:
    """Return a line of such an order with the units that its status stands for."""
    rest = line.quantity - line.shipped - line.cancelled
    match status:
        case OrderStatus.SHIPPED:
            return line._replace(shipped=line.shipped + rest)
        case OrderStatus.DELIVERED:
            return line._replace(shipped=line.shipped + rest, delivered=line.shipped + rest)
        case OrderStatus.CANCELLED:
            return line._replace(cancelled=line.cancelled + rest)
        case _:
            return line
