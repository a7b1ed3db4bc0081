"""Slugs of categories and products: given, set, kept and resolved."""

import asyncio
import re
import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    Category,
    CreateCategoryRequest,
    CreateProductGroupRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductGroupRequest,
    DeleteProductRequest,
    GetProductGroupRequest,
    GetProductRequest,
    GetSlugRequest,
    Product,
    ProductGroup,
    ProductOption,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductGroupRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.domain.slugs import HISTORY_MAX
from mercato_server.store import slugs
from mercato_server.store.verify import verify
from support.shop import Person, Shop, refusal


async def create(shop: Shop, admin: Person, name: str, **fields: Any) -> Category:
    return await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name=name, **fields)), metadata=admin.metadata)


async def sell(shop: Shop, admin: Person, name: str, **fields: Any) -> Product:
    draft = Product(name=name, price=Money(minor_units=1), **fields)
    return await shop.catalog.CreateProduct(CreateProductRequest(product=draft), metadata=admin.metadata)


async def change(shop: Shop, admin: Person, category: Category, **fields: Any) -> Category:
    request = UpdateCategoryRequest(category=Category(id=category.id, **fields), update_mask=FieldMask(paths=list(fields)))
    return await shop.catalog.UpdateCategory(request, metadata=admin.metadata)


async def rename(shop: Shop, admin: Person, product: Product, slug: str) -> Product:
    request = UpdateProductRequest(product=Product(id=product.id, slug=slug))
    return await shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def holder(shop: Shop, slug: str, kind: str = "category") -> str:
    """Return the id of the thing that a slug leads to; empty if it leads nowhere."""
    try:
        found = await shop.catalog.GetSlug(GetSlugRequest(kind=kind, slug=slug))
    except grpc.aio.AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        return ""
    return str(getattr(found, kind).id)


async def sound(shop: Shop) -> bool:
    async with shop.pool.acquire() as conn:
        return not any(finding.violations for finding in await verify(conn))


async def test_the_server_makes_a_slug_of_the_name_that_no_other_thing_has(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await create(shop, admin, "Bälle")
    second = await create(shop, admin, "Balle")
    assert first.slug == "balle"
    assert re.fullmatch(r"balle-[0-9a-z]{6}", second.slug)
    ball, other = await sell(shop, admin, "Balle"), await sell(shop, admin, "Balle")  # products are another kind
    assert ball.slug == "balle"
    assert re.fullmatch(r"balle-[0-9a-z]{6}", other.slug)
    assert await shop.catalog.GetProduct(GetProductRequest(product_id=ball.id)) == ball
    assert await holder(shop, second.slug) == second.id
    assert await sound(shop)


async def test_a_new_name_keeps_the_slug_and_a_new_slug_keeps_the_earlier_ones(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, "Balls")
    assert (await change(shop, admin, balls, name="Toys")).slug == "balls"
    for slug in ("toys", "playthings", "toys", "games"):
        assert (await change(shop, admin, balls, slug=slug)).slug == slug
    for slug in ("balls", "toys", "playthings", "games"):
        found = await shop.catalog.GetSlug(GetSlugRequest(kind="category", slug=slug))
        assert (found.category.id, found.category.slug) == (balls.id, "games")
    assert await sound(shop)


async def test_the_live_holder_wins_over_an_earlier_one_and_then_the_last_holder(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first, second = await create(shop, admin, "First"), await create(shop, admin, "Second")
    await change(shop, admin, first, slug="shared")
    error = await refusal(change(shop, admin, second, slug="shared"))
    assert (error.code, error.reason, error.metadata["slug"]) == (StatusCode.ALREADY_EXISTS, "SLUG_TAKEN", "shared")
    await change(shop, admin, first, slug="elsewhere")
    assert await holder(shop, "shared") == first.id
    await change(shop, admin, second, slug="shared")
    assert await holder(shop, "shared") == second.id
    await change(shop, admin, second, slug="moved-on")
    assert await holder(shop, "shared") == second.id
    assert await holder(shop, "first") == first.id
    assert (await create(shop, admin, "Shared")).slug != "shared"  # a slug that is made takes none from history
    assert await sound(shop)


async def test_a_deleted_category_frees_its_slugs_and_a_deleted_product_yields_its_own(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, "Balls")
    await change(shop, admin, balls, slug="toys")
    await shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=balls.id), metadata=admin.metadata)
    assert [await holder(shop, slug) for slug in ("balls", "toys")] == ["", ""]
    assert (await create(shop, admin, "Balls")).slug == "balls"

    ball, bat = await sell(shop, admin, "Ball"), await sell(shop, admin, "Bat")
    assert (await refusal(rename(shop, admin, bat, "ball"))).reason == "SLUG_TAKEN"
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert await holder(shop, "ball", "product") == ""
    assert (await rename(shop, admin, bat, "ball")).slug == "ball"
    assert await holder(shop, "bat", "product") == bat.id
    back = await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert re.fullmatch(r"ball-[0-9a-z]{6}", back.slug)
    assert await sound(shop)


async def test_a_copy_of_a_product_that_was_read_gets_a_slug_of_its_own(shop: Shop) -> None:
    """A client of the previous release sends fields back that it does not know."""
    admin = await shop.person(admin=True)
    ball = await sell(shop, admin, "Ball")
    copied = await shop.catalog.CreateProduct(CreateProductRequest(product=ball), metadata=admin.metadata)
    assert copied.slug not in ("", "ball")
    assert (await refusal(sell(shop, admin, "Ball", slug="ball"))).reason == "SLUG_TAKEN"


async def test_a_thing_keeps_a_limited_number_of_earlier_slugs(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, "Balls")
    for number in range(HISTORY_MAX + 2):
        await change(shop, admin, balls, slug=f"balls-{number}")
    assert await shop.pool.fetchval("SELECT count(*) FROM slugs") == HISTORY_MAX + 1
    assert (await holder(shop, "balls"), await holder(shop, "balls-1")) == ("", balls.id)


@pytest.mark.parametrize("slug", ["New", "a b", "new", str(uuid.UUID(int=5)), "x" * 81, "ä"])
async def test_a_slug_of_another_form_is_refused(shop: Shop, slug: str) -> None:
    admin = await shop.person(admin=True)
    balls = await create(shop, admin, "Balls")
    assert (await refusal(create(shop, admin, "Hats", slug=slug))).fields == ["category.slug"]
    assert (await refusal(change(shop, admin, balls, slug=slug))).fields == ["category.slug"]
    assert (await refusal(sell(shop, admin, "Hat", slug=slug))).fields == ["product.slug"]
    assert (await refusal(shop.catalog.GetSlug(GetSlugRequest(kind="category", slug=slug)))).fields == ["slug"]


async def test_an_unknown_slug_or_kind_has_its_error(shop: Shop) -> None:
    error = await refusal(shop.catalog.GetSlug(GetSlugRequest(kind="product", slug="absent")))
    assert (error.code, error.reason, error.metadata) == (StatusCode.NOT_FOUND, "SLUG_NOT_FOUND", {"kind": "product", "slug": "absent"})
    assert (await refusal(shop.catalog.GetSlug(GetSlugRequest(kind="order", slug="absent")))).fields == ["kind"]


async def test_racing_things_never_share_a_slug(shop: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    made = await asyncio.gather(*[create(shop, admin, f"Same {'!' * number}") for number in range(8)])
    assert len({category.slug for category in made}) == 8
    for number in range(race_rounds):
        done = await asyncio.gather(*[change(shop, admin, each, slug=f"prize-{number}") for each in made], return_exceptions=True)
        assert sum(isinstance(each, Category) for each in done) == 1
    assert await sound(shop)


async def group_of(shop: Shop, admin: Person, name: str, **fields: Any) -> ProductGroup:
    request = CreateProductGroupRequest(group=ProductGroup(name=name, varies_by=["Size"], **fields))
    return await shop.catalog.CreateProductGroup(request, metadata=admin.metadata)


async def change_group(shop: Shop, admin: Person, group: ProductGroup) -> ProductGroup:
    return await shop.catalog.UpdateProductGroup(UpdateProductGroupRequest(group=group), metadata=admin.metadata)


async def test_a_group_has_slugs_by_the_rules_of_other_things(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group, other = await group_of(shop, admin, "Bälle"), await group_of(shop, admin, "Balle")
    assert group.slug == "balle"
    assert re.fullmatch(r"balle-[0-9a-z]{6}", other.slug)
    assert (await change_group(shop, admin, ProductGroup(id=group.id, name="Shirts"))).slug == "balle"
    assert (await change_group(shop, admin, ProductGroup(id=group.id, slug="shirts"))).slug == "shirts"
    for slug, reason in (("shirts", "SLUG_TAKEN"), ("A b", "INVALID_FIELD")):
        assert (await refusal(change_group(shop, admin, ProductGroup(id=other.id, slug=slug)))).reason == reason
        assert (await refusal(group_of(shop, admin, "New", slug=slug))).reason == reason
    assert (await group_of(shop, admin, "Copy", slug="shirts", id=group.id)).slug == "copy"
    variant = Product(name="S", price=Money(minor_units=1), options=[ProductOption(name="Size", value="S")])
    named, unnamed = (ProductGroup(id=group.id, name="Tops", varies_by=["Size"], slug=slug) for slug in ("tops", ""))
    for wanted in (named, unnamed):
        await shop.catalog.UpsertProductGroup(UpsertProductGroupRequest(group=wanted, variants=[variant]), metadata=admin.metadata)
    whole = await shop.catalog.GetProductGroup(GetProductGroupRequest(group_id=group.id))
    assert (whole.slug, whole.variant_count) == ("tops", 1)
    for slug in ("balle", "shirts", "tops"):
        assert (await shop.catalog.GetSlug(GetSlugRequest(kind="group", slug=slug))).group == whole
    await shop.catalog.DeleteProductGroup(DeleteProductGroupRequest(group_id=other.id), metadata=admin.metadata)
    assert await holder(shop, other.slug, "group") == ""
    assert await sound(shop)


async def test_groups_of_the_previous_release_get_their_slugs_from_the_task(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await group_of(shop, admin, "Balls")
    await shop.pool.execute("DELETE FROM slugs")
    await shop.pool.execute("UPDATE product_groups SET slug = NULL")
    assert await slugs.give_missing(shop.pool) == 1
    assert await slugs.give_missing(shop.pool) == 0
    assert await holder(shop, "balls", "group") == group.id
    assert await sound(shop)
