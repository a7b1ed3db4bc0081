"""A minimal gRPC client over one HTTP/2 connection that uses little processor time, so that the server gets the rest.

It supports only unary calls with small requests. Its settings forbid the server a dynamic header table, so it reads a status without
decoding HPACK (RFC 7541). An answer that it cannot read counts as a failure.
"""

import asyncio
import struct
from collections.abc import Sequence
from typing import cast

from meter import Meter, Request

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW_MAX = 2**31 - 1
_WINDOW_DEFAULT = 65_535
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_HEADER = struct.Struct(">HBBBI")
_STATUS = b"\x0bgrpc-status"
_MESSAGE = b"\x0cgrpc-message"
_FRAME_PREFIX = 5

# RFC 7541 appendix A.
_POST, _HTTP = 0x83, 0x86
_NAMES = {":authority": 1, ":path": 4, "authorization": 23, "content-type": 31, "user-agent": 58}


def request(path: str, message: bytes, metadata: Sequence[tuple[str, str]] = ()) -> Request:
    """Return a call with a deadline, as every client should set one."""
    headers = (
        (":path", path),
        (":authority", "benchmark"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "benchmark"),
        ("grpc-timeout", "10S"),
        *metadata,
    )
    block = bytes((_POST, _HTTP)) + b"".join(_literal(name, value) for name, value in headers)
    return Request(block, b"\0" + struct.pack(">I", len(message)) + message, path)


def _literal(name: str, value: str) -> bytes:
    """Encode a header that enters no table."""
    index = _NAMES.get(name, 0)
    return _integer(index, 4) + (b"" if index else _string(name)) + _string(value)


def _string(value: str) -> bytes:
    return _integer(len(value), 7) + value.encode()


def _integer(value: int, prefix_bits: int) -> bytes:
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((value,))
    encoded, value = bytearray((most,)), value - most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEADER.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


class Calls(asyncio.Protocol):
    """Keeps a fixed number of calls in flight."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._calls: dict[int, tuple[int, float]] = {}
        self._replies: dict[int, bytes] = {}
        self._stream = 1
        self._send_window = _WINDOW_DEFAULT
        self._consumed = 0
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings: no header table, no push, the largest window."""
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, _WINDOW_MAX)
        window = struct.pack(">I", _WINDOW_MAX - _WINDOW_DEFAULT)
        self._transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, window))

    def start(self, concurrency: int) -> None:
        """Begin the first calls."""
        for _ in range(concurrency):
            self._call()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take whole frames and answer them with one write."""
        received = self._received + data if self._received else data
        place, size = 0, len(received)
        while size - place >= _HEADER.size:
            high, low, kind, flags, stream = _HEADER.unpack_from(received, place)
            end = place + _HEADER.size + (high << 8 | low)
            if end > size:
                break
            self._take(kind, flags, stream, received[place + _HEADER.size : end])
            place = end
        self._received = received[place:]
        self._flush()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the job, because the connection is lost."""
        self._meter.abandon("the server closed the connection")

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA and not flags & _PADDED:
            self._replies[stream] = self._replies.get(stream, b"") + payload
            self._consume(len(payload))
        elif kind == _HEADERS and flags & _END_HEADERS:
            if flags & _END_STREAM:
                self._end(stream, payload)
        elif kind == _WINDOW_UPDATE:
            if stream == 0:
                self._send_window += int.from_bytes(payload)
        elif kind in (_SETTINGS, _PING):
            if not flags & _ACK:
                self._out.append(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _RST_STREAM:
            self._calls.pop(stream)
            self._meter.fail(f"the call was reset with error {int.from_bytes(payload)}")
            self._call()
        else:
            why = payload[8:].decode(errors="replace") if kind == _GOAWAY else f"frame of type {kind} with flags {flags}"
            self._meter.abandon(f"the connection ended: {why}")

    def _consume(self, size: int) -> None:
        self._consumed += size
        if self._consumed > _WINDOW_MAX // 2:
            self._out.append(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._consumed)))
            self._consumed = 0

    def _end(self, stream: int, trailers: bytes) -> None:
        number, sent = self._calls.pop(stream)
        reply = self._replies.pop(stream, b"")
        status = _value(trailers, _STATUS)
        if status.decode() == self._meter.refusal:
            self._meter.refuse(sent)
        elif status != b"0":
            self._meter.fail(f"gRPC status {status.decode()}: {_value(trailers, _MESSAGE).decode(errors='replace')}")
        elif len(reply) < _FRAME_PREFIX or int.from_bytes(reply[1:_FRAME_PREFIX]) != len(reply) - _FRAME_PREFIX:
            self._meter.fail("an answer that is not one whole message")
        else:
            self._meter.succeed(number, sent, reply[_FRAME_PREFIX:])
        self._call()

    def _call(self) -> None:
        taken = self._meter.take()
        if taken is None:
            return
        number, request, sent = taken
        self._calls[self._stream] = (number, sent)
        self._out += (_frame(_HEADERS, _END_HEADERS, self._stream, request.head), _frame(_DATA, _END_STREAM, self._stream, request.body))
        self._stream += 2
        self._send_window -= len(request.body)
        if self._send_window < 0:
            self._meter.abandon("the server's window is full; lower the concurrency")

    def _flush(self) -> None:
        if self._out and self._transport:
            self._transport.write(b"".join(self._out))
            self._out.clear()


def _value(block: bytes, name: bytes) -> bytes:
    """Return the value of a literal header shorter than 127 bytes; a question mark if it cannot be read."""
    start = block.find(name) + len(name)
    if start < len(name) or start >= len(block) or block[start] >= 0x7F:
        return b"?"
    return block[start + 1 : start + 1 + block[start]]
