"""The continuous archive of an embedded database: pg_receivewal streams the write-ahead log to a directory of backups.

A replication slot makes PostgreSQL keep what the archive has not got yet, up to MERCATO_BACKUP_WAL_MEGABYTES. Slot and archive have the
same name. A restored cluster has no slot, so it starts an archive of its own, and two histories never mix.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mercato_server.config.backup_settings import BackupSettings
from mercato_server.embedded.backup_target import STATE, BackupError, Target, cause, write_durably
from mercato_server.embedded.launches import Launch
from mercato_server.embedded.picture_copies import PictureCopies
from mercato_server.embedded.postgres import MEGABYTE, STOP_S, Postgres, binaries, program_settings
from mercato_server.embedded.processes import Backoff, Command, EmbeddedError, Process, complain, first

if TYPE_CHECKING:
    import asyncpg

SLOT_PREFIX = "mercato_archive_"
BEAT_S = 5.0
"""Interval of the beats, each an empty transaction, that also a quiet shop's archive can be restored to any second."""
BEHIND_S = 60.0
"""An archive that lags so far is reported."""
REPEAT_S = 600.0
"""Interval of reports while an archive fails."""
POLL_S = 0.1
PICTURES_S = 60.0
SEGMENT_BYTES = 16 * MEGABYTE
"""Size of the files of the log: PostgreSQL's default, with which clusters are made."""

GET_SLOTS = """
SELECT slot_name::text AS name, wal_status = 'lost' AS is_lost
  FROM pg_replication_slots
 WHERE slot_type = 'physical' AND starts_with(slot_name, $1)
 ORDER BY slot_name
"""
CREATE_SLOT = "SELECT pg_create_physical_replication_slot($1, immediately_reserve => true)"
DROP_SLOT = "SELECT pg_drop_replication_slot($1)"
GET_TIME = "SELECT clock_timestamp()"
# Transactional, so that it writes a commit with a time: recovery stops only at such a record.
BEAT = "SELECT pg_logical_emit_message(true, 'mercato', '')"
GET_END = "SELECT pg_current_wal_flush_lsn()::text"
GET_REACHED = """
SELECT wal_status = 'lost' AS is_lost, restart_lsn >= $2::text::pg_lsn AS is_reached FROM pg_replication_slots WHERE slot_name = $1
"""


class ArchiveLostError(EmbeddedError):
    """The database has dropped what the archive lacks."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A database, its pictures, and the directory of their backups."""

    postgres: Postgres
    target: Target
    pictures: PictureCopies | None
    log: Path


class Archive:
    """The archive of a running database. It never stops the shop: it reports failures on standard error and tries again."""

    def __init__(self, archived: Archived | None) -> None:
        """Without anything to archive it does nothing."""
        self._archived = archived
        self._reports = _Reports()
        self._task: asyncio.Task[object] | None = None
        self._begun = asyncio.Event()
        self._closing = False

    @property
    def target(self) -> Target | None:
        """The directory of backups; None if nothing is archived."""
        return self._archived.target if self._archived else None

    def require(self) -> None:
        """Make the directory of backups unless it is there; raises BackupError if it cannot be used."""
        if self._archived is not None:
            self._archived.target.prepare()

    async def start(self) -> None:
        """Begin to archive a database that runs; returns once the log arrives in the archive, or after the first failure."""
        if self._archived is not None:
            self._task = asyncio.create_task(self._all(self._archived))
            begun = asyncio.create_task(self._begun.wait())
            await asyncio.wait([self._task, begun], return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()

    async def keep(self) -> None:
        """Raise what a bug has raised. Cancelled, it leaves the stream running."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def stopping(self) -> None:
        """Expect that PostgreSQL stops: the stream goes on until it has sent the rest of its log."""
        self._closing = True

    async def close(self) -> None:
        """End the archive, after PostgreSQL has stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _all(self, archived: Archived) -> None:
        await asyncio.gather(self._stream_on(archived), self._copy_pictures(archived))

    async def _stream_on(self, archived: Archived) -> None:
        import asyncpg

        backoff = Backoff()
        while not self._closing:
            began = time.monotonic()
            try:
                await self._stream(archived)
            except ArchiveLostError:
                pass  # the next round reports the gap
            except (EmbeddedError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._fails(archived, (str(error).strip() or repr(error)).splitlines()[-1])
            await asyncio.sleep(backoff.after(time.monotonic() - began))

    async def _stream(self, archived: Archived) -> None:
        """Stream until something fails."""
        import asyncpg

        connection = await asyncpg.connect(archived.postgres.url())
        receiver: Process | None = None
        try:
            name = await self._adopt(connection, archived)
            await asyncio.to_thread(_remove_short, archived.target.archive(name))
            receiver = _receiver(archived, name)
            await receiver.start()
            await first(_ended(receiver), self._beat(connection, archived.target, name))
        finally:
            if receiver is not None:
                if self._closing:
                    await _wait_at_most(receiver)
                await receiver.stop()
            connection.terminate()

    async def _adopt(self, connection: "asyncpg.Connection", archived: Archived) -> str:
        """Return the archive that goes on; begins a new one where there is none, or the last one has a gap."""
        target, own = archived.target, None
        for slot in await connection.fetch(GET_SLOTS, SLOT_PREFIX):
            name = slot["name"].removeprefix(SLOT_PREFIX)
            if own is None and not slot["is_lost"] and target.archive(name).is_dir():
                own = name
                continue
            if slot["is_lost"] and target.archive(name).is_dir():
                complain(f"the archive in {target.directory} has a gap: it could not be reached for too long")
            await connection.execute(DROP_SLOT, slot["name"])
        if own is None:
            own = secrets.token_hex(8)
            target.archive(own).mkdir(mode=0o700)
            await connection.execute(CREATE_SLOT, SLOT_PREFIX + own)
        if not any(backup.archive == own for backup in target.list()):
            complain(f"nothing can be restored from the archive in {target.directory} before a backup: mercato backup {target.directory}")
        return own

    async def _beat(self, connection: "asyncpg.Connection", target: Target, name: str) -> None:
        """Record how far the archive reaches, again and again; raises ArchiveLostError."""
        arrived = time.monotonic()
        while True:
            through = await connection.fetchval(GET_TIME)
            await connection.execute(BEAT)
            end = await connection.fetchval(GET_END)
            if await _reached(connection, name, end):
                await asyncio.to_thread(_write_state, target.archive(name), through)
                self._reports.ends(f"the archive in {target.directory} is up to date again")
                arrived = time.monotonic()
            elif (lag_s := time.monotonic() - arrived) > BEHIND_S:
                self._reports.begins(f"the archive in {target.directory} is {lag_s:.0f} s behind")
            self._begun.set()
            await asyncio.sleep(BEAT_S)

    def _fails(self, archived: Archived, why: str) -> None:
        self._begun.set()
        if not self._closing:
            self._reports.begins(f"the archive in {archived.target.directory} does not go on, and the database keeps its log: {why}")

    async def _copy_pictures(self, archived: Archived) -> None:
        reports = _Reports()
        while archived.pictures is not None and not self._closing:
            try:
                await asyncio.to_thread(archived.pictures.add)
                reports.ends(f"pictures are copied to {archived.target.directory} again")
            except OSError as error:
                reports.begins(f"pictures cannot be copied to {archived.target.directory}: {error.strerror}")
            await asyncio.sleep(PICTURES_S)


class _Reports:
    """Says that something fails when it begins, and every ten minutes; and that it works again."""

    def __init__(self) -> None:
        self._said_at: float | None = None

    def begins(self, message: str) -> None:
        if self._said_at is None or time.monotonic() - self._said_at > REPEAT_S:
            self._said_at = time.monotonic()
            complain(message)

    def ends(self, message: str) -> None:
        if self._said_at is not None:
            self._said_at = None
            complain(message)


def for_shop(data_dir: Path, user: str | None, directory: Path | None, given: Mapping[str, str]) -> tuple[Postgres, Archive]:
    """Return the database of a shop and its archive, in `directory` or else MERCATO_BACKUP_DIR; raises ConfigError, BackupError."""
    settings = BackupSettings.from_environ(given)
    postgres = Postgres(data_dir, user=user, settings={"max_slot_wal_keep_size": f"{settings.wal_megabytes}MB"})
    place = directory or settings.directory
    if place is None:
        return postgres, Archive(None)
    target = Target(place)
    target.require_outside(data_dir)
    pictures = Launch.of_environ(given, data_dir).pictures
    copies = PictureCopies(Path(pictures), target.pictures) if pictures else None
    return postgres, Archive(Archived(postgres, target, copies, data_dir / "log" / "archive.log"))


async def archive_of(connection: "asyncpg.Connection", target: Target) -> str:
    """Return the name of the archive that a database streams to a directory of backups; empty if there is none."""
    names = [slot["name"].removeprefix(SLOT_PREFIX) for slot in await connection.fetch(GET_SLOTS, SLOT_PREFIX) if not slot["is_lost"]]
    return next((name for name in names if target.archive(name).is_dir()), "")


async def _reached(connection: "asyncpg.Connection", name: str, end: str) -> bool:
    """Tell whether a position arrives in the archive within an interval; raises ArchiveLostError."""
    until = time.monotonic() + BEAT_S
    while True:
        found = await connection.fetchrow(GET_REACHED, SLOT_PREFIX + name, end)
        if found is None or found["is_lost"]:
            raise ArchiveLostError(name)
        if found["is_reached"] or time.monotonic() > until:
            return bool(found["is_reached"])
        await asyncio.sleep(POLL_S)


def _remove_short(archive: Path) -> None:
    """Remove the segment that a full disk has cut short: pg_receivewal would refuse to go on, and gets it again from the database."""
    for path in archive.glob("*.partial"):
        if path.stat().st_size not in {0, SEGMENT_BYTES}:
            path.unlink()


def _write_state(archive: Path, through: datetime) -> None:
    write_durably(archive / STATE, json.dumps({"through": through.isoformat()}) + "\n")


def _receiver(archived: Archived, name: str) -> Process:
    """Return pg_receivewal. It runs as this process's user, so for root the account of the shop cannot touch the archive."""
    programs_dir, _ = binaries(None)
    return Process(
        Command(
            name="pg_receivewal",
            argv=[
                *(programs_dir / "pg_receivewal", "--dbname", archived.postgres.url(), "--directory", archived.target.archive(name)),
                *("--slot", SLOT_PREFIX + name, "--synchronous", "--no-loop", "--no-password"),
            ],
            environ=program_settings(),
            output=archived.log,
        )
    )


async def _wait_at_most(receiver: Process) -> None:
    """Wait until a server that stops has sent the rest; clients lose their connections before that."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(receiver.wait(), STOP_S)


async def _ended(receiver: Process) -> None:
    await receiver.wait()
    failure = str(receiver.failure()).splitlines()
    raise BackupError(cause(failure, failure[0]))
