"""Groups of products through a real channel: their own changes, and upserts of a group with its variants."""

import json
import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    CreateProductGroupRequest,
    CreateProductRequest,
    DeleteProductGroupRequest,
    DeleteProductRequest,
    GetProductGroupRequest,
    GetProductRequest,
    ListProductGroupsRequest,
    Product,
    ProductGroup,
    ProductOption,
    UndeleteProductRequest,
    UpdateProductGroupRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.store.verify import verify
from support.shop import Person, Shop, refusal

SHIRT = {"name": "Shirt", "code": "SHIRT", "varies_by": ["Size", "Colour"]}


def one(size: str, colour: str = "Red", price: int = 1000, **fields: Any) -> Product:
    options = [ProductOption(name="Size", value=size), ProductOption(name="Colour", value=colour)]
    return Product(**{"name": f"Shirt {size} {colour}", "price": Money(minor_units=price), "options": options, **fields})


def sizes(group: ProductGroup) -> list[str]:
    """Return the values of the variants' first options, in the order of the group."""
    return [variant.options[0].value for variant in group.variants]


async def upsert(shop: Shop, admin: Person, *variants: Product, group: dict[str, Any] | None = None, **fields: Any) -> ProductGroup:
    request = UpsertProductGroupRequest(group=ProductGroup(**(group or SHIRT)), variants=variants, **fields)
    return await shop.catalog.UpsertProductGroup(request, metadata=admin.metadata)


async def create(shop: Shop, admin: Person, **fields: Any) -> ProductGroup:
    group = ProductGroup(**{"name": "Shirt", "varies_by": ["Size"], **fields})
    return await shop.catalog.CreateProductGroup(CreateProductGroupRequest(group=group), metadata=admin.metadata)


async def update(shop: Shop, admin: Person, group: ProductGroup, *mask: str) -> ProductGroup:
    request = UpdateProductGroupRequest(group=group, update_mask=FieldMask(paths=mask))
    return await shop.catalog.UpdateProductGroup(request, metadata=admin.metadata)


async def get(shop: Shop, group_id: str) -> ProductGroup:
    return await shop.catalog.GetProductGroup(GetProductGroupRequest(group_id=group_id))


async def product(shop: Shop, product_id: str) -> Product:
    return await shop.catalog.GetProduct(GetProductRequest(product_id=product_id))


async def feed(shop: Shop) -> list[tuple[str, str]]:
    """Return the kinds and subjects of all events of the catalog, in their order."""
    rows = await shop.pool.fetch("SELECT kind, subject_id::text FROM events WHERE kind LIKE 'product%' ORDER BY id")
    return [tuple(row) for row in rows]


async def test_a_created_group_has_the_values_of_its_request_and_no_price(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await create(shop, admin, name=" Shirt ", code="S-1", varies_by=["Size", " Colour"])
    found = await get(shop, made.id)
    assert found == made
    assert (made.name, made.code, list(made.varies_by), made.variant_count) == ("Shirt", "S-1", ["Size", "Colour"], 0)
    assert not made.HasField("min_price")
    assert not made.HasField("max_price")
    assert (made.representative_id, list(made.variants)) == ("", [])


async def test_a_group_without_a_code_has_its_id_as_code(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await create(shop, admin)
    assert made.code == made.id


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, ["group.name"]),
        ({"name": "x" * 201, "code": "x" * 65}, ["group.name", "group.code"]),
        ({"varies_by": []}, ["group.varies_by"]),
        ({"varies_by": ["A", "B", "C", "D", "E", "F"]}, ["group.varies_by"]),
        ({"varies_by": ["Size", "SIZE "]}, ["group.varies_by"]),
        ({"varies_by": ["", "x" * 51]}, ["group.varies_by[0]", "group.varies_by[1]"]),
    ],
)
async def test_a_bad_group_is_refused_by_its_fields(shop: Shop, fields: dict[str, Any], named: list[str]) -> None:
    error = await refusal(create(shop, await shop.person(admin=True), **fields))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", named)


async def test_a_code_names_one_group(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, code="A")
    other = await create(shop, admin, code="B")
    for call in (create(shop, admin, code="A"), update(shop, admin, ProductGroup(id=other.id, code="A"), "code")):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "GROUP_CODE_TAKEN")
        assert (error.detail(ResourceInfo).resource_type, error.detail(ResourceInfo).resource_name) == ("mercato.v1.ProductGroup", "A")


async def test_a_change_of_a_group_respects_mask_and_etag(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await create(shop, admin, code="A")
    changed = await update(shop, admin, ProductGroup(id=made.id, name="Jumper", code="ignored"), "name")
    assert (changed.name, changed.code, list(changed.varies_by)) == ("Jumper", "A", ["Size"])
    error = await refusal(update(shop, admin, ProductGroup(id=made.id, name="Late", etag=made.etag), "name"))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    again = await update(shop, admin, ProductGroup(id=made.id, name="Coat", varies_by=["Length", "Size"], etag=changed.etag), "*")
    assert (again.name, again.code, list(again.varies_by)) == ("Coat", "A", ["Length", "Size"])


async def test_names_of_options_stay_while_variants_on_sale_have_them(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"))
    error = await refusal(update(shop, admin, ProductGroup(id=group.id, varies_by=["Size"]), "varies_by"))
    assert (error.code, error.reason, error.metadata["variants"]) == (StatusCode.FAILED_PRECONDITION, "GROUP_IN_USE", "1")


async def test_a_group_is_deleted_once_no_variant_is_on_sale(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"), one("M"))
    request = DeleteProductGroupRequest(group_id=group.id)
    error = await refusal(shop.catalog.DeleteProductGroup(request, metadata=admin.metadata))
    assert (error.code, error.reason, error.metadata["variants"]) == (StatusCode.FAILED_PRECONDITION, "GROUP_IN_USE", "2")
    await upsert(shop, admin, delete_others=True)
    deleted = await shop.catalog.DeleteProductGroup(request, metadata=admin.metadata)
    assert (deleted.id, deleted.representative_id) == (group.id, "")
    error = await refusal(get(shop, group.id))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "GROUP_NOT_FOUND")
    undelete = UndeleteProductRequest(product_id=group.variants[0].product_id)
    back = await shop.catalog.UndeleteProduct(undelete, metadata=admin.metadata)
    assert (back.group_id, list(back.options)) == ("", [])


async def test_lists_have_groups_with_variants_and_empty_ones_for_administrators(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    empty = await create(shop, admin, code="EMPTY")
    made = [await upsert(shop, admin, one("S"), group={**SHIRT, "code": f"G{number}"}) for number in range(3)]

    async def ids(caller: Person, **fields: Any) -> list[str]:
        found = await shop.catalog.ListProductGroups(ListProductGroupsRequest(**fields), metadata=caller.metadata)
        assert not any(group.variants for group in found.groups)
        return [group.id for group in found.groups]

    newest = [group.id for group in reversed(made)]
    assert await ids(buyer) == newest
    assert await ids(admin, show_empty=True) == [*newest, empty.id]
    assert await ids(buyer, code="G1") == [made[1].id]
    assert (await ids(buyer, code="EMPTY"), await ids(admin, code="EMPTY", show_empty=True)) == ([], [empty.id])
    assert (await refusal(ids(buyer, show_empty=True))).reason == "ADMIN_ONLY"
    first = await shop.catalog.ListProductGroups(ListProductGroupsRequest(page_size=2))
    assert await ids(buyer, page_size=2, page_token=first.next_page_token) == newest[2:]


async def test_an_upsert_creates_a_group_with_its_variants_in_their_order(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("M", price=1500, sku="M", stock=5), one("S", sku="S", stock=0), one("L", "Blue", 2000))
    assert (sizes(group), group.variant_count) == (["M", "S", "L"], 3)
    assert [(variant.sku, variant.stock, variant.price.minor_units) for variant in group.variants] == [
        ("M", 5, 1500),
        ("S", 0, 1000),
        ("", 0, 2000),
    ]
    assert (group.min_price.minor_units, group.max_price.minor_units, group.representative_id) == (1000, 2000, group.variants[1].product_id)
    assert await get(shop, group.id) == group
    small = await product(shop, group.variants[0].product_id)
    assert (small.name, small.group_id, small.stock) == ("Shirt M Red", group.id, 5)
    ledger = await shop.pool.fetch("SELECT kind, delta FROM stock_ledger WHERE product_id = $1", uuid.UUID(small.id))
    assert [tuple(row) for row in ledger] == [("initial", 5)]
    found = await shop.pool.fetchval("SELECT count(*) FROM product_search WHERE words @@ 'shirt'::tsquery")
    assert found == 3


async def test_the_same_upsert_again_changes_nothing(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    variants = [one("S", sku="S", stock=4), one("M", image_urls=["https://example.com/m.jpg"], weight_grams=7)]
    group, before = await upsert(shop, admin, *variants), await feed(shop)
    assert await upsert(shop, admin, *variants, reorder=True) == group
    assert await feed(shop) == before
    assert await shop.pool.fetchval("SELECT count(*) FROM audit_log") == 3


async def test_variants_are_found_by_id_then_sku_then_options(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S", sku="A"), one("M", sku="B"), one("L"))
    by_id, by_sku, by_options = (variant.product_id for variant in group.variants)
    changed = await upsert(shop, admin, one("s", "RED", id=by_id, sku="A2"), one("XL", sku="B"), one("l", "red", 900, sku="C"), one("XS"))
    assert [variant.product_id for variant in changed.variants[:3]] == [by_id, by_sku, by_options]
    assert [(variant.options[0].value, variant.sku) for variant in changed.variants] == [("s", "A2"), ("XL", "B"), ("l", "C"), ("XS", "")]
    assert changed.representative_id == by_options


async def test_skus_options_and_places_are_swapped_within_an_upsert(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S", sku="A"), one("M", sku="B"), one("L", sku="C"))
    first, second, third = (variant.product_id for variant in group.variants)
    swapped = await upsert(
        shop, admin, one("S", id=third, sku="A"), one("L", id=second, sku="C"), one("M", id=first, sku="B"), reorder=True
    )
    assert [(each.product_id, each.sku, each.options[0].value) for each in swapped.variants] == [
        (third, "A", "S"),
        (second, "C", "L"),
        (first, "B", "M"),
    ]


async def test_left_out_variants_stay_unless_the_call_deletes_them(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S", price=500), one("M"), one("L"))
    assert sizes(await upsert(shop, admin, one("XL"))) == ["S", "M", "L", "XL"]
    assert sizes(await upsert(shop, admin, one("XS"), one("L"), reorder=True)) == ["XS", "L", "S", "M", "XL"]
    left = await upsert(shop, admin, one("M", price=700), delete_others=True)
    assert (sizes(left), left.min_price.minor_units, left.representative_id) == (["M"], 700, group.variants[1].product_id)
    assert (await refusal(product(shop, group.variants[0].product_id))).reason == "PRODUCT_NOT_FOUND"
    deleted = await shop.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'product.deleted'")
    assert deleted == 4


async def test_an_absent_stock_stays_and_a_given_one_is_set(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await upsert(shop, admin, one("S", stock=9), one("M", stock=9))
    group = await upsert(shop, admin, one("S"), one("M", stock=2))
    assert [variant.stock for variant in group.variants] == [9, 2]
    ledger = await shop.pool.fetch("SELECT kind, delta, reason FROM stock_ledger ORDER BY id")
    assert [tuple(row) for row in ledger] == [("initial", 9, ""), ("initial", 9, ""), ("adjust", -7, "product updated")]


async def test_names_of_options_change_together_with_all_variants(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"), one("M"))
    new = {**SHIRT, "varies_by": ["Colour", "Size"]}
    turned = await upsert(shop, admin, one("S"), group=new)
    assert [[each.value for each in variant.options] for variant in turned.variants] == [["Red", "S"], ["Red", "M"]]
    error = await refusal(upsert(shop, admin, Product(name="S", price=Money(minor_units=1)), group={**SHIRT, "varies_by": ["Fit"]}))
    assert set(error.fields) == {"group.varies_by", "variants[0].options"}
    assert await get(shop, group.id) == turned


async def test_each_bad_variant_is_named_by_its_index_and_field_and_nothing_is_written(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    other = await upsert(shop, admin, one("S", sku="OTHER"), group={**SHIRT, "code": "OTHER"})
    group, before = await upsert(shop, admin, one("S", sku="A"), one("M")), await feed(shop)
    bad = [
        one("S", sku="NEW"),
        one("s ", sku="OTHER"),
        one("L", sku="NEW"),
        one("XL", id=str(uuid.uuid4())),
        one("XXL", id=other.variants[0].product_id),
        one("3XL", category_id=str(uuid.uuid4()), tax_category="none"),
        Product(name="4XL", price=Money(minor_units=1), options=[ProductOption(name="Size", value="4XL")]),
        one("M", id=group.variants[0].product_id),
    ]
    error = await refusal(upsert(shop, admin, *bad))
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert sorted(error.fields) == [
        "variants[1].options",
        "variants[1].sku",
        "variants[2].sku",
        "variants[3].id",
        "variants[4].id",
        "variants[5].category_id",
        "variants[5].tax_category",
        "variants[6].options",
        "variants[7].options",
    ]
    assert (await get(shop, group.id), await feed(shop)) == (group, before)


async def test_values_of_variants_are_checked_before_the_shop_is_read(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    bad = one("S", name="", stock=-1, id="x", image_urls=["ftp://example.com"])
    bad.ClearField("price")
    long = Product(name="x", price=bad.price, options=[ProductOption(name=f"N{number}", value="x" * 97) for number in range(5)])
    long.price.minor_units = 1
    error = await refusal(upsert(shop, admin, one("M"), bad, one("x" * 101), long))
    assert error.fields == [
        "variants[1].name",
        "variants[1].price",
        "variants[1].stock",
        "variants[1].image_urls[0]",
        "variants[1].id",
        "variants[2].options[0].value",
        "variants[3].options",
    ]


async def test_a_group_has_at_most_200_variants_by_upsert(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    many = [one(str(number)) for number in range(201)]
    error = await refusal(upsert(shop, admin, *many))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["variants"])
    group = await upsert(shop, admin, *many[:200])
    assert group.variant_count == len(group.variants) == 200
    error = await refusal(upsert(shop, admin, many[200]))
    assert (error.code, error.reason, error.metadata["limit"]) == (StatusCode.FAILED_PRECONDITION, "GROUP_FULL", "200")
    assert (await upsert(shop, admin, many[200], delete_others=True)).variant_count == 1


async def test_an_upsert_of_ten_thousand_variants_is_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    small = [Product(name="x", options=[ProductOption(name="S", value=str(number))]) for number in range(10_000)]
    assert (await refusal(upsert(shop, admin, *small))).fields[0] == "variants"
    large = [one(str(number), description="x" * 100) for number in range(10_000)]
    error = await refusal(upsert(shop, admin, *large))
    assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")


async def test_a_product_without_a_group_becomes_a_variant_by_its_id(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    alone = await shop.product(admin, price=300, stock=8, sku="OLD")
    group = await upsert(shop, admin, one("S"), one("M", id=alone.id, price=300, sku="OLD"))
    assert [(each.product_id, each.stock) for each in group.variants][1] == (alone.id, 8)
    assert group.representative_id == alone.id


async def test_etags_of_group_and_variants_refuse_something_newer(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"))
    small = await product(shop, group.variants[0].product_id)
    await upsert(shop, admin, one("S", price=1), group={**SHIRT, "name": "Jumper"})
    for call in (upsert(shop, admin, group={**SHIRT, "etag": group.etag}), upsert(shop, admin, one("S", etag=small.etag))):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_an_upsert_is_in_the_audit_log_as_the_changes_of_its_products(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S", price=10), one("M", price=20))
    await upsert(shop, admin, one("S", price=30), delete_others=True)
    rows = await shop.pool.fetch("SELECT action, subject_id::text, before, after FROM audit_log ORDER BY id")
    first, second = (variant.product_id for variant in group.variants)
    assert [(row["action"], row["subject_id"]) for row in rows] == [
        ("product_group.created", group.id),
        ("product.created", first),
        ("product.created", second),
        ("product.updated", first),
        ("product.deleted", second),
    ]
    assert (json.loads(rows[3]["before"]), json.loads(rows[3]["after"])) == ({"price_minor": 10}, {"price_minor": 30})


async def test_a_new_variant_has_the_entry_of_the_audit_log_that_its_own_call_would_have(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"))
    alone = CreateProductRequest(product=one("M", group_id=group.id))
    made = [await product(shop, group.variants[0].product_id), await shop.catalog.CreateProduct(alone, metadata=admin.metadata)]
    rows = await shop.pool.fetch("SELECT before, after FROM audit_log WHERE action = 'product.created' ORDER BY id")
    by_upsert, by_create = (json.loads(row["after"]) for row in rows)
    assert [json.loads(row["before"]) for row in rows] == [{}, {}]
    assert by_upsert.keys() == by_create.keys()
    assert [by_upsert["slug"], by_create["slug"]] == [each.slug for each in made] == ["shirt-s-red", "shirt-m-red"]


async def test_slugs_are_swapped_and_taken_from_deleted_variants_within_a_call(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await upsert(shop, admin, one("S", slug="small"), one("M", slug="medium"), one("L", slug="large"))
    wanted = [one("S", slug="medium"), one("M", slug="small"), one("XL", slug="large")]
    group = await upsert(shop, admin, *wanted, delete_others=True)
    found = [(await product(shop, variant.product_id)).slug for variant in group.variants]
    assert (sizes(group), found) == (["S", "M", "XL"], ["medium", "small", "large"])
    for variants in ([one("S"), one("M", slug="medium")], [one("XL", slug="small")]):
        error = await refusal(upsert(shop, admin, *variants))
        assert (error.reason, error.fields) == ("INVALID_FIELD", [f"variants[{len(variants) - 1}].slug"])
    async with shop.pool.acquire() as conn:
        assert not any(finding.violations for finding in await verify(conn))


async def test_a_deleted_variant_whose_group_has_changed_its_options_stays_deleted(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    group = await upsert(shop, admin, one("S"))
    gone = group.variants[0].product_id
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=gone), metadata=admin.metadata)
    await update(shop, admin, ProductGroup(id=group.id, varies_by=["Fit"]), "varies_by")
    error = await refusal(shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=gone), metadata=admin.metadata))
    assert (error.code, error.reason, error.metadata["varies_by"]) == (StatusCode.FAILED_PRECONDITION, "OPTIONS_OUTDATED", "Fit")
