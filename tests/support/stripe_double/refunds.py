"""The refunds of an account: https://docs.stripe.com/refunds and https://docs.stripe.com/api/refunds."""

import secrets
from collections.abc import Iterable, Mapping

from support.stripe_double import currencies, methods
from support.stripe_double.account import Account
from support.stripe_double.objects import Charge, Refund
from support.stripe_double.refusals import Refusal
from support.stripe_double.states import WITHDRAWN, move

LEFT = frozenset(("pending", "requires_action", "succeeded"))
"""Refunds that count against the charge; by the double, `amount_refunded` is their sum."""


def of(account: Account, charge: str) -> Iterable[Refund]:
    """Return all refunds of a charge."""
    return [account.refunds[each] for each in account.charges[charge].refunds]


def amount_refunded(account: Account, charge: str) -> int:
    """Return what the refunds of a charge have taken, or will."""
    return sum(each.amount for each in of(account, charge) if each.status in LEFT)


def create(account: Account, charge: Charge, amount: int | None, reason: str | None, metadata: Mapping[str, str]) -> Refund:
    """Refund captured money.

    Refunds never exceed what was captured: it is an error "to refund more money than is left on a charge" (stripe-python 16.1.0, `create`).
    """
    if not charge.captured:
        raise Refusal(f"Charge {charge.id} has no captured money to refund.", code="charge_not_refundable", intent=charge.intent)
    _check_undisputed(account, charge)
    left = charge.amount_captured - amount_refunded(account, charge.id)
    if left == 0:
        raise Refusal(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded", intent=charge.intent)
    value = left if amount is None else amount
    currencies.check_sendable(value, charge.currency, "amount")
    if value > left:
        raise Refusal(f"Refund amount ({value}) is greater than unrefunded amount on charge ({left})", param="amount", intent=charge.intent)
    refund = Refund(
        f"re_{secrets.token_hex(12)}",
        charge.id,
        charge.intent,
        value,
        charge.currency,
        account.now(),
        status=methods.find(charge.method).refund,
        reason=reason,
        metadata=dict(metadata),
    )
    account.refunds[refund.id] = refund
    charge.refunds.append(refund.id)
    if refund.status != "requires_action":
        _pay(account, refund)
    account.emit("refund.created", refund)
    if refund.status == "failed":
        account.emit("refund.failed", refund)
    else:
        account.emit("charge.refunded", charge)
    return refund


def _check_undisputed(account: Account, charge: Charge) -> None:
    """Refuse a charge whose dispute is open or lost; an inquiry may be refunded (https://docs.stripe.com/disputes; by the design)."""
    if charge.dispute and account.disputes[charge.dispute].status in WITHDRAWN:
        raise Refusal(f"Charge {charge.id} has been charged back.", code="charge_disputed", intent=charge.intent)


def _pay(account: Account, refund: Refund) -> None:
    """Take a new refund from the balance; with too little of it, "cards wait and other methods fail" (by the design)."""
    if account.balance(refund.currency) >= refund.amount:
        _book(account, refund)
        refund.pending_reason = "processing" if refund.status == "pending" else None
    elif methods.find(account.charges[refund.charge].method).is_card:
        refund.status, refund.pending_reason = "pending", "insufficient_funds"
    else:
        refund.status, refund.failure_reason = "failed", "insufficient_funds"


def _book(account: Account, refund: Refund) -> None:
    refund.transaction = account.book("refund", refund.id, -refund.amount, refund.currency).id


def succeed(account: Account, refund: Refund) -> None:
    """Let a refund reach the buyer."""
    move(refund, "succeeded")
    refund.pending_reason = None
    if refund.transaction is None:
        _book(account, refund)
    _updated(account, refund)


def fail(account: Account, refund: Refund, reason: str) -> None:
    """Let a refund fail, also one that had succeeded; its money returns to the balance, and the charge can be refunded again."""
    move(refund, "failed")
    refund.pending_reason, refund.failure_reason = None, reason
    _return(account, refund)
    _updated(account, refund)
    account.emit("refund.failed", refund)


def cancel(account: Account, refund: Refund) -> None:
    """Cancel a refund that waits for the buyer: https://docs.stripe.com/api/refunds/cancel."""
    if refund.status != "requires_action":
        raise Refusal(f"You cannot cancel this refund because it has a status of {refund.status}.", intent=refund.intent)
    move(refund, "canceled")
    refund.failure_reason = "merchant_request"
    _updated(account, refund)


def _return(account: Account, refund: Refund) -> None:
    if refund.transaction:
        refund.failure_transaction = account.book("refund_failure", refund.id, refund.amount, refund.currency).id


def _updated(account: Account, refund: Refund) -> None:
    account.emit("refund.updated", refund)
    account.emit("charge.refund.updated", refund)


def fail_for_dispute(account: Account, charge: Charge) -> None:
    """Let the pending refunds of a charge fail when it is disputed (API reference, `failure_reason`)."""
    for refund in list(of(account, charge.id)):
        if refund.status == "pending":
            fail(account, refund, "charge_for_pending_refund_disputed")


def settle(account: Account) -> None:
    """Do what Stripe does later: pay the refunds that wait, and let those fail whose card is gone."""
    for refund in list(account.refunds.values()):
        method = methods.find(account.charges[refund.charge].method)
        if refund.status == "pending":
            if refund.transaction or account.balance(refund.currency) >= refund.amount:
                succeed(account, refund)
        elif refund.status == "succeeded" and method.refund_fails:
            fail(account, refund, method.refund_fails)
