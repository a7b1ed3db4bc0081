"""Transactions that end with a known outcome, within the caller's deadline.

A use case is a function decorated with `retry_conflicts` that opens `async with transaction(pool) as conn:` once. An exception rolls
everything back. When it returns, its effect is committed, and the pool's listeners have received its changes.
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sized
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

import asyncpg

from mercato_server import failpoints
from mercato_server.database.connections import TIMELINE
from mercato_server.database.pool import Changes, Conn, Connection, Pool, PooledConn, TransactionId, is_deleted_account
from mercato_server.database.work import current_work
from mercato_server.domain.errors import DatabaseUnavailable, DeadlineExceeded

Params = ParamSpec("Params")
Result = TypeVar("Result")

TRIES = 4
"""Runs of a transaction that conflicts with others or loses its connection, the first included."""
JITTER_S = (0.005, 0.1)
"""Bounds of the random pause between two runs."""
RESERVE = 0.2
"""Share of the caller's time that is kept for the answer. The wait for a lock ends this much before the deadline."""
SHORTEST_S = 0.01
BATCH_PATIENCE = 0.25
COMMIT_S = 10.0
"""Time limit for the answer to COMMIT without a deadline."""
LINGER_S = 0.5
"""Time that COMMIT, and a batch, have after the deadline. No caller waits any longer, and each of them holds a connection."""
RESOLVE_S = 2.0
"""Time limit for finding the outcome of a transaction whose COMMIT was not answered."""

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""Deadline of the caller on the event loop's clock; None without one."""

CONFLICT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a primary that was demoted: the next connection finds the new one
    asyncpg.InternalClientError,  # PostgreSQL closed the connection between two statements, and asyncpg has not noticed yet
    ConnectionError,
)
# A migration has changed the type of a column since the statement was prepared. Outside a transaction asyncpg prepares it anew by itself.
STATEMENT_OUTDATED = asyncpg.InvalidCachedStatementError
UNREACHABLE = (*CONNECTION_LOST, asyncpg.InterfaceError, OSError)

# PostgreSQL would plan most statements anew for each call: it compares the cost for one row, which it knows then, with that for the ten
# rows of a plan for all calls. Reads without a transaction, such as searches, need plans for their values.
BEGIN = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan"

# A crash erases transactions that were not on disk, and the promotion of a standby those that it had not received. PostgreSQL then gives
# their ids to other transactions. A crash resets the statistics, which each server has for itself, and a promotion begins a timeline. So
# one text names the life of the database in which an id means one transaction. A standby has none.
STANDBY = "standby"
LIFE = f"""
CASE WHEN pg_is_in_recovery() THEN '{STANDBY}'
     ELSE format('%s %s', extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()), {TIMELINE})
END
"""

# Columns of a statement's result, for `identify`. They are NULL if the transaction has written nothing yet.
IDENTITY = f"pg_current_xact_id_if_assigned()::text AS transaction, (SELECT {LIFE}) AS life"

GET_TRANSACTION_ID = f"SELECT {IDENTITY}"

# A transaction that has written nothing answers with what others have written. Their COMMITs may still wait for a standby, or have ended
# without it. This record makes the transaction's own COMMIT wait until a standby has all of it.
RECORD = "SELECT pg_logical_emit_message(true, 'mercato', '')"

WRITE_RECORD = f"""
SELECT pg_current_xact_id()::text AS transaction, {LIFE} AS life
  FROM pg_logical_emit_message(true, 'mercato', '')
"""  # noqa: S608 - our own text

# A standby cannot tell: it may not have received the transaction yet. Neither can a primary of an earlier timeline that has not noticed
# its successor.
GET_OUTCOME = f"""
SELECT CASE WHEN split_part({LIFE}, ' ', 2) COLLATE "C" < split_part($2, ' ', 2) THEN 'not here'
            ELSE (SELECT CASE WHEN status = 'committed' AND {LIFE} <> $2 THEN 'unknown' ELSE status END
                    FROM pg_xact_status($1::text::xid8) AS status)
       END
"""  # noqa: S608 - our own text


class NotCommittedError(Exception):
    """The connection was lost during COMMIT, and the transaction has certainly changed nothing."""


class StaleReadError(NotCommittedError):
    """A transaction has read something that is out of date: it is rolled back, and may run again."""


class OutcomeUnknown(DatabaseUnavailable):
    """The connection was lost during COMMIT, and the outcome could not be found."""


def retry_conflicts(use_case: Callable[Params, Awaitable[Result]]) -> Callable[Params, Awaitable[Result]]:
    """Run a whole use case again if its transaction has certainly changed nothing and another run may succeed.

    That is the case after a serialization failure or deadlock (40001, 40P01), after a connection was lost before the commit, and after a
    migration has outdated a prepared statement: asyncpg has then dropped those of all connections of the pool. It is also the case if the
    guest of a command was deleted meanwhile: a command that checks its session then finds that it has ended. The pauses are jittered; the
    caller's deadline ends the retries.
    """

    @functools.wraps(use_case)
    async def retrying(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        for _ in range(TRIES - 1):
            try:
                return await use_case(*args, **kwargs)
            except asyncpg.ForeignKeyViolationError as error:
                if not is_deleted_account(error):
                    raise
            except (*CONFLICT, *CONNECTION_LOST, STATEMENT_OUTDATED, NotCommittedError):
                await asyncio.sleep(random.uniform(*JITTER_S))  # noqa: S311 - jitter, not a secret
        try:
            return await use_case(*args, **kwargs)
        except NotCommittedError:
            raise DatabaseUnavailable from None

    return retrying


def patience(batch: Sized) -> float:
    """Return the part of the remaining time that a batch may wait for a lock. One locked row must not use up the time of its calls."""
    return 1.0 if len(batch) == 1 else BATCH_PATIENCE


@asynccontextmanager
async def transaction(pool: "Pool", *, patience: float = 1.0) -> AsyncIterator["Conn"]:
    """Open a READ COMMITTED transaction and commit it at the end of the block; an exception in the block rolls it back.

    A cancellation never interrupts COMMIT, only the wait for its answer. If the connection breaks during COMMIT, this queries the outcome
    by the transaction's id. A committed transaction ends the block normally; otherwise this raises NotCommittedError, or OutcomeUnknown if
    the database does not have the answer. Raises DeadlineExceeded if the caller's deadline passes before a connection is free.

    The pool's listeners receive the recorded changes (`note`) before the block ends, if the transaction has or may have committed.

    Args:
        pool: where to take a connection from.
        patience: the part of the caller's remaining time that may be spent waiting for one lock.
    """
    async with _until_deadline():
        conn = await pool.acquire()
    changes = _typed(conn).begin_changes()
    try:
        await conn.execute(_begin(patience))
        yield conn
        transaction_id = _typed(conn).identity or await _transaction_id(conn)
    except BaseException as error:
        if isinstance(error, CONNECTION_LOST):
            _drop(conn)
        await complete(_rollback(pool, conn))
        raise
    await complete(_commit(pool, conn, transaction_id, changes))


@retry_conflicts
async def await_standbys(pool: "Pool") -> None:
    """Return once all that is visible now would survive a failover; raises as `transaction`.

    For answers that were read outside a transaction, and that tell a caller what an earlier call has done.
    """
    async with transaction(pool):
        pass


def note(conn: "Conn", kind: str, subject_ids: Collection[UUID]) -> None:
    """Record changes of the open transaction for the pool's listeners; `conn` must be from `transaction`."""
    if subject_ids:
        _typed(conn).changes.setdefault(kind, set()).update(subject_ids)


def _typed(conn: "Conn") -> Connection:
    """Return a connection typed as Connection; the pool's proxies forward unknown attributes to it."""
    return cast("Connection", conn)


@asynccontextmanager
async def connection(pool: "Pool") -> AsyncIterator["Conn"]:
    """Yield a connection for reads without a transaction. Raises DeadlineExceeded at the caller's deadline."""
    async with _until_deadline(), pool.acquire() as conn:
        yield conn


@asynccontextmanager
async def _until_deadline() -> AsyncIterator[None]:
    """End the block with DeadlineExceeded at the caller's deadline. An earlier time-out, for example of a new connection, is raised."""
    scope = asyncio.timeout_at(deadline.get())
    try:
        async with scope:
            yield
    except TimeoutError:
        if scope.expired():
            raise DeadlineExceeded from None
        raise


def _begin(patience: float) -> str:
    """Return BEGIN with the limits of the caller's deadline, in one round trip; without a deadline the pool's limits hold.

    If the work is traced, rows that cause later work, such as jobs, take its trace from there by the defaults of their columns.
    """
    until, work = deadline.get(), current_work.get()
    begin = f"{BEGIN}; SET LOCAL mercato.traceparent = '{work.traceparent}'" if work is not None and work.traced else BEGIN
    if until is None:
        return begin
    remaining_s = max(until - asyncio.get_running_loop().time(), SHORTEST_S)
    lock_s = max(remaining_s * (1 - RESERVE) * patience, SHORTEST_S)
    return f"{begin}; SET LOCAL statement_timeout = {int(remaining_s * 1000)}; SET LOCAL lock_timeout = {int(lock_s * 1000)}"


_endings: set["asyncio.Task[None]"] = set()


async def complete(work: Coroutine[Any, Any, None]) -> None:
    """Await work that continues if the wait is cancelled. While it holds a connection, closing the pool waits for it."""
    task = asyncio.ensure_future(work)
    _endings.add(task)
    task.add_done_callback(_ended)
    await asyncio.shield(task)


def _ended(task: "asyncio.Task[None]") -> None:
    _endings.discard(task)
    if not task.cancelled():
        task.exception()  # its caller may have left; asyncio would log an exception that is never retrieved


async def _rollback(pool: "Pool", conn: "PooledConn") -> None:
    """Roll back and return the connection to the pool; PostgreSQL itself rolls back if the connection is lost."""
    with contextlib.suppress(*UNREACHABLE):
        if not conn.is_closed() and conn.is_in_transaction():
            await conn.execute("ROLLBACK")
    with contextlib.suppress(*UNREACHABLE):  # then it is closed, and the pool makes a new one
        await pool.release(conn)


def identify(conn: "Conn", row: asyncpg.Record) -> None:
    """Take the id of the open transaction from the columns IDENTITY of a result; this spares the statement that would ask for it.

    A transaction that has an id then has also written something, if only a lock: the WAL has it.
    """
    require_primary(row)
    if row["transaction"] is not None:
        _typed(conn).identify(TransactionId(row["transaction"], row["life"]))


async def _transaction_id(conn: "PooledConn") -> TransactionId:
    """Return the id of the open transaction, which writes a record if it has written nothing."""
    row = await conn.fetchrow(GET_TRANSACTION_ID)
    require_primary(row)
    if row is None or row["transaction"] is None:
        row = await conn.fetchrow(WRITE_RECORD)
    assert row is not None  # noqa: S101 - both statements return a row
    return TransactionId(*row)


def require_primary(row: asyncpg.Record | None) -> None:
    """Raise ReadOnlySQLTransactionError if the `life` in a row is that of a standby: a pooler may move a connection to one."""
    if row is not None and row["life"] == STANDBY:
        raise asyncpg.ReadOnlySQLTransactionError("the server is a standby")


async def _commit(pool: "Pool", conn: "PooledConn", transaction_id: TransactionId, changes: Changes) -> None:
    """Commit, return the connection to the pool, and report the changes unless the transaction certainly failed."""
    try:
        is_answered = await _send_commit(conn)
    finally:
        with contextlib.suppress(*UNREACHABLE):
            await pool.release(conn)
    outcome = "committed" if is_answered else await _outcome(pool, transaction_id)
    if outcome == "aborted":
        raise NotCommittedError
    pool.report(changes)
    if outcome == "unknown":
        raise OutcomeUnknown


async def _send_commit(conn: "PooledConn") -> bool:
    """Send COMMIT; return whether PostgreSQL confirms the commit. If not, it may have committed or not."""
    try:
        failpoints.hit("before commit")
        is_confirmed = await _without_warning(conn, "COMMIT")
        failpoints.hit("after commit")
    except TimeoutError:  # the pool lets PostgreSQL cancel the wait, else it would go on for ever
        return False
    except UNREACHABLE:
        _drop(conn)
        return False
    return is_confirmed


async def _without_warning(conn: "PooledConn", statement: str) -> bool:
    """Run a statement that commits; return False if PostgreSQL warns.

    A commit that is cancelled while it waits for a standby succeeds with a warning: only the primary has the transaction.
    """
    warnings: list[object] = []

    def warned(_conn: object, message: object) -> None:
        warnings.append(message)

    conn.add_log_listener(warned)
    try:
        await conn.execute(statement, timeout=_commit_time_s())
    finally:
        with contextlib.suppress(asyncpg.InterfaceError):  # the connection is closed
            conn.remove_log_listener(warned)
    return not warnings


def _commit_time_s() -> float:
    until = deadline.get()
    return COMMIT_S if until is None else min(COMMIT_S, max(until - asyncio.get_running_loop().time(), 0.0) + LINGER_S)


def _drop(conn: "PooledConn") -> None:
    """Close a broken connection. If asyncpg has already noticed its end, it refuses to close it again."""
    with contextlib.suppress(asyncpg.InterfaceError):
        conn.terminate()


async def _outcome(pool: "Pool", transaction_id: TransactionId) -> str:
    """Query the outcome of a transaction on other connections: committed, aborted, or unknown if there is no answer in time."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            while True:
                outcome = await _query_outcome(pool, transaction_id)
                if outcome in ("committed", "aborted", "unknown"):
                    return outcome
                await asyncio.sleep(random.uniform(*JITTER_S))  # noqa: S311 - jitter, not a secret
    except TimeoutError:
        return "unknown"


async def _query_outcome(pool: "Pool", transaction_id: TransactionId) -> str:
    """Query the outcome once. A transaction counts as committed when a standby has it too, if the primary has one that it waits for."""
    try:
        async with pool.acquire() as conn:
            outcome = str(await conn.fetchval(GET_OUTCOME, *transaction_id))
            if outcome == "committed" and not await _without_warning(conn, RECORD):
                return "only on the primary"
            return outcome
    except asyncpg.InvalidParameterValueError:  # the id is in the future: a crash or a failover has erased the transaction
        return "aborted"
    except UNREACHABLE:
        return "unreachable"
