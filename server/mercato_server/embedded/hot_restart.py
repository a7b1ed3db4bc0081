"""Envoy with hot restarts: each SIGHUP starts the next epoch, which takes over the port with a new configuration. No call fails.

Envoy passes the listening sockets from one epoch to the next. The older epoch takes no new connections, asks the clients of its own to
leave (`connection: close`, GOAWAY), and ends when the next one tells it to. A stop asks the clients of the last epoch to leave first.
"""

import asyncio
import contextlib
import json
import os
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from mercato_server.config.inheritance import program_environ
from mercato_server.embedded import signals
from mercato_server.embedded.envoy_admin import Admin
from mercato_server.embedded.processes import EmbeddedError, complain, describe_exit, end_with_parent, first

START_S = 60.0
"""Time for an epoch to serve: it waits for the first health check of each worker."""
POLL_S = 0.05
REASON_LINES = 3
STOP_S = 3.0
QUIET = (
    *("--log-level", "warning"),
    *("--component-log-level", "cache_filter:error"),  # it warns of each answer that it had no time to store
    *("--file-flush-interval-msec", "1000"),  # the access log shows a call after a second; the default is ten
)
SHARED_MEMORY = "/dev/shm/envoy_shared_memory_"  # noqa: S108 - Envoy's name for it; its base id times ten follows
FLAGS_BYTES = 8
"""Size of the flags, the last field of the shared memory (`SharedMemory` in hot_restart_impl.h of Envoy 1.40)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotRestart:
    """How Envoy runs."""

    binary: Path
    """The program."""
    config: Path
    """The configuration, which each epoch reads at its start."""
    render: Sequence[str | Path] = ()
    """Command that writes `config` before each epoch, with the code that is then installed; empty if others write it."""
    drain_s: float
    """Time for which a stopping edge still takes connections, while each answer asks its client to open a new one."""
    grace_s: float
    """Time that calls in flight get to end after that."""
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
        self._base_id = directory / "base-id"
        self._epoch = 0
        self._current: Process | None = None
        self._admin = Admin()
        self._others: set[Process] = set()

    async def start(self) -> None:
        """Start the first epoch and return once it serves; raises EmbeddedError if it does not."""
        await self._prepare()
        self._current, self._admin = await self._begin(0)
        complain("epoch 0 of Envoy serves")

    async def restart(self) -> None:
        """Let the next epoch take over, and return once the one before has ended. If it raises EmbeddedError, the current one goes on."""
        assert self._current is not None  # noqa: S101 - started
        await self._prepare()
        old = self._current
        try:
            self._current, self._admin = await self._begin(self._epoch + 1)
        except BaseException:
            self._forget_failed()
            raise
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

    async def drain(self) -> None:
        """Ask the clients of the last epoch to leave, and return once no call runs, or after the grace period."""
        with contextlib.suppress(OSError, TimeoutError):  # an Envoy that does not answer must not block the stop
            await self._admin.ask("POST", "/drain_listeners?graceful")
            await asyncio.sleep(self._wanted.drain_s)
            async with asyncio.timeout(self._wanted.grace_s):
                while not await self._admin.is_idle():  # noqa: ASYNC110 - Envoy sends no event
                    await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End all epochs, and remove the shared memory that they leave."""
        running = [each for each in (self._current, *self._others) if each is not None]
        await asyncio.gather(*map(_end, running))
        self._remove_shared_memory()

    def _shared_memory(self) -> Path:
        return Path(f"{SHARED_MEMORY}{self._base_id.read_text().strip()}0")

    def _remove_shared_memory(self) -> None:
        if self._base_id.exists():
            self._shared_memory().unlink(missing_ok=True)

    def _forget_failed(self) -> None:
        """Clear the flag "is initializing", which an epoch that fails leaves set: Envoy would refuse all later epochs for it."""
        with self._shared_memory().open("r+b") as memory:
            memory.seek(-FLAGS_BYTES, os.SEEK_END)
            memory.write(bytes(FLAGS_BYTES))

    async def _begin(self, epoch: int) -> tuple[Process, Admin]:
        """Start an epoch and return it with its admin page once it serves; ends it and raises EmbeddedError if it does not."""
        base = ("--base-id", self._base_id.read_text().strip()) if epoch else ("--use-dynamic-base-id", "--base-id-path", self._base_id)
        drain_s = str(max(1, round(self._wanted.drain_s)))
        times = ("--drain-time-s", drain_s, "--drain-strategy", "immediate", "--parent-shutdown-time-s", str(self._wanted.shutdown_s))
        threads = () if self._wanted.concurrency is None else ("--concurrency", str(self._wanted.concurrency))
        admin, argued = self._admin_of(epoch)
        # The default is an abstract socket, through which each local account could take the port or end Envoy.
        sockets = ("--socket-path", self._directory / "epochs", "--socket-mode", "600")
        process = await self._run(*base, *sockets, "--restart-epoch", str(epoch), *times, *threads, *argued, *QUIET)
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
        return process, admin

    async def _run(self, *arguments: str | Path) -> Process:
        """Start Envoy with the standard streams of this process, whose end ends it. Call it from the main thread."""
        argv = (self._wanted.binary, "--config-path", self._wanted.config, *arguments)
        return await asyncio.create_subprocess_exec(
            *argv,
            env=program_environ(),
            stdin=DEVNULL,
            process_group=0,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )

    async def _prepare(self) -> None:
        """Write the configuration of the next epoch, if that is a task of this command; raise EmbeddedError if Envoy refuses it."""
        if self._wanted.render and (reason := await _refusal(self._wanted.render, os.environ)):
            raise EmbeddedError(reason)
        validate = (self._wanted.binary, "--mode", "validate", "--config-path", self._wanted.config, "--log-level", "error")
        if reason := await _refusal(validate, program_environ()):
            raise EmbeddedError(f"Envoy refuses {self._wanted.config}:\n{reason}")

    def _admin_of(self, epoch: int) -> tuple[Admin, Sequence[str]]:
        """Return the admin page of an epoch, and arguments that give it one if its configuration has none."""
        address = json.loads(self._wanted.config.read_bytes()).get("admin", {}).get("address", {})
        if at := address.get("socket_address"):
            return Admin(host=at["address"], port=at["port_value"]), ()
        if pipe := address.get("pipe"):
            return Admin(path=pipe["path"]), ()
        path = str(self._directory / f"admin-{epoch}.sock")
        return Admin(path=path), ("--config-yaml", json.dumps({"admin": {"address": {"pipe": {"path": path, "mode": 0o600}}}}))


async def _refusal(command: Sequence[str | Path], environ: Mapping[str, str]) -> str:
    """Run a command; return the first lines of what it says if it fails, or how it ended if it says nothing; else an empty text."""
    check = await asyncio.create_subprocess_exec(*command, env=environ, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    try:
        _, said = await check.communicate()
    finally:
        if check.returncode is None:
            check.kill()
    if not check.returncode:
        return ""
    return "\n".join(said.decode(errors="replace").splitlines()[:REASON_LINES]) or f"{command[0]} {describe_exit(check.returncode)}"


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
    """Run Envoy until SIGTERM or SIGINT, and return 0; SIGHUP restarts it without a failed call.

    SIGTERM lets clients leave and calls end first. SIGINT, and a second signal of the two, stops at once. Raises EmbeddedError if the first
    epoch does not serve, or if the one that serves ends.
    """
    asked = signals.watch(kills=False)
    with tempfile.TemporaryDirectory(prefix="mercato-edge-") as directory:
        edge = Edge(wanted, Path(directory))
        try:
            await first(asked.stop.wait(), _serve(edge, asked.reload))
            if not asked.interrupted.is_set():
                await first(asked.interrupted.wait(), edge.drain())
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
