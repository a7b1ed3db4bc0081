"""Workers of the previous release serve during the migrations of the next release, and then beside its workers. No call fails."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from faults.buyers import THINK_S, Habits, Market, dice, market, stock_up
from faults.conftest import BUYERS, SOAK_BUYERS, Conclude, Scale
from faults.processes import Worker, running
from faults.releases import ROOT, SAMPLES, Release, has_history, with_samples
from mercato.v1 import cart_pb2, catalog_pb2
from mercato_server.embedded.postgres import Postgres
from support import needs
from support.clusters import cluster_directory
from support.patience import Within

CALL_S = 2.0
READERS = 4
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
    conclude: Conclude

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
        assert await old.migrate(database_url) == old.migrations()
        goods = await stock_up(database_url, buyers=self.buyers, products=self.products)
        before = Worker(self.directory, database_url, PYTHONPATH=old.python_path)
        after = Worker(self.directory, database_url, name="next", PYTHONPATH=new.python_path)
        async with running(before):
            async with market(goods, before.address, habits=Habits(timeout_s=self.call_s)) as shop, shop.crowd(), browsing(shop):
                await shop.trade()
                applied = await new.migrate(database_url)
                await shop.trade()
            both = (before.address, after.address)
            async with (
                running(after),
                market(goods, *both, tally=shop.tally, habits=Habits(timeout_s=self.call_s)) as shop,
                shop.crowd(),
                browsing(shop),
            ):
                await shop.trade()
        for worker in (before, after):
            worker.require_no_bugs_logged()
        did = {"migrations": len(applied), "products": self.products, "failed_calls": shop.tally.codes.total()}
        await self.conclude("upgrade", goods, shop.tally, **did)
        assert applied == new.later_migrations()
        assert shop.tally.codes == Counter()


@pytest.fixture
def upgrade(directory: Path, scale: Scale, within: Within, conclude: Conclude) -> Upgrade:
    return Upgrade(directory, scale(BUYERS, SOAK_BUYERS), scale(3_000, 1_000_000), within(CALL_S), conclude)


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
async def test_the_sample_migrations_of_every_phase_fail_no_call_of_the_previous_release(directory: Path, upgrade: Upgrade) -> None:
    samples = sorted(SAMPLES.glob("*.sql"))
    new = with_samples(directory / "next", samples)
    assert new.later_migrations() == [path.name for path in samples]
    async with upgrade.done(new) as database_url:
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval(COUNT_UNFILLED) == 0
        assert await connection.fetchval(IS_INDEXED)
        assert await connection.fetchval(COUNT_DROPPED) == 0
        await connection.close()


async def test_the_migrations_since_the_last_release_fail_no_call_of_it(upgrade: Upgrade) -> None:
    new = Release(ROOT)
    if new.later_migrations():
        if not has_history():
            needs.HISTORY.skip()
        async with upgrade.done(new):
            pass
