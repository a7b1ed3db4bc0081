"""The import of the demo shop's taxes, delivery and promotions into the database."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.demo import DemoProduct
from mercato_server.demo.prices import DemoPrices, method_id, promotion_id, zone_id
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.promotion_errors import ScopeCategoryNotFound
from mercato_server.store import (
    inventory,
    promotion_codes,
    promotions,
    shipping_methods,
    shipping_zones,
    shop_settings,
    tax_categories,
    tax_rates,
)

# A product has version 1 until it is changed or deleted. Every rule raises the version of the rules, except a tax category.
IS_UNPRICED = """
SELECT (SELECT version = 0 FROM price_rules) AND NOT EXISTS (SELECT FROM tax_categories)
   AND ($2 OR EXISTS (SELECT FROM products WHERE id = ANY($1::uuid[]) AND version = 1))
"""

DELIVER_PRODUCTS = """
WITH changed AS (
    UPDATE products
       SET tax_category = given.tax_category, needs_delivery = true, weight_grams = given.weight_grams, version = products.version + 1,
           updated_at = now()
      FROM unnest($1::uuid[], $2::text[], $3::integer[]) AS given (id, tax_category, weight_grams)
     WHERE products.id = given.id AND products.version = 1 AND products.tax_category IS NULL
    RETURNING products.id
)
INSERT INTO events (kind, subject_id) SELECT 'product.updated', id FROM changed
"""

_SETTINGS = ("country_code", "prices_include_tax", "tax_rounding", "time_zone")


async def is_unpriced(conn: "Conn", product_ids: Sequence[UUID], *, is_empty: bool) -> bool:
    """Return whether a shop never had a rule of prices, and is empty or has some products of the catalog as they were added."""
    return bool(await conn.fetchval(IS_UNPRICED, product_ids, is_empty))


async def add_tax_categories(conn: "Conn", prices: DemoPrices) -> None:
    """Create the tax categories, which products and rates refer to."""
    for code, name in prices.tax_categories.items():
        await tax_categories.insert(conn, code, name, COMMAND_LINE)


async def add(conn: "Conn", prices: DemoPrices, products: Mapping[UUID, DemoProduct]) -> None:
    """Create the rest as an administrator does: within the limits, with the audit log, and with new versions of the rules.

    Products that were added by the previous release, and not changed since, become taxed and delivered. A promotion of a category that was
    deleted is left out.
    """
    await inventory.lock(conn, products)
    taxes, weights = zip(*((product.tax_category, product.weight_grams) for product in products.values()), strict=True)
    await conn.execute(DELIVER_PRODUCTS, list(products), taxes, weights)
    for rate in prices.rates:
        await tax_rates.insert(conn, rate, COMMAND_LINE)
    for number, zone in enumerate(prices.zones):
        await shipping_zones.insert(conn, zone, COMMAND_LINE, zone_id(number))
    for number, method in enumerate(prices.methods):
        await shipping_methods.insert(conn, method, COMMAND_LINE, method_id(number))
    for number, promotion in enumerate(prices.promotions):
        with suppress(ScopeCategoryNotFound):
            made = await promotions.insert(conn, promotion.draft, COMMAND_LINE, promotion_id(number))
            await promotion_codes.insert(conn, made.id, promotion.code, COMMAND_LINE)
    await shop_settings.write(conn, shop_settings.Update(draft=prices.settings, fields=_SETTINGS, etags=(), actor=COMMAND_LINE))
