"""Spans of calls, batches and jobs, and of their statements."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as Maker

from mercato_server.config.trace_settings import TraceSettings
from mercato_server.database.work import Work
from mercato_server.tracing.parents import TRACEPARENT, Caller, caller_of, is_within
from mercato_server.tracing.statements import StatementNames, verb

Attributes = Mapping[str, str | int | bool]
Metadata = Sequence[tuple[str, str | bytes]]

SPANS_MAX = 256
"""Spans below the one of a call, batch or job. Further ones are counted in `mercato.spans_omitted`."""
DRAWN_BITS = (1 << 64) - 1
"""The bits of a trace id that decide on its recording, as in OpenTelemetry's sampler by ratio."""
FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes of gRPC that are errors of a server (OpenTelemetry's conventions for gRPC); others are the caller's."""


class TraceIds(RandomIdGenerator):
    """Gives a new trace the id by which it was chosen."""

    chosen = 0

    def generate_trace_id(self) -> int:
        """Return the id that was chosen."""
        return self.chosen


class Tracer:
    """Decides which calls and jobs have spans, and begins these. Only the event loop of the worker may use it.

    A call without spans costs the decision and no object. The decision of a trace that begins here depends on random bits alone.
    """

    def __init__(self, settings: TraceSettings, maker: Maker, ids: TraceIds) -> None:
        self._maker = maker
        self._ids = ids
        self._follows_parent = settings.follows_parent
        self._bound = round(settings.ratio * (DRAWN_BITS + 1))
        self._proxies = settings.proxies
        self._text_max = settings.text_max
        self._names = StatementNames()
        self.providers = settings.providers

    def call(self, path: str, received: Metadata, peer: Callable[[], str], began: float) -> "TracedWork | None":
        """Return the work of a call that has spans, else None.

        Args:
            path: the RPC, such as `/mercato.v1.CartService/GetCart`.
            received: the caller's metadata.
            peer: returns the address of the caller, on which it depends whether the call continues the caller's trace.
            began: the moment at which the call began, by `time.perf_counter`.
        """
        header = self._header(received) if self._proxies else None
        if header and (caller := caller_of(header)) and is_within(peer(), self._proxies):
            recorded = caller.sampled if self._follows_parent else self._takes(caller.trace_id)
            return self._call(path, began, parent=_remote(caller)) if recorded else None
        if not self._draw():
            return None
        caller = caller_of(self._header(received) or "")
        return self._call(path, began, links=[Link(_context_of(caller))] if caller else ())

    def job(self, name: str, traceparent: str, attributes: Attributes) -> "TracedWork | None":
        """Return the work of a job in the trace of the call that has queued it, or in one of its own; None if it has no spans."""
        caller = caller_of(traceparent)
        if caller is None and not self._draw():
            return None
        span = self.begin(name, SpanKind.CONSUMER, attributes, _remote(caller) if caller else None)
        return TracedWork(self, span, time.time_ns() - time.perf_counter_ns(), in_background=True)

    def begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: Context | None,
        began_ns: int | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        """Begin a span; without a parent, one of a new trace."""
        return self._maker.start_span(
            name, parent if parent is not None else Context(), kind, dict(attributes), links, began_ns, record_exception=False
        )

    def statement(self, text: str, parent: Context, began_ns: int, ended_ns: int, error: BaseException | None) -> None:
        """Record a statement; its arguments are in no attribute."""
        name = self._names.of(text)
        attributes = {"db.system.name": "postgresql", "db.query.summary": name, "db.operation.name": verb(text)}
        attributes["db.query.text"] = text[: self._text_max].strip()
        span = self.begin(name, SpanKind.CLIENT, attributes, parent, began_ns)
        if error is not None:
            _fail(span, error)
        span.end(ended_ns)

    def _call(self, path: str, began: float, parent: Context | None = None, links: Sequence[Link] = ()) -> "TracedWork":
        service, _, method = path.strip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        zero_ns = time.time_ns() - time.perf_counter_ns()
        span = self.begin(path.strip("/"), SpanKind.SERVER, attributes, parent, zero_ns + int(began * 1e9), links)
        return TracedWork(self, span, zero_ns, in_background=False)

    def _draw(self) -> bool:
        """Draw the id of a new trace; return whether that trace is recorded."""
        self._ids.chosen = random.getrandbits(128)
        return self._takes(self._ids.chosen) and self._ids.chosen != 0

    def _takes(self, trace_id: int) -> bool:
        return trace_id & DRAWN_BITS < self._bound

    @staticmethod
    def _header(received: Metadata) -> str | None:
        return next((value for name, value in received if name == TRACEPARENT and isinstance(value, str)), None)


class TracedWork(Work):
    """The work of a call, batch or job whose spans are recorded."""

    __slots__ = ("_here", "_left", "_omitted", "_phase", "_span", "_tracer", "_zero_ns")

    traced = True

    def __init__(self, tracer: Tracer, span: Span, zero_ns: int, *, in_background: bool) -> None:
        """Take the span of the work; `zero_ns` is the time of day at which `time.perf_counter` was 0."""
        super().__init__(in_background=in_background)
        self._tracer = tracer
        self._span = span
        self._zero_ns = zero_ns
        self._phase: Span | None = None
        self._here = set_span_in_context(span, Context())
        self._left = SPANS_MAX
        self._omitted = 0

    @property
    def trace_id(self) -> str:
        """The id of the trace, in hexadecimal."""
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        """The header that names the span of the work."""
        return _header_of(self._span)

    def add(self, statement: str, began: float, ended: float, error: BaseException | None = None) -> None:
        """Count and record a statement."""
        super().add(statement, began, ended)
        if self._may_add():
            self._tracer.statement(statement, self._here, self._ns(began), self._ns(ended), error)

    def phase(self, name: str) -> None:
        """Begin a part of a call; the one before it ends."""
        if self._phase is not None:
            self._phase.end()
        self._phase = self._tracer.begin(name, SpanKind.INTERNAL, {}, set_span_in_context(self._span, Context()))
        self._here = set_span_in_context(self._phase, Context())

    def batch(self, kind: str, members: Sequence[Work | None]) -> Work:
        """Return the work of a batch that serves this call first: its span is below that of this call, and linked with all of them."""
        calls = [each for each in members if isinstance(each, TracedWork)]
        links = [Link(each._span.get_span_context()) for each in calls]  # noqa: SLF001 - of the same class
        attributes: Attributes = {"mercato.batch.kind": kind, "mercato.batch.calls": len(members)}
        span = self._tracer.begin(f"batch of {kind}", SpanKind.INTERNAL, attributes, self._here, None, links)
        for each in calls:
            each._span.add_link(span.get_span_context())  # noqa: SLF001 - of the same class
        in_background = all(each is None or each.in_background for each in members)
        return TracedWork(self._tracer, span, self._zero_ns, in_background=in_background)

    @contextmanager
    def step(self, name: str, provider: str) -> Iterator[dict[str, str]]:
        """Record a request to another server; yield the header by which it can continue the trace, if this provider may hear of it."""
        span = self._tracer.begin(name, SpanKind.CLIENT, {}, self._here)
        try:
            yield {TRACEPARENT: _header_of(span)} if provider in self._tracer.providers else {}
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            span.end()

    def answered(self, code: str, reason: str) -> None:
        """End the span of a call with its code; `reason` names the error, and is empty without one."""
        self._span.set_attribute("rpc.grpc.status_code", code)
        if reason:
            self._span.set_attribute("error.type", reason)
        if code in FAULTS:
            failed = Status(StatusCode.ERROR, reason or code)
            self._span.set_status(failed)
            if self._phase is not None:
                self._phase.set_status(failed)
        self.end()

    def end(self, error: BaseException | None = None) -> None:
        """End the span of the work."""
        if error is not None:
            _fail(self._span, error)
        if self._phase is not None:
            self._phase.end()
        if self._omitted:
            self._span.set_attribute("mercato.spans_omitted", self._omitted)
        self._span.end()

    def cached(self) -> None:
        """End the span of a call that was answered from memory."""
        self._span.set_attribute("mercato.cached", value=True)
        self.answered("OK", "")

    def _may_add(self) -> bool:
        if self._left == 0:
            self._omitted += 1
            return False
        self._left -= 1
        return True

    def _ns(self, moment: float) -> int:
        return self._zero_ns + int(moment * 1e9)


def _context_of(caller: Caller) -> SpanContext:
    return SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=TraceFlags(int(caller.sampled)))


def _remote(caller: Caller) -> Context:
    return set_span_in_context(NonRecordingSpan(_context_of(caller)), Context())


def _header_of(span: Span) -> str:
    found = span.get_span_context()
    return f"00-{format_trace_id(found.trace_id)}-{format_span_id(found.span_id)}-{found.trace_flags:02x}"


def _fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed. Only the class of the error and the code of PostgreSQL are told: its text may hold values."""
    name = type(error).__name__
    span.set_attribute("error.type", name)
    if code := getattr(error, "sqlstate", None):
        span.set_attribute("db.response.status_code", str(code))
    span.set_status(Status(StatusCode.ERROR, name))
