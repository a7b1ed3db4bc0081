"""Requests that come as a stream: a body in pieces, which no worker holds as a whole.

The layers pass such a call once, before its first message is read. From then on this module bounds what its client sends and how long a
piece may take. A call counts like any other, and each client has few of them at the same time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from google.api.httpbody_pb2 import HttpBody

from mercato.rpcs import Rpc
from mercato_server.config.holding import Holding
from mercato_server.domain.errors import RequestTooLarge, StreamIdle, StreamTooLong, TooManyStreams
from mercato_server.domain.networks import network_of
from mercato_server.rpc.callers import Places
from mercato_server.rpc.context import Context
from mercato_server.rpc.headers import CLIENT_ADDRESS, ORIGINAL_PATH
from mercato_server.rpc.layers import Answer, Call, Request
from mercato_server.rpc.rest import Read

ENVELOPE_BYTES = 256
"""Bytes of a message that are not counted beside its piece of the body: those that the edge adds to the first one of a REST request."""

Answered = Callable[[Any, Context], Awaitable[Answer]]
"""A method that takes the parsed request, or an iterator of the parsed messages of a stream, and gives the serialized answer."""


class ClientStreams:
    """Bounds the streams of clients at a worker."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._places = Places(holding.uploads_per_client)

    def bounded(self, rpc: Rpc, read: Read, handle: Answered) -> Call:
        """Return a call that gives its messages to `handle`, one after the other, each when it is asked for."""
        body = body_field(rpc)

        async def streamed(request: Request, context: Context) -> Answer:
            pieces = cast("AsyncIterator[bytes]", request)
            caller = network_of(context.metadata(CLIENT_ADDRESS) or "")
            if not self._places.take(caller):
                raise TooManyStreams(self._holding.uploads_per_client)
            try:
                return await handle(self._messages(rpc, read, body, pieces, context), context)
            finally:
                self._places.free(caller)

        return streamed

    async def _messages(self, rpc: Rpc, read: Read, body: str, pieces: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        """Yield the messages; raises StreamIdle, StreamTooLong, RequestTooLarge or InvalidRequest."""
        path, most = context.metadata(ORIGINAL_PATH), rpc.policy.max_request_bytes
        taken = length = 0
        while (piece := await self._next(pieces)) is not None:
            taken += 1
            if taken > self._holding.upload_pieces:
                raise StreamTooLong(self._holding.upload_pieces)
            message: Any = read(piece, path)
            length += max(len(getattr(message, body).data), len(piece) - ENVELOPE_BYTES)
            if length > most:
                raise RequestTooLarge(length, most)
            yield message

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Wait for the next message of the client; None at the end of the stream."""
        scope = asyncio.timeout(self._holding.upload_idle_s)
        try:
            async with scope:
                return await anext(pieces, None)
        except TimeoutError:
            if scope.expired():
                raise StreamIdle(self._holding.upload_idle_s) from None
            raise


def body_field(rpc: Rpc) -> str:
    """Return the name of the field with the pieces of the body; raises ValueError unless the RPC has one, and bounds its bytes and time."""
    names = [field.name for field in rpc.request_type.DESCRIPTOR.fields if field.message_type is HttpBody.DESCRIPTOR]
    if len(names) != 1 or not rpc.policy.max_request_bytes or not rpc.policy.timeout_ms:
        raise ValueError(f"{rpc.path} streams; its request must have one google.api.HttpBody, its policy max_request_bytes and timeout_ms")
    return names[0]
