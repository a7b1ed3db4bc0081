"""Which segments of the write-ahead log follow a backup, and to which moments they reach."""

import itertools
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mercato_server.embedded.archive import SEGMENT_BYTES
from mercato_server.embedded.backup_target import Backup, BackupError, Target


@dataclass(frozen=True, slots=True)
class Reach:
    """A backup and the moments to which it can be restored."""

    backup: Backup
    through: datetime
    """The last of them; that of the backup itself without an archive."""
    segments: tuple[Path, ...]
    """Segments of the archive that follow, or complete those in the backup. The last one may be partial."""
    missing: str = ""
    """Name of a segment that the archive lacks, although it has later ones."""

    def __str__(self) -> str:
        """Return the range in words."""
        if self.missing:
            return f"{self.backup.id}: its archive lacks {self.missing}"
        first, last = stamp(self.backup.ended_at), stamp(self.through)
        return f"{self.backup.id}: {first} to {last}" if first != last else f"{self.backup.id}: {first} only"


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339, in the precision of PostgreSQL."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def reaches(target: Target) -> list[Reach]:
    """Return the reach of each backup, the oldest first; raises BackupError."""
    return [reach(target, backup) for backup in target.list()]


def reach(target: Target, backup: Backup) -> Reach:
    """Return the reach of a backup; raises BackupError."""
    archive = target.archive(backup.archive) if backup.archive else None
    through = target.state(backup.archive).through if archive else None
    if archive is None or through is None:
        return Reach(backup, backup.ended_at, ())
    own, there = target.base(backup.id) / "pg_wal", {path.name: path for path in archive.iterdir()}
    names = (segment_name(backup.timeline, number) for number in itertools.count(segment_of(backup.start_lsn)))
    found = [there.get(name) for name in itertools.takewhile(lambda name: name in there or (own / name).exists(), names)]
    end = segment_name(backup.timeline, segment_of(backup.start_lsn) + len(found))
    has_later = any(name > end for name in there if is_segment(name))
    segments = [*filter(None, found), *(there[name] for name in [f"{end}.partial"] if name in there)]
    return Reach(backup, max(through, backup.ended_at), tuple(segments), end if has_later else "")


def is_segment(name: str) -> bool:
    """Tell whether a file is a whole segment."""
    return re.fullmatch(r"[0-9A-F]{24}", name) is not None


def first_needed(backups: list[Backup], archive: str) -> str | None:
    """Return the name of the first segment of an archive that backups need; None if none of them needs it."""
    starts = [segment_name(backup.timeline, segment_of(backup.start_lsn)) for backup in backups if backup.archive == archive]
    return min(starts, default=None)


def segment_of(lsn: str) -> int:
    """Return the number of the segment that holds a position, such as `1/2F000028`."""
    high, low = lsn.split("/")
    return ((int(high, 16) << 32) + int(low, 16)) // SEGMENT_BYTES


def segment_name(timeline: int, number: int) -> str:
    """Return the name of a segment's file."""
    high, low = divmod(number, (1 << 32) // SEGMENT_BYTES)
    return f"{timeline:08X}{high:08X}{low:08X}"


def needed_range(base: Path) -> tuple[int, str, str]:
    """Return the timeline, and the first and last position of the log that a copied cluster needs; raises BackupError."""
    found = json.loads((base / "backup_manifest").read_text())["WAL-Ranges"]
    if len(found) != 1:
        raise BackupError("the timeline of the database changed during the backup; run it again")
    return found[0]["Timeline"], found[0]["Start-LSN"], found[0]["End-LSN"]
