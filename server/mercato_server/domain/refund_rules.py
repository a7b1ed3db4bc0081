"""The rules of refunds: their amounts by units, their reservation, and their states. They are pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from mercato_server.domain.accounts import PROVIDER, Actor
from mercato_server.domain.events import EventKind
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, sendable_minor, share_minor
from mercato_server.domain.payment_errors import RefundExceeds, UnitsExceed, WrongPaymentState
from mercato_server.domain.payments import (
    LedgerKind,
    Payment,
    ProviderRequest,
    Refund,
    RefundLine,
    RefundState,
    RequestKind,
)
from mercato_server.domain.provider_facts import ProviderRefundState, RefundFact


def all_lines(books: Books, amount_minor: int) -> tuple[RefundLine, ...]:
    """Return the units of a refund of all that is left, each with the rest of its cost; the delivery has no line."""
    lines = []
    for product_id, line in sorted(books.units.items()):
        units = line.quantity - books.refunded_units(product_id)
        rest_minor = min(line.amount_minor - line.refunded_minor, amount_minor)
        if units > 0 and rest_minor >= 0:
            lines.append(RefundLine(product_id, units, rest_minor))
            amount_minor -= rest_minor
    return tuple(lines)


def refund_lines(books: Books, units: Mapping[UUID, int]) -> tuple[RefundLine, ...]:
    """Return the parts of a refund of units; raises UnitsExceed.

    After k of n units of a line that cost T, ⌊T·k/n⌋ was refunded, whatever the order of the refunds.
    """
    lines = []
    for product_id, wanted in sorted(units.items()):
        line = books.units.get(product_id)
        before = books.refunded_units(product_id)
        if line is None or wanted > line.quantity - before:
            raise UnitsExceed(product_id, wanted, line.quantity - before if line else 0)
        due_minor = share_minor(line.amount_minor, before + wanted, line.quantity, books.currency_code)
        lines.append(RefundLine(product_id, wanted, max(0, due_minor - line.refunded_minor)))
    return tuple(lines)


def lines_within(books: Books, units: Mapping[UUID, int], amount_minor: int) -> tuple[RefundLine, ...]:
    """Return the units of a refund whose amount is given, as far as they were not refunded before."""
    lines = []
    for product_id, wanted in sorted(units.items()):
        line = books.units[product_id]
        count = min(wanted, line.quantity - books.refunded_units(product_id))
        if count > 0:
            due_minor = share_minor(line.amount_minor, books.refunded_units(product_id) + count, line.quantity, books.currency_code)
            part_minor = min(amount_minor, max(0, due_minor - line.refunded_minor))
            lines.append(RefundLine(product_id, count, part_minor))
            amount_minor -= part_minor
    return tuple(lines)


def refund(books: Books, payment: Payment, amount_minor: int | None, units: Mapping[UUID, int], reason: str, actor: Actor) -> Refund:
    """Give back an amount, or what units cost; raises WrongPaymentState, RefundExceeds or UnitsExceed."""
    if not payment.captured_minor:
        raise WrongPaymentState("the payment is {state}, and only captured money can be refunded", state=payment.state.name)
    if payment.disputed_minor:
        raise WrongPaymentState("a dispute of the payment is open")
    lines = refund_lines(books, units)
    wanted_minor = sum(line.amount_minor for line in lines) if amount_minor is None else amount_minor
    if wanted_minor > payment.left_minor:
        if amount_minor is not None or payment.left_minor == 0:
            raise RefundExceeds(wanted_minor, payment.left_minor)
        wanted_minor = payment.left_minor  # an earlier refund of an amount has used up a part
    if amount_minor is None and not payment.is_manual and wanted_minor < payment.left_minor:
        wanted_minor = sendable_minor(wanted_minor, books.currency_code)
    if wanted_minor <= 0:
        raise WrongPaymentState("nothing is left to refund for these units")
    return open_refund(books, payment, wanted_minor, reason, actor, tuple(_cut(lines, wanted_minor)))


def _cut(lines: Sequence[RefundLine], amount_minor: int) -> list[RefundLine]:
    cut = []
    for line in lines:
        part_minor = min(line.amount_minor, amount_minor)
        cut.append(line._replace(amount_minor=part_minor))
        amount_minor -= part_minor
    return cut


def open_refund(books: Books, payment: Payment, amount_minor: int, reason: str, actor: Actor, lines: tuple[RefundLine, ...] = ()) -> Refund:
    """Reserve money and ask the provider to give it back; a manual refund succeeds at once. The caller has checked the amount."""
    made = Refund(
        id=new_id(),
        payment_id=payment.id,
        state=RefundState.REQUESTED,
        amount_minor=amount_minor,
        reason=reason,
        actor=actor,
        lines=lines,
        created_at=books.now,
        updated_at=books.now,
    )
    add_refund(books, payment, made)
    payment.refunding_minor += amount_minor
    if payment.is_manual:
        finish_refund(books, payment, made, RefundState.SUCCEEDED)
        books.book_manual(payment, LedgerKind.REFUNDED, made.id, amount_minor)
        books.conclude(actor, reason)
    else:
        books.request(ProviderRequest(new_id(), payment.provider, RequestKind.REFUND, payment.id, made.id, amount_minor))
    return made


def add_refund(books: Books, payment: Payment, made: Refund) -> None:
    """Enter a new refund into the books."""
    books.refunds[made.id] = made
    books.writes.new_refunds.append(made)
    for line in made.lines:
        books.changed_line(line.product_id).refunded_minor += line.amount_minor
    books.changed_refund(made)
    books.changed(payment)
    books.tell(EventKind.REFUND_CREATED, made.id)


def apply_refund(books: Books, payment: Payment, fact: RefundFact) -> bool:
    """Move a refund to the state that a fact tells, or enter one that was made at the provider; return False if the fact is out of date."""
    state = {
        ProviderRefundState.PENDING: RefundState.PENDING,
        ProviderRefundState.SUCCEEDED: RefundState.SUCCEEDED,
        ProviderRefundState.FAILED: RefundState.FAILED,
    }[fact.state]
    known = books.refunds.get(fact.refund_id) if fact.refund_id else None
    known = known or next((each for each in books.refunds.values() if each.provider_ref == fact.provider_ref), None)
    if known is None:
        known = Refund(
            id=new_id(),
            payment_id=payment.id,
            state=RefundState.PENDING,
            amount_minor=fact.amount_minor,
            is_own=False,
            actor=PROVIDER,
            created_at=books.now,
            updated_at=books.now,
        )
        add_refund(books, payment, known)
    if known.state is RefundState.FAILED and known.provider_ref:
        return state is RefundState.FAILED
    if known.provider_ref is None:
        known.provider_ref = fact.provider_ref
        books.changed_refund(known)
        if known.state is RefundState.FAILED and state is not RefundState.FAILED:  # it was refused, and exists nevertheless
            _reopen(books, payment, known)
    if known.state is not state and not (state is RefundState.PENDING and not known.state.is_open):
        known.failure = fact.failure
        finish_refund(books, payment, known, state)
    return True


def _reopen(books: Books, payment: Payment, known: Refund) -> None:
    known.state = RefundState.REQUESTED
    payment.refunding_minor += known.amount_minor
    books.changed(payment)
    for line in known.lines:
        books.changed_line(line.product_id).refunded_minor += line.amount_minor


def finish_refund(books: Books, payment: Payment, known: Refund, state: RefundState) -> None:
    """Move a refund to a state, and end its reservation if it is no longer open."""
    was_open = known.state.is_open
    known.state = state
    books.changed_refund(known)
    books.changed(payment)
    if was_open and not state.is_open and known.is_own:
        payment.refunding_minor -= known.amount_minor
    if state is RefundState.FAILED:
        for line in known.lines:
            books.changed_line(line.product_id).refunded_minor -= line.amount_minor
        books.tell(EventKind.REFUND_FAILED, known.id)
    elif state is RefundState.SUCCEEDED:
        books.tell(EventKind.REFUND_SUCCEEDED, known.id)
