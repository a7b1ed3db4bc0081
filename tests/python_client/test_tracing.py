"""The trace context that the Python client sends."""

import asyncio
import subprocess
import sys

from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from mercato import AsyncClient, Client, _tracing
from mercato_server.config.settings import Settings
from mercato_server.worker import running
from rpc.test_call_log import TRACE, at_level, lines_of
from support.shop import CALL_S

SPAN = NonRecordingSpan(
    SpanContext(
        0x4BF92F3577B34DA6A3CE929D0E0E4736,
        0x00F067AA0BA902B7,
        is_remote=False,
        trace_flags=TraceFlags(1),
        trace_state=TraceState([("a", "1")]),
    )
)
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_call_within_a_span_names_it() -> None:
    metadata: list[tuple[str, str | bytes]] = [("x-request-id", "1")]
    with trace.use_span(SPAN):
        _tracing.inject(metadata)
    assert metadata == [("x-request-id", "1"), ("traceparent", PARENT), ("tracestate", "a=1")]


def test_a_call_outside_of_a_span_names_none() -> None:
    metadata: list[tuple[str, str | bytes]] = []
    _tracing.inject(metadata)
    assert metadata == []


def test_a_caller_that_names_its_span_itself_is_left_alone() -> None:
    metadata: list[tuple[str, str | bytes]] = [("traceparent", "00-1-2-00")]
    with trace.use_span(SPAN):
        _tracing.inject(metadata)
    assert metadata == [("traceparent", "00-1-2-00")]


def test_baggage_stays_with_the_caller() -> None:
    metadata: list[tuple[str, str | bytes]] = []
    token = context.attach(baggage.set_baggage("email", "jo@example.com"))
    try:
        with trace.use_span(SPAN):
            _tracing.inject(metadata)
    finally:
        context.detach(token)
    assert [name for name, _ in metadata] == ["traceparent", "tracestate"]


def test_a_program_without_opentelemetry_never_loads_it() -> None:
    source = (
        "import sys; from mercato import _tracing; _tracing.inject([]); print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_the_log_of_the_shop_has_the_trace_of_the_callers_span(settings: Settings) -> None:
    def visit(target: str) -> None:
        with Client(target, timeout=CALL_S) as shop:
            shop.catalog.list_products().page()

    with at_level("info") as entries, trace.use_span(SPAN):
        async with running(settings) as (_, [port]), AsyncClient(f"127.0.0.1:{port}", timeout=CALL_S) as shop:
            await shop.shop.get_shop()
            await asyncio.to_thread(visit, f"127.0.0.1:{port}")  # the thread has a copy of the context
    calls = {call["method"].rpartition("/")[2]: call.get("trace_id") for call in lines_of(entries)}
    assert calls == {"GetShop": TRACE, "ListProducts": TRACE}
