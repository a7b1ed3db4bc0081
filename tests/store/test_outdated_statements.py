"""Prepared statements outlive a migration that changes the type of their result: inside a transaction the whole use case runs again."""

import ast
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

import mercato_server
from mercato_server.database.pool import Conn, Pool, refusal, small_pool
from mercato_server.database.transactions import TRIES, retry_conflicts, transaction
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.domain.events import ConsumerName, EventKind
from mercato_server.store import feed_cursors
from mercato_server.store.events import Entry, Event, append

NAMES = "SELECT name FROM categories ORDER BY name"
ADD = "INSERT INTO categories (name) VALUES ($1)"
CHANGE_TYPE = "ALTER TABLE categories ALTER COLUMN name TYPE varchar"
CHANGE_TYPE_BACK = "ALTER TABLE categories ALTER COLUMN name TYPE text"
ADD_COLUMN = "ALTER TABLE categories ADD COLUMN colour text"

SERVER = Path(mercato_server.__file__).parent
OF_COMMANDS = {
    ("database/phases.py", "in_transaction"),
    ("store/bulk.py", "export"),
    ("store/bulk.py", "refused"),
    ("store/demo.py", "load"),
    ("store/erasure.py", "erased_since"),
    ("store/order_exports.py", "export"),
}
"""Transactions of commands, which have connections of their own and prepare each statement anew."""
OF_USE_CASES = {("store/payments.py", "_change")}
"""Parts of use cases that are decorated."""


@pytest.fixture
async def one(database: str) -> AsyncIterator["Pool"]:
    """A pool of one connection, so that a statement is always prepared on the same one."""
    async with small_pool(database) as pool:
        yield pool


class Shelf:
    """A use case that reads and writes, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    @retry_conflicts
    async def add(self, pool: "Pool", name: str) -> list[str]:
        """Add a category, and return the names of all."""
        self.runs += 1
        async with transaction(pool) as conn:
            await conn.execute(ADD, name)
            return [row["name"] for row in await conn.fetch(NAMES)]


async def test_a_use_case_whose_statement_a_migration_has_outdated_runs_once_more_and_happens_once(one: "Pool", pool: "Pool") -> None:
    shelf = Shelf()
    assert await shelf.add(one, "a") == ["a"]
    await pool.execute(CHANGE_TYPE)
    assert await shelf.add(one, "b") == ["a", "b"]
    assert shelf.runs == 3
    assert await shelf.add(one, "c") == ["a", "b", "c"]
    assert shelf.runs == 4


async def test_a_new_column_outdates_no_statement(one: "Pool", pool: "Pool") -> None:
    shelf = Shelf()
    await shelf.add(one, "a")
    await pool.execute(ADD_COLUMN)
    await shelf.add(one, "b")
    assert shelf.runs == 2


async def test_a_read_without_a_transaction_is_prepared_anew_by_the_driver(one: "Pool", pool: "Pool") -> None:
    await pool.execute(ADD, "a")
    assert await one.fetchval(NAMES) == "a"
    await pool.execute(CHANGE_TYPE)
    assert await one.fetchval(NAMES) == "a"


async def test_statements_that_are_outdated_at_every_run_make_the_call_unavailable(one: "Pool", pool: "Pool") -> None:
    changes = iter([CHANGE_TYPE, CHANGE_TYPE_BACK] * TRIES)

    @retry_conflicts
    async def names() -> None:
        async with transaction(one) as conn:
            await conn.fetch(NAMES)
            await conn.execute("ROLLBACK; BEGIN")  # gives the lock of the table back
            await pool.execute(next(changes))
            await conn.fetch(NAMES)

    with pytest.raises(asyncpg.InvalidCachedStatementError) as error:
        await names()
    assert isinstance(refusal(error.value), DatabaseUnavailable)
    assert len(list(changes)) == TRIES


async def test_an_outdated_statement_does_not_count_as_a_failure_of_an_event(one: "Pool", pool: "Pool") -> None:
    async def handle(conn: "Conn", news: Sequence[Entry]) -> None:
        await conn.execute(ADD, str(news[0].subject_id))
        await conn.fetch(NAMES)

    async def happen_and_take() -> int:
        async with transaction(pool) as conn:
            await append(conn, [Event(EventKind.ORDER_PLACED, uuid4())])
        return await feed_cursors.take(one, ConsumerName.ORDER_MAILS, [EventKind.ORDER_PLACED], 1, handle)

    await feed_cursors.open_cursor(pool, ConsumerName.ORDER_MAILS)
    assert await happen_and_take() == 1
    await pool.execute(CHANGE_TYPE)
    assert await happen_and_take() == 1
    assert await pool.fetchval("SELECT count(*) FROM categories") == 2


def opened() -> Iterator[tuple[str, str, bool]]:
    """Yield the file and the name of each function that opens a transaction, and whether it runs again by itself."""
    for path in sorted(SERVER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and any(map(opens, ast.walk(node))):
                decorated = "retry_conflicts" in map(ast.unparse, node.decorator_list)
                yield path.relative_to(SERVER).as_posix(), node.name, decorated


def opens(node: ast.AST) -> bool:
    """Return whether a node is a block of a transaction."""
    if not isinstance(node, ast.AsyncWith):
        return False
    calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
    return any(ast.unparse(call.func).rpartition(".")[2] in {"transaction", "snapshot"} for call in calls)


def test_every_transaction_of_a_worker_is_in_a_use_case_that_can_run_again() -> None:
    once = {(path, name) for path, name, decorated in opened() if not decorated}
    assert once == OF_COMMANDS | OF_USE_CASES
    assert sum(decorated for _, _, decorated in opened()) > 100
