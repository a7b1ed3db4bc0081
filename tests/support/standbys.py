"""Standbys of the tests' PostgreSQL servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from mercato_server.embedded.postgres import SETTINGS, Postgres
from support.patience import until

NAME = "standby"
"""Its role and its application name."""
IS_SYNCHRONOUS = "SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = $1"


async def cold_copy(server: Postgres, directory: Path, **settings: str) -> Postgres:
    """Stop a server, copy its data and start it again; return the copy, which starts as a standby with these settings."""
    await server.stop()
    _copy(server.cluster, directory, settings)
    await server.start()
    return Postgres(directory)


def _copy(cluster: Path, directory: Path, settings: Mapping[str, str]) -> None:
    copy = directory / "postgres"
    directory.mkdir(mode=0o711)
    subprocess.run(["/bin/cp", "--archive", cluster, copy], check=True)
    with (copy / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    (copy / "standby.signal").touch()


@asynccontextmanager
async def replicated(server: Postgres, directory: Path) -> AsyncIterator[Postgres]:
    """Run a synchronous standby of a server for a block: COMMIT waits for it."""
    source = f"host={server.run_dir} port={SETTINGS['port']} user={NAME} application_name={NAME}"
    standby = await cold_copy(server, directory, primary_conninfo=source)
    _append(server.cluster / "pg_hba.conf", f"local replication {NAME} trust")  # the account of root's servers may not be the owner
    try:
        connection = await asyncpg.connect(server.url())
        await connection.execute(f"CREATE ROLE {NAME} LOGIN REPLICATION")
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        await connection.execute("SELECT pg_reload_conf()")
        await standby.start()
        await until(lambda: connection.fetchval(IS_SYNCHRONOUS, NAME))
        await connection.close()
        yield standby
    finally:
        await standby.stop()


def _append(file: Path, line: str) -> None:
    with file.open("a") as writer:
        writer.write(line + "\n")


async def promote(standby: Postgres) -> None:
    """Make a standby the primary."""
    connection = await asyncpg.connect(standby.url())
    assert await connection.fetchval("SELECT pg_promote()")
    await connection.close()


def one_of(*urls: str) -> str:
    """Return the URL that names the servers of all these URLs, which differ in nothing else."""
    parts = [urlsplit(url) for url in urls]
    queries = [dict(parse_qsl(each.query)) for each in parts]
    servers = {name: ",".join(query[name] for query in queries) for name in ("host", "port")}
    return parts[0]._replace(query=urlencode(queries[0] | servers | {"target_session_attrs": "primary"}, safe="/,")).geturl()


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accept connections for a block and never answer, as a server that is suspended; yields the port on 127.0.0.1."""

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]
