"""The layers around every RPC, outermost first: logging, errors, deadline, authentication, parsing, handler.

They are not grpc.aio.ServerInterceptors. grpc.aio runs its interceptors for every call to find the handler, and parses the request outside
of them, so malformed bytes would be answered with UNKNOWN and Python's text. A layer wraps each method once, at start.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mercato.rpcs import Rpc
from mercato_server.rpc.context import Context

Answer = bytes
"""The serialized response."""

Unary = Callable[[bytes, Context], Awaitable[Answer]]
"""A unary RPC that takes the serialized request."""


class Method(NamedTuple):
    """An RPC, and how its handler serves it."""

    rpc: Rpc
    asks_for_session: bool
    """Whether the handler's own transaction checks the caller's session (`context.asks_for_session`)."""


Layer = Callable[[Method, Unary], Unary]
"""Wraps a method; called once for each, at start."""
