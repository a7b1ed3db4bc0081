"""Searches of products find the right products, in the right order, across pages."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import ANY
from uuid import UUID

import pytest

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import BY_NAME, Category, CategoryDraft, ProductDraft, ProductFilter, ProductOrder
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.paging import Page, Position
from mercato_server.store import bulk, catalog, categories, product_lists
from mercato_server.store import search as searches
from mercato_server.store.bulk import Incoming
from mercato_server.store.verify import Finding, verify
from support.databases import index_products

BY_KEY = (ProductOrder.CHEAPEST, ProductOrder.DEAREST, *BY_NAME)
RANKED_MAX = Limits().search_ranked_max

# 180 products on more than a hundred shelves, so that a search for all of them reads many shelves; every third is in the category.
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
    """Insert products one after the other."""
    for name in names:
        await catalog.create(pool, ProductDraft(name=name, price_minor=100), COMMAND_LINE)


async def pages(pool: "Pool", wanted: ProductFilter, order: ProductOrder, size: int) -> list[str]:
    """Return the names of a whole list, read page by page."""
    names: list[str] = []
    after: Position | None = None
    while True:
        found, after, *_ = await product_lists.products(pool, wanted, order, Page(size, after))
        names += [product.name for product in found]
        if after is None:
            return names


async def search(pool: "Pool", query: str) -> list[str]:
    return await pages(pool, ProductFilter(query=query), ProductOrder.RELEVANCE, 100)


def sorted_by(order: ProductOrder) -> Sequence[str]:
    """Return the names of FILL_SHELVES in the expected order. By relevance all are equal, so the newest are first."""
    numbers = range(1, 181)
    rows = [(n, n * 11 % 180, f"Ball {n * 7 % 180:03}") for n in numbers]
    keys = {ProductOrder.CHEAPEST: 1, ProductOrder.DEAREST: 1, ProductOrder.NAME: 2, ProductOrder.NAME_DESCENDING: 2}
    key = keys.get(order, 0)
    return [row[2] for row in sorted(rows, key=lambda row: (row[key], row[0]), reverse=order.descending)]


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_pages_go_on_from_shelf_to_shelf_without_holes_or_repeats(pool: "Pool", order: ProductOrder) -> None:
    await pool.execute(FILL_SHELVES)
    await index_products(pool)
    category_id: UUID = await pool.fetchval("SELECT id FROM categories")
    expected = sorted_by(order)
    for size in (7, 100):
        assert await pages(pool, ProductFilter(query="balls"), order, size) == expected
    few = [name for name in expected if name in await in_category(pool)]
    assert len(few) == 60
    assert await pages(pool, ProductFilter(query="ball", category_id=category_id), order, 7) == few
    found, *_ = await product_lists.products(pool, ProductFilter(query="ball"), order, Page(5, skip=170))
    assert [product.name for product in found] == expected[170:175]


# Names of one letter and more, one with a weight of FFFF on the border of its shelf, with prices of all sizes, many of them equal. Each
# fourth is no match, each fifth is not in stock, and each third is in the category.
PREFIXES = ("", "A", "a", "Ab", "ab", "É", "ß", "Zzz", "苹果", "茶翿", "Name", "Name of one brand", "7", "!")
FILL_KEY_SHELVES = """
WITH category AS (INSERT INTO categories (name) VALUES ('Odd') RETURNING id), made AS (
    INSERT INTO products (name, description, price_minor, currency_code, category_id, image_urls)
    SELECT name, CASE WHEN n % 4 > 0 THEN 'tea' ELSE '' END, price_minor, 'USD', CASE WHEN n % 3 = 0 THEN category.id END, '{}'
      FROM category, unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS row (name, price_minor, n)
     ORDER BY n
    RETURNING id
)
INSERT INTO stock_levels (product_id, on_hand)
SELECT id, (row_number() OVER (ORDER BY id) % 5)::integer FROM made
"""
ODD_PRICES = (0, 1, 7, 9, 10, 99, 100, 109, 110, 999, 1_000_000)
FORGET_KEYS = """
UPDATE products SET name_key = '' WHERE name LIKE 'Zzz%';
UPDATE product_search SET name_key = '' WHERE name LIKE 'Zzz%';
"""
GET_ODD = "SELECT id, name, price_minor, category_id, on_hand FROM products JOIN stock_levels ON product_id = id ORDER BY id"


def odd_key(name: str) -> bytes:
    return b"" if name.startswith("Zzz") else name_key(name)


@pytest.mark.parametrize("walked", [1, 30, 1_000])
async def test_pages_by_price_and_name_go_on_from_the_walk_to_the_shelves(
    pool: "Pool", walked: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(searches, "_LIMITS", Limits(search_walked_max=walked))
    product_lists.list_sql.cache_clear()
    request.addfinalizer(product_lists.list_sql.cache_clear)
    chance = random.Random(walked)  # noqa: S311 - the same shop each time
    prices = [chance.choice((*ODD_PRICES, chance.randrange(20_000), 10 ** chance.randrange(9))) for _ in range(240)]
    names = [f"{chance.choice(PREFIXES)} {chance.choice(('', 'x', n))}".strip() or "-" for n in range(240)]
    await pool.execute(FILL_KEY_SHELVES, names, prices)
    await index_products(pool)
    await pool.execute(FORGET_KEYS)  # as before an upgrade has made them
    rows = [row for index, row in enumerate(await pool.fetch(GET_ODD), 1) if index % 4]
    category_id: UUID = await pool.fetchval("SELECT id FROM categories")
    conditions = [ProductFilter(), ProductFilter(in_stock=True), ProductFilter(min_price_minor=7, max_price_minor=11_000)]
    for order, condition, category in itertools.product(BY_KEY, [*conditions, ProductFilter(max_price_minor=0)], (None, category_id)):
        wanted = replace(condition, query="tea", category_id=category)
        matches = [
            row
            for row in rows
            if category in (None, row["category_id"])
            and row["on_hand"] >= wanted.in_stock
            and (wanted.min_price_minor or 0) <= row["price_minor"]
            and (wanted.max_price_minor is None or row["price_minor"] <= wanted.max_price_minor)
        ]
        keyed = [(odd_key(row["name"]) if order in BY_NAME else row["price_minor"], row["id"], row["name"]) for row in matches]
        expected = [name for *_, name in sorted(keyed, reverse=order.descending)]
        for size in (7, 100):
            assert await pages(pool, wanted, order, size) == expected, (order, wanted)
        found, *_ = await product_lists.products(pool, wanted, order, Page(9, skip=25))
        assert [product.name for product in found] == expected[25:34]


async def in_category(pool: "Pool") -> set[str]:
    return {row["name"] for row in await pool.fetch("SELECT name FROM products WHERE category_id IS NOT NULL")}


async def test_by_relevance_the_newest_matches_are_ranked_the_same_way_each_time(pool: "Pool") -> None:
    await pool.execute(
        "INSERT INTO products (name, description, price_minor, currency_code, image_urls)"
        " SELECT CASE WHEN n % 5 = 0 THEN 'Ball ' ELSE 'Bag ' END || n, 'for a ball', 1, 'USD', '{}'"
        " FROM generate_series(1, 300) AS n ORDER BY n;"
        "INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM products"
    )
    await index_products(pool)
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
        ("kestrl 13", []),  # a similar number is a different number
        ("kestrl the helmet", ["Kestrel Bike Helmet 12"]),
        ("kestrl zzzzzz", []),  # a word that is like none is not left out: an empty page is better than a wrong one
        ("kestrl gloves", []),  # no product has both
        ("kestrl -gloves", ["Kestrel Bike Helmet 12"]),
        ("'kestrl' & (!", ["Kestrel Bike Helmet 12"]),
    ],
)
async def test_a_typo_is_corrected_to_the_word_that_is_spelled_most_like_it(pool: "Pool", query: str, expected: list[str]) -> None:
    await sell(pool, "Kestrel Bike Helmet 12", "Crème Gloves")
    assert await search(pool, query) == expected


NAMES = (
    "Trail Running Shoes",
    "Walking Shoes",
    "COVID-19 Test",
    "ISO 9001 Handbook",
    "Black/White Scarf",
    "M\u00fcsli/Riegel",
    "node.js in Action",
    "The Who \u2013 Quadrophenia",
    "\u82f9\u679c\u624b\u673a",
    "C++ Primer",
    "C# in Depth",
    "Programming in C",
    "AT&T Headset",
    "O\u2019Neill Wetsuit",
    "Jack cable 3.5mm",
    "Wrench 1/2 inch",
    "\uff26\uff35\uff2c\uff2c Width",
    "\u0130zmir Figs",
    "Watering Can",
    "Basketball",
    "\U0001f388 Balloon",
    "\u0e40\u0e2a\u0e37\u0e49\u0e2d\u0e22\u0e37\u0e14",
    "\ud55c\uad6d\uc5b4\ucc45",
    "\u30c6\u30ec\u30d3\u53f0",
    "Caf\u00e9 Table",
)


async def test_names_are_found_as_they_are_typed_and_by_their_parts(pool: "Pool") -> None:
    await sell(pool, *NAMES)
    sku = ProductDraft(name="Lamp", price_minor=100, sku="AB12CD-99X")
    await catalog.create(pool, sku, COMMAND_LINE)
    expected = {
        "shoes -running": ["Walking Shoes"],
        "shoes -runs": ["Walking Shoes"],
        "covid-19": ["COVID-19 Test"],
        "covid 19": ["COVID-19 Test"],
        "covid19": ["COVID-19 Test"],
        "iso 9001": ["ISO 9001 Handbook"],
        "ISO-9001": ["ISO 9001 Handbook"],
        "iso9001": ["ISO 9001 Handbook"],
        "black/white": ["Black/White Scarf"],
        "white": ["Black/White Scarf"],
        "riegel": ["M\u00fcsli/Riegel"],
        "musli": ["M\u00fcsli/Riegel"],
        "node.js": ["node.js in Action"],
        "nodejs": ["node.js in Action"],
        "js": ["node.js in Action"],
        "the who": ["The Who \u2013 Quadrophenia"],
        "\u624b\u673a": ["\u82f9\u679c\u624b\u673a"],
        "\u679c\u624b\u673a": ["\u82f9\u679c\u624b\u673a"],
        "\u673a": ["\u82f9\u679c\u624b\u673a"],
        "\u673a\u624b": [],
        "c++": ["C++ Primer"],
        "c#": ["C# in Depth"],
        "at&t": ["AT&T Headset"],
        "att": ["AT&T Headset"],
        "o'neill": ["O\u2019Neill Wetsuit"],
        "oneill": ["O\u2019Neill Wetsuit"],
        "3.5 mm": ["Jack cable 3.5mm"],
        "3,5mm": ["Jack cable 3.5mm"],
        "35mm": [],
        "1/2 inch": ["Wrench 1/2 inch"],
        "\u00bd inch": ["Wrench 1/2 inch"],
        "full": ["\uff26\uff35\uff2c\uff2c Width"],
        "izmir": ["\u0130zmir Figs"],
        "can": ["Watering Can"],
        "ball": ["\U0001f388 Balloon"],  # the beginning of a word, not the inside of one
        "basket": ["Basketball"],
        "\U0001f388": ["\U0001f388 Balloon"],
        "\u0e22\u0e37\u0e14": ["\u0e40\u0e2a\u0e37\u0e49\u0e2d\u0e22\u0e37\u0e14"],
        "\ud55c\uad6d": ["\ud55c\uad6d\uc5b4\ucc45"],
        "\uff83\uff9a\uff8b\uff9e": ["\u30c6\u30ec\u30d3\u53f0"],
        "Cafe\u0301": ["Caf\u00e9 Table"],
        "ab12cd-99x": ["Lamp"],
        "AB12CD99X": ["Lamp"],
        "ab12cd": ["Lamp"],
        "99x": ["Lamp"],
        "12 cd": ["Lamp"],
    }
    assert {query: await search(pool, query) for query in expected} == expected


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_a_query_that_only_excludes_words_has_pages_too(pool: "Pool", order: ProductOrder) -> None:
    await sell(pool, "Running Shoes", *(f"Ball {number}" for number in range(5)))
    found = await pages(pool, ProductFilter(query="-running"), order, 2)
    assert sorted(found) == [f"Ball {number}" for number in range(5)]


@pytest.mark.parametrize(
    ("name", "description", "sku", "query"),
    [
        ("w" * 200, "", None, "w" * 200),
        ("\ufdfa" * 200, "", None, "\u0635\u0644\u0649"),
        ("\U0001d53d" * 200, "", None, "f" * 64),
        ("a" + "\u0301" * 199, "", None, "a"),
        ("a1" * 100, "", "1a" * 32, "1a" * 32),
        ("Many", "a " * 5_000, None, "many"),
        ("Many", " ".join(str(number) for number in range(2_040)), None, "many 2039"),
        ("Dense", "".join(map(chr, range(0x4E00, 0x4E00 + 10_000))), "\u624b" * 64, "\u4e00\u4e01"),
        ("Signs", "\ufdfa" * 10_000, None, "signs"),
        ("Joined", "-".join("abcdefghij" * 500), None, "joined"),
    ],
    ids=range(10),
)
async def test_any_product_can_be_created_and_found(pool: "Pool", name: str, description: str, sku: str | None, query: str) -> None:
    """The longest texts are within PostgreSQL's limits for words, places and whole documents."""
    assert max(len(name) / 200, len(description) / 10_000, len(sku or "") / 64) <= 1
    await catalog.create(pool, ProductDraft(name=name, description=description, sku=sku, price_minor=1), COMMAND_LINE)
    assert await search(pool, query) == [name]
    assert not [finding for finding in await checked(pool) if finding.violations]


async def checked(pool: "Pool") -> list[Finding]:
    async with pool.acquire() as conn:
        return await verify(conn)


@pytest.mark.parametrize("newer", [0, 100_000], ids=["on the newest shelf", "far from it"])
async def test_a_word_that_only_descriptions_have_is_not_corrected(pool: "Pool", newer: int) -> None:
    await catalog.create(pool, ProductDraft(name="Kestrel", description="waxd", price_minor=100), COMMAND_LINE)
    await sell(pool, "Waxed jacket")
    await pool.execute("UPDATE product_search SET number = number + $1 WHERE name = 'Waxed jacket'", newer)
    assert await searches.correct(pool, "waxd jackett") == "waxd jacket"
    assert await searches.correct(pool, "waxxd jackett") == "waxed jacket"


async def test_parts_of_a_compound_are_corrected_and_excluded_words_are_not(pool: "Pool") -> None:
    await sell(pool, "Cotton T-Shirt", "Phone Case, red", "Phone Holder")
    assert await search(pool, "t-shrit") == ["Cotton T-Shirt"]
    assert sorted(await search(pool, 'phoen -"red case"')) == ["Phone Case, red", "Phone Holder"]


async def test_exact_matches_are_found_without_similar_words(pool: "Pool") -> None:
    await sell(pool, "Kestral Helmet", "Kestrel Helmet", "Kestrel Glove")
    assert await search(pool, "kestral") == ["Kestral Helmet"]
    assert await search(pool, "kestrel helmet") == ["Kestrel Helmet"]
    assert await search(pool, "kestril") == ["Kestrel Glove", "Kestrel Helmet"]  # of two words at one distance, that of most products


async def test_a_name_that_is_more_like_a_typo_comes_first(pool: "Pool") -> None:
    await sell(pool, "Basketball", "Basket")
    assert await search(pool, "bascketball") == ["Basketball"]
    assert await search(pool, "baskett") == ["Basket", "Basketball"]


async def test_words_are_known_from_creation_renaming_and_import(pool: "Pool") -> None:
    await sell(pool, "Kestrel")
    [product], *_ = await product_lists.products(pool, ProductFilter(query="kestrl"), ProductOrder.NEWEST, Page(1))
    change = catalog.Update(
        product_id=product.id, draft=ProductDraft(name="Lapwing", price_minor=100), fields=["name"], etags=(), actor=COMMAND_LINE
    )
    await catalog.update(pool, change)
    assert await search(pool, "kestrl") == []
    assert await search(pool, "lapwng") == ["Lapwing"]
    await bulk.write(pool, [Incoming("S", "Osprey", "", 100, None, 1, [])], "test.csv", COMMAND_LINE)
    assert await search(pool, "ospray") == ["Osprey"]


async def change(pool: "Pool", product_id: UUID, **fields: object) -> None:
    draft = ProductDraft(**{"name": "Hat", "price_minor": 100, **fields})  # type: ignore[arg-type] # named as in the function
    wanted = catalog.Update(product_id=product_id, draft=draft, fields=[*fields], etags=(), actor=COMMAND_LINE)
    await catalog.update(pool, wanted)


async def test_a_search_finds_a_product_as_it_is_now(pool: "Pool") -> None:
    await sell(pool, "Hat", "Old Hat")
    product_id: UUID = await pool.fetchval("SELECT id FROM products WHERE name = 'Hat'")
    await change(pool, product_id, sku="HAT-1", description="Made of straw.")
    assert (await search(pool, "hat-1"), await search(pool, "straws")) == (["Hat"], ["Hat"])
    category = await categories.create(pool, CategoryDraft(name="Hats"), COMMAND_LINE)
    assert isinstance(category, Category)
    await change(pool, product_id, category_id=category.id, price_minor=7)
    cheap = ProductFilter(query="hat", category_id=category.id, max_price_minor=7)
    assert await pages(pool, cheap, ProductOrder.CHEAPEST, 1) == ["Hat"]
    assert await pages(pool, ProductFilter(query="hat", min_price_minor=8), ProductOrder.NAME, 1) == ["Old Hat"]
    await change(pool, product_id, sku=None, category_id=None, description="")
    assert (await search(pool, "hat-1"), await search(pool, "straw")) == ([], [])
    assert await pages(pool, cheap, ProductOrder.NEWEST, 1) == []


async def test_only_products_on_sale_have_a_document_and_one_that_comes_back_takes_its_place(pool: "Pool") -> None:
    await sell(pool, "Kestrel 1", "Kestrel 2", "Kestrel 3")
    product_id: UUID = await pool.fetchval("SELECT id FROM products WHERE name = 'Kestrel 2'")
    await catalog.delete(pool, product_id, (), COMMAND_LINE)
    assert await pages(pool, ProductFilter(query="kestrel"), ProductOrder.OLDEST, 1) == ["Kestrel 1", "Kestrel 3"]
    assert await pool.fetchval("SELECT count(*) FROM product_search") == 2
    await catalog.undelete(pool, product_id, COMMAND_LINE)
    assert await pages(pool, ProductFilter(query="kestrel"), ProductOrder.OLDEST, 1) == ["Kestrel 1", "Kestrel 2", "Kestrel 3"]


@pytest.mark.parametrize("order", [ProductOrder.NEWEST, ProductOrder.OLDEST], ids=lambda order: order.name)
async def test_pages_go_on_where_a_product_was_that_is_deleted_meanwhile(pool: "Pool", order: ProductOrder) -> None:
    await sell(pool, *(f"Kestrel {number}" for number in range(5)))
    wanted = ProductFilter(query="kestrel")
    expected = await pages(pool, wanted, order, 5)
    _, after, *_ = await product_lists.products(pool, wanted, order, Page(2))
    assert after is not None
    await catalog.delete(pool, after.id, (), COMMAND_LINE)
    found, *_ = await product_lists.products(pool, wanted, order, Page(5, after))
    assert [product.name for product in found] == expected[2:]


async def test_documents_are_written_again_only_if_they_change(pool: "Pool") -> None:
    await sell(pool, "Kestrel")
    product_id: UUID = await pool.fetchval("SELECT id FROM products")
    before = await pool.fetchval("SELECT xmin::text FROM product_search")
    await index_products(pool)
    await change(pool, product_id, stock=5)
    await change(pool, product_id, image_urls=("https://example.com/1.jpg",))
    assert await pool.fetchval("SELECT xmin::text FROM product_search") == before
    await pool.execute("UPDATE product_search SET rule_version = 0, words = 'hat'")
    await index_products(pool)
    assert await search(pool, "kestrel") == ["Kestrel"]


@pytest.mark.race
async def test_a_product_that_is_renamed_is_found_by_either_name_at_any_moment_and_by_the_new_one_at_once(
    pool: "Pool", race_rounds: int
) -> None:
    await sell(pool, "Kestrel")
    product_id: UUID = await pool.fetchval("SELECT id FROM products")

    async def rename() -> None:
        for old, new in (("Kestrel", "Lapwing"), ("Lapwing", "Kestrel")) * race_rounds:
            await change(pool, product_id, name=new)
            assert await search(pool, new) == [new]
            assert await search(pool, old) == []

    renaming = asyncio.create_task(rename())
    while not renaming.done():
        for order in ProductOrder:
            assert len(await pages(pool, ProductFilter(query="kestrel or lapwing"), order, 5)) == 1
    await renaming


@pytest.mark.parametrize("order", list(ProductOrder), ids=lambda order: order.name)
async def test_pages_of_a_corrected_search_go_on_as_they_began(pool: "Pool", order: ProductOrder) -> None:
    await sell(pool, *(f"Kestrel {number}" for number in range(5)))
    wanted = ProductFilter(query="kestrl")
    expected = await pages(pool, wanted, order, 100)
    first, after, *_ = await product_lists.products(pool, wanted, order, Page(2))
    await sell(pool, "Kestrl")  # from now on the uncorrected query has a match
    assert after is not None
    assert await product_lists.count(pool, wanted, 10, after.spelling) == 5
    second, after, *_ = await product_lists.products(pool, wanted, order, Page(2, after))
    third, end, *_ = await product_lists.products(pool, wanted, order, Page(2, after))
    assert [product.name for product in (*first, *second, *third)] == expected
    assert (len(expected), end) == (5, None)
    assert await pages(pool, wanted, order, 2) == ["Kestrl"]


async def test_only_a_query_that_finds_nothing_is_corrected(pool: "Pool") -> None:
    await sell(pool, "Kestral", "Kestrel", "Kestrel 2", "Kestrel 3")
    wanted = ProductFilter(query="kestral")
    assert (await product_lists.products(pool, wanted, ProductOrder.RELEVANCE, Page(20, skip=1)))[:2] == ([], None)
    assert await product_lists.count(pool, wanted, 10) == 1
    found, *_, spelling = await product_lists.products(pool, ProductFilter(query="kestril"), ProductOrder.OLDEST, Page(20, skip=1))
    assert [product.name for product in found] == ["Kestrel 2", "Kestrel 3"]
    assert spelling == "kestrel"
    assert await product_lists.count(pool, ProductFilter(query="kestril"), 10, spelling) == 3
    beyond = await product_lists.products(pool, ProductFilter(query="kestril"), ProductOrder.OLDEST, Page(20, skip=3))
    assert beyond == ([], None, ANY, (), "kestrel")
    assert await product_lists.products(pool, ProductFilter(query="zzzzzz"), ProductOrder.OLDEST, Page(20)) == ([], None, ANY, (), None)
