"""The pool of PostgreSQL connections, and the translation of database errors for callers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

import asyncpg

from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Settings
from mercato_server.database.connections import CONNECT_S, connect
from mercato_server.database.session_settings import FOR_COMMANDS, PLANNING, session_settings
from mercato_server.database.work import Tally, counted
from mercato_server.domain.errors import Conflict, DatabaseUnavailable, DeadlineExceeded, MercatoError, TokenInvalid

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    PooledConn = PoolConnectionProxy[asyncpg.Record]
    Conn = PooledConn | asyncpg.Connection[asyncpg.Record]
    _Connection = asyncpg.Connection[asyncpg.Record]
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    PooledConn = Conn = object
    _Connection = asyncpg.Connection
    _Pool = asyncpg.Pool

Changes = dict[str, set[UUID]]
"""The changes of a transaction: ids of subjects by kind of event."""

CANCEL_S = 0.2
"""Time limit for PostgreSQL to cancel a statement."""


class TransactionId(NamedTuple):
    """Identification of a transaction in the database."""

    id: str
    life: str
    """The life of the database in which the id is valid."""


class Connection(_Connection):
    """A connection without session state, so that its return to the pool costs no round trip."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.changes: Changes = {}
        """The changes of the open transaction that `transactions.note` has recorded so far."""
        self.identity: TransactionId | None = None
        """The id of the open transaction, once known."""
        self.tally = Tally()
        """Where the statements count; a pool replaces it with its own."""

    # All ways to run a statement, except for asyncpg's prepared-statement objects.
    execute, executemany = counted(_Connection.execute), counted(_Connection.executemany)
    fetch, fetchrow, fetchval = counted(_Connection.fetch), counted(_Connection.fetchrow), counted(_Connection.fetchval)
    fetchmany = counted(_Connection.fetchmany)
    copy_from_table, copy_from_query = counted(_Connection.copy_from_table), counted(_Connection.copy_from_query)
    copy_to_table, copy_records_to_table = counted(_Connection.copy_to_table), counted(_Connection.copy_records_to_table)

    def cursor(self, query: str, *args: Any, **options: Any) -> Any:
        """Open a cursor, which counts as one statement that takes no time."""
        self.tally.add(query, time.perf_counter())
        return super().cursor(query, *args, **options)

    def begin_changes(self) -> Changes:
        """Start an empty record for a new transaction and return it; the record of an earlier transaction does not change."""
        self.changes = {}
        self.identity = None
        return self.changes

    def identify(self, transaction_id: TransactionId) -> None:
        """Take the id of the open transaction, which was read before its end."""
        self.identity = transaction_id

    def get_reset_query(self) -> str:
        """Return no statement: a connection has no state to reset. asyncpg still rolls back an open transaction."""
        return ""

    async def _cancel(self, *waiters: Any) -> None:
        """Let PostgreSQL cancel the statement of a cancelled call; close the connection if PostgreSQL does not answer.

        asyncpg would wait for `command_timeout`, and keep calls beyond their deadlines while the database hangs.
        """
        scope = asyncio.timeout(CANCEL_S)
        async with scope:
            await super()._cancel(*waiters)  # type: ignore[misc] # not public; there is no other place to bound it
        if scope.expired() and not self.is_closed():
            self.terminate()


class Pool(_Pool):
    """A pool of connections whose transactions report their changes to listeners."""

    def __init__(self, database_url: str, **options: Any) -> None:
        super().__init__(
            database_url,
            connect=cast("Any", connect),
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=Connection,
            record_class=asyncpg.Record,
            init=cast("Any", self._adopt),
            **options,
        )
        self.tally = Tally()
        """The statements of all connections of this pool."""
        self._on_commit: list[Callable[[Changes], None]] = []
        self.acquiring = 0
        """Callers that wait for a connection."""
        self.acquired = 0
        """Callers that have waited, if only for a moment, successfully or not."""
        self.acquiring_s = 0.0
        """Seconds that they have waited together."""

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's name
        """Count who waits, and how long."""
        began = time.perf_counter()
        self.acquiring += 1
        try:
            return await super()._acquire(timeout)  # type: ignore[misc] # not public; `acquire` is awaited in two ways, and both end here
        finally:
            self.acquiring -= 1
            self.acquired += 1
            self.acquiring_s += time.perf_counter() - began

    async def _adopt(self, connection: Connection) -> None:
        connection.tally = self.tally

    def on_commit(self, listener: Callable[[Changes], None]) -> None:
        """Call `listener` with the changes of each transaction that has committed; it must not fail."""
        self._on_commit.append(listener)

    def report(self, changes: Changes) -> None:
        """Report changes to the listeners, unless there are none."""
        if changes:
            for listener in self._on_commit:
                listener(changes)


async def create_pool(settings: Settings) -> "Pool":
    """Connect to the database; raises OSError or asyncpg.PostgresError if that fails."""
    limits = settings.limits
    return await Pool(
        settings.database_url,
        min_size=min(2, settings.pool_size),
        max_size=settings.pool_size,
        timeout=limits.connect_timeout_s,
        # PostgreSQL ends a statement by itself at the deadline of its caller. This limit is for a database that does not answer.
        command_timeout=max(limits.statement_timeout_s, limits.timeout_max_s),
        statement_cache_size=256,
        server_settings={"application_name": "mercato", "timezone": "UTC", **session_settings(limits)},
    )


@asynccontextmanager
async def small_pool(database_url: str) -> AsyncIterator["Pool"]:
    """Yield a pool of one connection, for commands."""
    async with Pool(database_url, min_size=1, max_size=1, timeout=CONNECT_S, server_settings=FOR_COMMANDS | PLANNING) as pool:
        yield pool


def refusal(error: BaseException) -> MercatoError | None:
    """Return the caller's error for a failure of the database; None if the failure is a bug."""
    match error:
        case DatabaseUnavailable():
            return error
        case asyncpg.ForeignKeyViolationError() if is_deleted_account(error):
            return TokenInvalid("the session of this token has ended; log in again")
        case asyncpg.LockNotAvailableError() | asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Conflict("concurrent calls change the same rows; nothing was changed, try again")
        case asyncpg.QueryCanceledError():
            return DeadlineExceeded()
        case (
            asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError()
            | asyncpg.ReadOnlySQLTransactionError()
            | asyncpg.IdleInTransactionSessionTimeoutError()
            | asyncpg.InterfaceError()  # the pool or the connection is closed
            | asyncpg.InvalidCachedStatementError()  # migrations have changed its result more than once meanwhile
            | asyncpg.InternalClientError()  # the connection is being closed by the server
            | OSError()  # also TimeoutError: no connection in time
        ):
            return DatabaseUnavailable()
        case _:
            return None


def is_deleted_account(error: asyncpg.ForeignKeyViolationError) -> bool:
    """Return whether a new row refers to an account that was deleted meanwhile: a guest that was merged or swept."""
    return str(error.constraint_name).endswith("_account_id_fkey")


def is_unfit(error: BaseException) -> bool:
    """Return whether PostgreSQL refused a value, or a statement that a value made too large: 22xxx, 54xxx and 53400.

    A division by zero is a bug: no statement divides by a value of a caller.
    """
    unfit = asyncpg.DataError | asyncpg.ProgramLimitExceededError | asyncpg.ConfigurationLimitExceededError
    return isinstance(error, unfit) and not isinstance(error, asyncpg.DivisionByZeroError)


SET_CURRENCY = "INSERT INTO shop (currency_code) VALUES ($1) ON CONFLICT DO NOTHING"

GET_CURRENCY = "SELECT currency_code FROM shop"


async def check_currency(conn: "Conn", currency: str) -> None:
    """Set the shop's currency if it has none; raises ConfigError if it has another one."""
    await conn.execute(SET_CURRENCY, currency)
    current = await conn.fetchval(GET_CURRENCY)
    if current != currency:
        raise ConfigError(f"MERCATO_CURRENCY is {currency}, but the prices of this shop are in {current}")
