"""The cache of verified access tokens and live sessions in a worker."""

from collections.abc import Sequence
from uuid import UUID

from cachetools import LRUCache

from mercato_server.config.settings import Batching
from mercato_server.database.batching import Coalescer, Coalescers
from mercato_server.database.pool import Changes, Pool
from mercato_server.domain.accounts import Role
from mercato_server.domain.events import EventKind
from mercato_server.feed.listener import Listener
from mercato_server.security.tokens import Identity, Keyring, Tokens
from mercato_server.store import sessions
from mercato_server.store.events import News

REMEMBERED = 10_000
"""The maximum number of cached tokens, and of cached sessions. Verifying a token costs a fifth of an empty call."""


class Sessions:
    """Caches verified tokens, and sessions that were live at their last check.

    The transactions of this worker and the change feed report ended sessions. While the feed cannot be read, each call queries the
    database.
    """

    def __init__(self, pool: "Pool", tokens: Tokens, listener: Listener, batching: Batching) -> None:
        self.tokens = tokens
        self._listener = listener
        pool.on_commit(self._on_commit)
        listener.subscribe([EventKind.SESSION_ENDED], self._on_events, self.forget)
        self._verified: LRUCache[str, Identity] = LRUCache(REMEMBERED)
        self._live: LRUCache[UUID, tuple[UUID, bool]] = LRUCache(REMEMBERED)
        """Account by session, and whether the session is a guest's, which never changes."""
        self._invalidations = 0
        self._roles: Coalescer[Identity, Role] = Coalescer(lambda callers: sessions.roles(pool, callers), batching=batching)
        self.coalescers: Coalescers = {"check_session": self._roles}

    def identify(self, token: str, now: float) -> Identity:
        """Return the identity in a token; raises TokenInvalid."""
        known = self._verified.get(token)
        if known is None or known.expires_at <= now:
            known = self._verified[token] = self.tokens.verify(token)
        return known

    async def role(self, identity: Identity) -> Role:
        """Query the current role of an account; raises TokenInvalid if the session has ended or is another account's."""
        return await self._roles(identity)

    async def require_live(self, identity: Identity) -> bool:
        """Return whether the session is a guest's; raises TokenInvalid if it had ended 250 ms ago, or is another account's."""
        known = self._live.get(identity.session_id)
        if known and known[0] == identity.account_id and self._listener.current:
            return known[1]
        invalidations = self._invalidations
        is_guest = await self._roles(identity) is Role.GUEST
        if invalidations == self._invalidations:  # otherwise this session may have ended after the query
            self._live[identity.session_id] = identity.account_id, is_guest
        return is_guest

    def _on_commit(self, changes: Changes) -> None:
        for session_id in changes.get(EventKind.SESSION_ENDED, ()):
            self._end(session_id)

    def _on_events(self, news: Sequence[News]) -> None:
        for each in news:
            self._end(UUID(each.subject_id))

    def _end(self, session_id: UUID) -> None:
        """Remove a session that has ended."""
        self._invalidations += 1
        self._live.pop(session_id, None)

    def forget(self) -> None:
        """Remove all sessions: the listener may have missed the end of some."""
        self._invalidations += 1
        self._live.clear()

    def use(self, keyring: Keyring) -> None:
        """Replace the keys, and verify every token again."""
        self.tokens.keyring = keyring
        self._verified.clear()
