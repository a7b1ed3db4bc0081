"""Zones and methods of delivery as administrators keep them, and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.shipping import Area, ShippingMethod, ShippingRate, Zone

SHIPPING_NAME_MAX = 100
SHIPPING_DESCRIPTION_MAX = 1_000
POSITION_MAX = 1_000_000
MEASURE_MAX = 10**12
"""The highest start or end of a tier, in grams or minor units."""
ZONE_AREAS_MAX = 500
METHOD_RATES_MAX = 200
RATE_TIERS_MAX = 50

# Each worker keeps all zones and methods that are not archived in memory.
ZONES_MAX = 200
AREAS_MAX = 2_000
"""Areas of all zones together."""
METHODS_MAX = 100
TIERS_MAX = 50_000
"""Tiers of all methods together."""


class ZoneRecord(NamedTuple):
    """A zone as stored, with its areas in their own order."""

    zone: Zone
    version: int
    """The number of writes to the zone."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the zone."""
        return f"{self.version:x}"


class MethodRecord(NamedTuple):
    """A method as stored, with its rates by the ids of their zones."""

    method: ShippingMethod
    description: str
    position: int
    """Its place in lists: methods with lower numbers come first."""
    version: int
    """The number of writes to the method."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the method."""
        return f"{self.version:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneDraft:
    """The writable part of a zone; None leaves a field as it is."""

    name: str | None = None
    areas: tuple[Area, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDraft:
    """The writable part of a method; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    position: int | None = None
    tax_category: str | None = None
    rates: Mapping[UUID, ShippingRate] | None = None

    @property
    def tiers(self) -> int:
        """The number of tiers of its rates."""
        return sum(len(rate.tiers) for rate in (self.rates or {}).values())
