"""The W3C trace context of the caller, sent with each call (https://www.w3.org/TR/trace-context/)."""

import sys
from functools import cache
from typing import Any

API = "opentelemetry.trace"
HEADERS = frozenset({"traceparent", "tracestate"})


def inject(metadata: list[tuple[str, str | bytes]]) -> None:
    """Add the headers of the current span to a call's metadata; nothing without OpenTelemetry, without a span, or beside the caller's own.

    Baggage is not sent: a shop does not read it, and it may hold anything.
    """
    if API not in sys.modules:  # no part of the program has begun a span
        return
    if any(name in HEADERS for name, _ in metadata):
        return
    found: dict[str, str] = {}
    _propagator().inject(found)
    metadata += found.items()


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
