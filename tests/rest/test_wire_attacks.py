"""Attacks on the wire: a request inside another's body, streams that are reset as soon as they are opened."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from rest.bad_requests import MALFORMED
from support.mercato_up import Up
from support.patience import patient
from support.rest_client import HOST, Client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
END_STREAM_AND_HEADERS = 0x5
CANCEL = (8).to_bytes(4, "big")
GET_PRODUCTS = b"\x82\x86\x04\x09/products\x01\x01x"
"""A header block (RFC 7541): GET, http, the path, an authority."""
CONNECT = b"\x02\x07CONNECT\x01\x04x:80"
"""A header block: the method and an authority, as RFC 9113 section 8.5 wants them."""
UNDERSCORE = b"\x00\x03a_b\x01x"
RESETS = 1_000
GROWTH_MAX = 32 * 1024 * 1024

SMUGGLED = b"GET /products HTTP/1.1\r\nHost: x\r\n\r\n"
CARRIERS = {
    "length, then chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked",
    "chunks, then length": b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    "unknown coding": b"Transfer-Encoding: xchunked\r\nContent-Length: 4",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 4",
}


@pytest.fixture(scope="module")
def shop_up(either_up: Up) -> Up:
    return either_up


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def kinds(received: bytes) -> list[int]:
    """Return the kinds of the frames in received bytes."""
    found = []
    while len(received) >= 9:
        found.append(received[3])
        received = received[9 + int.from_bytes(received[:3], "big") :]
    return found


@pytest.mark.parametrize("carrier", [pytest.param(headers, id=name) for name, headers in CARRIERS.items()])
async def test_a_request_inside_the_body_of_another_is_never_answered(anyone: Client, carrier: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, anyone.port)
    writer.write(b"POST /signup HTTP/1.1\r\nHost: x\r\n" + carrier + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    async with asyncio.timeout(patient()):
        answer = await reader.read()  # to its end: the server must close the connection
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert MALFORMED.encode() in answer


async def test_streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection_and_cost_no_memory(shop_up: Up) -> None:
    envoy = envoy_of(shop_up)
    await reset_many(shop_up.port)
    before = resident_bytes(envoy)
    for _ in range(5):
        await reset_many(shop_up.port)
    assert resident_bytes(envoy) - before < GROWTH_MAX
    assert shop_up.anyone.get("/products").status == 200


async def test_a_tunnel_over_http_2_is_a_method_that_is_not_allowed(shop_up: Up) -> None:
    reader, writer = await asyncio.open_connection(HOST, shop_up.port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM_AND_HEADERS, 1, CONNECT))
    received = b""
    async with asyncio.timeout(patient()):
        while b"METHOD_NOT_ALLOWED" not in received:
            read = await reader.read(65_536)
            assert read, received
            received += read
    writer.close()
    assert b"405" in received


async def test_a_header_with_an_underscore_is_refused_over_http_2_too(shop_up: Up) -> None:
    reader, writer = await asyncio.open_connection(HOST, shop_up.port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM_AND_HEADERS, 1, GET_PRODUCTS + UNDERSCORE))
    received = b""
    async with asyncio.timeout(patient()):
        while RST_STREAM not in kinds(received):
            read = await reader.read(65_536)
            assert read, kinds(received)
            received += read
    writer.close()
    assert HEADERS not in kinds(received)


@pytest.mark.parametrize(
    ("name", "unreadable", "sound"),
    [
        pytest.param("fuzz-bin", "???", "YWJj", id="binary metadata"),
        pytest.param("grpc-trace-bin", "?", "AA", id="binary metadata of gRPC"),
        pytest.param("grpc-encoding", "lzma", "deflate", id="coding"),
        pytest.param("grpc-previous-rpc-attempts", "x", "1", id="attempts"),
        pytest.param("grpc-retry-pushback-ms", "x", "1", id="pushback"),
        pytest.param("grpc-status", "x", "0", id="status"),
        pytest.param("grpc-internal-encoding-request", "x", "gzip", id="inner coding"),
    ],
)
def test_a_header_that_no_worker_can_read_does_not_fail_the_calls_of_others(anyone: Client, name: str, unreadable: str, sound: str) -> None:
    assert anyone.send("GET", "/products", headers=[(name, unreadable)]).status in (200, 400)
    assert anyone.send("GET", "/products", headers=[(name, sound)]).status == 200


@pytest.mark.parametrize("name", ["a$b", "it's", "x|y", "#", "~", "`", "100%", "A^B", "x+y", "x!", "*", "a&b"])
def test_a_header_whose_name_http_allows_and_grpc_does_not_changes_nothing(anyone: Client, name: str) -> None:
    assert anyone.send("GET", "/products", headers=[(name, "x")]).status == 200


async def reset_many(port: int) -> None:
    """Open streams and reset them at once, until Envoy ends the connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0))
    for stream in range(1, 2 * RESETS, 2):
        writer.write(frame(HEADERS, END_STREAM_AND_HEADERS, stream, GET_PRODUCTS) + frame(RST_STREAM, 0, stream, CANCEL))
    with contextlib.suppress(ConnectionError):  # the connection is closed without a GOAWAY
        async with asyncio.timeout(patient()):
            await writer.drain()
            await reader.read()
    writer.close()


def envoy_of(up: Up) -> int:
    """Return the process id of the shop's Envoy."""
    config = os.fsencode(up.data_dir / "envoy.json")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has ended
            if config in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    [pid] = found
    return pid


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
