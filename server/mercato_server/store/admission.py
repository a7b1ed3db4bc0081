"""Commands of a batch: which of them may run, because their session is live and their idempotency key is new.

The statement of a use case has ADMITTED as its first part, so the check costs no round trip of its own. A statement sees rows as they were
at its beginning, also if it then waits for a key or a lock: the sessions, and what it joins without a lock. IS_LATE tells that it waited.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from mercato_server.database.pool import Conn
from mercato_server.domain.errors import MercatoError
from mercato_server.store import idempotency
from mercato_server.store.idempotency import UNLIMITED, IdempotencyKey, Stored
from mercato_server.store.sessions import IS_LIVE, InSession, session_ended


def _admitted(lock: str) -> str:
    return f"""call AS (
    SELECT account_id, session_id, key, method, fingerprint
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[]) AS call (account_id, session_id, key, method, fingerprint)
), caller AS MATERIALIZED (  -- found by the session's id alone: with its conditions, PostgreSQL might scan an index of all live sessions
    SELECT call.account_id, call.key, call.method, call.fingerprint, account.network,
           session.account_id = call.account_id AND {IS_LIVE} AS is_live
      FROM call
      JOIN sessions AS session ON session.id = call.session_id
      JOIN accounts AS account ON account.id = session.account_id{lock}
), live AS (
    SELECT account_id, key, method, fingerprint, network FROM caller WHERE is_live
), claim AS (
    SELECT account_id AS scope_id, key, method, fingerprint, $6::integer AS live_max, network FROM live WHERE key IS NOT NULL
), claimed AS ({idempotency.CLAIMED}), admitted AS MATERIALIZED (
    SELECT live.account_id
      FROM live
      LEFT JOIN claimed ON claimed.scope_id = live.account_id AND claimed.key = live.key
     WHERE live.key IS NULL OR claimed.key IS NOT NULL
)"""  # noqa: S608 - constants


# Part of a statement: finds the accounts that may run their command, `admitted`. Its parameters are those of `arguments`. A statement gives
# `call` more columns by a part of its own.
ADMITTED = _admitted("")

# ADMITTED for a statement that writes rows of an account, or its key, and does not lock it otherwise. It admits no call of an account that
# is erased meanwhile, and an erasure waits for the calls that it has admitted.
ADMITTED_FOR_ROWS = _admitted("\n       FOR KEY SHARE OF account")

# Column of a statement's result: whether it took so long that rows which it did not lock may have changed meanwhile. Most take less than a
# millisecond. One that was only slow is taken for one that waited, which costs a statement.
IS_LATE = "clock_timestamp() > statement_timestamp() + interval '5 milliseconds' AS is_late"

ENDED, USED, DISABLED = "ended", "used", "disabled"
"""Why a command is not served: its session had ended, its key is used, or its account was disabled after the key was claimed."""

# Column of a statement that joins `live` and `admitted` to all calls: why a call is not admitted, else NULL.
UNSERVED = f"CASE WHEN live.account_id IS NULL THEN '{ENDED}' WHEN admitted.account_id IS NULL THEN '{USED}' END AS unserved"


class Command(InSession, Protocol):
    """A command within a session of an account, which has one command in a batch."""

    @property
    def key(self) -> IdempotencyKey | None:
        """The idempotency key of the call, if it has one."""


AnyCommand = TypeVar("AnyCommand", bound=Command)


def arguments(commands: Sequence[Command]) -> tuple[Any, ...]:
    """Return the first six parameters of a statement that begins with ADMITTED."""
    keys = [command.key for command in commands]
    return (
        [command.account_id for command in commands],
        [command.session_id for command in commands],
        [key and key.key for key in keys],
        [key and key.method for key in keys],
        [key and key.fingerprint for key in keys],
        next((key.live_max for key in keys if key), UNLIMITED),
    )


async def unserved(conn: "Conn", reasons: Mapping[AnyCommand, str | None]) -> dict[AnyCommand, Stored | MercatoError]:
    """Return the answers of the commands that are not admitted: the refusal of an ended session, or what is stored with a used key.

    Args:
        conn: the connection of the transaction.
        reasons: the column UNSERVED of each command.
    """
    used = {command: command.key for command, reason in reasons.items() if reason == USED and command.key}
    replays = await idempotency.replays(conn, used.values()) if used else {}
    ended: dict[AnyCommand, Stored | MercatoError] = {
        command: session_ended() for command, reason in reasons.items() if reason in (ENDED, DISABLED)
    }
    return ended | {command: replays[key] for command, key in used.items()}


def has_claimed(reason: str | None) -> bool:
    """Return whether a command with this reason has claimed its key, if it has one."""
    return reason in (None, DISABLED)
