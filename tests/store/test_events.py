"""Snapshots agree with PostgreSQL's visibility rules, and the feed returns the events that became visible since a snapshot."""

from uuid import uuid4

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain.events import EventKind
from mercato_server.domain.orders import STORED
from mercato_server.store import events
from mercato_server.store.events import Cursor, Event, News, Snapshot

GET_VISIBLE = "SELECT pg_visible_in_snapshot($2::text::xid8, $1::text::pg_snapshot)"


async def begin(database: str) -> tuple["asyncpg.Connection[asyncpg.Record]", int]:
    """Open a transaction on a new connection; return the connection and the transaction's id."""
    connection = await asyncpg.connect(database)
    await connection.execute("BEGIN")
    return connection, int(await connection.fetchval("SELECT pg_current_xact_id()::text"))


async def test_a_snapshot_shows_the_transactions_that_postgresql_says_it_shows(pool: "Pool", database: str) -> None:
    opened = [await begin(database) for _ in range(6)]
    for connection, _ in opened[1::2]:
        await connection.execute("COMMIT")
    text, _ = await events.seen(pool)
    snapshot = Snapshot.parse(text)
    xids = range(opened[0][1] - 3, opened[-1][1] + 4)
    shown = [await pool.fetchval(GET_VISIBLE, text, str(xid)) for xid in xids]
    assert [snapshot.shows(xid) for xid in xids] == shown
    assert [snapshot.shows(xid) for _, xid in opened] == [False, True] * 3
    for connection, _ in opened:
        await connection.close()


async def test_news_names_the_transaction_that_a_later_snapshot_shows(pool: "Pool") -> None:
    before = await events.seen(pool)
    subject = uuid4()
    async with pool.acquire() as conn, conn.transaction():
        await events.append(conn, [Event(EventKind.PRODUCT_CREATED, subject), Event(EventKind.STOCK_CHANGED, subject)])
        xid = int(await conn.fetchval("SELECT pg_current_xact_id()::text"))
    after, news = await events.news(pool, before, ["stock.changed"], 10)
    assert news == [News("stock.changed", str(subject), xid)]
    assert (Snapshot.parse(before.snapshot).shows(xid), Snapshot.parse(after.snapshot).shows(xid)) == (False, True)
    assert (await events.news(pool, after, ["stock.changed"], 10))[1] == []


def test_each_state_of_an_order_has_its_kind_of_event() -> None:
    assert {kind for kind in EventKind if kind.startswith("order.")} == {f"order.{status}" for status in STORED}


async def test_a_kind_of_a_later_release_is_read_as_it_is(pool: "Pool") -> None:
    await pool.execute("INSERT INTO events (kind, subject_id) VALUES ('rocket.launched', uuidv7())")
    assert [entry.kind for entry in await events.read(pool, Cursor(), 10)] == ["rocket.launched"]
