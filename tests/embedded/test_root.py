"""As root a shop runs as a system account of its own, whatever root's machine is like, or says in one line how to allow it."""

import asyncio
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from embedded.conftest import Person, Run
from embedded.test_postgres import ask, running
from embedded.test_up import QUIET, child, refusal, stop, until_ready, was_replaced
from embedded.watch import children, name, owner, unless_ended
from mercato_server.embedded import accounts, programs
from mercato_server.embedded.postgres import OWNER, WORKER, Postgres
from mercato_server.embedded.privileges import Account, View
from mercato_server.embedded.processes import EmbeddedError
from support import needs
from support.certificates import certificate
from support.patience import patient, until_sync

pytestmark = needs.ROOT.unless(os.geteuid() == 0)

NET_BIND = 1 << 10
ABSENT = "mercato-absent"
"""A user that no test makes."""
CONNECT = """
import asyncio, asyncpg, sys
async def connect():
    try:
        await (await asyncpg.connect(sys.argv[1])).close()
    except (OSError, asyncpg.PostgresError) as error:
        print(type(error).__name__)
    else:
        print("connected")
asyncio.run(connect())
"""


def ids(user: str) -> dict[str, Any]:
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))


def low_port() -> int:
    """Return a port below 1024 on which no server listens."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no port below 1024 is free")


def presented(port: int) -> bytes:
    """Return the certificate that a server presents, empty if none answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), patient()) as plain, context.wrap_socket(plain) as wrapped:
            return wrapped.getpeercert(binary_form=True) or b""
    except OSError:
        return b""


def test_no_process_of_the_shop_is_root_though_port_and_certificate_are_for_root_alone(data_dir: Path, run: Run, tmp_path: Path) -> None:
    port, own = low_port(), certificate(tmp_path)
    own.key.chmod(0o600)
    tmp_path.chmod(0o700)
    command = ["-m", "mercato_server", "up", "--port", port, "--data-dir", data_dir / "shop", "--workers", 1, "--no-demo"]
    supervisor = run(*command, environ=QUIET | own.environ)
    until_ready(supervisor, port, "https")  # before that the end of a process ends the shop
    account = pwd.getpwnam("mercato")
    for pid in children(supervisor.pid):
        with unless_ended():
            assert (owner(pid), status(pid, "Gid").split(), status(pid, "Groups")) == (account.pw_uid, [str(account.pw_gid)] * 4, "")
            assert status(pid, "NoNewPrivs") == "1"
            assert int(status(pid, "CapPrm"), 16) == (NET_BIND if name(pid) == "envoy" else 0)
    assert not [path for path in (data_dir / "shop").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    envoy, first = child(supervisor, "envoy"), presented(port)
    renewed = certificate(tmp_path)
    os.kill(envoy or 0, 9)
    until_sync(lambda: was_replaced(supervisor, "envoy", envoy or 0))
    assert until_sync(lambda: presented(port)) == ssl.PEM_cert_to_DER_cert(renewed.path.read_text()) != first
    stop(supervisor)


async def test_other_users_reach_no_socket_and_postgresql_takes_them_for_no_role(data_dir: Path, ordinary_person: Person) -> None:
    async with running(data_dir) as server:

        def outcome(url: str, user: str) -> str:
            options = ordinary_person.options | ids(user)
            command = [ordinary_person.python, "-c", CONNECT, url]
            done: subprocess.CompletedProcess[str] = subprocess.run(
                command,
                env=os.environ | ordinary_person.environ | {"HOME": "/nonexistent"},
                capture_output=True,
                text=True,
                check=True,
                **options,
            )
            return done.stdout.strip()

        assert outcome(server.url(), "nobody") == "PermissionError"
        server.run_dir.chmod(0o711)
        (server.run_dir / ".s.PGSQL.5432").chmod(0o777)
        refused = "InvalidAuthorizationSpecificationError"
        assert [outcome(server.url(role=role), "nobody") for role in (OWNER, WORKER)] == [refused, refused]
        assert [outcome(server.url(role=role), "mercato") for role in (OWNER, WORKER)] == [refused, "connected"]
        assert await ask(server, "SELECT 1") == 1  # root


@pytest.fixture
def old_directory(data_dir: Path) -> Path:
    """A directory of the earlier release: root's directory with a cluster of `nobody`; also links that `nobody` has put there."""
    asyncio.run(_fill(data_dir))
    shared = pwd.getpwnam("nobody")
    for path in (data_dir / "run", data_dir / "postgres", *(data_dir / "postgres").rglob("*")):
        os.chown(path, shared.pw_uid, shared.pw_gid, follow_symlinks=False)
    (data_dir / "postgres/pg_hba.conf").unlink()
    (data_dir / "root").write_text("root's")
    (data_dir / "postgres/pg_hba.conf").symlink_to(data_dir / "root")
    os.chown(data_dir / "postgres/pg_hba.conf", shared.pw_uid, shared.pw_gid, follow_symlinks=False)
    os.link(data_dir / "root", data_dir / "postgres/linked")
    return data_dir


async def _fill(directory: Path) -> None:
    async with running(directory) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")


async def test_the_directory_of_an_earlier_release_is_handed_over(old_directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    account = pwd.getpwnam("mercato")
    async with running(old_directory) as server:
        assert await ask(server, "SELECT answer FROM kept") == 42
        assert owner(server.pid or 0) == account.pw_uid
    assert capfd.readouterr().err == (
        f"mercato: handed {old_directory} over from {accounts.SHARED}, which other programs run as too, to mercato\n"
    )
    owners = {path: path.lstat().st_uid for path in (old_directory / "run", *(old_directory / "postgres").rglob("*"))}
    assert [path.name for path, uid in owners.items() if uid != account.pw_uid] == ["linked"]
    assert (old_directory / "root").read_text() == "root's"
    async with running(old_directory):
        assert capfd.readouterr().err == ""


def test_a_directory_whose_server_still_runs_is_not_handed_over(old_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercato_server.embedded.postgres.LEFTOVER_TIMEOUT_S", 0.2)
    (old_directory / "bin").mkdir(mode=0o711)
    left = shutil.copy2(shutil.which("sleep") or "", old_directory / "bin/postgres")
    with subprocess.Popen([left, "600"], cwd=old_directory / "postgres", **ids("nobody")) as process:
        with pytest.raises(EmbeddedError, match=f"another PostgreSQL server runs on .*; stop it: process {process.pid}"):
            asyncio.run(Postgres(old_directory).start())
        process.kill()
    assert (old_directory / "postgres").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@pytest.mark.parametrize("user", ["nobody", "root"])
def test_a_shop_never_runs_as_root_or_nobody(user: str) -> None:
    with pytest.raises(
        EmbeddedError, match=f"a shop cannot run as {user}, which other programs run as too; name an account of its own with --user"
    ):
        accounts.choose(Path("/nonexistent"), user)


def test_only_root_may_choose_the_account(ordinary_person: Person, data_dir: Path, run: Run) -> None:
    told = refusal(run("-m", "mercato_server", "up", "--user", "mercato", "--data-dir", data_dir / "shop", person=ordinary_person))
    assert told.endswith("only root can run the shop as mercato; leave out --user, or run this as root\n")


async def test_the_owner_of_a_cluster_stays(data_dir: Path) -> None:
    async with running(data_dir):
        pass
    with pytest.raises(EmbeddedError, match=f"belongs to the user mercato; leave out --user, or hand it over with: chown -R {ABSENT}:"):
        await Postgres(data_dir, durable=False, user=ABSENT).start()


async def test_a_directory_of_another_user_is_refused(data_dir: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    os.chown(data_dir, daemon.pw_uid, daemon.pw_gid)
    with pytest.raises(
        EmbeddedError, match=f"{data_dir} belongs to the user daemon; run this as daemon, or give it to root with: chown root"
    ):
        async with running(data_dir):
            pass


NO_USERADD = "mount --bind /dev/null /usr/sbin/useradd"
READ_ONLY = "mount --bind /etc /etc && mount -o remount,bind,ro /etc"


@pytest.mark.parametrize(
    ("circumstance", "reason"),
    [(NO_USERADD, "and no useradd to make one"), (READ_ONLY, r"and useradd cannot make one \(useradd: .*\)")],
)
def test_an_account_that_cannot_be_made_is_reported_in_a_line(circumstance: str, reason: str, data_dir: Path, run: Run) -> None:
    up = ["-m", "mercato_server", "up", "--user", ABSENT, "--data-dir", data_dir / "shop"]
    command = ("--mount", "sh", "-c", f'{circumstance} && exec "$@"', "sh", sys.executable, *up)
    told = refusal(run(*command, person=Person("/usr/bin/unshare"), environ=QUIET))
    if "mount:" in told:
        needs.MOUNTING.skip(told)
    assert_line(
        told, f"mercato: there is no user {ABSENT} for the shop to run as, {reason}; make one, or name another account with --user\n"
    )


@pytest.mark.parametrize(
    ("capability", "reason"),
    [
        (
            "setuid",
            r"initdb cannot be started: root cannot run it as the user mercato: Operation not permitted; run this as an ordinary user",
        ),
        ("chown", r"root cannot give .*/run to the user mercato: Operation not permitted; run this as an ordinary user"),
    ],
)
def test_a_root_without_rights_is_told_in_a_line(capability: str, reason: str, data_dir: Path, port: int, run: Run) -> None:
    up = ["-m", "mercato_server", "up", "--port", port, "--data-dir", data_dir / "shop"]
    command = run(f"--bounding-set=-{capability}", sys.executable, *up, person=Person("/usr/bin/setpriv"), environ=QUIET)
    assert_line(refusal(command), f"mercato: {reason}\n")


def assert_line(told: str, pattern: str) -> None:
    assert re.fullmatch(pattern, told), told


@pytest.fixture
def home(data_dir: Path) -> Path:
    """A home that only root may enter, with a checkout and a secret."""
    (data_dir / "home/checkout/package").mkdir(parents=True)
    (data_dir / "home/checkout/package/module.py").touch()
    (data_dir / "home").chmod(0o700)
    return data_dir / "home"


ACCOUNT = Account("mercato", 54321, 54321)


def test_programs_in_a_closed_directory_are_shown_and_nothing_else_of_it(home: Path) -> None:
    wanted = [home / "checkout", home / "checkout/package", Path("/usr/bin")]
    assert programs.view(ACCOUNT, wanted) == View((home,), (home / "checkout",))
    home.chmod(0o711)
    assert programs.view(ACCOUNT, wanted) is None


def test_programs_that_the_account_may_not_read_are_reported_in_a_line(home: Path) -> None:
    package = home / "checkout/package"
    for path, mode in ((package / "module.py", 0o600), (package, 0o700)):  # as under umask 077
        path.chmod(mode)
        with pytest.raises(EmbeddedError, match=rf"may not read {path}; allow it with: chmod -R go\+rX {package}, or run this as"):
            programs.view(ACCOUNT, [package])


def test_a_directory_for_mails_must_be_writable_by_the_account(home: Path) -> None:
    mails = home / "mails"
    mails.mkdir(mode=0o700)
    assert not programs.may_write(mails, ACCOUNT)
    os.chown(mails, ACCOUNT.uid, ACCOUNT.gid)
    assert not programs.may_write(mails, ACCOUNT)  # its home is closed
    home.chmod(0o711)
    assert programs.may_write(mails, ACCOUNT)
    assert not programs.may_write(home / "absent", ACCOUNT)
