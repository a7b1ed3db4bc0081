"""Lists of products: one statement for each shape that a list can have.

A single statement for all shapes ("$1 IS NULL OR category_id = $1") would leave PostgreSQL one generic plan that scans the table. So the
statements are composed here, from constants only, and each has exactly the conditions that its list needs; values are always parameters.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from mercato_server.config import Limits
from mercato_server.db import Pool
from mercato_server.domain.catalog import Product, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page, Position

PRODUCT_COLUMNS = "id, name, description, price_minor, category_id, sku, stock, image_urls, version, created_at, updated_at, deleted_at"

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

# A full-text hit counts by rank, a similar name (typos) by similarity; an integer, so that a page token can hold it exactly.
_SCORE = "(1000000 * (ts_rank(search, query) + word_similarity(fold({q}), fold(name))))::integer"
# Only so many are scored, in whatever order the index gives them: of a million products 40,000 are some "ball".
_RANKED_MAX = Limits().search_ranked_max
_QUERY = "websearch_to_tsquery('english', fold({q})) || websearch_to_tsquery('simple', fold({q}))"


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


def _conditions(shape: Shape) -> tuple[str, int]:
    """Return the FROM and WHERE clauses of a shape, and how many parameters they take."""
    count = 0

    def parameter(kind: str) -> str:
        nonlocal count
        count += 1
        return f"${count}::{kind}"

    source, where = "products", ["deleted_at IS NULL"]
    if shape.category:
        where.append(f"category_id = {parameter('uuid')}")
    if shape.min_price:
        where.append(f"price_minor >= {parameter('bigint')}")
    if shape.max_price:
        where.append(f"price_minor <= {parameter('bigint')}")
    if shape.in_stock:
        where.append("stock > 0")
    if shape.query:
        q = parameter("text")
        source = f"products, LATERAL (SELECT {_QUERY.format(q=q)} AS query, {q} AS q) AS wanted"
        where.append("(search @@ query OR fold(q) <% fold(name))")
    return f"FROM {source} WHERE {' AND '.join(where)}", count


@cache
def list_sql(shape: Shape) -> str:
    """Return the statement of a shape: parameters as `_arguments` lists them, then the position, LIMIT and OFFSET."""
    conditions, count = _conditions(shape)
    key, direction = _KEYS[shape.order], "DESC" if shape.order.descending else "ASC"
    source = f"(SELECT {PRODUCT_COLUMNS} {conditions}) AS matching"
    if key == "score":
        candidates = f"SELECT {PRODUCT_COLUMNS}, search, query, q {conditions} LIMIT {_RANKED_MAX}"
        score = _SCORE.format(q="q")
        source = f"(SELECT {PRODUCT_COLUMNS}, {score} AS score FROM ({candidates}) AS candidate) AS matching"  # noqa: S608 - constants
    place = "TRUE"
    if shape.after:
        sign = "<" if shape.order.descending else ">"
        place = f"id {sign} ${count + 1}::uuid"
        if key:
            place = f"({key}, id) {sign} (${count + 2}::{_CASTS[key]}, ${count + 1}::uuid)"
        count += 2 if key else 1
    order = f"{key} {direction}, id {direction}" if key else f"id {direction}"
    columns = f"{PRODUCT_COLUMNS}, {'score' if key == 'score' else 0} AS score"
    return f"SELECT {columns} FROM {source} WHERE {place} ORDER BY {order} LIMIT ${count + 1} OFFSET ${count + 2}"  # noqa: S608 - constants


@cache
def count_sql(shape: Shape) -> str:
    """Return the statement that counts a list up to a limit."""
    conditions, count = _conditions(shape)
    return f"SELECT count(*) FROM (SELECT {conditions} LIMIT ${count + 1}) AS matching"  # noqa: S608 - constants


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


def _arguments(wanted: ProductFilter) -> list[object]:
    candidates = (wanted.category_id, wanted.min_price_minor, wanted.max_price_minor, wanted.query)
    return [value for value in candidates if value is not None]


async def products(pool: "Pool", wanted: ProductFilter, order: ProductOrder, page: Page) -> tuple[Sequence[Product], Position | None]:
    """Return a page of products and the position of its last row if more follow."""
    arguments = _arguments(wanted)
    if page.after:
        arguments.append(page.after.id)
        if _KEYS[order]:
            arguments.append(page.after.key)
    rows = await pool.fetch(list_sql(_shape(wanted, order, page.after)), *arguments, page.size + 1, page.skip)
    found = [Product._make(row[:-1]) for row in rows[: page.size]]
    if len(rows) <= page.size:
        return found, None
    last = found[-1]
    keys = {None: None, "price_minor": last.price_minor, 'name COLLATE "C"': last.name, "score": rows[page.size - 1]["score"]}
    return found, Position(keys[_KEYS[order]], last.id)


async def count(pool: "Pool", wanted: ProductFilter, limit: int) -> int:
    """Return how many products match, counting no further than `limit`."""
    statement = count_sql(_shape(wanted, ProductOrder.NEWEST, None))
    return int(await pool.fetchval(statement, *_arguments(wanted), limit))
