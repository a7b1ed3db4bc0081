"""Readiness probes: whether the workers listen, and whether the port answers clients."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mercato_server.embedded.envoy_admin import Admin

Address = tuple[str, int, ssl.SSLContext | None]

PROBE_TIMEOUT_S = 2.0
POLL_S = 0.01
EDGE_POLL_S = 0.05
CLUSTERS = 2
"""How often Envoy knows a worker: once for calls, once for health watches and reflection."""
PAGES = ("/healthz", "/openapi.json")
_EMPTY_MESSAGE = b"\0" * 5
_SERVING = b"\0\0\0\0\x02\x08\x01"
"""A gRPC frame with HealthCheckResponse{status: SERVING}."""


def reachable(listen_host: str) -> str:
    """Return an address that reaches a port which may listen on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen_host, listen_host)  # noqa: S104 - compared, not bound


async def until_listening(sockets: Sequence[Path]) -> None:
    """Return once every Unix socket takes connections."""
    for path in sockets:
        while True:
            with contextlib.suppress(OSError):  # the socket does not exist yet, or is left from a process that was killed
                _, writer = await asyncio.open_unix_connection(path)
                writer.close()
                break
            await asyncio.sleep(POLL_S)


async def until_ready(host: str, port: int, *, tls: bool = False) -> None:
    """Return once REST, Envoy's own pages and gRPC all answer on the port."""
    address = (host, port, _unverified() if tls else None)
    for answered in (*(partial(_answers, address, page) for page in PAGES), partial(_serves_grpc, address)):
        while True:
            if await answered():
                break
            await asyncio.sleep(POLL_S)


async def until_healthy(admin: Path, worker: Path) -> None:
    """Return once Envoy, queried on its admin socket, regards the worker on a socket as healthy."""
    wanted = f"::{worker}::health_flags::healthy"
    while sum(line.endswith(wanted) for line in await _clusters(admin)) < CLUSTERS:  # noqa: ASYNC110 - Envoy sends no event
        await asyncio.sleep(EDGE_POLL_S)


async def _clusters(admin: Path) -> list[str]:
    """Return the lines of the admin page about the workers, none if it cannot be read."""
    with contextlib.suppress(OSError, TimeoutError):
        return await Admin(path=str(admin)).ask("GET", "/clusters")
    return []


def _unverified() -> ssl.SSLContext:
    """Return a context that accepts any certificate: the port is ours, and certificates do not name the loopback address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _answers(address: Address, path: str) -> bool:
    return await _ask(address, f"GET {path} HTTP/1.1\r\nhost: {address[0]}:{address[1]}\r\n\r\n".encode())


async def _serves_grpc(address: Address) -> bool:
    """Query the server's health by gRPC-Web, which Envoy turns into gRPC; so the supervisor needs no gRPC library."""
    head = (
        f"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: {address[0]}:{address[1]}\r\n"
        f"content-type: application/grpc-web+proto\r\ncontent-length: {len(_EMPTY_MESSAGE)}\r\n\r\n"
    )
    return await _ask(address, head.encode() + _EMPTY_MESSAGE, _SERVING)


async def _ask(address: Address, request: bytes, wanted: bytes = b"\r\n\r\n") -> bool:
    """Tell whether the answer is a 200 that contains `wanted`; reads no further, because Envoy closes a second after its answer."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            host, port, context = address
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(request)
                if (await reader.readline()).startswith(b"HTTP/1.1 200 "):
                    await reader.readuntil(wanted)
                    return True
            finally:
                writer.close()
    return False
