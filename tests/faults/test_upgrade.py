"""A deployed shop goes to the next release and back to the previous one under load: migrations, workers, Envoy. No call fails."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from faults import upgrades_page
from faults.buyers import THINK_S, Goods, Habits, Market, dice, market, stock_up
from faults.conftest import BUYERS, SOAK_BUYERS, Conclude, Scale
from faults.deployments import Deployment
from faults.processes import Worker, running
from faults.releases import ROOT, SAMPLES, Release, has_history, with_samples
from faults.visitors import Visitors, split
from mercato.v1 import cart_pb2, catalog_pb2
from mercato_server.embedded.postgres import Postgres
from support import needs
from support.clusters import cluster_directory
from support.patience import Within, until

CALL_S = 2.0
READERS = 4
VISITORS = 4
"""Buyers over REST."""
TYPE_CHANGES = [
    "ALTER TABLE products ALTER COLUMN name TYPE varchar",
    "ALTER TABLE cart_items ALTER COLUMN quantity TYPE bigint",
    "ALTER TABLE cart_items ADD COLUMN IF NOT EXISTS wrapped boolean",
    "ALTER TABLE orders ALTER COLUMN currency_code TYPE varchar",
    "ALTER TABLE products ALTER COLUMN name TYPE text",
    "ALTER TABLE cart_items ALTER COLUMN quantity TYPE integer",
    "ALTER TABLE orders ALTER COLUMN currency_code TYPE text",
]
UNHURRIED_S = (0.05, 0.4)
COUNT_UNFILLED = "SELECT count(*) FROM products WHERE parcel_grams IS DISTINCT FROM 100 + length(name)"
IS_INDEXED = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'products_by_parcel'::regclass"
COUNT_DROPPED = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'cart_items' AND column_name = 'wrapped'"


@dataclass(frozen=True)
class Upgrade:
    """Upgrades its own database from one release to the next under load."""

    directory: Path
    buyers: int
    products: int
    call_s: float
    think_s: tuple[float, float]
    conclude: Conclude
    back: bool = True
    """Whether all go back to the previous release then."""

    @asynccontextmanager
    async def done(self, new: Release) -> AsyncIterator[str]:
        """Serve by the previous release, migrate, and then serve by both releases; yields the URL of the upgraded database."""
        with cluster_directory() as cluster:
            server = Postgres(cluster, durable=False)
            await server.start()
            try:
                await self._run(new.previous(self.directory / "previous"), new, server.url())
                yield server.url()
            finally:
                await server.stop()

    async def _run(self, old: Release, new: Release, database_url: str) -> None:
        """Take the steps of docs/upgrades.md while all kinds of callers call, each of whom is served again after each step."""
        assert await old.migrate(database_url) == old.migrations()
        goods = await stock_up(database_url, buyers=self.buyers, products=self.products)
        over_rest, over_grpc = split(goods, VISITORS)
        async with (
            Deployment(self.directory, database_url, old, new, self.call_s) as deployment,
            market(over_grpc, deployment.address, habits=Habits(timeout_s=self.call_s, think_s=self.think_s)) as shop,
            shop.crowd(),
            browsing(shop),
            Visitors(deployment.address, over_rest, shop.tally, self.call_s).around() as visitors,
        ):
            await both(shop, visitors)
            for step in upgrades_page.steps("Forwards"):
                await deployment.take(step, new)
                await both(shop, visitors)
            if self.back:
                await deployment.edge.drained()
                for step in upgrades_page.steps("Back"):
                    await deployment.take(step, old)
                    await both(shop, visitors)
        applied = deployment.applied
        did = {"migrations": len(applied), "products": self.products, "failed_calls": shop.tally.codes.total()}
        await self.conclude("upgrade", goods, shop.tally, **did)
        assert applied == new.later_migrations()
        assert shop.tally.codes == Counter(), shop.tally.texts


async def both(shop: Market, visitors: Visitors) -> None:
    """Return once callers of each kind have been served again."""
    await asyncio.gather(shop.trade(), visitors.go_on())


@pytest.fixture
def upgrade(directory: Path, scale: Scale, within: Within, conclude: Conclude) -> Upgrade:
    is_quick = bool(scale(1, 0))
    return Upgrade(
        directory=directory,
        buyers=scale(BUYERS // 2, SOAK_BUYERS),
        products=scale(3_000, 1_000_000),
        call_s=within(CALL_S),
        think_s=UNHURRIED_S if is_quick else THINK_S,
        conclude=conclude,
        back=True,
    )


@asynccontextmanager
async def browsing(shop: Market) -> AsyncIterator[None]:
    """Let readers read products, lists and carts during the block; failures are counted."""
    closing = asyncio.Event()

    async def browse() -> None:
        while not closing.is_set():
            buyer, product_id = dice.choice(shop.goods.buyers), dice.choice(shop.goods.product_ids)
            await shop.insist(shop.catalog, "GetProduct", catalog_pb2.GetProductRequest(product_id=str(product_id)), buyer)
            number = str(dice.randint(1, len(shop.goods.product_ids)))
            await shop.insist(shop.catalog, "ListProducts", catalog_pb2.ListProductsRequest(q=number), buyer)
            await shop.insist(shop.carts, "GetCart", cart_pb2.GetCartRequest(), buyer)
            await asyncio.sleep(dice.uniform(*THINK_S))

    async with asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(browse())
        try:
            yield
        finally:
            closing.set()


@needs.GIT.unless(shutil.which("git"))
async def test_the_sample_migrations_of_every_phase_fail_no_call_of_the_previous_release(
    directory: Path, upgrade: Upgrade, scale: Scale
) -> None:
    upgrade = replace(upgrade, back=scale(0, 1) == 1)
    samples = sorted(SAMPLES.glob("*.sql"))
    new = with_samples(directory / "next", samples)
    assert new.later_migrations() == [path.name for path in samples]
    async with upgrade.done(new) as database_url:
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval(COUNT_UNFILLED) == 0
        assert await connection.fetchval(IS_INDEXED)
        assert await connection.fetchval(COUNT_DROPPED) == 0
        await connection.close()


async def test_the_migrations_since_the_last_release_fail_no_call_of_it(upgrade: Upgrade, scale: Scale) -> None:
    if not has_history():
        needs.HISTORY.skip()
    async with replace(upgrade, products=scale(100, upgrade.products)).done(Release(ROOT)):
        pass


async def test_columns_whose_types_change_under_load_fail_no_call(
    directory: Path, goods: Goods, conclude: Conclude, within: Within, scale: Scale
) -> None:
    worker = Worker(directory, goods.database_url)
    rounds = scale(1, 20)
    async with (
        running(worker),
        market(goods, worker.address, habits=Habits(timeout_s=within(CALL_S))) as shop,
        shop.crowd(),
        browsing(shop),
    ):
        await shop.trade()
        for change in TYPE_CHANGES * rounds:
            await apply(change, goods.database_url)
            await shop.trade()
    worker.require_no_bugs_logged()
    await conclude("changed types", goods, shop.tally, changes=len(TYPE_CHANGES) * rounds)
    assert shop.tally.codes == Counter(), shop.tally.texts


async def apply(change: str, database_url: str) -> None:
    """Change a table as `mercato migrate` does: wait shortly for the lock, and try again."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET lock_timeout = '500ms'")
    await until(lambda: connection.execute(change), change, despite=asyncpg.LockNotAvailableError)
    await connection.close()
