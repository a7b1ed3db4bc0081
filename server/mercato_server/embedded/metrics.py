"""One page for Prometheus about a whole shop: all workers, Envoy and the supervisor.

Each worker tells its metrics on a socket in the directory of sockets. The page gives its series the label `worker`, its number.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from mercato_server.embedded.processes import EmbeddedError
from mercato_server.embedded.running_shop import RunningShop

HOST = "127.0.0.1"
ANSWER_S = 2.0
"""Time limit for a worker, or Envoy, to tell its metrics. One that hangs is absent from the page, which is not later for it."""
ANSWER_BYTES = 4 * 1024 * 1024
"""Most bytes of one of them."""
REQUEST_S = 10.0
"""Time limit of a scrape, which may wait for another."""
HEAD_BYTES = 8 * 1024
CONNECTIONS_MAX = 8
TYPE = "text/plain; version=0.0.4; charset=utf-8"

EDGE = (
    r"^(http\.edge\.downstream_(cx_(active|total)|rq_(active|total|completed|[1-5]xx|time|timeout|overload_close))"
    r"|cluster\.mercato\.(membership_(healthy|total)|upstream_rq_(active|total|time|timeout|retry|pending_overflow|rx_reset|tx_reset))"
    r"|clients\.http_local_rate_limit\.(ok|rate_limited)"
    r"|overload\.envoy\.resource_monitors\.\w+\.pressure"
    r"|server\.(memory_allocated|uptime))$"
)
"""Names of Envoy's statistics that are on the page, of some thousands."""
_NAME_END = re.compile(r"[{ ]")


def port_beside(edge_port: int, port: int | None) -> int | None:
    """Return the port of metrics; raises EmbeddedError if it is that of the shop."""
    if port == edge_port:
        raise EmbeddedError(f"port {port} cannot be that of metrics too; choose another with --metrics-port")
    return port


def socket_path(run_dir: Path, number: int) -> Path:
    """Return the socket on which a worker tells its metrics."""
    return run_dir / f"metrics-{number}.sock"


class Metrics:
    """Answers Prometheus on a port of the loopback interface."""

    def __init__(self, port: int, run_dir: Path, admin: Path, shop: RunningShop) -> None:
        """`admin` is the socket of Envoy's admin page."""
        self.port = port
        self._run_dir = run_dir
        self._admin = admin
        self._shop = shop
        self._collecting = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer during a block; raises OSError if the port is in use."""
        server = await asyncio.start_server(self._on_connection, HOST, self.port, limit=HEAD_BYTES)
        try:
            yield
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def page(self) -> bytes:
        """Return the metrics of all workers that answer in time, of Envoy, and of the supervisor."""
        numbers = self._shop.workers.numbers
        edge, *workers = await asyncio.gather(
            _ask(self._admin, f"GET /stats/prometheus?filter={quote(EDGE)} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode()),
            *(_ask(socket_path(self._run_dir, number)) for number in numbers),
        )
        up = {number: text is not None for number, text in zip(numbers, workers, strict=True)}
        own = await asyncio.to_thread(_own, self._shop, up, edge=edge is not None)
        told = [(f'worker="{number}"', text.decode(errors="replace")) for number, text in zip(numbers, workers, strict=True) if text]
        return merged([("", own), *told, ("", _body(edge or b""))]).encode()

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= CONNECTIONS_MAX:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        try:
            async with asyncio.timeout(REQUEST_S):
                method, target, *_ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                writer.write(await self._answer(method, target.partition(b"?")[0]))
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client left, was too slow, or sent no request
        finally:
            writer.close()

    async def _answer(self, method: bytes, path: bytes) -> bytes:
        if method != b"GET":
            return _reply("405 Method Not Allowed", b"only GET\n")
        if path != b"/metrics":
            return _reply("404 Not Found", b"only /metrics\n")
        async with self._collecting:
            return _reply("200 OK", await self.page())


def _reply(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


async def _ask(path: Path, request: bytes = b"") -> bytes | None:
    """Return what a socket answers; None if it does not answer whole and in time."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                if request:
                    writer.write(request)
                received = bytearray()
                while part := await reader.read(64 * 1024):
                    received += part
                    if len(received) > ANSWER_BYTES:
                        return None
                return bytes(received) or None
            finally:
                writer.close()
    return None


def _body(response: bytes) -> str:
    """Return the body of a response of Envoy, which comes in chunks; empty unless it is 200 and whole."""
    head, _, rest = response.partition(b"\r\n\r\n")
    body = bytearray()
    if b" 200 " in head.partition(b"\r\n")[0]:
        with contextlib.suppress(ValueError):  # a chunk without its size: the rest is missing
            while size := int(rest.partition(b"\r\n")[0], 16):
                chunk = rest.partition(b"\r\n")[2]
                body += chunk[:size]
                rest = chunk[size + 2 :]
            return body.decode(errors="replace")
    return ""


def _own(shop: RunningShop, up: dict[int, bool], *, edge: bool) -> str:
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    from mercato_server.embedded.vitals import Vitals

    registry = CollectorRegistry()
    registry.register(Vitals(shop))
    workers = Gauge("mercato_worker_up", "Whether a worker has told its metrics in time.", ["worker"], registry=registry)
    for number, is_up in up.items():
        workers.labels(str(number)).set(is_up)
    Gauge("mercato_edge_up", "Whether Envoy has told its metrics in time.", registry=registry).set(edge)
    return generate_latest(registry).decode()


def merged(texts: Sequence[tuple[str, str]]) -> str:
    """Return texts in Prometheus' format as one, in which each metric has its lines in one place.

    Each text comes with a label, such as `worker="0"`, that its series get; empty for none.
    """
    about: dict[str, dict[str, str]] = {}
    series: dict[str, list[str]] = {}
    for label, text in texts:
        family = ""
        for line in text.split("\n"):
            if line.startswith(("# HELP ", "# TYPE ")):
                kind, family = line.split(" ", 3)[1:3]
                about.setdefault(family, {}).setdefault(kind, line)
            elif line and not line.startswith("#"):
                series.setdefault(family, []).append(_labelled(line, label))
    return "".join("\n".join([*about.get(family, {}).values(), *lines, ""]) for family, lines in series.items())


def _labelled(line: str, label: str) -> str:
    end = _NAME_END.search(line)
    if not label or end is None:
        return line
    name, rest = line[: end.start()], line[end.start() :]
    rest = rest.removeprefix("{}")
    return f"{name}{{{label},{rest[1:]}" if rest.startswith("{") else f"{name}{{{label}}}{rest}"
