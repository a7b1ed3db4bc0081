"""Lists of products, sorted by price, name or creation and filtered, and the counts of these lists.

A list without a query reads one index in the order of the list and stops when its page is full:

    Limit
      ->  Index Scan using products_by_category_price   (Index Cond: category_id = $1 AND (price_minor, id) > ($3, $2))

A list of a category reads two indexes in that order, each until it has a page: that of its own products, and that of the products in its
subcategories, which are in the table `category_listings`:

    Limit
      ->  Sort
            ->  Append
                  ->  Limit  ->  Index Scan using products_by_category_price
                  ->  Nested Loop
                        ->  Limit  ->  Index Only Scan using category_listings_by_price
                        ->  Index Scan using products_pkey

Lists with a query are in search.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import Deleted, Product, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.variant_filters import path
from mercato_server.store import listed_groups, search
from mercato_server.store.events import Snapshot
from mercato_server.store.listed_groups import ListedGroup
from mercato_server.store.product_shapes import PRODUCT_COLUMNS, Shape


class ProductPage(NamedTuple):
    """A page of a list of products, and the position from which the list continues."""

    products: Sequence[Product]
    last: Position | None
    """The position of the last product if more follow."""
    snapshot: Snapshot
    """The snapshot in which the list was read."""
    groups: Sequence[ListedGroup]
    """The groups of the products of a collapsed list, in their order."""
    spelling: str | None
    """The corrected query of the search; None if the query was not corrected."""


@cache
def list_sql(shape: Shape) -> str:
    """Return the statement of a shape; it takes `shape.parameters()`.

    Each row ends with the snapshot of the statement; an empty list is one row without an id. Only a nested loop can join the one row of
    `taken`, so the list keeps its order. The statement reads the stock after the page is limited, one product at a time because of the
    inner LIMIT. A collapsed list has the group of each of its products at the end of the row, from the same snapshot.
    """
    listed = search.list_sql(shape) if shape.query else _category_sql(shape) if shape.category else _plain_sql(shape)
    columns, join = (listed_groups.GROUP_COLUMNS, listed_groups.GROUP_JOIN) if shape.collapse else ("", "")
    return f"""
    SELECT id, name, description, description_html,
           price_minor, category_id, sku, level.on_hand AS stock, image_urls, tax_category,
           needs_delivery, weight_grams, group_id, options, pictures,
           listed.version, level.version AS stock_version, created_at, listed.updated_at, deleted_at, slug, place, snapshot{columns}
      FROM (SELECT pg_current_snapshot()::text AS snapshot) AS taken LEFT JOIN ({listed}) AS listed ON TRUE
      LEFT JOIN LATERAL (SELECT on_hand, version
                           FROM stock_levels
                          WHERE product_id = listed.id AND location_id = 1
                          LIMIT 1) AS level ON TRUE{join}
    """  # noqa: S608 - constants


def _plain_sql(shape: Shape) -> str:
    return f"{_matches_sql(shape)} {shape.page()}"


def _matches_sql(shape: Shape) -> str:
    """Return the statement of the products that match, in the order of the list."""
    if shape.is_thinned:
        return _thinned_sql(shape, f"products WHERE {shape.matches()} AND {shape.place()} ORDER BY {shape.order_by()}")
    return f"SELECT {shape.columns} FROM products WHERE {shape.conditions()} AND {shape.place()} ORDER BY {shape.order_by()}"  # noqa: S608


def _found_listings_sql(shape: Shape) -> str:
    """Return the statement of the products in the subcategories of a category that match, in the order of the list."""
    found = f"{shape.found_listings()} AND {shape.place('of_')} ORDER BY {shape.order_by('of_')}"
    return _thinned_sql(shape, found) if shape.collapse else f"SELECT {shape.columns} FROM {found}"  # noqa: S608 - constants


def _thinned_sql(shape: Shape, found: str) -> str:
    """Return the statement of the entries of a collapsed list among its sorted matches, in their order; OFFSET 0 keeps both apart."""
    matching = f"SELECT {shape.columns}, is_listed FROM {found} OFFSET 0"  # noqa: S608 - constants
    return f"SELECT {PRODUCT_COLUMNS}, place FROM ({matching}) AS products WHERE {shape.entry()}"  # noqa: S608 - constants


def _category_sql(shape: Shape) -> str:
    """Return the statement of a list of a category: a page of each of its parts, of which the first rows are the page of the list.

    LATERAL with OFFSET 0 forces a nested loop: products are read one by one.
    """
    end = f"AND {shape.place()} ORDER BY {shape.order_by()} {shape.pages()}"
    order = shape.order_by().replace(shape.key, "place") if shape.key else shape.order_by()
    if shape.has_found_listings:
        parts = [f"{_matches_sql(shape)} {shape.pages()}", f"{_found_listings_sql(shape)} {shape.pages()}"]
        return f"SELECT * FROM (({parts[0]}) UNION ALL ({parts[1]})) AS listed ORDER BY {order} {shape.page()}"  # noqa: S608 - constants
    own, *others = _parts(shape, shape.columns if shape.deleted is Deleted.HIDDEN else "*", end)
    by_id = f"SELECT {shape.columns} FROM products WHERE id = found.id OFFSET 0"  # noqa: S608 - constants
    parts = [own, *(f"SELECT product.* FROM ({other}) AS found CROSS JOIN LATERAL ({by_id}) AS product" for other in others)]  # noqa: S608
    listed = " UNION ALL ".join(f"({part})" for part in parts)
    return f"SELECT * FROM ({listed}) AS listed ORDER BY {order} {shape.page()}"  # noqa: S608 - constants


def _parts(shape: Shape, columns: str, end: str) -> list[str]:
    """Return the queries that find the products of a category and of its subcategories; `end` ends each of them.

    Only administrators list deleted products, which no listing has. So such a list reads each category of the subtree.
    """
    category = f"{shape.parameters()['category']}::uuid"
    if shape.deleted is Deleted.HIDDEN:
        listings = f"category_listings AS products WHERE {shape.listing_conditions()}"
        if shape.has_found_listings:
            listings = f"{shape.found_listings()} AND {shape.entry()}"
        return [
            f"SELECT {columns} FROM products WHERE {shape.conditions()} {end}",  # noqa: S608 - constants
            f"SELECT id FROM {listings} {end}",  # noqa: S608 - constants
        ]
    subtree = f"SELECT {category} AS id UNION ALL SELECT id FROM categories WHERE ancestors @> ARRAY[{category}]"  # noqa: S608 - constants
    products = f"SELECT {shape.columns} FROM products WHERE {shape.conditions(category='category.id')} {end}"  # noqa: S608 - constants
    return [f"SELECT product.{columns} FROM ({subtree}) AS category CROSS JOIN LATERAL ({products}) AS product"]  # noqa: S608 - constants


@cache
def count_sql(shape: Shape) -> str:
    """Return the statement that counts a list up to a limit; it takes the parameters of the list's first page without the offset."""
    shape = replace(shape, after=False)
    if shape.query:
        return search.count_sql(shape)
    if shape.category:
        listed = " UNION ALL ".join(f"({part})" for part in _parts(shape, "id", shape.limit()))
        return f"SELECT count(*) FROM (SELECT FROM ({listed}) AS listed {shape.limit()}) AS matching"  # noqa: S608 - constants
    return f"SELECT count(*) FROM (SELECT FROM products WHERE {shape.conditions()} {shape.limit()}) AS matching"  # noqa: S608 - constants


_COLUMNS = len(Product._fields)


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
    found = [Product._make(row[:_COLUMNS]) for row in rows[: page.size]]
    groups = listed_groups.read(rows[: page.size]) if wanted.variants.collapse else ()
    if len(rows) <= page.size:
        return ProductPage(found, None, snapshot, groups, spelling)
    last = rows[page.size - 1]
    return ProductPage(found, Position(last["place"], last["id"], spelling), snapshot, groups, spelling)


async def _rows(
    pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page, spelling: str | None
) -> tuple[Sequence[asyncpg.Record], Snapshot]:
    shape, values = shape_of(wanted, order, page.after), arguments(wanted, spelling, path(wanted.variants.choices))
    if page.after:
        values += [page.after.id, page.after.key] if shape.key else [page.after.id]
    rows = await pool.fetch(list_sql(shape), *values, page.size + 1, page.skip)
    return rows if rows[0]["id"] else [], Snapshot.parse(rows[0]["snapshot"])


async def count(pool: "Pool", wanted: ProductFilter, limit: int, spelling: str | None = None) -> int:
    """Return the number of matching products, at most `limit`; `spelling` is the corrected query of the list's page."""
    statement = count_sql(shape_of(wanted, ProductOrder.NEWEST, None))
    return int(await pool.fetchval(statement, *arguments(wanted, spelling, path(wanted.variants.choices)), limit))


def shape_of(wanted: ProductFilter, order: ProductOrder, after: Position | None) -> Shape:
    """Return the shape of a list, from its start or from a position on."""
    return Shape(
        order=order,
        after=after is not None,
        category=wanted.category_id is not None,
        query=wanted.query is not None,
        min_price=wanted.min_price_minor is not None,
        max_price=wanted.max_price_minor is not None,
        in_stock=wanted.in_stock,
        options=bool(wanted.variants.choices),
        group=wanted.variants.group_id is not None,
        collapse=wanted.variants.collapse,
        deleted=wanted.deleted,
    )


def arguments(wanted: ProductFilter, spelling: str | None, options: str) -> list[object]:
    """Return the first arguments of a list's statements: those of its conditions; `options` is the predicate of options, or empty."""
    query = [] if wanted.query is None else search.arguments(spelling or wanted.query)
    values = (wanted.category_id, wanted.min_price_minor, wanted.max_price_minor, options or None, wanted.variants.group_id)
    return query + [value for value in values if value is not None]
