"""The trace context that the Python client sends."""

import subprocess
import sys

from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from mercato import _tracing

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
