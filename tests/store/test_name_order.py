"""Lists by name have the order of the Unicode Collation Algorithm, and each row once while older rows still lack their key."""

import asyncio
import itertools
from uuid import UUID

import pytest

from mercato_server import demo
from mercato_server.background import backfills
from mercato_server.background.backfills import keep_filling
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import BY_NAME, Category, CategoryDraft, Product, ProductDraft, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, PageTokens, Position
from mercato_server.store import bulk, catalog, categories, product_lists, search_documents, shipping_zones
from mercato_server.store import demo as demo_shop
from mercato_server.store.bulk import Incoming
from mercato_server.store.verify import verify
from support.databases import WRITE_OLD_DOCUMENTS
from support.patience import until

# In the order of the published table; tests/unit/test_name_keys.py has its weights. Each name has "tea" as a word.
NAMES = [
    "7 tea",
    "Ångström tea",
    "Äpfel tea",
    "apple tea",
    "Apple tea",
    "éclair tea",
    "Œuvre tea",
    "ß tea",
    "Zebra tea",
    "Чай tea",
    "苹果 tea",
]
# As the previous release leaves rows: without a key, or with that of an earlier name.
INSERT_OLD_PRODUCTS = """
WITH added AS (
    INSERT INTO products (name, description, price_minor, currency_code, category_id, image_urls)
    SELECT name, '', 1, 'USD', $2, '{}' FROM unnest($1::text[]) AS name
    RETURNING id
)
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 0 FROM added
"""
EVERYTHING = ProductFilter()
WITHOUT_KEY = "SELECT (SELECT count(*) FROM products WHERE name_key = '') + (SELECT count(*) FROM categories WHERE name_key = '')"


async def sell(pool: "Pool", name: str, category_id: UUID | None = None) -> Product:
    product = await catalog.create(pool, ProductDraft(name=name, price_minor=100, category_id=category_id), COMMAND_LINE)
    assert isinstance(product, Product)
    return product


def renaming(category_id: UUID, name: str | None = None) -> categories.Update:
    fields = [] if name is None else ["name"]
    return categories.Update(category_id=category_id, draft=CategoryDraft(name=name or ""), fields=fields, actor=COMMAND_LINE)


async def group(pool: "Pool", name: str) -> Category:
    category = await categories.create(pool, CategoryDraft(name=name), COMMAND_LINE)
    assert isinstance(category, Category)
    return category


async def pages(pool: "Pool", order: ProductOrder = ProductOrder.NAME, size: int = 2, wanted: ProductFilter = EVERYTHING) -> list[str]:
    """Return the names of a whole list, read page by page with tokens."""
    tokens, names, after = PageTokens("x"), list[str](), None
    while True:
        found, after, *_ = await product_lists.products(pool, wanted, order, Page(size, after))
        names += [product.name for product in found]
        if after is None:
            return names
        after = tokens.decode(tokens.encode(after, ""), "")


def filters(category_id: UUID) -> list[ProductFilter]:
    """Return the conditions of each way to read a list by name."""
    kinds = itertools.product((None, "tea"), (None, category_id))
    return [ProductFilter(query=query, category_id=within) for query, within in kinds]


async def category_names(pool: "Pool", size: int = 2) -> list[str]:
    names, after = list[str](), None
    while True:
        found, after = await categories.categories(pool, Page(size, after))
        names += [category.name for category in found]
        if after is None:
            return names


async def violated(pool: "Pool") -> list[str]:
    async with pool.acquire() as conn:
        return [finding.invariant.name for finding in await verify(conn) if finding.violations]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_every_list_by_name_is_sorted_by_the_algorithm_in_both_directions(pool: "Pool", size: int) -> None:
    category = await group(pool, "Teas")
    for name in NAMES[::2] + NAMES[1::2]:
        await sell(pool, name, category.id)
    await sell(pool, "A cup")
    for wanted in filters(category.id)[1:]:
        assert await pages(pool, size=size, wanted=wanted) == NAMES
        assert await pages(pool, ProductOrder.NAME_DESCENDING, size, wanted) == NAMES[::-1]
    assert await pages(pool, size=size) == ["7 tea", "A cup", *NAMES[1:]]


async def test_categories_are_sorted_by_the_algorithm_also_after_a_rename(pool: "Pool") -> None:
    made = [await group(pool, name) for name in reversed(NAMES)]
    assert await category_names(pool) == NAMES
    await categories.update(pool, renaming(made[0].id, name="Ähren"))
    assert await category_names(pool) == ["7 tea", "Ähren", *NAMES[1:-1]]
    await categories.update(pool, renaming(made[0].id))
    assert await category_names(pool) == ["7 tea", "Ähren", *NAMES[1:-1]]
    assert await categories.renew_keys(pool) == 0


async def test_shipping_zones_of_an_older_rule_are_listed_once_and_sorted_when_their_keys_are_made(pool: "Pool") -> None:
    await pool.execute(
        "INSERT INTO shipping_zones (name, name_key, name_key_rule) SELECT name, '', 0 FROM unnest($1::text[]) AS name", NAMES
    )

    async def listed() -> list[str]:
        names, after = list[str](), None
        while True:
            found, after = await shipping_zones.zones(pool, Page(2, after), archived=False)
            names += [record.zone.name for record in found]
            if after is None:
                return names

    assert sorted(await listed()) == sorted(NAMES)
    renewing = asyncio.create_task(keep_filling(pool, backfills.renew, interval_s=0.01))

    async def keyed() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM shipping_zones WHERE name_key = ''")

    await until(keyed)
    renewing.cancel()
    assert await listed() == NAMES
    assert await shipping_zones.renew_keys(pool) == 0


async def test_equal_keys_have_each_row_once(pool: "Pool") -> None:
    for _ in range(5):
        await sell(pool, "Åland tea")
        await sell(pool, "A\u030aland tea")
    for order in BY_NAME:
        assert len(await pages(pool, order, 3)) == 10


async def test_renames_imports_and_the_demo_shop_write_the_keys(pool: "Pool", settings: Settings) -> None:
    groups, goods = demo.catalog()
    assert await demo_shop.load(settings.database_url, "USD", groups, goods)
    rows = [Incoming("X-1", "Éclair", None, 100, "Ölsorten", 1, None), Incoming(goods[0].sku, "Ähre", None, 100, None, 1, None)]
    await bulk.write(pool, rows, "test.csv", COMMAND_LINE)
    renamed: UUID = await pool.fetchval("SELECT id FROM products WHERE sku = $1", goods[1].sku)
    change = catalog.Update(product_id=renamed, draft=ProductDraft(name="Ærø"), fields=["name"], etags=(), actor=COMMAND_LINE)
    await catalog.update(pool, change)
    assert await pool.fetchval(WITHOUT_KEY) == 0
    names = await pages(pool, size=50)
    assert len(names) == len(goods) + 1
    assert [name for name in names if name in {"Éclair", "Ähre", "Ærø"}] == ["Ærø", "Ähre", "Éclair"]
    assert await violated(pool) == []


async def test_rows_of_the_previous_release_are_listed_once_and_sorted_when_their_keys_are_made(pool: "Pool") -> None:
    group_id: UUID = await pool.fetchval("INSERT INTO categories (name) VALUES ('Teas') RETURNING id")
    await pool.execute("INSERT INTO categories (name) SELECT unnest($1::text[])", NAMES)
    await pool.execute(INSERT_OLD_PRODUCTS, NAMES[::2], group_id)
    await pool.execute(WRITE_OLD_DOCUMENTS)
    for name in NAMES[1::2]:
        await sell(pool, name, group_id)
    for wanted, order in itertools.product(filters(group_id), BY_NAME):
        assert sorted(await pages(pool, order, wanted=wanted)) == sorted(NAMES)
    assert sorted(await category_names(pool)) == sorted([*NAMES, "Teas"])
    assert await violated(pool) == []

    renewing = asyncio.create_task(keep_filling(pool, backfills.renew, interval_s=0.01))

    async def keyed() -> bool:
        return bool(await pool.fetchval(WITHOUT_KEY) == 0)

    await until(keyed)
    renewing.cancel()
    for wanted in filters(group_id):
        assert await pages(pool, wanted=wanted) == NAMES
    assert await category_names(pool) == [*NAMES[:8], "Teas", *NAMES[8:]]
    assert await violated(pool) == []


async def test_a_name_that_the_previous_release_changes_gets_its_key(pool: "Pool") -> None:
    for name in ("Äpfel", "Birne"):
        await sell(pool, name)
        await group(pool, name)
    await pool.execute("UPDATE products SET name = 'Zebra' WHERE name = 'Äpfel'")
    await pool.execute("UPDATE categories SET name = 'Zebra' WHERE name = 'Äpfel'")
    await pool.execute(WRITE_OLD_DOCUMENTS)
    assert (await pages(pool), await category_names(pool)) == (["Zebra", "Birne"], ["Zebra", "Birne"])
    assert (await search_documents.renew(pool), await categories.renew_keys(pool)) == (2, 1)
    assert (await pages(pool), await category_names(pool)) == (["Birne", "Zebra"], ["Birne", "Zebra"])
    assert (await search_documents.renew(pool), await categories.renew_keys(pool)) == (0, 0)
    assert await violated(pool) == []


async def test_the_longest_names_are_indexed_and_have_short_tokens(pool: "Pool") -> None:
    names = ["\ufdfa" * 199 + end for end in "ab"] + ["W" * 200, "🎸" * 200]
    for name in names:
        await sell(pool, name)
        await group(pool, name[-100:])
    assert sorted(await pages(pool, size=1)) == sorted(names)
    found, last, *_ = await product_lists.products(pool, ProductFilter(), ProductOrder.NAME_DESCENDING, Page(1))
    assert last
    token = PageTokens("x").encode(Position(last.key, last.id, "w" * 200), "")
    assert len(token) < 4_096
    assert token.replace("-", "").replace("_", "").isalnum()
    assert PageTokens("x").decode(token, "") == Position(last.key, found[0].id, "w" * 200)
