"""The layers that record the spans of calls; a worker without traces has none of them.

gRPC's own instrumentation by OpenTelemetry is an interceptor, which would lose the details of an error that `abort` sends.
"""

from typing import TYPE_CHECKING, cast

from mercato.rpcs import Rpc
from mercato_server.rpc.context import Context, Metadata, Transport
from mercato_server.rpc.headers import CLIENT_ADDRESS, PROXY_ADDRESS
from mercato_server.rpc.layers import Answer, Call, FromMemory, Layer, Layers, Method, Request

if TYPE_CHECKING:
    from mercato_server.tracing.spans import TracedWork, Tracer


def traced(tracer: "Tracer", layers: Layers, errors: int) -> Layers:
    """Return the layers with those that record a call, if its trace is recorded.

    The outermost one sees how each call ends. Its parts, by name, are the layers after those that enforce deadlines; `errors` is the place
    of the layer of errors, which comes right before them.
    """

    def from_memory(rpc: Rpc) -> FromMemory:
        proceed = layers.from_memory(rpc)

        def answered(received: Metadata, began: float, transport: Transport) -> None:
            if work := tracer.call(rpc.path, received, lambda: peer_of(received, transport), began):
                work.cached()
            proceed(received, began, transport)

        return answered

    before, after = layers.around[: errors + 2], layers.around[errors + 2 :]
    return Layers([_spanned(tracer), *before, _phase("authentication"), *after, _phase("parse")], from_memory)


def _spanned(tracer: "Tracer") -> Layer:
    """Record the span of a call, if its trace is recorded."""

    def layer(method: Method, proceed: Call) -> Call:
        path = method.rpc.path

        async def spanned(request: Request, context: Context) -> Answer:
            work = tracer.call(path, context.received, lambda: peer_of(context.received, context.transport), context.started)
            if work is None:
                return await proceed(request, context)
            context.work = work
            try:
                return await proceed(request, context)
            finally:
                work.answered(context.code.name, context.reason)

        return spanned

    return layer


def _phase(name: str) -> Layer:
    """Let a part of the call begin, which ends when the next one begins."""

    def layer(_method: Method, proceed: Call) -> Call:
        async def marked(request: Request, context: Context) -> Answer:
            begin(context, name)
            return await proceed(request, context)

        return marked

    return layer


def begin(context: Context, name: str) -> None:
    """Let a part of a call begin, if its span is recorded."""
    if context.work.traced:
        cast("TracedWork", context.work).phase(name)


def peer_of(received: Metadata, transport: Transport) -> str:
    """Return the address of the nearest caller that is not the edge; empty if the edge does not tell it."""
    told = {name: value for name, value in received if name in {CLIENT_ADDRESS, PROXY_ADDRESS}}
    if told:
        return str(told.get(PROXY_ADDRESS, ""))
    return transport.peer().partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "")
