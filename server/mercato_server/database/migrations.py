"""Migrations: plain SQL files, forward only, each applied once and never edited."""

import asyncio
import hashlib
from pathlib import Path

import asyncpg

from mercato_server.database.pool import Conn


class SchemaError(Exception):
    """The migrations on disk and the database do not fit together; the message says what to do."""


LOCK_TRIES = 60
LOCK_PAUSE_S = 0.5
"""Between two tries; those who queued behind a lock that was waited for get through meanwhile."""

_ADVISORY_LOCK = 0x6D657263  # "merc"

LIMIT_LOCKS = "SET lock_timeout = '500ms'"

CREATE_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

READ_MIGRATIONS = "SELECT name, sha256 FROM schema_migrations"

RECORD_MIGRATION = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"

HAS_MIGRATIONS = "SELECT to_regclass('schema_migrations') IS NOT NULL"


def migration_files() -> list[Path]:
    """Return the migrations in order: those of the installed package, or of the checkout around it."""
    package = Path(__file__).parent.parent
    directory = next(path for path in (package / "migrations", package.parent.parent / "migrations") if path.is_dir())
    return sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))


async def migrate(database_url: str, files: list[Path] | None = None) -> list[str]:
    """Apply the migrations that are missing, each in a transaction of its own; return their names.

    Processes that migrate at once wait for each other. A migration that cannot have its locks at once lets the calls that queue behind it
    pass, and tries again for up to a minute. Raises SchemaError if a file was edited after it had been applied; that changes nothing.
    """
    connection = await asyncpg.connect(database_url, timeout=5)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(LIMIT_LOCKS)
        await connection.execute(CREATE_MIGRATIONS)
        missing = await pending(connection, files)
        for path in missing:
            await _apply(connection, path.name, path.read_text(), _sha256(path))
        return [path.name for path in missing]
    finally:
        await connection.close()


async def _apply(conn: "Conn", name: str, statements: str, sha256: str) -> None:
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            async with conn.transaction():
                await conn.execute(statements)
                await conn.execute(RECORD_MIGRATION, name, sha256)
                return
        except asyncpg.LockNotAvailableError:
            if attempt == LOCK_TRIES:
                raise
            await asyncio.sleep(LOCK_PAUSE_S)


async def pending(conn: "Conn", files: list[Path] | None = None) -> list[Path]:
    """Return the migrations that the database lacks; raises SchemaError if an applied one differs from its file."""
    applied: dict[str, str] = {}
    if await conn.fetchval(HAS_MIGRATIONS):
        applied = {row["name"]: row["sha256"] for row in await conn.fetch(READ_MIGRATIONS)}
    missing = []
    for path in migration_files() if files is None else files:
        if path.name not in applied:
            missing.append(path)
        elif applied[path.name] != _sha256(path):
            raise SchemaError(f"migration {path.name} was edited after it had been applied; restore the file and write a new migration")
    return missing


async def require(conn: "Conn") -> None:
    """Raise SchemaError unless the database has the schema of this release."""
    if missing := await pending(conn):
        raise SchemaError(f"the database lacks {', '.join(path.name for path in missing)}; run `mercato migrate`")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
