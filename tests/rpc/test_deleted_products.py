"""Deleted products in lists and reads: for administrators, and never in the cache of others (AIP-164)."""

from typing import Any

import grpc
import pytest
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    DeleteProductRequest,
    GetProductRequest,
    ListProductsRequest,
    ListProductsResponse,
    Product,
    UndeleteProductRequest,
)
from support.shop import Person, Shop, refusal

SHOWN = [{"show_deleted": True}, {"only_deleted": True}, {"show_deleted": True, "only_deleted": True}]


async def lists(shop: Shop, who: Person | None, **fields: Any) -> ListProductsResponse:
    return await shop.catalog.ListProducts(ListProductsRequest(**fields), metadata=who.metadata if who else ())


async def names(shop: Shop, who: Person | None, **fields: Any) -> list[str]:
    return [product.name for product in (await lists(shop, who, **fields)).products]


async def deleted(shop: Shop, admin: Person, name: str) -> Product:
    product = await shop.product(admin, name=name)
    return await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)


async def test_an_administrator_lists_what_can_be_undeleted(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    gone = [await deleted(shop, admin, f"Gone {number}") for number in range(3)]
    await shop.product(admin, name="Here")
    assert await names(shop, admin) == ["Here"]
    assert await names(shop, admin, show_deleted=True) == ["Here", "Gone 2", "Gone 1", "Gone 0"]
    assert await names(shop, admin, only_deleted=True, order_by="create_time") == ["Gone 0", "Gone 1", "Gone 2"]
    first = await lists(shop, admin, only_deleted=True, page_size=2, include_total_size=True)
    rest = await lists(shop, admin, only_deleted=True, page_size=2, page_token=first.next_page_token)
    assert (first.total_size, [*first.products, *rest.products], rest.next_page_token) == (3, gone[::-1], "")
    for other in ({}, {"show_deleted": True}):
        error = await refusal(lists(shop, admin, page_token=first.next_page_token, **other))
        assert error.reason == "PAGE_TOKEN_INVALID"
    await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=gone[1].id), metadata=admin.metadata)
    assert await names(shop, admin, only_deleted=True) == ["Gone 2", "Gone 0"]


@pytest.mark.parametrize("fields", SHOWN, ids=str)
async def test_others_are_refused(shop: Shop, fields: dict[str, bool]) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()
    gone = await deleted(shop, admin, "Gone")
    get = GetProductRequest(product_id=gone.id, show_deleted=True)
    for calls in (lambda who: lists(shop, who, **fields), lambda who: shop.catalog.GetProduct(get, metadata=who.metadata if who else ())):
        assert (await refusal(calls(None))).reason == "TOKEN_INVALID"
        error = await refusal(calls(jo))
        assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    assert (await refusal(shop.catalog.GetProduct(GetProductRequest(product_id=gone.id)))).reason == "PRODUCT_NOT_FOUND"


@pytest.mark.parametrize("fields", [{"q": "Gone"}, {"order_by": "price"}, {"order_by": "name"}], ids=str)
async def test_a_search_or_order_whose_index_has_no_deleted_products_is_refused(shop: Shop, fields: dict[str, str]) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(lists(shop, admin, show_deleted=True, **fields))
    assert (error.reason, error.fields) == ("INVALID_FIELD", list(fields))


async def test_what_an_administrator_read_is_in_no_cache(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    gone = await deleted(shop, admin, "Gone")
    request = GetProductRequest(product_id=gone.id, show_deleted=True)
    for _ in range(2):
        for fields in SHOWN:
            assert await names(shop, admin, **fields) == ["Gone"]
        assert await shop.catalog.GetProduct(request, metadata=admin.metadata) == gone
        assert await names(shop, None) == []
        for fields in SHOWN:
            assert (await refusal(lists(shop, None, **fields))).reason == "TOKEN_INVALID"
        assert (await refusal(shop.catalog.GetProduct(GetProductRequest(product_id=gone.id)))).reason == "PRODUCT_NOT_FOUND"
        assert (await refusal(shop.catalog.GetProduct(request))).reason == "TOKEN_INVALID"


async def test_no_cache_on_the_way_keeps_an_answer_for_an_administrator(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    gone = await deleted(shop, admin, "Gone")
    over_rest = (*admin.metadata, ("x-envoy-original-path", "/products"))
    call: grpc.aio.UnaryUnaryCall[Any, Any] = shop.catalog.ListProducts(ListProductsRequest(only_deleted=True), metadata=over_rest)
    read: grpc.aio.UnaryUnaryCall[Any, Any] = shop.catalog.GetProduct(
        GetProductRequest(product_id=gone.id, show_deleted=True), metadata=over_rest
    )
    for each in (call, read):
        sent = dict(await each.initial_metadata())
        assert (sent["cache-control"], "etag" in sent) == ("no-store", False)
