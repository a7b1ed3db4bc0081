"""A minimal HTTP/1.1 keep-alive client that uses little processor time: one connection per caller."""

import asyncio
import time
from collections.abc import Mapping
from typing import cast

from meter import Meter, Request

_LENGTH = b"\r\ncontent-length: "
_SUCCESSES = (b"200", b"201")


def request(method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Request:
    """Return a request; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "host: benchmark", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return Request("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""), path=path)


class Caller(asyncio.Protocol):
    """Sends a request, waits for its whole answer, and sends the next one."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._received = b""
        self._number = 0
        self._is_done = False
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is sent yet."""
        self._transport = cast("asyncio.Transport", transport)

    def start(self) -> None:
        """Send the next request once it is due, if there is one."""
        taken = self._meter.take()
        self._is_done = taken is None
        if taken and self._transport:
            self._number, request, self._sent = taken
            wait_s = self._sent - time.perf_counter()
            if wait_s > 0:
                asyncio.get_running_loop().call_later(wait_s, self._transport.write, request.head)
            else:
                self._transport.write(request.head)

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of the answer."""
        received = self._received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        start = received.find(_LENGTH, 0, end)
        if start < 0:
            self._meter.abandon("an answer without content-length")
            return
        start += len(_LENGTH)
        length = int(received[start : received.index(b"\r", start)])
        if len(received) < end + 4 + length:
            return
        self._received = b""
        reply = received[end + 4 :]
        if received[9:12] not in _SUCCESSES:
            self._meter.fail(f"HTTP {received[9:12].decode()}: {reply[:200].decode(errors='replace')}")
        elif len(reply) != length:
            self._meter.fail("an answer that is longer than it says")
        else:
            self._meter.succeed(self._number, self._sent, reply)
        self.start()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the job: a healthy server does not close a keep-alive connection that has a request, or will have one."""
        if self._is_done:
            self._meter.lost += 1
        else:
            self._meter.abandon("the server closed a connection")
