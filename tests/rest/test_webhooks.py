"""Notices of Stripe over HTTP: through the edge, to a worker, into the table of notices, and from there to the order."""

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from support.mercato_up import Up, created, running
from support.patience import patient, until_sync
from support.rest_client import HOST, Client, Reply
from support.stripe_double.webhooks import signature
from support.stripe_thread import OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, PlayedStripe, played_stripe

PATH = "/webhooks/payments/stripe"
LONGEST = 512 * 1024
JSON = "application/json; charset=utf-8"
"""The type that Stripe sends."""
_numbers = itertools.count(1)

Fetch = Callable[..., list[Any]]
"""Runs a query with values in the shop's database."""


@pytest.fixture(scope="module")
def stripe() -> Iterator[PlayedStripe]:
    with played_stripe() as played:
        yield played


@pytest.fixture(scope="module")
def shop_up(stripe: PlayedStripe) -> Iterator[Up]:
    """A shop that takes payments, with limits on the rate of requests that a burst of notices exceeds."""
    limits = {"MERCATO_RATE_LIMITS": "on", "MERCATO_REQUESTS_PER_SECOND": "30", "MERCATO_CREDENTIALS_PER_MINUTE": "20"}
    with running(**limits, **stripe.environ) as up:
        stripe.double.webhooks.endpoint(f"{up.base}{PATH}", WEBHOOK_SECRET)
        yield up


@pytest.fixture(scope="module")
def fetch(shop_up: Up) -> Iterator[Fetch]:
    """Run a query in the shop's database."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(shop_up.database))
        yield lambda query, *values: [tuple(row) for row in runner.run(connection.fetch(query, *values))]
        runner.run(connection.close())


def notice(**changes: Any) -> dict[str, Any]:
    """Return a new event about a payment that the shop does not have; a field of None is left out."""
    event = {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "created": int(time.time()),
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_of_another_shop", "object": "payment_intent"}},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def post(up: Up, body: bytes, header: str | None = None, content_type: str = JSON, path: str = PATH) -> Reply:
    """Post bytes, signed well unless a header is given; an empty header is not sent."""
    header = signature(body, [WEBHOOK_SECRET], int(time.time())) if header is None else header
    return up.anyone.send("POST", path, body, [("content-type", content_type), *([("stripe-signature", header)] if header else [])])


def post_chunks(up: Up, chunks: Sequence[bytes]) -> Reply:
    """Post a body without a length."""
    header = signature(b"".join(chunks), [WEBHOOK_SECRET], int(time.time()))
    connection = http.client.HTTPConnection(HOST, up.port, timeout=patient())
    headers = {"content-type": JSON, "stripe-signature": header, "transfer-encoding": "chunked"}
    connection.request("POST", PATH, body=iter(chunks), headers=headers, encode_chunked=True)
    with connection.getresponse() as response:
        reply = Reply(response.status, response.headers, response.read())
    connection.close()
    return reply


def taken(reply: Reply) -> None:
    assert (reply.status, reply.json) == (200, {}), reply


def refused(reply: Reply, status: int = 400, reason: str = "WEBHOOK_INVALID") -> None:
    assert (reply.status, reply.reason) == (status, reason), reply


def stored(fetch: Fetch, *events: dict[str, Any]) -> int:
    """Return how many rows some notices have."""
    ids = {event["id"] for event in events}
    return sum(found in ids for (found,) in fetch("SELECT event_id FROM provider_events"))


def pay(up: Up, buyer: Client) -> tuple[str, str]:
    """Order something and open its payment; return the id of the order and the reference at Stripe."""
    order_id = up.order(buyer)["id"]
    opened = created(buyer.post(f"/v1/orders/{order_id}/payments", {}))
    reference = str(opened["payment"]["provider_ref"])
    assert opened["client_secret"].startswith(f"{reference}_secret_")
    return order_id, reference


def test_an_order_is_paid_by_the_notices_that_stripe_posts(shop_up: Up, stripe: PlayedStripe, fetch: Fetch) -> None:
    buyer = shop_up.buyer()
    order_id, reference = pay(shop_up, buyer)
    assert stripe.do(lambda double: double.acts.pay(reference)) == "succeeded"
    stripe.idle()
    sent = [each for each in stripe.double.webhooks.sent if each.kind.startswith(("payment_intent.", "charge."))]
    assert sent
    assert {each.status for each in sent} == {200}
    assert len(fetch("SELECT FROM provider_events WHERE provider_ref = $1", reference)) >= 2
    until_sync(lambda: buyer.get(f"/orders/{order_id}").json["status"] == "ORDER_STATUS_PAID", "the order is paid")
    [payment] = buyer.get(f"/v1/orders/{order_id}/payments").json["payments"]
    assert (payment["state"], payment["captured"]["minor_units"]) == ("PAYMENT_STATE_CAPTURED", payment["amount"]["minor_units"])


def test_an_event_that_is_doubled_is_stored_once(shop_up: Up, fetch: Fetch) -> None:
    event = notice()
    body = json.dumps(event).encode()
    with ThreadPoolExecutor(8) as pool:
        for reply in pool.map(lambda _: post(shop_up, body), range(8)):
            taken(reply)
    taken(post(shop_up, body))
    assert stored(fetch, event) == 1


def spaced(event: dict[str, Any]) -> bytes:
    return b"\r\n \t" + json.dumps(event, indent=3).replace("\n", "\r\n").encode() + b" \n\n"


def foreign_letters(event: dict[str, Any]) -> bytes:
    return json.dumps(event | {"note": "Größe 日本 🎈 e\u0301 \u2028"}, ensure_ascii=False).encode()


def escaped(event: dict[str, Any]) -> bytes:
    return json.dumps(event | {"note": "Größe 日本 🎈 \0 </script>"}).replace("/", "\\/").encode()


def odd_numbers(event: dict[str, Any]) -> bytes:
    return json.dumps(event).replace("}", ', "twice": 1, "twice": 1.50, "large": 12345678901234567890123, "small": -0.0e-0}', 1).encode()


@pytest.mark.parametrize("written", [spaced, foreign_letters, escaped, odd_numbers])
def test_the_bytes_reach_the_worker_as_they_were_sent(shop_up: Up, fetch: Fetch, written: Callable[[dict[str, Any]], bytes]) -> None:
    """The signature is of the bytes, so an event whose bytes had changed on their way would be refused."""
    event = notice()
    taken(post(shop_up, written(event)))
    assert stored(fetch, event) == 1


@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'])
def test_each_spelling_of_the_type_is_taken(shop_up: Up, fetch: Fetch, content_type: str) -> None:
    event = notice()
    taken(post(shop_up, foreign_letters(event), content_type=content_type))
    assert stored(fetch, event) == 1


def test_a_body_in_chunks_is_taken(shop_up: Up, fetch: Fetch) -> None:
    event = notice()
    body = foreign_letters(event)
    taken(post_chunks(shop_up, [body[start : start + 7] for start in range(0, len(body), 7)]))
    assert stored(fetch, event) == 1


def test_each_of_two_secrets_signs(shop_up: Up, fetch: Fetch) -> None:
    events = [notice() for _ in range(2)]
    for event, secrets in zip(events, ([OLD_WEBHOOK_SECRET], ["whsec_of_another", WEBHOOK_SECRET]), strict=True):
        body = json.dumps(event).encode()
        taken(post(shop_up, body, signature(body, secrets, int(time.time()))))
    assert stored(fetch, *events) == 2


BAD_BODIES = {
    "nothing": b"",
    "no UTF-8": b'{"id": "evt_\xff"}',
    "UTF-16": '{"id": "evt_utf_16"}'.encode("utf-16"),
    "no JSON": b"{nope",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "no fields": b"{}",
    "deep": b"[" * 100_000,
    "another object": json.dumps(notice(object="customer")).encode(),
    "no id": json.dumps(notice(id=None)).encode(),
    "a long id": json.dumps(notice(id="evt_" + "x" * 300)).encode(),
    "no mode": json.dumps(notice(livemode="false")).encode(),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in BAD_BODIES.items()])
def test_bytes_that_are_no_event_are_refused_though_they_are_signed(shop_up: Up, fetch: Fetch, body: bytes) -> None:
    before = fetch("SELECT count(*) FROM provider_events")
    refused(post(shop_up, body))
    assert fetch("SELECT count(*) FROM provider_events") == before


BODY = json.dumps(notice()).encode()
BAD_SIGNATURES: dict[str, Callable[[], str]] = {
    "none": lambda: "",
    "garbage": lambda: "x" * 8_000,
    "another secret": lambda: signature(BODY, ["whsec_of_another"], int(time.time())),
    "other bytes": lambda: signature(BODY + b" ", [WEBHOOK_SECRET], int(time.time())),
    "stale": lambda: signature(BODY, [WEBHOOK_SECRET], int(time.time()) - 302),
    "no time": lambda: signature(BODY, [WEBHOOK_SECRET], int(time.time())).partition(",")[2],
    "two times": lambda: f"t=1,{signature(BODY, [WEBHOOK_SECRET], int(time.time()))}",
    "another scheme": lambda: signature(BODY, [WEBHOOK_SECRET], int(time.time())).replace("v1=", "v2="),
}


@pytest.mark.parametrize("header", [pytest.param(make, id=name) for name, make in BAD_SIGNATURES.items()])
def test_a_forged_or_stale_signature_is_refused(shop_up: Up, fetch: Fetch, header: Callable[[], str]) -> None:
    before = fetch("SELECT count(*) FROM provider_events")
    refused(post(shop_up, BODY, header()))
    assert fetch("SELECT count(*) FROM provider_events") == before


def test_a_signature_from_the_future_is_taken_because_clocks_differ(shop_up: Up, fetch: Fetch) -> None:
    event = notice()
    body = json.dumps(event).encode()
    taken(post(shop_up, body, signature(body, [WEBHOOK_SECRET], int(time.time()) + 600)))
    assert stored(fetch, event) == 1


@pytest.mark.parametrize("change", [{"livemode": True}, {"account": "acct_1"}, {"type": "customer.created"}], ids=str)
def test_an_event_that_is_not_about_the_shop_is_answered_and_not_stored(shop_up: Up, fetch: Fetch, change: dict[str, Any]) -> None:
    event = notice(**change)
    taken(post(shop_up, json.dumps(event).encode()))
    assert stored(fetch, event) == 0


def test_the_longest_body_is_taken_and_one_byte_more_is_not(shop_up: Up, fetch: Fetch) -> None:
    longest, longer = notice(), notice()
    taken(post(shop_up, json.dumps(longest).encode().ljust(LONGEST)))
    refused(post(shop_up, json.dumps(longer).encode().ljust(LONGEST + 1)), 413, "REQUEST_TOO_LARGE")
    refused(post_chunks(shop_up, [json.dumps(longer).encode(), *[b" " * 1_000] * (LONGEST // 1_000 + 1)]), 413, "REQUEST_TOO_LARGE")
    assert stored(fetch, longest, longer) == 1


def test_other_requests_for_the_path_are_refused_as_everywhere(shop_up: Up) -> None:
    got = shop_up.anyone.get(PATH)
    refused(got, 405, "METHOD_NOT_ALLOWED")
    assert got.headers["allow"] == "POST"
    refused(post(shop_up, BODY, content_type="text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")
    refused(post(shop_up, BODY, path=f"{PATH}?x=1"), 400, "INVALID_FIELD")
    refused(post(shop_up, BODY, path="/webhooks/payments/paypal"))
    encoded = [("content-type", JSON), ("content-encoding", "gzip"), ("stripe-signature", "x")]
    refused(shop_up.anyone.send("POST", PATH, BODY, encoded), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_token_changes_nothing(shop_up: Up, fetch: Fetch) -> None:
    event = notice()
    body = json.dumps(event).encode()
    headers = [
        ("content-type", JSON),
        ("stripe-signature", signature(body, [WEBHOOK_SECRET], int(time.time()))),
        ("authorization", "Bearer x"),
    ]
    taken(shop_up.anyone.send("POST", PATH, body, headers))
    assert stored(fetch, event) == 1


def test_a_shop_without_stripe_refuses_all_notices(plain_up: Up) -> None:
    refused(post(plain_up, BODY))


def test_a_burst_of_notices_passes_where_other_requests_are_limited(shop_up: Up, fetch: Fetch) -> None:
    """Stripe sends from few addresses, and repeats a refused event only after a pause."""
    events = [notice() for _ in range(150)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda event: post(shop_up, json.dumps(event).encode()), events))
        others = list(pool.map(lambda _: shop_up.anyone.get("/categories"), range(150)))
    for reply in replies:
        taken(reply)
    assert stored(fetch, *events) == 150
    assert {reply.status for reply in others} == {200, 429}
