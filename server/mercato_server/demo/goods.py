"""Additions to the catalog of the demo shop: the tree of the categories, and groups of products with options."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from typing import Any
from uuid import UUID

from mercato_server.demo import DemoProduct, category_id, fixed_id, read
from mercato_server.domain.product_groups import Option


def group_id(number: int) -> UUID:
    """Return the id of the group with a number, from 0, in the file's order."""
    return fixed_id(6, number)


def variant_id(number: int) -> UUID:
    """Return the id of the variant with a number, from 0, in the file's order; it sorts before the products of the catalog.

    So a list of the newest products begins with those of the catalog, as in earlier releases.
    """
    return fixed_id(0, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCategory:
    """A category with its place in the tree."""

    id: UUID
    name: str
    description: str
    ancestor_ids: tuple[UUID, ...]
    """The categories above it, that at the top first."""
    position: int
    """Its place among the categories with the same parent, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoGroup:
    """A group without its variants."""

    id: UUID
    code: str
    name: str
    varies_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoGoods:
    """All categories of the shop, those of the catalog too; the groups; and their variants by id."""

    categories: tuple[DemoCategory, ...]
    groups: tuple[DemoGroup, ...]
    variants: Mapping[UUID, DemoProduct]


def goods() -> DemoGoods:
    """Read the goods; raises KeyError for a category that is not there."""
    shop = read("goods.toml")
    groups = [(group_id(number), entry) for number, entry in enumerate(shop["groups"])]
    made = [variant for id_, entry in groups for variant in _variants(id_, entry)]
    return DemoGoods(
        categories=tuple(_categories(shop["categories"])),
        groups=tuple(DemoGroup(id=id_, code=entry["code"], name=entry["name"], varies_by=tuple(entry["options"])) for id_, entry in groups),
        variants={variant_id(number): variant for number, variant in enumerate(made)},
    )


def _categories(entries: Sequence[Mapping[str, str]]) -> Iterator[DemoCategory]:
    names: dict[str, str] = read("catalog.toml")["categories"]
    codes = list(names)
    places: dict[str, DemoCategory] = {}
    further, positions = count(len(codes)), dict.fromkeys(["", *(entry.get("name", "") for entry in entries)], 0)
    for entry in entries:
        code, below = entry.get("code"), entry.get("below", "")
        parent = places[below] if below else None
        category = DemoCategory(
            id=category_id(codes.index(code) if code else next(further)),
            name=names[code] if code else entry["name"],
            description=entry.get("description", ""),
            ancestor_ids=(*parent.ancestor_ids, parent.id) if parent else (),
            position=positions[below],
        )
        positions[below] += 1
        places[category.name] = category
        yield category


def _variants(id_: UUID, entry: Mapping[str, Any]) -> Iterator[DemoProduct]:
    names, dearer, drawn = list(entry["options"]), entry.get("dearer", {}), entry.get("pictures", {})
    plain = DemoProduct(
        category=entry["category"],
        name=entry["name"],
        description=entry["description"],
        price_minor=entry["price_minor"],
        sku=entry["code"],
        stock=0,
        image_urls=(),
        weight_grams=entry["weight_grams"],
        tax_category="standard",
        picture=entry.get("picture", ""),
        group_id=id_,
    )
    for position, (values, stock) in enumerate(zip(product(*entry["options"].values()), entry["stock"], strict=True), 1):
        yield replace(
            plain,
            name=", ".join((plain.name, *values)),
            sku="-".join((plain.sku, *(value.upper().replace(" ", "") for value in values))),
            price_minor=plain.price_minor + sum(dearer.get(value, 0) for value in values),
            stock=stock,
            picture=next((drawn[value] for value in values if value in drawn), plain.picture),
            options=tuple(map(Option, names, values)),
            position=position,
        )
