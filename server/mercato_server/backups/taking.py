"""Making a backup: a verified copy of the cluster, the secret key, the pictures, and a manifest that makes it whole."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mercato_server.backups import programs, wal
from mercato_server.embedded.archive import SEGMENT_BYTES, archive_of
from mercato_server.embedded.backup_target import MANIFEST, Backup, BackupError, Target, sync_directory, write_durably
from mercato_server.embedded.database import database
from mercato_server.embedded.launches import Launch
from mercato_server.embedded.picture_copies import PictureCopies, prune
from mercato_server.embedded.postgres import MEGABYTE

if TYPE_CHECKING:
    import asyncpg

UNFINISHED = ".unfinished"
REMOVED = ".removed"
PICTURES = "pictures.txt"
PROGRESS = re.compile(r"(\d+)/(\d+) kB \((\d+)%\)")
STEP_PERCENT = 10
ROOM_SHARE = 1.05
"""Room that a backup needs, as a multiple of the database: indexes and tables grow meanwhile."""

GET_FACTS = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_setting('server_version_num')::integer AS postgres_version,
       (SELECT sum(pg_database_size(oid))::bigint FROM pg_database) AS database_bytes,
       clock_timestamp() AS now
"""
HAS_MIGRATIONS = "SELECT to_regclass('schema_migrations') IS NOT NULL"
GET_MIGRATION = "SELECT max(name) FROM schema_migrations"
GET_TIME = "SELECT clock_timestamp()"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """The shop that is backed up."""

    data_dir: Path
    launch: Launch


async def take(source: Source, target: Target, *, keep: int | None, tell: Tell) -> Backup:
    """Back up a shop, whether or not it runs; with `keep`, delete all backups but so many afterwards.

    A backup that is interrupted is never taken for one, and the next one removes it. Raises BackupError.
    """
    target.require_outside(source.data_dir)
    target.prepare()
    with target.locked():
        _remove_leftovers(target)
        backup_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        unfinished = target.backups / f"{UNFINISHED}-{backup_id}"
        try:
            unfinished.mkdir(mode=0o700)
            backup = await _fill(source, target, unfinished, backup_id, tell)
            unfinished.rename(target.backups / backup_id)
        except OSError as error:
            raise BackupError(f"{target.directory}: {error.strerror or error}") from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        sync_directory(target.backups)
        if keep is not None:
            _prune(target, keep, tell)
    return backup


async def _fill(source: Source, target: Target, unfinished: Path, backup_id: str, tell: Tell) -> Backup:
    import asyncpg

    base = unfinished / "base"
    async with database(source.data_dir) as url:
        connection = await asyncpg.connect(url)
        try:
            [facts] = await connection.fetch(GET_FACTS)
            _require_same_shop(target, facts)
            _require_room(target, facts["database_bytes"])
            migration = await connection.fetchval(GET_MIGRATION) if await connection.fetchval(HAS_MIGRATIONS) else None
            archive = await archive_of(connection, target)
            await _copy_cluster(url, base, facts["database_bytes"], tell)
            ended_at = await connection.fetchval(GET_TIME)
        finally:
            await connection.close()
    tell("verifying the copy")
    await programs.run("pg_verifybackup", "--quiet", base, log=unfinished / "verify.log")
    _copy_secret(source.data_dir, unfinished)
    _copy_pictures(source, target, unfinished, tell)
    timeline, start_lsn, end_lsn = wal.needed_range(base)
    backup = Backup(
        id=backup_id,
        began_at=facts["now"],
        ended_at=ended_at,
        postgres_version=facts["postgres_version"],
        system_identifier=facts["system_identifier"],
        timeline=timeline,
        start_lsn=start_lsn,
        end_lsn=end_lsn,
        archive=archive,
        database_bytes=facts["database_bytes"],
        migration=migration or "",
        pepper_fingerprint=source.launch.pepper_fingerprint,
        secret_key_fingerprint=source.launch.secret_key_fingerprint,
    )
    await asyncio.to_thread(os.sync)  # the copies of pictures and of the key
    write_durably(unfinished / MANIFEST, backup.to_json())
    return backup


async def _copy_cluster(url: str, base: Path, size: int, tell: Tell) -> None:
    """Copy the cluster with a checksum of each file, and with the part of the log that makes it consistent."""
    told = 0

    def progress(line: str) -> None:
        nonlocal told
        if (found := PROGRESS.match(line)) and int(found[3]) >= told + STEP_PERCENT:
            told = int(found[3])
            tell(f"copied {told} % of {size // MEGABYTE} MB")

    options = ("--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password", "--label=mercato")
    tell(f"copying {size // MEGABYTE} MB of the database")
    await programs.run("pg_basebackup", "--dbname", url, "--pgdata", base, *options, log=base.with_name("base.log"), tell=progress)


def _copy_secret(data_dir: Path, unfinished: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        content = (data_dir / "secret_key").read_text()
        write_durably(unfinished / "secret_key", content)


def _copy_pictures(source: Source, target: Target, unfinished: Path, tell: Tell) -> None:
    if not source.launch.pictures:
        tell("the pictures are in a bucket, and not in this backup")
        return
    copies = PictureCopies(Path(source.launch.pictures), target.pictures)
    if new := copies.add():
        tell(f"copied {new} files of pictures")
    write_durably(unfinished / PICTURES, "".join(f"{name}\n" for name in copies.names()))


def _require_same_shop(target: Target, facts: "asyncpg.Record") -> None:
    if any(backup.system_identifier != facts["system_identifier"] for backup in target.list()):
        raise BackupError(f"{target.directory} holds backups of another shop; name another directory")


def _require_room(target: Target, size: int) -> None:
    needed, free = int(size * ROOM_SHARE) + SEGMENT_BYTES, shutil.disk_usage(target.directory).free
    if free < needed:
        raise BackupError(f"the disk of {target.directory} has {free // MEGABYTE} MB left, and a backup needs {needed // MEGABYTE} MB")


def _remove_leftovers(target: Target) -> None:
    """Remove what an interrupted backup, or an interrupted removal, has left."""
    for path in (*target.backups.glob(f"{UNFINISHED}-*"), *target.backups.glob(f"{REMOVED}-*")):
        shutil.rmtree(path)


def _prune(target: Target, keep: int, tell: Tell) -> None:
    """Delete all backups but the newest, and what only they need of the log and of the pictures."""
    backups = target.list()
    for backup in backups[:-keep]:
        removed = target.backups / f"{REMOVED}-{backup.id}"
        (target.backups / backup.id).rename(removed)
        shutil.rmtree(removed)
        tell(f"deleted the backup {backup.id}")
    kept = backups[-keep:]
    for archive in target.wal.iterdir():
        if first := wal.first_needed(kept, archive.name):
            for path in archive.iterdir():
                if wal.is_segment(path.name) and path.name < first:
                    path.unlink()
        elif archive.stat().st_mtime < backups[-1].began_at.timestamp():  # not one that has begun since
            shutil.rmtree(archive)
    named = {line for backup in kept for line in _pictures_of(target, backup)}
    prune(target.pictures, named, kept[0].began_at.timestamp())


def _pictures_of(target: Target, backup: Backup) -> list[str]:
    path = target.backups / backup.id / PICTURES
    return path.read_text().splitlines() if path.exists() else []
