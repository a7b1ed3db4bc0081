"""Bugs of payments that a test can give to the worker in its process. The common check of money must find each."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from mercato_server.database.pool import Pool
from mercato_server.domain import payment_rules
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.order_books import Books
from mercato_server.domain.orders import SystemReason
from mercato_server.domain.payments import Payment
from mercato_server.payments import outbox
from mercato_server.payments.desk import Desk
from mercato_server.payments.outbox import Outbox
from mercato_server.payments.stripe_facts import Facts
from mercato_server.store import order_states, provider_events, told_facts
from mercato_server.store.order_batches import change_orders
from mercato_server.store.provider_requests import LeasedRequest
from mercato_server.store.told_facts import Told

Patch = pytest.MonkeyPatch
BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(name: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function that breaks the worker under a name."""

    def named(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        BUGS[name] = apply
        return apply

    return named


@bug("each try of a request has a key of its own")
def _(patch: Patch) -> None:
    patch.setattr(LeasedRequest, "key", property(lambda leased: f"{leased.request.id}:{leased.tries}"))


@bug("a refund reserves nothing")
def _(patch: Patch) -> None:
    patch.setattr(Payment, "left_minor", property(lambda payment: payment.captured_minor - payment.refunded_minor))


@bug("the content of a notice is believed")
def _(patch: Patch) -> None:
    async def take_event(self: Desk, provider: str, body: bytes, signature: str) -> None:
        self._providers[provider].event(body, signature)
        fact = Facts().payment(json.loads(body)["data"]["object"])
        assert fact.payment_id
        await told_facts.apply(self._pool, [Told(provider=provider, payment_id=fact.payment_id, fact=fact)])

    patch.setattr(Desk, "take_event", take_event)


@bug("an order expires without a question to the provider")
def _(patch: Patch) -> None:
    async def expire(pool: "Pool", order_ids: Sequence[UUID], _: object) -> list[Books]:
        return await change_orders(pool, order_ids, lambda books: payment_rules.cancel_all(books, SERVER, SystemReason.NOT_PAID))

    patch.setattr(order_states, "change_orders", expire)
    wanted = "state NOT IN ('cancelled', 'expired')"
    assert wanted in order_states.GET_OVERDUE
    patch.setattr(order_states, "GET_OVERDUE", order_states.GET_OVERDUE.replace(wanted, "false"))


@bug("a notice is answered before it is stored, and nothing is read without one")
def _(patch: Patch) -> None:
    async def insert(*_: object) -> bool:
        return True

    async def lease_reads(*_: object) -> Sequence[object]:
        return []

    patch.setattr(provider_events, "insert", insert)
    patch.setattr(told_facts, "lease_reads", lease_reads)


@bug("money for a cancelled order is kept")
def _(patch: Patch) -> None:
    patch.setattr(payment_rules, "_give_back_excess", lambda *_, **__: None)


@bug("a cancellation does not look whether the buyer has paid")
def _(patch: Patch) -> None:
    patch.setattr(told_facts, "_withdraw_cancellation", lambda *_: None)
    patch.setattr(outbox, "_cancel", lambda provider, leased, ref: provider.cancel(leased.key, ref))


@bug("a connection is held while the provider is asked")
def _(patch: Patch) -> None:
    send = Outbox._send

    async def holding(self: Outbox, leased: LeasedRequest) -> Any:
        async with self._pool.acquire():
            return await send(self, leased)

    patch.setattr(Outbox, "_send", holding)
