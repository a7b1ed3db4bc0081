"""Payments as callers ask for them: a command commits, then its request to the provider is sent, and the caller hears how that went."""

import asyncio
from contextvars import Context
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.database.pool import Pool
from mercato_server.database.work import current_work
from mercato_server.domain.payment_errors import PaymentAmount, PaymentProviderUnavailable, WebhookInvalid, WrongPaymentState
from mercato_server.domain.payment_records import Opened
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import Payment, PaymentMethod, PaymentState, Refund
from mercato_server.payments.inbox import Inbox
from mercato_server.payments.keeper import Keeper
from mercato_server.payments.outbox import Outbox
from mercato_server.payments.provider import PaymentProvider, ProviderError, UnusableEventError
from mercato_server.payments.tally import EventOutcome, Tally
from mercato_server.store import payments, provider_events
from mercato_server.store.idempotency import IdempotencyKey
from mercato_server.store.payments import ChangePayment, CreatePayment, CreateRefund, Reference

if TYPE_CHECKING:
    from mercato_server.tracing.spans import Tracer

log = structlog.get_logger(__name__)

SETTLED_WITHIN_S = 8.0
"""Time that a call with a long deadline waits for the outcome of a request."""
SOON_S = 1.0

AMOUNT_CODES = frozenset({"amount_too_small", "amount_too_large", "invalid_charge_amount"})
"""The codes by which a provider refuses an amount."""


class Desk:
    """Opens, captures and cancels payments, refunds them, and takes the notices of providers."""

    def __init__(self, pool: "Pool", provider: PaymentProvider | None, settings: PaymentSettings, tracer: "Tracer | None" = None) -> None:
        """Prepare; without a provider, administrators record all payments."""
        self._pool = pool
        self._providers = {provider.name: provider} if provider else {}
        self._settings = settings
        self.tally = Tally()
        self._outbox = Outbox(pool, self._providers, self.tally, tracer)
        self._tasks: set[asyncio.Task[str]] = set()
        self.keeper = Keeper(pool, self._outbox, Inbox(pool, self._providers))

    @property
    def online(self) -> Means:
        """How buyers pay; raises WrongPaymentState if the shop takes no payments online."""
        provider = next(iter(self._providers), None)
        if provider is None:
            raise WrongPaymentState("the shop takes no payments online; an administrator records them")
        return Means(provider, PaymentMethod.ONLINE, self._settings.capture_later)

    def unpayable(self, provider: str) -> payments.Unpayable:
        """Return the check of amounts of a provider; every amount can be recorded by hand."""
        found = self._providers.get(provider)
        return found.unpayable if found else lambda _amount_minor, _currency: None

    async def create(self, command: CreatePayment, key: IdempotencyKey | None) -> tuple[Opened, bool]:
        """Open a payment and return it with its secret, and whether an earlier call has opened it.

        Raises what `store.payments.create` raises, and PaymentProviderUnavailable: then a retry with the same key goes on with it.
        """
        made = await payments.create(self._pool, command, key)
        payment = await payments.get(self._pool, command.order_id, made.id)
        if payment.is_manual:
            return Opened(payment), made.replayed
        secret = ""
        if payment.provider_ref is None and payment.state.is_live:
            secret = await self._outbox.settle_order(command.order_id, made.id)
            payment = await payments.get(self._pool, command.order_id, made.id)
        if payment.provider_ref is None:
            raise _refusal(payment)
        if payment.state is not PaymentState.PENDING:
            return Opened(payment), made.replayed
        return Opened(payment, secret or await self._secret(payment), self._publishable_key), made.replayed

    @property
    def _publishable_key(self) -> str:
        return self._settings.stripe.publishable_key if self._settings.stripe else ""

    async def _secret(self, payment: Payment) -> str:
        try:
            return await self._providers[payment.provider].client_secret(payment.provider_ref or "")
        except ProviderError:
            raise PaymentProviderUnavailable from None

    async def capture(self, command: ChangePayment, key: IdempotencyKey | None) -> tuple[Payment, bool]:
        """Capture an authorised payment, and return it as it is when the provider has answered, or when it has not."""
        return await self._changed(command, await payments.capture(self._pool, command, key))

    async def cancel(self, command: ChangePayment, key: IdempotencyKey | None) -> tuple[Payment, bool]:
        """Cancel a payment by which no money has come, and return it as `capture` does."""
        return await self._changed(command, await payments.cancel(self._pool, command, key))

    async def _changed(self, command: ChangePayment, made: Reference) -> tuple[Payment, bool]:
        await self.settle_order(command.order_id, made.id)
        return await payments.get(self._pool, command.order_id, made.id), made.replayed

    async def refund(self, command: CreateRefund, key: IdempotencyKey | None) -> tuple[Refund, bool]:
        """Give money back, and return the refund as it is when the provider has answered, or when it has not."""
        made = await payments.refund(self._pool, command, key)
        await self.settle_order(command.order_id, made.id)
        return await payments.get_refund(self._pool, made.id), made.replayed

    async def settle_order(self, order_id: UUID, subject_id: UUID | None = None, within_s: float = SETTLED_WITHIN_S) -> None:
        """Send the open requests of an order, or of one of its payments or refunds, and wait a while for their outcome.

        A request without one stays in the outbox.
        """
        if not self._providers:
            return
        task = asyncio.get_running_loop().create_task(
            self._outbox.settle_order(order_id, subject_id),
            context=_beside_the_call(),
        )
        self._tasks.add(task)  # the loop keeps no reference
        task.add_done_callback(self._ended)
        await asyncio.wait((task,), timeout=within_s)

    async def settle_soon(self, order_id: UUID) -> None:
        """Do as `settle_order`, for calls with the usual deadline: they do not wait for a slow provider."""
        await self.settle_order(order_id, within_s=SOON_S)

    def _ended(self, task: "asyncio.Task[str]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("requests of an order cannot be sent; a worker repeats them", exc_info=error)

    async def take_event(self, provider: str, body: bytes, signature: str) -> None:
        """Store a provider's notice, once; a worker then reads its payment. Raises WebhookInvalid unless it is authentic."""
        try:
            self.tally.events[await self._taken(provider, body, signature)] += 1
        except WebhookInvalid:
            self.tally.events[EventOutcome.REFUSED] += 1
            raise

    async def _taken(self, provider: str, body: bytes, signature: str) -> EventOutcome:
        """Store a notice. No statement is sent before its signature is verified, so a forged one costs no connection."""
        found = self._providers.get(provider)
        if found is None:
            raise WebhookInvalid("the shop has no such provider")
        try:
            event = found.event(body, signature)
        except UnusableEventError as error:
            raise WebhookInvalid(str(error)) from None
        if not event.is_ours or not event.provider_ref:
            return EventOutcome.NOT_OURS
        happened_at = min(event.created_at, datetime.now(UTC))
        if not await provider_events.insert(self._pool, provider, event.event_id, event.kind, event.provider_ref, happened_at):
            return EventOutcome.REPEATED
        self.keeper.wake()
        return EventOutcome.STORED


def _beside_the_call() -> Context:
    """Return a context without the deadline of the call, after which the answer still counts, but with its trace."""
    context, work = Context(), current_work.get()
    if work is not None and work.traced:
        context.run(current_work.set, work)
    return context


def _refusal(payment: Payment) -> Exception:
    """Return why a payment has not come to be at the provider."""
    if payment.state.is_live:
        return PaymentProviderUnavailable()
    if payment.failure in AMOUNT_CODES:
        return PaymentAmount(payment.amount_minor, payment.currency_code, payment.failure)
    return WrongPaymentState("the provider has refused the payment: {failure}", failure=payment.failure)
