"""Faults between the provider and Stripe: what each failure proves, and that the same key has one effect."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from mercato_server.domain.provider_facts import ProviderRefundState, ProviderState
from mercato_server.payments.provider import Certainty, ProviderError
from mercato_server.payments.stripe_errors import certainty
from mercato_server.payments.stripe_provider import StripeProvider
from support.patience import allowed, until
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import LOST_ANSWER, LOST_REQUEST, Fault, broken, refused
from support.stripe_double.limits import Limits
from support.stripe_shop import create, key, provider_at

Act = Callable[[], Awaitable[Any]]
CREATE, CAPTURE, CANCEL, REFUND = "payment_intents.create", "payment_intents.capture", "payment_intents.cancel", "refunds.create"
CHANGES = (CREATE, CAPTURE, CANCEL, REFUND)
RETRIEVE = "payment_intents.retrieve"
USD = "USD"


async def change(provider: StripeProvider, double: StripeDouble, operation: str) -> Act:
    """Return a change that is ready to be executed, each time with the same key."""
    its_key, payment_id, order_id, refund_id = key(), uuid4(), uuid4(), uuid4()
    if operation == CREATE:
        return lambda: provider.create(its_key, payment_id, order_id, 1_000, USD, capture_later=False)
    ref = (await create(provider, later=operation == CAPTURE)).fact.provider_ref
    if operation != CANCEL:
        double.acts.pay(ref)
    acts: dict[str, Act] = {
        CAPTURE: lambda: provider.capture(its_key, ref, 1_000),
        CANCEL: lambda: provider.cancel(its_key, ref),
        REFUND: lambda: provider.refund(its_key, ref, refund_id, 400),
    }
    double.calls.clear()
    return acts[operation]


def effects(double: StripeDouble) -> list[object]:
    """Return what all changes together have done."""
    intents = sorted((each.status, each.amount_received) for each in double.account.intents.values())
    return [*intents, sorted(each.amount for each in double.account.refunds.values())]


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (refused(401), "http_401"),
        (refused(403), "http_403"),
        (refused(409, "true"), "lock_timeout"),
        (refused(429, "true"), "rate_limit"),
        (refused(500), "http_500"),
        (refused(503, "true"), "http_503"),
        (LOST_REQUEST, "connection"),
        (LOST_ANSWER, "connection"),
    ],
)
async def test_a_failure_that_proves_nothing_is_for_the_caller_to_repeat_with_one_effect(
    provider: StripeProvider, double: StripeDouble, operation: str, fault: Fault, code: str
) -> None:
    act = await change(provider, double, operation)
    double.faults.add(operation, fault)
    with pytest.raises(ProviderError) as failed:
        await act()
    assert (failed.value.certainty, failed.value.code) == (Certainty.UNKNOWN, code)
    assert len(double.calls) == 1  # the SDK repeats nothing by itself
    first = await act()
    once = effects(double)
    assert await act() == first
    assert effects(double) == once
    assert len({call.key for call in double.calls if call.operation == operation}) == 1


@pytest.mark.parametrize("effect", [True, False])
async def test_a_stored_500_stays_unknown(provider: StripeProvider, double: StripeDouble, *, effect: bool) -> None:
    act = await change(provider, double, CREATE)
    double.faults.add(CREATE, broken(effect=effect))
    for _ in range(3):
        with pytest.raises(ProviderError) as failed:
            await act()
        assert (failed.value.certainty, failed.value.code) == (Certainty.UNKNOWN, "http_500")
    assert len(double.account.intents) == effect
    assert [call.replayed for call in double.calls] == [False, True, True]


async def test_a_slow_answer_is_unknown_and_the_same_key_gets_it_later(double: StripeDouble) -> None:
    go_on = asyncio.Event()
    double.faults.add(CREATE, Fault(before=go_on))
    its_key, payment_id, order_id = key(), uuid4(), uuid4()
    async with provider_at(double.url, timeout_s=allowed(0.2)) as hasty, provider_at(double.url) as patient:
        for provider, code in ((hasty, "timeout"), (patient, "idempotency_key_in_use")):
            with pytest.raises(ProviderError) as failed:
                await provider.create(its_key, payment_id, order_id, 1_000, USD, capture_later=False)
            assert (failed.value.certainty, failed.value.code) == (Certainty.UNKNOWN, code)
        go_on.set()
        await until(lambda: double.account.intents)
        created = await patient.create(its_key, payment_id, order_id, 1_000, USD, capture_later=False)
    assert list(double.account.intents) == [created.fact.provider_ref]


async def test_a_request_that_was_never_sent_is_known_to_be_unsent(provider: StripeProvider, double: StripeDouble) -> None:
    act = await change(provider, double, CREATE)
    await double.go_down()
    with pytest.raises(ProviderError, match="ConnectError") as failed:
        await act()
    assert (failed.value.certainty, failed.value.code) == (Certainty.UNSENT, "connection")
    await double.start()
    await act()
    assert len(double.account.intents) == 1


async def test_a_connection_that_breaks_under_way_leaves_the_request_unknown(provider: StripeProvider, double: StripeDouble) -> None:
    act = await change(provider, double, CREATE)
    double.faults.add(CREATE, Fault(after=asyncio.Event()))
    request = asyncio.ensure_future(act())
    await until(lambda: double.account.intents)
    await double.go_down()
    with pytest.raises(ProviderError) as failed:
        await request
    assert (failed.value.certainty, failed.value.code) == (Certainty.UNKNOWN, "connection")
    await double.start()


async def test_a_canceled_call_is_canceled(provider: StripeProvider, double: StripeDouble) -> None:
    act = await change(provider, double, CREATE)
    double.faults.add(CREATE, Fault(before=asyncio.Event()))
    request = asyncio.ensure_future(act())
    await until(lambda: double.running[CREATE])
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await provider.client_secret((await create(provider)).fact.provider_ref)).startswith("pi_")


async def test_a_key_with_another_body_proves_nothing_about_the_first(provider: StripeProvider, double: StripeDouble) -> None:
    its_key, payment_id, order_id = key(), uuid4(), uuid4()
    await provider.create(its_key, payment_id, order_id, 1_000, USD, capture_later=False)
    with pytest.raises(ProviderError) as failed:
        await provider.create(its_key, payment_id, order_id, 2_000, USD, capture_later=False)
    assert (failed.value.certainty, failed.value.code) == (Certainty.UNKNOWN, "idempotency_error")
    assert [each.amount for each in double.account.intents.values()] == [1_000]


async def test_a_stored_refusal_comes_again_for_its_key_and_another_key_tries_anew(provider: StripeProvider, double: StripeDouble) -> None:
    ref = (await create(provider, later=True)).fact.provider_ref
    its_key = key()
    for _ in range(2):
        with pytest.raises(ProviderError, match="payment_intent_unexpected_state") as failed:
            await provider.capture(its_key, ref, 1_000)
        assert failed.value.certainty is Certainty.REFUSED
        if double.account.intents[ref].latest_charge is None:
            double.acts.pay(ref)
    fact = await provider.capture(key(), ref, 1_000)
    assert fact.state is ProviderState.CAPTURED


async def test_an_outdated_answer_of_a_key_is_read_again(provider: StripeProvider, double: StripeDouble) -> None:
    create_it = await change(provider, double, CREATE)
    created = await create_it()
    ref = created.fact.provider_ref
    double.acts.pay(ref, "pm_card_pendingRefund")
    again = await create_it()
    assert (again.fact.state, again.client_secret) == (ProviderState.CAPTURED, created.client_secret)
    its_key, refund_id = key(), uuid4()
    assert (await provider.refund(its_key, ref, refund_id, 400)).state is ProviderRefundState.PENDING
    double.acts.settle()
    assert (await provider.refund(its_key, ref, refund_id, 400)).state is ProviderRefundState.SUCCEEDED
    capture_it = await change(provider, double, CAPTURE)
    captured = await capture_it()
    assert captured.refunds == ()
    refund = double.acts.refund(captured.provider_ref, 100)
    assert [each.provider_ref for each in (await capture_it()).refunds] == [refund]


@pytest.mark.parametrize("fault", [refused(429), refused(500), LOST_ANSWER])
@pytest.mark.parametrize("list_", ["payment_intents.list", "refunds.list", "disputes.list"])
async def test_a_page_that_cannot_be_read_is_never_an_end_of_the_list(
    provider: StripeProvider, double: StripeDouble, list_: str, fault: Fault
) -> None:
    payment_id = uuid4()
    created = await create(provider, payment_id=payment_id)
    double.acts.pay(created.fact.provider_ref)
    double.faults.add(list_, fault)
    assert created.fact.created_at is not None
    with pytest.raises(ProviderError):
        await provider.find(payment_id, created.fact.created_at)
    assert await provider.find(payment_id, created.fact.created_at) == await provider.read(created.fact.provider_ref)


async def test_reads_fail_as_changes_do(provider: StripeProvider, double: StripeDouble) -> None:
    ref = (await create(provider)).fact.provider_ref
    double.faults.add(RETRIEVE, *[refused(status) for status in (401, 403, 409, 429, 500, 503)], LOST_ANSWER)
    for _ in range(7):
        with pytest.raises(ProviderError) as failed:
            await provider.read(ref)
        assert failed.value.certainty is Certainty.UNKNOWN
    assert (await provider.read(ref)).state is ProviderState.OPEN


async def test_one_worker_never_reaches_the_limits_of_a_sandbox() -> None:
    double = StripeDouble(limits=Limits(total_per_s=25))
    await double.start()
    async with provider_at(double.url, requests_per_s=25, timeout_s=30.0) as provider:
        ref = (await create(provider)).fact.provider_ref
        refunds = [provider.refund(key(), ref, uuid4(), 10) for _ in range(8)]
        double.acts.pay(ref)
        await asyncio.gather(*refunds, *(create(provider) for _ in range(7)), *(provider.read(ref) for _ in range(5)))
    assert {call.status for call in double.calls} == {200}
    assert len(double.calls) > 25
    await double.stop()


INVALID_REQUEST = "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "kind", "code", "names_parameter", "proves"),
    [
        (402, "card_error", "card_declined", False, Certainty.REFUSED),
        (402, "card_error", "", False, Certainty.REFUSED),
        (402, "", "", False, Certainty.UNKNOWN),  # no error of Stripe's
        (400, INVALID_REQUEST, "charge_already_refunded", False, Certainty.REFUSED),
        (400, INVALID_REQUEST, "charge_disputed", True, Certainty.REFUSED),
        (400, INVALID_REQUEST, "payment_intent_unexpected_state", False, Certainty.REFUSED),
        (400, INVALID_REQUEST, "charge_expired_for_capture", False, Certainty.REFUSED),
        (400, INVALID_REQUEST, "balance_insufficient", False, Certainty.REFUSED),
        (400, INVALID_REQUEST, "amount_too_small", True, Certainty.INVALID),
        (400, INVALID_REQUEST, "amount_too_large", True, Certainty.INVALID),
        (400, INVALID_REQUEST, "parameter_unknown", True, Certainty.INVALID),
        (400, INVALID_REQUEST, "parameter_invalid_integer", True, Certainty.INVALID),
        (400, INVALID_REQUEST, "", True, Certainty.INVALID),
        (400, INVALID_REQUEST, "", False, Certainty.UNKNOWN),  # such as another version of the API
        (400, INVALID_REQUEST, "rate_limit", False, Certainty.UNKNOWN),
        (400, INVALID_REQUEST, "lock_timeout", False, Certainty.UNKNOWN),
        (400, INVALID_REQUEST, "testmode_charges_only", False, Certainty.UNKNOWN),
        (400, "idempotency_error", "", False, Certainty.UNKNOWN),
        (404, INVALID_REQUEST, "resource_missing", True, Certainty.INVALID),
        (404, INVALID_REQUEST, "", False, Certainty.UNKNOWN),  # an address that is not Stripe's
        (401, INVALID_REQUEST, "resource_missing", True, Certainty.UNKNOWN),
        (403, INVALID_REQUEST, "charge_disputed", True, Certainty.UNKNOWN),
        (409, INVALID_REQUEST, "idempotency_key_in_use", False, Certainty.UNKNOWN),
        (429, INVALID_REQUEST, "lock_timeout", False, Certainty.UNKNOWN),
        (500, "api_error", "", False, Certainty.UNKNOWN),
        (500, "card_error", "card_declined", False, Certainty.UNKNOWN),
        (302, "", "", False, Certainty.UNKNOWN),
    ],
)
def test_an_error_proves_something_only_where_stripe_says_so(
    status: int,
    kind: str,
    code: str,
    names_parameter: bool,  # noqa: FBT001 - a parameter of the test
    proves: Certainty,
) -> None:
    assert certainty(status, kind, code, names_parameter=names_parameter) is proves
