"""Idempotency keys, limits and scripted faults of the double, through the official SDK."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import stripe
from stripe import StripeClient

from support.patience import until
from support.stripe_double import faults
from support.stripe_double.double import SECRET_KEY, StripeDouble
from support.stripe_double.faults import LOST_ANSWER, LOST_REQUEST, Fault
from support.stripe_double.limits import Limits
from support.stripe_sdk import client, key

CREATE = "payment_intents.create"


async def create(sdk: StripeClient, id_: str, amount: int = 100, attempt: int = 1) -> stripe.PaymentIntent:
    return await sdk.v1.payment_intents.create_async(
        {"amount": amount, "currency": "usd", "metadata": {"b": "2", "a": "1"}}, key(id_, attempt)
    )


async def test_a_result_is_replayed_byte_for_byte_although_the_object_has_changed(double: StripeDouble, sdk: StripeClient) -> None:
    first = await create(sdk, "reference")
    double.acts.pay(first.id)
    again = await create(sdk, "reference")
    assert (again.last_response.body, again.last_response.code) == (first.last_response.body, 200)  # type: ignore[union-attr] # it has one
    assert [each.replayed for each in double.calls] == [False, True]
    headers: Any = again.last_response.headers  # type: ignore[union-attr] # it has one
    assert (headers["idempotent-replayed"], headers["request-id"]) == ("true", first.last_response.headers["request-id"])  # type: ignore[union-attr]
    assert len(double.account.intents) == 1


async def test_a_key_belongs_to_one_endpoint_and_one_body(double: StripeDouble, sdk: StripeClient) -> None:
    first = await create(sdk, "reference")
    with pytest.raises(stripe.IdempotencyError) as other_body:
        await create(sdk, "reference", amount=200)
    with pytest.raises(stripe.IdempotencyError):
        await sdk.v1.payment_intents.cancel_async(first.id, options=key("reference"))
    assert other_body.value.http_status == 400
    assert other_body.value.error is not None
    assert (other_body.value.code, other_body.value.error.type) == (None, "idempotency_error")
    second = await create(sdk, "reference", attempt=2)
    await sdk.v1.payment_intents.cancel_async(second.id, options=key("cancel-it"))
    with pytest.raises(stripe.IdempotencyError):  # the same parameters at another path
        await sdk.v1.payment_intents.cancel_async(first.id, options=key("cancel-it"))
    assert len(double.account.intents) == 2


@pytest.mark.parametrize("key_", ["short:1", "long enough:1", "long-enough", "long-enough:0", "long-enough:x", f"{'a' * 254}:1"])
async def test_a_key_of_another_form_is_refused(double: StripeDouble, sdk: StripeClient, key_: str) -> None:
    with pytest.raises(stripe.IdempotencyError):
        await sdk.v1.payment_intents.create_async({"amount": 100, "currency": "usd"}, {"idempotency_key": key_})
    assert double.account.intents == {}


async def test_the_random_key_that_the_sdk_makes_is_refused(double: StripeDouble, sdk: StripeClient) -> None:
    with pytest.raises(stripe.IdempotencyError):
        await sdk.v1.payment_intents.create_async({"amount": 100, "currency": "usd"})
    assert double.account.intents == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_key_is_in_use_while_its_first_request_runs(double: StripeDouble, sdk: StripeClient, moment: str) -> None:
    go_on = asyncio.Event()
    double.faults.add(CREATE, Fault(before=go_on) if moment == "before" else Fault(after=go_on))
    first = asyncio.create_task(create(sdk, "reference"))
    await until(lambda: double.running[CREATE], "the first request runs")
    assert len(double.account.intents) == (moment == "after")
    if moment == "before":  # after the execution, the result is stored, and a repeat need not wait for the first answer
        with pytest.raises(stripe.APIError) as in_use:
            await create(sdk, "reference")
        assert in_use.value.http_status == 409
        assert in_use.value.error is not None
        assert (in_use.value.code, in_use.value.error.code) == (None, "idempotency_key_in_use")
        go_on.set()
        await first
    second = await create(sdk, "reference")
    go_on.set()
    assert second.id == (await first).id
    assert len(double.account.intents) == 1


async def test_a_definite_failure_is_stored_and_an_invalid_request_is_not(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await create(sdk, "reference")
    pay = {"payment_method": "pm_card_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await sdk.v1.payment_intents.confirm_async(intent.id, pay, key("declined-1"))  # type: ignore[arg-type] # a literal
    assert len(double.account.charges) == 1
    with pytest.raises(stripe.InvalidRequestError):
        await create(sdk, "corrected", amount=1)
    assert (await create(sdk, "corrected", amount=100)).status == "requires_payment_method"


async def test_a_key_is_forgotten_after_a_day(double: StripeDouble, sdk: StripeClient) -> None:
    double.clock.stop()
    first = await create(sdk, "reference")
    double.clock.advance(24 * 3600 - 1)
    assert (await create(sdk, "reference")).id == first.id
    double.clock.advance(1)
    assert (await create(sdk, "reference", amount=300)).id != first.id


@pytest.mark.parametrize("effect", [True, False])
async def test_a_stored_500_is_replayed_whether_it_had_an_effect_or_not(
    double: StripeDouble, sdk: StripeClient, effect: bool  # noqa: FBT001 # a parameter
) -> None:  # fmt: skip
    double.faults.add(CREATE, faults.broken(effect=effect))
    bodies = []
    for _ in range(3):
        with pytest.raises(stripe.APIError) as broken:
            await create(sdk, "reference")
        bodies.append((broken.value.http_status, broken.value.http_body))
    assert set(bodies) == {(500, bodies[0][1])}
    assert len(double.account.intents) == effect
    found = await sdk.v1.payment_intents.list_async()  # a read is the only proof
    assert len(found.data) == effect


@pytest.mark.parametrize(("status", "error"), [
    (401, stripe.AuthenticationError), (403, stripe.PermissionError), (409, stripe.APIError), (429, stripe.RateLimitError),
    (500, stripe.APIError), (503, stripe.APIError),
])  # fmt: skip
async def test_a_refusal_before_the_execution_proves_nothing_and_the_same_key_succeeds_later(
    double: StripeDouble, sdk: StripeClient, status: int, error: type[stripe.StripeError]
) -> None:
    double.faults.add(CREATE, faults.refused(status))
    with pytest.raises(error) as refused:
        await create(sdk, "reference")
    assert (type(refused.value), refused.value.http_status) == (error, status)
    assert double.account.intents == {}
    assert (await create(sdk, "reference")).status == "requires_payment_method"
    assert double.faults.left() == 0


async def test_a_lost_request_had_no_effect_and_a_lost_answer_had_one(double: StripeDouble, sdk: StripeClient) -> None:
    double.faults.add(CREATE, LOST_REQUEST, LOST_ANSWER)
    with pytest.raises(stripe.APIConnectionError) as lost:
        await create(sdk, "reference")
    assert not isinstance(lost.value.__cause__, httpx.ConnectError)  # a read error: the client cannot know
    assert double.account.intents == {}
    with pytest.raises(stripe.APIConnectionError):
        await create(sdk, "reference")
    [made] = double.account.intents
    assert (await create(sdk, "reference")).id == made
    assert [(each.status, each.replayed) for each in double.calls] == [(None, False), (None, False), (200, True)]


async def test_a_double_that_is_down_is_told_from_one_that_loses_answers(double: StripeDouble, sdk: StripeClient) -> None:
    await double.go_down()
    with pytest.raises(stripe.APIConnectionError) as down:
        await create(sdk, "reference")
    assert isinstance(down.value.__cause__, httpx.ConnectError)  # never sent
    await double.start()
    assert (await create(sdk, "reference")).status == "requires_payment_method"


async def test_the_sdk_retries_by_the_header_alone_after_429_and_by_the_status_after_a_conflict(double: StripeDouble) -> None:
    async with client(double, retries=1) as sdk:
        double.faults.add(CREATE, faults.refused(429, should_retry="true"), Fault(), faults.refused(429))
        assert (await create(sdk, "retried-1")).status == "requires_payment_method"
        with pytest.raises(stripe.RateLimitError):
            await create(sdk, "retried-2")
        double.faults.add(CREATE, faults.refused(409))
        assert (await create(sdk, "retried-3")).status == "requires_payment_method"
        double.faults.add(CREATE, faults.broken(effect=True), Fault())
        with pytest.raises(stripe.APIError):  # stored: Stripe-Should-Retry is false
            await create(sdk, "retried-4")
    assert [each.status for each in double.calls] == [429, 200, 429, 409, 200, 500]


async def test_too_many_requests_in_a_second_are_refused_by_operation_and_in_total() -> None:
    double = StripeDouble(limits=Limits(total_per_s=6, operation_per_s=3))
    double.clock.stop()
    await double.start()
    async with client(double) as sdk:
        for _ in range(3):
            await sdk.v1.payment_intents.list_async()
        with pytest.raises(stripe.RateLimitError) as by_operation:
            await sdk.v1.payment_intents.list_async()
        assert by_operation.value.error is not None
        assert by_operation.value.error.code == "rate_limit"
        await sdk.v1.refunds.list_async()
        await sdk.v1.refunds.list_async()
        with pytest.raises(stripe.RateLimitError):
            await sdk.v1.refunds.list_async()
        double.clock.advance(1)
        await sdk.v1.payment_intents.list_async()
    await double.stop()


async def test_one_intent_takes_a_thousand_changes_an_hour() -> None:
    double = StripeDouble(limits=Limits(changes_per_hour=2))
    double.clock.stop()
    await double.start()
    async with client(double) as sdk:
        intent = await create(sdk, "reference")
        for number in range(2):
            await sdk.v1.payment_intents.update_async(intent.id, {"metadata": {"n": str(number)}}, key())
        with pytest.raises(stripe.RateLimitError):
            await sdk.v1.payment_intents.update_async(intent.id, {"metadata": {"n": "3"}}, key())
        double.clock.advance(3600)
        await sdk.v1.payment_intents.update_async(intent.id, {"metadata": {"n": "3"}}, key())
    await double.stop()


@pytest.mark.parametrize("target", ["/v1/nothing", "/v2/core/events", "/", "/v1/payment_intents/pi_1/confirm/more"])
async def test_an_unknown_path_is_refused(double: StripeDouble, target: str) -> None:
    async with httpx.AsyncClient(base_url=double.url, auth=(SECRET_KEY, ""), trust_env=False) as raw:
        answer = await raw.post(target, data={})
    assert (answer.status_code, json.loads(answer.content)["error"]["type"]) == (404, "invalid_request_error")
