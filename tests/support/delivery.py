"""Steps of tests that change zones and methods of delivery, as administrators do."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from mercato.v1.money_pb2 import Money
from mercato.v1.shipping_pb2 import (
    SHIPPING_RATE_BASIS_WEIGHT,
    ArchiveShippingMethodRequest,
    ArchiveShippingZoneRequest,
    CreateShippingMethodRequest,
    CreateShippingZoneRequest,
    ListShippingMethodsRequest,
    ListShippingZonesRequest,
    ShippingArea,
    ShippingMethod,
    ShippingRate,
    ShippingTier,
    ShippingZone,
    UpdateShippingMethodRequest,
    UpdateShippingZoneRequest,
)
from support.pages import every
from support.shop import Person, Shop

ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
GERMANY, CALIFORNIA = ShippingArea(country_code="DE"), ShippingArea(country_code="US", region="CA")
VERSION = "SELECT version FROM price_rules"
ROWS = """
SELECT (SELECT count(*) FROM shipping_zones) AS zones, (SELECT count(*) FROM shipping_areas) AS areas,
       (SELECT count(*) FROM shipping_methods) AS methods, (SELECT count(*) FROM shipping_rates) AS rates
"""


def prefix(country_code: str, postal_prefix: str) -> ShippingArea:
    return ShippingArea(country_code=country_code, postal_prefix=postal_prefix)


def tier(start: int, minor_units: int) -> ShippingTier:
    return ShippingTier(start=start, price=Money(minor_units=minor_units))


def rate(zone_id: str, *tiers: ShippingTier, **fields: Any) -> ShippingRate:
    return ShippingRate(**{"shipping_zone_id": zone_id, "basis": SHIPPING_RATE_BASIS_WEIGHT, "tiers": tiers or [tier(0, 499)], **fields})


async def create_zone(shop: Shop, admin: Person, name: str, *areas: ShippingArea) -> ShippingZone:
    request = CreateShippingZoneRequest(shipping_zone=ShippingZone(name=name, areas=areas))
    return await shop.shipping.CreateShippingZone(request, metadata=admin.metadata)


async def update_zone(shop: Shop, admin: Person, zone: ShippingZone, *mask: str) -> ShippingZone:
    request = UpdateShippingZoneRequest(shipping_zone=zone, update_mask=FieldMask(paths=mask) if mask else None)
    return await shop.shipping.UpdateShippingZone(request, metadata=admin.metadata)


async def archive_zone(shop: Shop, admin: Person, zone_id: str, etag: str = "") -> ShippingZone:
    request = ArchiveShippingZoneRequest(shipping_zone_id=zone_id, etag=etag)
    return await shop.shipping.ArchiveShippingZone(request, metadata=admin.metadata)


async def create_method(shop: Shop, admin: Person, *rates: ShippingRate, name: str = "Parcel", **fields: Any) -> ShippingMethod:
    request = CreateShippingMethodRequest(shipping_method=ShippingMethod(name=name, rates=rates, **fields))
    return await shop.shipping.CreateShippingMethod(request, metadata=admin.metadata)


async def update_method(shop: Shop, admin: Person, method: ShippingMethod, *mask: str) -> ShippingMethod:
    request = UpdateShippingMethodRequest(shipping_method=method, update_mask=FieldMask(paths=mask) if mask else None)
    return await shop.shipping.UpdateShippingMethod(request, metadata=admin.metadata)


async def archive_method(shop: Shop, admin: Person, method_id: str, etag: str = "") -> ShippingMethod:
    request = ArchiveShippingMethodRequest(shipping_method_id=method_id, etag=etag)
    return await shop.shipping.ArchiveShippingMethod(request, metadata=admin.metadata)


async def zone_names(shop: Shop, admin: Person, size: int = 100, **fields: Any) -> list[str]:
    return [zone.name for zone in await every(shop.shipping.ListShippingZones, ListShippingZonesRequest, admin, size, **fields)]


async def method_names(shop: Shop, admin: Person, size: int = 100, **fields: Any) -> list[str]:
    return [method.name for method in await every(shop.shipping.ListShippingMethods, ListShippingMethodsRequest, admin, size, **fields)]


async def rows(shop: Shop) -> tuple[int, ...]:
    """Return the numbers of zones, areas, methods and rates, and the version of the rules."""
    return *(await shop.pool.fetchrow(ROWS) or ()), await shop.pool.fetchval(VERSION)
