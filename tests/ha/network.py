"""Find a loopback network on which no other run has a cluster."""

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

POSTGRES, PATRONI, PGBOUNCER = 5432, 8008, 6432
ETCD, ETCD_PEER = 2379, 2380
NODES = (1, 2, 3)
HAPROXY = 5000
ETCD_HOST, HAPROXY_HOST = 10, 20
CHOICES = range(2, 255)


@dataclass(frozen=True)
class Network:
    """The addresses 127.0.`number`.0/24, of which Linux has all on its loopback interface."""

    number: int

    def host(self, last: int) -> str:
        """Return one of the addresses."""
        return f"127.0.{self.number}.{last}"

    @property
    def etcd(self) -> str:
        """The address of etcd."""
        return self.host(ETCD_HOST)

    @property
    def haproxy(self) -> str:
        """The address of HAProxy."""
        return self.host(HAPROXY_HOST)


@contextmanager
def free_network() -> Iterator[Network]:
    """Lease a network for a block: the ports of a cluster are free on it. Two runs beside each other get two networks."""
    for number in random.sample(CHOICES, len(CHOICES)):
        network = Network(number)
        with socket.socket(socket.AF_UNIX) as lease:
            if _binds(lease, f"\0mercato-tests-network-{number}") and all(map(_is_free, _listeners(network))):
                yield network
                return
    raise RuntimeError(f"no network of 127.0.{CHOICES.start}.0 to 127.0.{CHOICES.stop - 1}.0 is free")


def _listeners(network: Network) -> Iterable[tuple[str, int]]:
    yield from ((network.etcd, port) for port in (ETCD, ETCD_PEER))
    yield network.haproxy, HAPROXY
    yield from ((network.host(node), port) for node in NODES for port in (POSTGRES, PATRONI, PGBOUNCER))


def _is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return _binds(probe, address)


def _binds(probe: socket.socket, address: object) -> bool:
    try:
        probe.bind(address)  # type: ignore[arg-type] # a name or a pair, as the family of the socket wants
    except OSError:
        return False
    return True
