"""Settings of backups: where `mercato up` archives the write-ahead log, and how much of it waits for an archive that is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mercato_server.config.environment import integer


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """The continuous archive of an embedded database."""

    directory: Path | None = None
    """Directory of backups; None archives nothing."""
    wal_megabytes: int = 4_096
    """Most of the write-ahead log that the database keeps for an archive that cannot be reached. Beyond it the archive has a gap."""

    @classmethod
    def from_environ(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        return cls(
            directory=Path(env["MERCATO_BACKUP_DIR"]) if env.get("MERCATO_BACKUP_DIR") else None,
            wal_megabytes=integer(env, "MERCATO_BACKUP_WAL_MEGABYTES", 4_096, low=16, high=1_000_000),
        )
