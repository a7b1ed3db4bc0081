"""A provider's money, modelled without the shop's code: payments that buyers, the shop, banks and the provider's staff move."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState, RefundFact

BEFORE = datetime(2026, 12, 7, tzinfo=UTC)


class Refused(Exception):
    """A definite refusal of the provider."""


@dataclass
class ProviderPayment:
    """A payment at the provider."""

    ref: str
    payment_id: UUID
    currency: str
    amount: int
    capture_later: bool
    state: ProviderState = ProviderState.OPEN
    held: int = 0
    captured: int = 0
    was_held: bool = False
    lapsed: bool = False
    refunds: dict[str, RefundFact] = field(default_factory=dict)
    disputes: dict[str, DisputeFact] = field(default_factory=dict)

    def fact(self) -> PaymentFact:
        """Return one consistent read of it."""
        return PaymentFact(
            provider_ref=self.ref,
            payment_id=self.payment_id,
            state=self.state,
            currency_code=self.currency,
            amount_minor=self.amount,
            authorized_minor=self.held,
            captured_minor=self.captured,
            charge_ref=f"ch_{self.ref}" if self.captured or self.was_held else "",
            capture_before=BEFORE if self.held else None,
            lapsed=self.lapsed,
            refunds=tuple(self.refunds.values()),
            disputes=tuple(self.disputes.values()),
        )

    @property
    def refunded(self) -> int:
        """The money that refunds have taken."""
        return sum(each.amount_minor for each in self.refunds.values() if each.state is ProviderRefundState.SUCCEEDED)

    @property
    def refundable(self) -> int:
        """The money that the provider still lets be refunded."""
        return self.captured - sum(each.amount_minor for each in self.refunds.values() if each.state is not ProviderRefundState.FAILED)

    def withdrawn(self, *states: DisputeState) -> int:
        """Return the money that disputes in these states have taken."""
        return sum(each.withdrawn_minor for each in self.disputes.values() if each.state in states)


@dataclass
class MoneyWorld:
    """The provider's side. In a calm world no refund fails by itself, and nothing is captured, refunded or disputed outside."""

    chance: random.Random
    is_calm: bool
    step: int
    """The minor units of which each amount is a multiple."""
    payments: dict[str, ProviderPayment] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_ref(self, kind: str) -> str:
        return f"{kind}_{next(self.numbers)}"

    def part(self, amount: int) -> int:
        """Return a random payable part of an amount, often all of it."""
        return amount if self.chance.random() < 0.5 else self.chance.randint(1, amount // self.step) * self.step

    # The shop's requests

    def create(self, payment_id: UUID, currency: str, amount: int, *, capture_later: bool) -> ProviderPayment:
        if amount % self.step:
            raise Refused("amount")
        made = ProviderPayment(self.new_ref("pi"), payment_id, currency, amount, capture_later)
        self.payments[made.ref] = made
        return made

    def capture(self, payment: ProviderPayment, amount: int) -> None:
        if payment.state is not ProviderState.AUTHORIZED or not 0 < amount <= payment.held or amount % self.step:
            raise Refused("capture")
        payment.state, payment.held, payment.captured = ProviderState.CAPTURED, 0, amount

    def cancel(self, payment: ProviderPayment) -> None:
        if payment.state not in {ProviderState.OPEN, ProviderState.AUTHORIZED}:
            raise Refused("cancel")
        payment.state, payment.held = ProviderState.DEAD, 0

    def refund(self, payment: ProviderPayment, refund_id: UUID | None, amount: int) -> None:
        if not 0 < amount <= payment.refundable or amount % self.step:
            raise Refused("refund")
        if any(each.state is DisputeState.OPEN for each in payment.disputes.values()):
            raise Refused("charge_disputed")
        ref = self.new_ref("re")
        state = self.chance.choice((ProviderRefundState.PENDING, ProviderRefundState.SUCCEEDED))
        payment.refunds[ref] = RefundFact(provider_ref=ref, refund_id=refund_id, state=state, amount_minor=amount)

    # The buyers, the banks and the provider's dashboard. Each act picks any payment; most do nothing.

    def pay(self, payment: ProviderPayment) -> None:
        if payment.state is ProviderState.OPEN and self.chance.random() < 0.9:
            if self.chance.random() < 0.3:
                payment.state = ProviderState.PROCESSING
            else:
                self.receive(payment)

    def receive(self, payment: ProviderPayment) -> None:
        if payment.capture_later:
            payment.state, payment.held, payment.was_held = ProviderState.AUTHORIZED, payment.amount, True
        else:
            payment.state, payment.captured = ProviderState.CAPTURED, payment.amount

    def process(self, payment: ProviderPayment) -> None:
        if payment.state is ProviderState.PROCESSING:
            if self.chance.random() < 0.7:
                self.receive(payment)
            else:
                payment.state = ProviderState.OPEN

    def lapse(self, payment: ProviderPayment) -> None:
        if payment.state is ProviderState.AUTHORIZED:
            payment.state, payment.held, payment.lapsed = ProviderState.DEAD, 0, True

    def move_refund(self, payment: ProviderPayment) -> None:
        if payment.refunds:
            ref, refund = self.chance.choice(list(payment.refunds.items()))
            if refund.state is ProviderRefundState.PENDING and (self.is_calm or self.chance.random() < 0.7):
                payment.refunds[ref] = replace(refund, state=ProviderRefundState.SUCCEEDED)
            elif not self.is_calm and self.chance.random() < 0.3:
                payment.refunds[ref] = replace(refund, state=ProviderRefundState.FAILED, failure="lost_or_stolen_card")

    def act_outside(self, payment: ProviderPayment) -> None:
        """Cancel, capture or refund it at the provider's dashboard."""
        if self.is_calm:
            return
        try:
            if payment.state is ProviderState.AUTHORIZED and self.chance.random() < 0.5:
                self.capture(payment, self.part(payment.held))
            elif payment.captured and payment.refundable:
                self.refund(payment, None, self.part(payment.refundable))
            else:
                self.cancel(payment)
        except Refused:
            pass

    def dispute(self, payment: ProviderPayment) -> None:
        if not self.is_calm and payment.captured and len(payment.disputes) < 2:
            ref, amount = self.new_ref("du"), self.part(payment.captured)
            state, withdrawn = self.chance.choice(((DisputeState.INQUIRY, 0), (DisputeState.OPEN, amount), (DisputeState.WON, 0)))
            if payment.withdrawn(DisputeState.OPEN, DisputeState.LOST) + withdrawn <= payment.captured:
                payment.disputes[ref] = DisputeFact(provider_ref=ref, state=state, amount_minor=amount, withdrawn_minor=withdrawn)

    def move_dispute(self, payment: ProviderPayment) -> None:
        for ref, each in payment.disputes.items():
            others = payment.withdrawn(DisputeState.OPEN, DisputeState.LOST) - each.withdrawn_minor
            if each.state is DisputeState.INQUIRY and others + each.amount_minor <= payment.captured:
                ways = [(DisputeState.OPEN, each.amount_minor), (DisputeState.WON, 0)]
            elif each.state is DisputeState.OPEN:
                ways = [
                    (DisputeState.WON, 0),
                    (DisputeState.LOST, each.withdrawn_minor),
                    (DisputeState.LOST, self.part(each.withdrawn_minor)),
                ]
            elif each.state is DisputeState.LOST and self.chance.random() < 0.3:
                ways = [(DisputeState.WON, 0)]
            else:
                continue
            state, withdrawn = self.chance.choice(ways)
            payment.disputes[ref] = replace(each, state=state, withdrawn_minor=withdrawn)
            return

    def come_to_rest(self, payment: ProviderPayment) -> None:
        """End what is under way by itself."""
        self.process(payment)
        for ref, refund in payment.refunds.items():
            if refund.state is ProviderRefundState.PENDING:
                payment.refunds[ref] = replace(refund, state=ProviderRefundState.SUCCEEDED)
        if payment.withdrawn(DisputeState.OPEN):
            self.move_dispute(payment)

    def act(self) -> ProviderPayment | None:
        """Let anything happen to any payment; return the payment."""
        if not self.payments:
            return None
        payment = self.chance.choice(list(self.payments.values()))
        acts: list[Callable[[ProviderPayment], None]] = [self.act_outside, self.dispute, self.move_dispute]
        acts += [*[self.pay] * 5, *[self.process] * 2, *[self.move_refund] * 3, *[self.lapse] * (self.chance.random() < 0.3)]
        self.chance.choice(acts)(payment)
        return payment
