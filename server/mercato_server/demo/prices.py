"""The taxes, the delivery and the promotions of the demo shop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mercato_server.demo import category_id, fixed_id, read
from mercato_server.domain.promotion_codes import CodeDraft
from mercato_server.domain.promotion_drafts import PromotionDraft
from mercato_server.domain.promotions import PromotionKind, folded_code
from mercato_server.domain.shipping import Area, RateBasis, ShippingRate, Tier
from mercato_server.domain.shipping_records import MethodDraft, ZoneDraft
from mercato_server.domain.shop_settings import SettingsDraft
from mercato_server.domain.tax_rates import RateDraft
from mercato_server.domain.taxes import AS_GOODS


def zone_id(number: int) -> UUID:
    """Return the id of the zone with a number, from 0, in the file's order."""
    return fixed_id(3, number)


def method_id(number: int) -> UUID:
    """Return the id of the shipping method with a number, from 0, in the file's order."""
    return fixed_id(4, number)


def promotion_id(number: int) -> UUID:
    """Return the id of the promotion with a number, from 0, in the file's order."""
    return fixed_id(5, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPromotion:
    """A promotion, and the one code that it needs."""

    draft: PromotionDraft
    code: CodeDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPrices:
    """The writes of an administrator who sets up the prices. Zones, methods and promotions have the ids of their places."""

    settings: SettingsDraft
    tax_categories: Mapping[str, str]
    """Display names by code."""
    rates: tuple[RateDraft, ...]
    zones: tuple[ZoneDraft, ...]
    methods: tuple[MethodDraft, ...]
    promotions: tuple[DemoPromotion, ...]


def prices() -> DemoPrices:
    """Read the prices, each kind in the file's order."""
    shop = read("prices.toml")
    prefixes: list[str] = list(read("catalog.toml")["categories"])
    return DemoPrices(
        settings=SettingsDraft(**shop["shop"]),
        tax_categories=shop["tax_categories"],
        rates=tuple(_rate(taxes, category) for taxes in shop["taxes"] for category in shop["tax_categories"]),
        zones=tuple(ZoneDraft(name=zone["name"], areas=tuple(map(Area, zone["countries"]))) for zone in shop["zones"]),
        methods=tuple(_method(position, entry) for position, entry in enumerate(shop["methods"])),
        promotions=tuple(_promotion(entry, prefixes) for entry in shop["promotions"]),
    )


def _rate(taxes: Mapping[str, Any], category: str) -> RateDraft:
    return RateDraft(
        country_code=taxes["country_code"], category=category, name=taxes["name"], ppm=taxes[category], valid_from=taxes["since"]
    )


def _method(position: int, entry: Mapping[str, Any]) -> MethodDraft:
    """Return a method that is taxed like the goods in it, and priced by weight."""
    rates = {zone_id(number): _shipping_rate(rate) for number, rate in enumerate(entry["rates"])}
    return MethodDraft(name=entry["name"], description=entry["description"], position=position, tax_category=AS_GOODS, rates=rates)


def _shipping_rate(rate: Mapping[str, Any]) -> ShippingRate:
    return ShippingRate(RateBasis.WEIGHT, tuple(Tier(*tier) for tier in rate["tiers"]), rate.get("end"), rate.get("free_from"))


def _promotion(entry: Mapping[str, Any], prefixes: list[str]) -> DemoPromotion:
    fields = {**entry, "kind": PromotionKind(entry["kind"]), "needs_code": True}
    code = fields.pop("code")
    if prefix := fields.pop("category", None):
        fields["category_ids"] = (category_id(prefixes.index(prefix)),)
    return DemoPromotion(draft=PromotionDraft(**fields), code=CodeDraft(code, folded_code(code), None))
