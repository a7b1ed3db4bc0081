"""The servers that tell a worker's metrics, in Prometheus' text format, each from a thread of its own."""

import contextlib
import socket
import socketserver
import threading
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server
from prometheus_client.registry import Collector

WRITE_S = 2.0
"""Time limit for a supervisor to take the metrics."""
POLL_S = 0.1
"""How soon a stop is noticed."""


class Server(Protocol):
    """A server that runs until it is stopped."""

    def stop(self) -> None:
        """Stop it; returns within half a second."""


def registry(*collectors: Collector) -> CollectorRegistry:
    """Return a registry of collectors, and of this process."""
    made = CollectorRegistry()
    for collector in collectors:
        made.register(collector)
    ProcessCollector(registry=made)
    return made


class _Http:
    def __init__(self, address: tuple[str, int], source: CollectorRegistry) -> None:
        host, port = address
        self._server, self._thread = start_http_server(port, host, source)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Teller(socketserver.BaseRequestHandler):
    server: "_Socket"

    def handle(self) -> None:
        """Write the metrics to a connection. A reader that leaves, or takes too long, loses them."""
        peer: socket.socket = self.request
        peer.settimeout(WRITE_S)
        with contextlib.suppress(OSError):
            peer.sendall(generate_latest(self.server.source))


class _Socket(socketserver.UnixStreamServer):
    """Serves one reader after the other: there is one supervisor."""

    def __init__(self, path: str, source: CollectorRegistry) -> None:
        self.source = source
        self._path = path
        Path(path).unlink(missing_ok=True)  # left by a worker that was killed
        super().__init__(path, _Teller)
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
        Path(self._path).unlink(missing_ok=True)


def serve_http(address: tuple[str, int], source: CollectorRegistry) -> Server:
    """Answer GET /metrics; raises OSError if the address cannot be bound."""
    return _Http(address, source)


def serve_socket(path: str, source: CollectorRegistry) -> Server:
    """Write the metrics to each connection to a Unix socket and close it; raises OSError if it cannot be bound."""
    return _Socket(path, source)
