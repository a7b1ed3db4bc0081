"""Searches of products: what they find, in which order, and through which pages."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import ProductDraft, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.store import bulk, catalog, product_lists
from mercato_server.store.bulk import Incoming

RANKED_MAX = Limits().search_ranked_max

# 180 products on more than a hundred shelves, so that a search for all of them reads every part; every third is in the category.
FILL_SHELVES = """
WITH category AS (INSERT INTO categories (name) VALUES ('Balls') RETURNING id), made AS (
    INSERT INTO products (name, description, price_minor, currency_code, category_id, image_urls, number)
    OVERRIDING SYSTEM VALUE
    SELECT 'Ball ' || to_char(n * 7 % 180, 'FM000'), '', n * 11 % 180, 'USD', CASE WHEN n % 3 = 0 THEN category.id END, '{}', n * 3000
      FROM category, generate_series(1, 180) AS n
     ORDER BY n
    RETURNING id, category_id
), stocked AS (
    INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM made
)
SELECT category_id FROM made
"""


async def sell(pool: "Pool", *names: str) -> None:
    """Put products on sale, one after the other."""
    for name in names:
        await catalog.create(pool, ProductDraft(name=name, price_minor=100), COMMAND_LINE)


async def pages(pool: "Pool", wanted: ProductFilter, order: ProductOrder, size: int) -> list[str]:
    """Return the names of a list that is read to its end."""
    names: list[str] = []
    after: Position | None = None
    while True:
        found, after, _ = await product_lists.products(pool, wanted, order, Page(size, after))
        names += [product.name for product in found]
        if after is None:
            return names


async def search(pool: "Pool", query: str) -> list[str]:
    return await pages(pool, ProductFilter(query=query), ProductOrder.RELEVANCE, 100)


def sorted_by(order: ProductOrder) -> Sequence[str]:
    """Return the names of FILL_SHELVES as a list in this order has them; by relevance all are alike, and the newest are first."""
    numbers = range(1, 181)
    rows = [(n, n * 11 % 180, f"Ball {n * 7 % 180:03}") for n in numbers]
    keys = {ProductOrder.CHEAPEST: 1, ProductOrder.DEAREST: 1, ProductOrder.NAME: 2, ProductOrder.NAME_DESCENDING: 2}
    key = keys.get(order, 0)
    return [row[2] for row in sorted(rows, key=lambda row: (row[key], row[0]), reverse=order.descending)]


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_pages_go_on_from_shelf_to_shelf_without_holes_or_repeats(pool: "Pool", order: ProductOrder) -> None:
    await pool.execute(FILL_SHELVES)
    category_id: UUID = await pool.fetchval("SELECT id FROM categories")
    expected = sorted_by(order)
    for size in (7, 100):
        assert await pages(pool, ProductFilter(query="balls"), order, size) == expected
    few = [name for name in expected if name in await in_category(pool)]
    assert len(few) == 60
    assert await pages(pool, ProductFilter(query="ball", category_id=category_id), order, 7) == few
    found, *_ = await product_lists.products(pool, ProductFilter(query="ball"), order, Page(5, skip=170))
    assert [product.name for product in found] == expected[170:175]


async def in_category(pool: "Pool") -> set[str]:
    return {row["name"] for row in await pool.fetch("SELECT name FROM products WHERE category_id IS NOT NULL")}


async def test_by_relevance_the_newest_matches_are_ranked_the_same_way_each_time(pool: "Pool") -> None:
    await pool.execute(
        "INSERT INTO products (name, description, price_minor, currency_code, image_urls)"
        " SELECT CASE WHEN n % 5 = 0 THEN 'Ball ' ELSE 'Bag ' END || n, 'for a ball', 1, 'USD', '{}'"
        " FROM generate_series(1, 300) AS n ORDER BY n;"
        "INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM products"
    )
    numbers = range(300, 300 - RANKED_MAX, -1)
    expected = [f"Ball {n}" for n in numbers if n % 5 == 0] + [f"Bag {n}" for n in numbers if n % 5]
    for size in (30, 100):
        assert await pages(pool, ProductFilter(query="ball"), ProductOrder.RELEVANCE, size) == expected
    assert await product_lists.count(pool, ProductFilter(query="ball"), 10_000) == 300


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kestrel helmets", ["Kestrel Bike Helmet 12"]),
        ("kestrl helmet", ["Kestrel Bike Helmet 12"]),  # dropped
        ("kesttrel", ["Kestrel Bike Helmet 12"]),  # doubled
        ("kestral", ["Kestrel Bike Helmet 12"]),  # changed
        ("glvoes", ["Crème Gloves"]),  # swapped
        ("creme golves", ["Crème Gloves"]),
        ("crêm gloves", ["Crème Gloves"]),
        ("kestrl 12", ["Kestrel Bike Helmet 12"]),
        ("kestrl 13", []),  # a number that is nearly right is another one
        ("kestrl the zzzzzz", ["Kestrel Bike Helmet 12"]),
        ("kestrl gloves", []),  # no product has both
        ("kestrl -gloves", ["Kestrel Bike Helmet 12"]),
        ("'kestrl' & (!", ["Kestrel Bike Helmet 12"]),
    ],
)
async def test_a_typo_is_corrected_to_the_words_that_are_spelled_most_like_it(pool: "Pool", query: str, expected: list[str]) -> None:
    await sell(pool, "Kestrel Bike Helmet 12", "Crème Gloves")
    assert await search(pool, query) == expected


async def test_parts_of_a_compound_are_corrected_and_what_is_excluded_is_not_asked_for(pool: "Pool") -> None:
    await sell(pool, "Cotton T-Shirt", "Phone Case, red", "Phone Holder")
    assert await search(pool, "t-shrit") == ["Cotton T-Shirt"]
    assert sorted(await search(pool, 'phoen -"red case"')) == ["Phone Case, red", "Phone Holder"]


async def test_what_is_spelled_as_asked_is_found_without_what_is_only_like_it(pool: "Pool") -> None:
    await sell(pool, "Kestral Helmet", "Kestrel Helmet")
    assert await search(pool, "kestral") == ["Kestral Helmet"]
    assert await search(pool, "kestrel") == ["Kestrel Helmet"]
    assert await search(pool, "kestril") == ["Kestrel Helmet", "Kestral Helmet"]


async def test_a_name_that_is_more_like_a_typo_comes_first(pool: "Pool") -> None:
    await sell(pool, "Basketball", "Basket")
    assert await search(pool, "bascketball") == ["Basketball"]
    assert await search(pool, "baskett") == ["Basket", "Basketball"]


async def test_words_are_known_from_creation_renaming_and_import(pool: "Pool") -> None:
    await sell(pool, "Kestrel")
    [product], *_ = await product_lists.products(pool, ProductFilter(query="kestrl"), ProductOrder.NEWEST, Page(1))
    change = catalog.Update(
        product_id=product.id, draft=ProductDraft(name="Lapwing", price_minor=100), fields=["name"], etag=None, actor=COMMAND_LINE
    )
    await catalog.update(pool, change)
    assert await search(pool, "kestrl") == []
    assert await search(pool, "lapwng") == ["Lapwing"]
    await bulk.write(pool, [Incoming("S", "Osprey", "", 100, None, 1, [])], "test.csv", COMMAND_LINE)
    assert await search(pool, "ospray") == ["Osprey"]


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_pages_of_a_corrected_search_go_on_as_they_began(pool: "Pool", order: ProductOrder) -> None:
    await sell(pool, *(f"Kestrel {number}" for number in range(5)))
    wanted = ProductFilter(query="kestrl")
    expected = await pages(pool, wanted, order, 100)
    first, after, _ = await product_lists.products(pool, wanted, order, Page(2))
    await sell(pool, "Kestrl")  # from now on the query finds something as it is
    assert after is not None
    assert await product_lists.count(pool, wanted, 10, after.spelling) == 5
    second, after, _ = await product_lists.products(pool, wanted, order, Page(2, after))
    third, end, _ = await product_lists.products(pool, wanted, order, Page(2, after))
    assert [product.name for product in (*first, *second, *third)] == expected
    assert (len(expected), end) == (5, None)
    assert await pages(pool, wanted, order, 2) == ["Kestrl"]


async def test_only_a_query_that_finds_nothing_is_corrected(pool: "Pool") -> None:
    await sell(pool, "Kestral", "Kestrel", "Kestrel 2")
    wanted = ProductFilter(query="kestral")
    assert (await product_lists.products(pool, wanted, ProductOrder.RELEVANCE, Page(20, skip=1)))[:2] == ([], None)
    assert await product_lists.count(pool, wanted, 10) == 1
    assert await product_lists.count(pool, ProductFilter(query="kestril"), 10) == 3
    assert await product_lists.count(pool, ProductFilter(query="zzzzzz"), 10) == 0
    found, *_ = await product_lists.products(pool, ProductFilter(query="kestril"), ProductOrder.OLDEST, Page(20, skip=1))
    assert [product.name for product in found] == ["Kestrel", "Kestrel 2"]
