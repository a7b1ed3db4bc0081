"""Books of orders that a worker of the release before has changed: it wrote only the status."""

from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, Shipment, ShipmentState, StockMove
from mercato_server.domain.order_statuses import headline
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import MANUAL, LedgerKind, Payment, PaymentMethod, PaymentState
from mercato_server.domain.unit_moves import WAITING, arrive, depart, waiting_units

PAID = (OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.REFUNDED)
GONE = {OrderStatus.SHIPPED: ShipmentState.SHIPPED, OrderStatus.DELIVERED: ShipmentState.DELIVERED}


def adopt(books: Books) -> None:
    """Enter the payment, the shipment or the cancellation that the status of an order stands for.

    It tells no event, and moves no stock unless that worker has restocked units twice.
    """
    if books.status in {OrderStatus.PLACED, OrderStatus.UNKNOWN} or headline(books.sums) is books.status:
        return
    told = len(books.writes.news)
    if books.status is OrderStatus.CANCELLED:
        _cancel(books, restocked=True)
        payment_rules.give_back_all(books, SERVER, "")
    if books.status in PAID:
        _pay(books)
    if state := GONE.get(books.status):
        _ship(books, state)
    if books.status is OrderStatus.REFUNDED:
        for payment in books.payments.values():
            if payment.left_minor:
                refund_rules.open_refund(books, payment, payment.left_minor, "", SERVER)
        if books.total_minor == 0:  # no money can say that it is refunded; nothing may be shipped any more
            _cancel(books)
            books.conclude(SERVER)
    del books.writes.news[told:]


def _cancel(books: Books, *, restocked: bool = False) -> None:
    """Cancel all units that are left.

    A worker that has `restocked` an order has restocked units of earlier steps again, which this takes back.
    """
    for product_id, line in books.units.items():
        if restocked and (again := line.shipped + line.cancelled):
            books.writes.moves.append(StockMove(product_id, "cancel", -again, new_id(), SERVER))
        if line.unshipped:
            books.changed_line(product_id).cancelled += line.unshipped
    payment_rules.take_apart(books)


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
    waiting = waiting_units(books)
    rest = {product_id: left for product_id, line in books.units.items() if (left := line.unshipped - waiting[product_id])}
    if rest:
        made = Shipment(id=new_id(), state=ShipmentState.PREPARED, units=rest, actor=SERVER, created_at=books.now, updated_at=books.now)
        books.shipments[made.id] = made
        books.writes.new_shipments.append(made)
    for shipment in books.shipments.values():
        if shipment.state in WAITING:
            depart(books, shipment)
        if shipment.state is ShipmentState.SHIPPED and state is ShipmentState.DELIVERED:
            arrive(books, shipment)
