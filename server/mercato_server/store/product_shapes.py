"""The shapes of product lists, and the parts of SQL that all lists share.

A single statement for all lists ("$1 IS NULL OR category_id = $1") would have one generic plan, which scans the table. So each shape has a
separate statement. Statements are composed from constants only; values are always parameters.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mercato_server.domain.catalog import BY_CREATION, Deleted, ProductOrder

PRODUCT_COLUMNS = """id, name, description, description_html,
       price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams, group_id,
       options, version, created_at, updated_at, deleted_at"""
"""The columns of the table products that a list reads."""

_KEYS = {
    ProductOrder.CHEAPEST: ("price_minor", "bigint"),
    ProductOrder.DEAREST: ("price_minor", "bigint"),
    ProductOrder.NAME: ("name_key", "bytea"),
    ProductOrder.NAME_DESCENDING: ("name_key", "bytea"),
    ProductOrder.RELEVANCE: ("score", "integer"),
}
"""The sort key of an order and its type. Other orders sort by id alone, because UUIDv7 ids are in the order of creation."""

_DELETED = {Deleted.HIDDEN: "deleted_at IS NULL", Deleted.SHOWN: "TRUE", Deleted.ONLY: "deleted_at IS NOT NULL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The order of a list and the set of its conditions, which determine its statement."""

    order: ProductOrder
    after: bool
    category: bool = False
    query: bool = False
    min_price: bool = False
    max_price: bool = False
    in_stock: bool = False
    deleted: Deleted = Deleted.HIDDEN
    """Lists with deleted products have no query, and are sorted by creation: the other indexes have products on sale only."""

    @property
    def key(self) -> str | None:
        """The sort key before the id; None if the list is sorted by id alone."""
        return _KEYS[self.order][0] if self.order in _KEYS else None

    @property
    def columns(self) -> str:
        """The columns of a product, then `place`: the sort key that a page token holds."""
        return f"{PRODUCT_COLUMNS}, {self.key or 'NULL'} AS place"

    def parameters(self) -> dict[str, str]:
        """Return the number of each parameter by its name, in the order in which a statement takes them."""
        names = {
            **dict.fromkeys(("matches", "ranked", "rest", "beginning", "stem"), self.query),
            "category": self.category,
            "min_price": self.min_price,
            "max_price": self.max_price,
            "after_id": self.after,
            "after_key": self.after and self.key is not None,
            "limit": True,
            "offset": True,
        }
        return {name: f"${number}" for number, name in enumerate((name for name, used in names.items() if used), 1)}

    def conditions(self) -> str:
        """Return the conditions on a row of the table `products`."""
        where = [_DELETED[self.deleted], *self.prices()]
        if self.category:
            where.append(f"category_id = {self.parameters()['category']}::uuid")
        if self.in_stock:
            # No EXISTS: with it, PostgreSQL could join the whole stock before it reads the list in order.
            where.append("(SELECT on_hand FROM stock_levels WHERE product_id = products.id AND location_id = 1) > 0")
        return " AND ".join(where)

    def prices(self, price: str = "price_minor") -> list[str]:
        """Return the conditions on prices; an expression such as `+price_minor` keeps PostgreSQL from an index of prices."""
        at = self.parameters()
        low = [f"{price} >= {at['min_price']}::bigint"] if self.min_price else []
        return [*low, f"{price} <= {at['max_price']}::bigint"] if self.max_price else low

    def place(self) -> str:
        """Return the condition on rows after the list's position."""
        if not self.after:
            return "TRUE"
        at, sign = self.parameters(), "<" if self.order.descending else ">"
        if self.key is None:
            return f"id {sign} {at['after_id']}::uuid"
        return f"({self.key}, id) {sign} ({at['after_key']}::{_KEYS[self.order][1]}, {at['after_id']}::uuid)"

    def page(self) -> str:
        """Return the clauses of a page.

        As subqueries: a plan that knows its LIMIT looks cheaper, so PostgreSQL would make a new plan for each call. A list without a query
        needs a new plan if it has a range of prices, because only the range tells which index reads fewer products.
        """
        at = self.parameters()
        if self.prices() and not self.query:
            return f"LIMIT {at['limit']} OFFSET {at['offset']}"
        return f"LIMIT (SELECT {at['limit']}::bigint) OFFSET (SELECT {at['offset']}::bigint)"

    def order_by(self) -> str:
        """Return the expressions of ORDER BY."""
        direction = "DESC" if self.order.descending else "ASC"
        return f"{self.key} {direction}, id {direction}" if self.key else f"id {direction}"


def shapes() -> Iterator[Shape]:
    """Yield all possible shapes of lists of products on sale."""
    flags = itertools.product((False, True), repeat=6)
    for order, (after, category, query, low, high, in_stock) in itertools.product(ProductOrder, flags):
        if query or order is not ProductOrder.RELEVANCE:
            yield Shape(order=order, after=after, category=category, query=query, min_price=low, max_price=high, in_stock=in_stock)


def deleted_shapes() -> Iterator[Shape]:
    """Yield all possible shapes of lists with deleted products."""
    for shape, deleted in itertools.product(shapes(), (Deleted.SHOWN, Deleted.ONLY)):
        if shape.order in BY_CREATION and not shape.query:
            yield replace(shape, deleted=deleted)
