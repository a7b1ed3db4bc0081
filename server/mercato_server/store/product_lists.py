"""Lists of products, sorted by price, name or creation and filtered, and the counts of these lists.

A list without a query reads one index in the order of the list and stops when its page is full:

    Limit
      ->  Index Scan using products_by_category_price   (Index Cond: category_id = $1 AND (price_minor, id) > ($3, $2))

Lists with a query are in search.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import Product, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.store import search
from mercato_server.store.events import Snapshot
from mercato_server.store.product_shapes import Shape


class ProductPage(NamedTuple):
    """A page of a list of products, and the position from which the list continues."""

    products: Sequence[Product]
    last: Position | None
    """The position of the last product if more follow."""
    snapshot: Snapshot
    """The snapshot in which the list was read."""
    spelling: str | None
    """The corrected query of the search; None if the query was not corrected."""


@cache
def list_sql(shape: Shape) -> str:
    """Return the statement of a shape; it takes `shape.parameters()`.

    Each row ends with the snapshot of the statement; an empty list is one row without an id. Only a nested loop can join the one row of
    `taken`, so the list keeps its order. The statement reads the stock after the page is limited, one product at a time because of the
    inner LIMIT.
    """
    listed = search.list_sql(shape) if shape.query else _plain_sql(shape)
    return f"""
    SELECT id, name, description, description_html, price_minor, category_id, sku, level.on_hand AS stock, image_urls, tax_category,
           needs_delivery, weight_grams, group_id, options,
           listed.version, level.version AS stock_version, created_at, listed.updated_at, deleted_at, place, snapshot
      FROM (SELECT pg_current_snapshot()::text AS snapshot) AS taken LEFT JOIN ({listed}) AS listed ON TRUE
      LEFT JOIN LATERAL (SELECT on_hand, version
                           FROM stock_levels
                          WHERE product_id = listed.id AND location_id = 1
                          LIMIT 1) AS level ON TRUE
    """  # noqa: S608 - constants


def _plain_sql(shape: Shape) -> str:
    return f"""
    SELECT {shape.columns}
      FROM products
     WHERE {shape.conditions()} AND {shape.place()}
     ORDER BY {shape.order_by()}
     {shape.page()}
    """  # noqa: S608 - constants


@cache
def count_sql(shape: Shape) -> str:
    """Return the statement that counts a list up to a limit; it takes the parameters of the list's first page without the offset."""
    shape = replace(shape, after=False)
    if shape.query:
        return search.count_sql(shape)
    limit = shape.parameters()["limit"]
    return f"SELECT count(*) FROM (SELECT FROM products WHERE {shape.conditions()} LIMIT {limit}) AS matching"  # noqa: S608 - constants


async def products(pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page) -> ProductPage:
    """Return a page of products.

    A query without results is corrected if that gives results; the following pages use the same correction.
    """
    spelling = page.after.spelling if page.after else None
    rows, snapshot = await _rows(pool, wanted, order, page, spelling)
    if not rows and wanted.query and page.after is None and not (page.skip and await count(pool, wanted, 1)):
        spelling = await search.correct(pool, wanted.query)
        rows = (await _rows(pool, wanted, order, page, spelling))[0] if spelling else []
        if not rows and not (spelling and page.skip and await count(pool, wanted, 1, spelling)):
            spelling = None
    found = [Product._make(row[:-2]) for row in rows[: page.size]]
    if len(rows) <= page.size:
        return ProductPage(found, None, snapshot, spelling)
    last = rows[page.size - 1]
    return ProductPage(found, Position(last["place"], last["id"], spelling), snapshot, spelling)


async def _rows(
    pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page, spelling: str | None
) -> tuple[Sequence[asyncpg.Record], Snapshot]:
    shape, arguments = _shape(wanted, order, page.after), _arguments(wanted, spelling)
    if page.after:
        arguments += [page.after.id, page.after.key] if shape.key else [page.after.id]
    rows = await pool.fetch(list_sql(shape), *arguments, page.size + 1, page.skip)
    return rows if rows[0]["id"] else [], Snapshot.parse(rows[0]["snapshot"])


async def count(pool: "Pool", wanted: ProductFilter, limit: int, spelling: str | None = None) -> int:
    """Return the number of matching products, at most `limit`; `spelling` is the corrected query of the list's page."""
    statement = count_sql(_shape(wanted, ProductOrder.NEWEST, None))
    return int(await pool.fetchval(statement, *_arguments(wanted, spelling), limit))


def _shape(wanted: ProductFilter, order: ProductOrder, after: Position | None) -> Shape:
    return Shape(
        order=order,
        after=after is not None,
        category=wanted.category_id is not None,
        query=wanted.query is not None,
        min_price=wanted.min_price_minor is not None,
        max_price=wanted.max_price_minor is not None,
        in_stock=wanted.in_stock,
        deleted=wanted.deleted,
    )


def _arguments(wanted: ProductFilter, spelling: str | None) -> list[object]:
    query = [] if wanted.query is None else search.arguments(spelling or wanted.query)
    return query + [value for value in (wanted.category_id, wanted.min_price_minor, wanted.max_price_minor) if value is not None]
