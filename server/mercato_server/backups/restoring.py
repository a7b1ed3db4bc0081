"""Restoring a backup into a new data directory, up to a moment.

All is made in `DIR/restoring` and moved to its place at the end. Until then `mercato up` refuses the directory, and a restore that was
interrupted begins anew.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mercato_server.backups import programs, wal
from mercato_server.backups.wal import Reach
from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.embedded import accounts, picture_copies
from mercato_server.embedded.archive import SEGMENT_BYTES
from mercato_server.embedded.backup_target import Backup, BackupError, Target, sync_directory, write_durably
from mercato_server.embedded.launches import Launch
from mercato_server.embedded.postgres import MEGABYTE, RESTORING, ROOM_BYTES_MIN, Postgres, make_way
from mercato_server.embedded.processes import lock
from mercato_server.store import restores

POSTGRES_MAJOR = 18
RECOVERY_S = 24 * 60 * 60.0
"""Time limit for replaying the log."""
REPORT_S = 5.0
EMPTY = {"lock", "lost+found"}
"""Entries of an empty data directory."""

# Which transaction was replayed last; PostgreSQL keeps the time after the recovery.
GET_REPLAYED = "SELECT pg_last_xact_replay_timestamp()"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options of a restore."""

    target: Target
    data_dir: Path
    """Absolute path."""
    moment: datetime | None = None
    """All transactions up to then, and none after; None for all that there are."""
    backup_id: str | None = None
    """The backup to begin with; None for the best one."""
    environ: Mapping[str, str]
    """Settings with which the shop will run."""
    user: str | None = None
    """As for `mercato up`."""
    move_aside: bool = False
    """Whether a data directory that is not empty is renamed; otherwise it is refused."""


async def restore(wanted: Wanted, tell: Tell) -> datetime | None:
    """Restore a shop; return the time of the last restored transaction after the backup, None if there was none.

    Raises BackupError, ConfigError.
    """
    with wanted.target.locked(shared=True):
        chosen = choose(wal.reaches(wanted.target), wanted.moment, wanted.backup_id)
        _require_same_release(chosen.backup)
        _require_same_secrets(wanted, chosen.backup)
        PaymentSettings.from_environ(wanted.environ)  # `_mark` reads them, after a replay that may take hours
        async with _own(wanted.data_dir, tell, move_aside=wanted.move_aside):
            _require_room(wanted.target, chosen, wanted.data_dir)
            try:
                return await _restore(wanted, chosen, tell)
            except OSError as error:
                raise BackupError(f"{wanted.data_dir}: {error.strerror or error}") from None


def choose(found: Sequence[Reach], moment: datetime | None, backup_id: str | None) -> Reach:
    """Return the newest backup from which a moment can be restored; raises BackupError with the ranges that are possible."""
    named = [reach for reach in found if backup_id in {None, reach.backup.id}]
    if not named:
        which = f"no backup {backup_id}; there are: {', '.join(reach.backup.id for reach in found)}" if found else "no backup"
        raise BackupError(f"there is {which}")
    able = [reach for reach in named if moment is None or (reach.backup.ended_at <= moment <= reach.through)]
    if not able:
        raise BackupError(f"the time must be in the range of a backup: {'; '.join(map(str, named))}")
    if able[-1].missing:
        raise BackupError(f"{able[-1]}; choose another one with --backup")
    if moment == able[-1].backup.ended_at == able[-1].through:
        return replace(able[-1], segments=())  # the backup itself: the archive may hold no later commit at which a recovery would stop
    return able[-1]


@contextlib.asynccontextmanager
async def _own(data_dir: Path, tell: Tell, *, move_aside: bool) -> AsyncIterator[None]:
    """Make a data directory empty and lock it for the block; a restore that was interrupted is removed from it."""
    if _content(data_dir) and not _is_unfinished(data_dir):
        if not move_aside:
            raise BackupError(f"{data_dir} is not empty; name another directory with --data-dir, or rename this one with --move-aside")
        os.close(lock(data_dir / "lock"))  # raises if a shop runs there
        await Postgres(data_dir).until_abandoned()
        tell(f"moved the old data to {_move_aside(data_dir)}")
    staging = Postgres(data_dir / RESTORING)
    make_way(data_dir)
    accounts.require_own(data_dir)
    descriptor = lock(data_dir / "lock")
    try:
        await staging.until_abandoned()
        _clear(data_dir)
        yield
    finally:
        os.close(descriptor)


def _is_unfinished(data_dir: Path) -> bool:
    return (data_dir / RESTORING).exists()


def _move_aside(data_dir: Path) -> Path:
    return data_dir.rename(data_dir.with_name(f"{data_dir.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))


def _clear(data_dir: Path) -> None:
    """Remove what an interrupted restore has left, the mark of it last."""
    for name in sorted(_content(data_dir), key=RESTORING.__eq__):
        path = data_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


async def _restore(wanted: Wanted, chosen: Reach, tell: Tell) -> datetime | None:
    target, backup, staging = wanted.target, chosen.backup, wanted.data_dir / RESTORING
    account = accounts.choose(staging / "postgres", wanted.user)
    staging.mkdir(mode=0o711 if account else 0o700)
    staging.chmod(0o711 if account else 0o700)  # whatever the umask
    tell(f"restoring the backup {backup.id}")
    cluster = staging / "postgres"
    await asyncio.to_thread(shutil.copytree, target.base(backup.id), cluster, symlinks=True)
    tell("verifying the copy")
    await programs.run("pg_verifybackup", "--quiet", cluster, log=staging / "log" / "verify.log")
    for segment in chosen.segments:
        await asyncio.to_thread(shutil.copyfile, segment, cluster / "pg_wal" / segment.name.removesuffix(".partial"))
    (cluster / "recovery.signal").touch(mode=0o600)
    accounts.give_tree(cluster, account)
    if pictures := Launch.of_environ(wanted.environ, staging).pictures:
        count = await asyncio.to_thread(picture_copies.restore, target.pictures, Path(pictures))
        accounts.give_tree(Path(pictures), account)
        tell(f"restored {count} files of pictures")
    replayed = await _recover(wanted, chosen, staging, tell)
    secret = target.backups / backup.id / "secret_key"
    if secret.exists():
        write_durably(staging / "secret_key", secret.read_text())
    await asyncio.to_thread(os.sync)
    _move_in(staging, wanted.data_dir)
    return replayed


async def _recover(wanted: Wanted, chosen: Reach, staging: Path, tell: Tell) -> datetime | None:
    """Let PostgreSQL replay the log up to the moment, and begin a new timeline."""
    import asyncpg

    settings = {
        "restore_command": "false",  # all segments are in the cluster
        "recovery_target_action": "promote",
        "hot_standby": "off",  # so that it is ready when the recovery has ended
        **({"recovery_target_time": wanted.moment.isoformat()} if wanted.moment is not None and chosen.segments else {}),
    }
    server = Postgres(staging, user=wanted.user, settings=settings, start_s=RECOVERY_S)
    reports = asyncio.create_task(_report(server, len(chosen.segments), tell))
    try:
        await server.start()
        connection = await asyncpg.connect(server.url())
        try:
            replayed: datetime | None = await connection.fetchval(GET_REPLAYED)
            if chosen.backup.migration:
                await _mark(wanted, server.url(), wanted.moment or replayed or chosen.backup.ended_at)
            await connection.execute("CHECKPOINT")  # the stop would have too little time for it
        finally:
            await connection.close()
    finally:
        reports.cancel()
        await asyncio.wait([reports])
        await server.stop()
    return replayed


async def _mark(wanted: Wanted, url: str, moment: datetime) -> None:
    """Migrate the shop, end its sessions and pause its payments."""
    takes_payments = PaymentSettings.from_environ(wanted.environ).stripe is not None
    await restores.restored(url, moment, takes_payments=takes_payments)


async def _report(server: Postgres, segments: int, tell: Tell) -> None:
    tell(f"replaying the log: {segments * SEGMENT_BYTES // MEGABYTE} MB")
    while True:
        await asyncio.sleep(REPORT_S)
        if segment := _replaying(server.pid):
            tell(f"replaying {segment}")


def _replaying(postmaster: int | None) -> str:
    """Return the segment that a server replays, from the title of its process; empty if it replays none."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
            _, found, segment = Path(f"/proc/{child}/cmdline").read_text().partition("startup recovering ")
            if found:
                return segment.strip("\0 ")
    return ""


def _move_in(staging: Path, data_dir: Path) -> None:
    """Move what was restored to its place; the marker of an incomplete restore goes last."""
    shutil.rmtree(staging / "run", ignore_errors=True)
    (staging / "lock").unlink(missing_ok=True)
    for path in sorted(staging.iterdir()):
        path.rename(data_dir / path.name)
    sync_directory(data_dir)
    staging.rmdir()
    sync_directory(data_dir)


def _require_same_release(backup: Backup) -> None:
    major = backup.postgres_version // 10_000
    if major != POSTGRES_MAJOR:
        raise BackupError(f"the backup {backup.id} is of PostgreSQL {major}, and this release has {POSTGRES_MAJOR}")


def _require_same_secrets(wanted: Wanted, backup: Backup) -> None:
    """Refuse secrets with which no password would verify, or no key of the database could be read."""
    given = Launch.of_environ(wanted.environ, wanted.target.backups / backup.id)
    if given.pepper_fingerprint != backup.pepper_fingerprint:
        now = "another one is set" if given.pepper_fingerprint else "it is not set"
        then = "with another MERCATO_PASSWORD_PEPPER" if backup.pepper_fingerprint else "without MERCATO_PASSWORD_PEPPER"
        raise BackupError(f"the backup {backup.id} was made {then}, and {now if backup.pepper_fingerprint else 'one is set'}")
    if given.secret_key_fingerprint != backup.secret_key_fingerprint:
        raise BackupError(f"the backup {backup.id} was made with another SECRET_KEY than the one that is set, or it is not set")


def _require_room(target: Target, chosen: Reach, data_dir: Path) -> None:
    trees = (target.base(chosen.backup.id), target.pictures)
    size = sum(path.stat().st_size for tree in trees for path in tree.rglob("*") if path.is_file())
    needed = size + len(chosen.segments) * SEGMENT_BYTES + ROOM_BYTES_MIN
    free = shutil.disk_usage(data_dir).free
    if free < needed:
        raise BackupError(f"the disk of {data_dir} has {free // MEGABYTE} MB left, and the restore needs {needed // MEGABYTE} MB")


def _content(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - EMPTY if directory.exists() else set()
