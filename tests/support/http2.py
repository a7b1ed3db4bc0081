"""HTTP/2 frames as raw bytes (RFC 9113), for clients that no library would be."""

import struct
from collections.abc import Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
END_STREAM, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW_SIZE = 4
WINDOW_DEFAULT, WINDOW_MAX = 65_535, 2**31 - 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def client_preface(window: int) -> bytes:
    """Return the beginning of a connection whose streams, and which itself, take answers of at most `window` bytes."""
    begun = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))
    more = window - WINDOW_DEFAULT
    return begun + (frame(WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big")) if more > 0 else b"")


def headers(stream: int, fields: Sequence[tuple[str, str]], *, end: bool = False) -> bytes:
    """Return a request's headers, without compression (RFC 7541 section 6.2.2)."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def _text(text: str) -> bytes:
    encoded = text.encode()
    assert len(encoded) < 127, text  # a longer one needs an integer of several bytes
    return bytes((len(encoded),)) + encoded
