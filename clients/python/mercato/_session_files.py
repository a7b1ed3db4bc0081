"""Files that only their owner can read, replaced as a whole, and locks between processes. The one module that touches the disk."""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4
from weakref import WeakSet

from mercato._session_records import SessionStoreError

LOCK_S = 30.0
"""Seconds to wait for another user of a session. A refresh takes 5 s at most, so the other one hangs."""
CONTENT_MAX_BYTES = 65_536
RESERVED_BYTES = 8_192
"""Space of a save: more than a session takes."""
ABANDONED_S = 60.0
"""Age at which a file that a killed process was writing is removed: no save takes so long."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.002, 0.05
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class PrivateFile:
    """A small text file of one user."""

    def __init__(self, path: Path) -> None:
        # A link stays a link: the file that it leads to is replaced.
        self.path = Path(os.path.realpath(path.expanduser()))
        self._spares: list[Path] = []

    def read(self) -> str | None:
        """Return the content; None without a file. Raises SessionStoreError if another user could have read or written it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer does not block
            try:
                content = self._trusted(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(self.path, "cannot be read", error) from None
        if len(content) > CONTENT_MAX_BYTES:
            raise SessionStoreError(f"{self.path} is damaged: it is too long for a session; log in again")
        return content.decode(errors="replace")

    def _trusted(self, descriptor: int) -> bytes:
        """Return the content of an open file, and at most a byte too many. Raises SessionStoreError, OSError."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SessionStoreError(f"{self.path} is no file")
        if found.st_mode & 0o077:
            raise SessionStoreError(f"{self.path} can be read or changed by other users; run: chmod 600 {self.path}")
        if found.st_uid != os.geteuid() and os.geteuid() != 0:
            raise SessionStoreError(f"{self.path} belongs to another user")
        content = b""
        while len(content) <= CONTENT_MAX_BYTES and (more := os.read(descriptor, CONTENT_MAX_BYTES + 1)):
            content += more
        return content

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold a file with the space of the next content for a block. Raises SessionStoreError on a full disk."""
        spare = self._new()
        self._spares.append(spare)
        try:
            yield
        finally:
            self._spares.clear()
            spare.unlink(missing_ok=True)  # `replace` has not used it

    def replace(self, content: str) -> None:
        """Replace the file, durably and as a whole. Raises SessionStoreError, and then the old file is unchanged."""
        new = self._spares.pop() if self._spares else self._new()
        try:
            with new.open("r+b") as file:
                file.write(content.encode())
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            self._sync_directory()
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise _failure(self.path, "cannot be written", error) from None

    def remove(self) -> None:
        """Remove the file, if there is one. Raises SessionStoreError."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(self.path, "cannot be removed", error) from None

    def _new(self) -> Path:
        """Make a file with space for a content beside this one, and remove those that killed processes have left."""
        new = self.path.with_name(f".{self.path.name}.{uuid4().hex}.new")
        try:
            make_private(self.path.parent)
            self._sweep()
            descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)  # the umask may take more away
                _reserve(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise _failure(self.path, "cannot be written", error) from None
        return new

    def _sweep(self) -> None:
        for left in self.path.parent.glob(f".{self.path.name}.*.new"):
            with suppress(OSError):  # another process removes it too
                if time.time() - left.stat().st_mtime > ABANDONED_S:
                    left.unlink()

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reserve(descriptor: int) -> None:
    """Take the space of a content: its zeros are written, since some file systems promise space and break the promise."""
    os.write(descriptor, bytes(RESERVED_BYTES))
    os.fsync(descriptor)


class FileLock:
    """A lock between processes and threads: flock(2) on a file that stays, so a process that is killed gives it back."""

    def __init__(self, path: Path, limit_s: float) -> None:
        self._path = path
        self._limit_s = limit_s
        self._descriptor: int | None = None
        _locks.add(self)

    @classmethod
    def of_user(cls, kind: str, name: str, limit_s: float) -> "FileLock":
        """Return a lock of this user by kind and name (XDG base directories). Raises ValueError for a name that is a path."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits, '-', '_' and '.', at most 64")
        states = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
        return cls(states / "mercato" / f"{kind}-{name}.lock", limit_s)

    @property
    def is_held(self) -> bool:
        """Whether a block of `held` of this object is under way, in any thread."""
        return self._descriptor is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for a block. Raises SessionStoreError if others hold it for too long."""
        self._descriptor = self._acquired()
        try:
            yield
        finally:
            descriptor, self._descriptor = self._descriptor, None
            # pyright does not see that another thread or a fork changes it.
            if descriptor is not None:  # pyright: ignore[reportUnnecessaryComparison] # else this process was forked within the block, which its parent ends
                os.close(descriptor)

    def _acquired(self) -> int:
        last, pause_s = time.monotonic() + self._limit_s, FIRST_PAUSE_S
        while True:
            descriptor = self._attempt()
            if descriptor is not None:
                return descriptor
            if time.monotonic() > last:
                raise SessionStoreError(f"{self._path} has been locked by another process for more than {self._limit_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LAST_PAUSE_S)

    def _attempt(self) -> int | None:
        """Return the descriptor that holds the lock; None if another one holds it."""
        try:
            make_private(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failure(self._path, "cannot be locked", error) from None
        try:
            if _flock(descriptor) and self._is_current(descriptor):
                held, descriptor = descriptor, -1
                return held
        except OSError as error:
            raise _failure(self._path, "cannot be locked", error) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return None

    def _is_current(self, descriptor: int) -> bool:
        """Return whether the path still leads to the locked file; a user may have removed it meanwhile."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def after_fork(self) -> None:
        """Leave the lock to the parent of this process: a copy of the descriptor would keep it after the parent's death."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_locks: WeakSet[FileLock] = WeakSet()


def _after_fork() -> None:
    for lock in list(_locks):
        lock.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _flock(descriptor: int) -> bool:
    """Take a lock at once; returns False if another process or thread has it."""
    try:
        import fcntl
    except ImportError:
        raise SessionStoreError("sessions in files need the file locks of Unix, which this system has not") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_private(directory: Path) -> None:
    """Make a missing directory, and those above it, for their owner only."""
    if not directory.is_dir():
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)


def _failure(path: Path, what: str, error: OSError) -> SessionStoreError:
    return SessionStoreError(f"{path} {what}: {error.strerror or type(error).__name__}")
