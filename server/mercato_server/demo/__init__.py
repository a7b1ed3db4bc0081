"""The demo shop: sports goods with pictures, and prices that go with them, for `mercato up` and for trying out the API."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

from mercato_server.domain.product_groups import Options

IMAGES = "https://images.example.com/mercato"
"""The base of the image URLs of a shop without a place for pictures. RFC 2606 reserves the host, so they have no images."""


def category_id(number: int) -> UUID:
    """Return the id of the category with a number, from 0, in the file's order."""
    return fixed_id(1, number)


def product_id(number: int) -> UUID:
    """Return the id of the product with a number, from 0, in the file's order."""
    return fixed_id(2, number)


def fixed_id(kind: int, number: int) -> UUID:
    """Return a UUID that is the same in every demo shop, so that documents can name it.

    It is one of version 7 (RFC 9562) with an old time: lists by id have the products in the file's order, and before all later ones.
    """
    return UUID(f"0198c5f2-000{kind}-7000-8000-{number:012x}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProduct:
    """A product of the demo catalog, without an id; `category` is the category's name."""

    category: str
    name: str
    description: str
    price_minor: int
    sku: str
    stock: int
    image_urls: tuple[str, ...]
    weight_grams: int
    tax_category: str
    """A code of `DemoPrices.tax_categories`."""
    picture: str
    """The name of one of its pictures."""
    group_id: UUID | None = None
    options: Options = ()
    position: int = 0
    """Its place in its group, from 1."""


def catalog() -> tuple[tuple[str, ...], tuple[DemoProduct, ...]]:
    """Read the names of the categories and the products, both in the file's order.

    A SKU cannot occur twice, because it is the product's key in the file. Raises KeyError if a SKU's prefix belongs to no category.
    """
    shop = read("catalog.toml")
    categories: dict[str, str] = shop["categories"]
    products = tuple(_product(categories[sku.partition("-")[0]], sku, entry) for sku, entry in shop["products"].items())
    return tuple(categories.values()), products


@cache
def read(name: str) -> dict[str, Any]:
    """Return the content of a TOML file of this package; the callers share it, and leave it as it is."""
    return tomllib.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))


def _product(category: str, sku: str, entry: Mapping[str, Any]) -> DemoProduct:
    further = range(2, entry.get("images", 1) + 1)
    return DemoProduct(
        category=category,
        name=entry["name"],
        description=entry["description"],
        price_minor=entry["price_minor"],
        sku=sku,
        stock=entry["stock"],
        image_urls=(f"{IMAGES}/{sku}.jpg", *(f"{IMAGES}/{sku}-{number}.jpg" for number in further)),
        weight_grams=entry["weight_grams"],
        tax_category=entry.get("tax_category", "standard"),
        picture=entry["picture"],
    )
