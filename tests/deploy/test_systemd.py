"""The units of systemd, as systemd-analyze sees them, and the state that a worker reports to systemd."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.files import ROOT
from mercato_server.observability import supervision
from support import needs
from support.patience import patient
from support.shop import SECRET

UNITS = ROOT / "deploy/systemd"
NAMES = sorted(path.name for path in UNITS.iterdir())
EXPOSURE_MAX = 2.0
"""Of 10, by the weights of `systemd-analyze security`."""

needs_systemd = needs.SYSTEMD_ANALYZE.unless(shutil.which("systemd-analyze"))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies of the units, whose program exists, since `verify` looks for it."""
    program = tmp_path / "mercato"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in NAMES:
        copy = tmp_path / name.replace("@", "@1")
        copy.write_text((UNITS / name).read_text().replace("/opt/mercato/bin/mercato", str(program)))
    return tmp_path


def analyze(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["/usr/bin/systemd-analyze", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=patient())


def verified(directory: Path, names: Sequence[str]) -> tuple[int, str]:
    """Return the exit code and the complaints of `systemd-analyze verify`."""
    done = analyze(directory, "verify", "--recursive-errors=no", "--man=no", *(f"./{name}" for name in names))
    return done.returncode, done.stdout + done.stderr


@needs_systemd
def test_systemd_takes_every_line_of_the_units(units: Path) -> None:
    names = [name.replace("@", "@1") for name in NAMES]
    assert len(names) == 8
    assert verified(units, names) == (0, "")
    worker = units / "mercato@1.service"
    worker.write_text(worker.read_text().replace("ProtectHome=", "ProtectHomes="))
    code, complaints = verified(units, names)
    assert code != 0
    assert "ProtectHomes" in complaints


@needs_systemd
def test_each_service_is_shut_off_from_the_host(units: Path) -> None:
    services = [name.replace("@", "@1") for name in NAMES if name.endswith(".service")]
    report = analyze(units, "security", "--offline=true", *(f"./{name}" for name in services)).stdout
    found = dict(re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", report))
    assert set(found) == set(services)
    assert max(map(float, found.values())) <= EXPOSURE_MAX


def shell(unit: str, key: str) -> list[str]:
    """Return the shell commands of a unit, as systemd gives them to the shell."""
    found: str
    [found] = re.findall(rf"^{key}=/bin/sh -euc '(.*?)'$", (UNITS / unit).read_text(), re.MULTILINE | re.DOTALL)
    return found.replace("\\\n", "").replace("$$", "$").replace("%%", "%").strip().split(";" + " " * 3)


def test_the_units_of_backups_run_the_commands_of_the_page() -> None:
    """tests/embedded/test_backups.py runs them."""
    page = (ROOT / "docs/backup.md").read_text()
    for unit, key, name in (
        ("mercato-archive.service", "ExecStartPre", "slot"),
        ("mercato-archive.service", "ExecStart", "archive"),
        ("mercato-backup.service", "ExecStart", "backup"),
    ):
        assert shell(unit, key) == page.partition(f"<!-- commands: {name} -->\n```sh\n")[2].partition("\n```")[0].splitlines()


def test_each_timer_has_its_service_and_each_unit_that_is_waited_for_exists() -> None:
    timers = [Path(name).stem for name in NAMES if name.endswith(".timer")]
    assert timers == ["mercato-backup", "mercato-reconcile"]
    assert {f"{timer}.service" for timer in timers} <= set(NAMES)
    text = "".join((UNITS / name).read_text() for name in NAMES)
    waited = {word for line in re.findall(r"^(?:After|Wants)=(.*)$", text, re.MULTILINE) for word in line.split()}
    assert waited - set(NAMES) == {"network-online.target", "postgresql.service"}


def test_a_state_reaches_an_abstract_socket_and_is_dropped_where_no_socket_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = f"@mercato-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address.replace("@", "\0"))
        notices.settimeout(patient())
        for dropped in ("", str(tmp_path / "absent"), "@absent"):
            monkeypatch.setenv("NOTIFY_SOCKET", dropped)
            supervision.tell(supervision.READY)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        supervision.tell(supervision.STOPPING)
        assert notices.recv(64) == b"STOPPING=1"


async def test_a_worker_tells_systemd_when_it_serves_and_when_it_stops(database: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address)
        notices.settimeout(patient())
        env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database,
            "SECRET_KEY": SECRET,
            "MERCATO_LISTEN": f"unix:{tmp_path}/worker",
            "MERCATO_DRAIN_SECONDS": "0",
            "NOTIFY_SOCKET": address,
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "mercato_server", "serve", env=env, stderr=subprocess.DEVNULL)
        try:
            assert await asyncio.to_thread(notices.recv, 64) == b"READY=1"
            assert (tmp_path / "worker").is_socket()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(notices.recv, 64) == b"STOPPING=1"
            assert await asyncio.wait_for(process.wait(), patient()) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
