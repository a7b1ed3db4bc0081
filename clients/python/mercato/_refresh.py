"""The session of a client: its tokens, and their refresh in a thread of its own, which no caller can cancel.

One refresh serves all callers. Until the access token expires, calls go on with it while its successor is fetched. The thread keeps the
store's lock from reading the session to saving the next one, so processes that share a store refresh in turn.
"""

import copy
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from weakref import WeakSet

from mercato import _log
from mercato._call_errors import Failure
from mercato._root_error import MercatoError
from mercato.errors import CallError, error_of
from mercato.sessions import MemoryStore, Session, SessionStore
from mercato.v1.auth_pb2 import LoginResponse

REFRESH_EARLY_S = 60.0
"""How long before an access token expires its successor is fetched; never more than half of its time."""
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 30.0
"""Between refreshes that fail while the access token is still valid."""

Exchange = Callable[[str], LoginResponse]
"""Exchanges a refresh token for the next tokens; raises MercatoError."""
Token = str | None


@dataclass(frozen=True, slots=True)
class _Held:
    """A session with its time by two clocks: the monotonic one stands still while the machine sleeps, the other one can be set."""

    session: Session
    until: float
    """Monotonic time at which the access token expires."""
    early_s: float

    def ends_within(self, seconds: float) -> bool:
        return time.monotonic() + seconds >= self.until or time.time() + seconds >= self.session.expires_at

    @property
    def due(self) -> bool:
        return self.ends_within(self.early_s)

    @property
    def expired(self) -> bool:
        return self.ends_within(0)


def _held(session: Session | None) -> _Held | None:
    if session is None:
        return None
    left_s = session.expires_at - time.time()
    return _Held(session, time.monotonic() + left_s, min(REFRESH_EARLY_S, max(0.0, left_s / 2)))


def session_of(response: LoginResponse, email: str = "") -> Session:
    """Return the session that an answer of Login, CreateGuest or Refresh opens or continues."""
    return Session(response.access_token, response.refresh_token, time.time() + response.expires_in, email=email)


class Tokens:
    """The access token of a client, for callers in any thread and any event loop."""

    def __init__(self, store: SessionStore, exchange: Exchange) -> None:
        self._store = store
        self._exchange = exchange
        self._lock = threading.Lock()
        self._current: _Held | None = None
        self._is_loaded = False
        self._running: Future[Token] | None = None
        self._ended: MercatoError | None = None
        self._login = 0
        """Number of the login, so that a refresh of the session before does not replace it."""
        self._failures = 0
        self._again_at = 0.0
        _all.add(self)

    @property
    def session(self) -> Session | None:
        """The session that calls are made in; None if the client has none, or has not read its store yet."""
        held = self._current
        return held.session if held else None

    def token(self, *, may_wait: bool) -> Token | Future[Token]:
        """Return the access token at once if there is a valid one, else its future; None if there is no session.

        Without `may_wait` an expired token is returned too. Raises the error that has ended the session.
        """
        with self._lock:
            if not self._is_loaded and not isinstance(self._store, MemoryStore):
                return self._started(lambda: self._load(may_wait=may_wait))
            if not self._is_loaded:
                self._adopt(self._store.load())
            held = self._current
            if held is None:
                if self._ended and may_wait:
                    raise copy.copy(self._ended)
                return None
            access_token = held.session.access_token
            if not held.session.refresh_token or not held.due:
                return access_token
            if held.expired and (may_wait or not access_token):
                return self._started(self._refresh)
            if time.monotonic() >= self._again_at:
                self._started(self._refresh)
            return access_token

    def replaced(self, refused: str) -> Token | Future[Token]:
        """Return the token that follows one that the server has refused, or its future; None if there cannot be another."""
        with self._lock:
            held = self._current
            if held is None or not held.session.refresh_token:
                return None
            if held.session.access_token != refused:
                return held.session.access_token
            return self._started(lambda: self._refresh(refused))

    def use(self, session: Session) -> None:
        """Save a session, and send its tokens from now on; raises SessionStoreError if the store cannot save it."""
        with self._store.locked():
            self._store.save(session)
            with self._lock:
                self._login += 1
                self._adopt(session)

    def forget(self) -> None:
        """Remove the session from the store and from the client."""
        with self._store.locked():
            self._store.clear()
            with self._lock:
                self._login += 1
                self._adopt(None)

    def _adopt(self, session: Session | None) -> None:
        self._current, self._is_loaded = _held(session), True
        self._ended, self._failures, self._again_at = None, 0, 0.0

    def _started(self, work: Callable[[], Token]) -> Future[Token]:
        """Return the future of the running thread, or of a new one; the caller has the lock."""
        if self._running is None:
            future = Future[Token]()
            future.set_running_or_notify_cancel()  # so that no waiter can cancel it
            # No daemon: the interpreter waits for it, since a token that was exchanged and not saved is lost.
            threading.Thread(target=self._run, args=(work, future), name="mercato-refresh").start()
            self._running = future  # not before: a thread that cannot be started would leave its waiters behind
        return self._running

    def _run(self, work: Callable[[], Token], future: "Future[Token]") -> None:
        try:
            token = work()
        except BaseException as error:  # noqa: BLE001 - its callers raise it
            self._finish(failed=True)
            self._tell(error)
            future.set_exception(error)
        else:
            self._finish(failed=False)
            future.set_result(token)

    def _tell(self, error: BaseException) -> None:
        """Log a refresh that failed, or the end of the session."""
        held = self._current
        if held is None:
            _log.session_ended(error)
        else:
            _log.refresh_failed(error, valid_s=min(held.until - time.monotonic(), held.session.expires_at - time.time()))

    def _finish(self, *, failed: bool) -> None:
        with self._lock:
            self._running = None
            if failed:
                self._again_at = time.monotonic() + min(LAST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures)
                self._failures = min(self._failures + 1, 10)

    def _load(self, *, may_wait: bool) -> Token:
        """Read the store, and refresh its session if that has expired."""
        session = self._store.load()
        with self._lock:
            if not self._is_loaded:
                self._adopt(session)
            held = self._current
        if held is None:
            return None
        return self._refresh() if held.expired and held.session.refresh_token and may_wait else held.session.access_token

    def _refresh(self, refused: str = "") -> Token:
        """Return the access token of the next session: the store's if another process has refreshed it, else that of an exchange."""
        with self._store.locked():
            login, held = self._login, self._current
            stored = _held(self._store.load())
            if stored is None:
                return self._end(login, error_of(Failure("UNAUTHENTICATED", "the stored session has ended; log in again", sent=False)))
            is_new = held is None or stored.session.access_token != held.session.access_token
            if is_new and not stored.due and stored.session.access_token != refused:
                _log.refreshed(by="another process")
                return self._adopted(login, stored.session)
            try:
                response = self._exchange(stored.session.refresh_token)
            except CallError as error:
                if error.reason != "REFRESH_TOKEN_INVALID":
                    raise
                self._store.clear()
                return self._end(login, error)
            following = session_of(response)
            following = replace(
                stored.session,
                access_token=following.access_token,
                refresh_token=following.refresh_token,
                expires_at=following.expires_at,
            )
            self._store.save(following)
            _log.refreshed(by="this client")
            return self._adopted(login, following)

    def _adopted(self, login: int, session: Session) -> Token:
        with self._lock:
            if login == self._login:
                self._adopt(session)
            held = self._current
        return held.session.access_token if held else None

    def _end(self, login: int, error: MercatoError) -> Token:
        """Forget a session that has ended, and raise its error."""
        with self._lock:
            if login == self._login:
                self._adopt(None)
                self._ended = error
        raise error

    def after_fork(self) -> None:
        """Forget the thread of the parent process."""
        self._lock, self._running = threading.Lock(), None


_all: WeakSet[Tokens] = WeakSet()


def _after_fork() -> None:
    for tokens in list(_all):
        tokens.after_fork()


os.register_at_fork(after_in_child=_after_fork)
