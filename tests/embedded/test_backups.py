"""A shop that was destroyed is restored from its backups to the second, by an ordinary user and by root."""

import asyncio
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from embedded.conftest import Run
from embedded.test_postgres import ask, found
from embedded.test_up import QUIET, Supervisor, healthy, stop, until_ready
from embedded.watch import children, gone, name
from faults.buyers import Tally, market, stock_up
from faults.processes import SECRET
from mercato_server.backups.restoring import Wanted, choose, restore
from mercato_server.backups.taking import Source, take
from mercato_server.backups.wal import Reach, reaches, stamp
from mercato_server.cli.verify import check
from mercato_server.config.backup_settings import BackupSettings
from mercato_server.config.environment import ConfigError
from mercato_server.config.picture_settings import PictureSettings
from mercato_server.embedded import accounts, archive
from mercato_server.embedded.backup_target import MANIFEST, Backup, BackupError, Target
from mercato_server.embedded.database import database
from mercato_server.embedded.launches import FILE, Launch
from mercato_server.embedded.picture_copies import PictureCopies
from mercato_server.embedded.postgres import Postgres, binaries
from mercato_server.embedded.processes import EmbeddedError
from ports import free_ports
from support.clusters import cluster_directory
from support.disks import MEGABYTE, fill, small_disk
from support.patience import patient, until, until_sync
from support.runbooks import of, replaced, sh
from support.scrape import scrape

PEPPER, OTHER_PEPPER = (hashlib.sha256(text).hexdigest() for text in (b"a pepper", b"another"))
SHOP = QUIET | {"SECRET_KEY": SECRET, "ALGORITHM": "HS256", "MERCATO_PASSWORD_PEPPER": PEPPER}
BUYERS = 6
DOCS = Path(__file__).parents[2] / "docs/backup.md"

GET_ORDERS = "SELECT idempotency_key AS key, created_at FROM orders WHERE idempotency_key IS NOT NULL"
DISK_MB = 192
"""Room for a backup of an empty database, and some segments of the log."""


class Instant(NamedTuple):
    """A moment on both clocks, and the number of purchases that had begun."""

    at: datetime
    monotonic: float
    begun: int

    @classmethod
    def now(cls, tally: Tally) -> "Instant":
        return cls(datetime.now(UTC), time.monotonic(), len(tally.purchases))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory in memory: these tests copy databases."""
    with cluster_directory() as directory:
        yield directory


def command(run: Run, *arguments: object, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command of `mercato`; return its exit code, output and errors."""
    process = run("-m", "mercato_server", *arguments, environ=environ)
    output, errors = process.communicate(timeout=patient())
    return process.returncode, output, errors


def succeed(run: Run, *arguments: object, environ: dict[str, str] | None = None) -> str:
    code, output, errors = command(run, *arguments, environ=environ)
    assert (code, errors) == (0, "")
    return output


def told_of_backups(metrics_port: int) -> tuple[float, float]:
    """Return the metrics of the last backup, and of the last moment to which it can be restored."""
    found = scrape(metrics_port)
    return found["mercato_backup_completed_timestamp_seconds"], found["mercato_backup_restorable_timestamp_seconds"]


def destroy(supervisor: Supervisor, shop: Path) -> None:
    """Kill all processes of a shop, and delete its data."""
    family = children(supervisor.pid)
    for pid in (supervisor.pid, *family):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    supervisor.wait()
    until_sync(lambda: all(map(gone, family)))
    shutil.rmtree(shop)


async def inspected(data_dir: Path) -> dict[str, datetime]:
    """Check all invariants, and the files of all pictures; return the keys of all orders and their times."""
    pictures = PictureSettings(directory=data_dir / "pictures")
    async with database(data_dir) as url:
        assert [finding for finding in await check(url, deep=True, pictures=pictures) if finding.violations] == []
        connection = await asyncpg.connect(url)
        try:
            return {row["key"]: row["created_at"] for row in await connection.fetch(GET_ORDERS)}
        finally:
            await connection.close()


def acknowledged(tally: Tally, before: float) -> set[str]:
    return {each.key or "" for each in tally.acknowledged if each.acknowledged_at is not None and each.acknowledged_at < before}


async def archived(target: Target, moment: datetime) -> None:
    """Wait until the archive holds all that was committed before a moment."""
    await until(lambda: reaches(target)[-1].through > moment, "the archive reaches that far")


async def test_a_destroyed_shop_is_restored_to_a_second_and_to_its_last_order(data_dir: Path, port: int, run: Run) -> None:
    shop, target, metrics_port = data_dir / "shop", Target(data_dir / "backups"), free_ports(1)
    options = ["--port", port, "--workers", 1, "--no-demo", "--metrics-port", metrics_port]
    supervisor = run("-m", "mercato_server", "up", "--data-dir", shop, "--backup-dir", target.directory, *options, environ=SHOP)
    until_ready(supervisor, port)
    assert await asyncio.to_thread(told_of_backups, metrics_port) == (0, 0)
    goods = await stock_up(Postgres(shop).url(), buyers=BUYERS)
    async with market(goods, f"127.0.0.1:{port}") as buyers:
        async with buyers.crowd():
            await buyers.trade()
            said = await asyncio.to_thread(succeed, run, "backup", "--data-dir", shop, target.directory)
            assert said.splitlines()[-1].endswith(" and later")
            await buyers.trade()
            second = Instant.now(buyers.tally)
            await buyers.trade()
        last = await buyers.buy(goods.buyers[0])  # the shop is quiet from here on
        await archived(target, datetime.now(UTC))
    backup, restorable = await asyncio.to_thread(told_of_backups, metrics_port)
    assert backup == target.list()[-1].ended_at.timestamp() < restorable <= reaches(target)[-1].through.timestamp()
    named = {"OLD": str(shop), "NEW": str(data_dir / "new"), "TARGET": str(target.directory), "erased.txt": str(data_dir / "erased.txt")}
    found, restoring, starting, backing_up = (
        of("Restore", "sh", words).code for words in ("--list", " restore ", " up ", " backup --data")
    )
    assert str(target.list()[-1].id) in await sh(_filled(found, named), "", (0,), **SHOP)
    destroy(supervisor, shop)
    await _restored_to(second, target, buyers.tally, data_dir / "then")
    output = await sh(_filled(restoring, named | {"2026-11-30T12:00:00Z": "latest"}), "", (0,), **SHOP)
    assert f"restored the shop into {data_dir / 'new'}; its last transaction is of {datetime.now(UTC):%Y-%m-%d}T" in output
    orders = await inspected(data_dir / "new")
    assert last.key in acknowledged(buyers.tally, time.monotonic()) == orders.keys()
    again = run("-m", "mercato_server", *shlex.split(_filled(starting, named))[1:], *options, environ=SHOP)
    until_ready(again, port)
    assert healthy(port)
    assert " and later" in await sh(_filled(backing_up, named), "", (0,), **SHOP)
    stop(again)


def _filled(code: str, named: dict[str, str]) -> str:
    """Return commands of the runbooks with the values of the test."""
    return replaced(code, **{name: value for name, value in named.items() if name in code})


async def _restored_to(second: Instant, target: Target, tally: Tally, data_dir: Path) -> None:
    await restore(Wanted(target=target, data_dir=data_dir, moment=second.at, environ=SHOP), mute)
    orders = await inspected(data_dir)
    assert acknowledged(tally, second.monotonic) <= orders.keys()
    assert max(orders.values()) <= second.at
    assert not orders.keys() & {each.key for each in tally.purchases[second.begun :]}


class Kept(NamedTuple):
    """A database that does not run, and the directory of its backups."""

    data_dir: Path
    target: Target

    async def back_up(self, **options: Any) -> Backup:
        launch = Launch.read(self.data_dir, {})
        return await take(Source(self.data_dir, launch), self.target, keep=options.get("keep"), tell=lambda _: None)

    def wanted(self, place: str = "restored", **options: Any) -> Wanted:
        return Wanted(target=self.target, data_dir=self.data_dir.with_name(place), **({"environ": {}} | options))


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A database with a table, which does not run."""

    async def make(directory: Path) -> None:
        server = Postgres(directory, durable=False)
        try:
            await server.start()
            await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        finally:
            await server.stop()

    with cluster_directory() as directory:
        asyncio.run(make(directory / "shop"))
        yield directory / "shop"


@pytest.fixture
def kept(data_dir: Path, template: Path) -> Kept:
    """A database with a table, without a backup."""
    shop = data_dir / "shop"
    shop.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
    shutil.copytree(template / "postgres", shop / "postgres")
    accounts.give_tree(shop / "postgres", accounts.choose(template / "postgres", None))
    (shop / "secret_key").write_text(f"{SECRET}\n")
    return Kept(shop, Target(data_dir / "backups"))


async def answer(data_dir: Path, statement: str = "SELECT answer FROM kept") -> object:
    async with database(data_dir) as url:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


def mute(_: str) -> None:
    """Drop a line of progress."""


async def test_backups_are_private_and_whole_or_not_there(kept: Kept, run: Run) -> None:
    backup = await kept.back_up()
    for path in (kept.target.directory, *kept.target.directory.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.stat().st_uid == os.geteuid()
    assert SECRET not in (kept.target.backups / backup.id / MANIFEST).read_text()
    (kept.target.backups / backup.id / MANIFEST).rename(kept.target.directory / MANIFEST)
    process = run("-m", "mercato_server", "backup", "--data-dir", kept.data_dir, kept.target.directory)
    until_sync(lambda: found(kept.target.backups, ".unfinished-*/base/PG_VERSION"))
    family = children(process.pid)
    process.kill()
    process.wait()
    with pytest.raises(BackupError, match="there is no backup"):
        await restore(kept.wanted(), mute)
    until_sync(lambda: all(map(gone, family)))
    second = await kept.back_up()
    assert [each.id for each in kept.target.list()] == [second.id]
    assert not found(kept.target.backups, ".unfinished-*")
    await restore(kept.wanted(), mute)
    assert await answer(kept.wanted().data_dir) == 42


async def test_a_killed_restore_is_refused_by_the_shop_and_done_again(kept: Kept, run: Run) -> None:
    await kept.back_up()
    restored = kept.wanted().data_dir
    process = run("-m", "mercato_server", "restore", "--data-dir", restored, kept.target.directory)
    until_sync(lambda: found(restored, "restoring/postgres/PG_VERSION"))
    process.kill()
    process.wait()
    with pytest.raises(EmbeddedError, match="was not completed; run `mercato restore` again"):
        await Postgres(restored).start()
    await restore(kept.wanted(), mute)
    assert await answer(restored) == 42
    assert (restored / "secret_key").read_text() == f"{SECRET}\n"
    assert (restored / "secret_key").stat().st_mode & 0o777 == 0o600


async def test_a_restore_is_refused_in_one_line_that_says_why(kept: Kept) -> None:
    environ = {"MERCATO_PASSWORD_PEPPER": PEPPER}
    Launch.of_environ(environ, kept.data_dir).write(kept.data_dir)
    assert PEPPER not in (kept.data_dir / FILE).read_text()
    backup = await kept.back_up()
    early, late = backup.ended_at - timedelta(seconds=1), backup.ended_at + timedelta(seconds=1)
    span = rf"in the range of a backup: {backup.id}: {stamp(backup.ended_at)} only$"
    refusals: list[tuple[Wanted, str]] = [
        (kept.wanted(environ=environ, moment=early), span),
        (kept.wanted(environ=environ, moment=late), span),
        (kept.wanted(environ=environ, backup_id="20200101T000000Z"), rf"no backup 20200101T000000Z; there are: {backup.id}"),
        (kept.wanted(), "with another MERCATO_PASSWORD_PEPPER, and it is not set"),
        (kept.wanted(environ={"MERCATO_PASSWORD_PEPPER": OTHER_PEPPER}), "with another MERCATO_PASSWORD_PEPPER, and another one is set"),
        (kept.wanted(environ=environ | {"SECRET_KEY": OTHER_PEPPER}), "with another SECRET_KEY"),
        (kept.wanted("shop", environ=environ), "is not empty; name another directory"),
    ]
    for wanted, why in refusals:
        with pytest.raises(BackupError, match=why) as refused:
            await restore(wanted, mute)
        assert "\n" not in str(refused.value)
        assert PEPPER not in str(refused.value)
    with pytest.raises(ConfigError, match="MERCATO_STRIPE_SECRET_KEY"):  # not after the replay of the log
        await restore(kept.wanted(environ=environ | {"MERCATO_STRIPE_SECRET_KEY": "nonsense"}), mute)
    assert not kept.wanted().data_dir.exists()
    assert await answer(kept.data_dir) == 42
    server = Postgres(kept.data_dir)
    async with _claimed(server):
        with pytest.raises(EmbeddedError, match=f"in use by process {os.getpid()}"):
            await restore(kept.wanted("shop", environ=environ, move_aside=True), mute)
    await restore(kept.wanted("shop", environ=environ, move_aside=True), mute)
    assert len([path for path in kept.data_dir.parent.iterdir() if path.name.startswith("shop.")]) == 1
    assert await answer(kept.data_dir) == 42


@asynccontextmanager
async def _claimed(server: Postgres) -> AsyncIterator[None]:
    server.claim()
    try:
        yield
    finally:
        await server.stop()


async def test_a_backup_is_refused_in_one_line_that_says_why(kept: Kept) -> None:
    with pytest.raises(BackupError, match="is in the data directory"):
        await kept._replace(target=Target(kept.data_dir / "backups")).back_up()
    kept.target.prepare()
    with kept.target.locked(shared=True), pytest.raises(BackupError, match="is running"):
        await kept.back_up()
    kept.target.directory.chmod(0o755)
    with pytest.raises(BackupError, match="other users may use"):
        await kept.back_up()
    kept.target.directory.chmod(0o700)
    backup = await kept.back_up()
    path = kept.target.backups / backup.id / MANIFEST
    path.write_text(replace(backup, system_identifier="1").to_json())
    with pytest.raises(BackupError, match="holds backups of another shop"):
        await kept.back_up()
    path.write_text("{}")
    with pytest.raises(BackupError, match=r"manifest\.json is damaged"):
        await kept.back_up()


async def test_a_backup_whose_archive_has_not_gone_on_is_restored_to_its_own_time(kept: Kept) -> None:
    backup = await kept.back_up()
    stale = Reach(backup, backup.ended_at, (kept.target.wal / "000000010000000000000002.partial",))
    assert choose([stale], backup.ended_at, None).segments == ()  # PostgreSQL would look there for a commit after that time
    assert choose([stale], None, None) == stale


async def test_a_file_of_settings_may_name_the_files_of_secrets(kept: Kept, run: Run) -> None:
    Launch.of_environ({"MERCATO_PASSWORD_PEPPER": PEPPER}, kept.data_dir).write(kept.data_dir)
    await kept.back_up()
    (pepper := kept.data_dir / "pepper").write_text(PEPPER)
    (settings := kept.data_dir / "settings").write_text(f"MERCATO_PASSWORD_PEPPER_FILE={pepper}\n")
    options = ["--data-dir", kept.wanted().data_dir, "--env-file", settings]
    assert "restored the shop into" in succeed(run, "restore", *options, kept.target.directory)


async def test_a_copy_that_was_damaged_is_not_restored(kept: Kept) -> None:
    backup = await kept.back_up()
    path = kept.target.base(backup.id) / "global/pg_control"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackupError, match="pg_control"):
        await restore(kept.wanted(), mute)


def test_a_backup_and_the_archive_may_copy_one_picture_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (picture := tmp_path / "pictures/renditions/ab/abcd.webp").parent.mkdir(parents=True)
    picture.write_bytes(b"pixels")
    places = (tmp_path / "pictures", tmp_path / "copies")
    script = f"from mercato_server.embedded.picture_copies import *; PictureCopies(*map(Path, {[*map(str, places)]})).add()"
    copy = shutil.copyfileobj

    def while_another_copies(source: Any, target: Any) -> None:
        subprocess.run([sys.executable, "-c", script], check=True, timeout=patient())
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfileobj", while_another_copies)
    assert PictureCopies(*places).add() == 1
    assert [path.read_bytes() for path in (tmp_path / "copies").rglob("*.*")] == [b"pixels"]


@pytest.mark.parametrize("megabytes", ["15", "1e3", ""])
def test_a_bound_of_the_kept_log_that_makes_no_sense_is_named(megabytes: str) -> None:
    with pytest.raises(ConfigError, match=r"^MERCATO_BACKUP_WAL_MEGABYTES is .*; it must be a number from 16 to 1000000$"):
        BackupSettings.from_environ({"MERCATO_BACKUP_WAL_MEGABYTES": megabytes})


class Manual:
    """A PostgreSQL server, and the commands of docs/backup.md for one that Mercato does not run."""

    def __init__(self, kept: Kept, server: Postgres) -> None:
        programs_dir, _ = binaries(None)
        self.backups, self.cluster = kept.data_dir.with_name("manual"), kept.data_dir.with_name("own") / "postgres"
        self.cluster.parent.mkdir()
        self.environ = os.environ | {
            "PATH": f"{programs_dir}:{os.environ['PATH']}",
            "DB": f"host={server.run_dir} port=5432 user=mercato dbname=mercato",
            "BACKUPS": str(self.backups),
            "PGDATA": str(self.cluster),
        }

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        _, _, rest = DOCS.read_text().partition(f"<!-- commands: {name} -->\n```sh\n")
        commands, _, _ = rest.partition("```")
        assert commands
        return subprocess.Popen(["bash", "-euc", commands], env=self.environ)  # noqa: S607 - of the PATH that a reader has

    def do(self, name: str, **environ: str) -> None:
        self.environ |= environ
        with self.start(name) as process:
            assert process.wait(patient()) == 0


async def test_the_commands_for_a_postgresql_of_ones_own_restore_it_to_a_moment(kept: Kept) -> None:
    server = Postgres(kept.data_dir, durable=False)
    try:
        await server.start()
        manual = Manual(kept, server)
        manual.do("slot")
        old, segment = manual.backups / "2026-01-01T020000", manual.backups / "wal" / ("0" * 24)
        old.mkdir()
        segment.touch()
        for path in (old, segment):
            os.utime(path, (time.time() - 18 * 24 * 3600,) * 2)
        with manual.start("archive") as archiving:
            try:
                manual.do("backup")
                await ask(server, "INSERT INTO kept VALUES (43)")
                moment = await ask(server, "SELECT clock_timestamp()")
                end = await ask(
                    server, "INSERT INTO kept VALUES (44)", "SELECT pg_current_wal_insert_lsn()::text"
                )  # its commit does not flush
                arrived = f"SELECT restart_lsn >= '{end}'::pg_lsn FROM pg_replication_slots"  # noqa: S608 - a position
                await until(lambda: ask(server, arrived))
            finally:
                archiving.terminate()
    finally:
        await server.stop()
    [made] = manual.backups.glob("2*")
    assert not segment.exists()
    manual.do("restore", TIME=str(moment), FROM=str(made))
    account = accounts.choose(kept.data_dir / "postgres", None)
    for path in (manual.backups, manual.cluster):
        accounts.give_tree(path, account)
    own = Postgres(manual.cluster.parent, durable=False)
    try:
        await own.start()
        await until(lambda: ask(own, "SELECT NOT pg_is_in_recovery()"))
        assert await ask(own, "SELECT array_agg(answer ORDER BY answer) FROM kept") == [42, 43]
    finally:
        await own.stop()


class Streaming:
    """A database with an archive, without a shop."""

    def __init__(self, kept: Kept, environ: dict[str, str]) -> None:
        self.kept = kept
        given = {"MERCATO_BACKUP_DIR": str(kept.target.directory), **environ}
        self.server, self._archive = archive.for_shop(kept.data_dir, None, None, given)

    async def start(self) -> None:
        self._archive.require()
        await self.server.start()
        await self._archive.start()

    async def stop(self) -> None:
        self._archive.stopping()
        await self.server.stop()
        await self._archive.close()

    async def caught_up(self) -> None:
        """Wait until all that is committed is in the archive of the last backup."""
        await archived(self.kept.target, datetime.now(UTC))

    async def write_wal(self, megabytes: int) -> None:
        for _ in range(megabytes // 16 + 1):
            await ask(self.server, "SELECT pg_logical_emit_message(false, 'test', 'x')", "SELECT pg_switch_wal()::text")
        await ask(self.server, "CHECKPOINT")


Stream = Callable[..., Coroutine[Any, Any, Streaming]]


@pytest.fixture
async def stream(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stream]:
    """Start the server of `kept` with an archive, whose beats are quick."""
    started: list[Streaming] = []
    monkeypatch.setattr(archive, "BEAT_S", 0.2)
    monkeypatch.setattr(archive, "PICTURES_S", 0.2)

    async def start(**environ: str) -> Streaming:
        streaming = Streaming(kept, environ)
        started.append(streaming)
        await streaming.start()
        return streaming

    yield start
    for streaming in started:
        await streaming.stop()


async def test_all_that_was_committed_before_a_stop_is_in_the_archive(
    kept: Kept, stream: Stream, capfd: pytest.CaptureFixture[str]
) -> None:
    streaming = await stream()
    (picture := kept.data_dir / "pictures/renditions/ab/abcd.webp").parent.mkdir(parents=True)
    await kept.back_up()
    await ask(streaming.server, "INSERT INTO kept VALUES (43)")
    picture.write_bytes(b"later")
    await until(lambda: found(kept.target.pictures, "renditions/ab/abcd.webp"))
    await streaming.stop()
    assert "before a backup: mercato backup" in capfd.readouterr().err
    again = await stream()
    await ask(again.server, "INSERT INTO kept VALUES (44)")
    await again.stop()
    await restore(kept.wanted(), mute)
    assert await answer(kept.wanted().data_dir, "SELECT array_agg(answer ORDER BY answer) FROM kept") == [42, 43, 44]
    assert (kept.wanted().data_dir / "pictures/renditions/ab/abcd.webp").read_bytes() == b"later"
    assert capfd.readouterr().err == ""  # the archive went on where it was


async def test_an_archive_with_a_gap_is_reported_and_begun_anew(kept: Kept, stream: Stream, capfd: pytest.CaptureFixture[str]) -> None:
    streaming = await stream(MERCATO_BACKUP_WAL_MEGABYTES="16")
    first = await kept.back_up()
    await streaming.caught_up()
    place = kept.target.archive(first.archive)
    place.rename(place.with_name("away"))  # unreachable
    os.kill(_receiver(), signal.SIGKILL)
    reported = ""

    async def is_lost() -> bool:
        await streaming.write_wal(64)
        return bool(await ask(streaming.server, "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'"))

    await until(is_lost)
    place.with_name("away").rename(place)

    def gap() -> bool:
        nonlocal reported
        reported += capfd.readouterr().err
        return "has a gap" in reported

    await until(gap)
    assert "does not go on, and the database keeps its log: " in reported
    await ask(streaming.server, "INSERT INTO kept VALUES (43)")
    second = await kept.back_up(keep=1)
    assert second.archive != first.archive
    await ask(streaming.server, "INSERT INTO kept VALUES (44)")
    await streaming.caught_up()
    assert not place.exists()  # no backup needs it
    await streaming.stop()
    await restore(kept.wanted(), mute)
    assert await answer(kept.wanted().data_dir, "SELECT array_agg(answer ORDER BY answer) FROM kept") == [42, 43, 44]


def _receiver() -> int:
    [pid] = [pid for pid in children(os.getpid()) if name(pid) == "pg_receivewal"]
    return pid


async def test_only_the_newest_backups_are_kept_with_their_log(kept: Kept, stream: Stream) -> None:
    streaming = await stream()
    first = await kept.back_up()
    await streaming.write_wal(16)
    second, third = await kept.back_up(), await kept.back_up(keep=2)
    assert [each.id for each in kept.target.list()] == [second.id, third.id]
    assert first.archive == third.archive
    segments = sorted(path.name for path in kept.target.archive(third.archive).glob("0*"))
    begin = second.start_lsn.replace("/", "").zfill(8)
    assert segments[0].removesuffix(".partial")[-8:] == f"{int(begin, 16) // (16 * MEGABYTE):08X}"
    await streaming.caught_up()
    assert all(reach.through > reach.backup.ended_at for reach in reaches(kept.target))


@pytest.fixture
def disk(data_dir: Path) -> Iterator[Path]:
    """A file system of its own for the backups."""
    with small_disk(data_dir, megabytes=DISK_MB) as place:
        place.chmod(0o700)
        yield place


async def test_a_full_disk_ends_a_backup_in_one_line_and_leaves_the_archive_behind(
    kept: Kept, disk: Path, stream: Stream, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = kept._replace(target=Target(disk))
    stray = kept.data_dir / "postgres/stray"  # pg_basebackup copies it too
    stray.touch()
    os.truncate(stray, 2 * DISK_MB * MEGABYTE)
    with pytest.raises(BackupError, match="No space left on device") as refused:
        await kept.back_up()
    assert "\n" not in str(refused.value)
    assert not found(kept.target.backups, "*")
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - 16 * MEGABYTE)
    with pytest.raises(BackupError, match=r"has \d+ MB left, and a backup needs \d+ MB"):
        await kept.back_up()
    ballast.unlink()
    stray.unlink()
    streaming = await stream(MERCATO_BACKUP_DIR=str(disk))
    await kept.back_up()
    ballast, reported = fill(disk), ""

    def reports(what: str) -> bool:
        nonlocal reported
        reported += capfd.readouterr().err
        return what in reported

    await streaming.write_wal(0)
    await until(lambda: reports("No space left on device"))
    assert await ask(streaming.server, "INSERT INTO kept VALUES (43) RETURNING answer") == 43
    ballast.unlink()
    await until(lambda: reports("is up to date again"))
