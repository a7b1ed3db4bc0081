"""Sizes of requests and responses: limits by RPC, and pages that end before they are too long."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.catalog_pb2 import (
    BatchGetProductsRequest,
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    ListCategoriesRequest,
    ListProductsRequest,
    Product,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import ListAllOrdersRequest, ListOrdersRequest
from mercato.v1.promotion_pb2 import ListPromotionsRequest
from mercato.v1.shipping_pb2 import (
    CreateShippingMethodRequest,
    CreateShippingZoneRequest,
    ListShippingMethodsRequest,
    ListShippingZonesRequest,
)
from mercato.v1.tax_pb2 import (
    CreateTaxCategoryRequest,
    CreateTaxRateRequest,
    ListTaxCategoriesRequest,
    ListTaxRatesRequest,
    TaxCategory,
    TaxRate,
)
from mercato.v1.user_pb2 import CreateAddressRequest, ListAddressesRequest, ListUsersRequest
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX, CartLine
from mercato_server.domain.catalog import NAME_MAX, PRICE_MAX_MINOR
from mercato_server.domain.orders import REASON_MAX, STORED, Order, OrderLine, OrderTransition
from mercato_server.domain.pricing import Breakdown
from mercato_server.domain.product_groups import OPTIONS_TEXT_MAX
from mercato_server.domain.purchases import NO_CHOICES, PricedCart
from mercato_server.handlers import convert
from support.example_requests import a_method, a_zone, new_address
from support.shop import CALL_S, Person, Shop, refusal, worker

KIB, MIB = 1024, 1024 * 1024
URL = "https://images.example.com/"
LONGEST: dict[str, Any] = {
    "name": "\U0001f6d2" * 200,
    "description": "\U0001f6d2" * 10_000,
    "image_urls": [URL + "x" * (2_000 - len(URL))] * 20,
}
"""The fields of the longest product, in bytes: 4 for each character of its texts."""

Walk = Callable[[int, str], Awaitable[Any]]


async def longest(shop: Shop, admin: Person, count: int, **fields: Any) -> list[Product]:
    """Create products of the greatest length, one by one: many at once would keep the worker busy for longer than a connection may take."""
    drafts = [Product(**{**LONGEST, "price": Money(minor_units=1), "stock": 100_000, **fields}) for _ in range(count)]
    create = shop.catalog.CreateProduct
    made = [await create(CreateProductRequest(product=draft), metadata=admin.metadata) for draft in drafts]
    assert all(80_000 < product.ByteSize() < 82_000 for product in made)
    return made


async def pages(read: Walk, size: int = 100, longest: int = MIB) -> list[list[Any]]:
    """Return the rows of all pages of a list; a page is longer than the limit only if it has one row."""
    found, token = [], ""
    while True:
        page = await read(size, token)
        rows = list(page.ListFields()[0][1])
        assert sum(row.ByteSize() for row in rows) <= longest or len(rows) == 1
        found.append(rows)
        if not (token := page.next_page_token):
            return found
        assert rows


def reads(person: Person, rpc: Any, request_type: Callable[..., Message], **fields: Any) -> Walk:
    return lambda size, token: rpc(request_type(page_size=size, page_token=token, **fields), metadata=person.metadata)


async def delivery(shop: Shop, admin: Person, count: int) -> tuple[list[str], list[str]]:
    """Create zones and methods with long names; return their ids in the order of lists."""
    zones, methods = list[str](), list[str]()
    for number in range(count):
        zone = a_zone()
        zone.name = f"{number} {'x' * 90}"
        zones.append((await shop.shipping.CreateShippingZone(CreateShippingZoneRequest(shipping_zone=zone), metadata=admin.metadata)).id)
        method = a_method(zones[0])
        method.name = zone.name
        create = CreateShippingMethodRequest(shipping_method=method)
        methods.append((await shop.shipping.CreateShippingMethod(create, metadata=admin.metadata)).id)
    return zones, methods


@pytest.mark.parametrize("order_by", ["", "price", "name desc"])
async def test_a_list_of_the_longest_products_is_walked_in_pages_that_fit(shop: Shop, order_by: str) -> None:
    admin = await shop.person(admin=True)
    made = await longest(shop, admin, 30)
    for _ in range(2):  # the second walk finds the products in the cache
        found = await pages(reads(admin, shop.catalog.ListProducts, ListProductsRequest, order_by=order_by))
        ids = [product.id for page in found for product in page]
        assert sorted(ids) == sorted(product.id for product in made)
        assert [len(page) for page in found] == [12, 12, 6]
    small = await pages(reads(admin, shop.catalog.ListProducts, ListProductsRequest, order_by=order_by), 7)
    assert [len(page) for page in small] == [7, 7, 7, 7, 2]


async def test_a_search_among_the_longest_products_is_walked_in_pages_that_fit(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await longest(shop, admin, 15, name="Ball")
    for order_by in ("", "price"):
        found = await pages(reads(admin, shop.catalog.ListProducts, ListProductsRequest, q="ball", order_by=order_by))
        assert sorted(product.id for page in found for product in page) == sorted(product.id for product in made)
        assert len(found) == 2


async def test_a_page_that_was_cached_short_is_not_served_too_long(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = [await shop.product(admin, name=f"Ball {number}") for number in range(20)]
    listed = partial(shop.catalog.ListProducts, ListProductsRequest(page_size=20))
    assert len((await listed()).products) == 20
    for product in made:
        draft = Product(id=product.id, **LONGEST)
        await shop.catalog.UpdateProduct(UpdateProductRequest(product=draft), metadata=admin.metadata)
    for _ in range(2):
        page = await listed()
        assert (len(page.products), bool(page.next_page_token)) == (12, True)


async def test_a_batch_that_does_not_fit_into_a_response_is_refused_and_a_smaller_one_is_answered(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ids = [product.id for product in await longest(shop, admin, 2)]
    error = await refusal(shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=ids * 50)))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "RESPONSE_TOO_LARGE", ["ids"])
    batch = await shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=ids * 25))
    assert 4 * MIB - 200 * KIB < batch.ByteSize() <= 4 * MIB
    assert [product.id for product in batch.products] == ids * 25


async def test_every_list_is_walked_in_pages_that_fit(settings: Settings, pool: "Pool") -> None:
    page_bytes = 1_000
    async with worker(replace(settings, limits=Limits(timeout_s=CALL_S, page_bytes=page_bytes)), pool) as shop:
        admin, buyer = await shop.person(admin=True), await shop.person()
        people = [admin.id, buyer.id, *[(await shop.person()).id for _ in range(10)]]
        made = [await shop.product(admin, name=str(number) * 100, stock=100) for number in range(9)]
        orders = []
        for count in (1, 2, 9, 9, 1, 1, 1, 1, 3):
            for product in made[:count]:
                await shop.add(buyer, product)
            orders.append((await shop.checkout(buyer)).id)
        categories = [Category(name=f"{number} {'x' * 90}") for number in range(9)]
        create = shop.catalog.CreateCategory
        made_categories = [(await create(CreateCategoryRequest(category=each), metadata=admin.metadata)).id for each in categories]
        addresses = []
        for number in range(9):
            request = CreateAddressRequest(address=new_address())
            request.address.postal_address.recipient = str(number) * 100
            addresses.append((await shop.users.CreateAddress(request, metadata=buyer.metadata)).id)
        zones, methods = await delivery(shop, admin, 9)
        promotions = [(await shop.promotion(admin, name="x" * 200)).id for _ in range(9)]
        codes = [f"{letter * 30}" for letter in "abcdefghi"]
        for code in codes:
            draft = CreateTaxCategoryRequest(tax_category_id=code, tax_category=TaxCategory(display_name="x" * 100))
            await shop.taxes.CreateTaxCategory(draft, metadata=admin.metadata)
        rates = [TaxRate(country_code="DE", region=region, name="x" * 100, rate_ppm=1) for region in "ABCDEFGHI"]
        create_rate = shop.taxes.CreateTaxRate
        made_rates = [(await create_rate(CreateTaxRateRequest(tax_rate=each), metadata=admin.metadata)).id for each in rates]
        entries = await pool.fetch("SELECT id FROM audit_log ORDER BY id DESC")
        lists: dict[str, tuple[Any, Any, Person, list[str]]] = {
            "orders": (shop.orders.ListOrders, ListOrdersRequest, buyer, orders[::-1]),
            "all orders": (shop.orders.ListAllOrders, ListAllOrdersRequest, admin, orders[::-1]),
            "their orders": (shop.orders.ListAllOrders, partial(ListAllOrdersRequest, account_id=buyer.id), admin, orders[::-1]),
            "addresses": (shop.users.ListAddresses, ListAddressesRequest, buyer, addresses[::-1]),
            "users": (shop.users.ListUsers, ListUsersRequest, admin, people[::-1]),
            "categories": (shop.catalog.ListCategories, ListCategoriesRequest, admin, made_categories),
            "zones": (shop.shipping.ListShippingZones, ListShippingZonesRequest, admin, zones),
            "methods": (shop.shipping.ListShippingMethods, ListShippingMethodsRequest, admin, methods),
            "promotions": (shop.promotions.ListPromotions, ListPromotionsRequest, admin, promotions[::-1]),
            "tax categories": (shop.taxes.ListTaxCategories, ListTaxCategoriesRequest, admin, codes),
            "tax rates": (shop.taxes.ListTaxRates, ListTaxRatesRequest, admin, made_rates),
            "audit log": (shop.audit.ListAuditLog, ListAuditLogRequest, admin, [str(entry["id"]) for entry in entries]),
            "products": (shop.catalog.ListProducts, ListProductsRequest, admin, [product.id for product in made[::-1]]),
        }
        for rpc, request_type, person, expected in lists.values():
            found = await pages(reads(person, rpc, request_type), longest=page_bytes)
            assert [row.id for page in found for row in page] == expected
            assert len(found) > 1
        assert any(
            len(page) == 1 and page[0].ByteSize() > page_bytes
            for page in await pages(reads(buyer, shop.orders.ListOrders, ListOrdersRequest))
        )


def test_the_largest_cart_and_order_fit_into_a_response() -> None:
    name, uuid, moment = "\U0001f6d2" * NAME_MAX, UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC)
    options = "\U0001f6d2" * OPTIONS_TEXT_MAX
    line = CartLine(uuid, name, LINE_QUANTITY_MAX, PRICE_MAX_MINOR, 1, 1, on_sale=True, options_text=options)
    cart = convert.cart(PricedCart((line,) * LINES_MAX, NO_CHOICES, Breakdown((), 0)), "USD")
    assert len(cart.lines[0].warnings) == 2
    steps = [
        OrderTransition(status=status, actor=Actor(ActorKind.BUYER, uuid), reason="\U0001f6d2" * REASON_MAX, created_at=moment)
        for status in STORED
    ]
    order = Order(
        id=uuid,
        account_id=uuid,
        status=STORED[0],
        currency_code="USD",
        total_minor=10**18,
        created_at=moment,
        updated_at=moment,
        version=1,
        payment_due_at=moment,
        lines=(OrderLine(uuid, name, PRICE_MAX_MINOR, LINE_QUANTITY_MAX, options_text=options),) * LINES_MAX,
        history=tuple(steps),
    )
    for message in (cart, convert.order(order)):
        assert message.ByteSize() < Limits().page_bytes < Limits().response_bytes


async def test_a_request_has_the_limit_of_its_rpc(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await longest(shop, admin, 1)
    limits = Limits()
    for path, limit in (("CatalogService/CreateProduct", 1024 * KIB), ("CatalogService/ListProducts", limits.request_bytes)):
        call = shop.channel.unary_unary(f"/mercato.v1.{path}", bytes, bytes)
        for length in (limit + 1, limits.receive_bytes - KIB):
            error = await refusal(call(b"\xff" * length, metadata=admin.metadata))
            assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
            assert str(limit) in error.message
            assert "retry-after" not in error.trailers
        error = await refusal(call(b"\xff" * limit, metadata=admin.metadata))
        assert error.code is StatusCode.INVALID_ARGUMENT
