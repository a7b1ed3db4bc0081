"""No change ignores a condition: it checks it, or refuses it by name."""

from typing import Any

import pytest
from grpc import StatusCode

from mercato.rpcs import rpcs
from mercato.v1.catalog_pb2 import (
    Category,
    CreateCategoryRequest,
    DeleteCategoryRequest,
    DeleteProductRequest,
    Product,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from support.shop import Shop, refusal

CHANGES = [rpc for rpc in rpcs() if not rpc.reads]
CONDITIONAL = {
    *("UpdateProduct", "DeleteProduct", "UpdateCategory", "DeleteCategory", "UpdateAddress", "DeleteAddress", "UpdateCartHeader"),
    *("UpdateProductGroup", "DeleteProductGroup", "SetProductPictures"),
    *("UpdateShop", "UpdateTaxCategory", "UpdateTaxRate", "UpdateShippingZone", "UpdateShippingMethod", "UpdatePromotion"),
}


async def refused(shop: Shop, rpc: Any, **conditions: str) -> Any:
    person = await shop.person(admin=True)
    metadata = (*person.metadata, *((name.replace("_", "-"), value) for name, value in conditions.items()))
    method: Any = shop.channel.unary_unary(rpc.path)
    return await refusal(method(b"", metadata=metadata))


def test_the_changes_that_take_an_etag_take_it_from_the_header() -> None:
    assert {rpc.name for rpc in CHANGES if rpc.takes_etag} == CONDITIONAL


@pytest.mark.parametrize("rpc", CHANGES, ids=lambda rpc: rpc.name)
async def test_a_change_refuses_the_conditions_that_it_does_not_check(shop: Shop, rpc: Any) -> None:
    error = await refused(shop, rpc, if_none_match="*")
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["if-none-match"])
    if not rpc.takes_etag:
        error = await refused(shop, rpc, if_match='"1.0"')
        assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["if-match"])


async def test_the_header_is_taken_for_categories_too(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    category = await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name="Balls")), metadata=admin.metadata)
    stale, current = ((*admin.metadata, ("if-match", value)) for value in ('"ff"', f'"ff", W/"{category.etag}"'))
    update = UpdateCategoryRequest(category=Category(id=category.id, name="Bats"))
    for call in (
        shop.catalog.UpdateCategory(update, metadata=stale),
        shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=category.id), metadata=stale),
    ):
        assert (await refusal(call)).reason == "ETAG_MISMATCH"
    assert (await shop.catalog.UpdateCategory(update, metadata=current)).name == "Bats"


async def test_over_grpc_the_header_does_what_the_etag_does(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    stale, current = ((*admin.metadata, ("if-match", value)) for value in ("0.0", f'"{ball.etag}"'))
    update = UpdateProductRequest(product=Product(id=ball.id, name="New"))
    delete = DeleteProductRequest(product_id=ball.id)
    for call in (shop.catalog.UpdateProduct(update, metadata=stale), shop.catalog.DeleteProduct(delete, metadata=stale)):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert (await shop.catalog.UpdateProduct(update, metadata=current)).name == "New"
