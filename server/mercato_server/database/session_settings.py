"""The parameters of PostgreSQL with which a worker's sessions must run, and the check that they do.

A worker sends them when it connects. A pooler does not pass them on, so behind one they are parameters of the worker's role.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from mercato_server.config.database_urls import servers
from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Limits

if TYPE_CHECKING:
    from mercato_server.database.pool import Conn

log = structlog.get_logger(__name__)

PLANNING = {
    # Every statement has an index. Without this setting, a plan that was cached while a table was small scans the table as it grows,
    # for example the check of a foreign key. At 4,000 orders a checkout then costs ten times as much.
    "enable_seqscan": "off",
    # Starting parallel workers takes 10 ms, longer than most searches; concurrent calls have the cores busy anyway. A parallel Append
    # would also mix the parts of a search, which are in order.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",  # it compiles plans whose cost is overestimated, and never pays off here
}
FOR_COMMANDS = {
    "enable_seqscan": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Parameters of commands that read or change much, which may have a worker's role."""
DURABILITY = ("fsync", "synchronous_commit", "synchronous_standby_names")

GET_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"


def session_settings(limits: Limits) -> dict[str, str]:
    """Return the parameters and their values, in PostgreSQL's own units (milliseconds)."""
    return {
        **PLANNING,
        "statement_timeout": _milliseconds(limits.statement_timeout_s),
        "lock_timeout": _milliseconds(limits.lock_timeout_s),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle_in_transaction_timeout_s),
    }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def role_statements(role: str, limits: Limits) -> list[str]:
    """Return the statements that give a role these parameters."""
    quoted = '"' + role.replace('"', '""') + '"'
    return [f"ALTER ROLE {quoted} SET {name} = '{value}';" for name, value in session_settings(limits).items()]


async def require(conn: "Conn", database_url: str, limits: Limits) -> None:
    """Raise ConfigError unless a session has the parameters, and unless its COMMIT waits until the transaction cannot be lost.

    This only warns of several servers of which none is synchronous: Patroni lets that happen for a while, unless it is strict.
    """
    wanted = session_settings(limits)
    actual: dict[str, str] = dict(map(tuple, await conn.fetch(GET_SETTINGS, [*wanted, *DURABILITY])))
    if wrong := [f"{name} is {actual[name]} instead of {value}" for name, value in wanted.items() if actual[name] != value]:
        raise ConfigError(
            f"the sessions of DATABASE_URL lack parameters ({', '.join(wrong)}), as behind a pooler; let the owner of the database run "
            "the statements that `mercato migrate --print-role-settings` prints"
        )
    if danger := _danger(actual):
        raise ConfigError(f"synchronous_commit is {actual['synchronous_commit']}, so {danger}; set it to on, for the server or the role")
    if len(servers(database_url)) > 1 and not actual["synchronous_standby_names"]:
        log.warning("no standby is synchronous: a failover can lose acknowledged orders", cure="docs/high-availability.md#patroni")


def _danger(actual: Mapping[str, str]) -> str:
    """Return how an acknowledged order could be lost; empty if it could not, or if the whole server may lose its data (fsync = off)."""
    if actual["fsync"] == "off":
        return ""
    if actual["synchronous_commit"] == "off":
        return "a crash of the server loses orders that were acknowledged"
    if actual["synchronous_commit"] in ("local", "remote_write") and actual["synchronous_standby_names"]:
        return "a failover can lose orders that were acknowledged"
    return ""
