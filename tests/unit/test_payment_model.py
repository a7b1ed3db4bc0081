"""The rules of money and units hold after every step of random sequences, against a provider and sums of the tests' own."""

import copy
import pickle
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mercato_server.domain import fulfillment_rules, payment_rules, refund_rules
from mercato_server.domain.accounts import SERVER, Actor, ActorKind
from mercato_server.domain.errors import MercatoError
from mercato_server.domain.fulfillment_rules import Parcel
from mercato_server.domain.ids import new_id
from mercato_server.domain.money import PAYABLE_STEPS
from mercato_server.domain.order_books import Books, Settled, ShipmentState, Units, Writes
from mercato_server.domain.order_statuses import TRANSITIONS
from mercato_server.domain.orders import NEXT, OrderStatus, SystemReason
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import (
    MANUAL,
    LedgerKind,
    Payment,
    PaymentMethod,
    PaymentState,
    ProviderRequest,
    RefundState,
    RequestKind,
)
from mercato_server.domain.provider_facts import DisputeState, PaymentFact
from support.money_world import MoneyWorld, ProviderPayment, Refused

STEPS = 30
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ADMINISTRATOR = Actor(ActorKind.ADMINISTRATOR, UUID(int=1))
BUYER = Actor(ActorKind.BUYER, UUID(int=2))


def random_books(chance: random.Random) -> Books:
    """Return a placed order of one to four lines, some of them free, with or without delivery."""
    currency = chance.choice(("EUR", "EUR", "JPY", "KWD", "MGA"))
    step = PAYABLE_STEPS.get(currency, 1)
    units = {
        UUID(int=number): Units(
            quantity=chance.randint(1, 4), amount_minor=chance.choice((0, 1, 7, 99, 100, 1_005, chance.randint(0, 5_000)))
        )
        for number in range(1, chance.randint(1, 4) + 1)
    }
    total = sum(line.amount_minor for line in units.values()) + chance.choice((0, 0, 495))
    if chance.random() < 0.9:  # else only a manual payment can pay it
        total += -total % step
    return Books(
        order_id=new_id(), account_id=UUID(int=2), status=OrderStatus.PLACED, version=1, currency_code=currency, total_minor=total,
        payment_due_at=NOW + timedelta(hours=1), now=NOW, has_redemptions=False, units=units,
    )  # fmt: skip


@dataclass
class Walk:
    """A random sequence of acts of the buyer, the administrator, the workers and the provider."""

    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[OrderStatus, OrderStatus]] = field(default_factory=set)
    restocked: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    facts: list[PaymentFact] = field(default_factory=list)
    answers: dict[UUID, PaymentFact | str] = field(default_factory=dict)
    """The answers that the provider has stored, by the key of the request: a read after it, or the code of its refusal."""

    def __post_init__(self) -> None:
        self.books = random_books(self.chance)
        # Each sequence has its own habits, so that also those come far that a frequent act would end early.
        self.status = self.books.status
        self.weights = [self.chance.choice((0, 1, 2)) if act in ENDS else self.chance.choice((2, 10, 30)) for act in ACTS]
        step = PAYABLE_STEPS.get(self.books.currency_code, 1)
        self.world = MoneyWorld(self.chance, is_calm=self.chance.random() < 0.5, step=step)
        self.books.conclude(SERVER)
        self.save()

    # The buyer and the administrator

    def create(self) -> None:
        if self.books.live_payment:
            raise IndexError
        later = self.chance.random() < 0.5
        self.made(payment_rules.create(self.books, Means("stripe", PaymentMethod.ONLINE, later), BUYER))

    def create_manual(self) -> None:
        method = self.chance.choice((PaymentMethod.CASH, PaymentMethod.CASH_ON_DELIVERY))
        self.made(payment_rules.create(self.books, Means(MANUAL, method), ADMINISTRATOR))

    def made(self, payment: Payment) -> None:
        assert payment.amount_minor > 0
        assert payment is self.books.live_payment

    def capture(self) -> None:
        payment_rules.capture(self.books, self.payment(), ADMINISTRATOR)

    def cancel_payment(self) -> None:
        payment_rules.cancel_payment(self.books, self.payment())

    def cancel(self) -> None:
        if self.books.status in {OrderStatus.PLACED, OrderStatus.PAID}:
            payment_rules.cancel_order(self.books, self.chance.choice((BUYER, ADMINISTRATOR)), "changed my mind")

    def cancel_some(self) -> None:
        if units := self.some_units():
            payment_rules.cancel_some(self.books, units, ADMINISTRATOR, "damaged")

    def refund(self) -> None:
        payment = self.payment()
        left = payment.left_minor
        amount = self.world.part(left) if left >= self.world.step and self.chance.random() < 0.5 else None
        units = self.some_units() if amount is None or self.chance.random() < 0.3 else {}
        made = refund_rules.refund(self.books, payment, amount, units, "sorry", ADMINISTRATOR)
        assert 0 < made.amount_minor <= left
        assert amount in (None, made.amount_minor)

    def refund_too_much(self) -> None:
        with pytest.raises(MercatoError):
            refund_rules.refund(self.books, (payment := self.payment()), payment.left_minor + 1, {}, "", ADMINISTRATOR)

    def prepare(self) -> None:
        units = self.some_units() if self.chance.random() < 0.6 else {}
        fulfillment_rules.prepare(self.books, units, Parcel(), ADMINISTRATOR)

    def ship(self) -> None:
        before = self.books.sums
        shipment = self.chance.choice(list(self.books.shipments.values()))
        fulfillment_rules.ship(self.books, shipment, ADMINISTRATOR)
        assert before.authorized_minor + before.captured_minor >= before.owed_minor

    def deliver(self) -> None:
        fulfillment_rules.deliver(self.books, self.chance.choice(list(self.books.shipments.values())), ADMINISTRATOR)

    def cancel_shipment(self) -> None:
        fulfillment_rules.cancel_shipment(self.books, self.chance.choice(list(self.books.shipments.values())))

    def take_back(self) -> None:
        if units := self.some_units():
            fulfillment_rules.take_back(self.books, units, "too small", ADMINISTRATOR, restock=self.chance.random() < 0.5)

    def advance(self) -> None:
        if allowed := NEXT[self.books.status]:
            fulfillment_rules.advance(self.books, self.chance.choice(allowed), ADMINISTRATOR, "")

    def some_units(self) -> dict[UUID, int]:
        picked = {product_id: self.chance.choice((0, 1, line.quantity)) for product_id, line in self.books.units.items()}
        return {product_id: quantity for product_id, quantity in picked.items() if quantity}

    def payment(self) -> Payment:
        return self.chance.choice(list(self.books.payments.values()))

    # The workers

    def expire(self) -> None:
        """Do what the sweep of overdue orders does."""
        self.books.now = self.chance.choice((NOW, NOW + timedelta(hours=2)))
        live = self.books.live_payment
        if not self.books.is_overdue:
            return
        if live is None:
            payment_rules.cancel_all(self.books, SERVER, SystemReason.NOT_PAID)
        elif not live.is_manual and live.provider_ref:
            self.apply(self.world.payments[live.provider_ref].fact())  # reads first
            if live.state is PaymentState.PENDING:
                payment_rules.void(self.books, live)

    def send(self, *, surely: bool = False) -> None:
        """Send any open request; the provider answers a request that it knows by what it has stored."""
        request = self.chance.choice(list(self.books.open_requests.values()))
        if request.id not in self.answers:
            self.answers[request.id] = self.execute(request, surely=surely)
        if surely or self.chance.random() < 0.6:  # else the answer is lost, or late
            self.settle(request, self.answers[request.id])

    def execute(self, request: ProviderRequest, *, surely: bool) -> PaymentFact | str:
        payment = self.books.payments[request.payment_id]
        if not (surely or self.world.is_calm) and self.chance.random() < 0.1:
            return "card_declined"
        try:
            if request.kind is RequestKind.CREATE:
                found = self.world.create(payment.id, payment.currency_code, request.amount_minor, capture_later=payment.capture_later)
            else:
                found = self.world.payments[payment.provider_ref or ""]
                if request.kind is RequestKind.CAPTURE:
                    self.world.capture(found, request.amount_minor)
                elif request.kind is RequestKind.CANCEL:
                    self.world.cancel(found)
                else:
                    self.world.refund(found, request.refund_id, request.amount_minor)
        except Refused as refusal:
            return str(refusal)
        self.publish(found)
        return found.fact()

    def settle(self, request: ProviderRequest, answer: PaymentFact | str) -> None:
        self.done[f"{request.kind} {'refused' if isinstance(answer, str) else 'done'}"] += 1
        if isinstance(answer, PaymentFact):
            self.books.settle(request.id, Settled.SUCCEEDED)
            self.apply(answer)
            return
        payment = self.books.payments[request.payment_id]
        if payment.provider_ref and self.chance.random() < 0.5:
            self.apply(self.world.payments[payment.provider_ref].fact())
        payment_rules.refuse(self.books, request, answer)

    def hear(self) -> None:
        """Apply any fact that was read before; it may come again."""
        fact = self.chance.choice(self.facts)
        if self.chance.random() < 0.7:
            self.facts.remove(fact)
        self.apply(fact)

    def read(self) -> None:
        self.apply(self.chance.choice(list(self.world.payments.values())).fact())

    def happen(self) -> None:
        """Let something happen at the provider."""
        if (payment := self.world.act()) and self.chance.random() < 0.6:
            self.publish(payment)

    def publish(self, payment: ProviderPayment) -> None:
        self.facts.append(payment.fact())

    def apply(self, fact: PaymentFact) -> None:
        assert fact.payment_id
        payment = self.books.payments[fact.payment_id]
        payment_rules.apply(self.books, payment, fact)
        self.save()
        payment_rules.apply(self.books, payment, fact)
        assert self.books.writes == Writes(), "the same fact changed something again"

    # The rules

    def step(self) -> None:
        """Let one act take effect, and check every rule. Acts that are refused change nothing."""
        for _ in range(10):
            before = pickle.dumps(self.books)  # ten times as fast as a deep copy
            [act] = self.chance.choices(ACTS, self.weights)
            try:
                act(self)
            except IndexError:  # there is no such object yet
                self.books = pickle.loads(before)  # noqa: S301 # it was made here
                continue
            except MercatoError:
                if act in WORKERS:
                    raise
                self.books = pickle.loads(before)  # noqa: S301 # the transaction is rolled back
                continue
            self.done[act.__name__] += 1
            self.save()
            self.check()
            return

    def save(self) -> None:
        """Note what the books would write, as saving does."""
        writes, self.books.writes = self.books.writes, Writes()
        for each in writes.steps:
            self.seen.add((self.status, each.status))
            self.status = each.status
        assert self.status is self.books.status
        for move in writes.moves:
            assert move.quantity > 0
            self.restocked[move.product_id, move.kind] += move.quantity
        for row in writes.rows:
            assert row.amount_minor > 0

    def check(self) -> None:
        books = self.books
        assert books.status is expected_status(books)
        assert sum(payment.state not in (PaymentState.CANCELLED, PaymentState.EXPIRED) for payment in books.payments.values()) <= 1
        for payment in books.payments.values():
            check_payment(books, payment)
        left = Counter[UUID]()
        for shipment in books.shipments.values():
            if shipment.state in (ShipmentState.SHIPPED, ShipmentState.DELIVERED):
                left.update(shipment.units)
        for product_id, line in books.units.items():
            assert left[product_id] == line.shipped
            assert line.shipped + line.cancelled <= line.quantity
            assert 0 <= line.returned <= line.shipped >= line.delivered
            assert self.restocked[product_id, "cancel"] == line.cancelled
            assert self.restocked[product_id, "return"] <= line.returned
            refunds = [each for each in books.refunds.values() if each.state is not RefundState.FAILED]
            parts = [part for each in refunds for part in each.lines if part.product_id == product_id]
            assert line.refunded_minor == sum(part.amount_minor for part in parts) <= line.amount_minor
            assert sum(part.quantity for part in parts) <= line.quantity
        if left.total():  # a capture is never taken back, and units that are cancelled later only lessen what is owed
            assert books.sums.authorized_minor + books.sums.captured_minor >= books.owed_minor, "a shipment left without cover"
        if books.status is OrderStatus.CANCELLED:
            assert not left.total()
            assert not any(each.state in (ShipmentState.PREPARED, ShipmentState.CAPTURING) for each in books.shipments.values())

    def finish(self) -> None:
        """Send what is open and read what has happened until nothing more happens; then compare the books with the provider's."""
        for _ in range(40):
            for payment in self.world.payments.values():
                self.world.come_to_rest(payment)
                self.apply(payment.fact())
            if not self.books.open_requests:
                break
            self.send(surely=True)
            self.save()
            self.check()
        assert not self.books.open_requests
        for payment in self.world.payments.values():
            self.apply(payment.fact())
        self.compare()
        before = copy.deepcopy(self.books)
        for fact in self.chance.sample(self.facts, len(self.facts)):  # facts that come much too late
            self.apply(fact)
        self.check()
        self.compare()
        assert self.books.status is before.status
        assert self.books.refunds.keys() == before.refunds.keys()

    def compare(self) -> None:
        books, world = self.books, self.world.payments
        for payment in books.payments.values():
            if payment.is_manual or payment.provider_ref is None:
                continue
            there = world[payment.provider_ref]
            assert payment.captured_minor == there.captured
            assert payment.authorized_minor == there.held
            assert payment.refunded_minor == there.refunded
            assert payment.lost_minor == there.withdrawn(DisputeState.LOST)
            assert payment.disputed_minor == there.withdrawn(DisputeState.OPEN)
            assert payment.refunding_minor == 0
        if self.world.is_calm:
            kept = sum(payment.captured_minor - payment.refunded_minor for payment in books.payments.values())
            assert kept <= books.owed_minor, f"{kept} was kept"
        if books.status is OrderStatus.CANCELLED:
            for payment in books.payments.values():
                kept = payment.captured_minor - payment.refunded_minor - payment.lost_minor
                failed = any(each.state is RefundState.FAILED and each.payment_id == payment.id for each in books.refunds.values())
                assert kept <= 0 or (failed and not self.world.is_calm), f"{kept} of a cancelled order was kept"
                assert payment.authorized_minor == 0, "money of a cancelled order is held"
                assert payment.state is not PaymentState.PENDING, "a cancelled order can be paid"


def check_payment(books: Books, payment: Payment) -> None:
    """Check the amounts of a payment by its ledger and refunds."""
    sums = Counter[LedgerKind]()
    for (_, kind), amount in payment.ledger.items():
        sums[kind] += amount
    assert payment.authorized_minor == sums[LedgerKind.AUTHORIZED] - sums[LedgerKind.VOIDED] >= 0
    assert payment.captured_minor == sums[LedgerKind.CAPTURED] <= payment.amount_minor
    assert payment.refunded_minor == sums[LedgerKind.REFUNDED] - sums[LedgerKind.REFUND_FAILED] >= 0
    ended = sums[LedgerKind.DISPUTE_WON] + sums[LedgerKind.DISPUTE_LOST]
    assert payment.disputed_minor == sums[LedgerKind.DISPUTED] - ended >= 0
    assert payment.lost_minor == sums[LedgerKind.DISPUTE_LOST] - sums[LedgerKind.DISPUTE_APPEALED] >= 0
    assert not (payment.authorized_minor and payment.captured_minor), "an authorisation outlives its capture"
    assert not (payment.authorized_minor and payment.state is not PaymentState.AUTHORIZED), "a dead payment holds money"
    own = [each for each in books.refunds.values() if each.payment_id == payment.id and each.is_own]
    open_ones = [each.amount_minor for each in own if each.state in (RefundState.REQUESTED, RefundState.PENDING)]
    assert payment.refunding_minor == sum(open_ones)
    assert sum(each.amount_minor for each in own if each.state is not RefundState.FAILED) <= payment.captured_minor
    for each in own:
        assert sum(part.amount_minor for part in each.lines) <= each.amount_minor


def expected_status(books: Books) -> OrderStatus:
    """Return the status by the table of the design, from the rows of the ledgers and the units."""
    lines = books.units.values()
    if all(line.cancelled >= line.quantity for line in lines):
        return OrderStatus.CANCELLED
    came = back = held = 0
    for payment in books.payments.values():
        for (_, kind), amount in payment.ledger.items():
            came += amount * (kind is LedgerKind.CAPTURED)
            held += amount * {LedgerKind.AUTHORIZED: 1, LedgerKind.VOIDED: -1}.get(kind, 0)
            back += amount * {
                LedgerKind.REFUNDED: 1, LedgerKind.REFUND_FAILED: -1, LedgerKind.DISPUTE_LOST: 1, LedgerKind.DISPUTE_APPEALED: -1
            }.get(kind, 0)  # fmt: skip
    if came > 0 and back >= came:
        return OrderStatus.REFUNDED
    if all(line.delivered + line.cancelled == line.quantity for line in lines):
        return OrderStatus.DELIVERED
    if all(line.shipped + line.cancelled == line.quantity for line in lines):
        return OrderStatus.SHIPPED
    return OrderStatus.PAID if held + came >= books.owed_minor else OrderStatus.PLACED


ACTS: list[Callable[[Walk], None]] = [
    Walk.create, Walk.create, Walk.send, Walk.send, Walk.happen, Walk.happen, Walk.hear, Walk.read, Walk.prepare, Walk.ship, Walk.ship,
    Walk.deliver, Walk.refund, Walk.create_manual, Walk.capture, Walk.cancel_payment, Walk.cancel, Walk.cancel_some, Walk.refund_too_much,
    Walk.cancel_shipment, Walk.take_back, Walk.advance, Walk.expire,
]  # fmt: skip
ENDS = (Walk.cancel, Walk.cancel_payment, Walk.advance, Walk.expire, Walk.create_manual, Walk.refund_too_much)
"""The acts that are rare: after most of them little else can happen."""
WORKERS = (Walk.send, Walk.hear, Walk.expire, Walk.read)
EXPECTED = {act.__name__ for act in ACTS} | {f"{kind} {end}" for kind in RequestKind for end in ("done", "refused")}
"""The acts and answers that the sequences reach."""


def test_no_random_sequence_breaks_a_rule_of_money_or_units(request: pytest.FixtureRequest) -> None:
    done, seen = Counter[str](), set[tuple[OrderStatus, OrderStatus]]()
    for seed in range(10_000 if request.config.getoption("--soak") else 200):
        walk = Walk(random.Random(seed))  # noqa: S311 # a seed repeats a sequence
        try:
            for _ in range(STEPS):
                walk.step()
            walk.finish()
        except (AssertionError, MercatoError) as error:
            raise AssertionError(f"sequence {seed}, after {walk.done.total()} acts: {error}") from error
        done += walk.done
        seen |= walk.seen
    assert not EXPECTED - done.keys(), "the sequences did not reach everything"
    assert seen <= TRANSITIONS
    if request.config.getoption("--soak"):
        assert seen == TRANSITIONS
