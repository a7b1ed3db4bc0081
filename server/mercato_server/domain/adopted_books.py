"""Books of orders that a worker of the release before has changed: it wrote only the status."""

from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, Shipment, ShipmentState
from mercato_server.domain.order_statuses import headline
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import MANUAL, LedgerKind, Payment, PaymentMethod, PaymentState

PAID = (OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.REFUNDED)
GONE = {OrderStatus.SHIPPED: ShipmentState.SHIPPED, OrderStatus.DELIVERED: ShipmentState.DELIVERED}


def adopt(books: Books) -> None:
    """Enter the payment, the shipment or the cancellation that the status of an order stands for. It tells no event and moves no stock."""
    if books.status in {OrderStatus.PLACED, OrderStatus.UNKNOWN} or headline(books.sums) is books.status:
        return
    told = len(books.writes.news)
    if books.status is OrderStatus.CANCELLED:
        for product_id, line in books.units.items():
            if line.unshipped:
                books.changed_line(product_id).cancelled += line.unshipped
    if books.status in PAID:
        _pay(books)
    if state := GONE.get(books.status):
        _ship(books, state)
    if books.status is OrderStatus.REFUNDED:
        for payment in books.payments.values():
            if payment.is_manual and payment.left_minor:
                refund_rules.open_refund(books, payment, payment.left_minor, "", SERVER)
    del books.writes.news[told:]


def _pay(books: Books) -> None:
    sums = books.sums
    missing_minor = sums.owed_minor - sums.captured_minor - sums.authorized_minor
    if missing_minor <= 0:
        return
    if live := books.live_payment:  # an administrator has advanced the order beside it
        if live.state is not PaymentState.PENDING:
            return
        payment_rules.void(books, live)
        live.state = PaymentState.CANCELLED
    payment = Payment(
        id=new_id(),
        order_id=books.order_id,
        provider=MANUAL,
        method=PaymentMethod.OTHER,
        state=PaymentState.CAPTURED,
        currency_code=books.currency_code,
        amount_minor=missing_minor,
        created_at=books.now,
        updated_at=books.now,
    )
    payment.provider_ref = str(payment.id)
    books.payments[payment.id] = payment
    books.book_manual(payment, LedgerKind.CAPTURED, payment.id, missing_minor)


def _ship(books: Books, state: ShipmentState) -> None:
    rest = {product_id: line.unshipped for product_id, line in books.units.items() if line.unshipped}
    for product_id, line in books.units.items():
        changed = books.changed_line(product_id)
        changed.shipped += line.unshipped
        if state is ShipmentState.DELIVERED:
            changed.delivered = changed.shipped
    if rest:
        shipment = Shipment(id=new_id(), state=state, units=rest, actor=SERVER, created_at=books.now, updated_at=books.now)
        shipment.shipped_at = books.now
        shipment.delivered_at = books.now if state is ShipmentState.DELIVERED else None
        books.shipments[shipment.id] = shipment
        books.writes.new_shipments.append(shipment)
        books.changed_shipment(shipment)
