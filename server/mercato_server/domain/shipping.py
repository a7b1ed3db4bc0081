"""Delivery: zones, methods, and what the delivery of goods costs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.postal_prefixes import normal_prefix


class Destination(NamedTuple):
    """The place that goods go to, or that a sale is taxed in. The postal code is in its normal form."""

    country_code: str
    region: str = ""
    postal_code: str = ""


class Area(NamedTuple):
    """A country, one of its regions, or its postal codes that begin with a prefix. A prefix may end in a space: the whole district."""

    country_code: str
    region: str = ""
    postal_prefix: str = ""


class Zone(NamedTuple):
    """Areas in which deliveries cost the same. An area belongs to one zone."""

    id: UUID
    name: str
    areas: tuple[Area, ...]


class RateBasis(OpenEnum):
    """The measure of goods by which their delivery is priced; the values are those of the database."""

    WEIGHT = "weight"
    """Grams."""
    SUBTOTAL = "subtotal"
    """Minor units of the shop's currency."""
    UNKNOWN = "unknown"
    """A measure of a later release: it is read, and never written. A rate by it delivers nothing."""


class Tier(NamedTuple):
    """The price of a delivery from a measure on, up to before the next tier."""

    start: int
    price_minor: int


class ShippingRate(NamedTuple):
    """The prices of a method in a zone. Goods below the first tier, or from `end` on, are not delivered by the method."""

    basis: RateBasis
    tiers: tuple[Tier, ...]
    """In ascending order of their starts."""
    end: int | None = None
    free_from_minor: int | None = None
    """The subtotal from which the delivery costs nothing."""

    def price_minor(self, weight_grams: int, subtotal_minor: int) -> int | None:
        """Return the price, or None if the method does not deliver such goods."""
        measure = weight_grams if self.basis is RateBasis.WEIGHT else subtotal_minor
        reached = [tier for tier in self.tiers if tier.start <= measure]
        if not reached or (self.end is not None and measure >= self.end) or self.basis is RateBasis.UNKNOWN:
            return None
        return 0 if self.free_from_minor is not None and subtotal_minor >= self.free_from_minor else reached[-1].price_minor


class ShippingMethod(NamedTuple):
    """A way of delivery, with its rates by zone. An empty tax category bears no tax."""

    id: UUID
    name: str
    tax_category: str
    rates: Mapping[UUID, ShippingRate]


class ShippingTable:
    """The methods of a shop, in the order in which buyers see them."""

    def __init__(self, zones: Iterable[Zone] = (), methods: Sequence[ShippingMethod] = ()) -> None:
        self.methods = {method.id: method for method in methods}
        self._zones = {_normal(area): zone.id for zone in zones for area in zone.areas}
        self._longest_prefixes: dict[str, int] = {}
        for country_code, _, prefix in self._zones:
            self._longest_prefixes[country_code] = max(len(prefix), self._longest_prefixes.get(country_code, 0))

    def price_minor(self, method_id: UUID, destination: Destination, weight_grams: int, subtotal_minor: int) -> int | None:
        """Return the price of a delivery, or None if the method does not deliver such goods there."""
        method, zone_id = self.methods.get(method_id), self._zone_id(destination)
        rate = method.rates.get(zone_id) if method and zone_id else None
        return rate.price_minor(weight_grams, subtotal_minor) if rate else None

    def _zone_id(self, destination: Destination) -> UUID | None:
        """Return the zone of a place: the longest postal prefix wins, then the region, then the country."""
        country_code, region, postal_code = destination
        if longest := self._longest_prefixes.get(country_code, 0):
            # Prefix and code have their marks in the same places. A code that is a district itself ends like "SW1 ".
            code = f"{normal_prefix(country_code, postal_code) or postal_code} "
            for length in range(min(longest, len(code)), 0, -1):
                if zone_id := self._zones.get(Area(country_code, "", code[:length])):
                    return zone_id
        by_region = self._zones.get(Area(country_code, region)) if region else None
        return by_region or self._zones.get(Area(country_code))


def _normal(area: Area) -> Area:
    """Return an area with its prefix in the form in which codes are compared."""
    return area._replace(postal_prefix=normal_prefix(area.country_code, area.postal_prefix) or area.postal_prefix)
