"""Refunds and disputes of the double, through the official SDK."""

import pytest
import stripe
from stripe import Refund, StripeClient

from support.stripe_double.double import StripeDouble
from support.stripe_sdk import key


async def paid(double: StripeDouble, sdk: StripeClient, method: str = "pm_card_visa", currency: str = "usd") -> str:
    intent = await sdk.v1.payment_intents.create_async({"amount": 2_000, "currency": currency}, key())
    double.acts.pay(intent.id, method)
    double.acts.settle()
    return intent.id


async def refund(sdk: StripeClient, intent: str, amount: int | None = None) -> Refund:
    if amount is None:
        return await sdk.v1.refunds.create_async({"payment_intent": intent}, key())
    return await sdk.v1.refunds.create_async({"payment_intent": intent, "amount": amount, "metadata": {"refund_id": "r1"}}, key())


async def refusal(sdk: StripeClient, intent: str, amount: int | None = None) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await refund(sdk, intent, amount)
    return refused.value


async def charge(sdk: StripeClient, intent: str) -> dict[str, object]:
    read = await sdk.v1.payment_intents.retrieve_async(intent, {"expand": ["latest_charge"]})
    found: dict[str, object] = read.to_dict()["latest_charge"]
    return found


async def test_refunds_never_exceed_what_was_captured(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk)
    first = await refund(sdk, intent, 1_500)
    assert (first.status, first.amount, first.payment_intent) == ("succeeded", 1_500, intent)
    assert (await refusal(sdk, intent, 501)).param == "amount"
    assert ((await charge(sdk, intent))["amount_refunded"], (await charge(sdk, intent))["refunded"]) == (1_500, False)
    assert (await refund(sdk, intent)).amount == 500
    assert (await refusal(sdk, intent)).code == "charge_already_refunded"
    assert ((await charge(sdk, intent))["amount_refunded"], (await charge(sdk, intent))["refunded"]) == (2_000, True)


async def test_money_that_was_not_captured_cannot_be_refunded(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await sdk.v1.payment_intents.create_async({"amount": 2_000, "currency": "usd", "capture_method": "manual"}, key())
    assert (await refusal(sdk, intent.id)).code == "charge_not_refundable"
    double.acts.pay(intent.id)
    assert (await refusal(sdk, intent.id)).code == "charge_not_refundable"
    await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 800}, key())
    assert (await refusal(sdk, intent.id, 801)).param == "amount"
    assert (await refund(sdk, intent.id)).amount == 800


async def test_a_refund_follows_the_digits_of_the_currency(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, currency="isk")
    assert (await refusal(sdk, intent, 150)).param == "amount"
    assert (await refund(sdk, intent, 200)).status == "succeeded"


async def test_a_refund_needs_one_payment(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk)
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.refunds.create_async({"amount": 10}, key())
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await sdk.v1.refunds.create_async({"payment_intent": "pi_none"}, key())
    assert missing.value.code == "resource_missing"
    by_charge = await sdk.v1.refunds.create_async({"charge": str((await charge(sdk, intent))["id"])}, key())
    assert (by_charge.payment_intent, by_charge.amount) == (intent, 2_000)


async def test_refunds_are_listed_by_their_payment_with_our_metadata(double: StripeDouble, sdk: StripeClient) -> None:
    intent, other = await paid(double, sdk), await paid(double, sdk)
    mine = [await refund(sdk, intent, 10) for _ in range(3)]
    foreign = double.acts.refund(intent, 20)
    await refund(sdk, other)
    found = await sdk.v1.refunds.list_async({"payment_intent": intent, "limit": 100})
    assert [each.id for each in found.data] == [foreign, *[each.id for each in reversed(mine)]]
    assert [each.to_dict()["metadata"] for each in found.data] == [{}, *[{"refund_id": "r1"}] * 3]


async def test_a_refund_that_had_succeeded_fails_and_its_money_returns(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, "pm_card_refundFail")
    before = double.account.balance("usd")
    made = await refund(sdk, intent)
    assert (made.status, double.account.balance("usd")) == ("succeeded", before - 2_000)
    double.acts.settle()
    failed = await sdk.v1.refunds.retrieve_async(made.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.to_dict()["failure_balance_transaction"]["net"] == 2_000
    assert double.account.balance("usd") == before
    assert (await charge(sdk, intent))["amount_refunded"] == 0
    assert [len(double.events.of_kind(kind)) for kind in ("refund.created", "refund.updated", "refund.failed")] == [1, 1, 1]


async def test_a_pending_refund_succeeds_later(double: StripeDouble, sdk: StripeClient) -> None:
    made = await refund(sdk, await paid(double, sdk, "pm_card_pendingRefund"))
    assert (made.status, made.pending_reason) == ("pending", "processing")
    double.acts.settle()
    assert (await sdk.v1.refunds.retrieve_async(made.id)).status == "succeeded"


async def test_a_refund_that_waits_for_the_buyer_can_be_canceled_and_no_other_can(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, "pm_double_refundRequiresAction")
    waits, goes_on = await refund(sdk, intent, 500), await refund(sdk, intent, 700)
    assert waits.status == "requires_action"
    canceled = await sdk.v1.refunds.cancel_async(waits.id, options=key())
    assert (canceled.status, canceled.failure_reason) == ("canceled", "merchant_request")
    double.acts.succeed_refund(goes_on.id)
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.refunds.cancel_async(goes_on.id, options=key())
    assert (await charge(sdk, intent))["amount_refunded"] == 700


async def test_with_too_little_balance_cards_wait_and_other_methods_fail(double: StripeDouble, sdk: StripeClient) -> None:
    card, debit = await paid(double, sdk), await paid(double, sdk, "pm_usBankAccount_success")
    double.acts.pay_out("usd")
    waiting, failed = await refund(sdk, card), await refund(sdk, debit)
    assert (waiting.status, waiting.pending_reason) == ("pending", "insufficient_funds")
    assert (failed.status, failed.failure_reason) == ("failed", "insufficient_funds")
    double.acts.settle()
    assert (await sdk.v1.refunds.retrieve_async(waiting.id)).status == "pending"
    await paid(double, sdk)
    await paid(double, sdk)
    assert (await sdk.v1.refunds.retrieve_async(waiting.id)).status == "succeeded"


async def test_metadata_of_a_refund_can_be_changed(double: StripeDouble, sdk: StripeClient) -> None:
    made = await refund(sdk, await paid(double, sdk), 10)
    changed = await sdk.v1.refunds.update_async(made.id, {"metadata": {"a": "b"}}, key())
    assert changed.to_dict()["metadata"] == {"refund_id": "r1", "a": "b"}


async def test_a_disputed_payment_loses_its_money_and_cannot_be_refunded(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, "pm_card_createDispute")
    [dispute] = (await sdk.v1.disputes.list_async({"payment_intent": intent})).data
    assert (dispute.status, dispute.amount, dispute.is_charge_refundable) == ("needs_response", 2_000, False)
    [withdrawn] = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.net < -2_000) == (-2_000, True)
    assert (await refusal(sdk, intent)).code == "charge_disputed"
    assert (await charge(sdk, intent))["disputed"] is True
    double.acts.advance_dispute(dispute.id, "lost")
    assert (await refusal(sdk, intent)).code == "charge_disputed"


async def test_a_dispute_that_is_won_returns_all_and_one_that_is_partly_won_reads_lost(double: StripeDouble, sdk: StripeClient) -> None:
    first, second, third = [double.acts.dispute(await paid(double, sdk)) for _ in range(3)]
    double.acts.advance_dispute(first, "under_review")
    double.acts.advance_dispute(first, "won")
    double.acts.advance_dispute(second, "lost")
    double.acts.advance_dispute(second, "appeal_needs_response")
    double.acts.advance_dispute(second, "appeal_under_review")
    double.acts.advance_dispute(second, "won")
    double.acts.advance_dispute(third, "lost", reinstated=700)
    read = [await sdk.v1.disputes.retrieve_async(each) for each in (first, second, third)]
    assert [(each.status, sum(one.amount for one in each.balance_transactions)) for each in read] == [
        ("won", 0),
        ("won", 0),
        ("lost", -1_300),
    ]


async def test_an_inquiry_takes_nothing_and_can_be_refunded_until_it_becomes_a_dispute(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, "pm_card_createDisputeInquiry")
    [inquiry] = (await sdk.v1.disputes.list_async({"payment_intent": intent})).data
    assert (inquiry.status, inquiry.balance_transactions, inquiry.is_charge_refundable) == ("warning_needs_response", [], True)
    assert (await refund(sdk, intent, 600)).status == "succeeded"
    double.acts.advance_dispute(inquiry.id, "needs_response")
    assert (await refusal(sdk, intent)).code == "charge_disputed"
    both = 600 + (await sdk.v1.disputes.retrieve_async(inquiry.id)).amount
    assert both > 2_000  # refunded and disputed together exceed what was captured


async def test_a_pending_refund_fails_when_its_charge_is_disputed(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk, "pm_card_pendingRefund")
    made = await refund(sdk, intent, 500)
    double.acts.dispute(intent)
    failed = await sdk.v1.refunds.retrieve_async(made.id)
    assert (failed.status, failed.failure_reason) == ("failed", "charge_for_pending_refund_disputed")


async def test_a_prevented_dispute_takes_nothing(double: StripeDouble, sdk: StripeClient) -> None:
    dispute = await sdk.v1.disputes.retrieve_async(double.acts.dispute(await paid(double, sdk), "prevented"))
    assert (dispute.status, dispute.balance_transactions) == ("prevented", [])
