"""Payments by Stripe: https://docs.stripe.com/payments/payment-intents. The shop knows them by the ids in their metadata."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from stripe import RequestOptions, StripeObject

from mercato_server.config.payment_settings import StripeSettings
from mercato_server.domain.provider_facts import DisputeFact, PaymentFact, ProviderState, RefundFact
from mercato_server.payments import stripe_amounts, stripe_errors
from mercato_server.payments.provider import Certainty, CreatedPayment, ProviderError, ProviderEvent
from mercato_server.payments.stripe_connection import Answer, StripeConnection
from mercato_server.payments.stripe_events import Events
from mercato_server.payments.stripe_facts import Body, Facts, UnusableObjectError, charge_of, field, of_payment, shop_id
from mercato_server.payments.token_buckets import Lane, Operation

PAGE = 100
"""Objects of a page, the most that Stripe gives. Where such a page is too large, smaller ones follow."""
CLOCK_SKEW = timedelta(minutes=15)

Method = Callable[..., Awaitable[StripeObject]]
"""A method of the SDK."""


class StripeProvider:
    """The account of a shop at Stripe.

    A change has an amount and the shop's ids, and no personal data. A key belongs to one body, which this class makes: a release that made
    another body of the same arguments would break the keys of requests under way.
    """

    name = "stripe"

    def __init__(self, settings: StripeSettings, currency: str, read_pauses_s: Sequence[float] = ()) -> None:
        """Make a client.

        Args:
            settings: the account.
            currency: the shop's, of all captures and refunds.
            read_pauses_s: the pauses after which a read that failed for a while is repeated; no change is ever repeated.
        """
        self._read_pauses_s = read_pauses_s
        self._currency = currency
        self._connection = StripeConnection(settings)
        self._v1 = self._connection.v1
        self._facts = Facts()
        self._events = Events(settings.webhook_secrets, is_live=settings.is_live)

    def unpayable(self, amount_minor: int, currency: str) -> str | None:
        """Return why Stripe cannot express an amount, or None; Stripe itself refuses amounts below its minimum."""
        return stripe_amounts.unpayable(amount_minor, currency)

    async def create(
        self, key: str, payment_id: UUID, order_id: UUID, amount_minor: int, currency: str, *, capture_later: bool
    ) -> CreatedPayment:
        """Create a payment intent, which the buyer confirms with its secret."""
        params = {
            "amount": _sendable(amount_minor, currency),
            "currency": currency.lower(),
            "automatic_payment_methods": {"enabled": True},
            "capture_method": "manual" if capture_later else "automatic",
            "metadata": {"payment_id": str(payment_id), "order_id": str(order_id)},
        }
        answer = await self._ask(Operation.CREATE, self._v1.payment_intents.create_async, params, _keyed(key))
        with _usable():
            return CreatedPayment(await self._fresh(answer), field(answer.body, "client_secret", str))

    async def read(self, provider_ref: str) -> PaymentFact:
        """Return a payment with its refunds and disputes.

        Only captured money can be refunded or disputed, and a capture is final: so the refunds and disputes that are read after it fit it.
        """
        params = {"expand": ["latest_charge"]}
        answer = await self._ask(Operation.READ, self._v1.payment_intents.retrieve_async, provider_ref, params)
        with _usable():
            fact = self._facts.payment(answer.body)
            if not fact.captured_minor:
                return fact
            of_this = {"payment_intent": provider_ref}
            refunds = await self._all(Operation.LIST_REFUNDS, self._v1.refunds.list_async, of_this)
            disputes = await self._all(Operation.LIST_DISPUTES, self._v1.disputes.list_async, of_this)
            return replace(
                fact,
                refunds=tuple(self._facts.refund(each) for each in refunds),
                disputes=tuple(self._facts.dispute(each, fact.currency_code, fact.captured_minor) for each in disputes),
            )

    async def client_secret(self, provider_ref: str) -> str:
        """Return the secret of a payment again."""
        answer = await self._ask(Operation.READ_SECRET, self._v1.payment_intents.retrieve_async, provider_ref)
        with _usable():
            return field(answer.body, "client_secret", str)

    async def find(self, payment_id: UUID, since: datetime) -> PaymentFact | None:
        """Return the payment with an id of the shop's, from 15 minutes before `since` because clocks differ; None if there is none.

        Stripe's search may lag an hour, so this pages through all payments. Where one was proven dead and replaced, the other counts.
        """
        found = [
            each
            async for page in self._pages(Operation.LIST, self._v1.payment_intents.list_async, _created(since - CLOCK_SKEW))
            for each in page
            if shop_id(each, "payment_id") == payment_id
        ]
        with _usable():
            facts = [self._facts.payment(each) for each in found]
        chosen = min(facts, key=lambda fact: fact.state is ProviderState.DEAD, default=None)
        return await self.read(chosen.provider_ref) if chosen else None

    async def capture(self, key: str, provider_ref: str, amount_minor: int) -> PaymentFact:
        """Capture a part of an authorisation, once; Stripe releases the rest."""
        params = {"amount_to_capture": _sendable(amount_minor, self._currency)}
        return await self._fresh(
            await self._ask(Operation.CAPTURE, self._v1.payment_intents.capture_async, provider_ref, params, _keyed(key))
        )

    async def cancel(self, key: str, provider_ref: str) -> PaymentFact:
        """Cancel a payment that is not captured; also a good authorisation, so the caller reads first."""
        return await self._fresh(await self._ask(Operation.CANCEL, self._v1.payment_intents.cancel_async, provider_ref, {}, _keyed(key)))

    async def refund(self, key: str, provider_ref: str, refund_id: UUID, amount_minor: int) -> RefundFact:
        """Give a part of a captured payment back."""
        params = {
            "payment_intent": provider_ref,
            "amount": _sendable(amount_minor, self._currency),
            "metadata": {"refund_id": str(refund_id)},
        }
        answer = await self._ask(Operation.REFUND, self._v1.refunds.create_async, params, _keyed(key))
        with _usable():
            if answer.is_replayed:
                answer = await self._ask(Operation.READ_REFUND, self._v1.refunds.retrieve_async, field(answer.body, "id", str))
            return self._facts.refund(answer.body)

    def event(self, body: bytes, signature: str) -> ProviderEvent:
        """Return the event of a signed request; raises UnusableEventError."""
        return self._events.read(body, signature)

    async def payments(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[PaymentFact]]:
        """Yield pages of the payments of a time, of whole seconds, without refunds and disputes."""
        async for page in self._pages(Operation.LIST, self._v1.payment_intents.list_async, _created(since, until)):
            with _usable():
                facts = [self._facts.payment(each) for each in page]
            yield facts

    async def refunds(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[tuple[str, RefundFact]]]:
        """Yield pages of the refunds of a time, of whole seconds, each with its payment; empty for a refund of no payment intent."""
        async for page in self._pages(Operation.LIST_REFUNDS, self._v1.refunds.list_async, _created(since, until)):
            with _usable():
                facts = [(of_payment(each), self._facts.refund(each)) for each in page]
            yield facts

    async def disputes(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[tuple[str, DisputeFact]]]:
        """Yield pages of the disputes of a time, of whole seconds, each with its payment; empty for a dispute of no payment intent."""
        filters = {**_created(since, until), "expand": ["data.charge"]}
        async for page in self._pages(Operation.LIST_DISPUTES, self._v1.disputes.list_async, filters):
            with _usable():
                facts = [(of_payment(each), self._facts.dispute(each, *charge_of(each))) for each in page]
            yield facts

    async def close(self) -> None:
        """Close its connections."""
        await self._connection.close()

    async def _ask(self, operation: Operation, method: Method, *arguments: Any) -> Answer:
        for pause_s in self._read_pauses_s if operation.lane is Lane.READS else ():
            try:
                return await self._connection.ask(operation, method, *arguments)
            except ProviderError as error:
                if not stripe_errors.may_pass(error):
                    raise
                await asyncio.sleep(max(pause_s, error.retry_after_s or 0))
        return await self._connection.ask(operation, method, *arguments)

    async def _fresh(self, answer: Answer) -> PaymentFact:
        """Return the payment of an answer; a replayed answer is as old as its key, so the payment is read again."""
        with _usable():
            return await self.read(field(answer.body, "id", str)) if answer.is_replayed else self._facts.payment(answer.body)

    async def _all(self, operation: Operation, method: Method, filters: dict[str, Any]) -> list[Body]:
        return [each async for page in self._pages(operation, method, filters) for each in page]

    async def _pages(self, operation: Operation, method: Method, filters: dict[str, Any]) -> AsyncIterator[list[Body]]:
        """Yield all pages of a list, the newest objects first."""
        limit, after = PAGE, dict[str, str]()
        while True:
            try:
                answer = await self._ask(operation, method, {**filters, **after, "limit": limit})
            except ProviderError as error:
                if error.code != stripe_errors.TOO_LARGE or limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            with _usable():
                page: list[Body] = field(answer.body, "data", list)
                has_more = field(answer.body, "has_more", bool)
                if page:
                    after = {"starting_after": field(page[-1], "id", str)}
                elif has_more:
                    raise UnusableObjectError("data must have objects if there are more")
            yield page
            if not has_more:
                return


def _keyed(key: str) -> RequestOptions:
    return {"idempotency_key": key}


def _created(since: datetime, until: datetime | None = None) -> dict[str, Any]:
    """Return the filter of a time. Stripe counts whole seconds, so both ends are moved outwards."""
    first = {"gte": math.floor(since.timestamp())}
    return {"created": first | ({"lt": math.ceil(until.timestamp())} if until else {})}


def _sendable(amount_minor: int, currency: str) -> int:
    try:
        return stripe_amounts.to_stripe(amount_minor, currency)
    except stripe_amounts.UnsendableAmountError as error:
        raise ProviderError(Certainty.INVALID, "amount_not_sendable", str(error)) from None


@contextmanager
def _usable() -> Iterator[None]:
    """Turn an object that Stripe does not document into the error of its request."""
    try:
        yield
    except UnusableObjectError as error:
        raise stripe_errors.unusable(str(error)) from None
