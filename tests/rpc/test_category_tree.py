"""The tree of categories: parents, limits, lists with subcategories, and moves under races."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductRequest,
    GetCategoryRequest,
    ListCategoriesRequest,
    ListProductsRequest,
    Product,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import CategoryDraft
from mercato_server.store import categories, category_tree, slugs
from mercato_server.store.verify import verify
from support.patience import until
from support.shop import Person, Shop, refusal

WRITER_WAITS = """
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
     WHERE datname = current_database() AND relation = 'categories'::regclass AND NOT granted)
"""
ORDERS = ("create_time desc", "create_time", "price", "price desc", "name", "name desc")


async def grow(shop: Shop, admin: Person, name: str, parent: Category | None = None, **fields: Any) -> Category:
    draft = Category(name=name, parent_id=parent.id if parent else "", **fields)
    return await shop.catalog.CreateCategory(CreateCategoryRequest(category=draft), metadata=admin.metadata)


async def move(shop: Shop, admin: Person, category: Category, parent: Category | None) -> Category:
    changed = Category(id=category.id, parent_id=parent.id if parent else "")
    request = UpdateCategoryRequest(category=changed, update_mask=FieldMask(paths=["parent_id"]))
    return await shop.catalog.UpdateCategory(request, metadata=admin.metadata)


async def sell(shop: Shop, admin: Person, name: str, price: int, category: Category) -> Product:
    draft = Product(name=name, price=Money(minor_units=price), category_id=category.id, stock=price % 3)
    return await shop.catalog.CreateProduct(CreateProductRequest(product=draft), metadata=admin.metadata)


async def listed(shop: Shop, admin: Person | None = None, page_size: int = 2, **query: Any) -> list[str]:
    """Return the names of a list, read in small pages."""
    names, token, metadata = [], "", admin.metadata if admin else ()
    while True:
        request = ListProductsRequest(page_size=page_size, page_token=token, **query)
        page = await shop.catalog.ListProducts(request, metadata=metadata)
        names += [product.name for product in page.products]
        if not (token := page.next_page_token):
            return names


async def sound(shop: Shop) -> bool:
    async with shop.pool.acquire() as conn:
        return not any(finding.violations for finding in await verify(conn))


async def test_a_category_has_the_place_that_it_is_given(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    sports = await grow(shop, admin, "Sports", description="Everything that moves", position=3)
    balls = await grow(shop, admin, "Balls", sports)
    old = await grow(shop, admin, "Old Balls", balls)
    assert (sports.parent_id, sports.position, sports.description, sports.slug) == ("", 3, "Everything that moves", "sports")
    assert list(old.ancestor_ids) == [sports.id, balls.id]
    assert await shop.catalog.GetCategory(GetCategoryRequest(category_id=old.id)) == old
    absent = CreateCategoryRequest(category=Category(name="X", parent_id=str(uuid.uuid4())))
    assert (await refusal(shop.catalog.CreateCategory(absent, metadata=admin.metadata))).reason == "CATEGORY_NOT_FOUND"


async def test_categories_of_one_parent_are_listed_by_position_then_by_name(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    sports = await grow(shop, admin, "Sports", position=1)
    await grow(shop, admin, "Garden")
    for name, position in (("Zebra", 0), ("äpfel", 0), ("Apple", 0), ("First", 7), ("Beta", 7)):
        await grow(shop, admin, name, sports, position=position)

    async def names(**query: Any) -> list[str]:
        found, token = [], ""
        while True:
            page = await shop.catalog.ListCategories(ListCategoriesRequest(page_size=2, page_token=token, **query))
            found += [category.name for category in page.categories]
            if not (token := page.next_page_token):
                return found

    assert await names(parent_id=sports.id) == ["äpfel", "Apple", "Zebra", "Beta", "First"]
    assert await names(roots=True) == ["Garden", "Sports"]
    assert await names() == ["äpfel", "Apple", "Beta", "First", "Garden", "Sports", "Zebra"]
    assert (await refusal(shop.catalog.ListCategories(ListCategoriesRequest(parent_id=sports.id, roots=True)))).fields == ["roots"]
    other = await shop.catalog.ListCategories(ListCategoriesRequest(page_size=1, parent_id=sports.id))
    mixed = shop.catalog.ListCategories(ListCategoriesRequest(page_token=other.next_page_token, roots=True))
    assert (await refusal(mixed)).reason == "PAGE_TOKEN_INVALID"


async def test_every_list_of_a_category_has_the_products_of_its_subcategories(shop: Shop) -> None:
    """The expected lists are sorted here; names are of small letters, so their order is that of the alphabet."""
    admin = await shop.person(admin=True)
    sports = await grow(shop, admin, "Sports")
    balls = await grow(shop, admin, "Balls", sports)
    old = await grow(shop, admin, "Old Balls", balls)
    other = await grow(shop, admin, "Garden")
    goods = [
        (f"{letter} ball", 100 + 7 * number % 11, (sports, balls, old, other)[number % 4]) for number, letter in enumerate("qwertyuiopas")
    ]
    for name, price, category in goods:
        await sell(shop, admin, name, price, category)
    for category, inside in ((sports, {sports.id, balls.id, old.id}), (balls, {balls.id, old.id}), (old, {old.id}), (other, {other.id})):
        rows = [(name, price, number) for number, (name, price, at) in enumerate(goods) if at.id in inside]
        expected = {
            "create_time": [row[0] for row in rows],
            "price": [row[0] for row in sorted(rows, key=lambda row: (row[1], row[2]))],
            "name": [row[0] for row in sorted(rows)],
        }
        for order in ORDERS:
            wanted = expected[order.removesuffix(" desc")]
            wanted = wanted[::-1] if order.endswith("desc") else wanted
            for q in ("", "ball"):
                assert await listed(shop, category_id=category.id, order_by=order, q=q) == wanted, (category.name, order, q)
        assert set(await listed(shop, category_id=category.id, q="ball")) == {row[0] for row in rows}
        in_stock = await listed(shop, category_id=category.id, in_stock=True, order_by="create_time")
        assert in_stock == [name for name, price, _ in rows if price % 3]
        cheap = await listed(shop, category_id=category.id, max_price=105, order_by="create_time")
        assert cheap == [name for name, price, _ in rows if price <= 105]
        skipped = await listed(shop, category_id=category.id, skip=1, page_size=100, order_by="price")
        assert skipped == expected["price"][1:]
        size = await shop.catalog.ListProducts(ListProductsRequest(category_id=category.id, include_total_size=True))
        assert size.total_size == len(rows)
    assert await sound(shop)


async def test_lists_follow_products_that_are_changed_moved_deleted_and_brought_back(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    sports, garden = await grow(shop, admin, "Sports"), await grow(shop, admin, "Garden")
    balls = await grow(shop, admin, "Balls", sports)
    ball, bat = await sell(shop, admin, "Ball", 5, balls), await sell(shop, admin, "Bat", 4, balls)

    async def change(**fields: Any) -> None:
        await shop.catalog.UpdateProduct(UpdateProductRequest(product=Product(id=ball.id, **fields)), metadata=admin.metadata)

    assert await listed(shop, category_id=sports.id, order_by="price") == ["Bat", "Ball"]
    await change(price=Money(minor_units=3))
    assert await listed(shop, category_id=sports.id, order_by="price") == ["Ball", "Bat"]
    await change(name="Zeppelin")
    assert await listed(shop, category_id=sports.id, order_by="name") == ["Bat", "Zeppelin"]
    await change(category_id=garden.id)
    assert (await listed(shop, category_id=sports.id), await listed(shop, category_id=garden.id)) == (["Bat"], ["Zeppelin"])
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=bat.id), metadata=admin.metadata)
    assert await listed(shop, category_id=sports.id) == []
    for shown in ({"show_deleted": True}, {"only_deleted": True}):
        assert await listed(shop, admin, category_id=sports.id, **shown) == ["Bat"]
    await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=bat.id), metadata=admin.metadata)
    assert await listed(shop, category_id=sports.id) == ["Bat"]
    assert await sound(shop)


async def test_a_moved_category_leaves_the_lists_above_it_and_enters_others_at_once(shop: Shop) -> None:
    """The lists are in the cache before each move."""
    admin = await shop.person(admin=True)
    sports, garden = await grow(shop, admin, "Sports"), await grow(shop, admin, "Garden")
    balls = await grow(shop, admin, "Balls", sports)
    old = await grow(shop, admin, "Old Balls", balls)
    await sell(shop, admin, "Relic", 1, old)

    async def lists() -> tuple[bool, ...]:
        return tuple([bool(await listed(shop, category_id=at.id, q=q)) for at in (sports, garden, balls, old) for q in ("", "relic")])

    yes, no = (True, True), (False, False)
    assert await lists() == (*yes, *no, *yes, *yes)
    moved = await move(shop, admin, balls, garden)
    assert list(moved.ancestor_ids) == [garden.id]
    assert await lists() == (*no, *yes, *yes, *yes)
    await move(shop, admin, balls, None)
    assert await lists() == (*no, *no, *yes, *yes)
    await move(shop, admin, old, sports)
    assert await lists() == (*yes, *no, *no, *yes)
    assert await sound(shop)


async def test_a_category_does_not_get_below_itself(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    sports = await grow(shop, admin, "Sports")
    balls = await grow(shop, admin, "Balls", sports)
    for below in (sports, balls):
        error = await refusal(move(shop, admin, sports, below))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CATEGORY_CYCLE")
        assert error.metadata["parent_id"] == below.id
    assert await shop.catalog.GetCategory(GetCategoryRequest(category_id=sports.id)) == sports


async def test_the_tree_has_limits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await shop.person(admin=True)
    chain: list[Category] = []
    for level in range(8):
        chain.append(await grow(shop, admin, f"Level {level}", chain[-1] if chain else None))
    pair = await grow(shop, admin, "Pair")
    await grow(shop, admin, "Below", pair)
    for call in (grow(shop, admin, "Deep", chain[-1]), move(shop, admin, pair, chain[6])):
        error = await refusal(call)
        assert (error.code, error.reason, error.metadata["most"]) == (StatusCode.FAILED_PRECONDITION, "CATEGORY_LIMIT", "8")
    monkeypatch.setattr(category_tree, "SUBCATEGORIES_MAX", 1)
    for call in (grow(shop, admin, "Wide", chain[0]), move(shop, admin, pair, chain[0])):
        assert (await refusal(call)).reason == "CATEGORY_LIMIT"
    for name in ("a", "b"):
        await sell(shop, admin, name, 1, chain[-1])
    change = categories.Update(
        category_id=uuid.UUID(chain[7].id), draft=CategoryDraft(), fields=["parent_id"], actor=COMMAND_LINE, moved_max=1
    )
    with pytest.raises(Exception, match="at most 1 products"):
        await categories.update(shop.pool, change)
    assert await sound(shop)


async def test_a_category_in_use_is_not_deleted_and_the_refusal_counts_its_uses(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    sports = await grow(shop, admin, "Sports")
    balls = await grow(shop, admin, "Balls", sports)
    for number in range(3):
        await sell(shop, admin, f"Ball {number}", 1, sports)
    request = DeleteCategoryRequest(category_id=sports.id)
    error = await refusal(shop.catalog.DeleteCategory(request, metadata=admin.metadata))
    assert error.reason == "CATEGORY_IN_USE"
    assert (error.metadata["products"], error.metadata["subcategories"]) == ("3", "1")
    await shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=balls.id), metadata=admin.metadata)
    assert (await refusal(shop.catalog.DeleteCategory(request, metadata=admin.metadata))).metadata["subcategories"] == "0"


async def test_racing_moves_make_no_ring(shop: Shop, race_rounds: int) -> None:
    """Each round two categories are moved below each other; one of the moves is refused."""
    admin = await shop.person(admin=True)
    first, second = await grow(shop, admin, "First"), await grow(shop, admin, "Second")
    for _ in range(race_rounds):
        done = await asyncio.gather(move(shop, admin, first, second), move(shop, admin, second, first), return_exceptions=True)
        assert sum(isinstance(each, Category) for each in done) == 1
        assert await shop.pool.fetchval("SELECT count(*) FROM categories WHERE parent_id IS NULL") == 1
        for category in (first, second):
            await move(shop, admin, category, None)
    assert await sound(shop)


async def test_random_moves_beside_changes_of_products_leave_a_tree_and_right_lists(shop: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    nodes = [await grow(shop, admin, f"Node {number}") for number in range(6)]
    goods = [await sell(shop, admin, f"Thing {number}", number, nodes[number % 6]) for number in range(12)]
    dice = random.Random(15)  # noqa: S311 - no secret

    async def rearrange(count: int) -> None:
        for _ in range(count):
            node, parent = dice.sample(nodes, 2)
            await attempt(move(shop, admin, node, dice.choice([parent, None])))

    async def trade(count: int) -> None:
        for _ in range(count):
            changed = Product(id=dice.choice(goods).id, category_id=dice.choice(nodes).id, price=Money(minor_units=dice.randrange(100)))
            await attempt(shop.catalog.UpdateProduct(UpdateProductRequest(product=changed), metadata=admin.metadata))

    for _ in range(race_rounds):
        await asyncio.gather(rearrange(3), rearrange(3), trade(4), trade(4))
    assert await sound(shop)
    for node in nodes:
        await move(shop, admin, node, None)
    assert await shop.pool.fetchval("SELECT count(*) FROM category_listings") == 0
    await sell(shop, admin, "Last thing", 1, nodes[0])
    await move(shop, admin, nodes[0], nodes[1])
    assert await shop.pool.fetchval("SELECT count(*) FROM category_listings") > 0
    assert await sound(shop)


async def attempt(call: Any) -> None:
    """Make a call that may be refused for a ring, the depth, or a conflict."""
    try:
        await call
    except Exception as error:
        if not any(reason in str(error) for reason in ("below it", "levels", "CONFLICT", "concurrent")):
            raise


async def test_a_move_waits_for_a_product_that_enters_the_subtree(shop: Shop) -> None:
    """The product is written before the move and committed after it has begun."""
    admin = await shop.person(admin=True)
    sports, garden = await grow(shop, admin, "Sports"), await grow(shop, admin, "Garden")
    balls = await grow(shop, admin, "Balls", sports)
    ball = await sell(shop, admin, "Ball", 1, garden)
    async with shop.pool.acquire() as conn:
        await conn.execute("BEGIN")
        await conn.execute("UPDATE products SET category_id = $2 WHERE id = $1", uuid.UUID(ball.id), uuid.UUID(balls.id))
        await conn.execute(
            "UPDATE product_search SET category_ids = ARRAY[$2::uuid] WHERE product_id = $1", uuid.UUID(ball.id), uuid.UUID(balls.id)
        )
        moving = asyncio.create_task(move(shop, admin, balls, garden))
        await until(lambda: shop.pool.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
        await conn.execute("COMMIT")
    await moving
    assert await listed(shop, category_id=garden.id) == ["Ball"]
    assert await sound(shop)


async def test_products_and_categories_without_a_slug_get_one(shop: Shop) -> None:
    """As the previous release leaves them."""
    await shop.pool.execute("INSERT INTO categories (name) VALUES ('Bälle'), ('Balle')")
    while await slugs.give_missing(shop.pool):
        pass
    found: Sequence[str] = [row["slug"] for row in await shop.pool.fetch("SELECT slug FROM categories ORDER BY length(slug)")]
    assert found[0] == "balle"
    assert found[1].startswith("balle-")
    assert await sound(shop)


@pytest.mark.parametrize("writer", ["name", "slug", "missing slug", "old key"])
async def test_a_writer_of_a_category_holds_no_row_while_it_waits_for_a_change_of_the_tree(shop: Shop, writer: str) -> None:
    admin = await shop.person(admin=True)
    balls = await grow(shop, admin, "Balls")
    changed = Category(id=balls.id, name="Games") if writer == "name" else Category(id=balls.id, slug="games")
    waiting: asyncio.Future[Any]
    await shop.pool.execute("DELETE FROM slugs WHERE $1 = 'missing slug'", writer)
    await shop.pool.execute("UPDATE categories SET slug = NULL WHERE $1 = 'missing slug'", writer)
    await shop.pool.execute("UPDATE categories SET name_key_rule = 0 WHERE $1 = 'old key'", writer)
    async with shop.pool.acquire() as conn, conn.transaction():
        await category_tree.lock(conn)
        match writer:
            case "missing slug":
                waiting = asyncio.ensure_future(slugs.give_missing(shop.pool))
            case "old key":
                waiting = asyncio.ensure_future(categories.renew_keys(shop.pool))
            case _:
                waiting = asyncio.ensure_future(
                    shop.catalog.UpdateCategory(UpdateCategoryRequest(category=changed), metadata=admin.metadata)
                )
        await until(lambda: conn.fetchval(WRITER_WAITS), "the writer waits")
        assert await conn.fetchval("SELECT id::text FROM categories FOR NO KEY UPDATE SKIP LOCKED") == balls.id
    assert await waiting
