"""Updates by masks (AIP-134), etags of categories (AIP-154), and fields that only the server sets (AIP-203)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    GetCategoryRequest,
    Product,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.shipping_pb2 import ShippingMethod, ShippingZone, UpdateShippingMethodRequest, UpdateShippingZoneRequest
from mercato.v1.shop_pb2 import Shop as ShopSettings
from mercato.v1.shop_pb2 import UpdateShopRequest
from mercato.v1.tax_pb2 import TaxCategory, TaxRate, UpdateTaxCategoryRequest, UpdateTaxRateRequest
from mercato.v1.user_pb2 import ROLE_ADMIN, ROLE_USER, GetMeRequest, UpdateAddressRequest, UpdateMeRequest, UpdateUserRequest, User
from support.example_requests import new_address
from support.shop import Person, Shop, refusal


def mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)


async def create(shop: Shop, admin: Person, **fields: Any) -> Category:
    return await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(**fields)), metadata=admin.metadata)


def change(shop: Shop, admin: Person, category: Category, *paths: str) -> Any:
    return shop.catalog.UpdateCategory(UpdateCategoryRequest(category=category, update_mask=mask(*paths)), metadata=admin.metadata)


async def test_a_caller_changes_the_fields_of_the_mask_or_those_that_are_present(shop: Shop) -> None:
    jo = await shop.person()

    async def rename(**fields: Any) -> str:
        return str((await shop.users.UpdateMe(UpdateMeRequest(**fields), metadata=jo.metadata)).full_name)

    assert await rename(full_name="Jo") == "Jo"
    assert await rename() == "Jo"
    assert await rename(full_name="Joe", update_mask=mask("full_name")) == "Joe"
    assert await rename(update_mask=mask("full_name")) == ""
    assert await rename(full_name="Jo", update_mask=mask("*")) == "Jo"
    assert await rename(full_name="") == ""
    for unfit in ("\u3164", "Jo\nDoe"):
        assert (await refusal(rename(full_name=unfit))).fields == ["full_name"]


async def test_an_administrator_changes_the_fields_of_the_mask_or_those_that_are_present(shop: Shop) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()

    async def update(**fields: Any) -> User:
        return await shop.users.UpdateUser(UpdateUserRequest(user_id=jo.id, **fields), metadata=admin.metadata)

    masked = await update(role=ROLE_ADMIN, disabled=True, update_mask=mask("role"))
    assert (masked.role, masked.disabled) == (ROLE_ADMIN, False)
    present = await update(role=ROLE_USER, disabled=True)
    assert (present.role, present.disabled) == (ROLE_USER, True)
    cleared = await update(update_mask=mask("disabled"))
    assert (cleared.role, cleared.disabled) == (ROLE_USER, False)
    whole = await update(role=ROLE_ADMIN, update_mask=mask("*"))
    assert (whole.role, whole.disabled) == (ROLE_ADMIN, False)
    for paths in (["role"], ["*"]):
        assert (await refusal(update(disabled=True, update_mask=mask(*paths)))).fields == ["role"]


Update = Callable[[Shop, Person, FieldMask], Awaitable[Any]]
UPDATES: dict[str, Update] = {
    "UpdateMe": lambda shop, who, paths: shop.users.UpdateMe(UpdateMeRequest(full_name="x", update_mask=paths), metadata=who.metadata),
    "UpdateAddress": lambda shop, who, paths: shop.users.UpdateAddress(
        UpdateAddressRequest(address=new_address(id=who.id), update_mask=paths), metadata=who.metadata
    ),
    "UpdateUser": lambda shop, who, paths: shop.users.UpdateUser(
        UpdateUserRequest(user_id=who.id, disabled=False, update_mask=paths), metadata=who.metadata
    ),
    "UpdateShippingZone": lambda shop, who, paths: shop.shipping.UpdateShippingZone(
        UpdateShippingZoneRequest(shipping_zone=ShippingZone(id=who.id, name="x"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateShippingMethod": lambda shop, who, paths: shop.shipping.UpdateShippingMethod(
        UpdateShippingMethodRequest(shipping_method=ShippingMethod(id=who.id, name="x"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateCategory": lambda shop, who, paths: shop.catalog.UpdateCategory(
        UpdateCategoryRequest(category=Category(id=who.id, name="x"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateShop": lambda shop, who, paths: shop.settings.UpdateShop(
        UpdateShopRequest(shop=ShopSettings(country_code="DE"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateTaxCategory": lambda shop, who, paths: shop.taxes.UpdateTaxCategory(
        UpdateTaxCategoryRequest(tax_category=TaxCategory(id="books", display_name="x"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateTaxRate": lambda shop, who, paths: shop.taxes.UpdateTaxRate(
        UpdateTaxRateRequest(tax_rate=TaxRate(id=who.id, name="x"), update_mask=paths), metadata=who.metadata
    ),
    "UpdateProduct": lambda shop, who, paths: shop.catalog.UpdateProduct(
        UpdateProductRequest(product=Product(id=who.id, name="x"), update_mask=paths), metadata=who.metadata
    ),
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
async def test_a_path_that_cannot_be_changed_is_refused_by_name(shop: Shop, update: Update) -> None:
    admin = await shop.person(admin=True)
    for path in ("id", "create_time", "user_id", "update_mask", "nmae", "name.first", ""):
        error = await refusal(update(shop, admin, mask(path)))
        assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["update_mask"])
        assert error.metadata["path"] == path
    assert (await shop.users.GetMe(GetMeRequest(), metadata=admin.metadata)).full_name != "x"


async def test_many_long_paths_that_cannot_be_changed_are_refused_in_a_small_error(shop: Shop) -> None:
    jo = await shop.person()
    request = UpdateMeRequest(update_mask=mask(*(f"{number}{'x' * 100}" for number in range(500))))
    error = await refusal(shop.users.UpdateMe(request, metadata=jo.metadata))
    assert (error.reason, set(error.fields), error.metadata["path_10"][:9]) == ("INVALID_FIELD", {"update_mask"}, "9xxxxxxxx")


async def test_a_category_is_changed_only_if_it_still_has_the_etag(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, name="Balls")
    assert balls.etag
    toys = await change(shop, admin, Category(id=balls.id, name="Toys", etag=balls.etag))
    assert toys.etag != balls.etag
    assert await shop.catalog.GetCategory(GetCategoryRequest(category_id=balls.id)) == toys
    stale = await refusal(change(shop, admin, Category(id=balls.id, name="Hats", etag=balls.etag)))
    assert (stale.code, stale.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert stale.metadata == {"expected_etag": balls.etag, "etag": toys.etag}
    delete = DeleteCategoryRequest(category_id=balls.id, etag=balls.etag)
    assert await refusal(shop.catalog.DeleteCategory(delete, metadata=admin.metadata)) == stale
    assert await shop.pool.fetchval("SELECT name FROM categories") == "Toys"
    delete.etag = toys.etag
    assert await shop.catalog.DeleteCategory(delete, metadata=admin.metadata) == toys
    assert (await refusal(change(shop, admin, Category(id=balls.id, name="Hats", etag=toys.etag)))).reason == "CATEGORY_NOT_FOUND"


async def test_a_category_without_a_mask_changes_in_the_fields_that_are_present(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, name="Balls")
    assert (await change(shop, admin, Category(id=balls.id))).name == "Balls"
    assert (await change(shop, admin, Category(id=balls.id, name="Toys"), "name")).name == "Toys"
    for path in ("name", "*"):
        assert (await refusal(change(shop, admin, Category(id=balls.id), path))).fields == ["category.name"]


async def test_fields_that_the_server_sets_are_ignored_so_that_an_answer_can_be_sent_back(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    long_ago = Timestamp(seconds=1)
    given = Product(
        id=admin.id, name="A", price=Money(minor_units=1), etag="x", create_time=long_ago, update_time=long_ago, delete_time=long_ago
    )
    made = await shop.catalog.CreateProduct(CreateProductRequest(product=given), metadata=admin.metadata)
    assert (made.id != admin.id, made.etag != "x", made.HasField("delete_time")) == (True, True, False)
    assert min(made.create_time.seconds, made.update_time.seconds) > 1
    made.name, made.create_time.seconds = "B", 1
    changed = await shop.catalog.UpdateProduct(UpdateProductRequest(product=made), metadata=admin.metadata)
    assert (changed.name, changed.create_time.seconds > 1) == ("B", True)
    copy = await shop.catalog.CreateProduct(CreateProductRequest(product=changed), metadata=admin.metadata)
    assert (copy.name, copy.id != changed.id) == ("B", True)
    category = await create(shop, admin, id=admin.id, name="C", create_time=long_ago, etag="x")
    assert (category.id != admin.id, category.etag != "x", category.create_time.seconds > 1) == (True, True, True)
