"""Whether a database is where its transaction ids were given out, and whether a restore of it was marked.

The change feed is ordered by transaction ids. In another cluster, where a dump was loaded, these mean nothing.
"""

from mercato_server.database.connections import TIMELINE
from mercato_server.database.pool import Conn

_PROMOTED = "no recovery target specified"
"""PostgreSQL's reason for a timeline that the promotion of a standby began, and the end of a recovery without a target."""
_CURE = "stop the workers, then run: mercato restored (with --nothing-lost after pg_upgrade, or if the shop was stopped before the dump)"

HAS_TABLES = "SELECT to_regclass('events') IS NOT NULL AS feed, to_regclass('database_origin') IS NOT NULL AS origin"

# Each transaction that is visible has an id below the first one that was not given out, unless another cluster has given it out.
IS_AHEAD = """
SELECT coalesce((SELECT xid >= pg_snapshot_xmax(pg_current_snapshot()) FROM events ORDER BY xid DESC, id DESC LIMIT 1), false)
       OR EXISTS (SELECT FROM feed_cursors WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))
"""

GET_ORIGIN = f"""
SELECT origin.system_identifier <> control.system_identifier AS is_elsewhere, origin.timeline AS recorded, {TIMELINE} AS timeline,
       has_function_privilege('pg_read_file(text, boolean)', 'execute') AS reads_files
  FROM database_origin AS origin, pg_control_system() AS control
"""  # noqa: S608 - constants

READ_HISTORY = "SELECT pg_read_file('pg_wal/' || $1 || '.history', true)"


async def fault(conn: "Conn") -> str | None:
    """Return why no worker may serve a database before an operator has looked at it, with the cure; None if there is no reason.

    A loaded dump is found by any role. A restore that was not marked is found by a role that may read the server's files, such as the owner
    of an embedded database, and only if it went to a point in time: PostgreSQL notes no difference between a failover and a restore of all.
    """
    tables = await conn.fetchrow(HAS_TABLES)
    if tables is None or not tables["feed"]:
        return None
    if await conn.fetchval(IS_AHEAD):
        return f"the database was loaded from a dump, so its change feed has transaction ids of another cluster; {_CURE}"
    found = await conn.fetchrow(GET_ORIGIN) if tables["origin"] else None
    if found is None:
        return None
    if found["is_elsewhere"]:
        return f"the database was made in another cluster: it was loaded from a dump, or upgraded by pg_upgrade; {_CURE}"
    if found["timeline"] > found["recorded"] and found["reads_files"]:
        target = _target(await conn.fetchval(READ_HISTORY, found["timeline"]) or "", found["recorded"])
        if target:
            return f"the database was restored to a point in time ({target}), and this was not marked; {_CURE}"
    return None


def _target(history: str, since: str) -> str:
    """Return the target of the first recovery to a point in time that ended the timeline `since` or a later one, or nothing.

    A line of the history has the timeline that ended, its last position, and the reason.
    """
    for line in history.splitlines():
        ended, _, rest = line.strip().partition("\t")
        reason = rest.partition("\t")[2].strip()
        if ended.isdecimal() and int(ended) >= int(since, 16) and reason and reason != _PROMOTED:
            return reason
    return ""
