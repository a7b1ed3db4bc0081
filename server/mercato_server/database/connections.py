"""Connections to the primary among the servers that a database URL names."""

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from mercato_server.config.database_urls import place, servers
from mercato_server.config.settings import Limits
from mercato_server.database.work import current_work
from mercato_server.domain import backoff

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]

CONNECT_S = Limits().connect_timeout_s
"""Time limit for a connection, over all servers of the URL together."""
AGAIN_S = 0.4
"""Pause before a server that is not the primary is asked again: during a failover it may become the primary."""
AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
"""Errors of a server that may pass within a failover."""
UNFIT = (*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of one server; another may be the primary."""

TIMELINE = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
"""The timeline of a primary, as eight hexadecimal digits; each promotion begins a later one. A standby refuses to tell."""

# A primary whose successor has been promoted meanwhile may not know it yet: then its timeline is the lower one.
GET_ROLE = f"""
SELECT pg_is_in_recovery() AS is_standby, CASE WHEN NOT pg_is_in_recovery() THEN {TIMELINE} END AS timeline
"""

_latest_timelines: dict[str, str] = {}
"""The latest timeline of the primary of each URL that this process has seen."""


async def connect(database_url: str, *, timeout: float = CONNECT_S, **options: Any) -> "_Connection":  # noqa: ASYNC109 - asyncpg's name
    """Connect to the primary. Several servers are tried at once, so a silent one delays nothing, until one of them is the primary.

    This asks each server whether it is the primary: a connection pooler reports the state of an earlier moment.

    Args:
        database_url: as asyncpg takes it; several hosts are separated by commas.
        timeout: seconds for all servers together.
        options: arguments of `asyncpg.connect`.

    Raises:
        asyncpg.CannotConnectNowError: none of several servers is the primary, or the only one is not; the message says why.
        OSError, asyncpg.PostgresError: the only server cannot be reached (TimeoutError: in time), or refuses the connection. So do all of
            several servers.
    """
    urls = servers(database_url)
    errors: dict[str, Exception] = {url: TimeoutError(f"no answer within {timeout:.0f} s") for url in urls}
    several = len(urls) > 1
    attempts = [asyncio.ensure_future(_attempt(database_url, url, options, errors, again=several)) for url in urls]
    chosen = None
    is_late = False
    try:
        async with asyncio.timeout(timeout):
            for attempt in asyncio.as_completed(attempts):
                if chosen := await attempt:
                    return chosen
    except TimeoutError:
        is_late = True
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda done: _close_unless(chosen, done))
    if not (several and is_late):
        raise errors[urls[0]]
    told = "; ".join(f"{place(url)}: {str(error) or type(error).__name__}" for url, error in errors.items())
    raise asyncpg.CannotConnectNowError(f"no server of the database is the primary: {told}")


async def _attempt(
    database_url: str, url: str, options: dict[str, Any], errors: dict[str, Exception], *, again: bool
) -> "_Connection | None":
    """Connect to a server, with `again` once it is the primary; return None if it refuses, and leave its last error in `errors`."""
    current_work.set(None)  # the call that needs a connection does not count its statements; this is a task of its own
    while True:
        try:
            return await _connect_to_primary(database_url, url, options)
        except UNFIT as error:
            errors[url] = error
            if not again or not isinstance(error, AWAY) or isinstance(error, asyncpg.ProtocolViolationError):
                return None
        await asyncio.sleep(backoff.jittered(AGAIN_S))


async def _connect_to_primary(database_url: str, url: str, options: dict[str, Any]) -> "_Connection":
    connect_to_one: Any = asyncpg.connect
    connection: _Connection = await connect_to_one(url, target_session_attrs="any", **options)
    try:
        row = await connection.fetchrow(GET_ROLE)
    except BaseException:
        connection.terminate()
        raise
    assert row is not None  # noqa: S101 - the statement has no condition
    if reason := _unsuitable(database_url, **row):
        connection.terminate()
        raise asyncpg.CannotConnectNowError(reason)
    return connection


def _unsuitable(database_url: str, is_standby: bool, timeline: str) -> str:  # noqa: FBT001 - a column
    """Return why a server is not the primary; empty if it is."""
    if is_standby:
        return "it is a standby, which takes no orders; name the primary, or all servers with target_session_attrs=primary"
    latest = _latest_timelines.get(database_url, "")
    if timeline < latest:
        return f"it is an earlier primary, of timeline {timeline}, and {latest} has been seen; if the database was made anew, start anew"
    _latest_timelines[database_url] = timeline
    return ""


def _close_unless(chosen: "_Connection | None", attempt: "asyncio.Future[_Connection | None]") -> None:
    """Close the connection of an attempt that came too late."""
    late = None if attempt.cancelled() or attempt.exception() else attempt.result()
    if late is not None and late is not chosen:
        late.terminate()
