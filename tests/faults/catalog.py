"""Administrators who change categories, groups and pictures at several workers at once, and what all workers must show afterwards."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc
from google.protobuf.message import Message

from faults.buyers import AGAIN, Buyer, Goods, Market, describe, dice, market
from faults.conftest import Conclude
from faults.prices import MAKE_ADMIN
from faults.processes import Worker, open_channel, running
from mercato.v1 import catalog_pb2
from support.patience import until

GET_GROUPS = """
SELECT id::text, coalesce(min_price_minor, 0) AS low, coalesce(max_price_minor, 0) AS high,
       ARRAY(SELECT products.id::text FROM products WHERE group_id = wanted.id AND deleted_at IS NULL ORDER BY position, products.id)
           AS variants
  FROM product_groups AS wanted
"""
GET_TREE = "SELECT id::text, coalesce(parent_id::text, '') AS parent, slug FROM categories"


@dataclass
class Office:
    """An administrator whose calls go to any of the workers."""

    shop: Market
    boss: Buyer
    channels: Sequence[grpc.aio.Channel]
    told: Counter[str] = field(default_factory=Counter)
    """The refusals of calls, by code and reason."""

    async def call(self, method: str, request: Message, *expected: str) -> Any:
        """Call until the outcome is known; return the answer, or None after an expected refusal."""
        try:
            return await self.shop.insist(self.shop.catalog, method, request, self.boss, uuid.uuid4().hex)
        except grpc.aio.AioRpcError as error:
            if describe(error) not in expected:
                raise
            self.told[describe(error)] += 1
            return None

    async def categories_agree(self) -> Mapping[str, str]:
        """Wait until each worker shows the tree of the database; return the parents by id."""
        rows = await self._rows(GET_TREE)
        wanted = {row["id"]: (row["parent"], row["slug"]) for row in rows}
        for stub in self.shop.catalog:

            async def agrees(stub: Any = stub) -> bool:
                found = [await stub.GetCategory(catalog_pb2.GetCategoryRequest(category_id=id_)) for id_ in wanted]
                return {each.id: (each.parent_id, each.slug) for each in found} == wanted

            await until(agrees, "a worker shows the tree of the database")
        return {id_: parent for id_, (parent, _) in wanted.items()}

    async def groups_agree(self) -> None:
        """Wait until each worker shows the groups of the database."""
        wanted = {row["id"]: (row["low"], row["high"], row["variants"]) for row in await self._rows(GET_GROUPS)}
        for stub in self.shop.catalog:

            async def agrees(stub: Any = stub) -> bool:
                found = [await stub.GetProductGroup(catalog_pb2.GetProductGroupRequest(group_id=id_)) for id_ in wanted]
                shown = {
                    each.id: (each.min_price.minor_units, each.max_price.minor_units, [variant.product_id for variant in each.variants])
                    for each in found
                }
                return shown == wanted

            await until(agrees, "a worker shows the groups of the database")

    async def _rows(self, statement: str) -> Sequence[asyncpg.Record]:
        connection = await asyncpg.connect(self.shop.goods.database_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


@asynccontextmanager
async def office(goods: Goods, workers: Sequence[Worker]) -> AsyncIterator[Office]:
    """Run the workers for a block, with an administrator, who is the last of the buyers."""
    boss = goods.buyers[-1]
    connection = await asyncpg.connect(goods.database_url)
    await connection.execute(MAKE_ADMIN, boss.id)
    await connection.close()
    channels = [open_channel(worker.address) for worker in workers]
    async with running(*workers), market(goods, *(worker.address for worker in workers)) as shop:
        yield Office(shop, boss, channels)
        await asyncio.gather(*(channel.close() for channel in channels))
    for worker in workers:
        worker.require_no_bugs_logged()


@asynccontextmanager
async def killing(worker: Worker, kills: int) -> AsyncIterator[None]:
    """Kill a worker again and again during the block, and start it again each time."""

    async def kill() -> None:
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0.1, 0.4))
            await worker.kill()
            await worker.restart()

    kills_end = asyncio.create_task(kill())
    try:
        yield
    finally:
        with suppress(asyncio.CancelledError):
            await kills_end


async def require_sound(conclude: Conclude, fault: str, office: Office, expected: Collection[str] = ()) -> None:
    """Check all invariants and orders, and that callers got no other errors than those expected; record the fault.

    Call this when no worker runs any more.

    Deadlocks are allowed where docs/transactions.md says so: the transaction runs again, and no call shows them.
    """
    waited = tuple(code.name for code in AGAIN)
    shown = {code for code in office.shop.tally.codes if not code.startswith(waited)} - {*expected, *office.told}
    assert not shown, shown
    failed = office.shop.tally.codes.total()
    office.shop.tally.codes.clear()
    verdict = await conclude.record(fault, office.shop.goods, office.shop.tally, {"refused_calls": failed})
    assert [finding for finding in verdict.findings if not finding.endswith(" deadlocks")] == []
