"""Lists with one entry for each group, and lists of variants by their options, through a real channel."""

import random
import time
import uuid
from dataclasses import replace

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    DeleteProductRequest,
    ListedGroup,
    ListProductsRequest,
    ListProductsResponse,
    Product,
    ProductGroup,
    ProductOption,
    UpdateProductGroupRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from support.patience import Within, until
from support.shop import SOON_S, Person, Shop, open_worker, refusal
from support.variant_market import ADD_GROUP, Ware, listed, some_request, stock_up, walk


async def group(shop: Shop, *varies_by: str, name: str = "Shirt") -> str:
    return str(await shop.pool.fetchval(ADD_GROUP, str(uuid.uuid4()), name, list(varies_by)))


async def variant(shop: Shop, admin: Person, group_id: str, price: int, stock: int = 5, *, name: str = "Shirt", **values: str) -> Product:
    options = [ProductOption(name=each, value=value) for each, value in values.items()]
    return await shop.product(admin, name=name, price=price, stock=stock, group_id=group_id, options=options)


async def page(shop: Shop, **request: object) -> ListProductsResponse:
    return await shop.catalog.ListProducts(ListProductsRequest(collapse=True, **request))  # type: ignore[arg-type] # named as there


async def prices(shop: Shop, **request: object) -> list[int]:
    return [each.price.minor_units for each in (await page(shop, **request)).products]


def in_stock(found: ListedGroup) -> dict[str, list[str]]:
    return {each.name: list(each.values) for each in found.in_stock}


def check_groups(found: ListProductsResponse, wares: list[Ware]) -> None:
    """Compare the groups of a page with their variants."""
    assert [each.group_id for each in found.groups] == [each.group_id for each in found.products if each.group_id]
    for each in found.groups:
        variants = [ware for ware in wares if ware.group_id == each.group_id]
        stocked = [ware for ware in variants if ware.stock]
        found_prices = [ware.price for ware in variants]
        assert (each.min_price.minor_units, each.max_price.minor_units) == (min(found_prices), max(found_prices))
        assert (each.variants, each.variants_in_stock) == (len(variants), len(stocked))
        values = {name: [value.casefold() for value in own] for name, own in in_stock(each).items()}
        assert all(len(own) == len(set(own)) for own in values.values())
        assert {(name, value) for name, own in values.items() for value in own} == {
            (name, value.casefold()) for ware in stocked for name, value in ware.written
        }


@pytest.mark.parametrize("seed", range(3))
async def test_every_walk_along_a_list_gives_each_entry_once_and_in_order(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same shop each time
    wares = await stock_up(shop, await shop.person(admin=True), chance, groups=12, alone=8)
    for _ in range(60):
        request = some_request(chance, wares)
        pages = await walk(shop, request)
        found = [each.id for one in pages for each in one.products]
        expected = [ware.id for ware in listed(wares, request)]
        if request.q and not request.order_by:
            found, expected = sorted(found), sorted(expected)
        assert found == expected, request
        assert {one.total_size for one in pages} == {len(expected)}, request
        assert all(len(one.products) == request.page_size for one in pages[:-1])
        if request.collapse:
            for one in pages:
                check_groups(one, wares)
        else:
            assert not any(one.groups for one in pages)
        if expected:
            request.skip = chance.randrange(len(expected))
            beyond = await shop.catalog.ListProducts(request)
            if request.order_by:
                assert [each.id for each in beyond.products] == expected[request.skip :][: request.page_size], request


async def test_an_entry_is_the_cheapest_variant_that_matches_and_the_oldest_of_equal_ones(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    small = await variant(shop, admin, shirt, 1000, stock=0, Size="S")
    medium = await variant(shop, admin, shirt, 1500, Size="M")
    await variant(shop, admin, shirt, 1500, Size="L")
    ball = await shop.product(admin, name="Ball", price=1200)
    assert [each.id for each in (await page(shop)).products] == [ball.id, small.id]
    for order, expected in (("price", [ball.id, medium.id]), ("price desc", [medium.id, ball.id])):
        assert [each.id for each in (await page(shop, in_stock=True, order_by=order)).products] == expected
    found = await page(shop, options=["size:l", "SIZE:M "])
    assert [each.id for each in found.products] == [medium.id]
    assert [(each.min_price.minor_units, each.max_price.minor_units, each.variants) for each in found.groups] == [(1000, 1500, 3)]


async def test_all_conditions_must_hold_for_one_variant(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size", "Colour")
    await variant(shop, admin, shirt, 1000, stock=0, Size="S", Colour="Red")
    await variant(shop, admin, shirt, 2000, stock=3, Size="M", Colour="Red")
    await variant(shop, admin, shirt, 3000, stock=3, Size="S", Colour="Blue")
    assert await prices(shop, options=["Size:S", "Colour:Red"]) == [1000]
    assert await prices(shop, options=["Size:S", "Colour:Red"], in_stock=True) == []
    assert await prices(shop, max_price=1500, in_stock=True) == []
    assert await prices(shop, options=["Size:S"], in_stock=True) == [3000]
    assert await prices(shop, options=["Size:M", "Colour:Blue"]) == []


async def test_a_name_with_a_colon_is_chosen_with_a_backslash(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, r"Size: EU \ US")
    options = [ProductOption(name=r"Size: EU \ US", value='a:"b" \\ 👕')]
    await shop.product(admin, price=1000, group_id=shirt, options=options)
    assert await prices(shop, options=[r'size\: eu \\ us:A:"B" \ 👕']) == [1000]
    assert await prices(shop, options=[r'size: eu \\ us:A:"B" \ 👕']) == []


async def test_an_option_that_no_variant_has_finds_nothing(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await variant(shop, admin, await group(shop, "Size"), 1000, Size="S")
    for options in (["Cut:Slim"], ["Size:M"], ["Size:S", "Cut:Slim"], [f"{number}:x" for number in range(20)]):
        found = await page(shop, options=options, include_total_size=True)
        assert (list(found.products), found.total_size, found.next_page_token) == ([], 0, "")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ListProductsRequest(options=["Size"]), "options[0]"),
        (ListProductsRequest(options=["Size:M", ":M"]), "options[1]"),
        (ListProductsRequest(options=["Size: "]), "options[0]"),
        (ListProductsRequest(options=["Size:a\nb"]), "options[0]"),
        (ListProductsRequest(options=["Size:\0"]), "options[0]"),
        (ListProductsRequest(options=["\\:Size"]), "options[0]"),
        (ListProductsRequest(options=["n" * 51 + ":M"]), "options[0]"),
        (ListProductsRequest(options=["Size:" + "v" * 101]), "options[0]"),
        (ListProductsRequest(options=["Size:M"] * 21), "options"),
        (ListProductsRequest(group_id="7"), "group_id"),
        (ListProductsRequest(group_id=str(uuid.UUID(int=1)), q="ball"), "group_id"),
        *[
            (ListProductsRequest(**{deleted: True, field: value}), field)  # type: ignore[arg-type] # named as there
            for deleted in ("show_deleted", "only_deleted")
            for field, value in (("collapse", True), ("facets", True), ("options", ["Size:M"]), ("group_id", str(uuid.UUID(int=1))))
        ],
    ],
    ids=lambda value: str(value).replace("\n", " ")[:40],
)
async def test_a_request_that_makes_no_sense_is_refused(shop: Shop, request_: ListProductsRequest, field: str) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(shop.catalog.ListProducts(request_, metadata=admin.metadata))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", [field])


async def test_a_page_token_is_bound_to_the_conditions_on_variants(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    for size in ("S", "M"):
        await variant(shop, admin, shirt, 1000, Size=size)
        await shop.product(admin)
    token = (await page(shop, page_size=1)).next_page_token
    plain = (await shop.catalog.ListProducts(ListProductsRequest(page_size=1))).next_page_token
    for request in (
        ListProductsRequest(page_token=token),
        ListProductsRequest(collapse=True, page_token=plain),
        ListProductsRequest(collapse=True, page_token=token, options=["Size:S"]),
        ListProductsRequest(collapse=True, page_token=token, group_id=shirt),
    ):
        assert (await refusal(shop.catalog.ListProducts(request))).reason == "PAGE_TOKEN_INVALID"
    assert len((await page(shop, page_token=token)).products) == 2


async def shown(shop: Shop) -> list[tuple[str, int, int, dict[str, list[str]]]]:
    """Return the entries of the list of all groups, which has one."""
    found = await page(shop)
    return [
        (entry.id, each.min_price.minor_units, each.max_price.minor_units, in_stock(each))
        for entry, each in zip(found.products, found.groups, strict=True)
    ]


async def test_a_collapsed_list_has_each_change_of_a_variant_at_once_and_elsewhere_soon(
    shop: Shop, elsewhere: Shop, settings: Settings, within: Within
) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    shirt = await group(shop, "Size")
    small = await variant(shop, admin, shirt, 1000, stock=2, Size="S")
    medium = await variant(shop, admin, shirt, 1500, stock=0, Size="M")

    async def is_shown(entry: Product, low: int, high: int, *sizes: str) -> None:
        changed = asked = time.monotonic()
        expected = [(entry.id, low, high, {"Size": list(sizes)} if sizes else {})]
        assert [await shown(shop) for _ in range(2)] == [expected] * 2
        while await shown(elsewhere) != expected:
            assert asked - changed < within(SOON_S)
            asked = time.monotonic()

    await is_shown(small, 1000, 1500, "S")
    await shop.catalog.AdjustStock(AdjustStockRequest(product_id=medium.id, delta=1), metadata=admin.metadata)
    await is_shown(small, 1000, 1500, "S", "M")
    await shop.add(buyer, medium)
    await shop.checkout(buyer)
    await is_shown(small, 1000, 1500, "S")
    dearer = Product(id=small.id, price=Money(minor_units=2000))
    await shop.catalog.UpdateProduct(UpdateProductRequest(product=dearer, update_mask=FieldMask(paths=["price"])), metadata=admin.metadata)
    await is_shown(medium, 1500, 2000, "S")
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=small.id), metadata=admin.metadata)
    await is_shown(medium, 1500, 1500)


async def test_a_collapsed_list_has_a_new_order_of_variants_at_once_and_what_became_of_them(shop: Shop) -> None:
    """A group keeps the order and the options of its variants, and each write of variants renews them; here in several ways."""
    admin = await shop.person(admin=True)

    async def write(*sizes: str, stock: int = 5, **fields: object) -> None:
        options = [[ProductOption(name="Size", value=each)] for each in sizes]
        variants = [Product(name="Shirt", options=each, price=Money(minor_units=1000), stock=stock) for each in options]
        request = UpsertProductGroupRequest(group=shirt, variants=variants, **fields)  # type: ignore[arg-type] # named as there
        await shop.catalog.UpsertProductGroup(request, metadata=admin.metadata)

    async def sizes() -> list[str]:
        [found] = (await page(shop)).groups
        return in_stock(found).get("Size", [])

    shirt = ProductGroup(code="SHIRT", name="Shirt", varies_by=["Size"])
    await write("S", "M", "L")
    assert await sizes() == ["S", "M", "L"]
    await write("L", "S", "M", reorder=True)
    assert await sizes() == ["L", "S", "M"]
    await write("M", "XS", delete_others=True)
    assert await sizes() == ["M", "XS"]
    await write("M", stock=0)
    assert await sizes() == ["XS"]
    await write("XS", stock=0)
    [found] = (await page(shop)).groups
    assert (in_stock(found), found.variants, found.variants_in_stock) == ({}, 2, 0)


async def test_a_group_of_200_variants_is_shown_whole(shop: Shop) -> None:
    """Its entry is longer than those that workers keep."""
    admin = await shop.person(admin=True)
    sizes = [f"{number:03} {'very ' * 15}wide" for number in range(200)]
    options = [[ProductOption(name="Size", value=size)] for size in sizes]
    variants = [Product(name="Shirt", options=each, price=Money(minor_units=1), stock=place % 2) for place, each in enumerate(options)]
    request = UpsertProductGroupRequest(group=ProductGroup(name="Shirt", varies_by=["Size"]), variants=variants)
    await shop.catalog.UpsertProductGroup(request, metadata=admin.metadata)
    for _ in range(2):
        [found] = (await page(shop, skip=0)).groups
        assert in_stock(found) == {"Size": sizes[1::2]}
        assert (found.variants, found.variants_in_stock) == (200, 100)


async def test_a_page_of_groups_with_options_is_one_statement(settings: Settings, pool: "Pool") -> None:
    """Whatever the number of groups and of their variants."""
    async with open_worker(replace(settings, pool_size=1), pool) as (worker, shop):
        admin = await shop.person(admin=True)
        sent: list[str] = []
        async with worker.parts.pool.acquire() as conn:
            conn.add_query_logger(lambda query: sent.append(query.query))
        for number in range(1, 6):
            code = await group(shop, "Size")
            for size in "SML"[: number % 3 + 1]:
                await variant(shop, admin, code, 1000 + number, Size=size)
            sent.clear()
            found = await page(shop, options=["size:s"], order_by="price")
            assert (len(found.products), len(found.groups)) == (number, number)
            assert sum("FROM products" in statement for statement in sent) == 1, sent


async def test_a_collapsed_list_has_the_new_name_of_a_group_at_once(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    await variant(shop, admin, shirt, 1000, Size="S")
    assert [each.name for _ in range(2) for each in (await page(shop)).groups] == ["Shirt"] * 2
    renamed = ProductGroup(id=shirt, name="Blouse")
    await shop.catalog.UpdateProductGroup(UpdateProductGroupRequest(group=renamed), metadata=admin.metadata)
    assert [each.name for each in (await page(shop)).groups] == ["Blouse"]


async def test_a_sale_of_another_product_leaves_a_collapsed_list_in_memory(settings: Settings, pool: "Pool") -> None:
    async with open_worker(settings, pool) as (worker, shop):
        admin, buyer = await shop.person(admin=True), await shop.person()
        small = await variant(shop, admin, await group(shop, "Size"), 1000, Size="S")
        ball = await shop.product(admin, name="Ball", price=100)
        request = ListProductsRequest(collapse=True, min_price=1000)

        async def misses(sold: Product) -> int:
            """Return how often the list is read after a sale, when it has just been read."""
            await shop.catalog.ListProducts(request)
            await shop.add(buyer, sold)
            await shop.checkout(buyer)
            before = worker.parts.cache.pages_read.misses
            await until(from_memory)
            return worker.parts.cache.pages_read.misses - before

        async def from_memory() -> bool:
            hits = worker.parts.cache.pages_read.hits
            await shop.catalog.ListProducts(request)
            return worker.parts.cache.pages_read.hits > hits

        assert (await misses(ball), await misses(small)) == (0, 1)
