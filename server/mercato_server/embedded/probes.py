"""Questions to the processes of the shop: do the workers listen, and does its port answer as it would to any client."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

PROBE_TIMEOUT_S = 2.0
POLL_S = 0.01
PAGES = ("/healthz", "/openapi.json")
_EMPTY_MESSAGE = b"\0" * 5
_SERVING = b"\0\0\0\0\x02\x08\x01"
"""A gRPC frame with HealthCheckResponse{status: SERVING}."""


async def until_listening(sockets: Sequence[Path]) -> None:
    """Return once every Unix socket takes connections."""
    for path in sockets:
        while True:
            with contextlib.suppress(OSError):  # not there yet, or left behind by a process that was killed
                _, writer = await asyncio.open_unix_connection(path)
                writer.close()
                break
            await asyncio.sleep(POLL_S)


async def until_ready(host: str, port: int) -> None:
    """Return once REST, the pages of Envoy itself and gRPC all answer on the port."""
    for answered in (*(partial(_answers, host, port, page) for page in PAGES), partial(_serves_grpc, host, port)):
        while True:
            if await answered():
                break
            await asyncio.sleep(POLL_S)


async def _answers(host: str, port: int, path: str) -> bool:
    return await _ask(host, port, f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())


async def _serves_grpc(host: str, port: int) -> bool:
    """Ask for the health of the whole server as gRPC-Web, which is gRPC from Envoy on and needs no gRPC library here."""
    head = (
        f"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: {host}:{port}\r\n"
        f"content-type: application/grpc-web+proto\r\ncontent-length: {len(_EMPTY_MESSAGE)}\r\n\r\n"
    )
    return await _ask(host, port, head.encode() + _EMPTY_MESSAGE, _SERVING)


async def _ask(host: str, port: int, request: bytes, wanted: bytes = b"\r\n\r\n") -> bool:
    """Tell whether the answer is a 200 and holds what is wanted; reads no further, since Envoy closes a second after its answer."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                if (await reader.readline()).startswith(b"HTTP/1.1 200 "):
                    await reader.readuntil(wanted)
                    return True
            finally:
                writer.close()
    return False
