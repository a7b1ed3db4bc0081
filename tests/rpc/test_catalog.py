"""CatalogService through a real channel."""

import asyncio
import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1 import catalog_pb2
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    BatchGetProductsRequest,
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductRequest,
    GetCategoryRequest,
    GetProductRequest,
    ListCategoriesRequest,
    ListProductsRequest,
    Product,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from support.shop import Person, Shop, refusal


async def category(shop: Shop, admin: Person, name: str = "Balls") -> Category:
    return await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name=name)), metadata=admin.metadata)


async def update(shop: Shop, admin: Person, product: Product, *mask: str) -> Product:
    request = UpdateProductRequest(product=product, update_mask=FieldMask(paths=mask) if mask else None)
    return await shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def names(shop: Shop, **fields: Any) -> list[str]:
    return [product.name for product in (await shop.catalog.ListProducts(ListProductsRequest(**fields))).products]


async def ledger(shop: Shop, product: Product) -> list[tuple[str, int, str]]:
    rows = await shop.pool.fetch("SELECT kind, delta, reason FROM stock_ledger WHERE product_id = $1 ORDER BY id", uuid.UUID(product.id))
    return [tuple(row) for row in rows]


async def test_a_created_product_has_the_values_of_its_request(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await category(shop, admin)
    wanted = Product(
        name="Ball",
        description="Round — and “bouncy”",
        price=Money(minor_units=1999),
        category_id=balls.id,
        sku="B-1",
        stock=3,
        image_urls=["https://example.com/b.jpg"],
        slug="ball-1",
    )
    created = await shop.catalog.CreateProduct(CreateProductRequest(product=wanted), metadata=admin.metadata)
    found = await shop.catalog.GetProduct(GetProductRequest(product_id=created.id))
    assert found == created
    wanted.price.currency_code = "USD"
    for field in ("id", "etag", "create_time", "update_time"):
        assert getattr(found, field)
        found.ClearField(field)
    assert found == wanted
    assert await ledger(shop, created) == [("initial", 3, "")]


async def test_creating_lists_all_that_is_wrong(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    bad = Product(
        name=" ",
        description="x" * 10_001,
        price=Money(currency_code="EUR", minor_units=-1),
        category_id="x",
        sku="x" * 65,
        stock=-1,
        image_urls=["nope"],
    )
    error = await refusal(shop.catalog.CreateProduct(CreateProductRequest(product=bad), metadata=admin.metadata))
    assert error.code is StatusCode.INVALID_ARGUMENT
    assert sorted(error.fields) == [
        "product.category_id",
        "product.description",
        "product.image_urls[0]",
        "product.name",
        "product.price.currency_code",
        "product.price.minor_units",
        "product.sku",
        "product.stock",
    ]
    error = await refusal(shop.catalog.CreateProduct(CreateProductRequest(), metadata=admin.metadata))
    assert error.fields == ["product.name", "product.price"]
    assert await shop.pool.fetchval("SELECT count(*) FROM products") == 0


async def test_fields_that_only_the_server_sets_have_no_effect_in_a_request(shop: Shop) -> None:
    """A client can send back a product that it has read."""
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, name="Ball")
    copied = await shop.catalog.CreateProduct(CreateProductRequest(product=ball), metadata=admin.metadata)
    assert copied.id != ball.id
    assert copied.create_time.ToDatetime() > ball.create_time.ToDatetime()
    assert (copied.name, copied.price, copied.stock) == (ball.name, ball.price, ball.stock)
    category = await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name="Balls")), metadata=admin.metadata)
    category.name = "Bats"
    other = await shop.catalog.CreateCategory(CreateCategoryRequest(category=category), metadata=admin.metadata)
    assert (other.id != category.id, other.name) == (True, "Bats")


async def test_category_and_sku_must_fit(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await shop.product(admin, sku="S")
    error = await refusal(shop.product(admin, sku="S"))
    assert (error.code, error.reason, error.detail(ResourceInfo).resource_name) == (StatusCode.ALREADY_EXISTS, "SKU_TAKEN", "S")
    error = await refusal(shop.product(admin, category_id=str(uuid.uuid4())))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "CATEGORY_NOT_FOUND")
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=first.id), metadata=admin.metadata)
    await shop.product(admin, sku="S")
    undelete = shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=first.id), metadata=admin.metadata)
    assert (await refusal(undelete)).reason == "SKU_TAKEN"


async def test_an_update_changes_the_populated_fields_or_those_of_the_mask(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, description="round", sku="S", stock=5)
    changed = await update(shop, admin, Product(id=ball.id, name="Better"))
    assert (changed.name, changed.description, changed.sku, changed.stock) == ("Better", "round", "S", 5)
    changed = await update(shop, admin, Product(id=ball.id, name="ignored"), "description", "sku")
    assert (changed.name, changed.description, changed.sku) == ("Better", "", "")
    changed = await update(shop, admin, Product(id=ball.id, name="All", price=Money(minor_units=1)), "*")
    assert (changed.name, changed.price.minor_units, changed.stock) == ("All", 1, 5)
    changed = await update(shop, admin, Product(id=ball.id, stock=9))
    assert changed.stock == 9
    assert await ledger(shop, ball) == [("initial", 5, ""), ("adjust", 4, "product updated")]


@pytest.mark.parametrize(
    ("mask", "field"),
    [
        ("id", "update_mask"),
        ("price.minor_units", "update_mask"),
        ("nope", "update_mask"),
        ("stock", "product.stock"),
        ("name", "product.name"),
    ],
)
async def test_a_mask_must_name_what_can_be_changed_and_is_there(shop: Shop, mask: str, field: str) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    assert (await refusal(update(shop, admin, Product(id=ball.id), mask))).fields == [field]


async def test_an_update_of_something_newer_is_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    newer = await update(shop, admin, Product(id=ball.id, name="Newer", etag=ball.etag))
    assert newer.etag != ball.etag
    error = await refusal(update(shop, admin, Product(id=ball.id, name="Older", etag=ball.etag)))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert error.metadata == {"expected_etag": ball.etag, "etag": newer.etag}
    delete = DeleteProductRequest(product_id=ball.id, etag=ball.etag)
    assert (await refusal(shop.catalog.DeleteProduct(delete, metadata=admin.metadata))).reason == "ETAG_MISMATCH"


async def test_deleting_hides_a_product_and_undeleting_brings_it_back(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    deleted = await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert deleted.HasField("delete_time")
    for call in (
        shop.catalog.GetProduct(GetProductRequest(product_id=ball.id)),
        shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata),
        update(shop, admin, Product(id=ball.id, name="x")),
        shop.catalog.AdjustStock(AdjustStockRequest(product_id=ball.id, delta=1), metadata=admin.metadata),
        shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=str(uuid.uuid4())), metadata=admin.metadata),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND")
    assert await names(shop) == []
    back = await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert not back.HasField("delete_time")
    assert await names(shop) == ["Ball"]
    again = shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert (await refusal(again)).reason == "PRODUCT_NOT_DELETED"


async def test_several_products_come_as_asked_for_or_not_at_all(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first, second = await shop.product(admin, name="A"), await shop.product(admin, name="B")
    ids = [second.id, first.id, second.id]
    assert [p.id for p in (await shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=ids))).products] == ids
    absent = [str(uuid.uuid4()) for _ in range(2)]
    error = await refusal(shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=[first.id, *absent])))
    assert error.reason == "PRODUCT_NOT_FOUND"
    assert error.detail(ResourceInfo).resource_name == ", ".join(absent)
    for ids in ([], [first.id] * 101, ["x"]):
        assert (await refusal(shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=ids)))).code is StatusCode.INVALID_ARGUMENT


async def test_stock_is_adjusted_by_difference_and_by_comparison_and_every_move_is_in_the_ledger(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, stock=5)

    def adjust(**fields: Any) -> Any:
        return shop.catalog.AdjustStock(AdjustStockRequest(product_id=ball.id, reason="count", **fields), metadata=admin.metadata)

    def compare(expected: int, stock: int) -> Any:
        return adjust(compare_and_set=AdjustStockRequest.CompareAndSet(expected_stock=expected, stock=stock))

    assert (await adjust(delta=-2)).stock == 3
    assert (await compare(3, 0)).stock == 0
    error = await refusal(compare(3, 9))
    assert (error.code, error.reason, error.metadata) == (StatusCode.ABORTED, "STOCK_CHANGED", {"expected_stock": "3", "stock": "0"})
    error = await refusal(adjust(delta=-1))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "OUT_OF_STOCK")
    assert (await adjust(delta=1_000_000_000)).stock == 1_000_000_000
    assert (await refusal(adjust(delta=1))).reason == "STOCK_LIMIT"
    for bad in (adjust(), adjust(delta=0), compare(-1, 0), compare(0, 1_000_000_001)):
        assert (await refusal(bad)).code is StatusCode.INVALID_ARGUMENT
    moves = [("initial", 5, ""), ("adjust", -2, "count"), ("adjust", -3, "count"), ("adjust", 1_000_000_000, "count")]
    assert await ledger(shop, ball) == moves


@pytest.mark.race
async def test_of_many_comparisons_at_once_one_wins(shop: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, stock=0)
    for stock in range(race_rounds):
        change = AdjustStockRequest.CompareAndSet(expected_stock=stock, stock=stock + 1)
        request = AdjustStockRequest(product_id=ball.id, compare_and_set=change)
        calls = (shop.catalog.AdjustStock(request, metadata=admin.metadata) for _ in range(8))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, Product) for outcome in outcomes) == 1


FOUR = (("Cherry", 300, 1), ("apple", 100, 0), ("Banana", 200, 5), ("Date", 200, 2))


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("", ["Date", "Banana", "apple", "Cherry"]),
        ("create_time", ["Cherry", "apple", "Banana", "Date"]),
        ("create_time desc", ["Date", "Banana", "apple", "Cherry"]),
        ("price", ["apple", "Banana", "Date", "Cherry"]),
        ("price desc", ["Cherry", "Date", "Banana", "apple"]),
        ("name", ["apple", "Banana", "Cherry", "Date"]),
        (" name  desc ", ["Date", "Cherry", "Banana", "apple"]),
        ("price,create_time", ["apple", "Banana", "Date", "Cherry"]),
        (" price desc ,  create_time  desc ", ["Cherry", "Date", "Banana", "apple"]),
        ("name desc, create_time desc", ["Date", "Cherry", "Banana", "apple"]),
    ],
)
async def test_lists_are_ordered_and_pages_hold_each_product_once(shop: Shop, order_by: str, expected: list[str]) -> None:
    admin = await shop.person(admin=True)
    for name, price, stock in FOUR:
        await shop.product(admin, name=name, price=price, stock=stock)
    assert await names(shop, order_by=order_by) == expected
    found, token = [], ""
    for _ in expected:
        page = await shop.catalog.ListProducts(ListProductsRequest(order_by=order_by, page_size=1, page_token=token))
        found += [product.name for product in page.products]
        token = page.next_page_token
    assert (found, token) == (expected, "")
    assert await names(shop, order_by=order_by, skip=1, page_size=2) == expected[1:3]


async def test_a_page_is_not_disturbed_by_products_added_before_it(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(4):
        await shop.product(admin, name=f"P{number}")
    page = await shop.catalog.ListProducts(ListProductsRequest(page_size=2))
    await shop.product(admin, name="new")
    assert await names(shop, page_size=2, page_token=page.next_page_token) == ["P1", "P0"]


async def test_lists_can_be_narrowed_and_counted(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    fruit = await category(shop, admin, "Fruit")
    for name, price, stock in FOUR:
        await shop.product(admin, name=name, price=price, stock=stock, category_id=fruit.id if stock else "")
    for fields, expected in (
        ({"min_price": 200}, ["Cherry", "Banana", "Date"]),
        ({"max_price": 100}, ["apple"]),
        ({"min_price": 200, "max_price": 200}, ["Banana", "Date"]),
        ({"max_price": 0}, []),
        ({"in_stock": True}, ["Cherry", "Banana", "Date"]),
        ({"category_id": fruit.id}, ["Cherry", "Banana", "Date"]),
        ({"category_id": fruit.id, "in_stock": True, "min_price": 250}, ["Cherry"]),
        ({"category_id": str(uuid.uuid4())}, []),
        ({"q": "banana", "category_id": fruit.id, "max_price": 500, "in_stock": True}, ["Banana"]),
    ):
        request = ListProductsRequest(order_by="create_time", include_total_size=True, **fields)
        response = await shop.catalog.ListProducts(request)
        assert [product.name for product in response.products] == expected
        assert response.total_size == len(expected)
    assert not (await shop.catalog.ListProducts(ListProductsRequest())).HasField("total_size")


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("running shoes", "Trail Running Shoe"),
        ("SHOE", "Trail Running Shoe"),
        ("runing sheos", "Trail Running Shoe"),
        ("cafe", "Vélo Café Jersey"),
        ("CAFÉ", "Vélo Café Jersey"),
        ("bascketball", "Basketball"),
        ("bask", "Basketball"),
        ("ab-0007", "Basketball"),
        ("leather", "Basketball"),
        ("'; DROP TABLE products; --", None),
        ("%", None),
        ("\\", None),
        ("🚲", None),
        ("!!! & | :*", None),
        ("-" * 33, None),
        ("!-" * 100, None),
    ],
)
async def test_search_forgives_accents_endings_and_typos(shop: Shop, q: str, first: str | None) -> None:
    admin = await shop.person(admin=True)
    await shop.product(admin, name="Trail Running Shoe", description="Grip for mud")
    await shop.product(admin, name="Vélo Café Jersey", description="Merino")
    await shop.product(admin, name="Basketball", description="Leather, size 7", sku="AB-0007")
    found = await names(shop, q=q)
    assert (found[0] if found else None) == first


async def test_an_answer_names_the_corrected_query_on_every_page(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(3):
        await shop.product(admin, name=f"Trail Shoe {number}")
    first = await shop.catalog.ListProducts(ListProductsRequest(q="Trial sheo", page_size=2, include_total_size=True))
    assert (first.corrected_q, len(first.products), first.total_size) == ("trail shoe", 2, 3)
    second = await shop.catalog.ListProducts(ListProductsRequest(q="Trial sheo", page_size=2, page_token=first.next_page_token))
    assert (second.corrected_q, len(second.products), second.next_page_token) == ("trail shoe", 1, "")
    for q in ("trail shoe", "trail", "zzzzzz", "", "-trail"):
        assert (await shop.catalog.ListProducts(ListProductsRequest(q=q))).corrected_q == ""


async def test_matches_by_name_come_before_matches_by_description_through_all_pages(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(3):
        await shop.product(admin, name=f"Mat {number}", description="for yoga")
    for number in range(3):
        await shop.product(admin, name=f"Yoga mat {number}")
    found, token = [], ""
    for _ in range(6):
        page = await shop.catalog.ListProducts(ListProductsRequest(q="yoga", page_size=1, page_token=token))
        found += [product.name for product in page.products]
        token = page.next_page_token
    assert token == ""
    assert len(set(found)) == 6
    assert all(name.startswith("Yoga") for name in found[:3])


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({"page_size": -1}, ["page_size"]),
        ({"skip": -1}, ["skip"]),
        ({"skip": 1001}, ["skip"]),
        ({"order_by": "stock"}, ["order_by"]),
        ({"order_by": "price; DROP TABLE products"}, ["order_by"]),
        ({"order_by": "relevance"}, ["order_by"]),
        ({"order_by": "price desc, name"}, ["order_by"]),
        ({"order_by": "price, create_time desc"}, ["order_by"]),
        ({"order_by": "price,"}, ["order_by"]),
        ({"order_by": "price, price"}, ["order_by"]),
        ({"order_by": "price asc"}, ["order_by"]),
        ({"category_id": "x", "q": "x" * 201, "min_price": -1, "max_price": -1}, ["category_id", "q", "min_price", "max_price"]),
        ({"q": "a\0b"}, ["q"]),
        ({"page_token": "AAAA"}, ["page_token"]),
    ],
)
async def test_an_invalid_list_request_is_refused(shop: Shop, fields: dict[str, Any], bad: list[str]) -> None:
    error = await refusal(shop.catalog.ListProducts(ListProductsRequest(**fields)))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, bad)


async def test_an_order_without_an_index_is_refused_with_those_that_have_one(shop: Shop) -> None:
    error = await refusal(shop.catalog.ListProducts(ListProductsRequest(order_by="price desc, name")))
    assert error.reason == "INVALID_FIELD"
    allowed = error.metadata["allowed"].split("; ")
    assert {"create_time desc", "price", "price desc, create_time desc", "name, create_time"} <= set(allowed)
    assert error.metadata["allowed"] in error.message
    for order_by in allowed:
        await shop.catalog.ListProducts(ListProductsRequest(order_by=order_by))


async def test_a_page_token_belongs_to_its_filter_and_order_but_not_to_its_page_size(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(3):
        await shop.product(admin, name=f"P{number}")
    token = (await shop.catalog.ListProducts(ListProductsRequest(page_size=1))).next_page_token
    assert await names(shop, page_size=5, page_token=token) == ["P1", "P0"]
    for fields in ({"order_by": "price"}, {"in_stock": True}, {"q": "P"}):
        error = await refusal(shop.catalog.ListProducts(ListProductsRequest(page_token=token, **fields)))
        assert error.reason == "PAGE_TOKEN_INVALID"
    assert (await refusal(shop.catalog.ListCategories(ListCategoriesRequest(page_token=token)))).reason == "PAGE_TOKEN_INVALID"


async def test_a_page_is_never_larger_than_the_limit(shop: Shop) -> None:
    await shop.pool.execute(
        """WITH many AS (INSERT INTO products (name, description, price_minor, currency_code, image_urls)
                         SELECT 'p', '', 1, 'USD', '{}' FROM generate_series(1, 120) RETURNING id)
           INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM many"""
    )
    assert len(await names(shop)) == 20
    assert len(await names(shop, page_size=1_000_000)) == 100


async def test_categories_are_created_renamed_listed_by_name_and_deleted(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls, bikes = await category(shop, admin, "Balls"), await category(shop, admin, "Bikes")
    assert await shop.catalog.GetCategory(GetCategoryRequest(category_id=balls.id)) == balls
    error = await refusal(category(shop, admin, "Balls"))
    assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "CATEGORY_TAKEN")
    renamed = Category(id=balls.id, name="Toys")
    assert (await shop.catalog.UpdateCategory(UpdateCategoryRequest(category=renamed), metadata=admin.metadata)).name == "Toys"
    renamed.name = "Bikes"
    taken = shop.catalog.UpdateCategory(UpdateCategoryRequest(category=renamed), metadata=admin.metadata)
    assert (await refusal(taken)).reason == "CATEGORY_TAKEN"
    page = await shop.catalog.ListCategories(ListCategoriesRequest(page_size=1))
    rest = await shop.catalog.ListCategories(ListCategoriesRequest(page_token=page.next_page_token))
    assert [found.name for found in (*page.categories, *rest.categories)] == ["Bikes", "Toys"]
    assert rest.next_page_token == ""
    await shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=bikes.id), metadata=admin.metadata)
    for call in (
        shop.catalog.GetCategory(GetCategoryRequest(category_id=bikes.id)),
        shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=bikes.id), metadata=admin.metadata),
        shop.catalog.UpdateCategory(UpdateCategoryRequest(category=Category(id=bikes.id, name="x")), metadata=admin.metadata),
    ):
        assert (await refusal(call)).reason == "CATEGORY_NOT_FOUND"


@pytest.mark.parametrize("name", ["\u3164", "\u200b\u2060", "\ufe0f", "Ba\nlls", "Balls\x00", "Ba\x1b[31mlls"])
async def test_the_name_of_a_category_is_a_line_that_shows(shop: Shop, name: str) -> None:
    admin = await shop.person(admin=True)
    made = await category(shop, admin)
    update = UpdateCategoryRequest(category=Category(id=made.id, name=name))
    for call in (category(shop, admin, name), shop.catalog.UpdateCategory(update, metadata=admin.metadata)):
        error = await refusal(call)
        assert (error.reason, set(error.fields)) == ("INVALID_FIELD", {"category.name"})
    assert await shop.catalog.GetCategory(GetCategoryRequest(category_id=made.id)) == made


async def test_a_category_is_kept_while_products_on_sale_have_it(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    balls = await category(shop, admin)
    ball = await shop.product(admin, category_id=balls.id)
    request = DeleteCategoryRequest(category_id=balls.id)
    error = await refusal(shop.catalog.DeleteCategory(request, metadata=admin.metadata))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CATEGORY_IN_USE")
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert await shop.catalog.DeleteCategory(request, metadata=admin.metadata) == balls
    back = await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    assert back.category_id == ""


async def test_every_change_of_the_catalog_is_an_event(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    await update(shop, admin, Product(id=ball.id, name="x"))
    await shop.catalog.AdjustStock(AdjustStockRequest(product_id=ball.id, delta=1), metadata=admin.metadata)
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    await shop.catalog.UndeleteProduct(catalog_pb2.UndeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    kinds = await shop.pool.fetch("SELECT kind FROM events ORDER BY xid, id")
    assert [row["kind"] for row in kinds] == [
        "product.created",
        "product.updated",
        "stock.changed",
        "product.deleted",
        "product.undeleted",
    ]
