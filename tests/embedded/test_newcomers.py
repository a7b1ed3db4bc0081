"""`mercato up` on the machines of newcomers: it works, or prints in one line how to make it work."""

import json
import os
import pty
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from embedded.conftest import Person, Run
from embedded.test_reload import workers
from embedded.test_up import QUIET, Supervisor, healthy, refusal, stop, until_ready
from embedded.watch import children, gone
from ports import free_port
from support import needs
from support.patience import patient, until_sync

ODD = "mein Lädchen/für dich"
LOCALES = {
    "turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "ascii": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
}
FOREIGN = {
    "DATABASE_URL": "postgresql://other@203.0.113.1/other",
    "PGHOST": "203.0.113.1",
    "PGPORT": "1",
    "PGSERVICE": "other",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c no.such=thing",
    "PYTHONPATH": "/nonexistent",
    "PYTHONWARNINGS": "error",
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY"), "http://203.0.113.1:1"),
}
"""Variables that other projects leave in an environment; no host has the address."""
OPEN_FILES = 256

Mercato = Callable[..., Supervisor]

as_root = needs.ROOT.unless(os.geteuid() == 0)


@pytest.fixture
def mercato(run: Run) -> Mercato:
    """Start `mercato` without some variables of this run; further options go to Popen."""

    def start(*arguments: object, environ: Mapping[str, str] | None = None, unset: tuple[str, ...] = (), **options: Any) -> Supervisor:
        given = {**QUIET, **(environ or {})}
        command = (*(f"-u{name}" for name in {"PYTHONUTF8", *unset} - given.keys()), sys.executable, "-m", "mercato_server", *arguments)
        return run(*command, person=Person("/usr/bin/env"), environ=given, options=options)

    return start


def shop(port: int, directory: Path, *options: str) -> list[object]:
    return ["up", "--port", port, "--data-dir", directory, "--workers", 1, *(options or ("--no-demo",))]


@pytest.mark.parametrize("name", LOCALES)
def test_neither_the_path_nor_the_locale_nor_the_time_zone_matters(name: str, data_dir: Path, port: int, mercato: Mercato) -> None:
    directory = data_dir / ODD
    supervisor = mercato(*shop(port, directory, "--demo"), environ={**LOCALES[name], "TZ": "Asia/Kathmandu"}, unset=("HOME",))
    assert f"data   {directory}  (logs in log/)" in until_ready(supervisor, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/products?q=cafe+mile&page_size=1", timeout=patient()) as reply:
        assert json.load(reply)["products"][0]["name"] == "Caf\u00e9 Mile Long-Sleeve Top"
    stop(supervisor)


def require_usual_modes(directory: Path, above: Path) -> None:
    """Check that only the shop's user may read its files, and that PostgreSQL may enter the directories that the shop made."""
    made = [path for path in directory.rglob("*") if path.is_file()]
    assert {path.name for path in made} > {"envoy.json", "secret_key", "access.log", "postgres.log"}
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    passable = 0o711 if os.geteuid() == 0 else 0o700
    parents = [directory, *(path for path in directory.parents if path.is_relative_to(above) and path != above)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in parents} == {passable}


def test_a_umask_that_keeps_all_others_out_does_not_keep_postgresql_out(data_dir: Path, port: int, mercato: Mercato) -> None:
    supervisor = mercato(*shop(port, data_dir / "made/by/it"), environ={"HOME": "/nonexistent"}, umask=0o077)
    until_ready(supervisor, port)
    require_usual_modes(data_dir / "made/by/it", data_dir)
    stop(supervisor)


def test_a_shop_started_like_a_daemon_with_umask_0_and_no_standard_streams_keeps_its_files_private(
    data_dir: Path, port: int, mercato: Mercato
) -> None:
    supervisor = mercato(*shop(port, data_dir / "made/by/it"), umask=0o000, preexec_fn=lambda: os.closerange(0, 3))
    until_sync(lambda: healthy(port))
    require_usual_modes(data_dir / "made/by/it", data_dir)
    stop(supervisor)


def one_core_few_files_no_input() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    os.close(0)


@pytest.fixture
def usual_port_of_postgresql() -> Iterator[None]:
    """Take port 5432, unless another program has it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 5432))
            listener.listen()
        except OSError:
            pass
        yield


def test_two_shops_run_beside_each_other_on_one_core_whatever_the_environment_says(
    data_dir: Path, port: int, mercato: Mercato, usual_port_of_postgresql: None
) -> None:
    ports = (port, free_port())
    shops = [mercato(*shop(number, data_dir / str(number)), environ=FOREIGN, preexec_fn=one_core_few_files_no_input) for number in ports]
    for supervisor, number in zip(shops, ports, strict=True):
        until_ready(supervisor, number)
    assert all(map(healthy, ports))
    for supervisor in shops:
        stop(supervisor)


def test_a_shop_under_nohup_outlives_its_terminal(data_dir: Path, port: int, mercato: Mercato) -> None:
    ours, theirs = pty.openpty()

    def in_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        ioctl(theirs, termios.TIOCSCTTY, 0)

    supervisor = mercato(*shop(port, data_dir / "shop"), start_new_session=True, preexec_fn=in_terminal, pass_fds=(theirs,))
    until_ready(supervisor, port)
    before = workers(supervisor)
    os.close(theirs)
    os.close(ours)
    until_sync(lambda: workers(supervisor) - before)  # it received the SIGHUP and reloaded
    assert healthy(port)
    stop(supervisor)


def test_a_start_that_is_killed_at_any_stage_can_be_repeated(data_dir: Path, port: int, mercato: Mercato) -> None:
    directory = data_dir / "shop"
    for stage in ("lock", "initdb-*/PG_VERSION", "postgres/postmaster.pid", "run/.s.PGSQL.5432", "run/worker-0.sock"):
        for left in directory.glob(stage):
            left.unlink()
        supervisor = mercato(*shop(port, directory))
        until_sync(lambda: any(directory.glob(stage)))  # noqa: B023 - it is called here
        family = children(supervisor.pid)
        supervisor.kill()
        supervisor.wait()
        until_sync(lambda: all(map(gone, family)))  # noqa: B023 - as above
    supervisor = mercato(*shop(port, directory))
    until_ready(supervisor, port)
    assert not list(directory.glob("initdb-*"))
    stop(supervisor)


def test_ctrl_c_before_the_modules_are_loaded_shows_no_stack(run: Run) -> None:
    ask = "import mercato_server.__main__, signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)"
    assert run("-c", ask).communicate(timeout=patient()) == ("True\n", "")


@pytest.fixture
def full_disk(data_dir: Path) -> Iterator[Path]:
    """A file system with a megabyte of room."""
    place, mount, umount = data_dir / "disk", shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0:
        needs.ROOT.skip()
    if mount is None or umount is None:
        needs.MOUNT.skip()
    place.mkdir()
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m,mode=711", "none", place], check=False, capture_output=True, text=True)
    if mounted.returncode:
        needs.MOUNTING.skip(mounted.stderr.strip())
    yield place
    subprocess.run([umount, "--lazy", place], check=True)


def test_a_full_disk_is_reported_in_a_line(full_disk: Path, port: int, mercato: Mercato) -> None:
    advice = "make room there or choose another directory with --data-dir\n"
    for _ in range(2):  # the first start has left files
        told = refusal(mercato(*shop(port, full_disk / "shop")))
        assert told == f"mercato: the disk of {full_disk}/shop has only 0 MB left and PostgreSQL needs 64 MB to start; {advice}"


def test_a_home_that_cannot_be_written_is_reported_in_a_line(data_dir: Path, port: int, run: Run, ordinary_person: Person) -> None:
    home = data_dir / "home"
    home.mkdir(mode=0o555)
    for place, why in ((home, "Permission denied"), (home / "none", "Permission denied"), (Path("/proc"), "No such file")):
        told = refusal(run("-m", "mercato_server", "up", "--port", port, person=ordinary_person, environ={"HOME": str(place)}))
        assert told.startswith(f"mercato: {place}/.local/share/mercato cannot be written: {why}")
        assert told.endswith("; choose another directory with --data-dir\n")
        assert told.count("\n") == 1


@as_root
def test_a_user_without_a_home_gets_an_error_in_a_line(run: Run, ordinary_person: Person) -> None:
    stranger = replace(ordinary_person, options={**ordinary_person.options, "user": 54321})
    told = refusal(run("-uHOME", stranger.python, "-m", "mercato_server", "up", person=replace(stranger, python="/usr/bin/env")))
    assert told == "mercato: HOME is not set and this user has no home directory; set HOME, or name a directory with --data-dir\n"
