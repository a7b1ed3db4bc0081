"""A hostile client that holds as much as it can: open streams, unfinished requests, unread answers, silent connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from mercato.v1 import catalog_pb2
from rest.wire import frame as grpc_frame
from support import http2
from support.rest_client import HOST

STREAMS = 120
"""Calls on one connection; the edge allows a few more."""
LONGEST = "29500m"
"""The `grpc-timeout` of the calls: half a second less than a worker allows."""
READ_BYTES = 65_536


@dataclass
class Hostile:
    """A client with one address."""

    port: int
    source: str = "127.0.0.2"
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    ended: int = 0
    """Connections that the server has closed."""
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def send(self, data: bytes, *, read: bool = True) -> asyncio.StreamWriter | None:
        """Send bytes on a new connection, which stays open; return None if it is refused. Reads what comes back unless told not to."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port, local_addr=(self.source, 0), limit=READ_BYTES)
        except OSError:
            return None
        self.connections.append(writer)
        writer.write(data)
        if read:
            self._tasks.append(asyncio.create_task(self._drain(reader)))
        return writer

    async def call(
        self, path: str, count: int, *, body: bytes = b"", end: bool = False, window: int = http2.WINDOW_MAX, time: str = LONGEST
    ) -> None:
        """Begin gRPC calls with a part of their bodies.

        Args:
            path: the path of the RPC.
            count: how many.
            body: the part of the body that is sent.
            end: whether the request ends with it.
            window: bytes of an answer that are taken.
            time: the `grpc-timeout`.
        """
        fields = (
            *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "shop")),
            *(("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", time)),
        )
        for first in range(0, count, STREAMS):
            await self.send(self._streams(min(STREAMS, count - first), fields, body, end=end, window=window), read=bool(window))

    async def get(self, path: str, count: int) -> None:
        """Begin GET requests whose answers are never read."""
        fields = ((":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop"))
        for first in range(0, count, STREAMS):
            await self.send(self._streams(min(STREAMS, count - first), fields, b"", end=True, window=0), read=False)

    async def dribble(self, requests: Sequence[bytes], seconds: float = 1.0) -> None:
        """Send requests, each on its own connection, and go on with a byte for each from time to time."""
        writers = [writer for request in requests if (writer := await self.send(request))]

        async def go_on() -> None:
            while True:
                await asyncio.sleep(seconds)
                for writer in writers:
                    writer.write(b"x")

        self._tasks.append(asyncio.create_task(go_on()))

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self.connections:
            writer.transport.abort()

    def _streams(self, count: int, fields: Sequence[tuple[str, str]], body: bytes, *, end: bool, window: int) -> bytes:
        begun = [http2.client_preface(window)]
        for number in range(1, 2 * count, 2):
            begun.append(http2.headers(number, fields, end=end and not body))
            if body:
                begun.append(http2.frame(http2.DATA, http2.END_STREAM if end else 0, number, body))
        return b"".join(begun)

    async def _drain(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(READ_BYTES):
                pass
        self.ended += 1


@asynccontextmanager
async def hostile(port: int) -> AsyncIterator[Hostile]:
    """Let a hostile client act during a block."""
    client = Hostile(port)
    try:
        yield client
    finally:
        await client.close()


def message(content: Message) -> bytes:
    """Return a message as gRPC sends it."""
    return grpc_frame(content.SerializeToString())


WATCH = message(health_pb2.HealthCheckRequest())
DESCRIBE = message(reflection_pb2.ServerReflectionRequest(file_containing_symbol="mercato.v1.OrderService"))
PAGE = message(catalog_pb2.ListProductsRequest(page_size=100))
