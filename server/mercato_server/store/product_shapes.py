"""The shapes of product lists, and the parts of SQL that all lists share.

A single statement for all lists ("$1 IS NULL OR category_id = $1") would have one generic plan, which scans the table. So each shape has a
separate statement. Statements are composed from constants only; values are always parameters.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mercato_server.domain.catalog import BY_CREATION, Deleted, ProductOrder

PRODUCT_COLUMNS = """id, name, description, description_html,
       price_minor, category_id, sku, image_urls, tax_category, needs_delivery, weight_grams, group_id,
       options, pictures, version, created_at, updated_at, deleted_at, slug"""
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
    options: bool = False
    group: bool = False
    """Only variants of one group. Such a list has no query."""
    collapse: bool = False
    """One product for each group: the variant that matches with the lowest price, of several the oldest one."""
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
            "options": self.options,
            "group": self.group,
            "after_id": self.after,
            "after_key": self.after and self.key is not None,
            "limit": True,
            "offset": True,
        }
        return {name: f"${number}" for number, name in enumerate((name for name, used in names.items() if used), 1)}

    def conditions(self, *, category: str = "") -> str:
        """Return the conditions on a row of the table `products`; `category` is the expression of another category than the request's."""
        return " AND ".join([self.matches(category), *self._first("products")])

    def matches(self, category: str = "") -> str:
        """Return the same conditions without that of a collapsed list."""
        within = f"category_id = {category or self._category()}" if self.category else "TRUE"
        return " AND ".join(self._matching("products", within))

    @property
    def is_thinned(self) -> bool:
        """Whether the list looks for siblings of its matches once they are sorted, as far as its page needs.

        Otherwise PostgreSQL may look for the siblings of thousands of matches that the index of options finds, for a page of 20.
        """
        return self.collapse and self.options and not self.query

    def entry(self) -> str:
        """Return the condition of a collapsed list on one of its matches, which has the alias `products`."""
        return " AND ".join(self._first("products")) or "TRUE"

    def listing_conditions(self) -> str:
        """Return the conditions on a row of `category_listings AS products`. The product is read only for what a listing lacks."""
        where = [*self.prices(), f"category_id = {self._category()}", *self._stock("products")]
        if first := _unindexed(self._first("variant")):
            where.append(f"(SELECT {' AND '.join(first)} FROM products AS variant WHERE variant.id = products.id)")  # noqa: S608 - constants
        return " AND ".join(where)

    @property
    def has_found_listings(self) -> bool:
        """Whether an index of products may find the products of subcategories sooner than the listings of the category do.

        With options that none of its products has, a list would otherwise read all of the category's listings.
        """
        return self.options or self.group

    def found_listings(self) -> str:
        """Return the tables and conditions of these products without that of a collapsed list; columns of listings begin with `of_`.

        A group has few variants, which are looked up in the listings. Of options, PostgreSQL decides where to begin.
        """
        category = f"category_id = {self._category()}"
        tables = f"(SELECT category_id, id, price_minor, name_key FROM category_listings WHERE {category} AND id = products.id OFFSET 0)"  # noqa: S608 - constants
        names = "AS listing (of_category_id, of_id, of_price_minor, of_name_key)"
        tables = f"products CROSS JOIN LATERAL {tables} {names}" if self.group else f"category_listings {names} JOIN products ON id = of_id"
        found = [_DELETED[self.deleted], *self.prices("of_price_minor"), *self._stock("products"), *self._options()]
        return f"{tables} WHERE {' AND '.join([f'of_{category}', *found])}"

    def entries(self) -> str:
        """Return the conditions of a search on the product of a document that matches, beside those on its stock; empty for none."""
        return " AND ".join([*_unindexed(self._options()), *self._first("products")])

    def _matching(self, table: str, within: str) -> list[str]:
        """Return the conditions on a row of `products`, which has the alias `table`; a collapsed list has a further one.

        `within` is the condition on its category.
        """
        return [_DELETED[self.deleted], *self.prices(), *([within] if self.category else []), *self._stock(table), *self._options()]

    def _category(self) -> str:
        # A subquery hides how many products the category has: PostgreSQL would make a new plan for each call to a small one.
        category = f"{self.parameters()['category']}::uuid"
        return category if self._is_planned_anew else f"(SELECT {category})"

    @property
    def _is_planned_anew(self) -> bool:
        """Whether only the arguments of a list tell which index reads fewer products. Planning takes as long as a page."""
        return bool(self.prices() or self.options) and not self.query

    def _stock(self, table: str) -> list[str]:
        # No EXISTS: with it, PostgreSQL could join the whole stock before it reads the list in order.
        level = f"SELECT on_hand FROM stock_levels WHERE product_id = {table}.id AND location_id = 1"  # noqa: S608 - constants
        return [f"({level}) > 0"] if self.in_stock else []

    def _options(self) -> list[str]:
        at = self.parameters()
        chosen = [f"folded_options @@ {at['options']}::jsonpath"] if self.options else []
        return [*chosen, f"group_id = {at['group']}::uuid"] if self.group else chosen

    def _first(self, table: str) -> list[str]:
        """Return the condition that no variant of the same group that matches comes before this one, which has the alias `table`.

        The representative of a group comes before all others, so no sibling of it is read. If the only condition is a highest price, it
        matches whenever a variant does. The plus sign keeps PostgreSQL from an index of prices, as siblings are found by their group.
        """
        if not self.collapse:
            return []
        if not (self.category or self.query or self.min_price or self.in_stock or self.options):
            return ["is_listed"]
        within = ""
        if self.category:
            listing = f"SELECT FROM category_listings AS listing WHERE listing.category_id = {self._category()} AND listing.id = sibling.id"
            within = f"category_id = {self._category()} OR EXISTS ({listing})"
        where = [f"sibling.group_id = {table}.group_id", *_unindexed(self._matching("sibling", within))]
        if self.query:
            where.append("(SELECT words @@ (SELECT query FROM asked) FROM product_search WHERE product_id = sibling.id AND locale = '')")
        cheaper = f"(+sibling.price_minor, sibling.id) < ({table}.price_minor, {table}.id)"
        return [f"(is_listed OR NOT EXISTS (SELECT FROM products AS sibling WHERE {' AND '.join([*where, cheaper])}))"]

    def prices(self, price: str = "price_minor") -> list[str]:
        """Return the conditions on prices; an expression such as `+price_minor` keeps PostgreSQL from an index of prices."""
        at = self.parameters()
        low = [f"{price} >= {at['min_price']}::bigint"] if self.min_price else []
        return [*low, f"{price} <= {at['max_price']}::bigint"] if self.max_price else low

    def place(self, prefix: str = "") -> str:
        """Return the condition on rows after the list's position; the names of their columns begin with the prefix."""
        if not self.after:
            return "TRUE"
        at, sign = self.parameters(), "<" if self.order.descending else ">"
        if self.key is None:
            return f"{prefix}id {sign} {at['after_id']}::uuid"
        return f"({prefix}{self.key}, {prefix}id) {sign} ({at['after_key']}::{_KEYS[self.order][1]}, {at['after_id']}::uuid)"

    def limit(self) -> str:
        """Return the clause of all rows up to a number.

        The ELSE of a list that is planned anew is never evaluated. A plan for one call leaves it out. A plan for all calls has its cost, so
        PostgreSQL uses none. Without it, five calls with a common option may look dearer than the guess of a plan for all.
        """
        limit = f"{self.parameters()['limit']}::bigint"
        if self._is_planned_anew:
            return f"LIMIT CASE WHEN {limit} >= 0 THEN {limit} ELSE (SELECT count(*) FROM generate_series(1, 1000000000)) END"  # noqa: S608
        return f"LIMIT {limit}"

    def page(self) -> str:
        """Return the clauses of a page.

        As subqueries: a plan that knows its LIMIT looks cheaper, so PostgreSQL would make a new plan for each call.
        """
        at = self.parameters()
        if self._is_planned_anew:
            return f"{self.limit()} OFFSET {at['offset']}"
        return f"LIMIT (SELECT {at['limit']}::bigint) OFFSET (SELECT {at['offset']}::bigint)"

    def pages(self) -> str:
        """Return the clause of all rows up to the end of a page, of each part of a list that has parts."""
        at = self.parameters()
        if self._is_planned_anew:
            return f"{self.limit()} + {at['offset']}::bigint"
        return f"LIMIT (SELECT {at['limit']}::bigint + {at['offset']}::bigint)"

    def order_by(self, prefix: str = "") -> str:
        """Return the expressions of ORDER BY; the names of the columns begin with the prefix."""
        direction = "DESC" if self.order.descending else "ASC"
        return ", ".join(f"{prefix}{column} {direction}" for column in (self.key, "id") if column)


def _unindexed(conditions: Iterable[str]) -> list[str]:
    """Return conditions in a form for which PostgreSQL uses no index: the rows are found by another one, and are few."""
    return [f"({each}) IS TRUE" for each in conditions]


def shapes() -> Iterator[Shape]:
    """Yield all possible shapes of lists of products on sale."""
    flags = itertools.product((False, True), repeat=6)
    for order, (after, category, query, low, high, in_stock) in itertools.product(ProductOrder, flags):
        if query or order is not ProductOrder.RELEVANCE:
            yield Shape(order=order, after=after, category=category, query=query, min_price=low, max_price=high, in_stock=in_stock)


def variant_shapes() -> Iterator[Shape]:
    """Yield all possible shapes of lists that are collapsed, or that choose variants by options or by group."""
    for shape, (options, group, collapse) in itertools.product(shapes(), itertools.product((False, True), repeat=3)):
        if (options or group or collapse) and not (group and shape.query):
            yield replace(shape, options=options, group=group, collapse=collapse)


def deleted_shapes() -> Iterator[Shape]:
    """Yield all possible shapes of lists with deleted products."""
    for shape, deleted in itertools.product(shapes(), (Deleted.SHOWN, Deleted.ONLY)):
        if shape.order in BY_CREATION and not shape.query:
            yield replace(shape, deleted=deleted)
