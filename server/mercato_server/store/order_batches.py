"""Batches of background work, in which one broken item hinders no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from mercato_server.database.pool import Pool, refusal
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.errors import Conflict, DatabaseUnavailable, DeadlineExceeded
from mercato_server.domain.order_books import Books
from mercato_server.store import order_books, saved_books

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


async def one_by_one(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[Result]], broken: Callable[[Item, Exception], Awaitable[None]]
) -> list[Result]:
    """Work on items together, or on each by itself if that fails; return the results.

    An item on which the work fails alone goes to `broken`. Raises only if the database is unavailable or busy.
    """
    if not items:
        return []
    try:
        return [await work(items)]
    except Exception as error:
        if refusal(error) is not None or isinstance(error, Conflict | DatabaseUnavailable | DeadlineExceeded):
            raise
        if len(items) == 1:
            await broken(items[0], error)
            return []
    return [result for each in items for result in await one_by_one([each], work, broken)]


async def change_orders(pool: "Pool", order_ids: Sequence[UUID], change: Callable[[Books], None]) -> list[Books]:
    """Change the books of orders in one transaction, or each by itself if that fails; return those that were changed.

    An order on which the change fails alone is logged and left.
    """
    done = await one_by_one(order_ids, lambda ids: _change(pool, ids, change), _leave)
    return [each for books in done for each in books]


@retry_conflicts
async def _change(pool: "Pool", order_ids: Sequence[UUID], change: Callable[[Books], None]) -> list[Books]:
    async with transaction(pool) as conn:
        books = await order_books.load(conn, order_ids)
        for each in books.values():
            change(each)
        await saved_books.save(conn, books.values())
    return [each for each in books.values() if each.writes.is_touched]


async def _leave(order_id: UUID, error: Exception) -> None:
    log.error("an order cannot be worked on", order=str(order_id), exc_info=error)
