"""Documents of the search and the vocabulary follow their products, and documents of an older rule are made anew."""

import asyncio
from uuid import UUID

import pytest

from mercato_server.background import backfills
from mercato_server.background.backfills import keep_filling
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import Product, ProductDraft, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page
from mercato_server.store import bulk, catalog, product_lists, search_documents
from mercato_server.store.bulk import Incoming
from mercato_server.store.verify import verify
from support.databases import WRITE_OLD_DOCUMENTS
from support.patience import until

COUNT_BY_RULE = "SELECT rule_version, count(*) FROM product_search GROUP BY 1 ORDER BY 1"


async def sell(pool: "Pool", name: str, **fields: str) -> Product:
    product = await catalog.create(pool, ProductDraft(name=name, price_minor=100, **fields), COMMAND_LINE)  # type: ignore[arg-type] # texts
    assert isinstance(product, Product)
    return product


async def rename(pool: "Pool", product: Product, name: str) -> None:
    change = catalog.Update(
        product_id=product.id, draft=ProductDraft(name=name, price_minor=100), fields=["name"], etags=(), actor=COMMAND_LINE
    )
    await catalog.update(pool, change)


async def search(pool: "Pool", query: str) -> list[str]:
    found = await product_lists.products(pool, ProductFilter(query=query), ProductOrder.OLDEST, Page(100))
    return [product.name for product in found.products]


async def known(pool: "Pool") -> dict[str, int]:
    return {row["word"]: row["products"] for row in await pool.fetch("SELECT word, products FROM search_words WHERE products <> 0")}


async def violated(pool: "Pool") -> list[str]:
    async with pool.acquire() as conn:
        return [finding.invariant.name for finding in await verify(conn) if finding.violations]


async def test_the_vocabulary_counts_the_products_that_have_a_word_in_their_name(pool: "Pool") -> None:
    shoe = await sell(pool, "Trail Shoe shoe 12", description="grip", sku="ABC")
    hat = await sell(pool, "Trail Hat")
    assert await known(pool) == {"trail": 2, "shoe": 1, "hat": 1}
    await rename(pool, shoe, "Road Shoe")
    assert await known(pool) == {"trail": 1, "road": 1, "shoe": 1, "hat": 1}
    await catalog.delete(pool, hat.id, (), COMMAND_LINE)
    assert await known(pool) == {"road": 1, "shoe": 1}
    await catalog.undelete(pool, hat.id, COMMAND_LINE)
    rows = [Incoming("ABC", "Road Boot", None, 100, None, 1, None), Incoming("X", "Road Hat", None, 100, None, 1, None)]
    await bulk.write(pool, rows, "test.csv", COMMAND_LINE)
    assert await known(pool) == {"road": 2, "boot": 1, "hat": 2, "trail": 1}
    assert await violated(pool) == []


async def test_a_change_that_keeps_the_name_writes_no_word(pool: "Pool") -> None:
    shoe = await sell(pool, "Trail Shoe")
    before = await pool.fetch("SELECT word, xmin::text FROM search_words ORDER BY word")
    draft = ProductDraft(name="Shoe Trail", price_minor=200, description="grip")
    change = catalog.Update(product_id=shoe.id, draft=draft, fields=["name", "price_minor", "description"], etags=(), actor=COMMAND_LINE)
    await catalog.update(pool, change)
    assert await pool.fetch("SELECT word, xmin::text FROM search_words ORDER BY word") == before
    assert await search(pool, "grip") == ["Shoe Trail"]


async def test_a_word_that_no_product_has_any_more_is_no_correction(pool: "Pool") -> None:
    product = await sell(pool, "Kestrel")
    assert await search(pool, "kestrl") == ["Kestrel"]
    await catalog.delete(pool, product.id, (), COMMAND_LINE)
    await sell(pool, "Lapwing")
    assert (await search(pool, "kestrl"), await search(pool, "kest")) == ([], [])


@pytest.mark.race
async def test_concurrent_writers_of_the_same_words_wait_for_each_other_and_count_all(pool: "Pool", race_rounds: int) -> None:
    words = ["alder", "birch", "cedar", "elm"]

    async def write(number: int) -> None:
        product = await sell(pool, " ".join(words[number % 4 :] + words[: number % 4]))
        await rename(pool, product, " ".join(reversed(words)))
        if number % 2:
            await catalog.delete(pool, product.id, (), COMMAND_LINE)

    for _ in range(race_rounds):
        await asyncio.gather(*(write(number) for number in range(6)))
    assert await known(pool) == dict.fromkeys(words, 3 * race_rounds)
    assert await violated(pool) == []


async def test_documents_of_an_older_rule_are_made_anew(pool: "Pool") -> None:
    for name, sku in (("Trail Running Shoes", "RUN-0001"), ("COVID-19 Test", "COV-1"), ("The Who", "WHO-1")):
        await sell(pool, name, sku=sku)
    words = await pool.fetch("SELECT words, vocabulary FROM product_search ORDER BY number")
    await pool.execute("UPDATE product_search SET rule_version = 1, words = '', vocabulary = NULL; DELETE FROM search_words")
    renewing = asyncio.create_task(keep_filling(pool, backfills.renew, interval_s=0.01))

    async def renewed() -> bool:
        return [tuple(row) for row in await pool.fetch(COUNT_BY_RULE)] == [(2, 3)]

    await until(renewed)
    renewing.cancel()
    assert await pool.fetch("SELECT words, vocabulary FROM product_search ORDER BY number") == words
    assert await search(pool, "covid 19") == ["COVID-19 Test"]
    assert await search(pool, "the who") == ["The Who"]
    assert (await known(pool))["shoes"] == 1
    assert await violated(pool) == []


async def test_a_product_that_another_transaction_holds_is_left_for_later(pool: "Pool") -> None:
    for name in ("Trail Shoes", "Road Shoes"):
        await sell(pool, name)
    await pool.execute(WRITE_OLD_DOCUMENTS)
    async with pool.acquire() as conn, conn.transaction():
        held: UUID = await conn.fetchval("SELECT id FROM products WHERE name = 'Trail Shoes' FOR NO KEY UPDATE")
        assert await search_documents.renew(pool) == 1
        assert await conn.fetchval("SELECT product_id FROM product_search WHERE rule_version = 1") == held
    assert await search_documents.renew(pool) == 1
