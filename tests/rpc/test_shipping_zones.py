"""Zones of ShippingService through a real channel."""

import pytest
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.shipping_pb2 import (
    CreateShippingZoneRequest,
    GetShippingZoneRequest,
    ListShippingZonesRequest,
    ShippingArea,
    ShippingMethod,
    ShippingZone,
)
from support.delivery import (
    ABSENT,
    CALIFORNIA,
    GERMANY,
    archive_method,
    archive_zone,
    create_method,
    create_zone,
    prefix,
    rate,
    rows,
    update_method,
    update_zone,
    zone_names,
)
from support.shop import Shop, refusal

AREA = "shipping_zone.areas"


async def test_a_created_zone_has_the_values_of_its_request_and_raises_the_version_of_the_rules(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    areas = [prefix("GB", "SW1 "), CALIFORNIA, GERMANY]
    created = await create_zone(shop, admin, " Some places ", *areas)
    found = await shop.shipping.GetShippingZone(GetShippingZoneRequest(shipping_zone_id=created.id), metadata=admin.metadata)
    assert found == created
    assert (found.name, list(found.areas), found.etag) == ("Some places", [GERMANY, prefix("GB", "SW1 "), CALIFORNIA], "1")
    assert found.create_time == found.update_time
    assert not found.HasField("archive_time")
    assert await rows(shop) == (1, 3, 0, 0, 1)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (ShippingArea(country_code=" de "), GERMANY),
        (prefix("gb", "sw1a1"), prefix("GB", "SW1A 1")),
        (prefix("GB", " sw1  "), prefix("GB", "SW1 ")),
        (prefix("NL", "1234 "), prefix("NL", "1234")),
        (prefix("SE", "1145"), prefix("SE", "114 5")),
        (prefix("PL", "00950"), prefix("PL", "00-950")),
        (ShippingArea(country_code="US", region="california"), CALIFORNIA),
        (ShippingArea(country_code="US", region=" ca "), CALIFORNIA),
        (ShippingArea(country_code="CA", region="Colombie-Britannique"), ShippingArea(country_code="CA", region="BC")),
        (ShippingArea(country_code="JP", region="Hokkaido"), ShippingArea(country_code="JP", region="北海道")),
    ],
)
async def test_areas_are_kept_in_the_form_of_addresses(shop: Shop, sent: ShippingArea, kept: ShippingArea) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", sent)
    assert list(zone.areas) == [kept]
    error = await refusal(create_zone(shop, admin, "Other", kept))
    assert error.reason == "SHIPPING_AREA_TAKEN"
    assert error.metadata["shipping_zone_id"] == zone.id


@pytest.mark.parametrize(
    ("zone", "bad"),
    [
        (ShippingZone(), ["shipping_zone.name", AREA]),
        (ShippingZone(name=" \n", areas=[GERMANY]), ["shipping_zone.name"]),
        (ShippingZone(name="x" * 101, areas=[GERMANY]), ["shipping_zone.name"]),
        (ShippingZone(name="x", areas=[prefix("US", f"{number:05}") for number in range(501)]), [AREA]),
        (ShippingZone(name="x", areas=[ShippingArea()]), [f"{AREA}[0].country_code"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="XX")]), [f"{AREA}[0].country_code"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="ZZ")]), [f"{AREA}[0].country_code"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="DEU")]), [f"{AREA}[0].country_code"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="\u00df")]), [f"{AREA}[0].country_code"]),  # its upper case is SS
        (ShippingZone(name="x", areas=[ShippingArea(country_code="../zz")]), [f"{AREA}[0].country_code"]),
        (ShippingZone(name="x", areas=[GERMANY, prefix("DE", "X")]), [f"{AREA}[1].postal_prefix"]),
        (ShippingZone(name="x", areas=[prefix("DE", " ")]), [f"{AREA}[0].postal_prefix"]),
        (ShippingZone(name="x", areas=[prefix("DE", "1" + " " * 20)]), [f"{AREA}[0].postal_prefix"]),
        (ShippingZone(name="x", areas=[prefix("AE", "1")]), [f"{AREA}[0].postal_prefix"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="US", region="Bavaria")]), [f"{AREA}[0].region"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="DE", region="Bavaria")]), [f"{AREA}[0].region"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="US", region=" ")]), [f"{AREA}[0].region"]),
        (ShippingZone(name="x", areas=[ShippingArea(country_code="US", region="CA", postal_prefix="9")]), [f"{AREA}[0].postal_prefix"]),
        (ShippingZone(name="x", areas=[GERMANY, CALIFORNIA, ShippingArea(country_code="de")]), [f"{AREA}[2]"]),
        (ShippingZone(name="x", areas=[prefix("NL", "1234"), prefix("NL", "1234 ")]), [f"{AREA}[1]"]),
    ],
)
async def test_a_zone_that_is_wrong_is_refused_by_the_names_of_its_fields(shop: Shop, zone: ShippingZone, bad: list[str]) -> None:
    admin = await shop.person(admin=True)
    made = await create_zone(shop, admin, "Zone", prefix("FR", "75"))
    before = await rows(shop)
    create = CreateShippingZoneRequest(shipping_zone=zone)
    error = await refusal(shop.shipping.CreateShippingZone(create, metadata=admin.metadata))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", bad)
    error = await refusal(update_zone(shop, admin, ShippingZone(id=made.id, name=zone.name, areas=zone.areas), "*"))
    assert error.fields == bad
    assert await rows(shop) == before


async def test_an_unfit_prefix_is_refused_with_an_example_of_its_country(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(create_zone(shop, admin, "Zone", prefix("NL", "AB")))
    assert error.metadata == {"field": f"{AREA}[0].postal_prefix", "country_code": "NL", "example": "1234 AB"}
    error = await refusal(create_zone(shop, admin, "Zone", ShippingArea(country_code="US", region="Bavaria")))
    assert error.metadata == {"field": f"{AREA}[0].region", "country_code": "US", "example": "AL"}


async def test_an_area_belongs_to_one_zone_until_that_is_archived(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await create_zone(shop, admin, "First", prefix("GB", "SW1 "), GERMANY)
    second = await create_zone(shop, admin, "Second", prefix("GB", "SW1"), CALIFORNIA)
    before = await rows(shop)
    for call in (
        create_zone(shop, admin, "Third", prefix("FR", "75"), prefix("GB", "sw1 ")),
        update_zone(shop, admin, ShippingZone(id=second.id, areas=[prefix("GB", "SW1"), prefix("GB", "SW1 ")])),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "SHIPPING_AREA_TAKEN")
        assert error.metadata == {"country_code": "GB", "region": "", "postal_prefix": "SW1 ", "shipping_zone_id": first.id}
        assert error.detail(ResourceInfo).resource_name == first.id
    assert await rows(shop) == before
    await archive_zone(shop, admin, first.id)
    changed = await update_zone(shop, admin, ShippingZone(id=second.id, areas=[GERMANY, prefix("GB", "SW1 ")]))
    assert list(changed.areas) == [GERMANY, prefix("GB", "SW1 ")]
    archived = await shop.shipping.GetShippingZone(GetShippingZoneRequest(shipping_zone_id=first.id), metadata=admin.metadata)
    assert list(archived.areas) == [GERMANY, prefix("GB", "SW1 ")]


async def test_an_update_of_a_zone_changes_the_populated_fields_or_those_of_the_mask(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY, CALIFORNIA)
    changed = await update_zone(shop, admin, ShippingZone(id=zone.id, name="Better"))
    assert (changed.name, list(changed.areas)) == ("Better", [GERMANY, CALIFORNIA])
    assert (changed.etag, changed.create_time) == ("2", zone.create_time)
    assert changed.update_time.ToDatetime() > zone.update_time.ToDatetime()
    changed = await update_zone(shop, admin, ShippingZone(id=zone.id, name="ignored", areas=[CALIFORNIA, prefix("FR", "7")]), "areas")
    assert (changed.name, list(changed.areas)) == ("Better", [prefix("FR", "7"), CALIFORNIA])
    error = await refusal(update_zone(shop, admin, ShippingZone(id=zone.id, name="Best"), "areas"))
    assert error.fields == [AREA]
    error = await refusal(update_zone(shop, admin, ShippingZone(id=zone.id, name="Best"), "archive_time"))
    assert error.fields == ["update_mask"]
    assert await rows(shop) == (1, 2, 0, 0, 3)


async def test_an_archived_zone_leaves_lists_and_stays_readable_and_a_second_archive_answers_the_same(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone = await create_zone(shop, admin, "Zone", GERMANY)
    archived = await archive_zone(shop, admin, zone.id, zone.etag)
    assert archived.HasField("archive_time")
    assert archived.etag != zone.etag
    before = await rows(shop)
    assert await archive_zone(shop, admin, zone.id, zone.etag) == archived
    assert await rows(shop) == before == (1, 1, 0, 0, 2)
    assert await shop.shipping.GetShippingZone(GetShippingZoneRequest(shipping_zone_id=zone.id), metadata=admin.metadata) == archived
    assert (await zone_names(shop, admin), await zone_names(shop, admin, show_archived=True)) == ([], ["Zone"])
    log = await shop.audit.ListAuditLog(ListAuditLogRequest(subject_id=zone.id), metadata=admin.metadata)
    assert [entry.action for entry in log.entries] == ["shipping_zone.archived", "shipping_zone.created"]


async def test_a_zone_is_archived_only_if_no_method_uses_it(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    zone, other = await create_zone(shop, admin, "Zone", GERMANY), await create_zone(shop, admin, "Other", CALIFORNIA)
    first, second = [await create_method(shop, admin, rate(zone.id), rate(other.id)) for _ in range(2)]
    error = await refusal(archive_zone(shop, admin, zone.id))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "SHIPPING_ZONE_IN_USE")
    assert error.metadata == {"count": "2", "shipping_method_ids": f"{first.id}, {second.id}"}
    await archive_method(shop, admin, first.id)
    assert (await refusal(archive_zone(shop, admin, zone.id))).metadata["shipping_method_ids"] == second.id
    await update_method(shop, admin, ShippingMethod(id=second.id, rates=[rate(other.id)]))
    assert (await archive_zone(shop, admin, zone.id)).HasField("archive_time")
    for call in (
        create_method(shop, admin, rate(zone.id)),
        update_method(shop, admin, ShippingMethod(id=second.id, rates=[rate(zone.id)])),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "SHIPPING_ZONE_ARCHIVED")
        assert error.metadata == {"shipping_zone_id": zone.id}
    error = await refusal(create_method(shop, admin, rate(ABSENT), rate(other.id)))
    assert (error.code, error.reason, error.metadata["ids"]) == (StatusCode.NOT_FOUND, "SHIPPING_ZONE_NOT_FOUND", ABSENT)


async def test_zones_are_listed_by_name_in_pages_that_hold_each_once(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    names = ["Äquator", "apple", "Zebra", "apple", "Apple"]
    for number, name in enumerate(names):
        await create_zone(shop, admin, name, prefix("US", f"{number:05}"))
    gone = await create_zone(shop, admin, "Birne", GERMANY)
    await archive_zone(shop, admin, gone.id)
    expected = ["apple", "apple", "Apple", "Äquator", "Zebra"]
    for size in (1, 2, 5):
        assert await zone_names(shop, admin, size) == expected
        assert await zone_names(shop, admin, size, show_archived=True) == [*expected[:4], "Birne", "Zebra"]
    page = await shop.shipping.ListShippingZones(ListShippingZonesRequest(page_size=1), metadata=admin.metadata)
    other = ListShippingZonesRequest(page_token=page.next_page_token, show_archived=True)
    assert (await refusal(shop.shipping.ListShippingZones(other, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"
    negative = ListShippingZonesRequest(page_size=-1)
    assert (await refusal(shop.shipping.ListShippingZones(negative, metadata=admin.metadata))).fields == ["page_size"]
