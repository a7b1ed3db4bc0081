"""Connections to the primary among the servers that a database URL names."""

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from mercato_server.config.database_urls import place, servers
from mercato_server.domain import backoff

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]

CONNECT_S = 5.0
"""Time limit for a connection, over all servers of the URL together."""
AGAIN_S = 0.4
"""Pause before a server that is not the primary is asked again: during a failover it may become the primary."""
AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
"""Errors of a server that may pass within a failover."""
UNFIT = (*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of one server; another may be the primary."""

IS_STANDBY = "SELECT pg_is_in_recovery()"


async def connect(database_url: str, *, timeout: float = CONNECT_S, **options: Any) -> "_Connection":  # noqa: ASYNC109 - asyncpg's name
    """Connect to the primary. Several servers are tried at once, so a silent one delays nothing, until one of them is the primary.

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
    if len(urls) == 1:
        async with asyncio.timeout(timeout):
            return await _connect_to_primary(database_url, options)
    reasons = dict.fromkeys(urls, "no answer")
    attempts = [asyncio.ensure_future(_until_primary(url, options, reasons)) for url in urls]
    chosen = None
    try:
        async with asyncio.timeout(timeout):
            for attempt in asyncio.as_completed(attempts):
                if chosen := await attempt:
                    return chosen
    except TimeoutError:
        pass
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda done: _close_unless(chosen, done))
    told = "; ".join(f"{place(url)}: {reason}" for url, reason in reasons.items())
    raise asyncpg.CannotConnectNowError(f"no server of the database is the primary: {told}")


async def _until_primary(url: str, options: dict[str, Any], reasons: dict[str, str]) -> "_Connection | None":
    """Connect to a server once it is the primary; return None if it refuses for good. `reasons` gets the last error."""
    while True:
        try:
            return await _connect_to_primary(url, options)
        except UNFIT as error:
            reasons[url] = str(error) or type(error).__name__
            if not isinstance(error, AWAY):
                return None
        await asyncio.sleep(backoff.jittered(AGAIN_S))


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


def _close_unless(chosen: "_Connection | None", attempt: "asyncio.Future[_Connection | None]") -> None:
    """Close the connection of an attempt that came too late."""
    late = None if attempt.cancelled() or attempt.exception() else attempt.result()
    if late is not None and late is not chosen:
        late.terminate()
