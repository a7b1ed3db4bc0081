"""Zones and methods when administrators race, and when a shop has as many as it may have."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.shipping_pb2 import (
    ShippingMethod,
    ShippingZone,
)
from support.delivery import (
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
from support.shop import Refusal, Shop, refusal

FILL_ZONES = """
WITH made AS (
    INSERT INTO shipping_zones (name, name_key, name_key_rule) SELECT 'Zone ' || n, '', 2 FROM generate_series(1, $1) AS n RETURNING id
), numbered AS (
    SELECT id, row_number() OVER () AS n FROM made
)
INSERT INTO shipping_areas (zone_id, country_code, region, postal_prefix)
SELECT id, 'US', '', to_char(n * 100 + area, 'FM00000') FROM numbered, generate_series(1, $2) AS area
"""
FILL_METHODS = """
WITH made AS (
    INSERT INTO shipping_methods (name, description, position, tax_category)
    SELECT 'Method ' || n, '', 0, '' FROM generate_series(1, $1) AS n
    RETURNING id
)
INSERT INTO shipping_rates (method_id, zone_id, basis, starts, prices_minor, currency_code)
SELECT made.id, zone.id, 'weight', array_agg(n ORDER BY n), array_agg(n), 'USD'
  FROM made, (SELECT id FROM shipping_zones LIMIT $2) AS zone, generate_series(1, $3) AS n
 GROUP BY made.id, zone.id
"""
AREAS_OF_TWO_ZONES = """
SELECT count(*) FROM (SELECT FROM shipping_areas WHERE is_live GROUP BY country_code, region, postal_prefix HAVING count(*) > 1) AS twice
"""
RATES_OF_ARCHIVED_ZONES = """
SELECT count(*)
  FROM shipping_rates AS rate
  JOIN shipping_methods AS method ON method.id = rate.method_id AND method.archived_at IS NULL
  JOIN shipping_zones AS zone ON zone.id = rate.zone_id AND zone.archived_at IS NOT NULL
"""
UNUSED_ZONES = "SELECT id FROM shipping_zones WHERE id NOT IN (SELECT zone_id FROM shipping_rates) ORDER BY id LIMIT 1"


async def at_once(*calls: Awaitable[Any]) -> tuple[int, list[Refusal]]:
    """Make calls at the same time; return how many succeeded, and the errors of the others."""

    async def outcome(call: Awaitable[Any]) -> Refusal | None:
        try:
            return await refusal(call)
        except AssertionError:  # it was answered
            return None

    errors = [error for error in await asyncio.gather(*map(outcome, calls)) if error]
    return len(calls) - len(errors), errors


def limited(errors: list[Refusal]) -> set[tuple[str, str]]:
    """Return the reasons and limits of errors, whose code must be that of limits."""
    assert {error.code for error in errors} <= {StatusCode.FAILED_PRECONDITION}
    return {(error.reason, error.metadata["limit"]) for error in errors}


async def ids(shop: Shop, table: str) -> list[str]:
    return [str(row["id"]) for row in await shop.pool.fetch(f"SELECT id FROM {table} WHERE archived_at IS NULL ORDER BY id")]  # noqa: S608 - a constant


@pytest.mark.race
async def test_of_zones_with_a_common_area_one_is_written_when_administrators_race(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    for number in range(race_rounds):
        common, own = prefix("US", f"{number:05}"), [prefix("DE", f"{number}{each}") for each in range(6)]
        old = await create_zone(shop, admin, "Old", prefix("FR", f"{number:05}"))
        done, errors = await at_once(
            *(create_zone((shop, elsewhere)[each % 2], admin, "New", own[each], common) for each in range(5)),
            update_zone(elsewhere, admin, ShippingZone(id=old.id, areas=[common, own[5]])),
        )
        assert (done, {error.reason for error in errors}) == (1, {"SHIPPING_AREA_TAKEN"})
    assert await shop.pool.fetchval(AREAS_OF_TWO_ZONES) == 0


@pytest.mark.race
async def test_a_zone_is_archived_or_gets_a_rate_when_administrators_race(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    method = await create_method(shop, admin, rate((await create_zone(shop, admin, "Old", GERMANY)).id))
    for number in range(race_rounds):
        zone = await create_zone(shop, admin, "Zone", prefix("US", f"{number:05}"))
        calls: list[Awaitable[Any]] = [
            archive_zone(shop, admin, zone.id),
            create_method(elsewhere, admin, rate(zone.id)),
            update_method(elsewhere, admin, ShippingMethod(id=method.id, rates=[rate(zone.id)])),
        ]
        done, errors = await at_once(*calls[:: 1 if number % 2 else -1])
        assert done in (1, 2)
        assert {error.reason for error in errors} <= {"SHIPPING_ZONE_IN_USE", "SHIPPING_ZONE_ARCHIVED"}
        assert await shop.pool.fetchval(RATES_OF_ARCHIVED_ZONES) == 0


@pytest.mark.race
async def test_a_shop_has_200_zones_and_100_methods_when_administrators_race(shop: Shop, elsewhere: Shop) -> None:
    admin = await shop.person(admin=True)
    shops = [shop, elsewhere] * 3
    await shop.pool.execute(FILL_ZONES, 198, 1)
    done, errors = await at_once(*(create_zone(each, admin, "New", prefix("DE", str(number))) for number, each in enumerate(shops)))
    assert (done, limited(errors)) == (2, {("SHIPPING_ZONE_LIMIT", "200")})
    await shop.pool.execute(FILL_METHODS, 98, 1, 1)
    zone_id, *_ = await ids(shop, "shipping_zones")
    done, errors = await at_once(*(create_method(each, admin, rate(zone_id)) for each in shops))
    assert (done, limited(errors)) == (2, {("SHIPPING_METHOD_LIMIT", "100")})
    assert (await rows(shop))[:4] == (200, 200, 100, 100)
    [unused] = {str(row["id"]) for row in await shop.pool.fetch(UNUSED_ZONES)}
    await archive_zone(shop, admin, unused)
    await create_zone(shop, admin, "New", GERMANY)
    await archive_method(shop, admin, (await ids(shop, "shipping_methods"))[0])
    await create_method(shop, admin, rate(zone_id))
    assert (len(await ids(shop, "shipping_zones")), len(await ids(shop, "shipping_methods"))) == (200, 100)


@pytest.mark.race
async def test_the_zones_of_a_shop_have_2000_areas_when_administrators_race(shop: Shop, elsewhere: Shop) -> None:
    admin = await shop.person(admin=True)
    await shop.pool.execute(FILL_ZONES, 99, 20)
    first, second, *_ = await ids(shop, "shipping_zones")
    new = [[prefix("FR", f"{number}{place}") for place in range(10)] for number in range(6)]  # room for two of these
    calls = (create_zone((shop, elsewhere)[number % 2], admin, "New", *areas) for number, areas in enumerate(new))
    done, errors = await at_once(*calls)
    assert (done, limited(errors), (await rows(shop))[1]) == (2, {("SHIPPING_AREA_LIMIT", "2000")}, 2_000)
    more = [prefix("US", f"9{number:04}") for number in range(20)]
    error = await refusal(update_zone(shop, admin, ShippingZone(id=first, areas=[*more, GERMANY])))
    assert limited([error]) == {("SHIPPING_AREA_LIMIT", "2000")}
    await update_zone(shop, admin, ShippingZone(id=first, areas=more))
    await archive_zone(shop, admin, second)
    assert len((await update_zone(shop, admin, ShippingZone(id=first, areas=[*more, GERMANY]))).areas) == 21


async def test_the_methods_of_a_shop_have_50000_tiers(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await shop.pool.execute(FILL_ZONES, 200, 1)
    await shop.pool.execute(FILL_METHODS, 5, 199, 50)
    zones, tiers = await ids(shop, "shipping_zones"), [tier(number, 1) for number in range(50)]
    full = [rate(zone_id, *tiers) for zone_id in zones[:5]]
    method = await create_method(shop, admin, *full)
    for call in (
        create_method(shop, admin, rate(zones[0])),
        update_method(shop, admin, ShippingMethod(id=method.id, rates=[*full, rate(zones[5])])),
    ):
        assert limited([await refusal(call)]) == {("SHIPPING_TIER_LIMIT", "50000")}
    await update_method(shop, admin, ShippingMethod(id=method.id, rates=[*full[:4], rate(zones[5], *tiers)]))
    await archive_method(shop, admin, method.id)
    await create_method(shop, admin, *full)


async def test_the_largest_zone_and_method_fit_into_requests_responses_and_the_audit_log(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await shop.pool.execute(FILL_ZONES, 199, 1)
    zone = await create_zone(shop, admin, "Zone", *(prefix("DE", f"{number:05}") for number in range(500)))
    areas = [prefix("FR", f"{number:05}") for number in range(500)]
    assert len((await update_zone(shop, admin, ShippingZone(id=zone.id, areas=areas))).areas) == 500
    zones, tiers = await ids(shop, "shipping_zones"), [tier(10**12 - 50 + number, 10**12) for number in range(50)]
    wanted = [rate(zone_id, *tiers, end=10**12, free_from=Money(minor_units=10**12)) for zone_id in zones]
    method = await create_method(shop, admin, *wanted, name="\U0001f6d2" * 100, description="\U0001f6d2" * 1_000)
    changed = await update_method(shop, admin, ShippingMethod(id=method.id, rates=[rate(zones[0])]))
    assert (len(method.rates), len(method.rates[0].tiers), len(changed.rates)) == (200, 50, 1)
    for _ in range(3):
        await create_method(shop, admin, *wanted)
    assert await method_names(shop, admin) == [method.name, "Parcel", "Parcel", "Parcel"]
    log = await shop.audit.ListAuditLog(ListAuditLogRequest(subject_id=method.id), metadata=admin.metadata)
    assert [len(entry.after.fields) for entry in log.entries] == [1, 204]
    body = json.dumps({"rates": [MessageToDict(each, preserving_proto_field_name=True) for each in method.rates]})
    assert len(body) < 1024 * 1024
