"""The statements of a call, job or batch, counted over a real connection."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import asyncpg
import pytest

from mercato_server.config.settings import Batching, Settings
from mercato_server.database.batching import Coalescer
from mercato_server.database.pool import Conn, Pool, create_pool
from mercato_server.database.transactions import transaction
from mercato_server.database.work import Work, current_work

Run = Callable[["Conn"], Awaitable[object]]


@pytest.fixture
async def counted_pool(settings: Settings) -> AsyncIterator["Pool"]:
    """A pool of which nothing has been asked yet."""
    async with await create_pool(settings) as pool:
        yield pool


@contextmanager
def a_call(*, in_background: bool = False) -> Iterator[Work]:
    """Let the block be a call."""
    work = Work(in_background=in_background)
    token = current_work.set(work)
    yield work
    current_work.reset(token)


async def _copy_in(conn: "Conn") -> None:
    await conn.copy_records_to_table("kept", records=[(1,), (2,)])


async def _copy_text(conn: "Conn") -> None:
    await conn.copy_to_table("kept", source=io.BytesIO(b"1\n2\n"))


async def _scroll(conn: "Conn") -> None:
    async with conn.transaction():
        opened = await conn.cursor("SELECT n FROM kept")
        await opened.fetch(10)


WAYS: dict[str, tuple[Run, int]] = {
    "fetch": (lambda conn: conn.fetch("SELECT $1::int", 1), 1),
    "fetchrow": (lambda conn: conn.fetchrow("SELECT 1"), 1),
    "fetchval": (lambda conn: conn.fetchval("SELECT 1"), 1),
    "fetchmany": (lambda conn: conn.fetchmany("SELECT $1::int", [(1,), (2,)]), 1),
    "execute": (lambda conn: conn.execute("SELECT 1; SELECT 2"), 1),
    "execute with arguments": (lambda conn: conn.execute("SELECT $1::int", 1), 1),
    "executemany": (lambda conn: conn.executemany("INSERT INTO kept VALUES ($1)", [(1,), (2,)]), 1),
    "copy of records": (_copy_in, 1),
    "copy of a file": (_copy_text, 1),
    "copy of a table": (lambda conn: conn.copy_from_table("kept", output=io.BytesIO()), 1),
    "copy of a query": (lambda conn: conn.copy_from_query("SELECT 1", output=io.BytesIO()), 1),
    "cursor, between BEGIN and COMMIT": (_scroll, 3),
}


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_to_run_a_statement_counts_it_once(counted_pool: "Pool", way: str) -> None:
    run, statements = WAYS[way]
    async with counted_pool.acquire() as conn:
        await conn.execute("CREATE TEMPORARY TABLE kept (n int)")
        with a_call() as work:
            await run(conn)
    assert work.statements == statements
    assert work.statement_s > 0


async def test_the_time_of_a_statement_is_that_until_its_answer(counted_pool: "Pool") -> None:
    with a_call() as work:
        await counted_pool.execute("SELECT pg_sleep(0.2)")
    assert work.statement_s >= 0.2


async def test_the_wait_for_a_connection_is_no_statement(settings: Settings) -> None:
    async with await create_pool(replace(settings, pool_size=1)) as pool:
        async with pool.acquire() as conn:
            with a_call() as work:
                waiting = asyncio.ensure_future(pool.fetchval("SELECT 1"))
            await conn.execute("SELECT pg_sleep(0.1)")
            assert work.statements == 0
            released = time.perf_counter()
        assert await waiting == 1
        assert work.statements == 1
        assert 0 < work.statement_s <= time.perf_counter() - released


async def test_a_new_connection_costs_a_call_no_statement(settings: Settings) -> None:
    async with await create_pool(replace(settings, pool_size=3)) as pool, pool.acquire(), pool.acquire():
        with a_call() as work:
            assert await pool.fetchval("SELECT 1") == 1
        assert pool.get_size() == 3
    assert work.statements == 1


async def test_a_failed_statement_counts(counted_pool: "Pool") -> None:
    with a_call() as work, pytest.raises(asyncpg.DivisionByZeroError):
        await counted_pool.fetchval("SELECT 1 / 0")
    assert work.statements == 1


async def test_begin_commit_and_the_question_for_the_id_count(counted_pool: "Pool") -> None:
    with a_call() as work:
        async with transaction(counted_pool) as conn:
            await conn.execute("SELECT 1")
    assert work.statements == 5, "BEGIN, the statement, the question for the id, the record, COMMIT"


async def test_the_pool_counts_calls_and_background_apart(counted_pool: "Pool") -> None:
    before = counted_pool.tally.background.statements
    with a_call():
        await counted_pool.execute("SELECT 1")
        await asyncio.gather(counted_pool.execute("SELECT 1"), counted_pool.execute("SELECT 1"))
    with a_call(in_background=True) as job:
        await counted_pool.execute("SELECT 1")
    await counted_pool.execute("SELECT 1")
    assert counted_pool.tally.calls.statements == 3
    assert counted_pool.tally.background.statements - before == 2
    assert job.statements == 1


async def test_a_batch_counts_once_for_the_pool_and_once_for_each_call(counted_pool: "Pool") -> None:
    async def serve(batch: list[int]) -> list[int]:
        await counted_pool.execute("SELECT 1")
        await counted_pool.execute("SELECT 2")
        return batch

    served: Coalescer[int, int] = Coalescer(serve, turns=2, batching=Batching())  # type: ignore[arg-type] # any sequence of requests

    async def call(number: int) -> Work:
        with a_call() as work:
            assert await served(number) == number
        return work

    works = await asyncio.gather(*map(call, range(5)))
    assert [(work.statements, work.batch_size) for work in works] == [(2, 5)] * 5
    assert len({work.statement_s for work in works}) == 1
    assert counted_pool.tally.calls.statements == 2
    assert (await call(6)).batch_size == 1


async def test_calls_of_a_failed_batch_count_it_and_their_own_run(counted_pool: "Pool") -> None:
    async def serve(batch: list[int]) -> list[int]:
        await counted_pool.fetchval("SELECT 1 / $1::int", 1 if len(batch) == 1 else 0)
        return batch

    served: Coalescer[int, int] = Coalescer(serve, turns=2, batching=Batching())  # type: ignore[arg-type] # any sequence of requests

    async def call(number: int) -> Work:
        with a_call() as work:
            await served(number)
        return work

    works = await asyncio.gather(*map(call, range(3)))
    assert [(work.statements, work.batch_size) for work in works] == [(2, 3)] * 3
    assert counted_pool.tally.calls.statements == 1 + 3
