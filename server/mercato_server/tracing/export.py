"""The start and stop of OpenTelemetry's SDK: spans go to a collector by OTLP over gRPC, in batches, from a thread of its own."""

import asyncio
import threading
import uuid
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from mercato_server.config.trace_settings import TraceSettings
from mercato_server.tracing.spans import TraceIds, Tracer

FLUSH_S = 3.0
"""Time that a stopping worker gives the spans which it has not sent yet. Then it drops them."""
QUIT_S = 1.0
"""Time that the exporter gets to end after that."""
UNNAMED = "unknown_service"
SERVICE = "mercato"


class Export:
    """The tracer of a worker, and the exporter behind it.

    The exporter's queue has a bound (OTEL_BSP_MAX_QUEUE_SIZE, 2,048 spans unless set). While the collector is away or slow, spans beyond
    it are dropped; no call waits.
    """

    def __init__(self, settings: TraceSettings) -> None:
        """Prepare to export, from OTEL_* in the environment; raises ValueError or OSError for a value that the SDK cannot use."""
        self._exporter = OTLPSpanExporter()
        self._processor = BatchSpanProcessor(self._exporter)
        ids = TraceIds()
        provider = TracerProvider(
            ALWAYS_ON,  # the tracer has decided before it begins a span
            _resource(),
            shutdown_on_exit=False,
            id_generator=ids,
            span_limits=SpanLimits(max_span_attribute_length=settings.text_max),
        )
        provider.add_span_processor(self._processor)
        self.tracer = Tracer(settings, provider.get_tracer(SERVICE), ids)

    async def close(self) -> None:
        """Send the remaining spans; returns after FLUSH_S and QUIT_S at the latest."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def flush() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call] # the SDK lacks its type
            with suppress(RuntimeError):  # the event loop is closed: it has waited long enough
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=flush, name="last spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await done.wait()
        if not done.is_set():
            self._exporter.shutdown()  # ends the request under way, and the wait for another try
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIT_S):
                    await done.wait()


def _resource() -> Resource:
    found = Resource.create({SERVICE_INSTANCE_ID: str(uuid.uuid4())})
    is_named = not str(found.attributes[SERVICE_NAME]).startswith(UNNAMED)
    return found if is_named else found.merge(Resource({SERVICE_NAME: SERVICE}))
