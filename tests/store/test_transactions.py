"""Transactions whose connection breaks, whose caller leaves and whose time is up, and the change feed under late commits."""

import asyncio
import time
from functools import partial
from typing import Any

import asyncpg
import pytest

from mercato_server.database import transactions
from mercato_server.database.pool import Conn, Connection, Pool
from mercato_server.database.transactions import OutcomeUnknown, deadline, retry_conflicts, transaction
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.feed import listener as feed
from mercato_server.store import events
from mercato_server.store.events import Cursor, Event
from support.patience import Within, until

ADD = "INSERT INTO categories (name) VALUES ($1)"
NAMES = "SELECT array_agg(name ORDER BY name) FROM categories"


class Cut(ConnectionError):
    """The connection broke."""


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """When the connection breaks at each of the next COMMITs: `before` the server has it, or `after`, when only its answer is lost."""
    execute = Connection.execute
    plan: list[str] = []

    async def cut(self: Connection, statement: str, *args: Any, **kwargs: Any) -> str:
        if statement != "COMMIT" or not plan:
            return await execute(self, statement, *args, **kwargs)
        if plan.pop(0) == "after":
            await execute(self, statement)
        raise Cut

    monkeypatch.setattr(Connection, "execute", cut)
    return plan


@retry_conflicts
async def add(pool: "Pool") -> None:
    async with transaction(pool) as conn:
        await conn.execute(ADD, "ball")


async def test_a_transaction_that_committed_although_the_answer_was_lost_is_a_success(pool: "Pool", cuts: list[str]) -> None:
    cuts.append("after")
    await add(pool)
    assert await pool.fetchval(NAMES) == ["ball"]


async def test_what_did_not_commit_when_the_connection_broke_is_run_again_and_happens_once(pool: "Pool", cuts: list[str]) -> None:
    cuts += ["before", "before", "after"]
    await add(pool)
    assert cuts == []
    assert await pool.fetchval(NAMES) == ["ball"]


async def test_what_never_commits_is_unavailable_in_the_end(pool: "Pool", cuts: list[str]) -> None:
    cuts += ["before"] * transactions.TRIES
    with pytest.raises(DatabaseUnavailable):
        await add(pool)
    assert cuts == []
    assert await pool.fetchval(NAMES) is None


async def test_an_outcome_that_nobody_can_tell_is_unknown_and_not_run_again(
    pool: "Pool", cuts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "GET_OUTCOME", "SELECT 'in progress' || left(concat($1::text, $2::timestamptz), 0)")
    monkeypatch.setattr(transactions, "RESOLVE_S", 0.2)
    cuts += ["after", "after"]
    with pytest.raises(OutcomeUnknown):
        await add(pool)
    assert cuts == ["after"]


async def test_a_deadlock_victim_is_run_again(pool: "Pool") -> None:
    await pool.execute("INSERT INTO categories (name) VALUES ('a'), ('b')")
    meeting = asyncio.Barrier(2)
    runs = 0

    @retry_conflicts
    async def rename(first: str, second: str) -> None:
        nonlocal runs
        runs += 1
        async with transaction(pool) as conn:
            await conn.execute("UPDATE categories SET created_at = now() WHERE name = $1", first)
            if runs <= 2:
                await meeting.wait()
            await conn.execute("UPDATE categories SET created_at = now() WHERE name = $1", second)

    await asyncio.gather(rename("a", "b"), rename("b", "a"))
    assert runs == 3


async def test_a_caller_who_leaves_during_the_block_leaves_nothing(pool: "Pool") -> None:
    async def add_slowly() -> None:
        async with transaction(pool) as conn:
            await conn.execute(ADD, "half")
            await conn.execute("SELECT pg_sleep(30)")

    task = asyncio.ensure_future(add_slowly())
    await until(partial(pool.fetchval, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(partial(pool.fetchval, "SELECT count(*) = 0 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"))
    assert await pool.fetchval(NAMES) is None


async def test_a_commit_that_was_sent_happens_although_its_caller_leaves(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    committing = asyncio.Event()
    monkeypatch.setattr("mercato_server.failpoints.hit", lambda place: committing.set() if place == "before commit" else None)
    task = asyncio.ensure_future(add(pool))
    await committing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(partial(pool.fetchval, NAMES))
    await until(lambda: pool.get_idle_size() == pool.get_size())
    assert await pool.fetchval(NAMES) == ["ball"]


@pytest.mark.parametrize("patience", [1.0, 0.25])
async def test_a_lock_is_given_up_before_the_callers_time_is_up(pool: "Pool", database: str, patience: float, within: Within) -> None:
    time_s = within(0.2)
    most_s = time_s * (1 - transactions.RESERVE) * patience
    await pool.execute(ADD, "locked")
    blocker = await asyncpg.connect(database)
    await blocker.execute("BEGIN")
    await blocker.execute("SELECT FROM categories FOR UPDATE")
    began = time.monotonic()
    deadline.set(asyncio.get_running_loop().time() + time_s)
    with pytest.raises(asyncpg.LockNotAvailableError):
        async with transaction(pool, patience=patience) as conn:
            await conn.execute("UPDATE categories SET name = 'x'")
    assert most_s / 2 < time.monotonic() - began < most_s + within(0.05)
    await blocker.close()


async def append(conn: "Conn", kind: str) -> None:
    subject = await conn.fetchval("SELECT uuidv7()")
    await events.append(conn, [Event(kind, subject, {"n": 1})])


async def kinds(pool: "Pool", after: Cursor) -> list[str]:
    return [event.kind async for _, event in feed.read(pool, after, follow=False)]


async def test_a_reader_of_the_feed_misses_no_event_that_commits_late(pool: "Pool", database: str) -> None:
    late = await asyncpg.connect(database)
    await late.execute("BEGIN")
    await append(late, "late")
    async with transaction(pool) as conn:
        await append(conn, "quick")
    start = await events.end(pool)
    assert await kinds(pool, Cursor()) == []  # "quick" waits behind the line: "late" has the lower id
    await late.execute("COMMIT")
    assert await kinds(pool, Cursor()) == ["late", "quick"]
    assert await kinds(pool, start) == ["late", "quick"]
    assert await kinds(pool, await events.end(pool)) == []
    await late.close()


async def test_the_feed_is_in_the_order_of_numbers_not_of_digits(pool: "Pool") -> None:
    await pool.execute(
        "INSERT INTO events (xid, kind, subject_id) SELECT n::text::xid8, n::text, uuidv7() FROM unnest(ARRAY[9, 10, 99, 100]) AS n"
    )
    assert await kinds(pool, Cursor()) == ["9", "10", "99", "100"]
    assert (await kinds(pool, Cursor(10, 0)))[:2] == ["10", "99"]


async def test_a_reader_of_the_feed_sees_each_event_once_while_many_write(pool: "Pool") -> None:
    async def write(number: int) -> None:
        async with transaction(pool) as conn:
            await append(conn, f"e{number}")
            await asyncio.sleep(0.001 * (number % 7))
            if number % 5 == 0:
                await append(conn, f"e{number}+")

    writers = asyncio.gather(*(write(number) for number in range(200)))
    seen: list[str] = []
    cursor = Cursor()

    async def all_are_seen() -> bool:
        nonlocal cursor
        for at, event in await events.read(pool, cursor, 50):
            assert at > cursor
            cursor = at
            seen.append(event.kind)
        return len(seen) >= 240

    await until(all_are_seen)
    await writers
    assert sorted(seen) == sorted([f"e{number}" for number in range(200)] + [f"e{number}+" for number in range(0, 200, 5)])
    assert await events.read(pool, cursor, 50) == []
