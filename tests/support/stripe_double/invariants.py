"""The rules that the money of an account keeps, computed anew from its objects; none of them asks the code that changes the money."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from support.stripe_double.account import OPENING_BALANCE, Account
from support.stripe_double.objects import Charge, Dispute, Intent, Refund

OPEN = ("pending", "requires_action", "succeeded")


def broken(account: Account) -> list[str]:
    """Return each rule that an object breaks; none in a sound account."""
    charges, refunds, disputes = defaultdict[str, list[Charge]](list), defaultdict[str, list[Refund]](list), Counter[str]()
    for charge in account.charges.values():
        charges[charge.intent].append(charge)
    for refund in account.refunds.values():
        refunds[refund.charge].append(refund)
    for dispute in account.disputes.values():
        disputes[dispute.charge] += 1
    return [
        *(line for each in account.intents.values() for line in _of_intent(each, charges[each.id])),
        *(line for each in account.charges.values() for line in _of_charge(account, each, refunds[each.id])),
        *(line for each in account.refunds.values() for line in _of_refund(each)),
        *(line for each in account.disputes.values() for line in _of_dispute(account, each)),
        *(f"{charge_id} was disputed {count} times" for charge_id, count in disputes.items() if count > 1),
        *_of_balance(account),
    ]


def _of_intent(intent: Intent, charges: Sequence[Charge]) -> Iterator[str]:
    captured = [each for each in charges if each.captured]
    if len(captured) > 1:
        yield f"{intent.id} was captured {len(captured)} times"
    if bool(captured) != (intent.status == "succeeded"):
        yield f"{intent.id} is {intent.status} with {len(captured)} captures"
    if intent.amount_received != sum(each.amount_captured for each in captured):
        yield f"{intent.id} received {intent.amount_received}, not the sum of its captures"
    if not 0 <= intent.amount_received <= intent.amount:
        yield f"{intent.id} received more than its amount"
    if intent.amount_capturable != (intent.amount if intent.status == "requires_capture" else 0):
        yield f"{intent.id} is {intent.status}, and {intent.amount_capturable} can be captured"
    if (intent.canceled_at is None) == (intent.status == "canceled"):
        yield f"{intent.id} is {intent.status}, canceled at {intent.canceled_at}"


def _of_charge(account: Account, charge: Charge, refunds: Sequence[Refund]) -> Iterator[str]:
    refunded = sum(each.amount for each in refunds if each.status in OPEN)
    if refunded > charge.amount_captured:
        yield f"{charge.id} refunded {refunded} of {charge.amount_captured}"
    if refunds and not charge.captured:
        yield f"{charge.id} was refunded before it was captured"
    if charge.captured != (charge.amount_captured > 0) or (charge.captured and charge.status != "succeeded"):
        yield f"{charge.id} is {charge.status}, captured {charge.amount_captured}"
    if charge.transaction and account.transactions[charge.transaction].amount != charge.amount_captured:
        yield f"{charge.id} has a balance transaction of another amount"


def _of_refund(refund: Refund) -> Iterator[str]:
    if refund.amount < 1 or (refund.status == "succeeded" and refund.transaction is None):
        yield f"{refund.id} of {refund.amount} succeeded without a balance transaction"
    if bool(refund.failure_transaction) != (refund.status in {"failed", "canceled"} and refund.transaction is not None):
        yield f"{refund.id} is {refund.status}, and its money has not moved so"


def _of_balance(account: Account) -> Iterator[str]:
    """Compare the balance with what the objects say: captured, less refunds, less disputes, less what was paid out."""
    expected, fees = Counter[str](), Counter[str]()
    for transaction in account.transactions.values():
        fees[transaction.currency] += transaction.fee
        if transaction.kind == "payout":
            expected[transaction.currency] += transaction.amount
    for charge in account.charges.values():
        expected[charge.currency] += charge.amount_captured
        if charge.transaction is None:
            fees[charge.currency] += charge.amount_captured * 29 // 1000
    for refund in account.refunds.values():
        if refund.transaction and not refund.failure_transaction:
            expected[refund.currency] -= refund.amount
    for dispute in account.disputes.values():
        expected[dispute.currency] += _change(account, dispute)
    for currency in {*expected, *fees}:
        if (held := account.balance(currency)) != OPENING_BALANCE + expected[currency] - fees[currency]:
            yield f"the balance in {currency} is {held}"


def _change(account: Account, dispute: Dispute) -> int:
    return sum(account.transactions[each].amount for each in dispute.transactions)


def _of_dispute(account: Account, dispute: Dispute) -> Iterator[str]:
    change = _change(account, dispute)
    if not -dispute.amount <= change <= 0 or (dispute.status == "won" and change):
        yield f"{dispute.id} is {dispute.status}, and changed the balance by {change}"
