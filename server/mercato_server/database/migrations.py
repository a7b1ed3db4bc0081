"""Migrations: plain SQL files, forward only, each applied once and never edited. docs/migrations.md says how to write one."""

import asyncio
import functools
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mercato_server.database import origin, phases
from mercato_server.database.connections import connect
from mercato_server.database.pool import Conn
from mercato_server.database.session_settings import FOR_COMMANDS


class SchemaError(Exception):
    """The migrations on disk do not match the database; the message says how the operator can correct that."""


class Phase(StrEnum):
    """How a migration is applied; the first line of its file names the phase."""

    EXPAND = "expand"
    INDEX = "index"
    BACKFILL = "backfill"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Migration:
    """A file in the directory migrations/."""

    name: str
    phase: Phase
    sql: str
    sha256: str
    index: str
    """The name of the index that it creates; empty unless its phase is index."""


BUSY_PAUSE_S = 0.2
"""Interval between two checks whether another process still migrates."""

_ADVISORY_LOCK = 0x6D657263  # "merc"
_HEADER = re.compile(rf"-- phase: ({'|'.join(Phase)})\n")
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+) ", re.MULTILINE)

TRY_LOCK = "SELECT pg_try_advisory_lock($1)"

TRY_SHARED_LOCK = "SELECT pg_try_advisory_lock_shared($1)"

UNLOCK_SHARED = "SELECT pg_advisory_unlock_shared($1)"

CREATE_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

READ_MIGRATIONS = "SELECT name, sha256 FROM schema_migrations ORDER BY name"

RECORD_MIGRATION = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"

HAS_MIGRATIONS = "SELECT to_regclass('schema_migrations') IS NOT NULL"


def migration_files() -> list[Path]:
    """Return the migration files in order, from the installed package or from the checkout."""
    package = Path(__file__).parent.parent
    directory = next(path for path in (package / "migrations", package.parent.parent / "migrations") if path.is_dir())
    return sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def read(path: Path) -> Migration:
    """Read a migration; raises SchemaError if the file does not have the form of its phase."""
    content = path.read_bytes()
    sql = content.decode()
    header, index = _HEADER.match(sql), _INDEX.search(sql)
    if header is None:
        raise SchemaError(f"the first line of migration {path.name} must be one of: {', '.join(f'-- phase: {each}' for each in Phase)}")
    phase = Phase(header[1])
    if phase is Phase.INDEX and index is None:
        raise SchemaError(f"migration {path.name} of phase index must be one statement: CREATE INDEX CONCURRENTLY IF NOT EXISTS")
    return Migration(path.name, phase, sql, hashlib.sha256(content).hexdigest(), index[1] if index else "")


@functools.cache
def _released() -> tuple[Migration, ...]:
    """Read the migrations of this release, once in a process."""
    return tuple(map(read, migration_files()))


async def migrate(
    database_url: str, files: list[Path] | None = None, report: Callable[[str], None] = lambda _line: None, *, restored: bool = False
) -> list[str]:
    """Apply the missing migrations in order; return their names.

    Processes that migrate at the same time wait for each other. After a process was killed, the next one continues where it stopped.
    Raises SchemaError, and changes nothing, if the files do not match the database, or if it is a loaded dump or an unmarked restore.
    With `restored` the caller marks it afterwards. `report` receives lines of progress.
    """
    connection = await connect(database_url, server_settings=FOR_COMMANDS)
    try:
        await _wait_for_others(connection, report)
        await connection.execute(CREATE_MIGRATIONS)
        missing = await pending(connection, files, restored=restored)
        for migration in missing:
            await _apply(connection, migration, report)
            report(f"applied {migration.name}")
        return [migration.name for migration in missing]
    finally:
        await connection.close()


@asynccontextmanager
async def postponed(conn: "Conn") -> AsyncIterator[bool]:
    """Let migrations wait for the end of a block; yields False, at once, if one runs already.

    For work that reads all tables in one transaction: a migration could not get its locks meanwhile, and would give up.
    """
    is_postponed = bool(await conn.fetchval(TRY_SHARED_LOCK, _ADVISORY_LOCK))
    yield is_postponed
    if is_postponed:  # after an error the session ends, and its locks with it
        await conn.execute(UNLOCK_SHARED, _ADVISORY_LOCK)


async def _wait_for_others(conn: "Conn", report: Callable[[str], None]) -> None:
    """Take the advisory lock by polling. A waiting statement would hold a snapshot, which blocks the index that the holder builds."""
    waits = False
    while not await conn.fetchval(TRY_LOCK, _ADVISORY_LOCK):
        if not waits:
            report("another process migrates this database, or checks it; waiting for it")
        waits = True
        await asyncio.sleep(BUSY_PAUSE_S)


async def _apply(conn: "Conn", migration: Migration, report: Callable[[str], None]) -> None:
    async def record() -> None:
        await conn.execute(RECORD_MIGRATION, migration.name, migration.sha256)

    async def run_and_record() -> None:
        await conn.execute(migration.sql)
        await record()

    match migration.phase:
        case Phase.EXPAND | Phase.CONTRACT:
            await phases.in_transaction(conn, run_and_record)
        case Phase.INDEX:
            await phases.build_index(conn, migration.index, migration.sql)
            await record()
        case Phase.BACKFILL:
            await phases.backfill(conn, migration.sql, lambda progress: report(f"{migration.name}: {progress}"))
            await record()


async def pending(conn: "Conn", files: list[Path] | None = None, *, restored: bool = False) -> list[Migration]:
    """Return the migrations that the database lacks. It may have further migrations of a newer release.

    Raises SchemaError if the database is older than the baseline, an applied migration differs from its file, or a file is malformed.
    Unless the caller marks a restore, it also raises SchemaError for a loaded dump and for a restore that was not marked.
    """
    if not restored and (reason := await origin.fault(conn)):
        raise SchemaError(reason)
    applied: dict[str, str] = {}
    if await conn.fetchval(HAS_MIGRATIONS):
        applied = {row["name"]: row["sha256"] for row in await conn.fetch(READ_MIGRATIONS)}
    known = _released() if files is None else tuple(map(read, files))
    if applied and known[0].name not in applied:
        raise SchemaError(f"the database is from before {known[0].name} (it has {min(applied)}), and cannot be migrated; make a new one")
    for migration in known:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise SchemaError(f"migration {migration.name} was edited after it had been applied; restore it and write a new migration")
    return [migration for migration in known if migration.name not in applied]


async def require(conn: "Conn") -> None:
    """Raise SchemaError unless the database has the schema of this release."""
    if missing := await pending(conn):
        raise SchemaError(f"the database lacks {', '.join(migration.name for migration in missing)}; run `mercato migrate`")
