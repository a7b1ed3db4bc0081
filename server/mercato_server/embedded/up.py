"""The supervisor of `mercato up`: starts, reloads and stops PostgreSQL, workers and Envoy of one data directory."""

import asyncio
import contextlib
import hashlib
import json
import os
import resource
import shlex
import shutil
import signal
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from mercato_server.config import secret_files
from mercato_server.config.edge_settings import EdgeCache, EdgeSettings, TlsFiles
from mercato_server.config.environment import ConfigError, environ_file, one_of
from mercato_server.config.inheritance import program_environ, python_environ, worker_environ
from mercato_server.config.log_settings import SECURITY_LOG
from mercato_server.config.mail_settings import MailSettings
from mercato_server.config.settings import Settings, child_environ, data_home, drop_libpq_variables, logs_bytes
from mercato_server.embedded import accounts, archive, control, demo_shop, logs, metrics, play_money, ports, programs, signals
from mercato_server.embedded.database import secret_key
from mercato_server.embedded.launches import Launch
from mercato_server.embedded.play_money import PlayMoney
from mercato_server.embedded.postgres import SETTINGS, WORKER
from mercato_server.embedded.probes import reachable, until_healthy, until_listening, until_ready
from mercato_server.embedded.processes import Command, EmbeddedError, Process, Program, complain, first, keep_running, while_alive
from mercato_server.embedded.running_shop import RunningShop
from mercato_server.embedded.workers import Workers
from mercato_server.security.hasher import COMMAND, process_options

READY_TIMEOUT_S = 60.0
HEALTH_INTERVAL_S = 1.0
"""Interval of Envoy's health checks; also the longest time until it uses a worker that was started again."""
DRAIN_S = 2.5 * HEALTH_INTERVAL_S
"""Time between a worker's NOT_SERVING and its end. Envoy sees it at its next health check, which is late on a busy machine."""
DRAIN_MAX_S = 20.0
"""Time that a replaced worker may take to end: its drain, and ten seconds for its calls in flight."""
WORKERS_MAX = 8
"""Default number of workers, unless there are fewer processors."""
SPARE_CONNECTIONS = 10
"""Connections kept free for psql, migrations and PostgreSQL itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a shop is started: the options of `mercato up`."""

    port: int = 8080
    data_dir: Path | None = None
    workers: int | None = None
    demo: bool = True
    demo_payments: bool = False
    env_file: Path | None = None
    metrics_port: int | None = None
    user: str | None = None
    edge_cache: bool = False
    backup_dir: Path | None = None


async def up(options: Options) -> int:
    """Run the shop until SIGINT or SIGTERM and return the exit code, 1 if it cannot start; a second signal kills it at once.

    Prints `ready http://127.0.0.1:PORT` (https with a certificate) on standard output once REST and gRPC answer. From then on a process
    that ends is started again, and SIGHUP replaces the workers.
    """
    asked = signals.watch()
    drop_libpq_variables()
    os.umask(0o077)  # only the user who runs the shop may read its files
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # a core would hold keys and passwords
    try:
        shop = Shop(options)
        async with contextlib.aclosing(shop):
            await first(shop.run(asked.reload), asked.stop.wait())
    except (EmbeddedError, ConfigError, OSError) as error:
        complain(str(error) or repr(error))
        return 1
    return 0


class Shop:
    """The processes of one data directory; starts and stops them in order."""

    def __init__(self, options: Options) -> None:
        self._data_dir = (options.data_dir or Path(data_home(), "mercato")).resolve()
        self._count = count = options.workers or min(len(os.sched_getaffinity(0)), WORKERS_MAX)
        self._demo = options.demo
        self._env_file = options.env_file
        self._postgres, self._archive = archive.for_shop(self._data_dir, options.user, options.backup_dir, self._given())
        run_dir = self._postgres.run_dir
        self._sockets = [run_dir / f"worker-{number}.sock" for number in range(count + 1)]
        self._admin = run_dir / "envoy.sock"
        self._hashing_socket = run_dir / "hashing.sock"
        edge = EdgeSettings.from_environ(self._given())
        self._edge = replace(
            edge,
            port=options.port,
            upstreams=tuple(f"unix:{path}" for path in self._sockets),
            upstream_workers=None,
            spares=1,
            admin_path=str(self._admin),
            health_interval_s=HEALTH_INTERVAL_S,
            cache=EdgeCache(directory=_cache_directory(self._data_dir)) if options.edge_cache or self._wants_cache() else None,
            holding=replace(edge.holding, connections=min(edge.holding.connections, ports.connections_max())),
        )
        self._logs_bytes = logs_bytes(self._given())
        self._mail = MailSettings()
        self._play = PlayMoney(self._data_dir, self._edge) if options.demo_payments else None
        self._workers = Workers(count, self._worker_process, self._until_at_edge)
        running = RunningShop(self._servers, self._workers, self._data_dir, self._logs_bytes, self._archive.target)
        port = metrics.port_beside(options.port, options.metrics_port)
        self._metrics = metrics.Metrics(port, run_dir, self._admin, running) if port else None
        self._environ: dict[str, str] = {}
        self._shared_memory = os.memfd_create("mercato")  # the epochs of the workers; freed with the last worker
        self._reloading = asyncio.Lock()
        self._double: Process | None = None
        self._envoy: Process | None = None
        self._hashing: Process | None = None

    async def run(self, reload: asyncio.Event) -> None:
        """Start everything, announce it, and keep it running until cancelled; raises EmbeddedError if a process does not start.

        Replaces the workers whenever the event is set.
        """
        await self._start()
        async with asyncio.TaskGroup() as group:
            for program in self._servers():
                group.create_task(keep_running(program, self._workers.restarts))
            self._workers.keep_running(group)
            group.create_task(self._archive.keep())
            group.create_task(logs.keep_short(self._data_dir / "log", self._logs_bytes))
            observed = self._metrics.listening() if self._metrics else contextlib.nullcontext()
            async with control.listening(control.socket_path(self._data_dir), self.reload), observed:
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
                self._admit(environ)
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
        if self._hashing is not None:
            await self._hashing.stop()
            self._hashing_socket.unlink(missing_ok=True)
        if self._envoy is not None:
            await self._envoy.stop()
            if self._edge.cache:
                shutil.rmtree(self._edge.cache.directory, ignore_errors=True)
        if self._double is not None:
            await self._double.stop()
        if self._play is not None:
            self._play.close()
        self._archive.stopping()
        await self._postgres.stop()
        await self._archive.close()  # now it has all that was committed
        os.close(self._shared_memory)

    async def _start(self) -> None:
        self._postgres.claim()
        await ports.require_free(self._edge.listen_host, self._edge.port, "--port")
        if self._metrics:
            await ports.require_free(metrics.HOST, self._metrics.port, "--metrics-port")
        if self._play:
            self._play.listen({self._edge.port, self._metrics.port if self._metrics else 0})
        self._archive.require()
        self._environ = self._worker_environ()
        settings = Settings.from_environ(self._environ)
        self._mail = settings.mail
        self._require_enough_connections(settings)
        programs.envoy()  # reported before anything starts, if it is missing
        await self._postgres.start()
        self._admit(self._environ)
        await self._while_alive(self._prepare_database(settings))
        await self._archive.start()
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                self._hashing = self._hashing_process(settings)
                await self._hashing.start()
                if self._play:
                    self._double = self._play.process(self._postgres.account)
                    await self._double.start()
                await self._workers.start()
                envoy = self._envoy_process()
                await self._while_alive(until_listening(self._sockets[: self._count]))  # so that Envoy's first health check succeeds
                self._envoy = envoy
                await envoy.start()
                await self._while_alive(until_ready(reachable(self._edge.listen_host), self._edge.port, tls=self._edge.tls is not None))
        except TimeoutError:
            raise EmbeddedError(f"not ready after {READY_TIMEOUT_S:.0f} s; the logs are in {self._data_dir / 'log'}") from None

    async def _while_alive(self, work: Coroutine[None, None, object]) -> None:
        """Run a step of the start; it fails as soon as a started process ends."""
        await while_alive(work, *self._servers(), *self._workers.programs)

    def _servers(self) -> list[Program]:
        return [self._postgres, *(process for process in (self._hashing, self._double, self._envoy) if process is not None)]

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

        from mercato_server.database import migrations

        try:
            await migrations.migrate(self._postgres.url())
            if self._demo:
                log = self._data_dir / "log" / "demo.log"
                await demo_shop.load(self._postgres, settings.currency, self._environ | self._home(), log)
        except (migrations.SchemaError, asyncpg.PostgresError) as error:
            raise EmbeddedError(f"the database in {self._data_dir} cannot be made ready: {error}") from error

    def _worker_environ(self) -> dict[str, str]:
        """Return the environment of new workers, from the variables as they are now."""
        given = self._given()
        own = {
            "DATABASE_URL": self._postgres.url(role=WORKER),
            "MERCATO_DRAIN_SECONDS": str(DRAIN_S),
            "MERCATO_HASHING_SOCKET": str(self._hashing_socket),
            "MERCATO_SHARED_MEMORY": f"/dev/fd/{self._shared_memory}",
            "SECRET_KEY": secret_key(self._data_dir, given),
        }
        if self._play:
            own |= self._play.settings(given)
        else:
            play_money.require_none(self._data_dir, given)
        environ = given | own
        mail = MailSettings.from_environ(environ)
        if mail.smtp is None:
            environ["MERCATO_MAIL_DIR"] = str(Path(mail.directory or self._data_dir / "mail").absolute())
        else:
            environ.pop("MERCATO_MAIL_DIR", None)  # an SMTP server comes first
        environ["MERCATO_PICTURES_DIR"] = given.get("MERCATO_PICTURES_DIR") or str(self._data_dir / "pictures")
        Launch.of_environ(environ, self._data_dir).write(self._data_dir)
        return worker_environ(environ)

    def _admit(self, environ: dict[str, str]) -> None:
        """Give the account of the workers, if they have one of their own, what they share and write. Raises EmbeddedError."""
        account = self._postgres.account
        if account is None:
            return
        programs.compile_packages()
        os.fchown(self._shared_memory, account.uid, account.gid)
        for variable, own in (("MERCATO_MAIL_DIR", "mail"), ("MERCATO_PICTURES_DIR", "pictures")):
            directory = environ.get(variable)
            if directory is not None and directory == str(self._data_dir / own):
                accounts.make_private(Path(directory), account)
            elif directory is not None and not programs.may_write(Path(directory), account):
                raise EmbeddedError(
                    f"as root the workers run as the user {account.name}, which may not write to {variable}; make {directory} its "
                    f"directory with: install -d -o {account.name} -m 700 {shlex.quote(directory)}"
                )

    def _given(self) -> dict[str, str]:
        """Return this process's variables, replaced by those of the file as it is now."""
        return child_environ(secret_files.read(environ_file(self._env_file)))

    def _wants_cache(self) -> bool:
        return one_of(self._given(), "MERCATO_EDGE_CACHE", "off", ("on", "off")) == "on"

    def _worker_process(self, number: int) -> Process:
        """Return a worker's process. It is stopped with SIGINT: after SIGTERM a worker waits until the edge stops sending calls."""
        telling = str(metrics.socket_path(self._postgres.run_dir, number)) if self._metrics else ""
        own = {"MERCATO_LISTEN": self._edge.upstreams[number], "MERCATO_METRICS_LISTEN": "", "MERCATO_METRICS_SOCKET": telling}
        return Process(
            Command(
                name=f"worker {number}",
                argv=[sys.executable, "-P", "-m", "mercato_server", "serve"],
                environ=self._environ | self._home() | own,
                logs={} if self._environ.get(SECURITY_LOG) else {SECURITY_LOG: self._data_dir / "log" / "security.log"},
                inherits=(self._shared_memory,),
                output=self._data_dir / "log" / f"worker-{number}.log",
                account=self._postgres.account,
                view=programs.view(self._postgres.account, programs.python_directories()),
                stop_signals=(signal.SIGINT,),
            )
        )

    def _hashing_process(self, settings: Settings) -> Process:
        """Return the process that hashes passwords for all workers. Its socket is in the private directory, as those of the workers are."""
        return Process(
            Command(
                name="hashing",
                argv=[*COMMAND, *process_options(settings.hashing, settings.limits), "--listen", settings.hashing.socket],
                environ=python_environ() | self._home(),
                output=self._data_dir / "log" / "hashing.log",
                account=self._postgres.account,
                view=programs.view(self._postgres.account, programs.python_directories()),
            )
        )

    def _home(self) -> dict[str, str]:
        return {} if self._postgres.account is None else {"HOME": "/nonexistent"}  # root's is closed to the account

    def _envoy_process(self) -> Process:
        """Write Envoy's configuration and return its process, without shared memory, which would survive a killed Envoy."""
        from mercato_server.edge.envoy import render

        account, binary, config = self._postgres.account, programs.envoy(), self._data_dir / "envoy.json"
        edge = self._edge if account is None or self._edge.tls is None else replace(self._edge, tls=self._tls_copies())
        if edge.cache:
            accounts.make_private(edge.cache.directory, account)
        accounts.write_private(config, json.dumps(render(edge), indent=1).encode(), account)
        return Process(
            Command(
                name="envoy",
                argv=[
                    *(binary, "--config-path", config, "--disable-hot-restart", "--log-level", "warning"),
                    *("--component-log-level", "cache_filter:error"),  # it warns of each answer that it had no time to store
                    *("--file-flush-interval-msec", "1000"),  # the access log shows a call after a second; the default is ten
                ],
                environ=program_environ(),
                output=self._data_dir / "log" / "access.log",
                errors=self._data_dir / "log" / "envoy.log",
                account=account,
                view=programs.view(account, (binary.parent,)),
                binds_low_ports=account is not None and ports.is_low(self._edge.port),
                prepare=self._copy_tls if edge is not self._edge else lambda: None,
            )
        )

    def _tls_copies(self) -> TlsFiles:
        return TlsFiles(certificate=str(self._data_dir / "tls_certificate.pem"), key=str(self._data_dir / "tls_key.pem"))

    def _copy_tls(self) -> None:
        """Copy the certificate and its key, which only root may be able to read, for the account of Envoy."""
        if self._edge.tls is not None:
            copies = self._tls_copies()
            accounts.write_private(Path(copies.certificate), Path(self._edge.tls.certificate).read_bytes(), self._postgres.account)
            accounts.write_private(Path(copies.key), Path(self._edge.tls.key).read_bytes(), self._postgres.account)

    def _require_enough_connections(self, settings: Settings) -> None:
        most = int(SETTINGS["max_connections"])
        each = settings.pool_size + settings.limits.background_connections
        if (self._count + 1) * each + SPARE_CONNECTIONS > most:
            raise EmbeddedError(
                f"{self._count} workers, and one more while they are replaced, with {each} connections each "
                f"are more than the embedded PostgreSQL takes ({most}); "
                "choose fewer with --workers or MERCATO_POOL_SIZE"
            )

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
            f"{self._announced_metrics()}{self._play.announcement if self._play else ''}"
            f"SQL    psql '{self._postgres.url()}'\n"
            f"admin  mercato admin create EMAIL --data-dir {shlex.quote(str(self._data_dir))}\n"
            f"ready {base}\n"
        )

    def _announced_metrics(self) -> str:
        return f"stats  http://{metrics.HOST}:{self._metrics.port}/metrics  (for Prometheus)\n" if self._metrics else ""


def _cache_directory(data_dir: Path) -> Path:
    """Return the directory of the edge's cache: in memory if the machine has a place for that, else in the data directory."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it is made private
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return memory / f"mercato-{os.geteuid()}-{digest}" if memory.is_dir() else data_dir / "edge-cache"


def _say(text: str) -> None:
    """Write to standard output; a path appears as the bytes that it is, even if the locale has no such letters."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()
