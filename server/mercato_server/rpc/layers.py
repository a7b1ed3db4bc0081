"""What happens around every RPC, outermost first: logging, errors, deadline, authentication, parsing, handler.

These are not grpc.aio.ServerInterceptors: grpc.aio would run each of them anew for every call to find the method's handler, and none of
them sees the request before it is parsed, so malformed bytes would leave as UNKNOWN with Python's text. Here each layer wraps each method
once, at start, and knows its policy from then on.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from google.protobuf.message import Message

from mercato.rpcs import Rpc
from mercato_server.rpc.context import Context

Answer = Message | bytes
"""What a handler returns: a message, or one that is serialized already."""

Unary = Callable[[bytes, Context], Awaitable[Answer]]
"""A unary RPC from the serialized request on."""


class Method(NamedTuple):
    """An RPC, and what its handler says of the way in which it serves it."""

    rpc: Rpc
    asks_for_session: bool
    """Whether its transaction asks if the caller's session is live (`context.asks_for_session`)."""


Layer = Callable[[Method, Unary], Unary]
"""Wraps a method, once, at start."""
