"""Logins: a session, and the cart of the guest that logs in, in one transaction."""

from dataclasses import dataclass

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Account, Device
from mercato_server.domain.cart_merges import Merge
from mercato_server.store import cart_merges, sessions
from mercato_server.store.cart_merges import Joining
from mercato_server.store.login_attempts import Counters
from mercato_server.store.sessions import Opened


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


@retry_conflicts
async def log_in(pool: "Pool", login: Login) -> tuple[Opened, Merge | None] | None:
    """Open a session, and merge the cart of the guest that logs in; None as `sessions.open_session`.

    A guest's token that is wrong changes nothing, and does not fail the login.
    """
    account, joining = login.account, login.joining
    async with transaction(pool) as conn:
        guest_id = await cart_merges.lock(conn, account.id, joining) if joining else None
        opened = await sessions.insert(conn, account, login.device, login.token_digest, login.counters, login.known_max)
        if opened is None:
            return None
        return opened, await cart_merges.merge(conn, account.id, guest_id, joining) if joining else None
