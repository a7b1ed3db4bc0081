"""Envoy with hot restarts: each SIGHUP starts the next epoch, which takes over the port with a new configuration. No call fails.

Envoy passes the listening sockets from one epoch to the next. The older epoch takes no new connections, asks the clients of its own to
leave (`connection: close`, GOAWAY), and ends when the next one tells it to.
"""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mercato_server.config.inheritance import program_environ
from mercato_server.embedded import programs, signals
from mercato_server.embedded.privileges import prctl
from mercato_server.embedded.processes import EmbeddedError, complain, describe_exit, first

START_S = 60.0
"""Time for an epoch to serve: it waits for the first health check of each worker."""
POLL_S = 0.05
PROBE_S = 2.0
REASON_LINES = 3
STOP_S = 3.0
QUIET = (
    *("--log-level", "warning"),
    *("--component-log-level", "cache_filter:error"),  # it warns of each answer that it had no time to store
    *("--file-flush-interval-msec", "1000"),  # the access log shows a call after a second; the default is ten
)
ASK = rb"GET /stats?filter=^server\.(state|hot_restart_epoch)$ HTTP/1.1" b"\r\nhost: admin\r\nconnection: close\r\n\r\n"
SHARED_MEMORY = "/dev/shm/envoy_shared_memory_"  # noqa: S108 - Envoy's name for it; its base id times ten follows
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HotRestart:
    """How Envoy runs."""

    config: Path
    """The configuration, which each epoch reads at its start."""
    drain_s: int
    """Time over which the older epoch asks its clients to open new connections. Each asked at once would be a rush."""
    shutdown_s: int
    """Life of the older epoch after the next one serves. It must exceed `drain_s`, and then the longest call or the idle time."""
    concurrency: int | None = None
    """Threads; None for one per core."""


class Edge:
    """The epochs of an Envoy: one that serves, and for a while after a restart the one before it."""

    def __init__(self, wanted: HotRestart, directory: Path) -> None:
        """Prepare; `directory` is private and for the sockets and files of the epochs."""
        self._wanted = wanted
        self._directory = directory
        self._binary = programs.envoy()
        self._base_id = directory / "base-id"
        self._epoch = 0
        self._current: Process | None = None
        self._others: set[Process] = set()

    async def start(self) -> None:
        """Start the first epoch and return once it serves; raises EmbeddedError if it does not."""
        await self._require_valid()
        self._current = await self._begin(0)
        complain("epoch 0 of Envoy serves")

    async def restart(self) -> None:
        """Let the next epoch take over, and return once the one before has ended. If it raises EmbeddedError, the current one goes on."""
        assert self._current is not None  # noqa: S101 - started
        await self._require_valid()
        old, self._current = self._current, await self._begin(self._epoch + 1)
        self._epoch += 1
        self._others.add(old)
        complain(f"epoch {self._epoch} of Envoy serves; epoch {self._epoch - 1} ends within {self._wanted.shutdown_s} s")
        code = await old.wait()
        self._others.discard(old)
        complain(f"epoch {self._epoch - 1} of Envoy {describe_exit(code)}")

    async def failure(self) -> EmbeddedError:
        """Wait until the epoch that serves has ended by itself; return how."""
        while True:
            serving = self._current
            assert serving is not None  # noqa: S101 - started
            code = await serving.wait()
            if serving is self._current:
                return EmbeddedError(f"Envoy {describe_exit(code)}")

    async def stop(self) -> None:
        """End all epochs, and remove the shared memory that they leave."""
        running = [each for each in (self._current, *self._others) if each is not None]
        await asyncio.gather(*map(_end, running))
        self._remove_shared_memory()

    def _remove_shared_memory(self) -> None:
        if self._base_id.exists():
            Path(f"{SHARED_MEMORY}{self._base_id.read_text().strip()}0").unlink(missing_ok=True)

    async def _begin(self, epoch: int) -> Process:
        """Start an epoch and return once it serves; ends it and raises EmbeddedError if it does not."""
        base = ("--base-id", self._base_id.read_text().strip()) if epoch else ("--use-dynamic-base-id", "--base-id-path", self._base_id)
        times = ("--drain-time-s", str(self._wanted.drain_s), "--parent-shutdown-time-s", str(self._wanted.shutdown_s))
        threads = () if self._wanted.concurrency is None else ("--concurrency", str(self._wanted.concurrency))
        admin, argued = self._admin(epoch)
        process = await self._run(*base, "--restart-epoch", str(epoch), *times, *threads, *argued, *QUIET)
        self._others.add(process)  # until it serves, so that `stop` ends it
        try:
            async with asyncio.timeout(START_S):
                await first(process.wait(), _until_live(admin, epoch))
        except TimeoutError:
            await _end(process)
            raise EmbeddedError(f"epoch {epoch} of Envoy does not serve after {START_S:.0f} s; do the workers run?") from None
        self._others.discard(process)
        if process.returncode is not None:
            raise EmbeddedError(f"epoch {epoch} of Envoy {describe_exit(process.returncode)}; its messages are above")
        return process

    async def _run(self, *arguments: str | Path) -> Process:
        """Start Envoy with the standard streams of this process, whose end ends it. Call it from the main thread."""
        parent = os.getpid()

        def in_child() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)

        argv = (self._binary, "--config-path", self._wanted.config, *arguments)
        return await asyncio.create_subprocess_exec(
            *argv,
            env=program_environ(),
            stdin=DEVNULL,
            process_group=0,
            preexec_fn=in_child,
        )

    async def _require_valid(self) -> None:
        """Raise EmbeddedError if Envoy refuses the configuration."""
        argv = (self._binary, "--mode", "validate", "--config-path", self._wanted.config, "--log-level", "error")
        check = await asyncio.create_subprocess_exec(*argv, env=program_environ(), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
        try:
            _, said = await check.communicate()
        finally:
            if check.returncode is None:
                check.kill()
        if check.returncode:
            reason = "\n".join(said.decode(errors="replace").splitlines()[:REASON_LINES])
            raise EmbeddedError(f"Envoy refuses {self._wanted.config}:\n{reason}")

    def _admin(self, epoch: int) -> tuple["Admin", Sequence[str]]:
        """Return the admin page of an epoch, and arguments that give it one if its configuration has none."""
        address = json.loads(self._wanted.config.read_bytes()).get("admin", {}).get("address", {})
        if at := address.get("socket_address"):
            return Admin(host=at["address"], port=at["port_value"]), ()
        if pipe := address.get("pipe"):
            return Admin(path=pipe["path"]), ()
        path = str(self._directory / f"admin-{epoch}.sock")
        return Admin(path=path), ("--config-yaml", json.dumps({"admin": {"address": {"pipe": {"path": path, "mode": 0o600}}}}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The address of an admin page of Envoy: a Unix socket, or a host and a port."""

    path: str | None = None
    host: str | None = None
    port: int | None = None

    async def is_live(self, epoch: int) -> bool:
        """Return whether the epoch that answers is this one, and takes connections."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROBE_S):
                opened = asyncio.open_unix_connection(self.path) if self.path else asyncio.open_connection(self.host, self.port)
                reader, writer = await opened
                try:
                    writer.write(ASK)
                    lines = (await reader.read()).splitlines()
                    return b"server.state: 0" in lines and b"server.hot_restart_epoch: %d" % epoch in lines
                finally:
                    writer.close()
        return False


async def _until_live(admin: Admin, epoch: int) -> None:
    while not await admin.is_live(epoch):  # noqa: ASYNC110 - Envoy sends no event
        await asyncio.sleep(POLL_S)


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def run(wanted: HotRestart) -> int:
    """Run Envoy until SIGTERM or SIGINT, which give calls no time, and return 0; SIGHUP restarts it without a failed call.

    Raises EmbeddedError if the first epoch does not serve, or if the one that serves ends.
    """
    asked = signals.watch()
    with tempfile.TemporaryDirectory(prefix="mercato-envoy-") as directory:
        edge = Edge(wanted, Path(directory))
        try:
            await first(asked.stop.wait(), _serve(edge, asked.reload))
        finally:
            await edge.stop()
    return 0


async def _serve(edge: Edge, reload: asyncio.Event) -> None:
    await edge.start()
    await first(_fail_with(edge), _restart_on(edge, reload))


async def _fail_with(edge: Edge) -> NoReturn:
    raise await edge.failure()


async def _restart_on(edge: Edge, reload: asyncio.Event) -> NoReturn:
    """Restart whenever the event is set. Several requests during a restart are one."""
    while True:
        await reload.wait()
        reload.clear()
        try:
            await edge.restart()
        except (EmbeddedError, OSError, ValueError) as error:
            complain(f"cannot restart Envoy; the epoch that serves goes on: {error}")
