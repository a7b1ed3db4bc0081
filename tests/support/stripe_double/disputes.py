"""The disputes of an account: https://docs.stripe.com/disputes; tests open and move them, as the buyer's bank would."""

import secrets

from support.stripe_double import methods, refunds
from support.stripe_double.account import Account
from support.stripe_double.objects import Charge, Dispute
from support.stripe_double.states import INQUIRY, WITHDRAWN, Impossible, move

FEE = 1_500
"""Stripe's price of a dispute; by the double."""
CLOSED = frozenset(("won", "lost", "warning_closed", "prevented"))


def create(account: Account, charge: Charge, status: str, amount: int | None = None, reason: str = "fraudulent") -> Dispute:
    """Open a dispute of captured money, refunded or not: refunds and disputes together may exceed what was captured (by the design).

    An inquiry, and a dispute that was prevented, take nothing from the balance. By the double, a charge has one dispute.
    """
    value = charge.amount_captured if amount is None else amount
    if not charge.captured or charge.dispute or not 0 < value <= charge.amount_captured:
        raise Impossible(f"{charge.id} cannot be disputed over {value}")
    if status not in {"needs_response", "warning_needs_response", "prevented"}:
        raise Impossible(f"no dispute begins as {status}")
    dispute = Dispute(f"du_{secrets.token_hex(12)}", charge.id, charge.intent, value, charge.currency, account.now(), status, reason)
    account.disputes[dispute.id] = dispute
    charge.dispute = dispute.id
    account.emit("charge.dispute.created", dispute)
    if status in WITHDRAWN:
        _withdraw(account, dispute)
    return dispute


def _withdraw(account: Account, dispute: Dispute) -> None:
    dispute.transactions.append(account.book("adjustment", dispute.id, -dispute.amount, dispute.currency, FEE).id)
    account.emit("charge.dispute.funds_withdrawn", dispute)
    refunds.fail_for_dispute(account, account.charges[dispute.charge])


def advance(account: Account, dispute: Dispute, status: str, reinstated: int | None = None) -> None:
    """Move a dispute; `won` returns its money.

    A dispute that is partly won reads `lost`: `reinstated` is what returns (by the design). The balance transactions tell the net.
    """
    before, outstanding = dispute.status, -sum(account.transactions[each].amount for each in dispute.transactions)
    if reinstated is not None and (status != "lost" or not 0 < reinstated < outstanding):
        raise Impossible(f"{dispute.id} cannot return {reinstated} when it is {status}")
    move(dispute, status)
    if before in INQUIRY and status in WITHDRAWN:
        _withdraw(account, dispute)
    returned = outstanding if status == "won" else reinstated
    if returned:
        dispute.transactions.append(account.book("adjustment", dispute.id, returned, dispute.currency).id)
        account.emit("charge.dispute.funds_reinstated", dispute)
    account.emit("charge.dispute.closed" if status in CLOSED else "charge.dispute.updated", dispute)


def settle(account: Account) -> None:
    """Open the disputes that follow payments by the cards for it."""
    for charge in list(account.charges.values()):
        status = methods.find(charge.method).dispute
        if charge.captured and status and not charge.dispute:
            create(account, charge, status)
