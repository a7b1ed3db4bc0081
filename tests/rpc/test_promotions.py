"""PromotionService through a real channel."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest, DeleteCategoryRequest, DeleteProductRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.promotion_pb2 import (
    PROMOTION_KIND_AMOUNT,
    PROMOTION_KIND_BUY_X_GET_Y,
    PROMOTION_KIND_FREE_DELIVERY,
    PROMOTION_KIND_PERCENT,
    ArchivePromotionCodeRequest,
    ArchivePromotionRequest,
    CreatePromotionRequest,
    GeneratePromotionCodesRequest,
    GeneratePromotionCodesResponse,
    GetPromotionRequest,
    ListPromotionCodesRequest,
    ListPromotionsRequest,
    Promotion,
    PromotionCode,
    UpdatePromotionRequest,
)
from mercato_server.domain.promotions import Promotion as Rule
from mercato_server.domain.promotions import PromotionKind, Scope
from mercato_server.store import promotions
from support.pages import every
from support.shop import CALL_S, Person, Shop, refusal

ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
METHODS = [str(uuid.UUID(int=number)) for number in (3, 1, 2)]
PERCENT: dict[str, Any] = {"kind": PROMOTION_KIND_PERCENT, "percent_ppm": 100_000}
AMOUNT: dict[str, Any] = {"kind": PROMOTION_KIND_AMOUNT, "amount": Money(minor_units=500)}
FREE: dict[str, Any] = {"kind": PROMOTION_KIND_FREE_DELIVERY}
BUY: dict[str, Any] = {"kind": PROMOTION_KIND_BUY_X_GET_Y, "buy_quantity": 2, "get_quantity": 1}
KINDS = {"percent": PERCENT, "amount": AMOUNT, "free delivery": FREE, "buy x get y": BUY}
MAKE_METHODS = """
INSERT INTO shipping_methods (id, name, description, position, tax_category)
SELECT id::uuid, 'Parcel', '', 0, '' FROM unnest($1::text[]) AS id
"""
ARCHIVE_METHOD = "UPDATE shipping_methods SET archived_at = now() WHERE id = $1::text::uuid"
USED = "UPDATE promotions SET used = $2 WHERE id = $1::text::uuid"
VERSION = "SELECT version FROM price_rules"


@pytest.fixture
async def admin(shop: Shop) -> Person:
    return await shop.person(admin=True)


async def create(shop: Shop, admin: Person, **fields: Any) -> Promotion:
    request = CreatePromotionRequest(promotion=Promotion(**{"name": "Sale", **fields}))
    return await shop.promotions.CreatePromotion(request, metadata=admin.metadata)


async def get(shop: Shop, admin: Person, promotion: Promotion) -> Promotion:
    return await shop.promotions.GetPromotion(GetPromotionRequest(promotion_id=promotion.id), metadata=admin.metadata)


async def update(shop: Shop, admin: Person, promotion: Promotion, *mask: str) -> Promotion:
    request = UpdatePromotionRequest(promotion=promotion, update_mask=FieldMask(paths=mask) if mask else None)
    return await shop.promotions.UpdatePromotion(request, metadata=admin.metadata)


async def archive(shop: Shop, admin: Person, promotion: Promotion, etag: str = "") -> Promotion:
    request = ArchivePromotionRequest(promotion_id=promotion.id, etag=etag)
    return await shop.promotions.ArchivePromotion(request, metadata=admin.metadata)


async def generate(shop: Shop, admin: Person, promotion: Promotion, count: int, **fields: Any) -> GeneratePromotionCodesResponse:
    request = GeneratePromotionCodesRequest(promotion_id=promotion.id, count=count, **fields)
    return await shop.promotions.GeneratePromotionCodes(request, metadata=admin.metadata, timeout=CALL_S)


async def archive_code(shop: Shop, admin: Person, promotion: Promotion, code: str) -> PromotionCode:
    request = ArchivePromotionCodeRequest(promotion_id=promotion.id, code=code)
    return await shop.promotions.ArchivePromotionCode(request, metadata=admin.metadata)


async def codes(shop: Shop, admin: Person, promotion: Promotion, page_size: int = 100, **fields: Any) -> list[PromotionCode]:
    return await every(shop.promotions.ListPromotionCodes, ListPromotionCodesRequest, admin, page_size, promotion_id=promotion.id, **fields)


async def category(shop: Shop, admin: Person, name: str) -> Category:
    return await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name=name)), metadata=admin.metadata)


def time(year: int, microsecond: int = 0) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(datetime(year, 1, 1, microsecond=microsecond, tzinfo=UTC))
    return found


async def test_a_created_promotion_has_the_values_of_its_request(shop: Shop, admin: Person) -> None:
    ball, bike = [await shop.product(admin) for _ in range(2)]
    balls, bikes = await category(shop, admin, "Balls"), await category(shop, admin, "Bikes")
    wanted = Promotion(
        name="Two for one — “today”",
        **BUY,
        product_ids=[bike.id, ball.id],
        category_ids=[balls.id],
        get_product_ids=[ball.id],
        get_category_ids=[bikes.id, balls.id],
        min_subtotal=Money(currency_code="USD", minor_units=5_000),
        needs_code=True,
        start_time=time(2026, 1),
        end_time=time(2027),
        usage_limit=100,
        per_buyer_limit=2,
        priority=-5,
        combinable=False,
    )
    made = await create(shop, admin, **{field.name: value for field, value in wanted.ListFields()})
    assert made.id
    assert made.etag == "1"
    assert (made.used, made.codes, made.HasField("archive_time")) == (0, 0, False)
    assert made.create_time == made.update_time
    for field, value in wanted.ListFields():
        assert getattr(made, field.name) == value, field.name
    present = {field.name for field, _ in made.ListFields()}
    assert present - {field.name for field, _ in wanted.ListFields()} == {"id", "etag", "create_time", "update_time"}
    assert await get(shop, admin, made) == made


async def test_absent_fields_have_their_defaults(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **FREE)
    assert (made.min_subtotal, made.needs_code, made.priority, made.combinable) == (
        Money(currency_code="USD", minor_units=0),
        False,
        0,
        True,
    )
    present = {field.name for field, _ in made.ListFields()}
    assert present == {"id", "name", "kind", "min_subtotal", "combinable", "etag", "create_time", "update_time"}


async def test_the_rules_of_prices_are_what_the_calls_wrote_without_those_that_are_over(shop: Shop, admin: Person) -> None:
    ball, balls = await shop.product(admin), await category(shop, admin, "Balls")
    await shop.pool.execute(MAKE_METHODS, METHODS)
    buy = await create(shop, admin, **BUY, product_ids=[ball.id], category_ids=[balls.id], get_category_ids=[balls.id], usage_limit=7)
    free = await create(
        shop, admin, **FREE, name="Free", shipping_method_ids=METHODS, delivery_max=Money(minor_units=900), priority=3, per_buyer_limit=1
    )
    amount = await create(shop, admin, **AMOUNT, start_time=time(2090), end_time=time(2091), min_subtotal=Money(minor_units=10))
    percent = await create(shop, admin, **PERCENT, needs_code=True, combinable=False)
    await create(shop, admin, **PERCENT, end_time=time(2020))
    await archive(shop, admin, await create(shop, admin, **PERCENT))
    scope = Scope(frozenset({uuid.UUID(ball.id)}), frozenset({uuid.UUID(balls.id)}))
    gets = Scope(frozenset(), frozenset({uuid.UUID(balls.id)}))
    assert await promotions.load(shop.pool) == [
        Rule(uuid.UUID(buy.id), "Sale", PromotionKind.BUY_X_GET_Y, scope, buy_quantity=2, get_quantity=1, get_scope=gets, usage_limit=7),
        Rule(
            uuid.UUID(free.id),
            "Free",
            PromotionKind.FREE_DELIVERY,
            method_ids=frozenset(map(uuid.UUID, METHODS)),
            delivery_max_minor=900,
            per_buyer_limit=1,
            priority=3,
        ),
        Rule(
            uuid.UUID(amount.id),
            "Sale",
            PromotionKind.AMOUNT,
            amount_minor=500,
            min_subtotal_minor=10,
            starts_at=datetime(2090, 1, 1, tzinfo=UTC),
            ends_at=datetime(2091, 1, 1, tzinfo=UTC),
        ),
        Rule(uuid.UUID(percent.id), "Sale", PromotionKind.PERCENT, percent_ppm=100_000, needs_code=True, combinable=False),
    ]


async def test_a_window_begins_with_its_start_and_ends_before_its_end_to_the_microsecond(shop: Shop, admin: Person) -> None:
    start, end = datetime(2090, 1, 1, microsecond=1, tzinfo=UTC), datetime(2091, 1, 1, microsecond=5, tzinfo=UTC)
    made = await create(shop, admin, **PERCENT, start_time=time(2090, 1), end_time=time(2091, 5))
    assert (made.start_time, made.end_time) == (time(2090, 1), time(2091, 5))
    [rule] = await promotions.load(shop.pool)
    tick = timedelta(microseconds=1)
    assert [rule.is_open(at) for at in (start - tick, start, end - tick, end)] == [False, True, True, False]


async def test_a_kind_of_a_later_release_is_read_as_unspecified_gives_nothing_and_stays(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **FREE)
    await shop.pool.execute("ALTER TABLE promotions DROP CONSTRAINT promotions_kind_check; UPDATE promotions SET kind = 'lottery'")
    assert (await get(shop, admin, made)).kind == 0
    assert [rule.kind for rule in await promotions.load(shop.pool)] == [PromotionKind.UNKNOWN]
    assert (await refusal(update(shop, admin, Promotion(id=made.id, name="Other")))).reason == "PROMOTION_STATE"
    assert (await archive(shop, admin, made)).HasField("archive_time")
    assert await shop.pool.fetchval("SELECT kind FROM promotions") == "lottery"


OF_KIND: dict[str, tuple[str, Any]] = {
    "percent_ppm": ("percent", 5),
    "amount": ("amount", Money(minor_units=1)),
    "buy_quantity": ("buy x get y", 1),
    "get_quantity": ("buy x get y", 1),
    "get_product_ids": ("buy x get y", [ABSENT]),
    "get_category_ids": ("buy x get y", [ABSENT]),
    "shipping_method_ids": ("free delivery", [ABSENT]),
    "delivery_max": ("free delivery", Money(minor_units=0)),
}
"""Fields that one kind uses."""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_field_that_the_kind_does_not_use_must_be_absent(shop: Shop, admin: Person, kind: str) -> None:
    others = {field: value for field, (own, value) in OF_KIND.items() if own != kind}
    error = await refusal(create(shop, admin, **KINDS[kind], **others))
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert sorted(error.fields) == sorted(f"promotion.{field}" for field in others)
    made = await create(shop, admin, **KINDS[kind])
    error = await refusal(update(shop, admin, Promotion(id=made.id, **others)))
    assert sorted(error.fields) == sorted(f"promotion.{field}" for field in others)
    assert await get(shop, admin, made) == made


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("percent", "percent_ppm"), ("amount", "amount"), ("buy x get y", "buy_quantity"), ("buy x get y", "get_quantity")],
)
async def test_a_field_that_the_kind_needs_must_be_there_and_stay(shop: Shop, admin: Person, kind: str, missing: str) -> None:
    error = await refusal(create(shop, admin, **{name: value for name, value in KINDS[kind].items() if name != missing}))
    assert error.fields == [f"promotion.{missing}"]
    made = await create(shop, admin, **KINDS[kind])
    error = await refusal(update(shop, admin, Promotion(id=made.id), missing))
    assert error.fields == [f"promotion.{missing}"]
    assert await get(shop, admin, made) == made


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({**PERCENT, "percent_ppm": 1_200_000}, ["promotion.percent_ppm"]),  # 120 %
    ({**PERCENT, "percent_ppm": 0}, ["promotion.percent_ppm"]),
    ({**AMOUNT, "amount": Money(minor_units=0)}, ["promotion.amount.minor_units"]),
    ({**AMOUNT, "amount": Money()}, ["promotion.amount.minor_units"]),
    ({**AMOUNT, "amount": Money(currency_code="EUR", minor_units=1)}, ["promotion.amount.currency_code"]),
    ({**BUY, "buy_quantity": 0, "get_quantity": 1_001}, ["promotion.buy_quantity", "promotion.get_quantity"]),
    ({**PERCENT, "name": " "}, ["promotion.name"]),
    ({**PERCENT, "name": "x" * 201}, ["promotion.name"]),
    ({**PERCENT, "name": "a\nb"}, ["promotion.name"]),
    ({}, ["promotion.kind"]),
    ({"kind": 99}, ["promotion.kind"]),
    ({**PERCENT, "product_ids": [ABSENT, "x"]}, ["promotion.product_ids[1]"]),
    ({**PERCENT, "product_ids": [ABSENT] * 501}, ["promotion.product_ids"]),
    ({**PERCENT, "category_ids": [ABSENT] * 101}, ["promotion.category_ids"]),
    ({**FREE, "shipping_method_ids": [ABSENT] * 101}, ["promotion.shipping_method_ids"]),
    ({**PERCENT, "min_subtotal": Money(minor_units=-1)}, ["promotion.min_subtotal.minor_units"]),
    ({**PERCENT, "usage_limit": 0, "per_buyer_limit": 10**9 + 1}, ["promotion.per_buyer_limit", "promotion.usage_limit"]),
    ({**PERCENT, "priority": 1_001}, ["promotion.priority"]),
    ({**PERCENT, "start_time": time(2026), "end_time": time(2026)}, ["promotion.end_time"]),
    ({**PERCENT, "start_time": Timestamp(seconds=2**62)}, ["promotion.start_time"]),
    ({**PERCENT, "end_time": Timestamp(nanos=-1)}, ["promotion.end_time"]),
    # The first and the last moment of Python, which PostgreSQL would store as infinite.
    ({**PERCENT, "start_time": Timestamp(seconds=-62_135_596_800)}, ["promotion.start_time"]),
    ({**PERCENT, "end_time": Timestamp(seconds=253_402_300_799, nanos=999_999_999)}, ["promotion.end_time"]),
    ({**PERCENT, "start_time": time(1899, 12)}, ["promotion.start_time"]),
    ({**PERCENT, "end_time": time(2200, 2)}, ["promotion.end_time"]),
    (
        {"name": "", "priority": -1_001, "percent_ppm": 0},
        ["promotion.kind", "promotion.name", "promotion.percent_ppm", "promotion.priority"],
    ),
]


@pytest.mark.parametrize(("fields", "named"), BAD, ids=lambda value: str(value)[:60])
async def test_a_bad_field_is_refused_by_name_and_nothing_is_written(
    shop: Shop, admin: Person, fields: dict[str, Any], named: list[str]
) -> None:
    before = await shop.pool.fetchval(VERSION)
    error = await refusal(create(shop, admin, **fields))
    assert (error.code, error.reason, sorted(error.fields)) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", named)
    assert await shop.pool.fetchval("SELECT count(*) FROM promotions") == 0
    assert await shop.pool.fetchval(VERSION) == before


async def test_the_products_and_categories_of_a_scope_must_exist_when_they_enter_it(shop: Shop, admin: Person) -> None:
    ball, gone = [await shop.product(admin) for _ in range(2)]
    balls = await category(shop, admin, "Balls")
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=gone.id), metadata=admin.metadata)
    error = await refusal(create(shop, admin, **BUY, product_ids=[ball.id, gone.id, ABSENT], get_product_ids=[ABSENT]))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND")
    assert error.fields == ["promotion.product_ids[1]", "promotion.product_ids[2]", "promotion.get_product_ids[0]"]
    error = await refusal(create(shop, admin, **BUY, category_ids=[balls.id, ABSENT], get_category_ids=[ABSENT]))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "CATEGORY_NOT_FOUND")
    assert error.fields == ["promotion.category_ids[1]", "promotion.get_category_ids[0]"]
    made = await create(shop, admin, **PERCENT, product_ids=[ball.id], category_ids=[balls.id])
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    await shop.catalog.DeleteCategory(DeleteCategoryRequest(category_id=balls.id), metadata=admin.metadata)
    changed = await update(shop, admin, Promotion(id=made.id, name="Other", product_ids=[ball.id], category_ids=[balls.id]))
    assert (changed.name, list(changed.product_ids), list(changed.category_ids)) == ("Other", [ball.id], [balls.id])
    error = await refusal(update(shop, admin, Promotion(id=made.id, product_ids=[ball.id, gone.id])))
    assert error.fields == ["promotion.product_ids[1]"]


async def test_the_methods_of_a_promotion_must_exist_and_not_be_archived_when_they_enter_it(shop: Shop, admin: Person) -> None:
    first, second, third = METHODS
    await shop.pool.execute(MAKE_METHODS, METHODS)
    await shop.pool.execute(ARCHIVE_METHOD, second)
    version = await shop.pool.fetchval(VERSION)
    error = await refusal(create(shop, admin, **FREE, shipping_method_ids=[first, second, ABSENT]))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "SHIPPING_METHOD_NOT_FOUND")
    assert error.fields == ["promotion.shipping_method_ids[1]", "promotion.shipping_method_ids[2]"]
    assert await shop.pool.fetchval("SELECT count(*) FROM promotions") == 0
    made = await create(shop, admin, **FREE, shipping_method_ids=[first])
    await shop.pool.execute(ARCHIVE_METHOD, first)
    changed = await update(shop, admin, Promotion(id=made.id, shipping_method_ids=[third, first]))
    assert list(changed.shipping_method_ids) == [third, first]
    error = await refusal(update(shop, admin, Promotion(id=made.id, shipping_method_ids=[first, second])))
    assert (error.reason, error.fields) == ("SHIPPING_METHOD_NOT_FOUND", ["promotion.shipping_method_ids[1]"])
    assert await get(shop, admin, made) == changed
    assert await shop.pool.fetchval(VERSION) == version + 2


async def test_an_id_that_is_named_twice_counts_once(shop: Shop, admin: Person) -> None:
    ball = await shop.product(admin)
    assert list((await create(shop, admin, **PERCENT, product_ids=[ball.id, ball.id.upper()])).product_ids) == [ball.id]


async def test_a_change_writes_the_fields_of_its_mask(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT, usage_limit=5, end_time=time(2030), needs_code=True, combinable=False, priority=4)
    changed = await update(shop, admin, Promotion(id=made.id, name="Other", priority=9), "name", "usage_limit", "end_time", "combinable")
    assert (changed.name, changed.HasField("usage_limit"), changed.HasField("end_time"), changed.combinable) == (
        "Other",
        False,
        False,
        True,
    )
    assert (changed.priority, changed.needs_code, changed.percent_ppm) == (4, True, 100_000)
    assert (changed.etag, changed.create_time) == ("2", made.create_time)
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    populated = await update(shop, admin, Promotion(id=made.id, percent_ppm=7, combinable=False))
    assert (populated.percent_ppm, populated.combinable, populated.name) == (7, False, "Other")
    whole = await update(shop, admin, Promotion(id=made.id, name="New", percent_ppm=8), "*")
    assert (whole.needs_code, whole.priority, whole.combinable) == (False, 0, True)
    assert await get(shop, admin, made) == whole


async def test_a_promotion_can_be_sent_back_as_it_was_read(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **AMOUNT, usage_limit=5)
    again = await update(shop, admin, made)
    assert (again.etag, again.amount, again.usage_limit) == ("2", made.amount, 5)


async def test_the_kind_cannot_be_changed(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT)
    error = await refusal(update(shop, admin, Promotion(id=made.id, kind=PROMOTION_KIND_AMOUNT, name="Other")))
    assert (error.reason, error.fields) == ("INVALID_FIELD", ["promotion.kind"])
    error = await refusal(update(shop, admin, Promotion(id=made.id, kind=PROMOTION_KIND_PERCENT), "kind"))
    assert (error.reason, error.fields) == ("INVALID_FIELD", ["update_mask"])
    assert await get(shop, admin, made) == made


async def test_a_change_of_something_newer_is_refused(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT)
    newer = await update(shop, admin, Promotion(id=made.id, name="Newer", etag=made.etag))
    for call in (
        update(shop, admin, Promotion(id=made.id, name="Stale", etag=made.etag)),
        archive(shop, admin, made, made.etag),
        shop.promotions.UpdatePromotion(
            UpdatePromotionRequest(promotion=Promotion(id=made.id, name="Stale")), metadata=(*admin.metadata, ("if-match", '"1"'))
        ),
    ):
        error = await refusal(call)
        assert (error.code, error.reason, error.metadata["etag"]) == (StatusCode.ABORTED, "ETAG_MISMATCH", "2")
    assert await get(shop, admin, made) == newer


async def test_uses_do_not_change_the_etag(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT, needs_code=True)
    await shop.pool.execute(USED, made.id, 3)
    await shop.code(admin, made, "SUMMER")
    now = await get(shop, admin, made)
    assert (now.etag, now.update_time, now.used, now.codes) == (made.etag, made.update_time, 3, 1)


async def test_a_limit_below_the_uses_is_refused(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT, usage_limit=10)
    await shop.pool.execute(USED, made.id, 7)
    error = await refusal(update(shop, admin, Promotion(id=made.id, usage_limit=6)))
    assert (error.reason, error.fields, error.metadata["used"]) == ("INVALID_FIELD", ["promotion.usage_limit"], "7")
    assert (await update(shop, admin, Promotion(id=made.id, usage_limit=7))).usage_limit == 7
    assert (await update(shop, admin, Promotion(id=made.id), "usage_limit")).used == 7
    await shop.pool.execute(USED, made.id, 7)
    assert "6" not in (await refusal(update(shop, admin, Promotion(id=made.id, usage_limit=6)))).metadata.values()


async def test_a_promotion_with_very_many_uses_cannot_begin_to_count_its_buyers(shop: Shop, admin: Person) -> None:
    made = await create(shop, admin, **PERCENT)
    await shop.pool.execute(USED, made.id, 20_001)
    error = await refusal(update(shop, admin, Promotion(id=made.id, per_buyer_limit=1)))
    assert (error.code, error.reason, error.metadata) == (
        StatusCode.FAILED_PRECONDITION,
        "PROMOTION_STATE",
        {"used": "20001", "limit": "20000"},
    )


async def test_an_archived_promotion_is_hidden_and_kept_and_a_second_time_answers_the_same(shop: Shop, admin: Person) -> None:
    first, second, third = [await create(shop, admin, **PERCENT, name=name) for name in ("A", "B", "C")]
    archived = await archive(shop, admin, second, second.etag)
    assert archived.HasField("archive_time")
    assert (archived.etag, archived.archive_time) == ("2", archived.update_time)
    assert await archive(shop, admin, second, second.etag) == archived == await get(shop, admin, second)

    async def listed(**fields: Any) -> list[Promotion]:
        return list((await shop.promotions.ListPromotions(ListPromotionsRequest(**fields), metadata=admin.metadata)).promotions)

    assert await listed() == [third, first]
    assert await listed(show_archived=True) == [third, archived, first]
    error = await refusal(update(shop, admin, Promotion(id=second.id, name="Other")))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_STATE")
    actions = await shop.pool.fetchval("SELECT array_agg(action ORDER BY id) FROM audit_log WHERE subject_id = $1", uuid.UUID(second.id))
    assert actions == ["promotion.created", "promotion.archived"]


async def test_promotions_are_listed_newest_first_in_pages(shop: Shop, admin: Person) -> None:
    made = [await create(shop, admin, **PERCENT, name=str(number)) for number in range(5)]
    await archive(shop, admin, made[3])
    page = await shop.promotions.ListPromotions(ListPromotionsRequest(page_size=2), metadata=admin.metadata)
    rest = await shop.promotions.ListPromotions(
        ListPromotionsRequest(page_size=2, page_token=page.next_page_token), metadata=admin.metadata
    )
    assert [each.name for each in (*page.promotions, *rest.promotions)] == ["4", "2", "1", "0"]
    assert rest.next_page_token == ""
    other = ListPromotionsRequest(page_size=2, page_token=page.next_page_token, show_archived=True)
    assert (await refusal(shop.promotions.ListPromotions(other, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_an_absent_promotion_is_not_found(shop: Shop, admin: Person) -> None:
    absent = Promotion(id=ABSENT, name="x")
    for call in (
        get(shop, admin, absent),
        update(shop, admin, absent),
        archive(shop, admin, absent),
        codes(shop, admin, absent),
        shop.code(admin, absent, "SUMMER"),
        generate(shop, admin, absent, 5),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PROMOTION_NOT_FOUND")
        info = error.detail(ResourceInfo)
        assert (info.resource_type, info.resource_name) == ("mercato.v1.Promotion", ABSENT)
    assert await shop.pool.fetchval("SELECT count(*) FROM promotion_codes") == 0


async def test_every_change_of_a_rule_raises_the_version_of_the_rules_and_no_other_call_does(shop: Shop, admin: Person) -> None:
    versions = [await shop.pool.fetchval(VERSION)]

    async def then(call: Any) -> Any:
        result = await call
        versions.append(await shop.pool.fetchval(VERSION))
        return result

    made = await then(create(shop, admin, **PERCENT, needs_code=True))
    await then(update(shop, admin, Promotion(id=made.id, name="Other")))
    await then(shop.code(admin, made, "SUMMER"))
    await then(generate(shop, admin, made, 2))
    await then(archive_code(shop, admin, made, "SUMMER"))
    await then(archive(shop, admin, made))
    await then(archive(shop, admin, made))
    assert versions == [0, 1, 2, 2, 2, 2, 3, 3]


FILL = """
INSERT INTO promotions (name, kind, percent_ppm, product_ids, category_ids, get_product_ids, get_category_ids, method_ids,
                        min_subtotal_minor, currency_code, needs_code, priority, combinable, codes)
SELECT 'sale', 'percent', 1, '{}', '{}', '{}', '{}', '{}', 0, 'USD', true, 0, true, $2::integer FROM generate_series(1, $1::integer)
"""


async def test_a_shop_has_1000_live_promotions_at_most_also_if_they_are_created_at_once(shop: Shop, elsewhere: Shop, admin: Person) -> None:
    await shop.pool.execute(FILL, 995, 0)
    results = await asyncio.gather(
        *(create(each, admin, **PERCENT) for each in (shop, elsewhere) for _ in range(6)), return_exceptions=True
    )
    made = [result for result in results if isinstance(result, Promotion)]
    assert len(made) == 5
    assert await shop.pool.fetchval("SELECT count(*) FROM promotions WHERE archived_at IS NULL") == 1_000
    error = await refusal(create(shop, admin, **PERCENT))
    assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_LIMIT", {"limit": "1000"})
    await archive(shop, admin, made[0])
    await create(shop, admin, **PERCENT)


async def test_a_shop_has_100_promotions_without_a_code_at_most_whoever_makes_them(shop: Shop, elsewhere: Shop, admin: Person) -> None:
    await shop.pool.execute(FILL.replace("true, 0, true", "false, 0, true"), 95, 0)
    coded = [await create(shop, admin, **PERCENT, needs_code=True) for _ in range(6)]
    changes = [update(elsewhere, admin, Promotion(id=each.id, needs_code=False), "needs_code") for each in coded]
    results = await asyncio.gather(*changes, *(create(shop, admin, **PERCENT) for _ in range(6)), return_exceptions=True)
    assert len([result for result in results if isinstance(result, Promotion)]) == 5
    assert await shop.pool.fetchval("SELECT count(*) FROM promotions WHERE NOT needs_code") == 100
    error = await refusal(create(shop, admin, **PERCENT))
    assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_LIMIT", {"limit": "100"})
    await create(shop, admin, **PERCENT, needs_code=True)


async def test_a_code_is_taken_in_every_spelling_by_every_promotion(shop: Shop, admin: Person) -> None:
    one, other = [await create(shop, admin, **PERCENT, needs_code=True) for _ in range(2)]
    code = await shop.code(admin, one, "  Straße-10 ", usage_limit=3)
    assert (code.code, code.promotion_id, code.batch_id, code.usage_limit, code.used) == ("Straße-10", one.id, "", 3, 0)
    assert not code.HasField("archive_time")
    fullwidth = "".join(chr(ord(letter) + 0xFEE0) for letter in "STRASSE-10")
    for spelling in ("STRASSE-10", "strasse-10", fullwidth):
        for promotion in (one, other):
            error = await refusal(shop.code(admin, promotion, spelling))
            assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "PROMOTION_CODE_TAKEN")
    unlimited = await shop.code(admin, other, "STRASSE-11")
    assert not unlimited.HasField("usage_limit")
    await archive_code(shop, admin, one, fullwidth)
    assert (await refusal(shop.code(admin, other, "strasse-10"))).reason == "PROMOTION_CODE_TAKEN"
    assert [(await get(shop, admin, promotion)).codes for promotion in (one, other)] == [1, 1]


async def test_one_of_two_codes_that_are_created_at_once_is_taken(shop: Shop, elsewhere: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    spellings = ["summer", "SUMMER", "Summer", "sUmMeR"]
    results = await asyncio.gather(
        *(each.code(admin, promotion, spelling) for each in (shop, elsewhere) for spelling in spellings), return_exceptions=True
    )
    [made] = [result for result in results if isinstance(result, PromotionCode)]
    assert [code.code for code in await codes(shop, admin, promotion)] == [made.code]
    assert (await get(shop, admin, promotion)).codes == 1


@pytest.mark.parametrize("code", ["", " ", "x" * 65, "a b", "a/b", "a:b", "10%", "=1", "-x", "a\u200bb", "\ufdfa", "\ufb03" * 30])
async def test_a_bad_code_is_refused(shop: Shop, admin: Person, code: str) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    error = await refusal(shop.code(admin, promotion, code))
    assert (error.reason, set(error.fields)) == ("INVALID_FIELD", {"code"})
    error = await refusal(shop.code(admin, promotion, "SUMMER", usage_limit=0))
    assert error.fields == ["usage_limit"]
    assert await codes(shop, admin, promotion) == []


async def test_10000_codes_of_one_call_are_distinct_and_listed_completely(shop: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    chosen = await shop.code(admin, promotion, "SUMMER")
    small = await generate(shop, admin, promotion, 3)
    batch = await generate(shop, admin, promotion, 10_000, prefix="Sun-", length=8, usage_limit=2)
    assert batch.count == 10_000
    found = await codes(shop, admin, promotion, batch_id=batch.batch_id)
    assert len({code.code.lower() for code in found}) == len(found) == 10_000
    assert {(code.batch_id, code.usage_limit, code.used, code.promotion_id) for code in found} == {(batch.batch_id, 2, 0, promotion.id)}
    assert all(code.code.startswith("Sun-") and len(code.code) == 12 for code in found)
    assert [code.code for code in found] == sorted(code.code for code in found)
    assert len(await codes(shop, admin, promotion, page_size=3, batch_id=small.batch_id)) == 3
    everything = await codes(shop, admin, promotion)
    assert len(everything) == 10_004
    assert chosen in everything
    assert (await get(shop, admin, promotion)).codes == 10_004


async def test_generated_codes_have_twelve_characters_and_one_use_unless_the_request_says_otherwise(shop: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    await generate(shop, admin, promotion, 50)
    found = await codes(shop, admin, promotion, page_size=7)
    assert {(len(code.code), code.usage_limit) for code in found} == {(12, 1)}
    assert len(found) == 50


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"count": 0}, ["count"]),
        ({"count": 10_001}, ["count"]),
        ({"count": 1, "length": 7}, ["length"]),
        ({"count": 1, "length": 25}, ["length"]),
        ({"count": 1, "length": 0}, ["length"]),
        ({"count": 1, "prefix": "x" * 13}, ["prefix"]),
        ({"count": 1, "prefix": "a b"}, ["prefix"]),
        ({"count": 1, "prefix": "-"}, ["prefix"]),
        ({"count": 1, "usage_limit": 0}, ["usage_limit"]),
        ({"count": -1, "prefix": "/", "length": 1, "usage_limit": -1}, ["count", "prefix", "length", "usage_limit"]),
    ],
)
async def test_a_bad_batch_is_refused(shop: Shop, admin: Person, fields: dict[str, Any], named: list[str]) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    error = await refusal(generate(shop, admin, promotion, **fields))
    assert (error.reason, error.fields) == ("INVALID_FIELD", named)
    assert await codes(shop, admin, promotion) == []


async def test_only_live_promotions_that_need_a_code_take_codes(shop: Shop, admin: Person) -> None:
    free, gone = await create(shop, admin, **PERCENT), await create(shop, admin, **PERCENT, needs_code=True)
    await archive(shop, admin, gone)
    for promotion in (free, gone):
        for call in (shop.code(admin, promotion, "SUMMER"), generate(shop, admin, promotion, 5)):
            error = await refusal(call)
            assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_STATE")
    assert await shop.pool.fetchval("SELECT count(*) FROM promotion_codes") == 0


async def test_a_promotion_has_100000_codes_at_most_also_if_they_are_created_at_once(shop: Shop, elsewhere: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    await shop.pool.execute("UPDATE promotions SET codes = 99970")
    error = await refusal(generate(shop, admin, promotion, 31))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_LIMIT")
    assert error.metadata == {"limit": "100000", "codes": "99970"}
    results = await asyncio.gather(
        *(generate(each, admin, promotion, 10) for each in (shop, elsewhere) for _ in range(4)), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, GeneratePromotionCodesResponse)]) == 3
    assert len(await codes(shop, admin, promotion)) == 30
    assert (await get(shop, admin, promotion)).codes == 100_000


async def test_a_shop_has_1000000_codes_at_most_also_if_they_are_created_at_once(shop: Shop, elsewhere: Shop, admin: Person) -> None:
    await shop.pool.execute(FILL, 10, 100_000)
    await shop.pool.execute("UPDATE promotions SET codes = codes - 30 WHERE id = (SELECT min(id::text)::uuid FROM promotions)")
    made = [await create(shop, admin, **PERCENT, needs_code=True) for _ in range(8)]
    results = await asyncio.gather(
        *(generate((shop, elsewhere)[place % 2], admin, promotion, 10) for place, promotion in enumerate(made)), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, GeneratePromotionCodesResponse)]) == 3
    assert await shop.pool.fetchval("SELECT sum(codes) FROM promotions") == 1_000_000
    error = await refusal(shop.code(admin, made[0], "SUMMER"))
    assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "PROMOTION_LIMIT", {"limit": "1000000"})
    filled = await shop.pool.fetchval("SELECT id::text FROM promotions WHERE codes = 100000 LIMIT 1")
    await archive(shop, admin, Promotion(id=filled))
    assert (await shop.code(admin, made[0], "SUMMER")).code == "SUMMER"


async def test_a_code_that_exists_is_generated_anew(shop: Shop, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    await shop.code(admin, promotion, "Taken-1")
    drawn = iter(["TAKEN-1", "FREE-1", "free-1", "FREE-2", "FREE-1", "FREE-3", "FREE-4"])
    monkeypatch.setattr("mercato_server.store.promotion_codes.random_codes", lambda _batch: drawn)
    batch = await generate(shop, admin, promotion, 3)
    assert batch.count == 3
    made = [code.code for code in await codes(shop, admin, promotion, batch_id=batch.batch_id)]
    assert [code.lower() for code in made] == ["free-1", "free-2", "free-3"]


async def test_an_archived_code_is_hidden_and_a_second_time_answers_the_same(shop: Shop, admin: Person) -> None:
    promotion, other = [await create(shop, admin, **PERCENT, needs_code=True) for _ in range(2)]
    for code in ("A", "B", "C"):
        await shop.code(admin, promotion, code)
    archived = await archive_code(shop, admin, promotion, " b ")
    assert (archived.code, archived.HasField("archive_time")) == ("B", True)
    assert await archive_code(shop, admin, promotion, "B") == archived
    assert [code.code for code in await codes(shop, admin, promotion)] == ["A", "C"]
    assert [code.code for code in await codes(shop, admin, promotion, show_archived=True)] == ["A", "B", "C"]
    for call in (archive_code(shop, admin, promotion, "D"), archive_code(shop, admin, other, "A")):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PROMOTION_CODE_NOT_FOUND")
    logged = await shop.pool.fetchval("SELECT count(*) FROM audit_log WHERE action = 'promotion.code_archived'")
    assert logged == 1


async def test_a_page_token_is_for_one_list_of_codes(shop: Shop, admin: Person) -> None:
    promotion, other = [await create(shop, admin, **PERCENT, needs_code=True) for _ in range(2)]
    batch = await generate(shop, admin, promotion, 3)
    request = ListPromotionCodesRequest(promotion_id=promotion.id, page_size=2)
    token = (await shop.promotions.ListPromotionCodes(request, metadata=admin.metadata)).next_page_token
    others: list[dict[str, Any]] = [{"promotion_id": other.id}, {"batch_id": batch.batch_id}, {"show_archived": True}]
    for fields in others:
        elsewhere = ListPromotionCodesRequest(promotion_id=promotion.id, page_token=token)
        elsewhere.MergeFrom(ListPromotionCodesRequest(**fields))
        assert (await refusal(shop.promotions.ListPromotionCodes(elsewhere, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_lists_name_their_bad_fields(shop: Shop, admin: Person) -> None:
    bad = ListPromotionCodesRequest(promotion_id="x", page_size=-1, batch_id="x")
    error = await refusal(shop.promotions.ListPromotionCodes(bad, metadata=admin.metadata))
    assert sorted(error.fields) == ["batch_id", "page_size", "promotion_id"]
    error = await refusal(shop.promotions.ListPromotions(ListPromotionsRequest(page_size=-1), metadata=admin.metadata))
    assert error.fields == ["page_size"]


async def test_a_chosen_code_and_a_batch_leave_their_place_in_the_audit_log(shop: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    await shop.code(admin, promotion, "SUMMER")
    await refusal(shop.code(admin, promotion, "summer"))
    await generate(shop, admin, promotion, 5)
    rows = await shop.pool.fetch("SELECT action, actor_id::text, after->>'code', after->>'count' FROM audit_log WHERE action LIKE '%code%'")
    assert sorted(map(tuple, rows)) == [
        ("promotion.code_created", admin.id, "SUMMER", None),
        ("promotion.codes_generated", admin.id, None, "5"),
    ]


async def test_rows_of_promotions_and_codes_cannot_be_deleted(shop: Shop, admin: Person) -> None:
    promotion = await create(shop, admin, **PERCENT, needs_code=True)
    await shop.code(admin, promotion, "SUMMER")
    for statement in ("DELETE FROM promotion_codes", "TRUNCATE promotions CASCADE", "UPDATE promotion_codes SET code_folded = 'other'"):
        with pytest.raises(Exception, match="never deleted"):
            await shop.pool.execute(statement)
