"""Payments of the provider at the double of Stripe: each method, and each state."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState, RefundFact
from mercato_server.payments.provider import Certainty, ProviderError
from mercato_server.payments.stripe_provider import StripeProvider
from support.stripe_double import refunds
from support.stripe_double.double import StripeDouble
from support.stripe_shop import create, key, provider_at

REFUND_STATES = ProviderRefundState


async def paid(provider: StripeProvider, double: StripeDouble, amount_minor: int = 1_000, method: str = "pm_card_visa") -> str:
    """Return the reference of a payment that a buyer has paid."""
    ref = (await create(provider, amount_minor)).fact.provider_ref
    double.acts.pay(ref, method)
    return ref


async def authorized(provider: StripeProvider, double: StripeDouble, amount_minor: int = 1_000) -> str:
    ref = (await create(provider, amount_minor, later=True)).fact.provider_ref
    double.acts.pay(ref)
    return ref


def charge_of(double: StripeDouble, ref: str) -> str:
    charge = double.account.intents[ref].latest_charge
    assert charge is not None
    return charge


@pytest.mark.parametrize(("later", "method"), [(False, "automatic"), (True, "manual")])
async def test_a_new_payment_has_an_amount_two_ids_and_nothing_about_the_buyer(
    provider: StripeProvider, double: StripeDouble, *, later: bool, method: str
) -> None:
    payment_id, order_id, its_key = uuid4(), uuid4(), key()
    created = await provider.create(its_key, payment_id, order_id, 1_250, "USD", capture_later=later)
    [call] = double.calls
    assert (call.operation, call.key) == ("payment_intents.create", its_key)
    assert call.values == {
        "amount": "1250",
        "currency": "usd",
        "automatic_payment_methods": {"enabled": "true"},
        "capture_method": method,
        "metadata": {"payment_id": str(payment_id), "order_id": str(order_id)},
    }
    [intent] = double.account.intents.values()
    assert created.client_secret == intent.client_secret
    assert created.fact == PaymentFact(
        provider_ref=intent.id,
        payment_id=payment_id,
        state=ProviderState.OPEN,
        currency_code="USD",
        amount_minor=1_250,
        created_at=datetime.fromtimestamp(intent.created, UTC),
    )
    assert await provider.read(intent.id) == created.fact
    assert await provider.client_secret(intent.id) == intent.client_secret


async def test_a_payment_at_once_is_captured_when_the_buyer_pays(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    fact = await provider.read(ref)
    assert (fact.state, fact.captured_minor, fact.authorized_minor) == (ProviderState.CAPTURED, 1_000, 0)
    assert (fact.charge_ref, fact.capture_before, fact.failure) == (charge_of(double, ref), None, "")


async def test_a_payment_at_shipment_is_authorised_until_a_time_that_the_charge_tells(
    provider: StripeProvider, double: StripeDouble
) -> None:
    ref = await authorized(provider, double)
    fact = await provider.read(ref)
    assert (fact.state, fact.captured_minor, fact.authorized_minor) == (ProviderState.AUTHORIZED, 0, 1_000)
    paid_at = datetime.fromtimestamp(double.account.charges[charge_of(double, ref)].created, UTC)
    assert fact.capture_before == paid_at + timedelta(days=7)


async def test_a_card_that_waits_for_its_bank_leaves_the_payment_open(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double, method="pm_card_authenticationRequired")
    assert (await provider.read(ref)).state is ProviderState.OPEN
    double.acts.authenticate(ref, succeeds=False)
    fact = await provider.read(ref)
    assert (fact.state, fact.failure) == (ProviderState.OPEN, "payment_intent_authentication_failure")
    double.acts.pay(ref)
    assert (await provider.read(ref)).state is ProviderState.CAPTURED


async def test_a_declined_card_leaves_the_payment_open_and_tells_why(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double, method="pm_card_chargeDeclined")
    fact = await provider.read(ref)
    assert (fact.state, fact.failure, fact.charge_ref) == (ProviderState.OPEN, "card_declined", "")


@pytest.mark.parametrize(
    ("method", "state"),
    [("pm_usBankAccount_success", ProviderState.CAPTURED), ("pm_usBankAccount_insufficientFunds", ProviderState.OPEN)],
)
async def test_a_bank_debit_is_under_way_before_it_ends(
    provider: StripeProvider, double: StripeDouble, method: str, state: ProviderState
) -> None:
    ref = await paid(provider, double, method=method)
    fact = await provider.read(ref)
    assert (fact.state, fact.captured_minor, fact.charge_ref) == (ProviderState.PROCESSING, 0, charge_of(double, ref))
    double.acts.settle()
    assert (await provider.read(ref)).state is state


async def test_a_capture_of_a_part_releases_the_rest(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await authorized(provider, double)
    fact = await provider.capture(key(), ref, 600)
    assert (fact.state, fact.amount_minor, fact.captured_minor, fact.authorized_minor) == (ProviderState.CAPTURED, 1_000, 600, 0)
    assert await provider.read(ref) == fact
    assert fact.refunds == ()
    with pytest.raises(ProviderError, match="payment_intent_unexpected_state") as again:
        await provider.capture(key(), ref, 400)
    assert again.value.certainty is Certainty.REFUSED


async def test_a_canceled_payment_is_dead_and_has_not_lapsed(provider: StripeProvider, double: StripeDouble) -> None:
    for ref in ((await create(provider)).fact.provider_ref, await authorized(provider, double)):
        fact = await provider.cancel(key(), ref)
        assert (fact.state, fact.lapsed, fact.captured_minor, fact.authorized_minor) == (ProviderState.DEAD, False, 0, 0)
        assert await provider.read(ref) == fact


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_usBankAccount_success"])
async def test_a_payment_with_money_on_its_way_cannot_be_canceled(provider: StripeProvider, double: StripeDouble, method: str) -> None:
    ref = await paid(provider, double, method=method)
    with pytest.raises(ProviderError, match="payment_intent_unexpected_state") as refused:
        await provider.cancel(key(), ref)
    assert refused.value.certainty is Certainty.REFUSED


async def test_a_lapsed_authorisation_is_dead_and_says_so(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await authorized(provider, double)
    double.acts.lapse(ref)
    fact = await provider.read(ref)
    assert (fact.state, fact.lapsed, fact.capture_before) == (ProviderState.DEAD, True, None)
    with pytest.raises(ProviderError) as refused:
        await provider.capture(key(), ref, 1_000)
    assert refused.value.certainty is Certainty.REFUSED


@pytest.mark.parametrize(
    ("method", "first", "last", "failure"),
    [
        ("pm_card_visa", REFUND_STATES.SUCCEEDED, REFUND_STATES.SUCCEEDED, ""),
        ("pm_card_pendingRefund", REFUND_STATES.PENDING, REFUND_STATES.SUCCEEDED, ""),
        ("pm_card_refundFail", REFUND_STATES.SUCCEEDED, REFUND_STATES.FAILED, "expired_or_canceled_card"),
    ],
)
async def test_a_refund_has_the_id_of_the_shop_in_each_state(
    provider: StripeProvider, double: StripeDouble, method: str, first: ProviderRefundState, last: ProviderRefundState, failure: str
) -> None:
    ref, refund_id = await paid(provider, double, method=method), uuid4()
    fact = await provider.refund(key(), ref, refund_id, 400)
    [refund] = double.account.refunds.values()
    assert fact == RefundFact(provider_ref=refund.id, refund_id=refund_id, state=first, amount_minor=400)
    assert (await provider.read(ref)).refunds == (fact,)
    double.acts.settle()
    [later] = (await provider.read(ref)).refunds
    assert (later.state, later.failure) == (last, failure)


async def test_a_refund_that_waits_for_the_buyer_is_pending_and_a_canceled_one_failed(
    provider: StripeProvider, double: StripeDouble
) -> None:
    ref = await paid(provider, double, method="pm_double_refundRequiresAction")
    double.acts.settle()  # the bank debit ends
    fact = await provider.refund(key(), ref, uuid4(), 400)
    assert fact.state is REFUND_STATES.PENDING
    refunds.cancel(double.account, double.account.refunds[fact.provider_ref])
    assert [each.state for each in (await provider.read(ref)).refunds] == [REFUND_STATES.FAILED]


async def test_a_refund_of_more_than_is_left_is_refused_before_anything_happens(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    with pytest.raises(ProviderError) as too_much:
        await provider.refund(key(), ref, uuid4(), 1_001)
    assert too_much.value.certainty is Certainty.INVALID
    await provider.refund(key(), ref, uuid4(), 1_000)
    with pytest.raises(ProviderError, match="charge_already_refunded") as again:
        await provider.refund(key(), ref, uuid4(), 1)
    assert again.value.certainty is Certainty.REFUSED


async def test_refunds_of_the_dashboard_are_facts_without_an_id_of_the_shop(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    refund = double.acts.refund(ref, 250)
    assert (await provider.read(ref)).refunds == (
        RefundFact(provider_ref=refund, refund_id=None, state=REFUND_STATES.SUCCEEDED, amount_minor=250),
    )


async def test_a_payment_has_all_its_refunds_over_all_pages(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    for _ in range(230):
        double.acts.refund(ref, 1)
    fact = await provider.read(ref)
    assert {each.provider_ref for each in fact.refunds} == set(double.account.refunds)
    assert len(fact.refunds) == 230
    assert [call.values.get("limit") for call in double.calls if call.operation == "refunds.list"] == ["100"] * 3


@pytest.mark.parametrize(
    ("statuses", "state", "withdrawn"),
    [
        (["warning_needs_response"], DisputeState.INQUIRY, 0),
        (["warning_needs_response", "warning_under_review", "warning_closed"], DisputeState.WON, 0),
        (["prevented"], DisputeState.WON, 0),
        (["needs_response"], DisputeState.OPEN, 800),
        (["needs_response", "under_review"], DisputeState.OPEN, 800),
        (["needs_response", "won"], DisputeState.WON, 0),
        (["needs_response", "lost"], DisputeState.LOST, 800),
        (["needs_response", "lost", "appeal_needs_response"], DisputeState.OPEN, 800),
        (["needs_response", "lost", "appeal_needs_response", "appeal_under_review", "won"], DisputeState.WON, 0),
    ],
)
async def test_a_dispute_tells_what_is_withdrawn(
    provider: StripeProvider, double: StripeDouble, statuses: list[str], state: DisputeState, withdrawn: int
) -> None:
    ref = await paid(provider, double)
    dispute = double.acts.dispute(ref, statuses[0], 800)
    for status in statuses[1:]:
        double.acts.advance_dispute(dispute, status)
    fact = DisputeFact(provider_ref=dispute, state=state, amount_minor=800, withdrawn_minor=withdrawn, reason="fraudulent")
    assert (await provider.read(ref)).disputes == (fact,)
    assert [page async for page in provider.disputes(*always())] == [[(ref, fact)]]


async def test_a_dispute_that_is_partly_won_reads_lost_and_withdraws_the_rest(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    dispute = double.acts.dispute(ref)
    double.acts.advance_dispute(dispute, "lost", reinstated=300)
    [fact] = (await provider.read(ref)).disputes
    assert (fact.state, fact.amount_minor, fact.withdrawn_minor) == (DisputeState.LOST, 1_000, 700)


async def test_a_disputed_charge_is_not_refunded_except_in_an_inquiry(provider: StripeProvider, double: StripeDouble) -> None:
    ref = await paid(provider, double)
    dispute = double.acts.dispute(ref, "warning_needs_response")
    assert (await provider.refund(key(), ref, uuid4(), 100)).state is REFUND_STATES.SUCCEEDED
    double.acts.advance_dispute(dispute, "needs_response")
    with pytest.raises(ProviderError, match="charge_disputed") as refused:
        await provider.refund(key(), ref, uuid4(), 100)
    assert refused.value.certainty is Certainty.REFUSED
    fact = await provider.read(ref)
    assert fact.refunds[0].amount_minor + fact.disputes[0].withdrawn_minor > fact.captured_minor


def always() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(days=1), now + timedelta(days=1)


async def test_a_payment_is_found_by_the_id_of_the_shop_on_any_page(provider: StripeProvider, double: StripeDouble) -> None:
    payment_id, began = uuid4(), datetime.now(UTC)
    await create(provider, payment_id=payment_id)
    for _ in range(120):
        double.account.create(500, "usd", "automatic")
    found = await provider.find(payment_id, began)
    assert found is not None
    assert (found.payment_id, found.amount_minor) == (payment_id, 1_000)
    assert [call.values.get("limit") for call in double.calls if call.operation == "payment_intents.list"] == ["100", "100"]
    assert await provider.find(uuid4(), began) is None


async def test_a_found_payment_has_its_refunds_and_the_clock_of_the_shop_may_be_ahead(
    provider: StripeProvider, double: StripeDouble
) -> None:
    payment_id = uuid4()
    ref = (await create(provider, payment_id=payment_id)).fact.provider_ref
    double.acts.pay(ref)
    double.acts.refund(ref, 100)
    created = datetime.fromtimestamp(double.account.intents[ref].created, UTC)
    found = await provider.find(payment_id, created + timedelta(minutes=15))
    assert found is not None
    assert [each.amount_minor for each in found.refunds] == [100]
    assert await provider.find(payment_id, created + timedelta(minutes=15, seconds=1)) is None


async def test_of_two_payments_of_one_id_the_one_that_is_not_dead_is_found(provider: StripeProvider, double: StripeDouble) -> None:
    payment_id, began = uuid4(), datetime.now(UTC)
    alive = (await create(provider, payment_id=payment_id)).fact.provider_ref
    await provider.cancel(key(), (await create(provider, payment_id=payment_id)).fact.provider_ref)
    found = await provider.find(payment_id, began)
    assert found is not None
    assert found.provider_ref == alive


async def test_pages_have_each_object_of_a_time_once(provider: StripeProvider, double: StripeDouble) -> None:
    double.clock.stop()
    refs = []
    for _ in range(4):
        for _ in range(60):
            refs.append(double.account.create(500, "usd", "automatic").id)
            double.acts.pay(refs[-1])
            double.acts.refund(refs[-1], 100)
        double.acts.dispute(refs[-1])
        double.clock.advance(10)
    at = [datetime.fromtimestamp(double.account.intents[refs[number]].created, UTC) for number in (60, 180)]
    payments = [each async for page in provider.payments(*at) for each in page]
    assert {each.provider_ref for each in payments} == set(refs[60:180])
    assert len(payments) == 120
    assert {(each.state, each.refunds) for each in payments} == {(ProviderState.CAPTURED, ())}
    refunded = [payment async for page in provider.refunds(*at) for payment, _ in page]
    assert sorted(refunded) == sorted(refs[60:180])
    disputes = [each async for page in provider.disputes(*at) for each in page]
    assert [payment for payment, _ in disputes] == [refs[179], refs[119]]


async def test_the_ends_of_a_time_are_moved_outwards_to_whole_seconds(provider: StripeProvider, double: StripeDouble) -> None:
    ref = (await create(provider)).fact.provider_ref
    second = datetime.fromtimestamp(double.account.intents[ref].created, UTC)
    for since, until in ((0.9, 1.1), (-1, 0.1), (0, 1)):
        time = (second + timedelta(seconds=since), second + timedelta(seconds=until))
        assert [[each.provider_ref for each in page] async for page in provider.payments(*time)] == [[ref]]
    assert [page async for page in provider.payments(second - timedelta(seconds=1), second)] == [[]]


async def test_payments_of_another_program_have_no_id_of_the_shop(provider: StripeProvider, double: StripeDouble) -> None:
    for metadata in ({}, {"payment_id": "12"}, {"other": str(uuid4())}):
        double.account.create(500, "usd", "automatic", metadata=metadata)
    assert [each.payment_id async for page in provider.payments(*always()) for each in page] == [None, None, None]


@pytest.mark.parametrize(
    ("currency", "amount_minor", "at_stripe", "refund_minor", "refund_at_stripe"),
    [  # https://docs.stripe.com/currencies: "to charge 5 ISK, provide an amount value of 500"; "5.124 KWD must be rounded to 5120 or 5130"
        ("USD", 1_234, 1_234, 34, 34),
        ("JPY", 500, 500, 1, 1),
        ("ISK", 500, 50_000, 5, 500),
        ("UGX", 5_000, 500_000, 5, 500),
        ("MGA", 500_000, 5_000, 100, 1),
        ("KWD", 5_120, 5_120, 10, 10),
    ],
)
async def test_amounts_go_to_stripe_and_come_back_in_the_units_of_each_currency(
    double: StripeDouble, currency: str, amount_minor: int, at_stripe: int, refund_minor: int, refund_at_stripe: int
) -> None:
    async with provider_at(double.url, currency) as provider:
        created = await create(provider, amount_minor, currency, later=True)
        intent = double.account.intents[created.fact.provider_ref]
        assert (intent.amount, created.fact.amount_minor, created.fact.currency_code) == (at_stripe, amount_minor, currency)
        double.acts.pay(intent.id)
        assert (await provider.read(intent.id)).authorized_minor == amount_minor
        captured = await provider.capture(key(), intent.id, amount_minor)
        assert (intent.amount_received, captured.captured_minor) == (at_stripe, amount_minor)
        refund = await provider.refund(key(), intent.id, uuid4(), refund_minor)
        assert (double.account.refunds[refund.provider_ref].amount, refund.amount_minor) == (refund_at_stripe, refund_minor)
        double.acts.dispute(intent.id)
        [dispute] = (await provider.read(intent.id)).disputes
        assert (dispute.amount_minor, dispute.withdrawn_minor) == (amount_minor, amount_minor)


@pytest.mark.parametrize("method", ["create", "capture", "refund"])
async def test_an_amount_that_the_currency_cannot_send_is_never_sent(double: StripeDouble, method: str) -> None:
    calls: dict[str, Any] = {
        "create": lambda provider: create(provider, 5_124, "KWD"),
        "capture": lambda provider: provider.capture(key(), "pi_1", 5_124),
        "refund": lambda provider: provider.refund(key(), "pi_1", uuid4(), 5_124),
    }
    async with provider_at(double.url, "KWD") as provider:
        with pytest.raises(ProviderError, match="amount_not_sendable") as refused:
            await calls[method](provider)
    assert refused.value.certainty is Certainty.INVALID
    assert double.calls == []


async def test_an_amount_below_the_minimum_is_for_stripe_to_refuse(provider: StripeProvider) -> None:
    assert provider.unpayable(49, "USD") is None
    with pytest.raises(ProviderError) as refused:
        await create(provider, 49)
    assert (refused.value.code, refused.value.certainty) == ("amount_too_small", Certainty.INVALID)


@pytest.mark.parametrize("method", ["read", "client_secret", "cancel"])
async def test_a_payment_that_does_not_exist_is_named_so(provider: StripeProvider, method: str) -> None:
    arguments = (key(), "pi_none") if method == "cancel" else ("pi_none",)
    with pytest.raises(ProviderError) as refused:
        await getattr(provider, method)(*arguments)
    assert (refused.value.code, refused.value.certainty) == ("resource_missing", Certainty.INVALID)
