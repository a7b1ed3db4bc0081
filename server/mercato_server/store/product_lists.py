"""Lists of products: one statement for each shape that a list can have.

A single statement for all shapes ("$1 IS NULL OR category_id = $1") would leave PostgreSQL one generic plan that scans the table. So the
statements are composed here, from constants only, and each has exactly the conditions that its list needs; values are always parameters.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import asyncpg

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import Product, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position
from mercato_server.store import words
from mercato_server.store.events import Snapshot

PRODUCT_COLUMNS = "id, name, description, price_minor, category_id, sku, image_urls, version, created_at, updated_at, deleted_at"

_KEYS = {
    ProductOrder.NEWEST: None,  # UUIDv7: the id alone is the order of creation
    ProductOrder.OLDEST: None,
    ProductOrder.CHEAPEST: "price_minor",
    ProductOrder.DEAREST: "price_minor",
    ProductOrder.NAME: 'name COLLATE "C"',
    ProductOrder.NAME_DESCENDING: 'name COLLATE "C"',
    ProductOrder.RELEVANCE: "score",
}
_CASTS = {"price_minor": "bigint", 'name COLLATE "C"': "text", "score": "integer"}

# A search asks full text for the corrected query, if there is one, or for the words as they are, with English endings and without: a SKU
# has none to lose. `start` is the number of the product from which on it looks.
_SEARCH = """
WITH asked AS MATERIALIZED (
    SELECT fold($1) AS q, coalesce($2::text::tsquery, english || coalesce(nullif(simple, english), '')) AS query
      FROM websearch_to_tsquery('english', fold($1)) AS english, websearch_to_tsquery('simple', fold($1)) AS simple
), start AS MATERIALIZED ({start})
"""
# The rank of the hit; of a corrected query also how alike the name is to what was typed. An integer, which a page token holds exactly.
# "query || query" since the rank of an OR tells where and how often words are, that of an AND how near to each other.
_SCORE = (
    "(1000000 * (ts_rank(search, query || query) + CASE WHEN $2::text IS NULL THEN 0 ELSE word_similarity(q, fold(name)) END))::integer"
)
_RANKED_MAX = Limits().search_ranked_max
_WALKED_MAX = Limits().search_walked_max
# Shelves of 8,192 products, in parts: the nearest one, those up to the third and so on; all others are the last part.
_PARTS = (1, 3, 9)


class ProductPage(NamedTuple):
    """Products of a list, the position of the last one if more follow, and the snapshot in which all of it was read."""

    products: Sequence[Product]
    last: Position | None
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which conditions a list has; decides its statement."""

    order: ProductOrder
    after: bool
    category: bool = False
    query: bool = False
    min_price: bool = False
    max_price: bool = False
    in_stock: bool = False


def shapes() -> Iterator[Shape]:
    """Return every shape there is."""
    flags = itertools.product((False, True), repeat=6)
    for order, (after, category, query, low, high, in_stock) in itertools.product(ProductOrder, flags):
        if query or order is not ProductOrder.RELEVANCE:
            yield Shape(order=order, after=after, category=category, query=query, min_price=low, max_price=high, in_stock=in_stock)


def _conditions(shape: Shape, *, walk: bool = False) -> tuple[str, int]:
    """Return the conditions of a shape, and how many parameters they take, the query and its correction first.

    The index of the search has words and categories; a walk is for conditions without either.
    """
    count = 2 if shape.query else 0
    indexed = shape.query and not walk

    def parameter(kind: str) -> str:
        nonlocal count
        count += 1
        return f"${count}::{kind}"

    where = ["deleted_at IS NULL"]
    if indexed:
        where.append("search @@ (SELECT query FROM asked)")
    if shape.category:
        category = parameter("uuid")
        where.append(f"ARRAY[category_id] @> ARRAY[{category}]" if indexed else f"category_id = {category}")
    price = "price_minor + 0" if indexed else "price_minor"  # the index of prices is no way to words: most products may be in the range
    if shape.min_price:
        where.append(f"{price} >= {parameter('bigint')}")
    if shape.max_price:
        where.append(f"{price} <= {parameter('bigint')}")
    if shape.in_stock:
        # No EXISTS: PostgreSQL would be free to join all of the stock before it walks along the list.
        where.append("(SELECT on_hand FROM stock_levels WHERE product_id = products.id AND location_id = 1) > 0")
    return " AND ".join(where), count


def _page(count: int) -> str:
    """Return the clauses of a page after `count` parameters: LIMIT and OFFSET are the next two.

    As subqueries, or each call of a large statement would be planned anew, since a plan that knows its LIMIT looks cheaper.
    """
    return f"LIMIT (SELECT ${count + 1}::bigint) OFFSET (SELECT ${count + 2}::bigint)"


def _place(shape: Shape, count: int) -> tuple[str, str, int]:
    """Return the condition that a list goes on after its position, its ORDER BY, and how many parameters there are then."""
    key, direction = _KEYS[shape.order], "DESC" if shape.order.descending else "ASC"
    order = f"{key} {direction}, id {direction}" if key else f"id {direction}"
    if not shape.after:
        return "TRUE", order, count
    sign = "<" if shape.order.descending else ">"
    if key:
        return f"({key}, id) {sign} (${count + 2}::{_CASTS[key]}, ${count + 1}::uuid)", order, count + 2
    return f"id {sign} ${count + 1}::uuid", order, count + 1


@cache
def list_sql(shape: Shape) -> str:
    """Return the statement of a shape: parameters as `_arguments` lists them, then the position, LIMIT and OFFSET.

    Each row ends with the snapshot of the statement; an empty list is one row without an id. A nested loop is the only way to join the
    one row of `taken`, so the list keeps its order. The page is cut before its stock is looked up, product by product because of the LIMIT.
    """
    return f"""
    SELECT id, name, description, price_minor, category_id, sku, level.on_hand AS stock, image_urls,
           listed.version + level.version AS version, created_at, greatest(listed.updated_at, level.updated_at) AS updated_at, deleted_at,
           score, snapshot
      FROM (SELECT pg_current_snapshot()::text AS snapshot) AS taken LEFT JOIN ({_listed_sql(shape)}) AS listed ON TRUE
      LEFT JOIN LATERAL (SELECT on_hand, version, updated_at
                           FROM stock_levels
                          WHERE product_id = listed.id AND location_id = 1
                          LIMIT 1) AS level ON TRUE
    """  # noqa: S608 - constants


def _listed_sql(shape: Shape) -> str:
    if not shape.query:
        conditions, count = _conditions(shape)
        place, order, count = _place(shape, count)
        return f"""
        SELECT {PRODUCT_COLUMNS}, 0 AS score
          FROM products
         WHERE {conditions} AND {place}
         ORDER BY {order}
         LIMIT ${count + 1} OFFSET ${count + 2}
        """  # noqa: S608 - constants
    if shape.order is ProductOrder.RELEVANCE:
        return _search_by_relevance_sql(shape)
    if shape.order in (ProductOrder.NEWEST, ProductOrder.OLDEST):
        return _search_by_creation_sql(shape)
    return _search_by_key_sql(shape)


def _shelves(conditions: str, *, descending: bool) -> str:
    """Return the matches from `start` on by their numbers, in parts of which a LIMIT reads only as many as it takes.

    An index of words gives all matches before the first of them can be sorted, unless it is asked for few shelves. So the nearest ones are
    asked first: they fill a page of common words; when the last part is read, the words are rare.
    """
    sign, way, direction = ("-", "<=", "DESC") if descending else ("+", ">=", "ASC")
    rows = f"""
    SELECT {PRODUCT_COLUMNS}, search, number
      FROM products
     WHERE {conditions} AND number {way} (SELECT number FROM start)"""  # noqa: S608 - constants
    parts, near = [], 0
    for far in _PARTS:
        shelves = f"SELECT (number >> 13) {sign} step FROM start, generate_series({near}, {far - 1}) AS step"  # noqa: S608 - constants
        parts.append(f"({rows} AND ARRAY[number >> 13] && ARRAY({shelves}) ORDER BY number {direction})")
        near = far
    others = f"number >> 13 {way} (SELECT (number >> 13) {sign} {near} FROM start)"  # noqa: S608 - constants
    parts.append(f"({rows} AND {others} ORDER BY number {direction})")
    return " UNION ALL ".join(parts)


def _search_by_relevance_sql(shape: Shape) -> str:
    """Return the statement of a search that ranks the newest matches."""
    conditions, count = _conditions(shape)
    place, order, count = _place(shape, count)
    return f"""{_SEARCH.format(start="SELECT max(number) AS number FROM products")}
    SELECT {PRODUCT_COLUMNS}, score
      FROM (SELECT {PRODUCT_COLUMNS}, {_SCORE} AS score
              FROM asked, ({_shelves(conditions, descending=True)} LIMIT {_RANKED_MAX}) AS newest) AS ranked
     WHERE {place}
     ORDER BY {order}
     {_page(count)}
    """  # noqa: S608 - constants


def _search_by_creation_sql(shape: Shape) -> str:
    """Return the statement of a search in the order of creation, which is that of the numbers."""
    conditions, count = _conditions(shape)
    extreme, sign, direction = ("max", "-", "DESC") if shape.order.descending else ("min", "+", "ASC")
    start = f"SELECT {extreme}(number) AS number FROM products"  # noqa: S608 - constants
    if shape.after:
        count += 1
        start = f"SELECT number {sign} 1 AS number FROM products WHERE id = ${count}::uuid"  # noqa: S608 - constants
    return f"""{_SEARCH.format(start=start)}
    SELECT {PRODUCT_COLUMNS}, 0 AS score
      FROM ({_shelves(conditions, descending=shape.order.descending)} {_page(count)}) AS found
     ORDER BY number {direction}
    """  # noqa: S608 - constants


def _search_by_key_sql(shape: Shape) -> str:
    """Return the statement of a search by price or name: a walk along these finds common words, the index of words gives all rare ones."""
    conditions, count = _conditions(shape)
    others, _ = _conditions(shape, walk=True)
    place, order, count = _place(shape, count)
    return f"""{_SEARCH.format(start="SELECT 0 AS number")}, walked AS MATERIALIZED (
        SELECT {PRODUCT_COLUMNS}
          FROM (SELECT {PRODUCT_COLUMNS}, search FROM products WHERE {others} AND {place} ORDER BY {order} LIMIT {_WALKED_MAX}) AS nearest
         WHERE search @@ (SELECT query FROM asked)
         {_page(count)}
    ), enough AS MATERIALIZED (SELECT count(*) = ${count + 1} AS yes FROM walked)
    SELECT {PRODUCT_COLUMNS}, 0 AS score
      FROM (SELECT {PRODUCT_COLUMNS} FROM walked WHERE (SELECT yes FROM enough)
             UNION ALL
            (SELECT {PRODUCT_COLUMNS}
               FROM (SELECT {PRODUCT_COLUMNS} FROM products WHERE {conditions} AND NOT (SELECT yes FROM enough) OFFSET 0) AS matching
              WHERE {place}
              ORDER BY {order}
              {_page(count)})) AS found
     ORDER BY {order}
    """  # noqa: S608 - constants


@cache
def count_sql(shape: Shape) -> str:
    """Return the statement that counts a list up to a limit."""
    conditions, count = _conditions(shape)
    search = _SEARCH.format(start="SELECT 0 AS number") if shape.query else ""
    return f"{search}SELECT count(*) FROM (SELECT FROM products WHERE {conditions} LIMIT ${count + 1}) AS matching"  # noqa: S608 - constants


def _shape(wanted: ProductFilter, order: ProductOrder, after: Position | None) -> Shape:
    return Shape(
        order=order,
        after=after is not None,
        category=wanted.category_id is not None,
        query=wanted.query is not None,
        min_price=wanted.min_price_minor is not None,
        max_price=wanted.max_price_minor is not None,
        in_stock=wanted.in_stock,
    )


def _arguments(wanted: ProductFilter, spelling: str | None) -> list[object]:
    query = [] if wanted.query is None else [wanted.query, spelling]
    return query + [value for value in (wanted.category_id, wanted.min_price_minor, wanted.max_price_minor) if value is not None]


async def products(pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page) -> ProductPage:
    """Return a page of products.

    A query that finds nothing is corrected by the words of products; the pages that follow go by the same correction.
    """
    spelling = page.after.spelling if page.after else None
    rows, snapshot = await _rows(pool, wanted, order, page, spelling)
    if not rows and wanted.query and page.after is None and not (page.skip and await _count(pool, wanted, None, 1)):
        spelling = await words.correct(pool, wanted.query)
        rows = (await _rows(pool, wanted, order, page, spelling))[0] if spelling else []
    found = [Product._make(row[:-2]) for row in rows[: page.size]]
    if len(rows) <= page.size:
        return ProductPage(found, None, snapshot)
    last = found[-1]
    keys = {None: None, "price_minor": last.price_minor, 'name COLLATE "C"': last.name, "score": rows[page.size - 1]["score"]}
    return ProductPage(found, Position(keys[_KEYS[order]], last.id, spelling), snapshot)


async def _rows(
    pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page, spelling: str | None
) -> tuple[Sequence[asyncpg.Record], Snapshot]:
    arguments = _arguments(wanted, spelling)
    if page.after:
        arguments.append(page.after.id)
        if _KEYS[order]:
            arguments.append(page.after.key)
    rows = await pool.fetch(list_sql(_shape(wanted, order, page.after)), *arguments, page.size + 1, page.skip)
    return rows if rows[0]["id"] else [], Snapshot.parse(rows[0]["snapshot"])


async def count(pool: "Pool", wanted: ProductFilter, limit: int, spelling: str | None = None) -> int:
    """Return how many products match, counting no further than `limit`; those of the corrected query if the query finds nothing.

    `spelling` is how the list's first page corrected the query, for the pages that follow.
    """
    if spelling:
        return await _count(pool, wanted, spelling, limit)
    found = await _count(pool, wanted, None, limit)
    if found or not wanted.query:
        return found
    spelling = await words.correct(pool, wanted.query)
    return await _count(pool, wanted, spelling, limit) if spelling else 0


async def _count(pool: "Pool", wanted: ProductFilter, spelling: str | None, limit: int) -> int:
    statement = count_sql(_shape(wanted, ProductOrder.NEWEST, None))
    return int(await pool.fetchval(statement, *_arguments(wanted, spelling), limit))
