"""The directory that holds the backups of one shop: `backups/ID`, `wal/ARCHIVE` and `pictures`.

A backup is there whole or not at all: it is made under another name. All of it belongs to the user who runs the supervisor, and for root
not to the account of the shop, so that a worker can neither read nor delete it.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Self

from mercato_server.embedded.processes import EmbeddedError

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "archive.json"


class BackupError(EmbeddedError):
    """A backup cannot be made, read or restored; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The manifest of a backup."""

    id: str
    began_at: datetime
    ended_at: datetime
    """From this moment on the shop can be restored."""
    postgres_version: int
    """As in `server_version_num`."""
    system_identifier: str
    """PostgreSQL's number of the cluster, which a restored one keeps."""
    timeline: int
    start_lsn: str
    end_lsn: str
    archive: str
    """Name of the archive of the write-ahead log that goes on from this backup; empty if there was none."""
    database_bytes: int
    migration: str
    """Name of the last migration."""
    pepper_fingerprint: str
    """As in `Launch`."""
    secret_key_fingerprint: str

    def to_json(self) -> str:
        """Return the manifest's text."""
        return json.dumps({"format": FORMAT} | asdict(self), default=datetime.isoformat, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest's text; raises ValueError, TypeError or KeyError."""
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError("format")
        values = {field.name: found[field.name] for field in fields(cls)}
        times = {name: datetime.fromisoformat(values[name]) for name in ("began_at", "ended_at")}
        return cls(**values | times)


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """How far an archive reaches. It is written after each beat of the archive has arrived in it."""

    through: datetime | None
    """Every transaction that was committed before this time is in the archive; None before the first beat."""


class Target:
    """A directory of backups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.backups = self.directory / "backups"
        self.pictures = self.directory / "pictures"
        self.wal = self.directory / "wal"

    def require_outside(self, data_dir: Path) -> None:
        """Raise BackupError if it is in a data directory."""
        if self.directory.is_relative_to(data_dir.resolve()):
            raise BackupError(f"{self.directory} is in the data directory, and would be lost with it; name another directory")

    def prepare(self) -> None:
        """Make the directories, for this user alone; raises BackupError if others may write there."""
        try:
            for path in (self.directory, self.backups, self.pictures, self.wal):
                path.mkdir(mode=0o700, parents=path == self.directory, exist_ok=True)
        except OSError as error:
            raise BackupError(f"{self.directory} cannot be written: {error.strerror}") from None
        info = self.directory.stat()
        if info.st_uid != os.geteuid() or info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mend = f"chown {os.geteuid()} {self.directory} && chmod 700 {self.directory}"
            raise BackupError(f"other users may use {self.directory}, and backups hold secrets; forbid it with: {mend}")

    @contextlib.contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Lock it for a block, alone or with other readers; raises BackupError if another process has it."""
        try:
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if not shared:
                raise BackupError(f"{self.directory} cannot be written: {error.strerror}") from None
            yield  # a medium that cannot be written does not change
            return
        try:
            _lock(descriptor, self.directory, shared=shared)
            yield
        finally:
            os.close(descriptor)

    def archive(self, name: str) -> Path:
        """Return the directory of an archive."""
        return self.wal / name

    def base(self, backup_id: str) -> Path:
        """Return the directory of a backup's copy of the cluster."""
        return self.backups / backup_id / "base"

    def list(self) -> list[Backup]:
        """Return the backups, the oldest first; raises BackupError."""
        return sorted((self._read(path) for path in self.backups.glob(f"[0-9]*/{MANIFEST}")), key=lambda backup: backup.ended_at)

    def newest(self) -> tuple[datetime, datetime] | None:
        """Return the time of the newest backup, and the last moment to which it can be restored; None without one. Raises BackupError."""
        path = max(self.backups.glob(f"[0-9]*/{MANIFEST}"), default=None)
        if path is None:
            return None
        backup = self._read(path)
        through = self.state(backup.archive).through if backup.archive else None
        return backup.ended_at, max(through or backup.ended_at, backup.ended_at)

    def state(self, archive: str) -> ArchiveState:
        """Return how far an archive reaches; raises BackupError."""
        path = self.archive(archive) / STATE
        try:
            return ArchiveState(datetime.fromisoformat(json.loads(path.read_text())["through"]))
        except FileNotFoundError:
            return ArchiveState(None)
        except (KeyError, TypeError, ValueError):
            raise BackupError(f"{path} is damaged") from None

    def _read(self, path: Path) -> Backup:
        try:
            return Backup.from_json(path.read_text())
        except (KeyError, TypeError, ValueError):
            raise BackupError(f"{path} is damaged, or of a newer release") from None


def cause(said: Sequence[str], otherwise: str) -> str:
    """Return why a program of PostgreSQL failed, from the lines that it wrote: the errors after the first one follow from it."""
    return next((line.strip() for line in said if ": error: " in line), otherwise)


def _lock(descriptor: int, directory: Path, *, shared: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError(f"a backup into {directory}, or a restore from it, is running") from None


def write_durably(path: Path, text: str) -> None:
    """Replace a file by one that only this user may read; it is on disk after that."""
    unfinished = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
