"""The layers around every RPC, outermost first: logging, errors, deadline, authentication, parsing, handler.

They are not grpc.aio.ServerInterceptors. grpc.aio runs its interceptors for every call to find the handler, and parses the request outside
of them, so malformed bytes would be answered with UNKNOWN and Python's text. A layer wraps each method once, at start.

An RPC with a stream of the client passes them once, before the first message of the stream is read.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from mercato.rpcs import Rpc
from mercato_server.rpc.context import Context, Metadata, Transport

Answer = bytes
"""The serialized response."""

Request = bytes | AsyncIterator[bytes]
"""The serialized request, or the serialized messages of a client's stream. Only the innermost layer looks into it."""

Call = Callable[[Request, Context], Awaitable[Answer]]
"""An RPC that answers once, to one message or to a stream of them."""


class Method(NamedTuple):
    """An RPC, and how its handler serves it."""

    rpc: Rpc
    asks_for_session: bool
    """Whether the handler's own transaction checks the caller's session (`context.asks_for_session`)."""


Layer = Callable[[Method, Call], Call]
"""Wraps a method; called once for each, at start."""

FromMemory = Callable[[Metadata, float, Transport], None]
"""Is told of each answer from memory: the caller's metadata, the moment (`time.perf_counter`) of the start, and the transport."""


class Layers(NamedTuple):
    """The layers around calls, outermost first, and what is told of the calls that skip them."""

    around: Sequence[Layer]
    from_memory: Callable[[Rpc], FromMemory]
