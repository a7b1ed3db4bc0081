"""Payment intents and charges of the double, through the official SDK."""

import httpx
import pytest
import stripe
from stripe import PaymentIntent, StripeClient

from support.stripe_double.double import PUBLISHABLE_KEY, StripeDouble
from support.stripe_sdk import client, key

DAY_S = 86_400


async def created(sdk: StripeClient, amount: int = 2_000, capture: str = "automatic_async", currency: str = "usd") -> PaymentIntent:
    return await sdk.v1.payment_intents.create_async(
        {"amount": amount, "currency": currency, "capture_method": capture, "metadata": {"payment_id": "p1"}},
        key(),
    )


async def read(sdk: StripeClient, intent: PaymentIntent) -> PaymentIntent:
    return await sdk.v1.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge.balance_transaction"]})


async def test_a_card_payment_succeeds_and_its_balance_transaction_comes_later(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk)
    assert (intent.status, intent.amount_received, intent.latest_charge, intent.livemode) == ("requires_payment_method", 0, None, False)
    assert double.acts.pay(intent.id) == "succeeded"
    paid = (await read(sdk, intent)).to_dict()
    assert (paid["status"], paid["amount_received"], paid["metadata"]) == ("succeeded", 2_000, {"payment_id": "p1"})
    assert (paid["latest_charge"]["captured"], paid["latest_charge"]["balance_transaction"]) == (True, None)
    double.acts.settle()
    settled = (await read(sdk, intent)).to_dict()["latest_charge"]["balance_transaction"]
    assert (settled["amount"], settled["amount"] - settled["fee"]) == (2_000, settled["net"])
    assert len(double.events.of_kind("charge.updated")) == 1


async def test_a_payment_with_capture_method_automatic_has_its_balance_transaction_at_once(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk, capture="automatic")
    double.acts.pay(intent.id)
    assert (await read(sdk, intent)).to_dict()["latest_charge"]["balance_transaction"]["amount"] == 2_000


async def test_a_declined_card_leaves_the_intent_open_for_another_card(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk)
    assert double.acts.pay(intent.id, "pm_card_visa_chargeDeclinedInsufficientFunds") == "requires_payment_method"
    failed = await read(sdk, intent)
    assert failed.last_payment_error is not None
    assert (failed.last_payment_error.code, failed.last_payment_error.decline_code) == ("card_declined", "insufficient_funds")
    assert failed.to_dict()["latest_charge"]["status"] == "failed"
    assert double.acts.pay(intent.id) == "succeeded"


async def test_a_card_that_needs_confirmation_waits_for_the_buyer(double: StripeDouble, sdk: StripeClient) -> None:
    accepted, refused, declined = [await created(sdk) for _ in range(3)]
    assert double.acts.pay(accepted.id, "pm_card_authenticationRequired") == "requires_action"
    assert double.acts.authenticate(accepted.id) == "succeeded"
    double.acts.pay(refused.id, "pm_card_authenticationRequired")
    assert double.acts.authenticate(refused.id, succeeds=False) == "requires_payment_method"
    double.acts.pay(declined.id, "pm_card_threeDSecureRequiredChargeDeclined")
    assert double.acts.authenticate(declined.id) == "requires_payment_method"


async def test_a_buyer_pays_over_http_with_the_publishable_key_and_the_client_secret(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk)
    secret = {"client_secret": intent.client_secret or ""}
    async with httpx.AsyncClient(base_url=double.url, auth=(PUBLISHABLE_KEY, ""), trust_env=False) as browser:
        pay = {**secret, "payment_method": "pm_card_authenticationRequired"}
        stranger = await browser.post(f"/v1/payment_intents/{intent.id}/confirm", data={**pay, "client_secret": "no"})
        assert stranger.status_code == 400
        waiting = (await browser.post(f"/v1/payment_intents/{intent.id}/confirm", data=pay)).json()
        assert (waiting["status"], "metadata" in waiting, "latest_charge" in waiting) == ("requires_action", False, False)
        page = waiting["next_action"]["redirect_to_url"]["url"]
        assert "play money" in (await browser.get(page)).text.lower()
        assert (await browser.post(page, data={"outcome": "perhaps"})).status_code == 400
        assert (await browser.post(page.split("?")[0], data={"outcome": "succeed"})).status_code == 404
        assert (await browser.post(page, data={"outcome": "succeed"})).text == "The payment is now succeeded.\n"
        assert (await browser.get(f"/v1/payment_intents/{intent.id}", params=secret)).json()["status"] == "succeeded"
        assert (await browser.post("/v1/refunds", data={"payment_intent": intent.id})).json()["error"]["code"] == "secret_key_required"


async def test_a_bank_debit_is_processing_until_it_succeeds_or_fails(double: StripeDouble, sdk: StripeClient) -> None:
    good, bad = await created(sdk), await created(sdk)
    assert double.acts.pay(good.id, "pm_usBankAccount_success") == "processing"
    assert double.acts.pay(bad.id, "pm_usBankAccount_insufficientFunds") == "processing"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.payment_intents.cancel_async(good.id, options=key())
    assert refused.value.code == "payment_intent_unexpected_state"
    double.acts.settle()
    assert [(await read(sdk, each)).status for each in (good, bad)] == ["succeeded", "requires_payment_method"]


async def test_an_authorisation_is_captured_in_part_once_and_the_rest_is_released_without_a_refund(
    double: StripeDouble, sdk: StripeClient
) -> None:
    intent = await created(sdk, capture="manual")
    assert double.acts.pay(intent.id) == "requires_capture"
    held = (await read(sdk, intent)).to_dict()
    charge = held["latest_charge"]
    assert (held["amount_capturable"], held["amount_received"], charge["captured"], charge["amount_captured"]) == (2_000, 0, False, 0)
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 2_001}, key())
    with pytest.raises(stripe.InvalidRequestError):  # several captures need special pricing
        await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 500, "final_capture": False}, key())
    taken = await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 1_500}, key())
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 1_500, 0)
    with pytest.raises(stripe.InvalidRequestError) as second:
        await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 500}, key())
    assert second.value.code == "payment_intent_unexpected_state"
    assert second.value.json_body["error"]["payment_intent"]["status"] == "succeeded"  # type: ignore[index] # the SDK types it as an object
    booked = (await read(sdk, intent)).to_dict()["latest_charge"]
    assert (booked["balance_transaction"]["amount"], booked["amount_refunded"], booked["refunded"]) == (1_500, 0, False)
    assert (await sdk.v1.refunds.list_async({"payment_intent": intent.id})).data == []
    assert not double.events.of_kind("charge.refunded")


async def test_a_canceled_authorisation_has_no_refund_and_takes_nothing_more(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk, capture="manual")
    double.acts.pay(intent.id)
    canceled = await sdk.v1.payment_intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"}, key())
    assert (canceled.status, canceled.cancellation_reason, canceled.amount_capturable) == ("canceled", "abandoned", 0)
    charge = (await read(sdk, intent)).to_dict()["latest_charge"]
    assert (charge["refunded"], charge["amount_captured"], charge["balance_transaction"]) == (False, 0, None)
    for act in (
        sdk.v1.payment_intents.cancel_async(intent.id, options=key()),
        sdk.v1.payment_intents.capture_async(intent.id, options=key()),
        sdk.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"}, key()),
        sdk.v1.payment_intents.update_async(intent.id, {"metadata": {"a": "b"}}, key()),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await act
        assert refused.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize(("method", "off_session", "seconds"), [
    ("pm_card_visa", False, 7 * DAY_S), ("pm_card_visa", True, 4 * DAY_S + 18 * 3600), ("pm_card_mastercard", True, 7 * DAY_S)
])  # fmt: skip
async def test_an_authorisation_lapses_at_the_time_that_its_charge_names(
    double: StripeDouble, sdk: StripeClient, method: str, off_session: bool, seconds: int  # noqa: FBT001 # a parameter
) -> None:  # fmt: skip
    double.clock.stop()
    intent = await created(sdk, capture="manual")
    await sdk.v1.payment_intents.confirm_async(intent.id, {"payment_method": method, "off_session": off_session}, key())
    charge = (await read(sdk, intent)).to_dict()["latest_charge"]
    assert charge["payment_method_details"]["card"]["capture_before"] == charge["created"] + seconds
    double.clock.advance(seconds - 1)
    double.acts.settle()
    assert (await read(sdk, intent)).status == "requires_capture"
    double.clock.advance(1)
    double.acts.settle()
    lapsed = await read(sdk, intent)
    assert (lapsed.status, lapsed.cancellation_reason) == ("canceled", "expired")
    assert [len(double.events.of_kind(kind)) for kind in ("charge.expired", "payment_intent.canceled", "refund.created")] == [1, 1, 0]


async def test_confirming_by_the_secret_key_raises_what_the_issuer_says(sdk: StripeClient) -> None:
    intent = await created(sdk)
    with pytest.raises(stripe.CardError) as declined:
        await sdk.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_chargeDeclined"}, key())
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, declined.value.code, error.decline_code) == (402, "card_declined", "generic_decline")
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await sdk.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_none"}, key())
    assert unknown.value.code == "resource_missing"
    confirmed = await sdk.v1.payment_intents.create_async(
        {"amount": 100, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}, key()
    )
    assert confirmed.status == "succeeded"


async def test_an_intent_changes_until_it_has_money(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk)
    changed = await sdk.v1.payment_intents.update_async(intent.id, {"amount": 900, "metadata": {"payment_id": "", "order": "7"}}, key())
    assert (changed.amount, changed.metadata.to_dict()) == (900, {"order": "7"})
    double.acts.pay(intent.id)
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.payment_intents.update_async(intent.id, {"amount": 901}, key())
    late = await sdk.v1.payment_intents.update_async(intent.id, {"metadata": {"late": "yes"}}, key())
    assert (late.amount, late.metadata.to_dict()) == (900, {"order": "7", "late": "yes"})


@pytest.mark.parametrize(("amount", "currency", "code"), [
    (49, "usd", "amount_too_small"), (29, "gbp", "amount_too_small"), (49, "jpy", "amount_too_small"),
    (100_000_000, "usd", "amount_too_large"),
    (0, "usd", "parameter_invalid_integer"), (-5, "usd", "parameter_invalid_integer"), (150, "isk", "invalid_charge_amount"),
    (150, "ugx", "invalid_charge_amount"), (1_005, "kwd", "invalid_charge_amount"), (1_000, "USD", None),
])  # fmt: skip
async def test_amounts_that_the_currency_cannot_send_are_refused(sdk: StripeClient, amount: int, currency: str, code: str | None) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await created(sdk, amount, currency=currency)
    assert (refused.value.code, refused.value.param) == (code, "amount" if code else "currency")


@pytest.mark.parametrize(
    ("amount", "currency"), [(50, "usd"), (30, "gbp"), (200, "isk"), (10_000, "ugx"), (1_010, "kwd"), (1, "mga"), (50, "jpy")]
)
async def test_amounts_that_the_currency_can_send_are_taken(sdk: StripeClient, amount: int, currency: str) -> None:
    assert (await created(sdk, amount, currency=currency)).amount == amount


async def test_captures_follow_the_currency_too(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await created(sdk, 1_000, "manual", "isk")
    double.acts.pay(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 950}, key())
    assert refused.value.param == "amount_to_capture"


@pytest.mark.parametrize(("params", "code", "param"), [
    ({"amount": 100, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"),
    ({"amount": 100, "currency": "usd", "automatic_payment_methods": {"enabled": True, "colour": "red"}}, "parameter_unknown", "colour"),
    ({"amount": 100}, "parameter_missing", "currency"), ({"amount": "much", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": 100, "currency": "usd", "capture_method": "later"}, None, "capture_method"),
    ({"amount": 100, "currency": "usd", "confirm": True}, "parameter_missing", "payment_method"),
    ({"amount": 100, "currency": "usd", "metadata": {"x" * 41: "y"}}, None, "metadata"),
    ({"amount": 100, "currency": "usd", "metadata": "text"}, None, "metadata"),
    ({"amount": 100, "currency": "usd", "expand": ["colour"]}, None, "expand"),
])  # fmt: skip
async def test_parameters_that_are_unknown_missing_or_invalid_are_refused(
    double: StripeDouble, sdk: StripeClient, params: dict[str, object], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.payment_intents.create_async(params, key())  # type: ignore[arg-type] # wrong by intent
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert double.account.intents == {}


async def test_lists_are_paged_newest_first_within_a_period(double: StripeDouble, sdk: StripeClient) -> None:
    double.clock.stop()
    intents = []
    for _ in range(25):
        intents.append(await created(sdk))
        double.clock.advance(1)
    newest_first = [each.id for each in reversed(intents)]
    page = await sdk.v1.payment_intents.list_async({"limit": 10})
    assert ([each.id for each in page.data], page.has_more) == (newest_first[:10], True)
    last = await sdk.v1.payment_intents.list_async({"limit": 10, "starting_after": newest_first[19]})
    assert ([each.id for each in last.data], last.has_more) == (newest_first[20:], False)
    back = await sdk.v1.payment_intents.list_async({"limit": 5, "ending_before": newest_first[20]})
    assert ([each.id for each in back.data], back.has_more) == (newest_first[15:20], True)
    walked = [each.id async for each in (await sdk.v1.payment_intents.list_async({"limit": 7})).auto_paging_iter()]
    assert walked == newest_first
    period = await sdk.v1.payment_intents.list_async({"created": {"gte": intents[3].created, "lt": intents[6].created}})
    assert [each.id for each in period.data] == newest_first[19:22]
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.payment_intents.list_async({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.payment_intents.list_async({"starting_after": "pi_none"})


async def test_an_unknown_id_a_wrong_key_and_another_version_are_refused(double: StripeDouble, sdk: StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await sdk.v1.payment_intents.retrieve_async("pi_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    async with client(double, api_key="sk_test_other") as stranger, client(double, version="2024-06-20") as elder:
        with pytest.raises(stripe.AuthenticationError):
            await stranger.v1.payment_intents.list_async()
        with pytest.raises(stripe.InvalidRequestError):
            await elder.v1.payment_intents.list_async()
