"""A collector of traces: a server of OTLP over gRPC that keeps the spans it gets, and that a test can make slow or stop."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceServicer, add_TraceServiceServicer_to_server
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Received

from support.patience import until

KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in Received.SpanKind.items()}


class Span:
    """A span as the collector got it."""

    def __init__(self, received: Received, resource: dict[str, object]) -> None:
        self.received = received
        self.resource = resource
        self.name = received.name
        self.kind = KINDS[received.kind]
        self.trace_id = received.trace_id.hex()
        self.id = received.span_id.hex()
        self.parent_id = received.parent_span_id.hex()
        self.attributes = {each.key: _value(each.value) for each in received.attributes}
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in received.links]
        self.failed = received.status.code == received.status.STATUS_CODE_ERROR

    @property
    def place(self) -> tuple[str, str]:
        """The ids of its trace and of itself, as links have them."""
        return self.trace_id, self.id

    def __repr__(self) -> str:
        return f"{self.name} {self.attributes}"


class Collector(TraceServiceServicer):
    """The server; `spans` has what has come so far."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.requests: list[bytes] = []
        """Each request as it came."""
        self.metadata: list[dict[str, str]] = []
        self.open = threading.Event()
        """While it is not set, requests are not answered."""
        self.open.set()
        self.port = 0

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - the name of the RPC
        self.metadata.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        self.requests.append(request.SerializeToString())
        self.spans += [
            Span(span, {each.key: _value(each.value) for each in resource.resource.attributes})
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self.open.wait()
        return ExportTraceServiceResponse()

    def named(self, name: str) -> list[Span]:
        """Return the spans with a name."""
        return [span for span in list(self.spans) if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        """Return the children of a span, in the order in which they began."""
        found = [span for span in list(self.spans) if span.parent_id == parent.id and span.trace_id == parent.trace_id]
        return sorted(found, key=lambda span: span.received.start_time_unix_nano)

    async def until(self, name: str, count: int = 1, condition: Callable[[Span], object] = bool) -> list[Span]:
        """Return the spans with a name that fit a condition, once there are this many."""

        def found() -> Sequence[Span]:
            fit = [span for span in self.named(name) if condition(span)]
            return fit if len(fit) >= count else ()

        return list(await until(found, f"{count} spans {name}"))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call] # generated
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        collector.open.set()
        server.stop(None).wait()


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


if __name__ == "__main__":  # for benchmarks: takes spans until it is interrupted
    with collecting() as running:
        print(f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{running.port}", flush=True)  # noqa: T201 - the benchmark's setting
        threading.Event().wait()
