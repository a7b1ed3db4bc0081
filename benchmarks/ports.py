"""Lease ports for the servers that tests and benchmarks start.

The kernel uses none of these ports for outgoing connections or for port 0, so it takes none between its choice and its use.
The lease is an abstract Unix socket that the process holds until it ends; every such process of the host checks it.
"""

import itertools
import os
import socket
from pathlib import Path

LOWEST, HIGHEST = 12_300, 32_000  # the play money of `mercato up --demo-payments` listens below
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _pool() -> range:
    """Return the ports to choose from: below or above the ephemeral ports, where there are more."""
    first, last = map(int, EPHEMERAL.read_text().split())
    below, above = range(LOWEST, min(HIGHEST, first)), range(last + 1, 65_536)
    return max(below, above, key=len) or range(LOWEST, HIGHEST)


_POOL = _pool()
_turns = itertools.count(os.getpid() * 97)  # processes begin at different ports


def free_ports(count: int) -> int:
    """Lease `count` consecutive ports on which no server listens; return the first."""
    for _ in range(len(_POOL)):
        first = _POOL[next(_turns) % (len(_POOL) - count + 1)]
        leases = []
        for port in range(first, first + count):
            lease = _lease(port)
            if lease is None:
                break
            leases.append(lease)
        else:
            for lease in leases:
                lease.detach()  # the descriptor stays open until the process ends
            return first
        for lease in leases:
            lease.close()
    raise RuntimeError(f"no {count} ports in a row are free in {_POOL}")


def free_port() -> int:
    """Lease a port on which no server listens."""
    return free_ports(1)


def _lease(port: int) -> socket.socket | None:
    """Return the socket that holds the lease of a port; None if the port is leased or in use."""
    lease = socket.socket(socket.AF_UNIX)
    try:
        lease.bind(f"\0mercato-tests-port-{port}")
        with socket.socket() as probe:
            probe.bind(("", port))
    except OSError:
        lease.close()
        return None
    return lease
