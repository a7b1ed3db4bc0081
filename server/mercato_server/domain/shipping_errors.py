"""The refusals of changes to zones and methods of delivery."""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError, NotFound
from mercato_server.domain.messages import LISTED_MAX
from mercato_server.domain.shipping import Area


class ShippingZoneNotFound(NotFound):
    """No shipping zone has this id."""

    reason, resource_type, noun = "SHIPPING_ZONE_NOT_FOUND", "mercato.v1.ShippingZone", "shipping zone"


class ShippingMethodNotFound(NotFound):
    """No shipping method has this id."""

    reason, resource_type, noun = "SHIPPING_METHOD_NOT_FOUND", "mercato.v1.ShippingMethod", "shipping method"


class ShippingAreaTaken(MercatoError):
    """Another zone has the area."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "SHIPPING_AREA_TAKEN", "mercato.v1.ShippingZone"

    def __init__(self, area: Area, zone_id: UUID) -> None:
        super().__init__(
            "the area {country_code}, region {region!r}, postal prefix {postal_prefix!r} belongs to the shipping zone {shipping_zone_id}",
            resource=str(zone_id),
            country_code=area.country_code,
            region=area.region,
            postal_prefix=area.postal_prefix,
            shipping_zone_id=str(zone_id),
        )


class ShippingZoneInUse(MercatoError):
    """Methods that are not archived have rates for the zone."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_ZONE_IN_USE"

    def __init__(self, method_ids: Sequence[UUID]) -> None:
        super().__init__(
            "{count} shipping methods have rates for this zone; change or archive them first: {shipping_method_ids}",
            count=len(method_ids),
            shipping_method_ids=", ".join(map(str, method_ids[:LISTED_MAX])),
        )


class ShippingZoneArchived(MercatoError):
    """The zone is archived: it does not change, and gets no rates."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_ZONE_ARCHIVED"

    def __init__(self, zone_id: UUID) -> None:
        super().__init__("the shipping zone {shipping_zone_id} is archived; create another one", shipping_zone_id=str(zone_id))


class ShippingMethodArchived(MercatoError):
    """The method is archived: it does not change."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_METHOD_ARCHIVED"

    def __init__(self, method_id: UUID) -> None:
        super().__init__("the shipping method {shipping_method_id} is archived; create another one", shipping_method_id=str(method_id))


class ShippingZoneLimit(MercatoError):
    """The shop has as many zones as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_ZONE_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__("a shop may have {limit} shipping zones; archive one first", limit=limit)


class ShippingAreaLimit(MercatoError):
    """The zones of the shop would have more areas together than they may have."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_AREA_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__("the shipping zones of a shop may have {limit} areas together; use shorter postal prefixes", limit=limit)


class ShippingMethodLimit(MercatoError):
    """The shop has as many methods as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_METHOD_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__("a shop may have {limit} shipping methods; archive one first", limit=limit)


class ShippingTierLimit(MercatoError):
    """The methods of the shop would have more tiers together than they may have."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_TIER_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__("the shipping methods of a shop may have {limit} tiers together; use fewer", limit=limit)
