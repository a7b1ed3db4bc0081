"""Events and signed webhooks of the double, verified by the official SDK."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import stripe
from stripe import StripeClient

from support.patience import until
from support.stripe_double.double import StripeDouble
from support.stripe_double.events import API_VERSION
from support.stripe_double.faults import Fault
from support.stripe_double.wire import Request, Response, Server
from support.stripe_sdk import key

SECRETS = ("whsec_new", "whsec_old")


class Receiver:
    """An endpoint that keeps what it is sent, and refuses a number of deliveries first."""

    def __init__(self) -> None:
        self.refuses = 0
        self.taken: list[Request] = []
        self.server = Server(self.answer)

    async def answer(self, request: Request) -> Response:
        if self.refuses:
            self.refuses -= 1
            return Response(500, b"{}")
        self.taken.append(request)
        return Response(200, b"{}")

    def kinds(self) -> list[str]:
        return [json.loads(each.body)["type"] for each in self.taken]


@pytest.fixture
async def receiver(double: StripeDouble) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.server.start()
    double.webhooks.endpoint(f"http://127.0.0.1:{receiver.server.port}/webhooks/payments/stripe", *SECRETS)
    yield receiver
    await double.webhooks.stop()
    await receiver.server.stop()


async def paid(double: StripeDouble, sdk: StripeClient) -> str:
    intent = await sdk.v1.payment_intents.create_async({"amount": 2_000, "currency": "usd"}, key())
    double.acts.pay(intent.id)
    return intent.id


async def test_events_come_in_their_order_signed_with_each_secret(double: StripeDouble, sdk: StripeClient, receiver: Receiver) -> None:
    intent = await paid(double, sdk)
    await double.webhooks.idle()
    assert receiver.kinds() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    for request in receiver.taken:
        header = request.fields["stripe-signature"]
        for secret in SECRETS:
            event = stripe.Webhook.construct_event(request.body, header, secret)
            assert (event.api_version, event.livemode) == (API_VERSION, False)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(request.body, header, "whsec_other")
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(request.body + b" ", header, SECRETS[0])
    assert json.loads(receiver.taken[-1].body)["data"]["object"]["id"] == intent


async def test_an_event_keeps_the_picture_of_its_object(double: StripeDouble, sdk: StripeClient) -> None:
    intent = await paid(double, sdk)
    [event] = (await sdk.v1.events.list_async({"type": "payment_intent.created"})).data
    assert (event.data.object["id"], event.data.object["status"]) == (intent, "requires_payment_method")
    again = await sdk.v1.events.retrieve_async(event.id)
    assert again.to_dict() == event.to_dict()
    assert event.request is not None
    assert event.request.idempotency_key == double.calls[0].key


async def test_events_are_listed_by_kind_period_and_delivery_for_30_days(
    double: StripeDouble, sdk: StripeClient, receiver: Receiver
) -> None:
    double.clock.stop()
    double.webhooks.lose("charge.succeeded")
    receiver.refuses = 1_000
    await paid(double, sdk)
    found = await sdk.v1.events.list_async({"types": ["charge.succeeded", "payment_intent.succeeded"]})
    assert [each.type for each in found.data] == ["payment_intent.succeeded", "charge.succeeded"]
    undelivered = await sdk.v1.events.list_async({"delivery_success": False})
    assert [each.type for each in undelivered.data] == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    double.clock.advance(30 * 86_400 - 1)
    assert len((await sdk.v1.events.list_async({"created": {"gte": 1}})).data) == 3
    double.clock.advance(1)
    assert (await sdk.v1.events.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await sdk.v1.events.retrieve_async(found.data[0].id)


async def test_an_event_that_stripe_never_makes_leaves_only_the_object(double: StripeDouble, sdk: StripeClient, receiver: Receiver) -> None:
    double.events.omit("payment_intent.succeeded")
    intent = await paid(double, sdk)
    await double.webhooks.idle()
    assert receiver.kinds() == ["payment_intent.created", "charge.succeeded"]
    assert (await sdk.v1.events.list_async({"type": "payment_intent.succeeded"})).data == []
    assert (await sdk.v1.payment_intents.retrieve_async(intent)).status == "succeeded"


async def test_webhooks_are_lost_repeated_held_back_and_reordered(double: StripeDouble, sdk: StripeClient, receiver: Receiver) -> None:
    double.webhooks.lose("charge.succeeded")
    double.webhooks.repeat("payment_intent.succeeded", copies=3)
    double.webhooks.hold()
    await paid(double, sdk)
    await double.webhooks.idle()
    assert receiver.taken == []
    double.webhooks.release(reversed)
    await double.webhooks.idle()
    assert receiver.kinds() == [*["payment_intent.succeeded"] * 3, "payment_intent.created"]
    assert len({json.loads(each.body)["id"] for each in receiver.taken}) == 2


async def test_a_refused_delivery_is_repeated_until_it_is_taken(double: StripeDouble, sdk: StripeClient, receiver: Receiver) -> None:
    receiver.refuses = 2
    await paid(double, sdk)
    await double.webhooks.idle()
    assert sorted(receiver.kinds()) == ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
    assert [each.status for each in double.webhooks.sent].count(500) == 2
    assert all(each.pending_webhooks == 0 for each in (await sdk.v1.events.list_async()).data)


async def test_a_webhook_may_be_stale_or_foreign(double: StripeDouble, receiver: Receiver) -> None:
    body = json.dumps({"object": "event", "id": "evt_1", "type": "charge.succeeded", "livemode": True}).encode()
    assert await double.webhooks.send(body, at=double.clock.now() - 301) == 200
    assert await double.webhooks.send(body, secrets=["whsec_other"]) == 200
    [stale, foreign] = receiver.taken
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        stripe.Webhook.construct_event(stale.body, stale.fields["stripe-signature"], SECRETS[0])
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(foreign.body, foreign.fields["stripe-signature"], SECRETS[0])


async def test_a_webhook_comes_before_the_answer_of_its_own_request(double: StripeDouble, sdk: StripeClient, receiver: Receiver) -> None:
    go_on = asyncio.Event()
    double.faults.add("payment_intents.create", Fault(after=go_on))
    creating = asyncio.create_task(sdk.v1.payment_intents.create_async({"amount": 2_000, "currency": "usd"}, key()))
    await until(lambda: receiver.taken, "the webhook is there")
    assert not creating.done()
    go_on.set()
    assert json.loads(receiver.taken[0].body)["data"]["object"]["id"] == (await creating).id
