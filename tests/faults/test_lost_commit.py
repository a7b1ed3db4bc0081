"""The connection breaks at COMMIT: before PostgreSQL gets it, or afterwards, so that only the answer is lost."""

import asyncio
from pathlib import Path

import grpc
import pytest

from faults.buyers import Goods, Habits, Market, dice, fill_carts, market
from faults.conftest import Conclude, Scale
from faults.processes import Worker, running
from faults.proxy import AFTER, BEFORE, proxied
from mercato.v1 import catalog_pb2
from mercato_server.embedded.postgres import Postgres

UNAVAILABLE = {"UNAVAILABLE DATABASE_UNAVAILABLE"}
CHANCE = 0.3
"""Probability that a COMMIT is cut while many buyers shop."""


async def buy_once(shop: Market, number: int, *, keyed: bool = True) -> bool:
    """Buy a filled cart, and repeat the checkout with the same key; return whether the first answer was an order."""
    buyer = shop.goods.buyers[number % len(shop.goods.buyers)]
    await fill_carts(shop.goods, [buyer], dice.sample(shop.goods.product_ids, 2))
    purchase = shop.tally.begin(buyer, keyed=keyed)
    try:
        purchase.reply = await shop.send(purchase)
    except grpc.aio.AioRpcError:
        if keyed:
            await shop.resolve(purchase)
        return False
    if keyed:
        await shop.replay(purchase)
    return True


async def test_every_retry_after_a_lost_commit_gives_the_order_of_the_first(
    directory: Path, postgres: Postgres, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    rounds = scale(40, 1_000)  # every other one loses the answer
    async with proxied(goods.database_url, postgres) as (proxy, url):
        worker = Worker(directory, url)
        answered = 0
        async with running(worker), market(goods, worker.address) as shop:
            for number in range(rounds):
                proxy.cut_next(AFTER if number % 2 else BEFORE)
                answered += await buy_once(shop, number)
    worker.require_no_bugs_logged()
    did = {"lost_answers_of_COMMIT": proxy.cuts[AFTER], "lost_COMMITs": proxy.cuts[BEFORE], "found_out_by_the_server_itself": answered}
    await conclude("COMMIT lost", goods, shop.tally, **did)
    assert proxy.cuts.total() == rounds
    assert answered == shop.tally.replayed == rounds


async def test_a_checkout_without_a_key_survives_a_lost_commit_too(
    directory: Path, postgres: Postgres, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    rounds = scale(40, 500)
    async with proxied(goods.database_url, postgres) as (proxy, url):
        worker = Worker(directory, url)
        async with running(worker), market(goods, worker.address) as shop:
            answered = 0
            for number in range(rounds):
                proxy.cut_next(AFTER if number % 2 else BEFORE)
                answered += await buy_once(shop, number, keyed=False)
    worker.require_no_bugs_logged()
    did = {"lost_answers_of_COMMIT": proxy.cuts[AFTER], "lost_COMMITs": proxy.cuts[BEFORE], "found_out_by_the_server_itself": answered}
    await conclude("COMMIT lost, without keys", goods, shop.tally, **did)
    assert answered == rounds


async def test_the_effect_of_a_checkout_is_read_at_once_however_its_commit_was_lost(
    directory: Path, postgres: Postgres, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    rounds = scale(20, 500)
    request = catalog_pb2.GetProductRequest(product_id=str(goods.product_ids[0]))
    async with proxied(goods.database_url, postgres) as (proxy, url):
        worker = Worker(directory, url)
        async with running(worker), market(goods, worker.address) as shop:
            [catalog] = shop.catalog
            stock = (await catalog.GetProduct(request)).stock
            for number in range(rounds):
                buyer = goods.buyers[number % len(goods.buyers)]
                await fill_carts(goods, [buyer], goods.product_ids[:1])
                proxy.cut_next(AFTER if number % 2 else BEFORE)
                purchase = shop.tally.begin(buyer)
                purchase.reply = await shop.send(purchase)
                assert (await catalog.GetProduct(request)).stock == stock - number - 1
    worker.require_no_bugs_logged()
    did = {"lost_answers_of_COMMIT": proxy.cuts[AFTER], "lost_COMMITs": proxy.cuts[BEFORE]}
    await conclude("COMMIT lost, stock read from memory", goods, shop.tally, **did)


async def test_an_outcome_that_the_server_cannot_find_out_is_found_out_by_the_retry(
    directory: Path, postgres: Postgres, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    rounds = scale(1, 10)
    async with proxied(goods.database_url, postgres) as (proxy, url):
        worker = Worker(directory, url)
        proxy.darkens = True
        async with running(worker), market(goods, worker.address) as shop:
            for number in range(rounds):
                buyer = goods.buyers[number % len(goods.buyers)]
                await fill_carts(goods, [buyer], dice.sample(goods.product_ids, 2))
                purchase = shop.tally.begin(buyer)
                proxy.cut_next(AFTER)
                with pytest.raises(grpc.aio.AioRpcError):
                    await shop.send(purchase)
                proxy.light()  # only now, so that the server cannot reach the database whenever it asks for the outcome
                await shop.resolve(purchase)
    worker.require_no_bugs_logged()
    await conclude("COMMIT lost, database out of reach", goods, shop.tally, lost_answers_of_COMMIT=proxy.cuts[AFTER])
    assert shop.tally.unknown == rounds
    assert set(shop.tally.codes) == UNAVAILABLE


async def test_commits_that_are_lost_under_load_lose_and_double_nothing(
    directory: Path, postgres: Postgres, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    def plan() -> str | None:
        return dice.choice((BEFORE, AFTER)) if dice.random() < CHANCE else None

    async with proxied(goods.database_url, postgres) as (proxy, url):
        worker = Worker(directory, url)
        async with running(worker), market(goods, worker.address, habits=Habits(replays=1)) as shop, shop.crowd():
            proxy.plan = plan
            await asyncio.sleep(scale(3, 60))
            proxy.plan = lambda: None
    worker.require_no_bugs_logged()
    did = {"lost_answers_of_COMMIT": proxy.cuts[AFTER], "lost_COMMITs": proxy.cuts[BEFORE]}
    await conclude("COMMIT lost under load", goods, shop.tally, **did)
    assert set(shop.tally.codes) <= UNAVAILABLE
