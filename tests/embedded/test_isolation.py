"""The processes of a shop get only what they need: variables, rights, files. The user who runs it makes no difference."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from embedded.test_postgres import ask, running
from embedded.watch import children, name, unless_ended
from mercato_server.embedded.postgres import OWNER, WORKER, Postgres
from mercato_server.embedded.processes import EmbeddedError
from support.mercato_up import Up
from support.mercato_up import running as shop

OWN_SECRETS = {
    "SECRET_KEY": secrets.token_hex(32),
    "MERCATO_PASSWORD_PEPPER": secrets.token_hex(32),
    "MERCATO_SMTP_URL": f"smtp://shop:{secrets.token_hex(8)}@127.0.0.1:1",
}
"""Secrets that workers need, and no other process."""
FOREIGN = {name: secrets.token_hex(16) for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "GITHUB_TOKEN", "DATABASE_PASSWORD")}
"""Secrets of other programs, which no process needs."""
ALLOWED = {"PATH", "LD_LIBRARY_PATH", "LC_ALL", "TZ"}


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with shop(**OWN_SECRETS, **FOREIGN) as up:
        up.buyer()  # so that a process hashes a password
        yield up


def family(up: Up) -> dict[int, str]:
    """Return the processes of a shop by what they do."""
    supervisor = int((up.data_dir / "lock").read_text())
    kinds = {}
    for pid in children(supervisor):
        with unless_ended():
            command, program = Path(f"/proc/{pid}/cmdline").read_text(), name(pid)
            python = "hashing" if "hash_process" in command else "worker"
            if program:  # else it has ended
                kinds[pid] = program if program in {"postgres", "envoy"} else python
    assert set(kinds.values()) == {"postgres", "envoy", "worker", "hashing"}
    return kinds


def environ(pid: int) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    return {variable: value for variable, _, value in pairs}


def test_each_process_gets_only_the_variables_that_it_needs(up: Up) -> None:
    checked = set()
    for pid, kind in family(up).items():
        with unless_ended():
            given, command = environ(pid), Path(f"/proc/{pid}/cmdline").read_text()
            known = {*FOREIGN.values(), *(() if kind == "worker" else OWN_SECRETS.values())}
            assert not known & set(given.values()), kind
            assert not {"MERCATO_ADMIN_PASSWORD", *FOREIGN} & set(given), kind
            if kind in {"postgres", "envoy"} and command.startswith("/"):  # PostgreSQL's children write titles
                assert set(given) <= ALLOWED, kind
            if kind == "worker":
                assert OWN_SECRETS.items() <= given.items()
            checked.add(kind)
    assert checked == {"postgres", "envoy", "worker", "hashing"}


def test_no_secret_is_in_a_command_line_or_a_file_that_others_may_read(up: Up) -> None:
    known = [value.encode() for value in {**OWN_SECRETS, **FOREIGN}.values()]
    for pid in (int((up.data_dir / "lock").read_text()), *family(up)):
        with unless_ended():
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert not any(value in line for value in known)
    files = [path for path in up.data_dir.rglob("*") if path.is_file() and "postgres" not in path.relative_to(up.data_dir).parts]
    assert {path.name for path in files} > {"envoy.json", "access.log", "worker-0.log"}
    assert not any(value in path.read_bytes() for value in known for path in files)


def test_no_process_leaves_a_core(up: Up) -> None:
    for pid in family(up):
        with unless_ended():
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            assert next(line.split()[4] for line in limits if line.startswith("Max core file size")) == "0"


def test_only_the_owner_of_the_sockets_can_change_their_directory(up: Up) -> None:
    directory = up.data_dir / "run"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {"envoy.sock", "worker-0.sock", ".s.PGSQL.5432", "control.sock"} <= {path.name for path in directory.iterdir()}
    assert not [path for path in directory.iterdir() if path.name != ".s.PGSQL.5432.lock" and path.stat().st_mode & 0o077]


def test_workers_use_a_role_that_can_only_read_and_write_rows(up: Up) -> None:
    roles = {environ(pid)["DATABASE_URL"].partition("://")[2].partition("@")[0] for pid, kind in family(up).items() if kind == "worker"}
    assert roles == {WORKER}


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE kept ADD COLUMN more int",
        "TRUNCATE kept",
        "DROP TABLE kept",
        "CREATE ROLE another SUPERUSER",
        f"SET ROLE {OWNER}",
        "ALTER SYSTEM SET fsync = off",
    ],
)
async def test_the_role_of_the_workers_has_no_other_rights(statement: str, worker_url: str) -> None:
    connection = await asyncpg.connect(worker_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    assert await connection.fetchval("UPDATE kept SET answer = answer RETURNING answer") == 42
    await connection.close()


@pytest.fixture(scope="module")
def worker_url(up: Up) -> str:
    """The URL of the workers' role in a database where a migration has made a table after the role."""
    server = Postgres(up.data_dir)
    asyncio.run(_execute(server.url(), "CREATE TABLE kept AS SELECT 42 AS answer"))
    return server.url(role=WORKER)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def test_a_cluster_of_an_earlier_release_trusts_no_longer_and_gets_the_role(data_dir: Path) -> None:
    async with running(data_dir) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        await ask(server, f"DROP OWNED BY {WORKER}")
        await ask(server, f"DROP ROLE {WORKER}")
    (data_dir / "postgres/pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\nlocal replication all trust\n")
    (data_dir / "postgres/pg_ident.conf").write_text("")
    async with running(data_dir) as server:
        connection = await asyncpg.connect(server.url())
        rules = await connection.fetch("SELECT auth_method, error FROM pg_hba_file_rules")
        assert {tuple(rule) for rule in rules} == {("peer", None)}
        assert not await connection.fetchval("SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = $1", WORKER)
        assert await connection.fetchval("SELECT has_table_privilege($1, 'kept', 'UPDATE')", WORKER)
        await connection.close()


def test_a_directory_that_any_user_may_write_to_is_refused(data_dir: Path) -> None:
    data_dir.chmod(0o1777)
    with pytest.raises(EmbeddedError, match=rf"any user may write to {data_dir}; forbid it with: chmod o-w {data_dir}"):
        Postgres(data_dir).claim()
    assert not list(data_dir.iterdir())
