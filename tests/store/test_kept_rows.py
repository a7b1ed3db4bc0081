"""Orders and products are kept for ever, so that rows may refer to them without a foreign key."""

import asyncpg
import pytest

from mercato_server.database.pool import Pool
from support.shop import Shop


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "TRUNCATE orders CASCADE",
        "UPDATE orders SET id = uuidv7()",
        "DELETE FROM products",
        "TRUNCATE products CASCADE",
        "UPDATE products SET id = uuidv7()",
        "UPDATE products SET currency_code = 'EUR'",
    ],
)
async def test_an_order_and_a_product_stay_what_other_rows_refer_to(shop: Shop, pool: "Pool", statement: str) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True)), await shop.person()
    await shop.add(buyer, ball)
    order = await shop.checkout(buyer)
    with pytest.raises(asyncpg.RestrictViolationError):
        await pool.execute(statement)
    assert await pool.fetchval("SELECT array_agg(id::text) FROM orders") == [order.id]
    assert [tuple(row) for row in await pool.fetch("SELECT id::text, currency_code FROM products")] == [(ball.id, "USD")]
