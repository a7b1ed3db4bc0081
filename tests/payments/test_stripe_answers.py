"""Requests as they leave, and answers that are not as Stripe documents them, at a server that answers any bytes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import pytest
from stripe import _api_version

from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.config.settings import Settings
from mercato_server.payments.provider import Certainty, ProviderError
from mercato_server.payments.stripe_connection import ANSWER_BYTES_MAX, API_VERSION
from mercato_server.payments.stripe_provider import StripeProvider
from mercato_server.worker import running
from support.stripe_double import events
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble
from support.stripe_double.wire import HOST, Request, Response, Server
from support.stripe_shop import create, key, provider_at, settings_of


class Office:
    """A server whose answer a test sets."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Response] = lambda _: Response(200, b"{}")
        self.server = Server(self._answer)

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    await office.server.start()
    yield office
    await office.server.stop()


@pytest.fixture
async def provider(office: Office) -> AsyncIterator[StripeProvider]:
    async with provider_at(f"http://{HOST}:{office.server.port}") as provider:
        yield provider


INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1_000,
    "amount_capturable": 0,
    "amount_received": 0,
    "client_secret": "pi_1_secret_2",
    "created": 1_700_000_000,
    "currency": "usd",
    "latest_charge": None,
    "metadata": {},
    "status": "requires_payment_method",
}


@pytest.mark.parametrize("status", [200, 302, 400, 402, 404, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b"{",
        b"\xff\xfe",
        b"{}",
        b'{"error": "text"}',
        b'{"error": null}',
        b'{"error": []}',
        b'{"error": {"type": 1, "code": {}, "param": []}}',
        b'{"object": "payment_intent"}',
        b'{"object": ["list"], "data": 3}',
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"amount": ' + b"9" * 5_000 + b"}",
    ],
)
async def test_an_answer_of_another_shape_proves_nothing(provider: StripeProvider, office: Office, status: int, body: bytes) -> None:
    office.answer = lambda _: Response(status, body)
    now = datetime.now(UTC)
    for act in (
        create(provider),
        provider.read("pi_1"),
        provider.client_secret("pi_1"),
        provider.find(uuid4(), now),
        provider.refund(key(), "pi_1", uuid4(), 100),
        provider.cancel(key(), "pi_1"),
        provider.capture(key(), "pi_1", 100),
    ):
        with pytest.raises(ProviderError) as failed:
            await act
        assert failed.value.certainty is Certainty.UNKNOWN
        assert len(str(failed.value)) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", ""),
        ("amount", "1000"),
        ("amount", 10.5),
        ("amount", True),
        ("amount", -1),
        ("amount_received", None),
        ("currency", "US"),
        ("created", -1),
        ("created", 10**15),
        ("status", None),
        ("status", {"a": 1}),
        ("latest_charge", {"status": "succeeded"}),
    ],
)
async def test_a_payment_with_an_unusable_field_is_no_fact(provider: StripeProvider, office: Office, field: str, value: object) -> None:
    office.answer = lambda _: Response(200, json.dumps(INTENT).encode())
    assert (await provider.read("pi_1")).amount_minor == 1_000
    office.answer = lambda _: Response(200, json.dumps(INTENT | {field: value}).encode())
    with pytest.raises(ProviderError) as failed:
        await provider.read("pi_1")
    assert (failed.value.code, failed.value.certainty) == ("unusable_answer", Certainty.UNKNOWN)


async def test_an_endless_list_is_no_list(provider: StripeProvider, office: Office) -> None:
    office.answer = lambda _: Response(200, b'{"object": "list", "data": [], "has_more": true}')
    with pytest.raises(ProviderError, match="unusable_answer"):
        await provider.find(uuid4(), datetime.now(UTC))


async def test_an_answer_that_is_too_large_is_not_read_further(provider: StripeProvider, office: Office) -> None:
    padding = "x" * (ANSWER_BYTES_MAX - len(json.dumps(INTENT | {"description": ""})))
    office.answer = lambda _: Response(200, json.dumps(INTENT | {"description": padding}).encode())
    assert (await provider.read("pi_1")).provider_ref == "pi_1"
    office.answer = lambda _: Response(200, json.dumps(INTENT | {"description": padding + "x"}).encode())
    with pytest.raises(ProviderError) as failed:
        await provider.read("pi_1")
    assert (failed.value.code, failed.value.certainty) == ("answer_too_large", Certainty.UNKNOWN)


async def test_pages_that_are_too_large_are_asked_for_in_smaller_ones(provider: StripeProvider, office: Office) -> None:
    intents = [INTENT | {"id": f"pi_{number}", "description": "x" * 100_000} for number in range(50)]
    limits = []

    def page(request: Request) -> Response:
        query = parse_qs(request.query)
        limits.append(int(query["limit"][0]))
        start = int(query["starting_after"][0].removeprefix("pi_")) + 1 if "starting_after" in query else 0
        data = intents[start : start + limits[-1]]
        return Response(200, json.dumps({"object": "list", "data": data, "has_more": start + len(data) < len(intents)}).encode())

    office.answer = page
    now = datetime.now(UTC)
    found = [each.provider_ref async for page in provider.payments(now, now) for each in page]
    assert found == [each["id"] for each in intents]
    assert limits == [100, 25, 6, *[6] * 8]


async def test_a_request_has_the_version_and_the_key_and_says_nothing_about_the_machine(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)  # telemetry would write there
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a proxy that does not answer
    office.answer = lambda _: Response(200, json.dumps(INTENT).encode(), {"stripe-notice": "an advice"})
    async with provider_at(f"http://{HOST}:{office.server.port}") as provider:
        its_key = key()
        for _ in range(2):
            await provider.cancel(its_key, "pi_1")
        await provider.read("pi_1")
    change, _, read = office.requests
    assert change.fields["authorization"] == f"Bearer {SECRET_KEY}"
    assert change.fields["stripe-version"] == read.fields["stripe-version"] == API_VERSION
    assert change.fields["idempotency-key"] == its_key
    assert "idempotency-key" not in read.fields
    for request in office.requests:
        assert "x-stripe-client-telemetry" not in request.fields
        assert not {"platform", "telemetry_id"} & set(json.loads(request.fields["x-stripe-client-user-agent"]))
    assert (change.method, change.path, change.body) == ("POST", "/v1/payment_intents/pi_1/cancel", b"")


def test_the_version_is_that_of_the_sdk_and_of_the_double() -> None:
    assert _api_version._ApiVersion.CURRENT == events.API_VERSION == API_VERSION


async def test_an_error_shows_no_text_that_may_be_about_a_buyer(provider: StripeProvider, office: Office) -> None:
    secret = "jo@example.com"
    error = {"type": "card_error", "code": "card_declined", "message": secret, "param": secret, "doc_url": secret, "charge": secret}
    office.answer = lambda _: Response(402, json.dumps({"error": error}).encode(), {"request-id": "req_1"})
    with pytest.raises(ProviderError) as failed:
        await create(provider)
    assert str(failed.value) == "card_declined: card_error, status 402, request req_1"
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    office.answer = lambda _: Response(
        402, json.dumps({"error": error | {"code": secret, "type": secret}}).encode(), {"request-id": secret}
    )
    with pytest.raises(ProviderError) as failed:
        await create(provider)
    assert str(failed.value) == "http_402: status 402"


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0", 0.0), ("99999", 3600.0), ("soon", None), ("-1", None), ("", None), (None, None)]
)
async def test_the_pause_that_an_answer_asks_for_is_bounded(
    provider: StripeProvider, office: Office, value: str | None, seconds: float | None
) -> None:
    office.answer = lambda _: Response(503, b'{"error": {"type": "api_error"}}', {} if value is None else {"retry-after": value})
    with pytest.raises(ProviderError) as failed:
        await create(provider)
    assert (failed.value.certainty, failed.value.retry_after_s) == (Certainty.UNKNOWN, seconds)


PROGRAM = """
import asyncio, logging, sys, uuid
from mercato_server.config.payment_settings import StripeSettings
from mercato_server.payments.stripe_provider import StripeProvider
from mercato_server.worker import running

async def main():
    provider = StripeProvider(StripeSettings(secret_key=sys.argv[2], publishable_key=sys.argv[3], url=sys.argv[1]), "USD")
    await provider.create("0123456789:1", uuid.uuid4(), uuid.uuid4(), 100, "USD", capture_later=False)
    await provider.close()

logging.basicConfig(level=logging.DEBUG)
asyncio.run(main())
"""


async def test_neither_the_log_of_the_sdk_nor_that_of_a_library_has_a_secret() -> None:
    double = StripeDouble()
    await double.start()
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        double.url,
        SECRET_KEY,
        PUBLISHABLE_KEY,
        env={**os.environ, "STRIPE_LOG": "debug"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await program.communicate()
    assert program.returncode == 0, printed
    [intent] = double.account.intents.values()
    assert intent.client_secret.encode() not in printed
    assert SECRET_KEY.encode() not in printed
    await double.stop()


async def test_a_shop_without_a_key_does_not_load_the_sdk() -> None:
    check = "import sys, mercato_server.worker; sys.exit('stripe' in sys.modules or 'httpx' in sys.modules)"
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", check)
    assert await program.wait() == 0


async def test_a_worker_with_a_key_has_the_provider_until_it_stops(settings: Settings, office: Office) -> None:
    office.answer = lambda _: Response(200, json.dumps(INTENT).encode())
    stripe = settings_of(f"http://{HOST}:{office.server.port}")
    async with running(replace(settings, payments=PaymentSettings(stripe=stripe))) as (worker, _):
        provider = worker.parts.payments
        assert provider is not None
        assert (provider.name, await provider.client_secret("pi_1")) == ("stripe", "pi_1_secret_2")
    with pytest.raises(RuntimeError, match="closed"):
        await provider.client_secret("pi_1")
