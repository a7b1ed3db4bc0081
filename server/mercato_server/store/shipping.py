"""The zones and methods of delivery: their form in rows, and the reading of all of them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.shipping import Area, RateBasis, ShippingMethod, ShippingRate, Tier, Zone

AREAS = """
(SELECT json_agg(json_build_array(area.country_code, area.region, area.postal_prefix))
   FROM shipping_areas AS area
  WHERE area.zone_id = zone.id)
"""

RATES = """
(SELECT json_agg(json_build_array(rate.zone_id, rate.basis, rate.starts, rate.prices_minor, rate.ends_before, rate.free_from_minor))
   FROM shipping_rates AS rate
  WHERE rate.method_id = method.id)
"""

# One statement, so that both lists are of one snapshot.
LOAD = f"""
SELECT (SELECT json_agg(json_build_array(zone.id, zone.name, {AREAS}))
          FROM shipping_zones AS zone
         WHERE zone.archived_at IS NULL) AS zones,
       (SELECT json_agg(json_build_array(method.id, method.name, method.tax_category, {RATES}) ORDER BY method.position, method.id)
          FROM shipping_methods AS method
         WHERE method.archived_at IS NULL) AS methods
"""  # noqa: S608 - constants


async def load(conn: "Conn") -> tuple[list[Zone], list[ShippingMethod]]:
    """Return the zones and methods that are not archived, methods in the order in which buyers see them."""
    row = await conn.fetchrow(LOAD)
    zones, methods = (json.loads(column or "[]") for column in row or ())
    return (
        [Zone(UUID(zone_id), name, areas_of(areas)) for zone_id, name, areas in zones],
        [ShippingMethod(UUID(method_id), name, category, rates_of(rates)) for method_id, name, category, rates in methods],
    )


def areas_of(found: Iterable[Any] | None) -> tuple[Area, ...]:
    """Return the areas of a zone, as AREAS has them, in their own order."""
    return tuple(sorted(Area(*area) for area in found or ()))


def rates_of(found: Iterable[Any] | None) -> Mapping[UUID, ShippingRate]:
    """Return the rates of a method, as RATES has them, in the order in which their zones were created."""
    rates = {UUID(zone_id): _rate(*values) for zone_id, *values in found or ()}
    return {zone_id: rates[zone_id] for zone_id in sorted(rates)}


def _rate(basis: str, starts: list[int], prices_minor: list[int], end: int | None, free_from_minor: int | None) -> ShippingRate:
    return ShippingRate(RateBasis(basis), tuple(map(Tier, starts, prices_minor)), end, free_from_minor)
