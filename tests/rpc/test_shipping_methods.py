"""Methods of ShippingService through a real channel, and the table that workers build from zones and methods."""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from mercato.v1.money_pb2 import Money
from mercato.v1.shipping_pb2 import (
    SHIPPING_RATE_BASIS_SUBTOTAL,
    CreateShippingMethodRequest,
    GetShippingMethodRequest,
    ListShippingMethodsRequest,
    ShippingArea,
    ShippingMethod,
    ShippingTier,
    ShippingZone,
)
from mercato_server.domain.shipping import Destination, ShippingTable
from mercato_server.store import shipping
from support.delivery import (
    ABSENT,
    CALIFORNIA,
    GERMANY,
    archive_method,
    archive_zone,
    create_method,
    create_zone,
    method_names,
    prefix,
    rate,
    rows,
    tier,
    update_method,
    update_zone,
)
from support.shop import Shop, refusal

RATE = "shipping_method.rates"


async def test_a_created_method_has_the_values_of_its_request(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first, second = await create_zone(shop, admin, "Z", GERMANY), await create_zone(shop, admin, "A", CALIFORNIA)
    rates = [
        rate(second.id, tier(0, 0), tier(1_000, 10**12), basis=SHIPPING_RATE_BASIS_SUBTOTAL, end=10**12, free_from=Money(minor_units=0)),
        rate(first.id, tier(5, 499), tier(10**12, 0)),
    ]
    created = await create_method(
        shop, admin, *rates, name="Parcel", description="Two days.\nOr three.", position=7, tax_category="as-goods"
    )
    found = await shop.shipping.GetShippingMethod(GetShippingMethodRequest(shipping_method_id=created.id), metadata=admin.metadata)
    assert found == created
    assert (found.name, found.description, found.position, found.tax_category) == ("Parcel", "Two days.\nOr three.", 7, "as-goods")
    for each in rates:
        for one in each.tiers:
            one.price.currency_code = "USD"
    rates[0].free_from.currency_code = "USD"
    assert list(found.rates) == [rates[1], rates[0]]  # by the creation of their zones
    stored = await shop.pool.fetch("SELECT basis, starts, prices_minor, ends_before, free_from_minor, currency_code FROM shipping_rates")
    assert sorted(map(tuple, stored)) == [
        ("subtotal", [0, 1_000], [0, 10**12], 10**12, 0, "USD"),
        ("weight", [5, 10**12], [499, 0], None, None, "USD"),
    ]
    assert await rows(shop) == (2, 2, 1, 2, 3)


def method_of(**fields: Any) -> Callable[[str], ShippingMethod]:
    """Return a method whose one rate, for a zone, has these fields."""
    return lambda zone_id: ShippingMethod(name="x", rates=[rate(zone_id, **fields)])


EUROS, MINUS = Money(currency_code="EUR", minor_units=1), Money(minor_units=-1)


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (lambda _: ShippingMethod(), ["shipping_method.name", RATE]),
        (
            lambda zone_id: ShippingMethod(
                name="\0", description="x" * 1_001, position=-1, tax_category="x" * 33, rates=[rate(zone_id), rate("x")]
            ),
            [f"shipping_method.{field}" for field in ("description", "position", "tax_category", "name")] + [f"{RATE}[1].shipping_zone_id"],
        ),
        (lambda zone_id: ShippingMethod(name="x", position=1_000_001, rates=[rate(zone_id)]), ["shipping_method.position"]),
        (lambda zone_id: ShippingMethod(name="x", tax_category="a\u200bb", rates=[rate(zone_id)]), ["shipping_method.tax_category"]),
        (lambda zone_id: ShippingMethod(name="x", rates=[rate(zone_id), rate(zone_id)]), [f"{RATE}[1].shipping_zone_id"]),
        (lambda _: ShippingMethod(name="x", rates=[rate(str(uuid.uuid4())) for _ in range(201)]), [RATE]),
        (method_of(basis=0), [f"{RATE}[0].basis"]),
        (method_of(basis=99), [f"{RATE}[0].basis"]),
        (method_of(tiers=[]), [f"{RATE}[0].tiers"]),
        (method_of(tiers=[tier(number, 1) for number in range(51)]), [f"{RATE}[0].tiers"]),
        (method_of(tiers=[tier(-1, 1)]), [f"{RATE}[0].tiers[0].start"]),
        (method_of(tiers=[tier(10**12 + 1, 1)]), [f"{RATE}[0].tiers[0].start"]),
        (method_of(tiers=[tier(0, 1), tier(5, 1), tier(5, 1)]), [f"{RATE}[0].tiers[2].start"]),
        (method_of(tiers=[tier(5, 1), tier(0, 1)]), [f"{RATE}[0].tiers[1].start"]),
        (method_of(tiers=[ShippingTier(start=1)]), [f"{RATE}[0].tiers[0].price"]),
        (method_of(tiers=[ShippingTier(price=Money())]), [f"{RATE}[0].tiers[0].price.minor_units"]),
        (method_of(tiers=[ShippingTier(price=MINUS)]), [f"{RATE}[0].tiers[0].price.minor_units"]),
        (method_of(tiers=[tier(0, 10**12 + 1)]), [f"{RATE}[0].tiers[0].price.minor_units"]),
        (method_of(tiers=[ShippingTier(price=EUROS)]), [f"{RATE}[0].tiers[0].price.currency_code"]),
        (method_of(tiers=[tier(5, 1)], end=5), [f"{RATE}[0].end"]),
        (method_of(end=0), [f"{RATE}[0].end"]),
        (method_of(end=10**12 + 1), [f"{RATE}[0].end"]),
        (method_of(free_from=Money()), [f"{RATE}[0].free_from.minor_units"]),
        (method_of(free_from=MINUS), [f"{RATE}[0].free_from.minor_units"]),
        (method_of(free_from=EUROS), [f"{RATE}[0].free_from.currency_code"]),
    ],
)
async def test_a_method_that_is_wrong_is_refused_by_the_names_of_its_fields(
    shop: Shop, make: Callable[[str], ShippingMethod], bad: list[str]
) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    made = await create_method(shop, admin, rate(zone.id))
    before = await rows(shop)
    wanted = make(zone.id)
    create = CreateShippingMethodRequest(shipping_method=wanted)
    error = await refusal(shop.shipping.CreateShippingMethod(create, metadata=admin.metadata))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", bad)
    wanted.id = made.id
    assert (await refusal(update_method(shop, admin, wanted, "*"))).fields == bad
    assert await rows(shop) == before


async def test_an_update_of_a_method_changes_the_populated_fields_or_those_of_the_mask(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone, other = await create_zone(shop, admin, "Zone", GERMANY), await create_zone(shop, admin, "Other", CALIFORNIA)
    await shop.pool.execute("INSERT INTO tax_categories (id, display_name) VALUES ('standard', 'Standard')")
    method = await create_method(shop, admin, rate(zone.id), description="Slow", position=3, tax_category="standard")
    changed = await update_method(shop, admin, ShippingMethod(id=method.id, name="Express"))
    assert (changed.name, changed.description, changed.position, changed.tax_category) == ("Express", "Slow", 3, "standard")
    assert list(changed.rates) == list(method.rates)
    changed = await update_method(shop, admin, ShippingMethod(id=method.id, name="ignored"), "description", "position", "tax_category")
    assert (changed.name, changed.description, changed.position, changed.tax_category) == ("Express", "", 0, "")
    changed = await update_method(shop, admin, ShippingMethod(id=method.id, rates=[rate(other.id, tier(0, 1))]))
    assert [each.shipping_zone_id for each in changed.rates] == [other.id]
    assert changed.etag == "4"
    whole = ShippingMethod(id=method.id, name="All", position=1, rates=[rate(zone.id), rate(other.id)])
    changed = await update_method(shop, admin, whole, "*")
    assert (changed.name, changed.position, len(changed.rates)) == ("All", 1, 2)
    assert (await refusal(update_method(shop, admin, ShippingMethod(id=method.id), "rates"))).fields == [RATE]
    assert await rows(shop) == (2, 2, 1, 2, 7)


async def test_a_change_of_something_newer_or_absent_or_archived_is_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    method = await create_method(shop, admin, rate((await create_zone(shop, admin, "Other", CALIFORNIA)).id))
    await update_zone(shop, admin, ShippingZone(id=zone.id, name="Newer", etag=zone.etag))
    await update_method(shop, admin, ShippingMethod(id=method.id, name="Newer", etag=method.etag))

    async def check(reasons: tuple[str, str], zone: ShippingZone, method: ShippingMethod, **metadata: str) -> None:
        before = await rows(shop)
        calls: tuple[Awaitable[Any], ...] = (update_zone(shop, admin, zone), update_method(shop, admin, method))
        errors = [await refusal(call) for call in calls]
        assert tuple(error.reason for error in errors) == reasons
        assert [error.metadata for error in errors if metadata] == [metadata] * (2 if metadata else 0)
        assert await rows(shop) == before

    stale = (ShippingZone(id=zone.id, name="Older", etag="1"), ShippingMethod(id=method.id, name="Older", etag="1"))
    await check(("ETAG_MISMATCH", "ETAG_MISMATCH"), *stale, expected_etag="1", etag="2")
    for call in (archive_zone(shop, admin, zone.id, "1"), archive_method(shop, admin, method.id, "1")):
        assert (await refusal(call)).reason == "ETAG_MISMATCH"
    absent = (ShippingZone(id=ABSENT, name="x"), ShippingMethod(id=ABSENT, name="x"))
    await check(("SHIPPING_ZONE_NOT_FOUND", "SHIPPING_METHOD_NOT_FOUND"), *absent, ids=ABSENT)
    await archive_zone(shop, admin, zone.id, "2")
    await archive_method(shop, admin, method.id, "2")
    gone = (ShippingZone(id=zone.id, name="x"), ShippingMethod(id=method.id, name="x"))
    await check(("SHIPPING_ZONE_ARCHIVED", "SHIPPING_METHOD_ARCHIVED"), *gone)


async def test_an_archived_method_leaves_lists_and_stays_readable_and_a_second_archive_answers_the_same(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    method = await create_method(shop, admin, rate(zone.id))
    archived = await archive_method(shop, admin, method.id, method.etag)
    assert archived.HasField("archive_time")
    before = await rows(shop)
    assert await archive_method(shop, admin, method.id, method.etag) == archived
    assert await rows(shop) == before == (1, 1, 1, 1, 3)
    got = await shop.shipping.GetShippingMethod(GetShippingMethodRequest(shipping_method_id=method.id), metadata=admin.metadata)
    assert got == archived
    assert list(got.rates) == list(method.rates)
    assert (await method_names(shop, admin), await method_names(shop, admin, show_archived=True)) == ([], ["Parcel"])


async def test_methods_are_listed_by_position_then_by_creation(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    for name, position in (("Last", 1_000_000), ("Second", 1), ("First", 0), ("Third", 1), ("Gone", 1)):
        made = await create_method(shop, admin, rate(zone.id), name=name, position=position)
        if name == "Gone":
            await archive_method(shop, admin, made.id)
    expected = ["First", "Second", "Third", "Last"]
    for size in (1, 3, 4):
        assert await method_names(shop, admin, size) == expected
        assert await method_names(shop, admin, size, show_archived=True) == [*expected[:3], "Gone", "Last"]
    page = await shop.shipping.ListShippingMethods(ListShippingMethodsRequest(page_size=1), metadata=admin.metadata)
    other = ListShippingMethodsRequest(page_token=page.next_page_token, show_archived=True)
    assert (await refusal(shop.shipping.ListShippingMethods(other, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_an_entry_of_the_audit_log_has_the_rates_that_changed(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first, second = await create_zone(shop, admin, "Z", GERMANY), await create_zone(shop, admin, "A", CALIFORNIA)
    method = await create_method(shop, admin, rate(first.id), rate(second.id))
    more = rate(second.id, tier(0, 1), tier(9, 2), end=30, free_from=Money(minor_units=50))
    await update_method(shop, admin, ShippingMethod(id=method.id, rates=[rate(first.id), more]))
    [(before, after)] = await shop.pool.fetch("SELECT before, after FROM audit_log WHERE action = 'shipping_method.updated'")
    assert json.loads(before) == {f"rates.{second.id}": "weight 0:499"}
    assert json.loads(after) == {f"rates.{second.id}": "weight 0:1 9:2 end 30 free from 50"}


async def table(shop: Shop) -> ShippingTable:
    async with shop.pool.acquire() as conn:
        return ShippingTable(*await shipping.load(conn))


async def test_workers_read_the_zones_and_methods_that_administrators_wrote(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    assert (await table(shop)).methods == {}
    country = await create_zone(shop, admin, "Country", ShippingArea(country_code="US"), ShippingArea(country_code="GB"))
    region = await create_zone(shop, admin, "Region", ShippingArea(country_code="US", region="California"))
    short = await create_zone(shop, admin, "Short", prefix("US", "94"), prefix("GB", "sw1"))
    long = await create_zone(shop, admin, "Long", prefix("US", "941"), prefix("GB", "sw1 "))
    zones = [country, region, short, long]
    express = await create_method(shop, admin, rate(long.id, tier(0, 1_500)), name="Express", position=2)
    parcel = await create_method(
        shop,
        admin,
        *(rate(zone.id, tier(100, number), tier(2_000, number + 10), end=5_000) for number, zone in enumerate(zones, 1)),
        name="Parcel",
        position=1,
        tax_category="as-goods",
    )
    by_price = rate(country.id, tier(0, 700), tier(1_000, 600), basis=SHIPPING_RATE_BASIS_SUBTOTAL, free_from=Money(minor_units=5_000))
    letter = await create_method(shop, admin, by_price, name="Letter", position=0)
    gone = await create_method(shop, admin, rate(country.id), name="Gone")
    await archive_method(shop, admin, gone.id)
    found = await table(shop)
    assert [method.name for method in found.methods.values()] == ["Letter", "Parcel", "Express"]
    assert found.methods[uuid.UUID(parcel.id)].tax_category == "as-goods"

    def price(method: ShippingMethod, destination: Destination, weight: int = 100, subtotal: int = 0) -> int | None:
        return found.price_minor(uuid.UUID(method.id), destination, weight, subtotal)

    for destination, number in (
        (Destination("US", "NY", "10001"), 1),
        (Destination("US", "CA", "90001"), 2),
        (Destination("US", "CA", "94999"), 3),
        (Destination("US", "CA", "94110"), 4),
        (Destination("GB", "", "M1 1AA"), 1),
        (Destination("GB", "", "SW1A 1AA"), 3),
        (Destination("GB", "", "SW1 2AA"), 4),
        (Destination("DE", "", "10115"), None),
    ):
        assert price(parcel, destination) == number
        assert price(express, destination) == (1_500 if number == 4 else None)
    here = Destination("US", "NY", "10001")
    assert [price(parcel, here, weight) for weight in (99, 100, 1_999, 2_000, 4_999, 5_000)] == [None, 1, 1, 11, 11, None]
    assert [price(letter, here, 0, subtotal) for subtotal in (0, 999, 1_000, 4_999, 5_000)] == [700, 700, 600, 600, 0]
    await archive_method(shop, admin, express.id)
    await update_method(shop, admin, ShippingMethod(id=parcel.id, rates=[rate(country.id, tier(0, 9))]))
    await archive_zone(shop, admin, long.id)
    found = await table(shop)
    assert [price(parcel, destination) for destination in (here, Destination("US", "CA", "94110"))] == [9, None]
    assert len(found.methods) == 2


async def test_a_basis_of_a_later_release_is_read_and_left_alone(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    method = await create_method(shop, admin, rate((await create_zone(shop, admin, "Zone", GERMANY)).id))
    await shop.pool.execute("ALTER TABLE shipping_rates DROP CONSTRAINT shipping_rates_basis_check")
    await shop.pool.execute("UPDATE shipping_rates SET basis = 'volume'")
    renamed = await update_method(shop, admin, ShippingMethod(id=method.id, name="New"))
    assert [each.basis for each in renamed.rates] == [0]
    assert await shop.pool.fetchval("SELECT basis FROM shipping_rates") == "volume"
    assert (await table(shop)).price_minor(uuid.UUID(method.id), Destination("DE"), 0, 0) is None


async def test_the_database_refuses_rows_that_only_a_bug_would_write(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    method = await create_method(shop, admin, rate(zone.id))
    zone_id, method_id = uuid.UUID(zone.id), uuid.UUID(method.id)
    other = await shop.pool.fetchval("INSERT INTO shipping_zones (name, name_key, name_key_rule) VALUES ('x', '', 2) RETURNING id")
    add_area = "INSERT INTO shipping_areas (zone_id, country_code, region, postal_prefix) VALUES ($1, $2, $3, $4)"
    for values in (("DE", "", ""), ("de", "", ""), ("US", "CA", "94"), ("US", "", "9" * 21)):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await shop.pool.execute(add_area, other, *values)
    for change in ("prices_minor = '{-1}'", "starts = '{-1}'", "starts = '{1,2}'", "ends_before = 0", "currency_code = 'EUR'"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await shop.pool.execute(f"UPDATE shipping_rates SET {change} WHERE method_id = $1", method_id)  # noqa: S608 - a constant
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await shop.pool.execute("UPDATE shipping_areas SET is_live = false WHERE zone_id = $1", zone_id)
