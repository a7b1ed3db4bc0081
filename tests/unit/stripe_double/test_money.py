"""The money rules of the double of Stripe hold after every step of random sequences, against a book that the test keeps by itself."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from support.stripe_double import disputes, refunds
from support.stripe_double.account import Account
from support.stripe_double.invariants import broken
from support.stripe_double.methods import METHODS
from support.stripe_double.objects import Charge, Dispute, Intent, Refund, Thing
from support.stripe_double.refusals import Refusal
from support.stripe_double.states import Impossible

STEPS = 40
AMOUNTS = (1, 49, 50, 99, 100, 1_000, 2_500, 99_999_999, 10**9)
FORBIDDEN = {
    "intent": {("succeeded", None), ("canceled", None), ("requires_capture", "requires_payment_method"), ("processing", "canceled")},
    "refund": {("failed", None), ("canceled", None), ("succeeded", "pending"), ("pending", "canceled"), ("succeeded", "canceled")},
    "dispute": {("won", None), ("warning_closed", None), ("prevented", None), ("lost", "won"), ("needs_response", "warning_closed")},
}
"""Steps between states that the documents of Stripe exclude; None is any other state."""


@dataclass
class Walk:
    """A random sequence of acts of the shop, the buyers and Stripe, and a book of the money that the events tell of."""

    chance: random.Random
    time: int = 1_800_000_000
    captured: Counter[str] = field(default_factory=Counter)
    states: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.account = Account(lambda: self.time, self.hear)

    def hear(self, kind: str, thing: Thing) -> None:
        self.done[kind] += 1
        if kind == "payment_intent.succeeded":
            self.captured[thing.id] += 1

    # The acts. Each picks any object, so that most are refused: a refusal must change nothing.

    def create(self) -> None:
        manual = self.chance.choice(("manual", "automatic", "automatic_async"))
        self.account.create(self.chance.choice((50, 1_000, 99_999_999)), self.chance.choice(("usd", "eur")), manual)

    def update(self) -> None:
        self.account.update(self.intent(), {"amount": self.chance.choice(AMOUNTS)})

    def confirm(self) -> None:
        self.account.confirm(self.intent(), self.chance.choice(list(METHODS)))

    def authenticate(self) -> None:
        self.account.authenticate(self.intent(), succeeds=self.chance.random() < 0.8)

    def capture(self) -> None:
        self.account.capture(self.intent(), self.amount())

    def cancel(self) -> None:
        self.account.cancel(self.intent())

    def lapse(self) -> None:
        self.account.lapse(self.intent())

    def refund(self) -> None:
        refunds.create(self.account, self.charge(), self.amount(), None, {})

    def refund_ends(self) -> None:
        refund = self.any_refund()
        act = self.chance.choice(("succeed", "fail", "cancel"))
        if act == "succeed":
            refunds.succeed(self.account, refund)
        elif act == "fail":
            refunds.fail(self.account, refund, "unknown")
        else:
            refunds.cancel(self.account, refund)

    def dispute(self) -> None:
        status = self.chance.choice(("needs_response", "warning_needs_response", "prevented"))
        disputes.create(self.account, self.charge(), status, self.amount())

    def dispute_goes_on(self) -> None:
        dispute: Dispute = self.chance.choice(list(self.account.disputes.values()))
        status = self.chance.choice(("under_review", "won", "lost", "warning_closed", "needs_response", "appeal_needs_response"))
        disputes.advance(self.account, dispute, status, self.chance.choice((None, None, 10)))

    def payout(self) -> None:
        currency = self.chance.choice(("usd", "eur"))
        self.account.book("payout", None, -max(0, self.account.balance(currency)), currency)

    def settle(self) -> None:
        self.time += self.chance.choice((1, 86_400 * 5, 86_400 * 8))
        self.account.settle_payments()
        disputes.settle(self.account)
        refunds.settle(self.account)

    def intent(self) -> Intent:
        return self.chance.choice(list(self.account.intents.values()))

    def charge(self) -> Charge:
        return self.chance.choice(list(self.account.charges.values()))

    def any_refund(self) -> Refund:
        return self.chance.choice(list(self.account.refunds.values()))

    def amount(self) -> int | None:
        return self.chance.choice((None, *AMOUNTS))

    def step(self) -> None:
        """Do one act, and check every rule."""
        before = self.picture()
        act = self.chance.choice(ACTS)
        refused = True
        with suppress(Refusal, Impossible, IndexError):  # IndexError: there is no such object yet
            act(self)
            refused = False
        self.check(before, act.__name__, refused=refused)

    def picture(self) -> list[Thing]:
        account = self.account
        things = (account.intents, account.charges, account.refunds, account.disputes)
        return [replace(each) for group in things for each in group.values()]

    def check(self, before: list[Thing], act: str, *, refused: bool) -> None:
        assert broken(self.account) == []
        assert max(self.captured.values(), default=0) <= 1
        after = self.picture()
        if refused and act != "confirm":  # a decline is an answer of 402, and leaves a failed charge
            assert after == before, f"{act} was refused, and changed something"
        for thing in after:
            kind = type(thing).__name__.lower()
            previous = self.states.get(thing.id)
            self.states[thing.id] = thing.status
            if previous not in (None, thing.status) and kind in FORBIDDEN:
                assert not {(previous, None), (previous, thing.status)} & FORBIDDEN[kind], f"{thing.id}: {previous} -> {thing.status}"


ACTS: list[Callable[[Walk], None]] = [
    *[Walk.create] * 2,
    *[Walk.confirm] * 4,
    *[Walk.capture] * 2,
    *[Walk.refund] * 3,
    Walk.update,
    Walk.authenticate,
    Walk.cancel,
    Walk.lapse,
    Walk.refund_ends,
    Walk.dispute,
    Walk.dispute_goes_on,
    Walk.payout,
    Walk.settle,
]
EXPECTED = {
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.expired",
    "charge.failed",
    "charge.pending",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "charge.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
}
"""Kinds of events that the sequences reach."""


def test_no_random_sequence_breaks_a_rule_of_money(request: pytest.FixtureRequest) -> None:
    done = Counter[str]()
    for seed in range(10_000 if request.config.getoption("--soak") else 150):
        walk = Walk(random.Random(seed))  # noqa: S311 # a seed repeats a sequence
        for number in range(STEPS):
            try:
                walk.step()
            except AssertionError as error:
                raise AssertionError(f"step {number} of sequence {seed}: {error}") from error
        done += walk.done
    assert not EXPECTED - done.keys(), "the sequences did not reach everything"
