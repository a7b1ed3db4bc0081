"""What a worker knows of tokens and sessions without asking the database."""

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
"""Tokens and sessions that are remembered: to verify a token costs a fifth of an empty call."""


class Sessions:
    """Verified tokens, and sessions that were live when somebody last asked.

    The transactions of this worker and the change feed say which of them have ended; as long as the feed cannot be heard, the database is
    asked each time.
    """

    def __init__(self, pool: "Pool", tokens: Tokens, listener: Listener, batching: Batching) -> None:
        self.tokens = tokens
        self._listener = listener
        pool.on_commit(self._told)
        listener.subscribe([EventKind.SESSION_ENDED], self._hear, self.forget)
        self._verified: LRUCache[str, Identity] = LRUCache(REMEMBERED)
        self._live: LRUCache[UUID, None] = LRUCache(REMEMBERED)
        self._heard = 0
        self._roles: Coalescer[UUID, Role] = Coalescer(lambda session_ids: sessions.roles(pool, session_ids), batching=batching)
        self.coalescers: Coalescers = {"check_session": self._roles}

    def identify(self, token: str, now: float) -> Identity:
        """Return what a token says; raises TokenInvalid."""
        known = self._verified.get(token)
        if known is None or known.expires_at <= now:
            known = self._verified[token] = self.tokens.verify(token)
        return known

    async def role(self, identity: Identity) -> Role:
        """Ask what the account of a session may do now; raises TokenInvalid if the session has ended."""
        return await self._roles(identity.session_id)

    async def require_live(self, identity: Identity) -> None:
        """Raise TokenInvalid if the session had ended 250 ms ago."""
        if identity.session_id in self._live and self._listener.current:
            return
        heard = self._heard
        await self._roles(identity.session_id)
        if heard == self._heard:  # else it may be this one that has just ended
            self._live[identity.session_id] = None

    def _told(self, changes: Changes) -> None:
        for session_id in changes.get(EventKind.SESSION_ENDED, ()):
            self._end(session_id)

    def _hear(self, news: Sequence[News]) -> None:
        for each in news:
            self._end(UUID(each.subject_id))

    def _end(self, session_id: UUID) -> None:
        """Forget a session that has ended."""
        self._heard += 1
        self._live.pop(session_id, None)

    def forget(self) -> None:
        """Forget all sessions: some may have ended unheard."""
        self._heard += 1
        self._live.clear()

    def use(self, keyring: Keyring) -> None:
        """Verify every token anew, with other keys."""
        self.tokens.keyring = keyring
        self._verified.clear()
