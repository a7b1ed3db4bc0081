"""The common check of the fault tests finds the bug of a server that has one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from faults.broken import BUGS
from faults.buyers import Goods, Market, fill_carts, market, stock_up
from faults.oracle import COUNT_DEADLOCKS, Verdict, judge, left_open
from faults.processes import Worker, running
from faults.proxy import AFTER, Proxy, proxied
from mercato_server.embedded.postgres import Postgres
from support.patience import until

BUYERS = 40
BROKEN = ("-P", str(Path(__file__).with_name("broken.py")))
ROUNDS = 6

FORGET_LIMIT = "ALTER TABLE stock_levels DROP CONSTRAINT stock_levels_on_hand_check"

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
)

SCENES = [case for case in CASES if case.scenario is not buy]
"""Cases whose scenario could produce a finding without a bug; the other scenario is the same as in all tests."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.bug.replace(" ", "-"))
async def test_the_common_check_finds_the_bug(directory: Path, postgres: Postgres, database: str, case: Case) -> None:
    goods = await stock_up(database, buyers=BUYERS, products=10, stock=case.stock)
    await _make_bugs_possible(goods)
    verdict = await _play(case, (*BROKEN, case.bug), directory, postgres, goods)
    assert any(case.finding in finding for finding in verdict.findings), verdict.findings


@pytest.mark.parametrize("case", SCENES, ids=lambda case: case.bug.replace(" ", "-"))
async def test_the_common_check_finds_nothing_where_there_is_no_bug(directory: Path, postgres: Postgres, database: str, case: Case) -> None:
    goods = await stock_up(database, buyers=BUYERS, products=10, stock=case.stock)
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
    """Let transactions overlap, drop the constraint that would replace the lock on stock, and detect deadlocks before a caller gives up."""
    connection = await asyncpg.connect(goods.database_url)
    await connection.execute(FORGET_LIMIT)
    await connection.execute(LINGER)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(SHOW_DEADLOCKS.format(name))
    await connection.close()
