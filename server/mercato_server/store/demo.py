"""The import of the demo catalog into the database."""

from mercato_server.database.connections import connect
from mercato_server.database.pool import SET_CURRENCY
from mercato_server.demo import DemoProduct, category_id, product_id
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.store import inventory, search_documents

IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM products) AND NOT EXISTS (SELECT FROM categories)"

INSERT_CATEGORIES = """
INSERT INTO categories (id, name, keyed_name, name_key, name_key_rule)
SELECT id, name, name, name_key, $4
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS category (id, name, name_key)
"""

INSERT_PRODUCT = """
INSERT INTO products (name, description, price_minor, category_id, sku, image_urls, name_key, id, currency_code)
SELECT $1, $2, $3, id, $5, $6, $7, $8, (SELECT currency_code FROM shop)
  FROM categories
 WHERE name = $4
RETURNING id
"""

APPEND_EVENTS = "INSERT INTO events (kind, subject_id) SELECT 'product.created', id FROM products"


async def load(database_url: str, currency: str, categories: tuple[str, ...], products: tuple[DemoProduct, ...]) -> bool:
    """Fill an empty catalog in one transaction and return True; return False, without a change, if it is not empty.

    Prices are in the shop's currency; a shop without one gets `currency`.
    """
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")  # concurrent loads wait for each other
            if not await connection.fetchval(IS_EMPTY):
                return False
            await connection.execute(SET_CURRENCY, currency)
            ids, keys = [category_id(number) for number in range(len(categories))], [name_key(name) for name in categories]
            await connection.execute(INSERT_CATEGORIES, ids, categories, keys, RULE_VERSION)
            rows = await connection.fetchmany(INSERT_PRODUCT, [_values(number, item) for number, item in enumerate(products)])
            stock = {row["id"]: item.stock for row, item in zip(rows, products, strict=True)}
            await inventory.open_levels(connection, stock, COMMAND_LINE)
            await connection.execute(APPEND_EVENTS)
            await search_documents.index(connection, list(stock))
            return True
    finally:
        await connection.close()


def _values(number: int, item: DemoProduct) -> tuple[object, ...]:
    described = item.name, item.description, item.price_minor, item.category, item.sku, item.image_urls
    return (*described, name_key(item.name), product_id(number))
