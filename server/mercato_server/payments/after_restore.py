"""The way of a restored shop back to its payment provider: it books what the provider tells, and gives forgotten payments back."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.provider_facts import PaymentFact, ProviderRefundState, ProviderState
from mercato_server.domain.reconciliation import Discrepancy, Kind
from mercato_server.payments.booking import book
from mercato_server.payments.provider import PaymentProvider
from mercato_server.store import accepted_differences
from mercato_server.store import reconciliation as store
from mercato_server.store.told_facts import Told

BOOKABLE = frozenset(
    {
        Kind.UNLINKED,
        Kind.STATE_DIFFERS,
        Kind.CAPTURED_DIFFERS,
        Kind.REFUND_MISSING_IN_SHOP,
        Kind.REFUND_STATE_DIFFERS,
        Kind.DISPUTE_MISSING_IN_SHOP,
        Kind.DISPUTE_AMOUNT_DIFFERS,
        Kind.DISPUTE_STATE_DIFFERS,
    }
)
"""Differences that end when the shop books what the provider tells of a payment that both have."""
BATCH = 100


class NotRefundableError(Exception):
    """The money of a difference cannot be given back by the command; the message says why."""


async def catch_up(pool: "Pool", provider: PaymentProvider, found: Sequence[Discrepancy]) -> None:
    """Read the payments of differences that are bookable, and book what is told, as a worker does after a notice; raises ProviderError."""
    refs = {each.provider_ref: each.payment_id for each in found if each.difference.kind in BOOKABLE and each.order_id and each.payment_id}
    told: list[Told] = []
    for ref, payment_id in refs.items():
        fact = await provider.read(ref)
        if fact.payment_id == payment_id:
            told.append(Told(provider=provider.name, payment_id=payment_id, fact=fact))
        if len(told) == BATCH:
            await book(pool, told)
            told = []
    await book(pool, told)


async def give_back(pool: "Pool", provider: PaymentProvider, found: Discrepancy) -> None:
    """Refund or cancel a payment that the provider has and the shop does not; raises NotRefundableError or ProviderError.

    The key is made of the payment, so a command that is repeated gives nothing back twice.
    """
    ref = found.provider_ref
    if found.difference.kind not in {Kind.MISSING_IN_SHOP, Kind.REFERENCE_DIFFERS} or await store.find(pool, provider.name, [ref], []):
        raise NotRefundableError("the shop has this payment: refund it by CreateRefund once payments go on, or accept the difference")
    fact = await provider.read(ref)
    if fact.state is ProviderState.PROCESSING:
        raise NotRefundableError("its money is under way: wait until it has come or failed")
    await accepted_differences.record_refund(pool, found)
    if fact.state in {ProviderState.OPEN, ProviderState.AUTHORIZED}:
        await provider.cancel(f"{_id('cancel', ref)}:1", ref)
    elif left_minor := _left_minor(fact):
        refund_id = _id("refund", ref)
        await provider.refund(f"{refund_id}:{len(fact.refunds) + 1}", ref, refund_id, left_minor)


def _left_minor(fact: PaymentFact) -> int:
    """Return the captured money that was not given back."""
    return fact.captured_minor - sum(each.amount_minor for each in fact.refunds if each.state is not ProviderRefundState.FAILED)


def _id(change: str, ref: str) -> UUID:
    """Return the id of a change of a payment, always the same one."""
    return UUID(bytes=hashlib.sha256(f"{change} {ref}".encode()).digest()[:16], version=5)
