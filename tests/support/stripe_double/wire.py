"""HTTP/1.1 of the double: requests and responses over kept connections, and connections that close without an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import socket
from urllib.parse import unquote

HOST = "127.0.0.1"
BODY_MAX = 1 << 20


@dataclass(frozen=True)
class Request:
    """A request; the names of its header fields are in lower case."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int
    body: bytes
    fields: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return all bytes of the response."""
        own = {"content-type": "application/json", **self.fields, "content-length": str(len(self.body))}
        head = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{name}: {value}" for name, value in own.items())]
        return "\r\n".join((*head, "", "")).encode() + self.body


Answer = Callable[[Request], Awaitable[Response | None]]
"""Returns the response to a request; none closes the connection."""


class Server:
    """A server on a loopback port, or on a socket that listens already."""

    def __init__(self, answer: Answer, port: int = 0, listener: socket | None = None) -> None:
        self._answer, self.port, self._listener = answer, port, listener
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; port 0 becomes a free one, and stays for the next start."""
        if self._listener:
            self._server = await asyncio.start_server(self._serve, sock=self._listener)
        else:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
            for connection in self._open:
                connection.cancel()
            await asyncio.gather(*self._open)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._open.add(connection)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):  # `stop` cancels
            while (request := await _read(reader)) and (response := await self._answer(request)):
                writer.write(response.encode())
                await writer.drain()
        self._open.discard(connection)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; none if it is not one that the double reads."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if head[0].count(" ") != 2:
        return None
    method, target, _ = head[0].split(" ")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    length = fields.get("content-length", "0")
    if "transfer-encoding" in fields or not length.isdecimal() or int(length) > BODY_MAX:
        return None
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, fields, await reader.readexactly(int(length)))
