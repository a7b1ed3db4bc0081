"""Products, categories and their limits, and the filters and orders of product lists."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.errors import EtagMismatch
from mercato_server.domain.product_groups import Options
from mercato_server.domain.variant_filters import ALL_VARIANTS, VariantFilter

NAME_MAX = 200
DESCRIPTION_MAX = 10_000
SKU_MAX = 64
IMAGE_URLS_MAX = 20
IMAGE_URL_MAX = 2_000
CATEGORY_NAME_MAX = 100
CATEGORY_DEPTH_MAX = 8
"""Levels of the category tree. A product has a row for each level above it, and a checkout reads none of them."""
SUBCATEGORIES_MAX = 1_000
"""Categories directly below one. There is no limit at the top, where all categories of the earlier releases are."""
CATEGORY_POSITION_MAX = 1_000_000
MOVED_PRODUCTS_MAX = 10_000
"""Products on sale that a call moves with their categories, in one transaction. An import of categories moves more."""
QUERY_MAX = 200
PRICE_MAX_MINOR = 10**12
STOCK_MAX = 10**9
WEIGHT_MAX_GRAMS = 10**9


class Product(NamedTuple):
    """A product as stored; prices are in minor units of the shop's currency.

    It is a tuple because lists create many. The fields have the order of the columns.
    """

    id: UUID
    name: str
    description: str
    description_html: str | None
    """Cleaned, as domain/html_descriptions.py does it."""
    price_minor: int
    category_id: UUID | None
    sku: str | None
    stock: int
    image_urls: list[str]
    tax_category: str | None
    needs_delivery: bool
    weight_grams: int
    group_id: UUID | None
    options: str
    """The options of a variant, as JSON; domain/product_groups.py reads it."""
    pictures: str | None
    """The text of the column; `domain.pictures.shown` reads it. Most products of a list have none, or are in a cache."""
    version: int
    """The number of writes to the product."""
    stock_version: int
    """The number of changes of its stock, sales included."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    slug: str | None
    """None until a task has given one to a product of the previous release."""

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the product or its stock."""
        return f"{self.version:x}.{self.stock_version:x}"

    def check_etag(self, expected: Collection[str], *, with_stock: bool) -> None:
        """Raise EtagMismatch if the caller read none of these versions; no version skips the check.

        Only a change that sets the stock compares the version of the stock. Sales do not get in the way of any other change.
        """
        known = self.etag if with_stock else f"{self.version:x}."
        if expected and not any(etag == known if with_stock else etag.startswith(known) for etag in expected):
            raise EtagMismatch("product", ", ".join(expected), self.etag)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDraft:
    """The writable part of a product; `stock` None leaves the stock as it is."""

    name: str = ""
    description: str = ""
    description_html: str | None = None
    price_minor: int = 0
    category_id: UUID | None = None
    sku: str | None = None
    stock: int | None = None
    image_urls: tuple[str, ...] = ()
    tax_category: str | None = None
    needs_delivery: bool = False
    weight_grams: int = 0
    slug: str | None = None
    """None keeps the slug, or lets the server make one of the name."""
    group_id: UUID | None = None
    options: Options = ()
    pictures: tuple[bytes, ...] = ()
    """Digests of pictures, a part of the URLs that a request sets."""


class Category(NamedTuple):
    """A category as stored. The fields have the order of the columns."""

    id: UUID
    name: str
    created_at: datetime
    version: int
    """The number of writes to the category."""
    parent_id: UUID | None
    slug: str | None
    """None until a task has given one to a category of the previous release."""
    position: int
    description: str
    ancestors: list[UUID]
    """The ids of the categories above it, that at the top first."""

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the category."""
        return f"{self.version:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryDraft:
    """The writable part of a category."""

    name: str = ""
    parent_id: UUID | None = None
    slug: str | None = None
    """None keeps the slug, or lets the server make one of the name."""
    position: int = 0
    description: str = ""


class ProductOrder(Enum):
    """The sort orders of a list of products; the values are those of the request's `order_by`."""

    NEWEST = "create_time desc"
    OLDEST = "create_time"
    CHEAPEST = "price"
    DEAREST = "price desc"
    NAME = "name"
    NAME_DESCENDING = "name desc"
    RELEVANCE = "relevance"

    @property
    def descending(self) -> bool:
        """Whether the sort key decreases along the list."""
        return self in (ProductOrder.NEWEST, ProductOrder.DEAREST, ProductOrder.NAME_DESCENDING, ProductOrder.RELEVANCE)


BY_NAME = (ProductOrder.NAME, ProductOrder.NAME_DESCENDING)
BY_CREATION = (ProductOrder.NEWEST, ProductOrder.OLDEST)
"""The orders of lists with deleted products."""


class Deleted(Enum):
    """Whether a list of products has those that are deleted."""

    HIDDEN = auto()
    SHOWN = auto()
    ONLY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFilter:
    """The conditions of a list of products; None sets no condition."""

    category_id: UUID | None = None
    query: str | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None
    in_stock: bool = False
    deleted: Deleted = field(default=Deleted.HIDDEN, repr=False)
    """Not a part of the text that represents the list in page tokens, so that those of the previous release stay valid."""
    variants: VariantFilter = field(default=ALL_VARIANTS, repr=False)
    """Not a part of that text either."""
