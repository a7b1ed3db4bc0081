"""Products and categories."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.errors import EtagMismatch

NAME_MAX = 200
DESCRIPTION_MAX = 10_000
SKU_MAX = 64
IMAGE_URLS_MAX = 20
IMAGE_URL_MAX = 2_000
CATEGORY_NAME_MAX = 100
QUERY_MAX = 200
PRICE_MAX_MINOR = 10**12
STOCK_MAX = 10**9


class Product(NamedTuple):
    """A product as stored; prices in minor units of the shop's currency. A tuple, because lists make many; in the order of the columns."""

    id: UUID
    name: str
    description: str
    price_minor: int
    category_id: UUID | None
    sku: str | None
    stock: int
    image_urls: list[str]
    version: int
    """How often the product or its stock has been written."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def etag(self) -> str:
        """Opaque to callers; changes with every change of the product or of its stock."""
        return f"{self.version:x}"

    def check_etag(self, expected: str | None) -> None:
        """Raise EtagMismatch if the caller saw another version; None means the caller does not mind."""
        if expected and expected != self.etag:
            raise EtagMismatch("product", expected, self.etag)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDraft:
    """The writable part of a product; `stock` None leaves the stock as it is."""

    name: str = ""
    description: str = ""
    price_minor: int = 0
    category_id: UUID | None = None
    sku: str | None = None
    stock: int | None = None
    image_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category as stored."""

    id: UUID
    name: str
    created_at: datetime


class ProductOrder(Enum):
    """The orders that a list of products can have; the value is what `order_by` says."""

    NEWEST = "create_time desc"
    OLDEST = "create_time"
    CHEAPEST = "price"
    DEAREST = "price desc"
    NAME = "name"
    NAME_DESCENDING = "name desc"
    RELEVANCE = "relevance"

    @property
    def descending(self) -> bool:
        """Whether the key falls along the list."""
        return self in (ProductOrder.NEWEST, ProductOrder.DEAREST, ProductOrder.NAME_DESCENDING, ProductOrder.RELEVANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFilter:
    """Which products a list holds; None means any."""

    category_id: UUID | None = None
    query: str | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None
    in_stock: bool = False
