"""The comparison of the shop's payments with their provider's. It is pure; all amounts are in minor units."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from mercato_server.domain.payments import PaymentState, RefundState
from mercato_server.domain.provider_facts import DisputeFact, PaymentFact, ProviderRefundState, ProviderState, RefundFact

SETTLED_WITHIN = timedelta(hours=1)
"""Requests, notices and payments without a reference that are older are discrepancies, and no longer in flight."""

PAYMENT_STATES = {
    ProviderState.OPEN: (PaymentState.PENDING,),
    ProviderState.PROCESSING: (PaymentState.PROCESSING,),
    ProviderState.AUTHORIZED: (PaymentState.AUTHORIZED,),
    ProviderState.CAPTURED: (PaymentState.CAPTURED,),
    ProviderState.DEAD: (PaymentState.CANCELLED, PaymentState.EXPIRED),
}
"""The shop's states of a payment that agree with the provider's."""
REFUND_STATES = {
    ProviderRefundState.PENDING: RefundState.PENDING,
    ProviderRefundState.SUCCEEDED: RefundState.SUCCEEDED,
    ProviderRefundState.FAILED: RefundState.FAILED,
}


class Kind(StrEnum):
    """A way in which the provider and the shop disagree. The values are stable."""

    MISSING_IN_SHOP = "missing_in_shop"
    """The provider has a payment that names one of the shop's, and the shop has none. One that keeps no money is none."""
    MISSING_AT_PROVIDER = "missing_at_provider"
    UNLINKED = "unlinked"
    """The provider has the payment, and the shop does not know its reference."""
    REFERENCE_DIFFERS = "reference_differs"
    """Two payments at the provider for one of the shop, or one that names another payment than the shop's."""
    AMOUNT_DIFFERS = "amount_differs"
    """The amount or the currency."""
    STATE_DIFFERS = "state_differs"
    CAPTURED_DIFFERS = "captured_differs"
    REFUND_MISSING_IN_SHOP = "refund_missing_in_shop"
    REFUND_MISSING_AT_PROVIDER = "refund_missing_at_provider"
    REFUND_AMOUNT_DIFFERS = "refund_amount_differs"
    REFUND_STATE_DIFFERS = "refund_state_differs"
    DISPUTE_MISSING_IN_SHOP = "dispute_missing_in_shop"
    DISPUTE_MISSING_AT_PROVIDER = "dispute_missing_at_provider"
    DISPUTE_AMOUNT_DIFFERS = "dispute_amount_differs"
    """The disputed amount, or what the provider has withdrawn."""
    DISPUTE_STATE_DIFFERS = "dispute_state_differs"
    CANCELLED_KEEPS_MONEY = "cancelled_keeps_money"
    """An order is cancelled, and money of its payments is kept."""
    PAID_TWICE = "paid_twice"
    """Money of two payments of an order is kept."""
    UNSETTLED = "unsettled"
    """A request or a notice has waited for over an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopRefund:
    """A refund as the shop has it."""

    id: UUID
    provider_ref: str | None
    state: RefundState
    amount_minor: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopDispute:
    """A dispute as the shop has it."""

    id: UUID
    provider_ref: str
    state: str
    amount_minor: int
    withdrawn_minor: int
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class ShopPayment:
    """A payment as the shop has it."""

    id: UUID
    order_id: UUID
    provider_ref: str | None
    state: PaymentState
    currency_code: str
    amount_minor: int
    captured_minor: int
    created_at: datetime
    waiting_since: datetime | None = None
    """Since when its oldest open request, or a notice of it, waits."""
    refunds: list[ShopRefund] = field(default_factory=list)
    disputes: list[ShopDispute] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A disagreement about a payment, or about one of its refunds or disputes."""

    kind: Kind
    shop: str = ""
    """The value of the shop; empty if it has none."""
    provider: str = ""
    part_id: UUID | None = None
    """The shop's id of the refund or dispute."""
    part_ref: str = ""
    """The provider's id of the refund or dispute."""
    since: datetime | None = None
    """When it may have come to be: the youngest moment that is known of the object."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A difference, with the payment and the order that it is about."""

    difference: Difference
    payment_id: UUID | None = None
    order_id: UUID | None = None
    provider_ref: str = ""

    @property
    def id(self) -> str:
        """A digest of all ids and values: one that has been accepted is another one once it has another amount or state."""
        of = self.difference
        parts = (of.kind, self.payment_id, self.provider_ref, of.part_id, of.part_ref, of.shop, of.provider)
        digest = hashlib.sha256("\n".join(str(part or "") for part in parts).encode()).digest()
        return base64.b32encode(digest[:10]).decode().lower()


@dataclass(frozen=True, slots=True)
class Horizon:
    """The moments from which on a disagreement is in flight."""

    fresh_from: datetime
    """For objects, and for movements of money."""
    waiting_from: datetime
    """For requests, notices, and payments without a reference."""
    is_paused: bool = False
    """Whether requests wait for the end of the comparison, after a restore."""

    @classmethod
    def at(cls, began_at: datetime, grace: timedelta, *, is_paused: bool = False) -> "Horizon":
        """Return the horizon of a run."""
        return cls(began_at - grace, began_at - SETTLED_WITHIN, is_paused)

    def is_fresh(self, difference: Difference) -> bool:
        """Return whether the object of a disagreement is so young that news of it may be under way."""
        return difference.since is not None and difference.since >= self.fresh_from

    def is_in_flight(self, difference: Difference, shop: ShopPayment | None) -> bool:
        """Return whether a disagreement may end by itself."""
        if self.is_fresh(difference):
            return True
        if shop is None:
            return False
        if self.is_paused:  # a request that waits explains only what the provider does not have yet
            is_unsent = shop.provider_ref is None and difference.kind is Kind.MISSING_AT_PROVIDER
            return shop.waiting_since is not None and (is_unsent or difference.kind is Kind.REFUND_MISSING_AT_PROVIDER)
        if shop.provider_ref is None and shop.created_at > self.waiting_from:
            return True
        return shop.waiting_since is not None and shop.waiting_since > self.waiting_from


def differences(shop: ShopPayment | None, fact: PaymentFact | None) -> Iterator[Difference]:
    """Yield all disagreements about a payment with its refunds and disputes; at least one side must have it."""
    if fact is None:
        if shop is not None and (shop.provider_ref is not None or shop.state.is_live):
            yield Difference(kind=Kind.MISSING_AT_PROVIDER, shop=_shop_payment(shop), since=shop.created_at)
        return
    found = list(payment_differences(shop, fact))
    if (shop is None or shop.provider_ref not in {None, fact.provider_ref}) and _is_given_back(fact):
        return
    yield from found
    if shop is None or (found and found[0].kind in {Kind.UNLINKED, Kind.REFERENCE_DIFFERS}) or shop.provider_ref != fact.provider_ref:
        return
    yield from _refunds(shop.refunds, fact)
    yield from _disputes(shop.disputes, fact)


def _is_given_back(fact: PaymentFact) -> bool:
    """Return whether the shop has no money of a payment, and will get none."""
    refunded_minor = sum(each.amount_minor for each in fact.refunds if each.state is not ProviderRefundState.FAILED)
    return fact.state is ProviderState.DEAD or (fact.state is ProviderState.CAPTURED and refunded_minor >= fact.captured_minor)


def payment_differences(shop: ShopPayment | None, fact: PaymentFact) -> Iterator[Difference]:
    """Yield the disagreements about a payment alone."""
    since = fact.moved_at or fact.created_at
    if shop is None:
        yield Difference(kind=Kind.MISSING_IN_SHOP, provider=_provider_payment(fact), since=since)
        return
    if shop.provider_ref is None and (shop.state.is_live or fact.state is not ProviderState.DEAD):
        yield Difference(kind=Kind.UNLINKED, shop=_shop_payment(shop), provider=_provider_payment(fact), since=fact.created_at)
        return
    if shop.provider_ref != fact.provider_ref:  # a payment that was proven dead may have been replaced by another
        if fact.state is not ProviderState.DEAD:
            yield Difference(kind=Kind.REFERENCE_DIFFERS, shop=shop.provider_ref or "", provider=fact.provider_ref, since=since)
        return
    if fact.payment_id != shop.id:
        yield Difference(kind=Kind.REFERENCE_DIFFERS, shop=str(shop.id), provider=str(fact.payment_id or ""), since=since)
        return
    if (shop.amount_minor, shop.currency_code) != (fact.amount_minor, fact.currency_code):
        amounts = _amount(shop.amount_minor, shop.currency_code), _amount(fact.amount_minor, fact.currency_code)
        yield Difference(kind=Kind.AMOUNT_DIFFERS, shop=amounts[0], provider=amounts[1], since=since)
    # Money of a dead payment comes back; the payment stays dead while another one of its order is live.
    came_late = fact.state is ProviderState.CAPTURED and not shop.state.is_live and shop.captured_minor > 0
    if shop.state not in PAYMENT_STATES[fact.state] and not came_late:
        yield Difference(kind=Kind.STATE_DIFFERS, shop=_shop_payment(shop), provider=_provider_payment(fact), since=since)
    elif shop.captured_minor != fact.captured_minor:
        amounts = _amount(shop.captured_minor, shop.currency_code), _amount(fact.captured_minor, fact.currency_code)
        yield Difference(kind=Kind.CAPTURED_DIFFERS, shop=amounts[0], provider=amounts[1], since=since)


def refund_of(known: Sequence[ShopRefund], fact: RefundFact) -> ShopRefund | None:
    """Return the refund of the shop that a fact is about."""
    return next((each for each in known if fact.provider_ref == each.provider_ref or (fact.refund_id == each.id)), None)


def refund_differences(shop: ShopRefund | None, fact: RefundFact) -> Iterator[Difference]:
    """Yield the disagreements about a refund of the provider."""
    told = f"{fact.state.name.lower()} {fact.amount_minor}"
    if shop is None:
        yield Difference(kind=Kind.REFUND_MISSING_IN_SHOP, provider=told, part_ref=fact.provider_ref, since=fact.created_at)
        return
    of_this = partial(Difference, part_id=shop.id, part_ref=fact.provider_ref, since=fact.created_at)
    if shop.state is not REFUND_STATES[fact.state]:
        yield of_this(kind=Kind.REFUND_STATE_DIFFERS, shop=shop.state.value, provider=fact.state.name.lower())
    if shop.amount_minor != fact.amount_minor:
        yield of_this(kind=Kind.REFUND_AMOUNT_DIFFERS, shop=str(shop.amount_minor), provider=str(fact.amount_minor))


def _refunds(known: Sequence[ShopRefund], fact: PaymentFact) -> Iterator[Difference]:
    found = set()
    for told in fact.refunds:
        shop = refund_of(known, told)
        found.add(shop.id if shop else None)
        yield from refund_differences(shop, told)
    for each in known:
        never_made = each.state is RefundState.FAILED and each.provider_ref is None
        if each.id not in found and not never_made:
            yield Difference(
                kind=Kind.REFUND_MISSING_AT_PROVIDER,
                shop=f"{each.state.value} {each.amount_minor}",
                part_id=each.id,
                part_ref=each.provider_ref or "",
                since=each.created_at,
            )


def dispute_of(known: Sequence[ShopDispute], fact: DisputeFact) -> ShopDispute | None:
    """Return the dispute of the shop that a fact is about."""
    return next((each for each in known if each.provider_ref == fact.provider_ref), None)


def dispute_differences(shop: ShopDispute | None, fact: DisputeFact) -> Iterator[Difference]:
    """Yield the disagreements about a dispute of the provider."""
    state = fact.state.name.lower()
    if shop is None:
        told = f"{state} {fact.amount_minor}"
        yield Difference(kind=Kind.DISPUTE_MISSING_IN_SHOP, provider=told, part_ref=fact.provider_ref, since=fact.created_at)
        return
    of_this = partial(Difference, part_id=shop.id, part_ref=fact.provider_ref, since=fact.created_at)
    if shop.state != state:
        yield of_this(kind=Kind.DISPUTE_STATE_DIFFERS, shop=shop.state, provider=state)
    amounts = (shop.amount_minor, shop.withdrawn_minor), (fact.amount_minor, fact.withdrawn_minor)
    if amounts[0] != amounts[1]:
        texts = ["{} withdrawn {}".format(*each) for each in amounts]
        yield of_this(kind=Kind.DISPUTE_AMOUNT_DIFFERS, shop=texts[0], provider=texts[1])


def _disputes(known: Sequence[ShopDispute], fact: PaymentFact) -> Iterator[Difference]:
    for told in fact.disputes:
        yield from dispute_differences(dispute_of(known, told), told)
    refs = {told.provider_ref for told in fact.disputes}
    for each in known:
        if each.provider_ref not in refs:
            yield Difference(
                kind=Kind.DISPUTE_MISSING_AT_PROVIDER,
                shop=f"{each.state} {each.amount_minor}",
                part_id=each.id,
                part_ref=each.provider_ref,
                since=each.created_at,
            )


def _amount(amount_minor: int, currency_code: str) -> str:
    return f"{amount_minor} {currency_code}"


def _shop_payment(shop: ShopPayment) -> str:
    return f"{shop.state.value}, captured {shop.captured_minor} of {_amount(shop.amount_minor, shop.currency_code)}"


def _provider_payment(fact: PaymentFact) -> str:
    return f"{fact.state.name.lower()}, captured {fact.captured_minor} of {_amount(fact.amount_minor, fact.currency_code)}"
