"""Logins: a session, and the cart of the guest that logs in, in one transaction."""

from dataclasses import dataclass, replace

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import CONFLICT, retry_conflicts, transaction
from mercato_server.domain.accounts import Account, Device
from mercato_server.domain.cart_merges import Merge
from mercato_server.store import cart_merges, sessions
from mercato_server.store.cart_merges import Joining
from mercato_server.store.login_attempts import Counters
from mercato_server.store.sessions import Opened

MERGE_PATIENCE = 0.5
"""Part of the caller's time that a login waits for the rows of its guest. Then it goes on without the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A command to open a session of an account whose password was verified."""

    account: Account
    device: Device
    token_digest: bytes
    """Digest of the session's first refresh token."""
    counters: Counters
    """Where the failed logins of its address are counted."""
    known_max: int
    """Networks of its last logins that an account has."""
    joining: Joining | None = None
    """The guest that logs in, if the client had one."""


async def log_in(pool: "Pool", login: Login) -> tuple[Opened, Merge | None] | None:
    """Open a session, and merge the cart of the guest that logs in; None as `sessions.open_session`.

    A guest's token that is wrong changes nothing, and does not fail the login. Nor does a guest whose rows other calls hold: then the
    session is opened without it, and the client may log in with it again.
    """
    joining = login.joining
    if joining is None:
        return await _log_in(pool, login)
    try:
        return await _log_in(pool, login)
    except (asyncpg.LockNotAvailableError, *CONFLICT):
        done = await _log_in(pool, replace(login, joining=None))
    return (done[0], Merge(merged=False, mode=joining.mode)) if done else None


@retry_conflicts
async def _log_in(pool: "Pool", login: Login) -> tuple[Opened, Merge | None] | None:
    account, joining = login.account, login.joining
    async with transaction(pool, patience=MERGE_PATIENCE if joining else 1.0) as conn:
        guest_id = await cart_merges.lock(conn, account.id, joining) if joining else None
        opened = await sessions.insert(conn, account, login.device, login.token_digest, login.counters, login.known_max)
        if opened is None:
            return None
        return opened, await cart_merges.merge(conn, account.id, guest_id, joining) if joining else None
