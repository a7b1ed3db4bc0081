"""Many calls compete for the same units, for the same rows in different orders, and for the same key."""

import asyncio
from pathlib import Path

import asyncpg

from faults.buyers import Goods, Market, Purchase, Tally, dice, fill_carts, market, stock_up
from faults.conftest import Conclude, Scale
from faults.processes import Worker, running

SHED = {"RESOURCE_EXHAUSTED OVERLOADED"}
"""The error of a full queue; buyers retry, and each gets a final answer."""
SOLD_OUT = "FAILED_PRECONDITION OUT_OF_STOCK"
LET_DEADLOCKS_SHOW = "ALTER DATABASE {} SET deadlock_timeout = '50ms'"


async def test_a_hot_product_is_sold_to_its_last_unit_and_not_beyond(
    directory: Path, database: str, scale: Scale, conclude: Conclude
) -> None:
    units, runs = scale(20, 100), scale(3, 20)
    goods = await stock_up(database, buyers=10 * units, products=runs, stock=units)
    workers = [Worker(directory, database, name=name) for name in ("one", "two")]
    tally = Tally()
    async with running(*workers), market(goods, *(worker.address for worker in workers), tally=tally) as shop:
        for product_id in goods.product_ids:
            await fill_carts(goods, goods.buyers, [product_id])
            purchases = [tally.begin(buyer) for buyer in goods.buyers]
            await asyncio.gather(*(shop.resolve(purchase) for purchase in purchases))
            assert sum(purchase.reply is not None for purchase in purchases) == units
            await _empty_carts(goods)
    for worker in workers:
        worker.require_no_bugs_logged()
    await conclude("hot product", goods, tally, buyers=len(goods.buyers), units=units, runs=runs)
    assert tally.refused == {SOLD_OUT: 9 * units * runs}
    assert set(tally.codes) <= {SOLD_OUT, *SHED}


async def _empty_carts(goods: Goods) -> None:
    connection = await asyncpg.connect(goods.database_url)
    await connection.execute("DELETE FROM cart_items")
    await connection.close()


async def test_one_key_sent_many_times_at_once_makes_one_order_and_identical_replies(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    rounds, parallel = scale(20, 200), 50
    workers = [Worker(directory, goods.database_url, name=name) for name in ("one", "two")]
    async with running(*workers), market(goods, *(worker.address for worker in workers)) as shop:
        for number in range(rounds):
            buyer = goods.buyers[number % len(goods.buyers)]
            await fill_carts(goods, [buyer], dice.sample(goods.product_ids, 2))
            purchase = shop.tally.begin(buyer)
            copies = [Purchase(buyer, purchase.key) for _ in range(parallel)]
            await asyncio.gather(*(shop.resolve(copy) for copy in copies))
            assert {copy.refusal for copy in copies} == {None}
            [purchase.reply] = {copy.reply for copy in copies}
    for worker in workers:
        worker.require_no_bugs_logged()
    await conclude("same key", goods, shop.tally, rounds=rounds, parallel_calls=parallel)
    assert set(shop.tally.codes) <= {
        "ABORTED CONFLICT",
        *SHED,
    }  # a copy that waits on the other worker gives up the lock before its deadline


async def test_carts_in_opposite_order_never_deadlock(directory: Path, goods: Goods, scale: Scale, conclude: Conclude) -> None:
    await _let_deadlocks_show(goods)
    workers = [Worker(directory, goods.database_url, name=name, MERCATO_BATCH_MAX="4") for name in ("one", "two")]
    product_ids = goods.product_ids[:6]
    closing = asyncio.Event()

    async def bait(shop: Market, number: int) -> None:
        buyer = goods.buyers[number]
        while not closing.is_set():
            await fill_carts(goods, [buyer], product_ids[:: 1 if number % 2 else -1])
            purchase = shop.tally.begin(buyer)
            await shop.resolve(purchase)
            if purchase.reply and dice.random() < 0.5:
                await shop.cancel(purchase)

    addresses = [worker.address for worker in workers]
    async with running(*workers), market(goods, *addresses) as shop, asyncio.TaskGroup() as group:
        for number in range(len(goods.buyers)):
            group.create_task(bait(shop, number))
        await asyncio.sleep(scale(4, 60))
        closing.set()
    for worker in workers:
        worker.require_no_bugs_logged()
    await conclude("deadlock bait", goods, shop.tally, buyers=len(goods.buyers))  # `conclude` counts deadlocks
    assert set(shop.tally.codes) <= {"ABORTED CONFLICT", *SHED}


async def _let_deadlocks_show(goods: Goods) -> None:
    connection = await asyncpg.connect(goods.database_url)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(LET_DEADLOCKS_SHOW.format(name))
    await connection.close()
