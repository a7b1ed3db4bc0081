"""Connections to the primary among the servers that a database URL names."""

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from mercato_server.config.database_urls import place, servers

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]

CONNECT_S = 5.0
"""Time limit for a connection, over all servers of the URL together."""

IS_STANDBY = "SELECT pg_is_in_recovery()"


async def connect(database_url: str, *, timeout: float = CONNECT_S, **options: Any) -> "_Connection":  # noqa: ASYNC109 - asyncpg's name
    """Connect to the primary. All servers of the URL are tried at once, so a silent one delays nothing.

    This asks each server whether it is the primary: a connection pooler reports the state of an earlier moment.

    Args:
        database_url: as asyncpg takes it; several hosts are separated by commas.
        timeout: seconds for all servers together.
        options: arguments of `asyncpg.connect`.

    Raises:
        asyncpg.CannotConnectNowError: none of several servers is the primary, or the only one is not; the message says why.
        OSError, asyncpg.PostgresError: the only server cannot be reached (TimeoutError: in time), or refuses the connection.
    """
    urls = servers(database_url)
    attempts = [asyncio.ensure_future(_connect_to_primary(url, options)) for url in urls]
    chosen = None
    try:
        async with asyncio.timeout(timeout):
            for attempt in asyncio.as_completed(attempts):
                try:
                    chosen = await attempt
                except UNFIT:
                    continue
                return chosen
    except TimeoutError:
        if len(urls) == 1:
            raise
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda done: _close_unless(chosen, done))
    raise _no_primary(urls, attempts)


UNFIT = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of one server; another may be the primary."""


async def _connect_to_primary(url: str, options: dict[str, Any]) -> "_Connection":
    connect_to_one: Any = asyncpg.connect
    connection: _Connection = await connect_to_one(url, target_session_attrs="any", **options)
    try:
        is_standby = await connection.fetchval(IS_STANDBY)
    except BaseException:
        connection.terminate()
        raise
    if is_standby:
        connection.terminate()
        raise asyncpg.CannotConnectNowError(
            "it is a standby, which takes no orders; name the primary, or all servers with target_session_attrs=primary"
        )
    return connection


def _close_unless(chosen: "_Connection | None", attempt: "asyncio.Future[_Connection]") -> None:
    """Close the connection of an attempt that came too late."""
    if not attempt.cancelled() and attempt.exception() is None and attempt.result() is not chosen:
        attempt.result().terminate()


def _no_primary(urls: list[str], attempts: "list[asyncio.Task[_Connection]]") -> BaseException:
    """Return the error of the only server, or one that names the errors of all."""
    errors = [attempt.exception() if attempt.done() and not attempt.cancelled() else None for attempt in attempts]
    if len(errors) == 1 and errors[0] is not None:
        return errors[0]
    reasons = [
        f"{place(url)}: {str(error) or type(error).__name__ if error else 'no answer'}" for url, error in zip(urls, errors, strict=True)
    ]
    return asyncpg.CannotConnectNowError(f"no server of the database is the primary: {'; '.join(reasons)}")
