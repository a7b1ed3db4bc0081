"""Transactions with broken connections, cancelled callers and deadlines; their listeners; and the change feed."""

import asyncio
import contextlib
import time
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from mercato_server.database import transactions
from mercato_server.database.pool import Changes, Conn, Connection, Pool, refusal
from mercato_server.database.transactions import OutcomeUnknown, deadline, note, retry_conflicts, transaction
from mercato_server.domain.errors import DatabaseUnavailable, DeadlineExceeded
from mercato_server.domain.events import EventKind
from mercato_server.feed import listener as feed
from mercato_server.store import events
from mercato_server.store.events import Cursor, Event
from support.patience import Within, until

ADD = "INSERT INTO categories (name) VALUES ($1)"
NAMES = "SELECT array_agg(name ORDER BY name) FROM categories"
LOCK_TIMEOUT = "SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'lock_timeout'"


class Cut(ConnectionError):
    """The connection broke."""


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that makes the next COMMITs fail: `before` the server gets it, or `after`, when only the answer is lost."""
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


@pytest.fixture
def told(pool: "Pool") -> list[Changes]:
    """The changes that a listener of the pool gets, one entry per call."""
    told: list[Changes] = []
    pool.on_commit(told.append)
    return told


@pytest.fixture
def no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the outcome of a transaction impossible to find out."""
    monkeypatch.setattr(transactions, "GET_OUTCOME", "SELECT 'in progress' || left(concat($1::text, $2::text), 0)")
    monkeypatch.setattr(transactions, "RESOLVE_S", 0.2)


BALL = uuid4()


@retry_conflicts
async def add(pool: "Pool") -> None:
    async with transaction(pool) as conn:
        note(conn, "category.created", [BALL])
        await conn.execute(ADD, "ball")


async def test_a_transaction_that_committed_although_the_answer_was_lost_is_a_success(pool: "Pool", cuts: list[str]) -> None:
    cuts.append("after")
    await add(pool)
    assert await pool.fetchval(NAMES) == ["ball"]


async def test_a_transaction_that_did_not_commit_when_the_connection_broke_is_run_again_and_happens_once(
    pool: "Pool", cuts: list[str]
) -> None:
    cuts += ["before", "before", "after"]
    await add(pool)
    assert cuts == []
    assert await pool.fetchval(NAMES) == ["ball"]


async def test_a_transaction_that_never_commits_is_unavailable_in_the_end(pool: "Pool", cuts: list[str]) -> None:
    cuts += ["before"] * transactions.TRIES
    with pytest.raises(DatabaseUnavailable):
        await add(pool)
    assert cuts == []
    assert await pool.fetchval(NAMES) is None


async def test_a_wait_for_standbys_is_run_again_when_its_connection_breaks(pool: "Pool", cuts: list[str]) -> None:
    cuts.append("before")
    await transactions.await_standbys(pool)
    assert cuts == []


def test_an_unknown_outcome_is_the_refusal_of_a_caller() -> None:
    assert isinstance(refusal(OutcomeUnknown()), DatabaseUnavailable)


@pytest.mark.usefixtures("no_outcome")
async def test_an_outcome_that_cannot_be_found_out_is_unknown_and_not_run_again(pool: "Pool", cuts: list[str]) -> None:
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


async def leave_during_commit(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a category, and cancel the call when it is about to send COMMIT."""
    committing = asyncio.Event()
    monkeypatch.setattr("mercato_server.failpoints.hit", lambda place: committing.set() if place == "before commit" else None)
    task = asyncio.ensure_future(add(pool))
    await committing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_commit_that_was_sent_happens_although_its_caller_leaves(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    await leave_during_commit(pool, monkeypatch)
    await until(partial(pool.fetchval, NAMES))
    await until(lambda: pool.get_idle_size() == pool.get_size())
    assert await pool.fetchval(NAMES) == ["ball"]


async def test_a_call_that_waits_for_a_connection_until_its_deadline_is_not_run(pool: "Pool") -> None:
    async with contextlib.AsyncExitStack() as busy:
        for _ in range(pool.get_max_size()):
            await busy.enter_async_context(pool.acquire())
        deadline.set(asyncio.get_running_loop().time() + 0.1)
        with pytest.raises(DeadlineExceeded):
            async with transaction(pool) as conn:
                await conn.execute(ADD, "ball")
    deadline.set(None)
    assert await pool.fetchval(NAMES) is None


async def test_a_database_that_does_not_accept_a_connection_in_time_is_unavailable_before_the_deadline() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        unconnected = Pool(f"postgresql://mercato@127.0.0.1:{port}/mercato", min_size=0, max_size=1, timeout=0.1)
        async with unconnected as silent:
            deadline.set(asyncio.get_running_loop().time() + 60)
            with pytest.raises(TimeoutError) as failure:
                await add(silent)
    assert isinstance(refusal(failure.value), DatabaseUnavailable)


@pytest.mark.parametrize("patience", [1.0, 0.25])
async def test_a_lock_is_given_up_before_the_callers_time_is_up(pool: "Pool", database: str, patience: float, within: Within) -> None:
    time_s, share = within(0.2), (1 - transactions.RESERVE) * patience
    await pool.execute(ADD, "locked")
    blocker = await asyncpg.connect(database)
    await blocker.execute("BEGIN")
    await blocker.execute("SELECT FROM categories FOR UPDATE")
    began = time.monotonic()
    deadline.set(asyncio.get_running_loop().time() + time_s)
    found: list[float] = []

    async def rename() -> None:
        async with transaction(pool, patience=patience) as conn:
            found.append(time_s - (time.monotonic() - began))
            found.append(await conn.fetchval(LOCK_TIMEOUT))
            await conn.execute("UPDATE categories SET name = 'x'")

    with pytest.raises(asyncpg.LockNotAvailableError):
        await rename()
    left_s, lock_s = found
    assert left_s * share - 0.001 <= lock_s <= time_s * share  # in whole milliseconds
    assert time.monotonic() - began > lock_s / 2
    await blocker.close()


async def test_listeners_are_told_of_all_changes_at_once_after_commit_and_before_the_block_ends(
    pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[object] = []
    monkeypatch.setattr("mercato_server.failpoints.hit", happened.append)
    for name in ("first", "second"):
        pool.on_commit(lambda changes, name=name: happened.append((name, changes)))  # type: ignore[misc] # the default argument is ours
    ball, bike, order = uuid4(), uuid4(), uuid4()
    async with transaction(pool) as conn:
        await events.append(conn, [Event(EventKind.STOCK_CHANGED, ball), Event(EventKind.ORDER_PLACED, order)])
        note(conn, "stock.changed", [ball, bike])
        happened.append("the block")
    happened.append("the end")
    changes = {"stock.changed": {ball, bike}, "order.placed": {order}}
    assert happened == ["the block", "before commit", "after commit", ("first", changes), ("second", changes), "the end"]


async def test_listeners_are_not_told_of_a_transaction_without_changes(pool: "Pool", told: list[Changes]) -> None:
    async with transaction(pool) as conn:
        note(conn, "stock.changed", [])
        await conn.execute(ADD, "ball")
    assert told == []


async def test_listeners_are_never_told_of_changes_that_are_rolled_back(pool: "Pool", told: list[Changes]) -> None:
    connections = set()

    async def sell(product_id: UUID, error: Exception | None = None) -> None:
        async with transaction(pool) as conn:
            connections.add(conn.get_server_pid())
            note(conn, "stock.changed", [product_id])
            if error:
                raise error

    with pytest.raises(DatabaseUnavailable):
        await sell(uuid4(), DatabaseUnavailable())
    await sell(BALL)
    assert len(connections) == 1
    assert told == [{"stock.changed": {BALL}}]


@pytest.mark.parametrize("losses", [["after"], ["before", "before", "after"], ["before"]], ids=str)
async def test_listeners_are_told_once_of_a_transaction_however_its_commit_was_lost(
    pool: "Pool", cuts: list[str], told: list[Changes], losses: list[str]
) -> None:
    cuts += losses
    await add(pool)
    assert told == [{"category.created": {BALL}}]


async def test_listeners_are_never_told_of_a_transaction_that_never_commits(pool: "Pool", cuts: list[str], told: list[Changes]) -> None:
    cuts += ["before"] * transactions.TRIES
    with pytest.raises(DatabaseUnavailable):
        await add(pool)
    assert told == []


@pytest.mark.usefixtures("no_outcome")
async def test_listeners_are_told_of_changes_that_may_have_been_committed(pool: "Pool", cuts: list[str], told: list[Changes]) -> None:
    cuts.append("after")
    with pytest.raises(OutcomeUnknown):
        await add(pool)
    assert told == [{"category.created": {BALL}}]


@pytest.mark.parametrize("error", [asyncpg.SerializationError, asyncpg.DeadlockDetectedError, Cut])
async def test_a_use_case_that_is_run_again_notifies_only_of_its_last_run(
    pool: "Pool", told: list[Changes], error: type[Exception]
) -> None:
    subjects: list[UUID] = []

    @retry_conflicts
    async def sell() -> None:
        async with transaction(pool) as conn:
            subjects.append(uuid4())
            await events.append(conn, [Event(EventKind.STOCK_CHANGED, subjects[-1])])
            if len(subjects) < 3:
                raise error

    await sell()
    assert len(subjects) == 3
    assert told == [{"stock.changed": {subjects[-1]}}]


async def test_listeners_are_told_of_a_commit_after_its_caller_has_left(
    pool: "Pool", told: list[Changes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_during_commit(pool, monkeypatch)
    await until(lambda: told)
    assert told == [{"category.created": {BALL}}]


async def test_many_transactions_at_once_tell_each_its_own_changes(pool: "Pool", told: list[Changes]) -> None:
    async def sell(product_id: UUID) -> None:
        async with transaction(pool) as conn:
            note(conn, "stock.changed", [product_id])
            await conn.execute("SELECT pg_sleep(0)")
            if product_id in refused:
                raise DatabaseUnavailable

    product_ids = [uuid4() for _ in range(100)]
    refused = set(product_ids[::3])
    await asyncio.gather(*map(sell, product_ids), return_exceptions=True)
    assert [len(changes["stock.changed"]) for changes in told] == [1] * 66
    assert set().union(*(changes["stock.changed"] for changes in told)) == set(product_ids) - refused


async def append(conn: "Conn", kind: str) -> None:
    await conn.execute("INSERT INTO events (kind, subject_id) VALUES ($1, uuidv7())", kind)


async def kinds(pool: "Pool", after: Cursor) -> list[str]:
    return [entry.kind async for entry in feed.read(pool, after, follow=False)]


async def test_areader_of_the_feed_misses_no_event_that_commits_late(pool: "Pool", database: str) -> None:
    late = await asyncpg.connect(database, connection_class=Connection)
    await late.execute("BEGIN")
    await append(late, "late")
    async with transaction(pool) as conn:
        await append(conn, "quick")
    start = await events.end(pool)
    assert await kinds(pool, Cursor()) == []  # "quick" is not readable yet, because "late" has the lower id
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


async def test_areader_of_the_feed_sees_each_event_once_while_many_write(pool: "Pool") -> None:
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
        for entry in await events.read(pool, cursor, 50):
            assert entry.cursor > cursor
            cursor = entry.cursor
            seen.append(entry.kind)
        return len(seen) >= 240

    await until(all_are_seen)
    await writers
    assert sorted(seen) == sorted([f"e{number}" for number in range(200)] + [f"e{number}+" for number in range(0, 200, 5)])
    assert await events.read(pool, cursor, 50) == []
