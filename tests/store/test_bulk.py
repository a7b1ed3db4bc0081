"""Batches of an import write only differences, and run correctly beside other transactions."""

import asyncio
from functools import partial
from uuid import UUID

import pytest

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import ProductDraft
from mercato_server.domain.errors import Conflict, SkuTaken
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.picture_errors import PicturesLimit
from mercato_server.domain.product_groups import Option
from mercato_server.domain.search_documents import RULE_VERSION, product_words
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import bulk, catalog, categories, inventory, search_documents, slugs, variants
from mercato_server.store.bulk import Incoming, Written
from mercato_server.store.bulk_groups import Placement
from mercato_server.store.verify import verify
from support.patience import until

IMPORT = COMMAND_LINE._replace(request_id="import-1")
BALL = Incoming("BALL", "Ball", "Round.", 1999, "Football", 10, ["https://example.com/ball.jpg"], "", needs_delivery=True, weight_grams=430)
BIKE = Incoming("BIKE", "Bike", "", 89900, None, 3, [], "", needs_delivery=False, weight_grams=0)


async def write(pool: "Pool", *batch: Incoming) -> Written:
    return await bulk.write(pool, batch, "test.csv", IMPORT)


async def kinds(pool: "Pool") -> list[str]:
    return [row["kind"] for row in await pool.fetch("SELECT kind FROM events ORDER BY id")]


async def stored(pool: "Pool", sku: str) -> Incoming:
    row = await pool.fetchrow(
        "SELECT sku, p.name, description, price_minor, c.name, on_hand, image_urls,"
        " coalesce(tax_category, ''), needs_delivery, weight_grams"
        " FROM products p JOIN stock_levels ON product_id = p.id LEFT JOIN categories c ON c.id = category_id"
        " WHERE sku = $1 AND deleted_at IS NULL",
        sku,
    )
    assert row is not None
    return Incoming(*row)


async def sound(pool: "Pool") -> bool:
    async with pool.acquire() as conn:
        return not any(finding.violations for finding in await verify(conn))


def placement(size: str, code: str = "BIKES") -> Placement:
    return Placement(code, None, (Option("Size", size),), None)


async def test_new_products_come_with_category_ledger_events_and_an_entry_in_the_audit_log(pool: "Pool") -> None:
    assert await write(pool, BALL, BIKE) == Written(2, 0)
    assert [await stored(pool, sku) for sku in ("BALL", "BIKE")] == [BALL, BIKE]
    assert await kinds(pool) == ["category.created", "product.created", "product.created"]
    ledger = await pool.fetch("SELECT kind, delta FROM stock_ledger ORDER BY product_id")
    assert [tuple(row) for row in ledger] == [("initial", 10), ("initial", 3)]
    entries = await pool.fetch("SELECT action, after::text, request_id FROM audit_log ORDER BY id")
    told = '{"source": "test.csv", "created": 2, "updated": 0}'
    assert [tuple(row) for row in entries] == [
        ("category.created", '{"name": "Football", "slug": "football"}', "import-1"),
        ("catalog.imported", told, "import-1"),
    ]
    assert await sound(pool)


async def test_products_without_a_difference_are_not_written(pool: "Pool") -> None:
    await write(pool, BALL, BIKE)
    before = await pool.fetch("SELECT xmin, * FROM products ORDER BY id")
    assert await write(pool, BALL, BIKE) == Written(0, 0)
    assert await pool.fetch("SELECT xmin, * FROM products ORDER BY id") == before
    assert len(await kinds(pool)) == 3
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 2


async def test_only_what_differs_is_updated_and_a_difference_of_stock_is_in_the_ledger(pool: "Pool") -> None:
    await write(pool, BALL, BIKE)
    changed = BALL._replace(name="Beach Ball", stock=4, category=None, image_urls=[])
    assert await write(pool, changed, BIKE) == Written(0, 1)
    assert await stored(pool, "BALL") == changed._replace(category="Football")
    versions = await pool.fetch("SELECT version FROM products ORDER BY id")
    assert [row["version"] for row in versions] == [2, 1]
    adjusted = await pool.fetch("SELECT delta, reason FROM stock_ledger WHERE kind = 'adjust'")
    assert [tuple(row) for row in adjusted] == [(-6, "import")]
    assert (await kinds(pool))[3:] == ["product.updated"]
    assert await sound(pool)


async def test_documents_of_the_search_are_written_with_their_products_and_no_others(pool: "Pool") -> None:
    await write(pool, BALL, BIKE)
    before = [row["xmin"] for row in await pool.fetch("SELECT xmin::text FROM product_search")]
    assert len(before) == 2
    await write(pool, BALL._replace(name="Beach Ball"), BIKE._replace(stock=9))
    rows = await pool.fetch("SELECT name, xmin::text = ANY($1::text[]), words::text FROM product_search ORDER BY name", before)
    assert [tuple(row) for row in rows] == [
        ("Beach Ball", False, "'=ball':24A 'ball':2A 'beach':1B 'round':13C"),
        ("Bike", True, "'=bike':22A 'bike':1A"),
    ]
    assert await sound(pool)


async def test_none_changes_nothing_and_an_empty_category_removes_it(pool: "Pool") -> None:
    await write(pool, BALL)
    assert await write(pool, Incoming("BALL", "Ball", None, 2999, None, None, None)) == Written(0, 1)
    assert await stored(pool, "BALL") == BALL._replace(price_minor=2999)
    assert await write(pool, Incoming("BALL", "Ball", None, 2999, "", None, None)) == Written(0, 1)
    assert (await stored(pool, "BALL")).category is None
    assert await write(pool, Incoming("NEW", "New", None, 1, None, None, None)) == Written(1, 0)
    assert await stored(pool, "NEW") == Incoming("NEW", "New", "", 1, None, 0, [], "", needs_delivery=False, weight_grams=0)


async def test_without_a_description_the_text_of_the_html_is_the_description(pool: "Pool") -> None:
    await write(pool, BALL._replace(description="Round.", description_html="<p>A <b>ball</b></p>"), BIKE)
    emptied = BALL._replace(description="")
    assert await write(pool, emptied, BIKE) == Written(0, 1)
    assert (await stored(pool, "BALL")).description == "A ball"
    assert await write(pool, emptied, BIKE) == Written(0, 0)
    assert await write(pool, BALL._replace(description=None), BIKE._replace(description=None)) == Written(0, 0)
    assert await write(pool, emptied._replace(description_html="")) == Written(0, 1)
    assert (await stored(pool, "BALL")).description == ""


async def test_html_that_changes_during_an_import_gives_the_description(pool: "Pool") -> None:
    await write(pool, BALL._replace(description_html="<p>Old</p>"))
    async with transaction(pool) as conn:
        await conn.execute("UPDATE products SET description_html = '<p>New</p>'")
        importing = asyncio.create_task(write(pool, BALL._replace(description="")))
        await until(lambda: pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    await importing
    assert (await stored(pool, "BALL")).description == "New"


async def test_a_deleted_product_stays_deleted_and_its_sku_goes_to_a_new_one(pool: "Pool") -> None:
    await write(pool, BALL)
    old = await pool.fetchval("SELECT id FROM products")
    await catalog.delete(pool, old, (), COMMAND_LINE)
    assert await write(pool, BALL._replace(price_minor=1)) == Written(1, 0)
    rows = await pool.fetch("SELECT id = $1 AS old, price_minor, deleted_at IS NULL AS on_sale FROM products ORDER BY id", old)
    assert [tuple(row) for row in rows] == [(True, 1999, False), (False, 1, True)]


async def test_products_are_created_in_the_order_of_the_file(pool: "Pool") -> None:
    batch = [BIKE._replace(sku=f"S{number * 7919 % 1000}") for number in range(1000)]
    await write(pool, *batch)
    assert [row["sku"] for row in await pool.fetch("SELECT sku FROM products ORDER BY id")] == [row.sku for row in batch]


async def waiting(pool: "Pool") -> None:
    """Return once a session waits for a lock."""
    await until(partial(pool.fetchval, "SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_a_batch_that_meets_a_sale_counts_the_stock_once(pool: "Pool") -> None:
    await write(pool, BALL)
    async with transaction(pool) as conn:
        id_ = await conn.fetchval("UPDATE stock_levels SET on_hand = 9 RETURNING product_id")
        await conn.execute("INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) VALUES ($1, 'adjust', -1, 'system')", id_)
        writing = asyncio.create_task(write(pool, BALL._replace(stock=20)))
        await waiting(pool)
    assert await writing == Written(0, 1)
    assert await pool.fetchval("SELECT delta FROM stock_ledger ORDER BY id DESC LIMIT 1") == 11
    assert await sound(pool)


async def test_a_sku_that_another_transaction_takes_meanwhile_is_updated(pool: "Pool") -> None:
    async with transaction(pool) as conn:
        words = search_documents.arguments(product_words("Theirs", "", "BALL"))
        values: tuple[object, ...] = ("Theirs", "", 5, None, "BALL", 0, [], None, False, 0, name_key("Theirs"))
        theirs = await conn.fetchval(catalog.INSERT_PRODUCT, *values, *words, None, *variants.columns(()), 1, None)
        await inventory.open_levels(conn, {theirs: 0}, COMMAND_LINE)
        writing = asyncio.create_task(write(pool, BALL, BIKE))
        await waiting(pool)
    assert await writing == Written(1, 1)
    assert await stored(pool, "BALL") == BALL


async def test_a_variant_whose_price_changes_during_an_import_leaves_its_group_right(pool: "Pool") -> None:
    cheap, dear = (BIKE._replace(sku=size, price_minor=price, placement=placement(size)) for size, price in (("S", 1000), ("M", 2000)))
    await write(pool, cheap, dear)
    async with transaction(pool) as conn:  # the import waits for the SKU of this product, when it has locked the groups that it changes
        words = search_documents.arguments(product_words("Theirs", "", "BALL"))
        values: tuple[object, ...] = ("Theirs", "", 5, None, "BALL", 0, [], None, False, 0, name_key("Theirs"))
        theirs = await conn.fetchval(catalog.INSERT_PRODUCT, *values, *words, None, *variants.columns(()), 1, None)
        await inventory.open_levels(conn, {theirs: 0}, COMMAND_LINE)
        writing = asyncio.create_task(write(pool, cheap, BALL))
        await waiting(pool)
        changed = catalog.Update(
            product_id=await pool.fetchval("SELECT id FROM products WHERE sku = 'S'"),
            draft=ProductDraft(price_minor=500),
            fields=["price_minor"],
            etags=(),
            actor=COMMAND_LINE,
        )
        await catalog.update(pool, changed)
    assert await writing == Written(0, 2)
    assert tuple(await pool.fetchrow("SELECT min_price_minor, max_price_minor FROM product_groups") or ()) == (1000, 2000)
    assert await sound(pool)


async def test_a_variant_that_is_deleted_during_an_import_comes_back_to_a_group_that_counts_it(pool: "Pool") -> None:
    bike, shoe = BIKE._replace(placement=placement("S")), BIKE._replace(sku="SHOE", placement=placement("S", "SHOES"))
    await write(pool, bike, shoe)
    async with transaction(pool) as conn:
        await conn.execute("SELECT FROM product_groups WHERE code = 'SHOES' FOR NO KEY UPDATE")
        writing = asyncio.create_task(write(pool, bike, shoe._replace(price_minor=5)))
        await waiting(pool)
        await catalog.delete(pool, await pool.fetchval("SELECT id FROM products WHERE sku = 'BIKE'"), (), COMMAND_LINE)
    assert await writing == Written(1, 1)
    assert [row["variants"] for row in await pool.fetch("SELECT variants FROM product_groups")] == [1, 1]
    assert await sound(pool)


async def test_products_hand_slugs_to_each_other_within_a_batch(pool: "Pool") -> None:
    await write(pool, BALL._replace(slug="ball"), BIKE._replace(slug="bike"))
    new = BIKE._replace(sku="NEW", name="Ball", slug="bike")
    made = BIKE._replace(sku="MADE", name="Cup")
    assert await write(pool, new, made, BALL._replace(slug="cup"), BIKE._replace(slug="ball")) == Written(2, 2)
    named = {row["sku"]: row["slug"] for row in await pool.fetch("SELECT sku, slug FROM products")}
    assert {sku: slug for sku, slug in named.items() if sku != "MADE"} == {"BALL": "cup", "BIKE": "ball", "NEW": "bike"}
    assert named["MADE"].startswith("cup-")
    assert await sound(pool)


async def test_an_import_takes_slugs_after_the_words_of_the_search(pool: "Pool") -> None:
    await write(pool, BALL)
    async with transaction(pool) as conn:
        await conn.execute("SELECT FROM search_words WHERE word = 'ball' FOR UPDATE")
        writing = asyncio.create_task(write(pool, BALL._replace(sku="RED", name="Red Ball")))
        await waiting(pool)
        async with transaction(pool) as other:
            await other.execute("SET LOCAL lock_timeout = '100ms'")
            id_ = await other.fetchval("SELECT id FROM products")
            await slugs.put(other, SlugKind.PRODUCT, {id_: "red-ball"})
    assert await writing == Written(1, 0)
    assert await pool.fetchval("SELECT slug FROM products WHERE sku = 'BALL'") == "red-ball"


async def test_a_category_that_another_transaction_creates_or_deletes_meanwhile_exists_in_the_end(pool: "Pool") -> None:
    async with transaction(pool) as conn:
        await conn.execute(categories.INSERT_CATEGORY, "Football", name_key("Football"), RULE_VERSION, None, [], 0, "")
        writing = asyncio.create_task(write(pool, BALL))
        await waiting(pool)
    await writing
    await catalog.delete(pool, await pool.fetchval("SELECT id FROM products"), (), COMMAND_LINE)
    category_id: UUID = await pool.fetchval("SELECT id FROM categories")
    async with transaction(pool) as conn:
        await conn.execute(categories.FORGET_CATEGORY, category_id)
        await conn.execute(categories.DELETE_CATEGORY, category_id)
        writing = asyncio.create_task(write(pool, BALL))
        await waiting(pool)
    await writing
    assert await stored(pool, "BALL") == BALL


async def test_imports_of_the_same_products_in_opposite_order_both_end(pool: "Pool", race_rounds: int) -> None:
    batch = [BIKE._replace(sku=f"S{number}") for number in range(200)]
    for number in range(race_rounds):
        dearer = [row._replace(price_minor=number) for row in batch]
        await asyncio.gather(write(pool, *dearer), write(pool, *reversed(dearer)))
        assert await pool.fetchval("SELECT count(*) FROM products WHERE price_minor = $1", number) == 200
    assert await sound(pool)


async def test_a_batch_takes_as_many_statements_for_200_products_as_for_one(pool: "Pool") -> None:
    await write(pool, BALL)  # the driver looks up types once
    sent: list[str] = []
    async with pool.acquire() as conn:
        conn.add_query_logger(lambda query: sent.append(query.query))
    counts = []
    for number in (1, 10, 200):
        sent.clear()
        await write(pool, *[BALL._replace(sku=f"{number}-{place}", category=f"C{number}") for place in range(number)])
        counts.append(len(sent))
    assert len(set(counts)) == 1
    assert counts[0] > 0


async def test_a_product_of_an_import_keeps_its_sku_from_others(pool: "Pool") -> None:
    await write(pool, BALL)
    try:
        await catalog.create(pool, ProductDraft(name="Other", sku="BALL"), COMMAND_LINE)
    except SkuTaken:
        return
    raise AssertionError


async def test_a_row_whose_pictures_and_the_uploaded_ones_are_more_than_twenty_is_refused(pool: "Pool") -> None:
    await write(pool, BALL, BIKE)
    await pool.execute("UPDATE products SET pictures = '[{}, {}, {}]' WHERE sku = 'BALL'")
    urls = [f"https://example.com/{number}.jpg" for number in range(20)]
    ball, bike, new = (BALL._replace(sku=sku, image_urls=urls, stock=None) for sku in ("BALL", "BIKE", "NEW"))
    refused = await bulk.refused(pool, [ball, bike, new, BALL._replace(sku="CUP", placement=placement("S"))])
    assert refused == {"BALL": "image_urls: a product has at most 20 pictures, and 3 are uploaded"}
    with pytest.raises(PicturesLimit):
        await write(pool, ball)
    fitting = ball._replace(image_urls=urls[:17])
    assert await bulk.refused(pool, [fitting]) == {}
    assert await write(pool, fitting, bike, new) == Written(1, 2)


async def test_products_do_not_get_a_tax_category_that_was_archived_after_their_file_was_checked(pool: "Pool") -> None:
    await pool.execute("INSERT INTO tax_categories (id, display_name, archived_at) VALUES ('books', 'Books', now())")
    await write(pool, BALL)
    for row in (BALL, BIKE):
        with pytest.raises(Conflict):
            await write(pool, row._replace(tax_category="books"))
    assert await stored(pool, "BALL") == BALL
    assert await pool.fetchval("SELECT count(*) FROM products") == 1
