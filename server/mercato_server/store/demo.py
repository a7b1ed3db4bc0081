"""The demo catalog in the database."""

import asyncpg

from mercato_server.demo import DemoProduct
from mercato_server.store import words

IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM products) AND NOT EXISTS (SELECT FROM categories)"

INSERT_CATEGORIES = "INSERT INTO categories (name) SELECT * FROM unnest($1::text[])"

INSERT_PRODUCT = """
INSERT INTO products (name, description, price_minor, category_id, sku, stock, image_urls)
SELECT $1, $2, $3, id, $5, $6, $7
  FROM categories
 WHERE name = $4
"""

APPEND_LEDGER = "INSERT INTO stock_ledger (product_id, kind, delta) SELECT id, 'initial', stock FROM products"

APPEND_EVENTS = "INSERT INTO events (kind, subject_id) SELECT 'product.created', id FROM products"


async def load(database_url: str, categories: tuple[str, ...], products: tuple[DemoProduct, ...]) -> bool:
    """Fill an empty catalog, all at once; tell whether it was empty. A catalog with anything in it is left alone."""
    connection = await asyncpg.connect(database_url, timeout=5)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")  # two that load at once wait for each other
            if not await connection.fetchval(IS_EMPTY):
                return False
            await connection.execute(INSERT_CATEGORIES, categories)
            await connection.executemany(
                INSERT_PRODUCT,
                [
                    (item.name, item.description, item.price_minor, item.category, item.sku, item.stock, item.image_urls)
                    for item in products
                ],
            )
            await words.add(connection, [item.name for item in products])
            await connection.execute(APPEND_LEDGER)
            await connection.execute(APPEND_EVENTS)
            return True
    finally:
        await connection.close()
