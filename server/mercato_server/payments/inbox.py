"""Reads payments of which a provider has, or may have, news, and books what it finds."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import structlog

from mercato_server import failpoints
from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.domain.provider_facts import PaymentFact
from mercato_server.payments.booking import book
from mercato_server.payments.provider import Certainty, PaymentProvider, ProviderError
from mercato_server.store import provider_events, told_facts
from mercato_server.store.provider_events import StoredEvent
from mercato_server.store.told_facts import Told

log = structlog.get_logger(__name__)

BATCH = 100
CONCURRENT = 8
"""Reads of a worker under way at once."""
BROKEN = "broken"
UNREADABLE = (BROKEN, "unusable_answer", "answer_too_large")
"""Codes of reads that fail because of the payment, not of the provider."""
TRIES_MAX = 20
"""Such reads of an event's payment, over about an hour, before the event is quarantined."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

Ref = tuple[str, str]
"""A provider, and its id of a payment."""


class Inbox:
    """The notices of providers, and the payments to read without one."""

    def __init__(self, pool: "Pool", providers: Mapping[str, PaymentProvider]) -> None:
        self._pool = pool
        self._providers = providers
        self._places = asyncio.Semaphore(CONCURRENT)

    async def apply_events(self) -> int:
        """Read the payments of new events, once each, and book what they tell in one transaction; return the number of events."""
        events = await provider_events.lease(self._pool, BATCH)
        if not events:
            return 0
        by_ref: dict[Ref, list[StoredEvent]] = defaultdict(list)
        for event in events:
            by_ref[event.provider, event.provider_ref].append(event)
        found = await self._read_all(list(by_ref))
        facts = {ref: fact for ref, fact in found.items() if isinstance(fact, PaymentFact)}
        for ref, failure in found.items():
            if isinstance(failure, ProviderError):
                await self._put_off(by_ref[ref], failure)
        failpoints.hit("payments: read")
        orders = await told_facts.orders_of(self._pool, [fact.payment_id for fact in facts.values() if fact.payment_id])
        told = []
        for ref, fact in facts.items():
            ids = [event.id for event in by_ref[ref]]
            if fact.payment_id in orders:
                told.append(Told(provider=ref[0], payment_id=fact.payment_id, fact=fact, event_ids=ids))
            elif fact.payment_id is None:  # of another program at the same account
                await provider_events.set_applied(self._pool, ids)
            else:
                await provider_events.quarantine(self._pool, ids, f"the shop has no payment {fact.payment_id}")
        await book(self._pool, told)
        return len(events)

    async def read_due(self) -> int:
        """Read payments whose notice may be lost, and book what they tell in one transaction; return their number."""
        due = {(each.provider, each.provider_ref): each.payment_id for each in await told_facts.lease_reads(self._pool, BATCH)}
        found = await self._read_all(list(due))
        told = [Told(provider=ref[0], payment_id=due[ref], fact=fact) for ref, fact in found.items() if isinstance(fact, PaymentFact)]
        await book(self._pool, told)
        return len(due)

    async def _read_all(self, refs: list[Ref]) -> dict[Ref, PaymentFact | ProviderError]:
        found = await asyncio.gather(*(self._read(ref) for ref in refs))
        return dict(zip(refs, found, strict=True))

    async def _read(self, ref: Ref) -> PaymentFact | ProviderError:
        provider = self._providers.get(ref[0])
        if provider is None:
            return ProviderError(Certainty.UNSENT, "no_provider", "")
        async with self._places:
            try:
                return await provider.read(ref[1])
            except ProviderError as error:
                log.warning("a payment cannot be read", provider_ref=ref[1], code=error.code)
                return error
            except Exception:  # one payment must not keep the others from being read
                log.exception("a payment cannot be read", provider_ref=ref[1])
                return ProviderError(Certainty.UNKNOWN, BROKEN, "")

    async def _put_off(self, events: list[StoredEvent], failure: ProviderError) -> None:
        tries = max(event.tries for event in events)
        ids = [event.id for event in events]
        if failure.certainty is Certainty.INVALID or (failure.code in UNREADABLE and tries >= TRIES_MAX):
            log.error("an event of a payment provider is quarantined", provider_ref=events[0].provider_ref, code=failure.code)
            await provider_events.quarantine(self._pool, ids, f"the payment cannot be read: {failure.code}")
        else:
            await provider_events.defer(self._pool, ids, backoff.pause_s(FIRST_PAUSE_S, tries, LONGEST_PAUSE_S), failure.code)
