"""PostgreSQL: the pool, migrations, the retry of conflicts, and what the database's errors mean to a caller."""

import asyncio
import functools
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import asyncpg

from mercato_server.config import ConfigError, Settings
from mercato_server.domain.errors import Conflict, DatabaseUnavailable, DeadlineExceeded, MercatoError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Conn = PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    Pool = Conn = object
    _Connection = asyncpg.Connection

Params = ParamSpec("Params")
Result = TypeVar("Result")

TRIES = 4
"""Runs of a transaction that conflicts with others, the first included."""
JITTER_S = (0.005, 0.1)
"""Bounds of the random pause between two runs."""


class SchemaError(Exception):
    """The migrations on disk and the database do not fit together; the message says what to do."""


class Connection(_Connection):
    """A connection that carries no session state, so that handing it back to the pool costs no round trip."""

    def get_reset_query(self) -> str:
        """Return nothing to run; an open transaction is rolled back all the same."""
        return ""


async def create_pool(settings: Settings) -> "Pool":
    """Connect to the database; raises OSError or asyncpg.PostgresError if that fails."""
    limits = settings.limits
    return await asyncpg.create_pool(
        settings.database_url,
        min_size=min(2, settings.pool_size),
        max_size=settings.pool_size,
        connection_class=Connection,
        timeout=limits.connect_timeout_s,
        command_timeout=limits.statement_timeout_s,
        statement_cache_size=256,
        server_settings={
            "application_name": "mercato",
            "timezone": "UTC",
            "jit": "off",  # it starts to compile just where a plan's cost is overestimated, and never pays for itself here
            "statement_timeout": _milliseconds(limits.statement_timeout_s),
            "lock_timeout": _milliseconds(limits.lock_timeout_s),
            "idle_in_transaction_session_timeout": _milliseconds(limits.idle_in_transaction_timeout_s),
            "pg_trgm.word_similarity_threshold": "0.5",  # lets one typo in a word of five letters pass
        },
    )


@asynccontextmanager
async def small_pool(database_url: str) -> AsyncIterator["Pool"]:
    """Give a pool of one connection, for a command that does one thing."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, timeout=5) as pool:
        yield pool


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def retry_conflicts(use_case: Callable[Params, Awaitable[Result]]) -> Callable[Params, Awaitable[Result]]:
    """Run a whole use case again when PostgreSQL chose it as the victim of a conflict (40001, 40P01).

    Such a transaction has certainly changed nothing. The pauses are jittered; the caller's deadline cancels the rest.
    """

    @functools.wraps(use_case)
    async def retrying(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        for _ in range(TRIES - 1):
            try:
                return await use_case(*args, **kwargs)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(random.uniform(*JITTER_S))  # noqa: S311 - jitter, not a secret
        return await use_case(*args, **kwargs)

    return retrying


def refusal(error: BaseException) -> MercatoError | None:
    """Say what a failure of the database means to the caller; None if it means a bug."""
    match error:
        case asyncpg.LockNotAvailableError() | asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Conflict("others are changing the same things; nothing was changed, try again")
        case asyncpg.QueryCanceledError():
            return DeadlineExceeded()
        case (
            asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError()
            | asyncpg.ReadOnlySQLTransactionError()
            | asyncpg.IdleInTransactionSessionTimeoutError()
            | asyncpg.InterfaceError()  # the pool or the connection is closed
            | OSError()  # also TimeoutError: no connection to be had in time
        ):
            return DatabaseUnavailable()
        case _:
            return None


_ADVISORY_LOCK = 0x6D657263  # "merc"

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
    here = Path(__file__).parent
    directory = next(path for path in (here / "migrations", here.parent.parent / "migrations") if path.is_dir())
    return sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))


async def migrate(database_url: str, files: list[Path] | None = None) -> list[str]:
    """Apply the migrations that are missing, each in a transaction of its own; return their names.

    Processes that migrate at once wait for each other. Raises SchemaError if a file was edited after it had been applied; that changes
    nothing.
    """
    connection = await asyncpg.connect(database_url, timeout=5)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute("SET lock_timeout = '5s'")  # rather fail than make every call queue behind a lock that is waited for
        await connection.execute(CREATE_MIGRATIONS)
        missing = await pending(connection, files)
        for path in missing:
            async with connection.transaction():
                await connection.execute(path.read_text())
                await connection.execute(RECORD_MIGRATION, path.name, _sha256(path))
        return [path.name for path in missing]
    finally:
        await connection.close()


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


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


SET_CURRENCY = "INSERT INTO shop (currency_code) VALUES ($1) ON CONFLICT (singleton) DO NOTHING"

GET_CURRENCY = "SELECT currency_code FROM shop"


async def check_currency(conn: "Conn", currency: str) -> None:
    """Make this the shop's currency if it has none yet; raises ConfigError if it has another one."""
    await conn.execute(SET_CURRENCY, currency)
    current = await conn.fetchval(GET_CURRENCY)
    if current != currency:
        raise ConfigError(f"MERCATO_CURRENCY is {currency}, but the prices of this shop are in {current}")
