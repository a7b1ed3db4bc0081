"""Compares a provider with the shop, both ways.

Pages of both sides only name suspects. Each suspect is then read anew at both, and again after a pause, so that a shop at work is not taken
for one that disagrees. Memory is bounded: 16 bytes for each id that was seen, and the suspects of one round.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.id_sets import IdSet
from mercato_server.domain.provider_facts import PaymentFact
from mercato_server.domain.reconciliation import (
    Discrepancy,
    Horizon,
    Kind,
    ShopDispute,
    ShopPayment,
    ShopRefund,
    differences,
    dispute_differences,
    dispute_of,
    payment_differences,
    refund_differences,
    refund_of,
)
from mercato_server.payments.provider import PaymentProvider, ProviderError
from mercato_server.store import accepted_differences
from mercato_server.store import reconciliation as store

SUSPECTS_MAX = 500
"""Suspects of a round."""
CONCURRENT = 4
"""Reads of suspects under way at once."""
UNSETTLED_MAX = 1_000
"""Waiting requests and notices that a run names."""
MISSING = "resource_missing"
"""The provider's code for a payment that it does not have."""

Part = TypeVar("Part", ShopRefund, ShopDispute)
Tell = Callable[[Discrepancy], None]
Judged = tuple[Discrepancy, bool]
"""A discrepancy, and whether it is in flight."""


@dataclass(slots=True)
class Tally:
    """The counts of a run."""

    payments: int = 0
    """Payments of the provider that name one of the shop's."""
    refunds: int = 0
    disputes: int = 0
    not_ours: int = 0
    """Payments of the provider that another program has made."""
    in_flight: int = 0
    """Disagreements that may end by themselves."""
    fresh: int = 0
    """Those of them that are about objects which are younger than the grace."""
    accepted: int = 0
    """Disagreements that an operator has accepted."""
    kinds: Counter[Kind] = field(default_factory=Counter)

    @property
    def discrepancies(self) -> int:
        """The discrepancies of all kinds."""
        return self.kinds.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a run treats a shop at work."""

    grace: timedelta = timedelta(minutes=5)
    """Objects that were made, and money that has moved, so shortly before the run may still be on their way."""
    pause_s: float = 2.0
    """Seconds before disagreements are looked at again."""
    is_paused: bool = False
    """Whether the shop sends no requests, because it was restored."""


async def reconcile(pool: "Pool", provider: PaymentProvider, since: datetime, until: datetime, tell: Tell, patience: Patience) -> Tally:
    """Compare what was made at `since` or later and before `until`, and tell each discrepancy when it is certain.

    It only reads, and holds no connection while it asks the provider. Raises ProviderError if the provider cannot be read, and the errors
    of the database; what was told before is certain even so.
    """
    return await _Run(pool, provider, (since, until), tell, patience).run()


class _Run:
    def __init__(self, pool: "Pool", provider: PaymentProvider, window: tuple[datetime, datetime], tell: Tell, patience: Patience) -> None:
        self._pool = pool
        self._provider = provider
        self._window = window
        self._tell = tell
        self._pause_s = patience.pause_s
        self._horizon = Horizon.at(datetime.now(UTC), patience.grace, is_paused=patience.is_paused)
        self._accepted: frozenset[str] = frozenset()
        self._seen = IdSet()
        """The payments, refunds and disputes of the shop that the provider's lists have."""
        self._refs: set[str] = set()
        self._ids: set[UUID] = set()
        self._judged: set[str | UUID] = set()
        """Suspects of earlier rounds, and orders that were told."""
        self._tally = Tally()

    async def run(self) -> Tally:
        self._accepted = await accepted_differences.ids(self._pool)
        await self._compare_payments()
        await self._compare_refunds()
        await self._compare_disputes()
        for statement in (store.LIST_PAYMENTS, store.LIST_REFUNDS, store.LIST_DISPUTES):
            await self._look_for_unseen(statement)
        await self._judge()
        waiting_from, is_paused = self._horizon.waiting_from, self._horizon.is_paused
        for found in await store.unsettled(self._pool, self._provider.name, waiting_from, UNSETTLED_MAX, notices_only=is_paused):
            self._count(found, in_flight=False)
        return self._tally

    # The provider's lists.

    async def _compare_payments(self) -> None:
        async for page in self._provider.payments(*self._window):
            ids = [fact.payment_id for fact in page if fact.payment_id]
            found = await store.find(self._pool, self._provider.name, [fact.provider_ref for fact in page], ids)
            for fact in page:
                shop = _shop_of(found, fact)
                if fact.payment_id is None and shop is None:
                    self._tally.not_ours += 1
                    continue
                self._tally.payments += 1
                if shop and shop.provider_ref in {None, fact.provider_ref}:
                    self._seen.add(shop.id)
                await self._suspect_if(payment_differences(shop, fact), fact.provider_ref)

    async def _compare_refunds(self) -> None:
        async for page in self._provider.refunds(*self._window):
            found = await store.refunds_at(self._pool, self._provider.name, [ref for ref, _ in page if ref])
            for ref, fact in page:
                if ref in found:
                    self._tally.refunds += 1
                    await self._suspect_if(refund_differences(self._mark(refund_of(found[ref], fact)), fact), ref)
                elif ref and fact.refund_id:
                    await self._suspect(ref)

    async def _compare_disputes(self) -> None:
        async for page in self._provider.disputes(*self._window):
            found = await store.disputes_at(self._pool, self._provider.name, [ref for ref, _ in page if ref])
            for ref, fact in page:
                if ref in found:
                    self._tally.disputes += 1
                    await self._suspect_if(dispute_differences(self._mark(dispute_of(found[ref], fact)), fact), ref)

    def _mark(self, part: Part | None) -> Part | None:
        if part is not None:
            self._seen.add(part.id)
        return part

    # The shop's own.

    async def _look_for_unseen(self, statement: str) -> None:
        """Suspect what the provider's lists did not have: it is missing there, or outside of the lists' time."""
        after = None
        while page := await store.page(self._pool, statement, self._provider.name, *self._window, after):
            after = page[-1].id
            for own in page:
                if own.id not in self._seen:
                    self._ids.add(own.payment_id)
                    await self._judge_if_many()
            if statement is store.LIST_PAYMENTS:
                for found in await store.kept(self._pool, [own.payment_id for own in page]):
                    if found.order_id not in self._judged and found.order_id:
                        self._judged.add(found.order_id)
                        self._count(found, in_flight=False)

    # Suspects.

    async def _suspect_if(self, found: Iterable[object], ref: str) -> None:
        if any(True for _ in found):
            await self._suspect(ref)

    async def _suspect(self, ref: str) -> None:
        if ref not in self._judged:
            self._refs.add(ref)
            await self._judge_if_many()

    async def _judge_if_many(self) -> None:
        if len(self._refs) + len(self._ids) >= SUSPECTS_MAX:
            await self._judge()

    async def _judge(self) -> None:
        """Read the suspects at both sides and tell what disagrees, twice with a pause between."""
        refs, ids = self._refs - self._judged, self._ids - self._judged
        self._judged |= refs | ids
        self._refs, self._ids = set(), set()
        for own in await store.find(self._pool, self._provider.name, [], list(ids)) if ids else []:
            if own.provider_ref:
                ids.discard(own.id)
                if own.provider_ref not in self._judged:
                    refs.add(own.provider_ref)
                    self._judged.add(own.provider_ref)
        if not refs and not ids:
            return
        found = await self._read(refs, ids)
        again = [key for key, judged in found.items() if any(not in_flight for _, in_flight in judged)]
        if again:
            await asyncio.sleep(self._pause_s)
            found |= await self._read({key for key in again if isinstance(key, str)}, {key for key in again if isinstance(key, UUID)})
        for judged in found.values():
            for discrepancy, in_flight in judged:
                self._count(discrepancy, in_flight=in_flight)

    async def _read(self, refs: set[str], ids: set[UUID]) -> dict[str | UUID, list[Judged]]:
        """Read payments at the provider, then in the shop, which is so never older; return the disagreements of each suspect."""
        facts = await self._facts(refs)
        named = [fact.payment_id for fact in facts.values() if fact and fact.payment_id]
        shop = await store.load(self._pool, self._provider.name, list(refs), [*ids, *named])
        by_id = {each.id: each for each in shop}
        by_ref = {each.provider_ref: each for each in shop}
        found: dict[str | UUID, list[Judged]] = {}
        for ref, fact in facts.items():
            own = by_ref.get(ref) or (by_id.get(fact.payment_id) if fact and fact.payment_id else None)
            is_ours = own is not None or (fact is not None and fact.payment_id is not None)
            found[ref] = self._disagreements(own, fact, ref) if is_ours else []
        for id_ in ids:
            own = by_id.get(id_)
            found[id_] = self._disagreements(own, None, "") if own and own.provider_ref is None else []
        return found

    def _disagreements(self, own: ShopPayment | None, fact: PaymentFact | None, ref: str) -> list[Judged]:
        payment_id = own.id if own else fact.payment_id if fact else None
        order_id = own.order_id if own else None
        return [(Discrepancy(each, payment_id, order_id, ref), self._horizon.is_in_flight(each, own)) for each in differences(own, fact)]

    async def _facts(self, refs: Iterable[str]) -> dict[str, PaymentFact | None]:
        waiting, found = iter(refs), dict[str, PaymentFact | None]()

        async def work() -> None:
            for ref in waiting:
                found[ref] = await self._fact(ref)

        tasks = [asyncio.create_task(work()) for _ in range(CONCURRENT)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return found

    async def _fact(self, ref: str) -> PaymentFact | None:
        try:
            return await self._provider.read(ref)
        except ProviderError as error:
            if error.code == MISSING:
                return None
            raise

    def _count(self, discrepancy: Discrepancy, *, in_flight: bool) -> None:
        if in_flight:
            self._tally.in_flight += 1
            self._tally.fresh += self._horizon.is_fresh(discrepancy.difference)
        elif discrepancy.id in self._accepted:
            self._tally.accepted += 1
        else:
            self._tally.kinds[discrepancy.difference.kind] += 1
            self._tell(discrepancy)


def _shop_of(payments: Sequence[ShopPayment], fact: PaymentFact) -> ShopPayment | None:
    """Return the payment with a fact's reference, or else that with its id."""
    by_id = None
    for each in payments:
        if each.provider_ref == fact.provider_ref:
            return each
        if each.id == fact.payment_id:
            by_id = each
    return by_id
