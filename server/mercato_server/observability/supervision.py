"""Tell systemd the state of this process, by its protocol for services of Type=notify (sd_notify(3)); elsewhere do nothing."""

import contextlib
import os
import socket

READY, STOPPING = "READY=1", "STOPPING=1"


def tell(state: str) -> None:
    """Send a state to the socket that NOTIFY_SOCKET names: a path, or with `@` first an abstract name. Errors are ignored."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as endpoint:
            endpoint.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
