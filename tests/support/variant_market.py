"""A random shop of products and variants, and what its lists must hold, worked out over all products in Python."""

import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest, ListProductsRequest, ListProductsResponse, ProductOption
from support.shop import Person, Shop

ADD_GROUP = """
INSERT INTO product_groups (code, name, varies_by, currency_code)
VALUES ($1, $2, $3, (SELECT currency_code FROM shop))
RETURNING id
"""
WORDS = ("kestrel", "lapwing", "osprey")
"""First words of names: each begins with another letter, and none is the beginning of another word."""
VALUES = {"Size": ["S", "M", "L"], "Colour": ["Red", "Straße", "Ink: 5"], "Fit": ["Slim", "Wide"]}
ORDERS: Mapping[str, tuple[Callable[["Ware"], tuple[Any, ...]], bool]] = {
    "create_time desc": (lambda _: (), True),
    "create_time": (lambda _: (), False),
    "price": (lambda ware: (ware.price,), False),
    "price desc": (lambda ware: (ware.price,), True),
    "name": (lambda ware: (ware.name,), False),
    "name desc": (lambda ware: (ware.name,), True),
}


@dataclass(frozen=True)
class Ware:
    """A product; `options` holds folded values by folded name."""

    id: str
    name: str
    price: int
    stock: int
    category_ids: Sequence[str]
    """Its category and those above."""
    group_id: str
    options: Mapping[str, str]
    written: Sequence[tuple[str, str]]

    @property
    def entry(self) -> str:
        """The id by which a collapsed list counts it."""
        return self.group_id or self.id


async def stock_up(shop: Shop, admin: Person, chance: random.Random, groups: int, alone: int) -> list[Ware]:
    """Create groups with random variants, and products without a group, in random order; the last two categories are below the first."""
    categories: list[Category] = []
    for place in range(4):
        draft = Category(name=str(uuid.uuid4()), parent_id=categories[{2: 0, 3: 2}[place]].id if place in {2, 3} else "")
        categories.append(await shop.catalog.CreateCategory(CreateCategoryRequest(category=draft), metadata=admin.metadata))
    wanted: list[tuple[str, tuple[tuple[str, str], ...]]] = [("", ())] * alone
    for number in range(groups):
        varies_by = chance.sample(list(VALUES), chance.randint(1, 2))
        spelled = [chance.choice((str.upper, str.title))(name) for name in varies_by]
        group_id = await shop.pool.fetchval(ADD_GROUP, str(uuid.uuid4()), f"Group {number}", spelled)
        combinations = {tuple(chance.choice(VALUES[name]) for name in varies_by) for _ in range(chance.randint(1, 6))}
        wanted += [(str(group_id), tuple(zip(spelled, values, strict=True))) for values in sorted(combinations)]
    chance.shuffle(wanted)
    return [await _ware(shop, admin, chance, categories, *each) for each in wanted]


async def _ware(
    shop: Shop, admin: Person, chance: random.Random, categories: Sequence[Category], group_id: str, options: Sequence[tuple[str, str]]
) -> Ware:
    category = chance.choice([Category(), *categories])
    made = await shop.product(
        admin,
        name=f"{chance.choice(WORDS)} {chance.randint(10, 14)}",
        price=chance.randint(1, 6) * 100,
        stock=chance.choice((0, 0, 3)),
        category_id=category.id,
        group_id=group_id,
        options=[ProductOption(name=name, value=chance.choice((value, value.upper()))) for name, value in options],
    )
    written = [(each.name, each.value) for each in made.options]
    folded = {name.casefold(): value.casefold() for name, value in written}
    return Ware(
        made.id, made.name, made.price.minor_units, made.stock, (category.id, *category.ancestor_ids), made.group_id, folded, written
    )


def some_request(chance: random.Random, wares: Sequence[Ware]) -> ListProductsRequest:
    """Return a random list with few conditions, so that most lists hold something."""
    one = chance.choice(wares)
    request = ListProductsRequest(page_size=chance.randint(1, 7), collapse=chance.random() < 0.8, include_total_size=True)
    if chance.random() < 0.3:
        request.category_id = chance.choice(one.category_ids)
    if chance.random() < 0.3:
        request.min_price = chance.randint(1, 4) * 100
    if chance.random() < 0.3:
        request.max_price = chance.randint(3, 6) * 100
    request.in_stock = chance.random() < 0.3
    if chance.random() < 0.3:
        request.q = chance.choice(WORDS)
    elif chance.random() < 0.1:
        request.group_id = one.group_id
    if not request.q or chance.random() < 0.8:
        request.order_by = chance.choice(list(ORDERS))
    if chance.random() < 0.6:
        chosen = [(name, value) for name, values in VALUES.items() for value in values]
        request.options[:] = [
            chance.choice((str, str.lower))(f" {name}: {value}") for name, value in chance.sample(chosen, chance.randint(1, 3))
        ]
    return request


def matching(wares: Iterable[Ware], request: ListProductsRequest, choices: Mapping[str, set[str]] | None = None) -> list[Ware]:
    """Return the products for which all conditions hold; `choices` replace those of the request."""
    wanted = choices_of(request) if choices is None else choices
    return [
        ware
        for ware in wares
        if (not request.category_id or request.category_id in ware.category_ids)
        and (not request.HasField("min_price") or ware.price >= request.min_price)
        and (not request.HasField("max_price") or ware.price <= request.max_price)
        and (not request.in_stock or ware.stock > 0)
        and (not request.q or request.q in ware.name.split())
        and (not request.group_id or ware.group_id == request.group_id)
        and all(ware.options.get(name) in values for name, values in wanted.items())
    ]


def choices_of(request: ListProductsRequest) -> dict[str, set[str]]:
    """Return the folded values that each folded name may have."""
    found: dict[str, set[str]] = {}
    for each in request.options:
        name, _, value = each.partition(":")
        found.setdefault(name.strip().casefold(), set()).add(value.strip().casefold())
    return found


def listed(wares: Sequence[Ware], request: ListProductsRequest) -> list[Ware]:
    """Return the whole list; in no order if it is by relevance."""
    found = matching(wares, request)
    if request.collapse:
        found.sort(key=lambda ware: (ware.entry, ware.price, ware.id))
        found = [next(own) for _, own in groupby(found, key=lambda ware: ware.entry)]
    key, descending = ORDERS[request.order_by or "create_time desc"]
    return sorted(found, key=lambda ware: (*key(ware), ware.id), reverse=descending)


def facets(wares: Sequence[Ware], request: ListProductsRequest) -> dict[str, dict[str, int]]:
    """Return the groups of the list with each value of each option, if this value alone were chosen for the option."""
    chosen, counts = choices_of(request), dict[str, dict[str, int]]()
    for name in {name for ware in wares for name in ware.options}:
        for value in {ware.options[name] for ware in wares if name in ware.options}:
            groups = {ware.entry for ware in matching(wares, request, {**chosen, name: {value}})}
            if groups:
                counts.setdefault(name, {})[value] = len(groups)
    return counts


async def walk(shop: Shop, request: ListProductsRequest) -> list[ListProductsResponse]:
    """Return all pages of a list."""
    pages = [await shop.catalog.ListProducts(request)]
    while token := pages[-1].next_page_token:
        following = ListProductsRequest()
        following.CopyFrom(request)
        following.page_token = token
        pages.append(await shop.catalog.ListProducts(following))
    return pages
