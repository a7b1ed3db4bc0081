"""Books of small orders, and facts about their payments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mercato_server.domain import payment_rules
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.ids import new_id
from mercato_server.domain.order_books import Books, Units, Writes
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import Payment, PaymentMethod
from mercato_server.domain.provider_facts import PaymentFact, ProviderState

BALL, BIKE = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ADMINISTRATOR = Actor(ActorKind.ADMINISTRATOR, UUID(int=3))
BUYER = Actor(ActorKind.BUYER, UUID(int=4))


def books_of(lines: Mapping[UUID, tuple[int, int]], *, delivery: int = 0, currency: str = "EUR") -> Books:
    """Return a placed order of lines (quantity, cost in minor units)."""
    return Books(
        order_id=new_id(),
        account_id=UUID(int=4),
        status=OrderStatus.PLACED,
        version=1,
        currency_code=currency,
        total_minor=sum(cost for _, cost in lines.values()) + delivery,
        payment_due_at=NOW + timedelta(hours=1),
        now=NOW,
        has_redemptions=False,
        units={product_id: Units(quantity=quantity, amount_minor=cost) for product_id, (quantity, cost) in lines.items()},
    )


def opened(books: Books, *, capture_later: bool = False) -> Payment:
    """Return a payment by a provider that the buyer can confirm, and whose creation was answered."""
    payment = payment_rules.create(books, Means("stripe", PaymentMethod.ONLINE, capture_later), BUYER)
    books.open_requests.clear()
    books.writes.requests.clear()
    payment_rules.apply(books, payment, fact(payment, ProviderState.OPEN))
    return payment


def fact(payment: Payment, state: ProviderState, **known: Any) -> PaymentFact:
    """Return what the provider tells of a payment, and more that is known of it."""
    amount = payment.amount_minor
    told = PaymentFact(
        provider_ref=f"pi_{payment.id}",
        payment_id=payment.id,
        state=state,
        currency_code=payment.currency_code,
        amount_minor=amount,
        authorized_minor=amount if state is ProviderState.AUTHORIZED else 0,
        captured_minor=amount if state is ProviderState.CAPTURED else 0,
        charge_ref="" if state is ProviderState.OPEN else f"ch_{payment.id}",
    )
    return replace(told, **known)


def paid(books: Books) -> Payment:
    """Return a payment by a provider that has captured what is owed."""
    payment = opened(books)
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED))
    return payment


def saved(books: Books) -> Writes:
    """Return the changes of books, which then have none."""
    writes, books.writes = books.writes, Writes()
    return writes


def steps(writes: Writes) -> Sequence[OrderStatus]:
    """Return the statuses that an order has gone through."""
    return [step.status for step in writes.steps]
