"""Variants that are created, changed, deleted and sold at the same moment: a group has one representative at every moment."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from mercato import call_error
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    DeleteProductGroupRequest,
    DeleteProductRequest,
    GetProductGroupRequest,
    Product,
    ProductGroup,
    ProductOption,
    UndeleteProductRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.store.verify import verify
from support.patience import patient, until
from support.shop import Person, Shop, worker

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
LOCK_GROUP = "SELECT FROM product_groups WHERE id = $1 FOR NO KEY UPDATE"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# Groups whose representatives are not exactly the one variant that the prices tell, or whose range is not that of their variants.
WRONG = """
SELECT wanted.id
  FROM product_groups AS wanted
 WHERE ARRAY(SELECT id FROM products WHERE group_id = wanted.id AND deleted_at IS NULL AND is_listed)
       <> ARRAY(SELECT id FROM products WHERE group_id = wanted.id AND deleted_at IS NULL ORDER BY price_minor, id LIMIT 1)
    OR ROW(variants, coalesce(min_price_minor, -1), coalesce(max_price_minor, -1))
       IS DISTINCT FROM (SELECT ROW(count(*)::integer, coalesce(min(price_minor), -1), coalesce(max(price_minor), -1))
             FROM products
            WHERE group_id = wanted.id AND deleted_at IS NULL)
"""


def sized(size: int, price: int = 1000) -> Product:
    return Product(name=f"Shirt {size}", price=Money(minor_units=price), stock=1000, options=[ProductOption(name="Size", value=str(size))])


async def upsert(shop: Shop, admin: Person, code: str, *variants: Product, **fields: bool) -> ProductGroup:
    request = UpsertProductGroupRequest(group=ProductGroup(name="Shirt", code=code, varies_by=["Size"]), variants=variants, **fields)
    return await shop.catalog.UpsertProductGroup(request, metadata=admin.metadata)


async def outcome(call: Awaitable[object]) -> str:
    """Return how a call ends: "OK" or the reason of its refusal."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return str(call_error(error).reason)
    return "OK"


def set_price(shop: Shop, admin: Person, product_id: str, price: int) -> Awaitable[object]:
    product = Product(id=product_id, price=Money(minor_units=price))
    request = UpdateProductRequest(product=product, update_mask=FieldMask(paths=["price"]))
    return shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def sound(shop: Shop) -> bool:
    async with shop.pool.acquire() as conn:
        return not any(finding.violations for finding in await verify(conn))


async def test_racing_creations_of_equal_options_give_one_variant(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(5):
        group = await upsert(shop, admin, f"G{number}")
        value = [ProductOption(name="Size", value="M")]
        ended = Counter(await asyncio.gather(*(outcome(shop.product(admin, group_id=group.id, options=value)) for _ in range(12))))
        assert ended == {"OK": 1, "OPTIONS_TAKEN": 11}
    assert await sound(shop)


async def test_racing_upserts_of_one_code_give_one_group_with_all_variants(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ended = await asyncio.gather(*(outcome(upsert(shop, admin, "SHIRT", sized(number % 4))) for number in range(12)))
    assert Counter(ended) == {"OK": 12}
    assert [tuple(row) for row in await shop.pool.fetch("SELECT code, variants FROM product_groups")] == [("SHIRT", 4)]
    assert await sound(shop)


async def test_writes_that_wait_for_a_group_see_what_the_first_one_has_done(settings: Settings, pool: "Pool") -> None:
    """All calls must wait at the same time, so they have time to begin."""
    limits = Limits(timeout_s=2 * patient(), timeout_max_s=2 * patient(), lock_timeout_s=2 * patient(), statement_timeout_s=2 * patient())
    async with worker(replace(settings, limits=limits), pool) as shop:
        await write_while_the_group_is_locked(shop)


async def write_while_the_group_is_locked(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, "SHIRT", *(sized(size, 1000 + size) for size in range(4)))
    ids = [variant.product_id for variant in group.variants]
    async with transaction(shop.pool) as conn:
        await conn.execute(LOCK_GROUP, uuid.UUID(group.id))
        calls = [  # made here: gRPC begins a call when it is made, not when it is awaited
            set_price(shop, admin, ids[3], 10),
            shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ids[0]), metadata=admin.metadata),
            shop.product(admin, price=5, group_id=group.id, options=[ProductOption(name="Size", value="9")]),
            upsert(shop, admin, "SHIRT", sized(1, 7), sized(2, 8)),
        ]
        ending = asyncio.gather(*map(outcome, calls))

        async def all_wait() -> bool:
            return int(await shop.pool.fetchval(WAITING)) >= len(calls)

        await until(all_wait)
    assert await ending == ["OK"] * len(calls)
    now = await shop.catalog.GetProductGroup(GetProductGroupRequest(group_id=group.id))
    assert sorted(variant.price.minor_units for variant in now.variants) == [5, 7, 8, 10]
    assert (now.min_price.minor_units, now.max_price.minor_units) == (5, 10)
    assert await sound(shop)


@dataclass(frozen=True)
class Storm:
    """Random writes and sales of the variants of some groups."""

    shop: Shop
    admin: Person
    groups: list[ProductGroup]
    dice: random.Random

    @property
    def ids(self) -> list[str]:
        return [variant.product_id for group in self.groups for variant in group.variants]

    def change(self) -> Awaitable[object]:
        """Change a variant or a group; several changes of one kind are to be likelier."""
        product_id, group, catalog, metadata = (
            self.dice.choice(self.ids),
            self.dice.choice(self.groups),
            self.shop.catalog,
            self.admin.metadata,
        )
        prices = [sized(size, self.dice.randint(1, 9)) for size in self.dice.sample(range(8), 3)]
        moved = UpdateProductRequest(product=Product(id=product_id, group_id=group.id), update_mask=FieldMask(paths=["group_id"]))
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "delete": lambda: catalog.DeleteProduct(DeleteProductRequest(product_id=product_id), metadata=metadata),
            "undelete": lambda: catalog.UndeleteProduct(UndeleteProductRequest(product_id=product_id), metadata=metadata),
            "bring back": lambda: catalog.UndeleteProduct(UndeleteProductRequest(product_id=product_id), metadata=metadata),
            "move": lambda: catalog.UpdateProduct(moved, metadata=metadata),
            "upsert": lambda: upsert(self.shop, self.admin, group.code, *prices, reorder=True),
            "stock": lambda: catalog.AdjustStock(AdjustStockRequest(product_id=product_id, delta=1), metadata=metadata),
            "price": lambda: set_price(self.shop, self.admin, product_id, self.dice.randint(1, 9)),
        }
        return changes[self.dice.choice([*changes])]()

    async def write(self) -> list[str]:
        return [await outcome(self.change()) for _ in range(25)]

    async def buy(self, buyer: Person) -> list[str]:
        told = []
        for _ in range(10):
            told += [await outcome(self.shop.add(buyer, Product(id=product_id))) for product_id in self.dice.sample(self.ids, 3)]
            told.append(await outcome(self.shop.checkout(buyer)))
        return told


async def test_a_storm_of_writes_and_sales_leaves_no_moment_without_the_right_representative(shop: Shop) -> None:
    admin, dice = await shop.person(admin=True), random.Random(15)  # noqa: S311 - a reproducible test
    buyers = [await shop.person() for _ in range(3)]
    groups = [await upsert(shop, admin, code, *(sized(size, dice.randint(1, 9)) for size in range(5))) for code in ("A", "B")]
    storm, before = Storm(shop, admin, groups, dice), await shop.pool.fetchval(DEADLOCKS)
    running = asyncio.gather(*(storm.write() for _ in range(6)), *map(storm.buy, buyers))
    looks = 0
    while not running.done():
        assert await shop.pool.fetch(WRONG) == []
        looks += 1
    told = Counter(reason for each in await running for reason in each)
    assert told.keys() <= {"OK", "PRODUCT_NOT_FOUND", "PRODUCT_NOT_DELETED", "OPTIONS_TAKEN", "OUT_OF_STOCK", "CART_EMPTY", "CONFLICT"}
    assert told["OK"] > 100
    assert looks > 10
    assert await shop.pool.fetchval(DEADLOCKS) == before
    assert await sound(shop)


async def test_racing_price_changes_and_deletions_leave_the_cheapest_variant_as_representative(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(4):
        group = await upsert(shop, admin, f"G{number}", *(sized(size, 100 + size) for size in range(6)))
        ids = [variant.product_id for variant in group.variants]
        calls = [
            *(set_price(shop, admin, product_id, price) for price, product_id in enumerate(reversed(ids), 1)),
            *(shop.catalog.DeleteProduct(DeleteProductRequest(product_id=each), metadata=admin.metadata) for each in (ids[5], ids[0])),
        ]
        ended = await asyncio.gather(*map(outcome, calls))
        assert set(ended) <= {"OK", "PRODUCT_NOT_FOUND"}
        assert ended[-2:] == ["OK", "OK"]
        now = await shop.catalog.GetProductGroup(GetProductGroupRequest(group_id=group.id))
        assert (now.representative_id, now.min_price.minor_units, now.max_price.minor_units) == (ids[4], 2, 5)
    assert await sound(shop)


async def test_a_variant_that_races_with_the_deletion_of_its_group_is_in_it_or_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(6):
        group = await upsert(shop, admin, f"G{number}")
        create = shop.product(admin, group_id=group.id, options=[ProductOption(name="Size", value="M")])
        delete = shop.catalog.DeleteProductGroup(DeleteProductGroupRequest(group_id=group.id), metadata=admin.metadata)
        assert tuple(await asyncio.gather(outcome(create), outcome(delete))) in {("OK", "GROUP_IN_USE"), ("GROUP_NOT_FOUND", "OK")}
    assert await sound(shop)
