"""The import of the demo shop into the database."""

from collections.abc import Mapping
from uuid import UUID

from mercato_server.database.connections import connect
from mercato_server.database.pool import SET_CURRENCY, Conn
from mercato_server.demo import DemoProduct, category_id, product_id
from mercato_server.demo.prices import DemoPrices
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import demo_prices, inventory, search_documents, slugs

IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM products) AND NOT EXISTS (SELECT FROM categories)"

INSERT_CATEGORIES = """
INSERT INTO categories (id, name, keyed_name, name_key, name_key_rule)
SELECT id, name, name, name_key, $4
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS category (id, name, name_key)
"""

INSERT_PRODUCT = """
INSERT INTO products (id, name, description, price_minor, category_id, sku, image_urls, name_key, tax_category, needs_delivery,
                      weight_grams, currency_code)
SELECT $1, $2, $3, $4, id, $6, $7, $8, $9, true, $10, (SELECT currency_code FROM shop)
  FROM categories
 WHERE name = $5
"""

APPEND_EVENTS = "INSERT INTO events (kind, subject_id) SELECT 'product.created', id FROM products"


async def load(
    database_url: str, currency: str, categories: tuple[str, ...], products: tuple[DemoProduct, ...], prices: DemoPrices | None = None
) -> bool:
    """Add what the shop lacks of the demo shop, in one transaction; return whether that was anything.

    The catalog is added if there are neither products nor categories. The prices are added if some products are those of the catalog, as
    they were added, and the shop never had a tax, a delivery or a promotion. Without prices, the products bear no tax.

    Amounts are in the shop's currency; a shop without one gets `currency`.
    """
    known = {product_id(number): item for number, item in enumerate(products)}
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")  # concurrent loads wait for each other
            is_empty = bool(await connection.fetchval(IS_EMPTY))
            lacking = prices if prices and await demo_prices.is_unpriced(connection, list(known), is_empty=is_empty) else None
            if is_empty:
                await connection.execute(SET_CURRENCY, currency)
            if lacking:
                await demo_prices.add_tax_categories(connection, lacking)
            if is_empty:
                await _add_catalog(connection, categories, known, is_taxed=lacking is not None)
            if lacking:
                await demo_prices.add(connection, lacking, known)
            return is_empty or lacking is not None
    finally:
        await connection.close()


async def _add_catalog(conn: "Conn", categories: tuple[str, ...], products: Mapping[UUID, DemoProduct], *, is_taxed: bool) -> None:
    ids, keys = [category_id(number) for number in range(len(categories))], [name_key(name) for name in categories]
    await conn.execute(INSERT_CATEGORIES, ids, categories, keys, RULE_VERSION)
    await conn.executemany(INSERT_PRODUCT, [_values(id_, item, is_taxed=is_taxed) for id_, item in products.items()])
    await inventory.open_levels(conn, {id_: item.stock for id_, item in products.items()}, COMMAND_LINE)
    await search_documents.index(conn, list(products))
    things = [slugs.Named(id_, item.name) for id_, item in products.items()]
    await slugs.give(conn, SlugKind.CATEGORY, [slugs.Named(*each) for each in zip(ids, categories, strict=True)])
    await slugs.give(conn, SlugKind.PRODUCT, things)
    await conn.execute(APPEND_EVENTS)


def _values(product_id: UUID, item: DemoProduct, *, is_taxed: bool) -> tuple[object, ...]:
    described = product_id, item.name, item.description, item.price_minor, item.category, item.sku, item.image_urls
    return (*described, name_key(item.name), item.tax_category if is_taxed else None, item.weight_grams)
