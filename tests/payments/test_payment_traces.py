"""Traces of calls that ask the provider of payments, and of the requests that a worker repeats."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mercato_server.config.settings import Settings
from mercato_server.config.trace_settings import TraceSettings
from mercato_server.database.pool import Pool
from support.collector import Collector, collecting
from support.shop import refusal
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import LOST_ANSWER
from support.stripe_double.wire import Request, Response
from support.till import opened

CREATE = "stripe payment_intents.create"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


@pytest.fixture
def asked(double: StripeDouble, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that the double gets."""
    requests: list[Request] = []
    answer = double._server._answer

    async def keep(request: Request) -> Response | None:
        requests.append(request)
        return await answer(request)

    monkeypatch.setattr(double._server, "_answer", keep)
    return requests


@pytest.mark.parametrize("providers", [frozenset({"tax"}), frozenset({"tax", "stripe"})], ids=["as usual", "told"])
async def test_a_request_to_stripe_is_in_the_trace_of_its_call_and_stripe_hears_of_it_only_if_it_may(
    settings: Settings, pool: "Pool", double: StripeDouble, asked: list[Request], collector: Collector, providers: frozenset[str]
) -> None:
    traced = replace(settings, tracing=TraceSettings(ratio=1.0, providers=providers))
    async with opened(traced, pool, double) as till:
        await till.pay(await till.order())
    [call] = collector.named("mercato.v1.PaymentService/CreatePayment")
    [request] = collector.named(CREATE)
    assert (request.kind, request.trace_id) == ("CLIENT", call.trace_id)
    [created] = [each for each in asked if each.method == "POST" and each.path == "/v1/payment_intents"]
    told = created.fields.get("traceparent", "")
    assert told[:-3] == (f"00-{request.trace_id}-{request.id}" if "stripe" in providers else "")


async def test_a_request_that_a_worker_repeats_is_in_the_trace_of_the_call_that_has_written_it(
    settings: Settings, pool: "Pool", double: StripeDouble, collector: Collector
) -> None:
    async with opened(replace(settings, tracing=TraceSettings(ratio=1.0)), pool, double) as till:
        order = await till.order()
        double.faults.add("payment_intents.create", LOST_ANSWER)
        await refusal(till.pay(order))
        [again] = await collector.until("payment create")
    [call] = collector.named("mercato.v1.PaymentService/CreatePayment")
    assert (again.kind, again.trace_id, again.parent_id) == ("CONSUMER", call.trace_id, call.id)
    assert again.attributes == {"mercato.attempts": 1}
    [first, second] = sorted(collector.named(CREATE), key=lambda span: span.received.start_time_unix_nano)
    assert (first.failed, second.failed) == (True, False)
    assert second.parent_id == again.id
