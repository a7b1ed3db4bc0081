"""Tax categories of TaxService through a real channel."""

import asyncio
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1.catalog_pb2 import CreateProductRequest, DeleteProductRequest, Product, UndeleteProductRequest, UpdateProductRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.shipping_pb2 import ShippingMethod
from mercato.v1.tax_pb2 import (
    ArchiveTaxCategoryRequest,
    ArchiveTaxRateRequest,
    CreateTaxCategoryRequest,
    CreateTaxRateRequest,
    GetTaxCategoryRequest,
    ListTaxCategoriesRequest,
    TaxCategory,
    TaxRate,
    UpdateTaxCategoryRequest,
)
from support.delivery import GERMANY, archive_method, create_method, create_zone, tier, update_method
from support.delivery import rate as prices
from support.pages import every
from support.patience import until
from support.shop import CALL_S, Person, Shop, refusal

STORED = "SELECT id, display_name, version, archived_at IS NULL FROM tax_categories ORDER BY id"


def create(shop: Shop, admin: Person, code: str, name: str = "Books") -> Any:
    request = CreateTaxCategoryRequest(tax_category_id=code, tax_category=TaxCategory(display_name=name))
    return shop.taxes.CreateTaxCategory(request, metadata=admin.metadata, timeout=CALL_S)


def update(shop: Shop, admin: Person, category: TaxCategory, *mask: str) -> Any:
    request = UpdateTaxCategoryRequest(tax_category=category, update_mask=FieldMask(paths=mask) if mask else None)
    return shop.taxes.UpdateTaxCategory(request, metadata=admin.metadata)


def archive(shop: Shop, admin: Person, code: str) -> Any:
    return shop.taxes.ArchiveTaxCategory(ArchiveTaxCategoryRequest(tax_category_id=code), metadata=admin.metadata, timeout=CALL_S)


def get(shop: Shop, admin: Person, code: str) -> Any:
    return shop.taxes.GetTaxCategory(GetTaxCategoryRequest(tax_category_id=code), metadata=admin.metadata)


def rate(shop: Shop, admin: Person, category: str, region: str = "") -> Any:
    draft = TaxRate(country_code="DE", region=region, tax_category=category, name="VAT", rate_ppm=70_000)
    return shop.taxes.CreateTaxRate(CreateTaxRateRequest(tax_rate=draft), metadata=admin.metadata, timeout=CALL_S)


async def listed(shop: Shop, admin: Person, *, archived: bool = False) -> list[str]:
    found = await every(shop.taxes.ListTaxCategories, ListTaxCategoriesRequest, admin, show_archived=archived)
    return [category.id for category in found]


async def stored(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await shop.pool.fetch(STORED)]


async def test_categories_are_created_under_their_codes_and_listed_by_them(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for code in ("reduced", "a", "standard", "books-2", "a" + "-" * 31):
        created = await create(shop, admin, code, f"  {code} goods ")
        assert (created.id, created.display_name, created.etag) == (code, f"{code} goods", "1")
        assert created.HasField("create_time")
        assert not created.HasField("archive_time")
        assert await get(shop, admin, code) == created
    assert await listed(shop, admin) == ["a", "a" + "-" * 31, "books-2", "reduced", "standard"]


@pytest.mark.parametrize("code", ["", "A", "1a", "-a", "ä", "a" * 33, "a b", "a\n", "a_b", "as-goods", "a\0"])
async def test_a_code_that_no_category_may_have_is_refused(shop: Shop, code: str) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(create(shop, admin, code))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["tax_category_id"])
    assert await stored(shop) == []


async def test_all_that_is_wrong_with_a_category_is_named(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for name in ("", " ", "x" * 101, "a\nb", "\u200b"):
        assert (await refusal(create(shop, admin, "Books", name))).fields == ["tax_category_id", "tax_category.display_name"]
    assert await stored(shop) == []


async def test_an_id_in_the_resource_is_ignored(shop: Shop) -> None:
    """A client can send back a category that it has read, under another id."""
    admin = await shop.person(admin=True)
    category = await create(shop, admin, "books")
    request = CreateTaxCategoryRequest(tax_category_id="papers", tax_category=category)
    copied = await shop.taxes.CreateTaxCategory(request, metadata=admin.metadata)
    assert (copied.id, copied.display_name, copied.etag) == ("papers", "Books", "1")


async def test_a_code_is_taken_once(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    error = await refusal(create(shop, admin, "books", "Other"))
    assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "TAX_CATEGORY_TAKEN")
    assert error.detail(ResourceInfo).resource_name == "books"
    assert await stored(shop) == [("books", "Books", 1, True)]


async def test_a_category_is_renamed_and_a_newer_one_is_not(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    old = await create(shop, admin, "books")
    newer = await update(shop, admin, TaxCategory(id="books", display_name="Papers", etag=old.etag))
    assert (newer.display_name, newer.etag != old.etag, newer.create_time) == ("Papers", True, old.create_time)
    assert newer.update_time.ToDatetime() > old.update_time.ToDatetime()
    error = await refusal(update(shop, admin, TaxCategory(id="books", display_name="Older", etag=old.etag)))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert error.metadata == {"expected_etag": old.etag, "etag": newer.etag}
    unchanged = await update(shop, admin, TaxCategory(id="books"))
    assert unchanged.display_name == "Papers"
    for category, mask, field in (
        (TaxCategory(id="books", display_name="x"), "id", "update_mask"),
        (TaxCategory(id="books"), "display_name", "tax_category.display_name"),
        (TaxCategory(id="Books", display_name="x"), "*", "tax_category.id"),
    ):
        assert (await refusal(update(shop, admin, category, mask))).fields == [field]


async def test_an_archived_category_is_hidden_and_can_be_read_but_neither_used_nor_changed(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    await create(shop, admin, "food")
    archived = await archive(shop, admin, "books")
    assert archived.HasField("archive_time")
    assert await listed(shop, admin) == ["food"]
    assert await listed(shop, admin, archived=True) == ["books", "food"]
    assert await get(shop, admin, "books") == archived
    assert await archive(shop, admin, "books") == archived
    for call in (update(shop, admin, TaxCategory(id="books", display_name="x")), rate(shop, admin, "books")):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "TAX_CATEGORY_ARCHIVED")
        assert error.metadata == {"tax_category_id": "books"}
    assert await stored(shop) == [("books", "Books", 2, False), ("food", "Books", 1, True)]
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_rates") == 0


async def test_creating_an_archived_category_brings_it_back(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await create(shop, admin, "books")
    await archive(shop, admin, "books")
    back = await create(shop, admin, "books", "Papers")
    assert not back.HasField("archive_time")
    assert (back.display_name, back.create_time) == ("Papers", first.create_time)
    assert back.etag not in ("", first.etag)
    assert (await rate(shop, admin, "books")).tax_category == "books"


async def test_a_category_of_live_rates_is_not_archived(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    of_category = await rate(shop, admin, "books")
    await rate(shop, admin, "")
    error = await refusal(archive(shop, admin, "books"))
    assert (error.code, error.reason, error.metadata) == (
        StatusCode.FAILED_PRECONDITION,
        "TAX_CATEGORY_IN_USE",
        {"tax_category_id": "books"},
    )
    await shop.taxes.ArchiveTaxRate(ArchiveTaxRateRequest(tax_rate_id=of_category.id), metadata=admin.metadata)
    assert (await archive(shop, admin, "books")).HasField("archive_time")


def product(shop: Shop, admin: Person, category: str, **fields: Any) -> Any:
    wanted = Product(name="Atlas", price=Money(minor_units=100), tax_category=category, **fields)
    return shop.catalog.CreateProduct(CreateProductRequest(product=wanted), metadata=admin.metadata, timeout=CALL_S)


def change(shop: Shop, admin: Person, changed: Product) -> Any:
    return shop.catalog.UpdateProduct(UpdateProductRequest(product=changed), metadata=admin.metadata, timeout=CALL_S)


async def test_a_category_of_products_on_sale_is_not_archived(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for code in ("books", "food"):
        await create(shop, admin, code)
    sold, deleted = await product(shop, admin, "books"), await product(shop, admin, "books")
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=deleted.id), metadata=admin.metadata)
    error = await refusal(archive(shop, admin, "books"))
    assert (error.code, error.reason, error.metadata) == (
        StatusCode.FAILED_PRECONDITION,
        "TAX_CATEGORY_IN_USE",
        {"tax_category_id": "books"},
    )
    await change(shop, admin, Product(id=sold.id, tax_category="food"))
    assert (await archive(shop, admin, "books")).HasField("archive_time")
    undelete = UndeleteProductRequest(product_id=deleted.id)
    error = await refusal(shop.catalog.UndeleteProduct(undelete, metadata=admin.metadata))
    assert (error.reason, error.metadata) == ("TAX_CATEGORY_ARCHIVED", {"tax_category_id": "books"})
    await create(shop, admin, "books")
    back = await shop.catalog.UndeleteProduct(undelete, metadata=admin.metadata)
    assert back.tax_category == "books"
    assert (await refusal(archive(shop, admin, "books"))).reason == "TAX_CATEGORY_IN_USE"


async def test_a_category_of_live_methods_is_not_archived(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    zone = await create_zone(shop, admin, "Near", GERMANY)
    made = await create_method(shop, admin, prices(zone.id, tier(0, 490)), tax_category="books")
    assert (await refusal(archive(shop, admin, "books"))).reason == "TAX_CATEGORY_IN_USE"
    await archive_method(shop, admin, made.id)
    assert (await archive(shop, admin, "books")).HasField("archive_time")


@pytest.mark.parametrize(("category", "reason"), [("books", "TAX_CATEGORY_ARCHIVED"), ("absent", "TAX_CATEGORY_NOT_FOUND")])
async def test_nothing_new_has_a_category_that_is_archived_or_absent(shop: Shop, category: str, reason: str) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    await archive(shop, admin, "books")
    plain, zone = await product(shop, admin, ""), await create_zone(shop, admin, "Near", GERMANY)
    each_way = prices(zone.id, tier(0, 490))
    parcel = await create_method(shop, admin, each_way, tax_category="as-goods")
    for call in (
        product(shop, admin, category),
        change(shop, admin, Product(id=plain.id, tax_category=category)),
        create_method(shop, admin, each_way, tax_category=category),
        update_method(shop, admin, ShippingMethod(id=parcel.id, tax_category=category)),
    ):
        error = await refusal(call)
        assert (error.reason, error.metadata["tax_category_id"]) == (reason, category)
    assert await shop.pool.fetchval("SELECT count(*) FROM products WHERE tax_category <> ''") == 0
    assert await shop.pool.fetchval("SELECT array_agg(tax_category) FROM shipping_methods") == ["as-goods"]


async def test_an_absent_category_is_named(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for call in (
        get(shop, admin, "absent"),
        update(shop, admin, TaxCategory(id="absent", display_name="x")),
        archive(shop, admin, "absent"),
        rate(shop, admin, "absent"),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "TAX_CATEGORY_NOT_FOUND")
        assert error.detail(ResourceInfo).resource_name == "absent"


async def test_a_page_of_categories_goes_on_only_in_its_own_list(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for code in ("a", "b"):
        await create(shop, admin, code)
    page = await shop.taxes.ListTaxCategories(ListTaxCategoriesRequest(page_size=1), metadata=admin.metadata)
    other = ListTaxCategoriesRequest(page_size=1, page_token=page.next_page_token, show_archived=True)
    assert (await refusal(shop.taxes.ListTaxCategories(other, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"


@pytest.mark.race
async def test_no_rate_names_a_category_that_is_archived_at_the_same_time(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    for number in range(race_rounds):
        code = f"c{number}"
        await create(shop, admin, code)
        calls = (archive(shop, admin, code), rate(elsewhere, admin, code, code))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    wrong = "SELECT count(*) FROM tax_rates r JOIN tax_categories c ON c.id = r.tax_category WHERE c.archived_at IS NOT NULL"
    assert await shop.pool.fetchval(wrong) == 0


@pytest.mark.race
async def test_no_product_has_a_category_that_is_archived_at_the_same_time(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    for number in range(race_rounds):
        code = f"c{number}"
        await create(shop, admin, code)
        plain = await product(shop, admin, "")
        put = change(elsewhere, admin, Product(id=plain.id, tax_category=code))
        outcomes = await asyncio.gather(*map(outcome, (archive(shop, admin, code), put, product(elsewhere, admin, code))))
        assert outcomes[0] in ("", "TAX_CATEGORY_IN_USE")
        assert set(outcomes[1:]) <= ({"TAX_CATEGORY_ARCHIVED"} if not outcomes[0] else {"", "TAX_CATEGORY_ARCHIVED"})
        assert outcomes[0] == "" or "" in outcomes[1:]
    wrong = "SELECT count(*) FROM products p JOIN tax_categories c ON c.id = p.tax_category WHERE c.archived_at IS NOT NULL"
    assert await shop.pool.fetchval(wrong) == 0


async def test_a_product_waits_for_an_archive_under_way_and_an_archive_for_a_product(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, "books")
    await create(shop, admin, "food")
    async with shop.pool.acquire() as conn:
        async with conn.transaction():
            await conn.execute("UPDATE tax_categories SET archived_at = now() WHERE id = 'books'")
            late = asyncio.create_task(outcome(product(shop, admin, "books")))
            await until_one_waits(shop)
        assert await late == "TAX_CATEGORY_ARCHIVED"
        async with conn.transaction():
            await conn.execute(
                "INSERT INTO products (name, description, price_minor, currency_code, image_urls, tax_category)"
                " VALUES ('x', '', 1, 'USD', '{}', 'food')"
            )
            late = asyncio.create_task(outcome(archive(shop, admin, "food")))
            await until_one_waits(shop)
        assert await late == "TAX_CATEGORY_IN_USE"


async def until_one_waits(shop: Shop) -> None:
    async def waits() -> bool:
        return bool(await shop.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    await until(waits, "a call waits for a lock")


@pytest.mark.race
async def test_the_limit_of_categories_is_exact_when_administrators_race(shop: Shop, elsewhere: Shop) -> None:
    admin = await shop.person(admin=True)
    await shop.pool.execute("INSERT INTO tax_categories (id, display_name) SELECT 'c' || n, 'x' FROM generate_series(1, 197) n")
    calls = [create(at, admin, f"new-{number}") for number in range(4) for at in (shop, elsewhere)]
    refused = [error for error in await asyncio.gather(*map(outcome, calls)) if error]
    assert set(refused) <= {"TAX_CATEGORY_TAKEN", "TAX_CATEGORY_LIMIT"}
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_categories") == 200
    error = await refusal(create(shop, admin, "one-more"))
    assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "TAX_CATEGORY_LIMIT", {"limit": "200"})
    await archive(shop, admin, "c1")
    assert (await create(shop, admin, "one-more")).id == "one-more"
    assert (await refusal(create(shop, admin, "c1"))).reason == "TAX_CATEGORY_LIMIT"


async def outcome(call: Any) -> str:
    """Return the reason of a refusal; empty for an answer."""
    try:
        return (await refusal(call)).reason
    except AssertionError:
        return ""
