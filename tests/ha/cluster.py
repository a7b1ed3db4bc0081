"""A PostgreSQL cluster of three machines on loopback addresses, which Patroni and etcd keep available."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from ha import documentation, patroni
from ha.network import ETCD, ETCD_PEER, NODES, POSTGRES, Network
from ha.node import OWNER, SUPERUSER, Node
from ha.programs import require
from mercato_server.config.inheritance import program_environ
from mercato_server.embedded import accounts
from mercato_server.embedded.processes import Command, Process
from support.patience import patient, until

ANY_LAG = 1 << 30
"""In the control run a standby is promoted however much it lacks."""

HAVE_REPLAYED = "SELECT count(*) = {standbys} FROM pg_stat_replication WHERE replay_lsn >= '{end}'"


@dataclass(frozen=True)
class Leadership:
    """A leader, and the timeline on which it writes: each promotion begins another one."""

    node: Node
    timeline: int


class Cluster:
    """The machines of a cluster, and what an operator does to them."""

    def __init__(self, directory: Path, network: Network) -> None:
        account = accounts.find_or_make(accounts.USER) if os.geteuid() == 0 else None
        self.network = network
        self._etcd = _etcd(directory, network)
        self._haproxy = _haproxy(directory, network)
        self.nodes = [Node(network, number, directory, account) for number in NODES]

    async def start(self) -> None:
        """Start a new cluster; returns when it has a leader and two standbys."""
        await self._etcd.start()
        first, *others = self.nodes
        await first.start()
        await until(lambda: self._leads_alone(first), "the first machine leads")
        await asyncio.gather(*(node.start() for node in others))
        await self.settled()
        await self.execute(f"CREATE ROLE {OWNER} LOGIN")
        await self._haproxy.start()

    async def _leads_alone(self, node: Node) -> int:
        node.require_running()
        return await patroni.led_timeline(node.host)

    async def stop(self) -> None:
        """End everything."""
        await self._haproxy.stop()
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await self._etcd.stop()

    async def revive(self) -> None:
        """Start the machines that have died."""
        await asyncio.gather(*(node.start() for node in self.nodes if not node.runs))

    async def leader(self, after: int = 0) -> Leadership:
        """Return the leader, once there is one whose timeline is later than `after`."""

        async def later() -> list[Leadership]:
            timelines = await asyncio.gather(*(patroni.led_timeline(node.host) for node in self.nodes))
            return [leadership for leadership in map(Leadership, self.nodes, timelines) if leadership.timeline > after]

        found = await until(later, f"a machine leads after timeline {after}")
        return max(found, key=lambda leadership: leadership.timeline)

    async def settled(self) -> Leadership:
        """Return the leader once both standbys follow it, one of them synchronously unless the cluster is asynchronous."""
        leadership = await self.leader()

        async def is_complete() -> bool:
            for node in self.nodes:
                node.require_running()
            return await patroni.is_complete(leadership.node.host, len(self.nodes))

        await until(is_complete, "both standbys follow the leader")
        return leadership

    def node(self, name: str) -> Node:
        """Return a machine by its name."""
        return next(node for node in self.nodes if node.name == name)

    async def switch_over(self) -> None:
        """Let the leader hand over to a standby, as an operator does before maintenance; returns when Patroni has done it."""
        leadership = await self.leader()
        await patroni.switch_over(leadership.node.host, leadership.node.name)

    @asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[None]:
        """Let no commit wait for a standby during a block."""
        await self._set_synchronous(on=False)
        try:
            yield
        finally:
            await self._set_synchronous(on=True)

    async def _set_synchronous(self, *, on: bool) -> None:
        leadership = await self.leader()
        await patroni.configure(leadership.node.host, {"synchronous_mode": on, "maximum_lag_on_failover": None if on else ANY_LAG})

        async def is_in_force() -> bool:
            return bool(await self.execute("SHOW synchronous_standby_names")) == on

        await until(is_in_force)
        await self.settled()

    def tell_if_failed(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Print the ends of the logs, if this is called at the end of a block that has failed."""
        if error is not None:
            for node in self.nodes:
                sys.stderr.write(f"{node.name}: {node.tail()}\n")

    async def create_database(self, name: str) -> None:
        """Create an empty database; returns when the standbys have it too, which clients may ask before the leader."""
        await self.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        end = await self.execute("SELECT pg_current_wal_lsn()::text")
        await until(lambda: self.execute(HAVE_REPLAYED.format(end=end, standbys=len(self.nodes) - 1)), "the standbys have the database")

    async def drop_database(self, name: str) -> None:
        """Drop a database, even while clients are connected to it."""
        await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str) -> object:
        """Run a statement on the leader as the superuser; return the first value of its answer."""
        leadership = await self.leader()
        connection = await asyncpg.connect(host=leadership.node.host, port=POSTGRES, user=SUPERUSER, database="postgres", timeout=patient())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def url(self, database: str, hosts: Iterable[str] = (), *, port: int = POSTGRES) -> str:
        """Return a URL that lists these hosts in their order, or else all machines; a client takes the one that is the primary."""
        places = ",".join(f"{host}:{port}" for host in hosts or [node.host for node in self.nodes])
        return f"postgresql://{OWNER}@{places}/{database}?target_session_attrs=primary"


def _etcd(directory: Path, network: Network) -> Process:
    clients, peers = f"http://{network.etcd}:{ETCD}", f"http://{network.etcd}:{ETCD_PEER}"
    options = {
        "data-dir": directory / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "log-level": "warn",
    }
    argv = [require("etcd"), *(f"--{name}={value}" for name, value in options.items())]
    return Process(Command(name="etcd", argv=argv, environ=program_environ(), output=directory / "etcd.log"))


def _haproxy(directory: Path, network: Network) -> Process:
    config = directory / "haproxy.cfg"
    config.write_text(documentation.haproxy_settings(network))
    argv = [require("haproxy"), "-db", "-f", str(config)]
    return Process(Command(name="haproxy", argv=argv, environ=program_environ(), output=directory / "haproxy.log"))
