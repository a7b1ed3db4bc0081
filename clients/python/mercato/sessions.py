"""Stores that keep a session between runs and between processes.

    with Client("127.0.0.1:8080", session=FileStore("~/.config/mercato/session.json")) as shop:
        ...

A refresh token can be used once. Processes that share a session therefore refresh it one after the other: each takes the store's lock,
reads the session again, refreshes it if no other process has done so meanwhile, and saves the next tokens before it uses them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakSet

from mercato._session_files import LOCK_S, FileLock, PrivateFile
from mercato._session_records import Session, SessionStoreError, dumped, loaded

__all__ = ["FileStore", "KeyringStore", "MemoryStore", "Session", "SessionStore", "SessionStoreError"]

SERVICE = "mercato"
"""The name under which a keyring lists our sessions."""


@runtime_checkable
class SessionStore(Protocol):
    """Keeps one session. Its methods may block, and may be called from any thread."""

    def load(self) -> Session | None:
        """Return the session; None if there is none. Raises SessionStoreError if it cannot be read, or must not be trusted."""

    def locked(self) -> AbstractContextManager[None]:  # pyright: ignore[reportReturnType] # a protocol has no body
        """Exclude every other user of the session, in any process, until the block ends. Raises SessionStoreError.

        The block may end in another thread than it began. A refresh happens within such a block.
        """

    def save(self, session: Session) -> None:
        """Keep a session instead of the last one; after a power cut one of both is there. Raises SessionStoreError.

        A save within a block of `locked` is a part of it. Any other save takes the lock itself.
        """

    def clear(self) -> None:
        """Forget the session, if there is one. It takes the lock as `save` does. Raises SessionStoreError."""


class MemoryStore:
    """Keeps a session in this process; clients may share it."""

    def __init__(self, session: Session | None = None) -> None:
        self._session = session
        self._lock = threading.Lock()
        _memories.add(self)

    def load(self) -> Session | None:
        """Return the session."""
        return self._session

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude the other clients of this store."""
        lock = self._lock
        if not lock.acquire(timeout=LOCK_S):
            raise SessionStoreError(f"another client has used the session for more than {LOCK_S:.0f} s")
        try:
            yield
        finally:
            lock.release()

    def save(self, session: Session) -> None:
        """Keep a session."""
        self._session = session

    def clear(self) -> None:
        """Forget the session."""
        self._session = None

    def after_fork(self) -> None:
        """Forget the threads of the parent process, one of which may hold the lock."""
        self._lock = threading.Lock()


_memories: WeakSet[MemoryStore] = WeakSet()


def _after_fork() -> None:
    for store in list(_memories):
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class FileStore:
    """Keeps a session in a file that only its owner can read, beside a lock file.

    A file that others can read is refused, and so is one whose content is no session. A save replaces the file as a whole. The space that
    a save needs is reserved when the lock is taken, so a full disk is noticed before the refresh token is spent.
    """

    def __init__(self, path: str | Path, *, lock_s: float = LOCK_S) -> None:
        """Name the file; nothing is read yet.

        Args:
            path: of the file; `~` is the user's home. Missing directories are made, for the owner only.
            lock_s: seconds to wait for other processes before SessionStoreError.
        """
        self._file = PrivateFile(Path(path))
        self._lock = FileLock(self._file.path.with_name(f"{self._file.path.name}.lock"), lock_s)

    def __repr__(self) -> str:
        return f"FileStore({str(self._file.path)!r})"

    def load(self) -> Session | None:
        """Return the session of the file; None without a file."""
        text = self._file.read()
        return None if text is None else loaded(text, str(self._file.path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude the other processes and threads that use the file, and reserve the space of a save."""
        with self._lock.held(), self._file.reserved():
            yield

    def save(self, session: Session) -> None:
        """Replace the file by one with this session."""
        if self._lock.is_held:
            self._file.replace(dumped(session))
        else:
            with self.locked():
                self._file.replace(dumped(session))

    def clear(self) -> None:
        """Remove the file."""
        if self._lock.is_held:
            self._file.remove()
        else:
            with self._lock.held():
                self._file.remove()


class KeyringStore:
    """Keeps a session in the keyring of the desktop (extra `keyring`). A lock file in the user's directory of states excludes others."""

    def __init__(self, profile: str = "default", *, lock_s: float = LOCK_S) -> None:
        """Name the entry; the keyring is not opened yet.

        Args:
            profile: name of the entry: letters, digits, `-`, `_` and `.`, at most 64.
            lock_s: seconds to wait for other processes before SessionStoreError.
        """
        self._profile = profile
        self._lock = FileLock.of_user("keyring", profile, lock_s)

    def __repr__(self) -> str:
        return f"KeyringStore({self._profile!r})"

    def load(self) -> Session | None:
        """Return the session of the entry; None without one."""
        with _opened() as entries:
            text = entries.get_password(SERVICE, self._profile)
        return None if text is None else loaded(text, f"the entry {self._profile!r} of the keyring")

    def locked(self) -> AbstractContextManager[None]:
        """Exclude the other processes and threads that use the entry."""
        return self._lock.held()

    def save(self, session: Session) -> None:
        """Replace the entry."""
        with self._exclusively(), _opened() as entries:
            entries.set_password(SERVICE, self._profile, dumped(session))

    def clear(self) -> None:
        """Remove the entry."""
        with self._exclusively(), _opened() as entries:
            if entries.get_password(SERVICE, self._profile) is not None:
                entries.delete_password(SERVICE, self._profile)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._lock.is_held:
            yield
        else:
            with self._lock.held():
                yield


@contextmanager
def _opened() -> Iterator[Any]:
    """Yield the package keyring; its errors become SessionStoreError."""
    try:
        keyring, errors = import_module("keyring"), import_module("keyring.errors")
    except ImportError:
        raise SessionStoreError("the keyring needs: pip install 'mercato-client[keyring]'") from None
    try:
        yield keyring
    except errors.NoKeyringError:
        raise SessionStoreError("this machine has no keyring that can be used; keep the session in a file") from None
    except errors.KeyringError as error:
        raise SessionStoreError(f"the keyring refused: {type(error).__name__}") from None
