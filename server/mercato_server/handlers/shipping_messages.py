"""Messages of ShippingService: the checks of requests, and the conversion of zones and methods."""

from collections.abc import Collection, Sequence
from uuid import UUID

from mercato.v1 import shipping_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.domain import postal_rules
from mercato_server.domain.postal_prefixes import normal_prefix
from mercato_server.domain.shipping import Area, RateBasis, ShippingRate, Tier
from mercato_server.domain.shipping_records import (
    MEASURE_MAX,
    METHOD_RATES_MAX,
    POSITION_MAX,
    RATE_TIERS_MAX,
    SHIPPING_DESCRIPTION_MAX,
    SHIPPING_NAME_MAX,
    ZONE_AREAS_MAX,
    MethodDraft,
    MethodRecord,
    ZoneDraft,
    ZoneRecord,
)
from mercato_server.domain.taxes import TAX_CATEGORY_MAX
from mercato_server.handlers.convert import optional_timestamp, timestamp
from mercato_server.validation.checks import Checks

ZONE_FIELDS = ("name", "areas")
"""Fields of a zone that callers may change."""
METHOD_FIELDS = ("name", "description", "position", "tax_category", "rates")
"""Fields of a method that callers may change."""
BASES = {
    shipping_pb2.SHIPPING_RATE_BASIS_WEIGHT: RateBasis.WEIGHT,
    shipping_pb2.SHIPPING_RATE_BASIS_SUBTOTAL: RateBasis.SUBTOTAL,
}
NUMBERS = {RateBasis.UNKNOWN: shipping_pb2.SHIPPING_RATE_BASIS_UNSPECIFIED} | {basis: number for number, basis in BASES.items()}


def zone(found: ZoneRecord) -> shipping_pb2.ShippingZone:
    """Return a zone."""
    return shipping_pb2.ShippingZone(
        id=str(found.zone.id),
        name=found.zone.name,
        areas=[shipping_pb2.ShippingArea(**area._asdict()) for area in found.zone.areas],
        etag=found.etag,
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        archive_time=optional_timestamp(found.archived_at),
    )


def method(found: MethodRecord, currency: str) -> shipping_pb2.ShippingMethod:
    """Return a method, with prices in the shop's currency."""
    return shipping_pb2.ShippingMethod(
        id=str(found.method.id),
        name=found.method.name,
        description=found.description,
        position=found.position,
        tax_category=found.method.tax_category,
        rates=[_rate_message(zone_id, rate, currency) for zone_id, rate in found.method.rates.items()],
        etag=found.etag,
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        archive_time=optional_timestamp(found.archived_at),
    )


def _rate_message(zone_id: UUID, rate: ShippingRate, currency: str) -> shipping_pb2.ShippingRate:
    free_from = None if rate.free_from_minor is None else Money(currency_code=currency, minor_units=rate.free_from_minor)
    message = shipping_pb2.ShippingRate(shipping_zone_id=str(zone_id), basis=NUMBERS[rate.basis], end=rate.end, free_from=free_from)
    for tier in rate.tiers:
        price = message.tiers.add(start=tier.start).price
        price.currency_code, price.minor_units = currency, tier.price_minor
    return message


def zone_draft(check: Checks, wanted: shipping_pb2.ShippingZone, fields: Collection[str]) -> ZoneDraft:
    """Check the writable fields of a zone; fields that are not in `fields` stay as they are."""
    return ZoneDraft(
        name=check.line("shipping_zone.name", wanted.name, shortest=1, longest=SHIPPING_NAME_MAX) if "name" in fields else None,
        areas=_areas(check, "shipping_zone.areas", wanted.areas) if "areas" in fields else None,
    )


def method_draft(check: Checks, wanted: shipping_pb2.ShippingMethod, fields: Collection[str], currency: str) -> MethodDraft:
    """Check the writable fields of a method; fields that are not in `fields` stay as they are."""
    description = check.text("shipping_method.description", wanted.description, longest=SHIPPING_DESCRIPTION_MAX)
    position = check.between("shipping_method.position", wanted.position, 0, POSITION_MAX)
    category = check.code("shipping_method.tax_category", wanted.tax_category, longest=TAX_CATEGORY_MAX)
    return MethodDraft(
        name=check.line("shipping_method.name", wanted.name, shortest=1, longest=SHIPPING_NAME_MAX) if "name" in fields else None,
        description=description if "description" in fields else None,
        position=position if "position" in fields else None,
        tax_category=category if "tax_category" in fields else None,
        rates=_rates(check, "shipping_method.rates", wanted.rates, currency) if "rates" in fields else None,
    )


def _is_sized(check: Checks, field: str, entries: Sequence[object], most: int) -> bool:
    """Check that a list has 1 to `most` entries; return whether it has no more."""
    if not 1 <= len(entries) <= most:
        check.fail(field, "must have 1 to {most} entries", most=most)
    return len(entries) <= most


def _areas(check: Checks, field: str, wanted: Sequence[shipping_pb2.ShippingArea]) -> tuple[Area, ...]:
    found: dict[Area, int] = {}
    for index, message in enumerate(wanted if _is_sized(check, field, wanted, ZONE_AREAS_MAX) else ()):
        area = _area(check, f"{field}[{index}]", message)
        if (first := found.setdefault(area, index)) != index:
            check.fail(f"{field}[{index}]", "is the same area as entry {first}", first=first)
    return tuple(found)


def _area(check: Checks, field: str, wanted: shipping_pb2.ShippingArea) -> Area:
    code = wanted.country_code.strip()
    code = code.upper() if code.isascii() else code
    if postal_rules.rules(code) is None:
        check.fail(f"{field}.country_code", "must be the ISO 3166-1 code of a country, such as DE")
        return Area(wanted.country_code, wanted.region, wanted.postal_prefix)
    if wanted.region and wanted.postal_prefix:
        check.fail(f"{field}.postal_prefix", "must be empty, since the area has a region")
    region = _region(check, f"{field}.region", wanted.region, code) if wanted.region else ""
    prefix = _prefix(check, f"{field}.postal_prefix", wanted.postal_prefix, code) if wanted.postal_prefix else ""
    return Area(code, region, prefix)


def _region(check: Checks, field: str, wanted: str, country_code: str) -> str:
    """Return a region in the form that addresses have."""
    regions = postal_rules.regions(country_code)
    region = regions.get(postal_rules.folded(wanted))
    if region is None and regions:
        example = next(iter(regions.values()))
        check.fail(field, "must be a region of {country_code}, such as {example}", country_code=country_code, example=example)
    elif region is None:
        check.fail(field, "must be empty: addresses in {country_code} name no region from a list", country_code=country_code)
    return region or wanted


def _prefix(check: Checks, field: str, wanted: str, country_code: str) -> str:
    """Return a postal prefix in the form that is stored. A space at its end means something, so it stays."""
    prefix = normal_prefix(country_code, wanted)
    if prefix is None and (example := postal_rules.example_code(country_code)):
        check.fail(field, "must begin postal codes of {country_code}, such as {example}", country_code=country_code, example=example)
    elif prefix is None:
        check.fail(field, "must be empty: {country_code} has no such postal codes", country_code=country_code)
    return prefix or wanted


def _rates(check: Checks, field: str, wanted: Sequence[shipping_pb2.ShippingRate], currency: str) -> dict[UUID, ShippingRate]:
    found: dict[UUID, ShippingRate] = {}
    for index, message in enumerate(wanted if _is_sized(check, field, wanted, METHOD_RATES_MAX) else ()):
        zone_id = check.uuid(f"{field}[{index}].shipping_zone_id", message.shipping_zone_id)
        if zone_id in found:
            check.fail(f"{field}[{index}].shipping_zone_id", "has a rate already; a method has one rate for each zone")
        found[zone_id] = _rate(check, f"{field}[{index}]", message, currency)
    return found


def _rate(check: Checks, field: str, wanted: shipping_pb2.ShippingRate, currency: str) -> ShippingRate:
    if wanted.basis not in BASES:
        check.fail(f"{field}.basis", "must be SHIPPING_RATE_BASIS_WEIGHT or SHIPPING_RATE_BASIS_SUBTOTAL")
    tiers = _tiers(check, f"{field}.tiers", wanted.tiers, currency)
    end = check.between(f"{field}.end", wanted.end, 0, MEASURE_MAX) if wanted.HasField("end") else None
    if end is not None and tiers and end <= tiers[-1].start:
        check.fail(f"{field}.end", "must be above {start}, the start of the last tier", start=tiers[-1].start)
    free_from = check.money(f"{field}.free_from", wanted.free_from, currency) if wanted.HasField("free_from") else None
    return ShippingRate(BASES.get(wanted.basis, RateBasis.WEIGHT), tiers, end, free_from)


def _tiers(check: Checks, field: str, wanted: Sequence[shipping_pb2.ShippingTier], currency: str) -> tuple[Tier, ...]:
    found: list[Tier] = []
    for index, message in enumerate(wanted if _is_sized(check, field, wanted, RATE_TIERS_MAX) else ()):
        start = check.between(f"{field}[{index}].start", message.start, 0, MEASURE_MAX)
        if found and start <= found[-1].start:
            check.fail(f"{field}[{index}].start", "must be above {start}, the start of the tier before", start=found[-1].start)
        is_priced = check.present(message, "price", f"{field}[{index}].price")
        found.append(Tier(start, check.money(f"{field}[{index}].price", message.price, currency) if is_priced else 0))
    return tuple(found)
