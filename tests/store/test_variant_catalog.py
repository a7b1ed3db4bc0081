"""The catalog that the benchmark makes is that of a shop that only the server has changed."""

import pytest

import variant_catalog
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page
from mercato_server.domain.variant_filters import VariantFilter
from mercato_server.store import facets, product_lists
from mercato_server.store.verify import verify

COUNT = """
SELECT (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM product_groups) AS groups,
       (SELECT count(*) FROM category_listings) AS listings, (SELECT count(*) FROM categories WHERE parent_id IS NOT NULL) AS below,
       (SELECT count(DISTINCT options_text) FROM products) AS options, (SELECT count(*) FROM stock_levels WHERE on_hand = 0) AS empty,
       (SELECT count(*) FROM products JOIN slugs ON kind = 'product' AND subject_id = id AND slugs.slug = products.slug) AS named
"""
GET_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"


@pytest.mark.usefixtures("settings")
async def test_generated_variants_hold_every_invariant_and_are_found(pool: "Pool") -> None:
    async with pool.acquire() as conn:
        indexes = await conn.fetch(GET_INDEXES)
    await variant_catalog.make(pool, 2_000, "USD")
    async with pool.acquire() as conn:
        assert [f"{each.invariant.name}: {each.examples}" for each in await verify(conn) if each.violations] == []
        assert await conn.fetch(GET_INDEXES) == indexes
        row = await conn.fetchrow(COUNT)
    assert row is not None
    assert (row["products"], row["groups"], row["named"]) == (2_000, 500, 2_000)
    assert 2_000 < row["listings"] < 2 * 2_000  # each product is one or two levels below the top
    assert (row["below"], row["options"] > 50, 100 < row["empty"] < 500) == (10 + 58, True, True)
    everything = ProductFilter()
    counted = await facets.read(pool, everything, None)
    [colours] = [facet for facet in counted.facets if facet.name == "Colour"]
    for value in colours.values[:3]:
        chosen = VariantFilter(collapse=True, choices=(("colour", (value.value.lower(),)),))
        assert await product_lists.count(pool, ProductFilter(variants=chosen), 10_000) == value.groups
    page = await product_lists.products(pool, ProductFilter(query="boots"), ProductOrder.RELEVANCE, Page(20))
    assert len(page.products) == 20
    assert all("boots" in f"{product.name} {product.description}".lower() for product in page.products)
