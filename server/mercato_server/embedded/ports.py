"""The ports on which a shop listens, and their connections."""

import asyncio
import contextlib
import errno
import resource
import socket
import sys
import time
from collections.abc import Container
from pathlib import Path

from mercato_server.embedded.probes import POLL_S
from mercato_server.embedded.processes import EmbeddedError

OTHER_FILES = 256
"""Files of Envoy that are no connections of clients. Envoy ends when it cannot open one more."""
PORTS_TRIED = 100
PORT_TIMEOUT_S = 0.5
"""Time that Envoy may take to end after its supervisor was killed."""


async def require_free(host: str, port: int, option: str) -> None:
    """Raise EmbeddedError unless the port is free. Checked before anything starts, so that a wrong port changes nothing."""
    deadline = time.monotonic() + PORT_TIMEOUT_S
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return
        except PermissionError:
            raise EmbeddedError(f"port {port} needs root; choose another with {option}") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise EmbeddedError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        if time.monotonic() > deadline:
            raise EmbeddedError(f"port {port} is in use; stop what listens there or choose another with {option}")
        await asyncio.sleep(POLL_S)


def listen_on_first_free(host: str, first: int, taken: Container[int]) -> socket.socket:
    """Listen on the first free port from `first` on that is none of the taken ones; raises EmbeddedError if a hundred are in use."""
    for port in range(first, first + PORTS_TRIED):
        if port not in taken:
            with contextlib.suppress(OSError):
                return socket.create_server((host, port))
    raise EmbeddedError(f"the ports {first} to {first + PORTS_TRIED - 1} are in use; stop what listens there")


def connections_max() -> int:
    """Return how many connections fit into the files that Envoy may open; with few files, half of them."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # Envoy raises its limit to that of the user
    return sys.maxsize if files == resource.RLIM_INFINITY else max(files - OTHER_FILES, files // 2)


def is_low(port: int) -> bool:
    """Tell whether the kernel lets only privileged programs listen on a port."""
    return port < int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
