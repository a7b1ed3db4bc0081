"""Sends the requests of the outbox and books their answers. Nothing here holds a connection while a provider is asked."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from mercato_server import failpoints
from mercato_server.database.pool import Pool, refusal
from mercato_server.domain import backoff
from mercato_server.domain.payments import PaymentState, ProviderRequest, RequestKind
from mercato_server.domain.provider_facts import PaymentFact, ProviderState
from mercato_server.payments.booking import book
from mercato_server.payments.provider import Certainty, CreatedPayment, PaymentProvider, ProviderError
from mercato_server.payments.tally import RequestOutcome, Tally
from mercato_server.store import provider_requests
from mercato_server.store.provider_requests import LeasedRequest
from mercato_server.store.told_facts import Told
from mercato_server.tracing.steps import later

if TYPE_CHECKING:
    from mercato_server.tracing.spans import Tracer

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
PAUSED_S = 60.0
"""Pause before a request is looked at again while payments are paused after a restore."""
BATCH = 100
CONCURRENT = 8
"""Requests of a worker under way at once, besides those of waiting callers."""
TURN_S = 5.0
"""Longest wait of a leased request for a place."""
REPAIRED_S = 3600.0
"""Time that a provider gets to complete a refund that it has answered with a 500. A new key before could pay a part of a payment twice."""
KEY_LIFETIME_S = 23 * 3600.0
"""The provider keeps results for a day at least. After that a request is never repeated blindly."""


class Outbox:
    """The requests that the shop owes to providers."""

    def __init__(self, pool: "Pool", providers: Mapping[str, PaymentProvider], tally: Tally, tracer: "Tracer | None" = None) -> None:
        self._pool = pool
        self._providers = providers
        self._tally = tally
        self._tracer = tracer
        self._places = asyncio.Semaphore(CONCURRENT)

    async def settle_due(self) -> int:
        """Send requests whose time has come, in one batch; return their number. Their answers are booked in one transaction."""
        leased = await provider_requests.lease_due(self._pool, BATCH)
        if leased:
            found = await asyncio.gather(*(self._in_turn(each) for each in leased))
            await self._book([each for each in found if each])
        return len(leased)

    async def settle_order(self, order_id: UUID, subject_id: UUID | None = None) -> str:
        """Send the open requests of an order now, for a caller that waits; return the secret of a payment that was created, or nothing.

        With the id of a payment or refund, only the requests that its caller waits for. One without an answer stays in the outbox.
        """
        secret = ""
        for leased in await provider_requests.lease_of_order(self._pool, order_id, subject_id):
            told, found = await self._send(leased)
            await self._book([told] if told else [])
            secret = found or secret
        return secret

    async def _in_turn(self, leased: LeasedRequest) -> Told | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._places:
            if loop.time() - began > TURN_S:
                return None  # its lease ends before an answer could come
            try:
                with later(self._tracer, f"payment {leased.request.kind}", leased.traceparent, leased.tries - 1):
                    told, _ = await self._send(leased)
            except Exception as error:  # one request must not keep the answers of others from being booked
                if refusal(error) is not None:
                    raise
                log.exception("a payment request failed unexpectedly", request=str(leased.request.id))
                await self._defer(leased, "broken")
                return None
            return told

    async def _book(self, told: Sequence[Told]) -> None:
        failpoints.hit("payments: answered")
        await book(self._pool, told)

    async def _send(self, leased: LeasedRequest) -> tuple[Told | None, str]:
        """Send a request; return what the provider has told, None if that is not known yet, and the secret of a new payment."""
        began = time.perf_counter()
        told, secret = await self._answer(leased)
        ended = RequestOutcome.DEFERRED if told is None else RequestOutcome.REFUSED if told.refusal else RequestOutcome.SUCCEEDED
        self._tally.requests[leased.request.kind, ended] += 1
        log.info("payment request", request=str(leased.request.id), kind=leased.request.kind.value, outcome=ended.value,
                 tries=leased.tries, ms=round((time.perf_counter() - began) * 1000, 1))  # fmt: skip
        return told, secret

    async def _answer(self, leased: LeasedRequest) -> tuple[Told | None, str]:
        provider = self._providers.get(leased.request.provider)
        if provider is None:
            await self._defer(leased, "no_provider")
            return None, ""
        if leased.is_paused:
            return await self._look(provider, leased), ""
        failpoints.hit("payments: sending")
        try:
            if leased.age_s > KEY_LIFETIME_S:
                return await self._find_out_or_renew(provider, leased), ""
            return await _ask(provider, leased)
        except ProviderError as error:
            return await self._failed(leased, error), ""

    async def _look(self, provider: PaymentProvider, leased: LeasedRequest) -> Told | None:
        """Look for the effect of a request while payments are paused. It is sent once they go on."""
        code = "paused"
        try:
            if told := await self._find_out(provider, leased):
                return told
        except ProviderError as error:
            code = error.code
        await self._defer(leased, code, PAUSED_S)
        return None

    async def _failed(self, leased: LeasedRequest, error: ProviderError) -> Told | None:
        log.warning("a payment request failed", request=str(leased.request.id), kind=leased.request.kind.value, code=error.code,
                    certainty=error.certainty.value, tries=leased.tries)  # fmt: skip
        provider = self._providers[leased.request.provider]
        try:
            if error.certainty is Certainty.INVALID and leased.tries > 1:  # it proves nothing about an earlier try
                return await self._find_out(provider, leased) or await self._refused(leased, error.code)
            if error.certainty is Certainty.UNKNOWN and error.is_stored:
                if leased.request.kind is not RequestKind.REFUND or leased.age_s > REPAIRED_S:
                    return await self._find_out_or_renew(provider, leased)
                if told := await self._find_out(provider, leased):
                    return told
        except ProviderError as unread:
            error = unread
        if error.certainty in {Certainty.REFUSED, Certainty.INVALID}:
            return await self._refused(leased, error.code)
        await self._defer(leased, error.code, error.retry_after_s)
        return None

    async def _refused(self, leased: LeasedRequest, code: str) -> Told | None:
        """Return a refusal. That of a capture or a cancellation is no surprise if it was done before: the payment itself tells."""
        request, provider = leased.request, self._providers[leased.request.provider]
        if request.kind in {RequestKind.CAPTURE, RequestKind.CANCEL} and leased.provider_ref:
            try:
                fact = await provider.read(leased.provider_ref)
            except ProviderError as error:
                await self._defer(leased, error.code)
                return None
            if fact.state in {ProviderState.CAPTURED, ProviderState.DEAD, ProviderState.PROCESSING}:
                return _told(request, fact)
            if request.kind is RequestKind.CANCEL:  # money may still come, so it must be cancelled
                await provider_requests.next_attempt(self._pool, request.id, leased.attempt)
                await self._defer(leased, code)
                return None
        return Told(provider=request.provider, payment_id=request.payment_id, refusal=code, request=request)

    async def _defer(self, leased: LeasedRequest, code: str, pause_s: float | None = None) -> None:
        pause_s = pause_s or backoff.pause_s(FIRST_PAUSE_S, leased.tries, LONGEST_PAUSE_S)
        await provider_requests.defer(self._pool, leased.request.id, pause_s, code)

    async def _find_out(self, provider: PaymentProvider, leased: LeasedRequest) -> Told | None:
        """Look at the provider for the effect of a request; raises ProviderError."""
        request = leased.request
        if request.kind is RequestKind.CREATE:
            if fact := await provider.find(request.payment_id, leased.payment_created_at):
                return _told(request, fact)
        elif leased.provider_ref:
            fact = await provider.read(leased.provider_ref)
            refunded = any(refund.refund_id == request.refund_id for refund in fact.refunds) if request.refund_id else False
            moved = fact.state in {ProviderState.CAPTURED, ProviderState.DEAD} and request.kind is not RequestKind.REFUND
            if refunded or moved:
                return _told(request, fact)
        return None

    async def _find_out_or_renew(self, provider: PaymentProvider, leased: LeasedRequest) -> Told | None:
        """Look for the effect of a request whose key is of no more use; one without an effect gets a new key."""
        told = await self._find_out(provider, leased)
        if told is None:
            await provider_requests.next_attempt(self._pool, leased.request.id, leased.attempt)
        return told


async def _ask(provider: PaymentProvider, leased: LeasedRequest) -> tuple[Told, str]:
    """Send a request under its key; raises ProviderError."""
    request, ref = leased.request, leased.provider_ref or ""
    match request.kind:
        case RequestKind.CREATE:
            made: CreatedPayment = await provider.create(
                leased.key,
                request.payment_id,
                leased.order_id,
                request.amount_minor,
                leased.currency_code,
                capture_later=leased.capture_later,
            )
            return _told(request, made.fact), made.client_secret
        case RequestKind.CAPTURE:
            return _told(request, await provider.capture(leased.key, ref, request.amount_minor)), ""
        case RequestKind.CANCEL:
            return _told(request, await _cancel(provider, leased, ref)), ""
        case RequestKind.REFUND:
            refund = await provider.refund(leased.key, ref, request.refund_id or request.id, request.amount_minor)
            return Told(provider=request.provider, payment_id=request.payment_id, refund=refund, request=request), ""


async def _cancel(provider: PaymentProvider, leased: LeasedRequest, ref: str) -> PaymentFact:
    """Cancel a payment, unless its buyer has authorised it since the shop has decided so: the rules then decide anew."""
    if leased.payment_state is PaymentState.PENDING:
        fact = await provider.read(ref)
        if fact.state is not ProviderState.OPEN:
            return fact
    return await provider.cancel(leased.key, ref)


def _told(request: ProviderRequest, fact: PaymentFact) -> Told:
    return Told(provider=request.provider, payment_id=request.payment_id, fact=fact, request=request)
