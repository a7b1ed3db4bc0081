"""Callers cancel early many times, and calls hold every connection; afterwards the worker is as before."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import asyncpg
import grpc

from faults.buyers import AGAIN, Goods, Market, Purchase, describe, dice, market
from faults.conftest import Conclude, Scale
from faults.processes import Worker, running
from mercato.v1 import cart_pb2, order_pb2
from support.patience import Within, until

POOL = 4
PARALLEL = 64
SHORT_S = (0.001, 0.05)
FILES_MAX = POOL + 8
"""A worker may have this many more files and sockets open than after its first calls."""

SOON_S = 0.5
LATE_S = 0.5

LOCK_SOME = "SELECT id FROM products WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"

WAITING = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND NOT granted"

BUSY = """
SELECT count(*)
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'mercato' AND (state <> 'idle' OR wait_event_type = 'Lock')
"""

LOCKS = """
SELECT count(*)
  FROM pg_locks
  JOIN pg_stat_activity USING (pid)
 WHERE datname = current_database() AND application_name = 'mercato'
"""

CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mercato'"


async def until_idle(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return once no transaction is open, no statement runs and no lock is held."""

    async def idle() -> bool:
        return not await connection.fetchval(BUSY) and not await connection.fetchval(LOCKS)

    await until(idle)


async def _all_wait(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether every connection of the pool waits for a lock."""
    return bool(await connection.fetchval(WAITING) >= POOL)


async def _has_no_more_connections(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether the worker has no more connections than its pool."""
    return bool(await connection.fetchval(CONNECTIONS) <= POOL)


async def hurry(shop: Market) -> None:
    """Make a call with a deadline that is far too short."""
    buyer, timeout_s = dice.choice(shop.goods.buyers), dice.uniform(*SHORT_S)
    line = cart_pb2.SetCartItemRequest(product_id=str(dice.choice(shop.goods.product_ids)), quantity=1)
    match dice.randrange(5):
        case 0 | 1:
            await attempt(shop, shop.tally.begin(buyer), timeout_s)
        case 2:
            await over(shop.carts[0].SetCartItem(line, metadata=buyer.metadata(), timeout=timeout_s))
        case 3:
            await over(shop.carts[0].GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata(), timeout=timeout_s))
        case 4:
            await over(shop.orders[0].ListOrders(order_pb2.ListOrdersRequest(), metadata=buyer.metadata(), timeout=timeout_s))


async def attempt(shop: Market, purchase: Purchase, timeout_s: float) -> None:
    """Send a checkout once."""
    try:
        purchase.reply = await shop.send(purchase, timeout_s)
    except grpc.aio.AioRpcError as error:
        purchase.refusal = describe(error) if error.code() not in AGAIN else None


async def over(call: Awaitable[object]) -> None:
    """Wait until a call has ended; with so short a deadline it may fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        assert error.code() in AGAIN  # noqa: PT017 - any answer will do except an unexpected error


async def test_calls_that_are_given_up_leave_nothing_behind(directory: Path, goods: Goods, scale: Scale, conclude: Conclude) -> None:
    worker = Worker(directory, goods.database_url, MERCATO_POOL_SIZE=str(POOL))
    watcher, blocker = await asyncpg.connect(goods.database_url), await asyncpg.connect(goods.database_url)
    calls, running_calls = scale(1_000, 10_000), asyncio.Semaphore(PARALLEL)

    async def bounded(shop: Market) -> None:
        async with running_calls:
            await hurry(shop)

    async with running(worker), market(goods, worker.address) as shop:
        await asyncio.gather(*(shop.buy(buyer) for buyer in goods.buyers))
        files = worker.open_files()
        for half in ("with locks in the way", "without"):
            async with blocker.transaction():
                if half == "with locks in the way":
                    await blocker.execute(LOCK_SOME, goods.product_ids[::2])
                await asyncio.gather(*(bounded(shop) for _ in range(calls // 2)))
        await until_idle(watcher)
        await until(lambda: _has_no_more_connections(watcher))  # those of calls that were given up may be ending
        connections, more_files = await watcher.fetchval(CONNECTIONS), worker.open_files() - files
        stormed = Counter(shop.tally.codes)
        await asyncio.gather(*(shop.resolve(purchase) for purchase in shop.tally.purchases))
        shop.tally.codes.clear()
        async with shop.crowd():
            await shop.trade()
    worker.require_no_bugs_logged()
    await asyncio.gather(watcher.close(), blocker.close())
    after = Counter(shop.tally.codes)
    shop.tally.codes += stormed
    await conclude("cancel storm", goods, shop.tally, calls=calls, connections_after=connections, more_open_files=more_files)
    assert after == Counter()
    assert connections <= POOL
    assert more_files <= FILES_MAX


async def test_calls_that_find_every_connection_taken_end_in_time_and_all_goes_on_afterwards(
    directory: Path, goods: Goods, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, goods.database_url, MERCATO_POOL_SIZE=str(POOL))
    watcher, blocker = await asyncpg.connect(goods.database_url), await asyncpg.connect(goods.database_url)
    async with running(worker), market(goods, worker.address) as shop:
        bought = await asyncio.gather(*(shop.buy(buyer) for buyer in goods.buyers))
        async with blocker.transaction():
            await blocker.execute("SELECT id FROM orders FOR UPDATE")
            cancelling = [asyncio.ensure_future(shop.cancel(purchase)) for purchase in bought[: 2 * POOL]]
            await until(lambda: _all_wait(watcher))
            began = time.monotonic()
            await asyncio.gather(*(attempt(shop, shop.tally.begin(buyer), SOON_S) for buyer in goods.buyers for _ in range(4)))
            took_s = time.monotonic() - began
        await asyncio.gather(*cancelling)
        await until_idle(watcher)
        await asyncio.gather(*(shop.resolve(purchase) for purchase in shop.tally.purchases))
    worker.require_no_bugs_logged()
    await asyncio.gather(watcher.close(), blocker.close())
    await conclude("pool exhausted", goods, shop.tally, connections=POOL, calls_in_vain=4 * len(goods.buyers))
    assert took_s <= SOON_S + within(LATE_S)
    refused = {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED DEADLINE_EXCEEDED", "FAILED_PRECONDITION CART_EMPTY"}
    assert set(shop.tally.codes) <= refused | {"ABORTED CONFLICT"}  # for a buyer whose other call is in flight
