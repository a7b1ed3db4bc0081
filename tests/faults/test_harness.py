"""The common check of the fault tests finds the bug of a server that has one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from faults.broken import BUGS
from faults.buyers import Goods, Market, fill_carts, market, stock_up
from faults.oracle import COUNT_DEADLOCKS, Verdict, judge, left_open
from faults.prices import administered, charge, choose, enter, quote
from faults.processes import Worker, running
from faults.proxy import AFTER, Proxy, proxied
from mercato.v1 import promotion_pb2
from mercato.v1.catalog_pb2 import (
    Category,
    CreateCategoryRequest,
    Product,
    ProductGroup,
    ProductOption,
    UpdateCategoryRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato_server.embedded.postgres import Postgres
from support.market import BERLIN, money
from support.patience import until
from support.shop import CALL_S

BUYERS = 40
BROKEN = ("-P", str(Path(__file__).with_name("broken.py")))
ROUNDS = 6

FORGET_LIMITS = """
ALTER TABLE stock_levels DROP CONSTRAINT stock_levels_on_hand_check;
ALTER TABLE promotions DROP CONSTRAINT promotions_usage_check;
"""

# A pause between the lock on stock and the sale, because transactions that end at once hardly ever overlap.
LINGER = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NULL; END';
CREATE TRIGGER linger BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION linger();
"""

GET_OTHERS = "SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
END = "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid"
ARE_ENDED = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY($1::int[]))"

SHOW_DEADLOCKS = "ALTER DATABASE {} SET deadlock_timeout = '20ms'"


@dataclass(frozen=True)
class Scene:
    """The workers, the proxy and the buyers of a scenario."""

    shop: Market
    workers: list[Worker]
    proxy: Proxy

    async def buy(self, products: int = 2, *, keyed: bool = True) -> None:
        """Let all buyers buy the first products at once."""
        goods = self.shop.goods
        await fill_carts(goods, goods.buyers[::2], goods.product_ids[:products])
        await fill_carts(goods, goods.buyers[1::2], goods.product_ids[:products][::-1])
        await asyncio.gather(*(self.shop.resolve(self.shop.tally.begin(buyer, keyed=keyed)) for buyer in goods.buyers))


async def buy(scene: Scene) -> None:
    await scene.buy()


async def race(scene: Scene, products: int) -> None:
    for _ in range(ROUNDS):
        await scene.buy(products)


async def race_until_deadlock(scene: Scene, products: int) -> None:
    """Race until PostgreSQL has found a deadlock. A round may have none, and each deadlock takes seconds."""
    for _ in range(ROUNDS):
        await scene.buy(products)
        if await count_deadlocks(scene.shop.goods.database_url):
            return


async def count_deadlocks(database_url: str) -> int:
    """Return the number of deadlocks so far. A backend reports them at once only when it ends, so all other backends are ended."""
    connection = await asyncpg.connect(database_url)
    try:
        others = await connection.fetchval(GET_OTHERS) or []
        await connection.execute(END, others)
        await until(partial(connection.fetchval, ARE_ENDED, others))
        return int(await connection.fetchval(COUNT_DEADLOCKS))
    finally:
        await connection.close()


async def buy_from_one_that_dies(scene: Scene, place: str) -> None:
    worker = scene.workers[0]
    await worker.kill()
    await worker.restart(MERCATO_TEST_FAILPOINTS=f"{place}=1")
    buying = asyncio.ensure_future(scene.buy())
    await worker.wait()
    await worker.restart()
    await buying


async def lose_a_commit(scene: Scene) -> None:
    scene.proxy.cut_next(AFTER)
    await scene.buy(keyed=False)


async def race_for_uses(scene: Scene) -> None:
    """Let buyers of different products, whose locks do not meet, compete for half as many uses of a code."""
    goods = scene.shop.goods
    async with administered(goods, scene.workers[0].address) as trade:
        await trade.promotion("HALF", percent_ppm=100_000, usage_limit=BUYERS // 2)
        for buyer, product_id in zip(goods.buyers, goods.product_ids, strict=True):
            await fill_carts(goods, [buyer], [product_id])
            await enter(trade, buyer, "HALF")
    await buy_all(scene)


async def use_up(scene: Scene) -> None:
    """Buy with a promotion that needs no code and is for few."""
    async with administered(scene.shop.goods, scene.workers[0].address) as trade:
        await trade.promotion(kind=promotion_pb2.PROMOTION_KIND_AMOUNT, amount=money(1), usage_limit=3)
    await scene.buy()


async def share_addresses(scene: Scene) -> None:
    """Let pairs of buyers with one contact address use a promotion that each may use once."""
    goods = scene.shop.goods
    async with administered(goods, scene.workers[0].address) as trade:
        await trade.promotion("ONCE", percent_ppm=100_000, per_buyer_limit=1)
        await fill_carts(goods, goods.buyers, goods.product_ids[:1])
        for number, buyer in enumerate(goods.buyers):
            await enter(trade, buyer, "ONCE", contact_email=f"pair-{number // 2}@example.com")
    await buy_all(scene)
    told = Counter(purchase.order.contact_email for purchase in scene.shop.tally.acknowledged)
    scene.shop.tally.contradictions += [f"{address} used a promotion {count} times" for address, count in told.items() if count > 1]


async def cancel_some(scene: Scene) -> None:
    """Cancel orders that were given a promotion."""
    async with administered(scene.shop.goods, scene.workers[0].address) as trade:
        await trade.promotion(percent_ppm=100_000, usage_limit=1_000)
    await scene.buy()
    await asyncio.gather(*(scene.shop.cancel(purchase) for purchase in scene.shop.tally.acknowledged[::2]))


async def buy_taxed(scene: Scene) -> None:
    """Buy three lines whose taxes one by one are another sum than that of all: 7/107 of 1.00 is 0.0654, of 3.00 it is 0.1963."""
    goods = scene.shop.goods
    async with administered(goods, scene.workers[0].address) as trade:
        await charge(trade, "reduced")
        for buyer in goods.buyers:
            await choose(scene.shop, buyer, shipping_address=BERLIN, shipping_method_id=trade.parcel_id)
    await scene.buy(3)


async def buy_discounted(scene: Scene) -> None:
    """Buy three equal lines whose discount of 2.00 leaves two minor units over."""
    async with administered(scene.shop.goods, scene.workers[0].address) as trade:
        await trade.promotion(percent_ppm=666_666)
    await scene.buy(3)


async def change_quoted(scene: Scene) -> None:
    """Buy by quotes that a new promotion has outdated."""
    goods = scene.shop.goods
    await fill_carts(goods, goods.buyers, goods.product_ids[:2])
    async with administered(goods, scene.workers[0].address) as trade:
        quotes = [await quote(scene.shop, buyer) for buyer in goods.buyers]
        await trade.promotion(percent_ppm=100_000)
    purchases = [scene.shop.tally.begin(buyer, quote=agreed) for buyer, agreed in zip(goods.buyers, quotes, strict=True)]
    await asyncio.gather(*map(scene.shop.resolve, purchases))


async def administer(scene: Scene) -> None:
    """Ask for the slug of another category, move a category with a product, and change the price of a variant."""
    goods = scene.shop.goods
    async with administered(goods, scene.workers[0].address) as trade:
        catalog = trade.shop.catalog
        call: dict[str, Any] = {"metadata": trade.admin.metadata, "timeout": CALL_S}
        one, other = [
            await catalog.CreateCategory(CreateCategoryRequest(category=Category(name=name)), **call) for name in ("One", "Other")
        ]
        changed = Product(id=str(goods.product_ids[0]), category_id=one.id)
        await catalog.UpdateProduct(UpdateProductRequest(product=changed, update_mask=FieldMask(paths=["category_id"])), **call)
        moved = Category(id=one.id, parent_id=other.id)
        await catalog.UpdateCategory(UpdateCategoryRequest(category=moved, update_mask=FieldMask(paths=["parent_id"])), **call)
        with suppress(grpc.aio.AioRpcError):
            taken = Category(id=one.id, slug=other.slug)
            await catalog.UpdateCategory(UpdateCategoryRequest(category=taken, update_mask=FieldMask(paths=["slug"])), **call)
        group = ProductGroup(name="Shirt", code="SHIRT", varies_by=["Size"])
        sizes = [Product(name=size, price=money(5), options=[ProductOption(name="Size", value=size)]) for size in "SM"]
        made = await catalog.UpsertProductGroup(UpsertProductGroupRequest(group=group, variants=sizes), **call)
        cheaper = Product(id=made.variants[1].product_id, price=money(1))
        await catalog.UpdateProduct(UpdateProductRequest(product=cheaper, update_mask=FieldMask(paths=["price"])), **call)


async def buy_all(scene: Scene) -> None:
    """Let all buyers check out at once."""
    await asyncio.gather(*(scene.shop.resolve(scene.shop.tally.begin(buyer)) for buyer in scene.shop.goods.buyers))


@dataclass(frozen=True)
class Case:
    """A bug, the scenario that reveals it, and a part of the finding."""

    bug: str
    scenario: Callable[[Scene], Awaitable[None]]
    finding: str
    workers: int = 1
    stock: int = 1_000_000


CASES = (
    Case("stock is not locked", partial(race, products=1), "oversold", workers=2, stock=BUYERS // 2),
    Case("stock is locked in any order", partial(race_until_deadlock, products=2), "deadlocks", workers=2),
    Case("the ledger is forgotten", buy, "stock of a product is the sum of its ledger"),
    Case("the event is forgotten", buy, "event"),
    Case("an order is answered and rolled back", buy, "is lost"),
    Case("a checkout is no transaction", partial(buy_from_one_that_dies, place="checkout: locked"), "key"),
    Case("keys are stored outside of the transaction", partial(buy_from_one_that_dies, place="before commit"), "is lost"),
    Case("a lost commit is run again without asking", lose_a_commit, "orders that were not acknowledged"),
    Case("uses of promotions are not locked", race_for_uses, "within its limit", workers=2),
    Case("a promotion without a code applies when it is used up", use_up, "within its limit"),
    Case("buyers are not counted by e-mail", share_addresses, "used a promotion 2 times"),
    Case("a cancelled order keeps its uses", cancel_some, "released with its cancellation"),
    Case("tax is rounded on the order instead of its lines", buy_taxed, "the tax of a line is its rate"),
    Case("the rest of a discount goes to the first line", buy_discounted, "divided among the lines in another way"),
    Case("a quote is not compared with the price", change_quoted, "was not placed for the price of its quote"),
    Case("a slug is taken from its holder", administer, "a slug has one live holder"),
    Case("a move forgets the products of the subtree", administer, "a product on sale, and no other, has its search document"),
    Case("a group does not learn of its variants", administer, "a group counts its variants on sale"),
)

SCENES = list({case.scenario: case for case in CASES if case.scenario is not buy}.values())
"""Cases whose scenario could produce a finding without a bug; the other scenario is the same as in all tests."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.bug.replace(" ", "-"))
async def test_the_common_check_finds_the_bug(directory: Path, postgres: Postgres, database: str, case: Case) -> None:
    goods = await stock_up(database, buyers=BUYERS, products=BUYERS, stock=case.stock)
    await _make_bugs_possible(goods)
    verdict = await _play(case, (*BROKEN, case.bug), directory, postgres, goods)
    assert any(case.finding in finding for finding in verdict.findings), verdict.findings


@pytest.mark.parametrize("case", SCENES, ids=lambda case: case.bug.replace(" ", "-"))
async def test_the_common_check_finds_nothing_where_there_is_no_bug(directory: Path, postgres: Postgres, database: str, case: Case) -> None:
    goods = await stock_up(database, buyers=BUYERS, products=BUYERS, stock=case.stock)
    await _make_bugs_possible(goods)
    verdict = await _play(case, ("-P", "-m", "mercato_server"), directory, postgres, goods)
    assert verdict.findings == []


async def test_a_running_transaction_is_distinguished_from_one_that_was_left_open(database: str) -> None:
    worked_on, forgotten = await asyncpg.connect(database), await asyncpg.connect(database)

    async def work() -> None:
        async with worked_on.transaction():
            while True:
                await worked_on.execute("SELECT 1")
                await asyncio.sleep(0.001)

    working = asyncio.create_task(work())
    assert await left_open(database) == 0
    await forgotten.execute("BEGIN")
    assert await left_open(database) == 1
    working.cancel()
    await asyncio.wait([working])
    for connection in (worked_on, forgotten):
        await connection.close()


def test_every_bug_has_its_case() -> None:
    assert {case.bug for case in CASES} == set(BUGS)


async def _play(case: Case, program: tuple[str, ...], directory: Path, postgres: Postgres, goods: Goods) -> Verdict:
    async with AsyncExitStack() as stack:
        proxy, url = await stack.enter_async_context(proxied(goods.database_url, postgres))
        batch_max = {"MERCATO_BATCH_MAX": "1"} if case.workers > 1 else {}  # so that many transactions race instead of two
        workers = [Worker(directory, url, name=f"worker-{number}", program=program, **batch_max) for number in range(case.workers)]
        await stack.enter_async_context(running(*workers))
        shop = await stack.enter_async_context(market(goods, *(worker.address for worker in workers)))
        await case.scenario(Scene(shop, workers, proxy))
    return await judge(goods.database_url, shop.tally)


async def _make_bugs_possible(goods: Goods) -> None:
    """Let transactions overlap, drop the constraints that would replace locks, and detect deadlocks before a caller gives up."""
    connection = await asyncpg.connect(goods.database_url)
    await connection.execute(FORGET_LIMITS)
    await connection.execute(LINGER)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(SHOW_DEADLOCKS.format(name))
    await connection.close()
