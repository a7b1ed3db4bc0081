"""The rules by which money changes the books of an order. They are pure; docs/payments.md has the reasons."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.accounts import PROVIDER, SERVER, Actor, ActorKind
from mercato_server.domain.events import EventKind
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, Settled, ShipmentState
from mercato_server.domain.order_statuses import is_covered
from mercato_server.domain.orders import OrderStatus, SystemReason
from mercato_server.domain.payment_errors import UnitsExceed, WrongPaymentState
from mercato_server.domain.payments import (
    MANUAL,
    LedgerKind,
    Payment,
    PaymentMethod,
    PaymentState,
    ProviderRequest,
    RefundState,
    RequestKind,
    is_news,
    missing_rows,
    state_after,
)
from mercato_server.domain.provider_facts import PaymentFact, ProviderState
from mercato_server.domain.refund_rules import all_lines, apply_refund, finish_refund, lines_within, open_refund
from mercato_server.domain.unit_moves import WAITING, cancel_units, depart, move_shipment, waiting_units

PAYMENTS_MAX = 50
"""Payments that an order may have, the ended ones included."""

STATE_NEWS = {
    PaymentState.PROCESSING: EventKind.PAYMENT_PROCESSING,
    PaymentState.AUTHORIZED: EventKind.PAYMENT_AUTHORIZED,
    PaymentState.CAPTURED: EventKind.PAYMENT_CAPTURED,
    PaymentState.CANCELLED: EventKind.PAYMENT_CANCELLED,
    PaymentState.EXPIRED: EventKind.PAYMENT_EXPIRED,
}


class Means(NamedTuple):
    """How an order is to be paid."""

    provider: str
    method: PaymentMethod
    capture_later: bool = False


def create(books: Books, means: Means, actor: Actor) -> Payment:
    """Open a payment of what is owed, or return the live one if a provider has it; raises WrongPaymentState.

    A payment that an administrator records is captured at once; cash on delivery is authorised at once.
    """
    live, manual = books.live_payment, means.provider == MANUAL
    if books.owed_minor == 0:
        raise WrongPaymentState("nothing is owed for the order")
    if live and live.provider == means.provider and not manual:
        return live
    if live:
        raise WrongPaymentState("the payment {payment_id} of the order is {state}", payment_id=str(live.id), state=live.state.name)
    if books.status is not OrderStatus.PLACED:
        raise WrongPaymentState("the order is {status}, so nothing is to be paid", status=books.status.name)
    if books.is_overdue and not manual:
        raise WrongPaymentState("the time to pay the order has passed")
    if len(books.payments) >= PAYMENTS_MAX and not manual:
        raise WrongPaymentState("the order has had {limit} payments; an administrator can record one", limit=PAYMENTS_MAX)
    payment = Payment(
        id=new_id(),
        order_id=books.order_id,
        provider=means.provider,
        method=means.method,
        state=PaymentState.PENDING,
        currency_code=books.currency_code,
        amount_minor=books.owed_minor,
        capture_later=means.capture_later,
        created_at=books.now,
        updated_at=books.now,
    )
    books.payments[payment.id] = payment
    books.changed(payment)
    books.tell(EventKind.PAYMENT_CREATED, payment.id)
    if manual:
        record(books, payment, actor)
    else:
        books.request(ProviderRequest(new_id(), payment.provider, RequestKind.CREATE, payment.id, None, payment.amount_minor))
    return payment


def record(books: Books, payment: Payment, actor: Actor) -> None:
    """Record the money of a manual payment: cash on delivery as authorised, all other as captured."""
    payment.provider_ref = str(payment.id)
    if payment.method is PaymentMethod.CASH_ON_DELIVERY:
        books.book_manual(payment, LedgerKind.AUTHORIZED, payment.id, payment.amount_minor)
        _move(books, payment, PaymentState.AUTHORIZED)
    else:
        books.book_manual(payment, LedgerKind.CAPTURED, payment.id, payment.amount_minor)
        _move(books, payment, PaymentState.CAPTURED)
    books.conclude(actor)


def _move(books: Books, payment: Payment, state: PaymentState) -> bool:
    """Set the state of a payment and tell it; return whether it is another one."""
    if payment.state is state:
        return False
    payment.state = state
    books.changed(payment)
    if state in STATE_NEWS:
        books.tell(STATE_NEWS[state], payment.id)
    return True


def capture(books: Books, payment: Payment, actor: Actor) -> None:
    """Capture an authorised payment, of what is owed now; raises WrongPaymentState. A provider is only asked to."""
    if payment.state is not PaymentState.AUTHORIZED:
        raise WrongPaymentState("the payment is {state}, and only an authorised one can be captured", state=payment.state.name)
    amount_minor = min(payment.authorized_minor, books.owed_minor)
    if amount_minor == 0:
        raise WrongPaymentState("nothing is owed for the order")
    if payment.is_manual:
        books.book_manual(payment, LedgerKind.VOIDED, payment.id, payment.authorized_minor)
        books.book_manual(payment, LedgerKind.CAPTURED, payment.id, amount_minor)
        _move(books, payment, PaymentState.CAPTURED)
        books.conclude(actor)
    elif not books.has_open(RequestKind.CAPTURE, payment):
        books.request(ProviderRequest(new_id(), payment.provider, RequestKind.CAPTURE, payment.id, None, amount_minor))
        books.changed(payment)


def capture_before_lapse(books: Books, payment: Payment) -> None:
    """Capture an authorisation that lapses soon, unless nothing is owed for its order any more."""
    if payment.state is PaymentState.AUTHORIZED and books.owed_minor:
        capture(books, payment, SERVER)


def cancel_payment(books: Books, payment: Payment) -> None:
    """Cancel a payment by which no money has come; raises WrongPaymentState. A provider is only asked to."""
    if payment.state in {PaymentState.CAPTURED, PaymentState.PROCESSING} or not payment.state.is_live:
        raise WrongPaymentState("the payment is {state}, so it cannot be cancelled", state=payment.state.name)
    if payment.provider_ref is None:
        raise WrongPaymentState("the provider has not answered yet whether the payment exists; try again")
    if payment.state is PaymentState.AUTHORIZED and books.status not in {OrderStatus.PLACED, OrderStatus.CANCELLED}:
        raise WrongPaymentState("the payment covers the order, which is {status}; cancel the order", status=books.status.name)
    void(books, payment)


def void(books: Books, payment: Payment) -> None:
    """Let no money come by a payment any more: at once if it is manual, else by a request."""
    if payment.is_manual:
        books.book_manual(payment, LedgerKind.VOIDED, payment.id, payment.authorized_minor)
        _move(books, payment, PaymentState.CANCELLED)
    elif payment.provider_ref is None:
        books.changed(payment)  # the answer to its creation finds the order cancelled, and voids it then
    elif not books.has_open(RequestKind.CANCEL, payment):
        books.request(ProviderRequest(new_id(), payment.provider, RequestKind.CANCEL, payment.id, None, payment.amount_minor))
        books.changed(payment)


def apply(books: Books, payment: Payment, fact: PaymentFact) -> None:
    """Book all that a fact tells and the books lack, and draw the conclusions. The fact must fit the payment (`mismatch`)."""
    is_first = payment.provider_ref is None
    capture_before = fact.capture_before or payment.capture_before  # an older fact does not know it yet
    if (is_first, payment.failure, payment.capture_before) != (False, fact.failure, capture_before):
        payment.provider_ref, payment.failure, payment.capture_before = fact.provider_ref, fact.failure, capture_before
        books.changed(payment)
    before = payment.captured_minor, payment.disputed_minor
    fresh = replace(
        fact,
        refunds=tuple(each for each in fact.refunds if apply_refund(books, payment, each)),
        disputes=tuple(each for each in fact.disputes if is_news(payment, each)),
    )
    rows = list(missing_rows(payment, fresh))
    books.book(payment, rows)
    for dispute in fresh.disputes:
        payment.disputes[dispute.provider_ref] = dispute
        books.writes.disputes.append((payment.id, dispute))
    for row in rows:
        if row.kind is LedgerKind.DISPUTED:
            books.tell(EventKind.PAYMENT_DISPUTED, payment.id)
    state = state_after(payment, fact)
    if payment.state.is_live or not state.is_live or books.live_payment is None:  # only one payment of an order is live
        _move(books, payment, state)
    if is_first and not payment.state.is_live and fact.state is not ProviderState.DEAD:  # the shop has given it up before the answer
        void(books, payment)
    _consequences(books, payment, has_moved=before != (payment.captured_minor, payment.disputed_minor))


def _consequences(books: Books, payment: Payment, *, has_moved: bool) -> None:
    """Ship what waited for the money, give back the excess, and let an order end whose money cannot come any more."""
    if payment.state is PaymentState.CAPTURED:
        _depart_waiting(books)
    if not payment.state.is_live and all(not other.state.is_live for other in books.payments.values()):
        _end_without_money(books, payment)
    books.conclude(PROVIDER)
    _give_back_excess(books, payment, has_moved=has_moved)
    if payment.state is PaymentState.PENDING and books.is_overdue:
        void(books, payment)  # the stock returns when the provider has confirmed that no money can come
    if payment.state in {PaymentState.PENDING, PaymentState.AUTHORIZED} and books.owed_minor == 0:
        void(books, payment)


def _depart_waiting(books: Books) -> None:
    """Let the shipments leave that waited for a capture; they are prepared again if less was captured than is owed."""
    for shipment in books.shipments.values():
        if shipment.state is ShipmentState.CAPTURING:
            if is_covered(books.sums):
                depart(books, shipment)
            else:
                shipment.state, shipment.failure = ShipmentState.PREPARED, "captured_too_little"
                books.changed_shipment(shipment)


def _give_back_excess(books: Books, payment: Payment, *, has_moved: bool) -> None:
    """Give back what the order is not worth any more.

    After a refund that failed, an administrator decides, unless money has moved since, or less is left than the refund was to give back.
    """
    excess_minor = min(payment.left_minor, kept_minor(books) - books.owed_minor)
    if excess_minor <= 0 or payment.disputed_minor:
        return
    failed = [each.amount_minor for each in books.refunds.values() if each.state is RefundState.FAILED and each.payment_id == payment.id]
    if has_moved or excess_minor < min(failed, default=excess_minor + 1):
        open_refund(books, payment, excess_minor, "more was paid than is owed", SERVER)


def _end_without_money(books: Books, payment: Payment) -> None:
    """Cancel an order that waited for a payment which is dead: one that is overdue, or whose authorisation is gone."""
    had_authorization = any(kind is LedgerKind.AUTHORIZED for _, kind in payment.ledger)
    untouched = all(line.shipped == 0 for line in books.units.values())
    if books.is_overdue:
        cancel_all(books, SERVER, SystemReason.NOT_PAID)
    elif had_authorization and untouched and not is_covered(books.sums):
        cancel_all(books, SERVER, SystemReason.LAPSED)


def kept_minor(books: Books) -> int:
    """Return the money that the shop has and has not promised to give back."""
    return sum(payment.left_minor + payment.disputed_minor for payment in books.payments.values())


def cancel_order(books: Books, actor: Actor, reason: str) -> None:
    """Cancel all units, and give all money back. The caller has checked that the status allows it; raises WrongPaymentState."""
    if any(line.shipped for line in books.units.values()):
        raise WrongPaymentState("units of the order were shipped; cancel those that were not")
    if books.has_open_dispute:
        raise WrongPaymentState("a dispute of the order's payment is open")
    cancel_all(books, actor, reason)


def cancel_all(books: Books, actor: Actor, reason: str) -> None:
    """Cancel all units that are left, restock them, and give back, or refuse, the money."""
    cancel_units(books, {product_id: line.unshipped for product_id, line in books.units.items() if line.unshipped}, actor, None)
    take_apart(books)
    give_back_all(books, actor, reason)
    books.conclude(actor, reason)


def take_apart(books: Books) -> None:
    """Cancel the shipments that have not left."""
    for shipment in books.shipments.values():
        if shipment.state in WAITING:
            move_shipment(books, shipment, ShipmentState.CANCELLED, EventKind.SHIPMENT_CANCELLED)


def give_back_all(books: Books, actor: Actor, reason: str) -> None:
    """Give all money back, and let none come any more."""
    for payment in books.payments.values():
        if payment.state in {PaymentState.PENDING, PaymentState.AUTHORIZED}:
            void(books, payment)
        elif payment.left_minor:
            open_refund(books, payment, payment.left_minor, reason, actor, all_lines(books, payment.left_minor))


def cancel_some(books: Books, units: Mapping[UUID, int], actor: Actor, reason: str) -> UUID:
    """Cancel unshipped units, restock them, and give back what was paid for them; return the id of the step. Raises UnitsExceed."""
    _check_units(books, units)
    if books.has_open_dispute:
        raise WrongPaymentState("a dispute of the order's payment is open")
    step_id = new_id()
    if all(line.unshipped == units.get(product_id, 0) and not line.shipped for product_id, line in books.units.items()):
        cancel_all(books, actor, reason)
        return step_id
    cancel_units(books, units, actor, step_id)
    excess_minor = kept_minor(books) - books.owed_minor
    for payment in books.payments.values():
        wanted_minor = min(payment.left_minor, excess_minor)
        if wanted_minor > 0:
            open_refund(books, payment, wanted_minor, reason, actor, lines_within(books, units, wanted_minor))
            break
        if payment.state in {PaymentState.PENDING, PaymentState.AUTHORIZED} and books.owed_minor == 0:
            void(books, payment)
    collect(books, actor)
    books.conclude(actor, reason)
    return step_id


def collect(books: Books, actor: Actor) -> None:
    """Record that cash on delivery was paid, once all units that are left have arrived."""
    sums = books.sums
    if sums.delivered and sums.delivered == sums.quantity - sums.cancelled:
        for payment in books.payments.values():
            if payment.state is PaymentState.AUTHORIZED and payment.is_manual:
                capture(books, payment, actor)


def _check_units(books: Books, units: Mapping[UUID, int]) -> None:
    waiting = waiting_units(books)
    for product_id, wanted in units.items():
        line = books.units.get(product_id)
        left = line.unshipped - waiting[product_id] if line else 0
        if wanted > left:
            raise UnitsExceed(product_id, wanted, left)


def refuse(books: Books, request: ProviderRequest, code: str) -> None:
    """Draw the conclusions of a request that a provider has definitely refused."""
    payment = books.payments[request.payment_id]
    books.settle(request.id, Settled.FAILED, code)
    if request.kind is RequestKind.CREATE and payment.provider_ref is None:
        payment.failure = code
        _move(books, payment, PaymentState.CANCELLED)
        _consequences(books, payment, has_moved=False)
    elif request.kind is RequestKind.CAPTURE:
        for shipment in books.shipments.values():
            if shipment.state is ShipmentState.CAPTURING:
                shipment.state, shipment.failure = ShipmentState.PREPARED, code
                books.changed_shipment(shipment)
    elif request.kind is RequestKind.REFUND and request.refund_id:
        refused = books.refunds[request.refund_id]
        if refused.state.is_open:
            refused.failure = code
            finish_refund(books, payment, refused, RefundState.FAILED)
            _give_back_excess(books, payment, has_moved=False)
    books.touch()


def as_actor(actor: Actor, books: Books) -> Actor:
    """Return the actor of a change by the order's owner: a buyer, also if an administrator buys."""
    return actor._replace(kind=ActorKind.BUYER) if actor.id == books.account_id else actor
