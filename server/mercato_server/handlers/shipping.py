"""The RPCs of ShippingService."""

from mercato.v1 import shipping_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.shipping_records import MethodRecord
from mercato_server.handlers import shipping_messages
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.shipping_messages import METHOD_FIELDS, ZONE_FIELDS
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import shipping_methods, shipping_zones
from mercato_server.validation.checks import Checks


class ShippingHandler:
    """Reads and changes zones and methods of delivery."""

    def __init__(self, pool: "Pool", pager: Pager, idempotency: Idempotency, currency: str) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = idempotency
        self._currency = currency

    async def ListShippingZones(self, request: shipping_pb2.ListShippingZonesRequest, _context: Context) -> Answer:
        """List zones by name."""
        with Checks() as check:
            self._pager.check(check, request)
        archived = request.show_archived
        query = f"shipping zones by name keys of rule {RULE_VERSION}, archived: {archived}"
        return await self._pager.answer(
            self._pager.page(request, query),
            query,
            lambda page: shipping_zones.zones(self._pool, page, archived=archived),
            shipping_messages.zone,
            shipping_pb2.ListShippingZonesResponse,
        )

    async def GetShippingZone(self, request: shipping_pb2.GetShippingZoneRequest, _context: Context) -> shipping_pb2.ShippingZone:
        """Return a zone."""
        with Checks() as check:
            zone_id = check.uuid("shipping_zone_id", request.shipping_zone_id)
        return shipping_messages.zone(await shipping_zones.get(self._pool, zone_id))

    async def CreateShippingZone(self, request: shipping_pb2.CreateShippingZoneRequest, context: Context) -> Answer:
        """Create a zone."""
        with Checks() as check:
            draft = shipping_messages.zone_draft(check, request.shipping_zone, ZONE_FIELDS)
        key = self._idempotency.key(context, request, shipping_messages.zone)
        return answer(context, await shipping_zones.create(self._pool, draft, context.actor, key), shipping_messages.zone)

    async def UpdateShippingZone(self, request: shipping_pb2.UpdateShippingZoneRequest, context: Context) -> Answer:
        """Change a zone."""
        zone = request.shipping_zone
        with Checks() as check:
            zone_id = check.uuid("shipping_zone.id", zone.id)
            etags = expected_etags(check, context, "shipping_zone.etag", zone.etag)
            draft = shipping_messages.zone_draft(check, zone, masked(check, request.update_mask, zone, ZONE_FIELDS))
        key = self._idempotency.key(context, request, shipping_messages.zone)
        changed = await shipping_zones.update(self._pool, zone_id, draft, etags, context.actor, key)
        return answer(context, changed, shipping_messages.zone)

    async def ArchiveShippingZone(self, request: shipping_pb2.ArchiveShippingZoneRequest, context: Context) -> Answer:
        """Archive a zone."""
        with Checks() as check:
            zone_id = check.uuid("shipping_zone_id", request.shipping_zone_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, shipping_messages.zone)
        archived = await shipping_zones.archive(self._pool, zone_id, etags, context.actor, key)
        return answer(context, archived, shipping_messages.zone)

    async def ListShippingMethods(self, request: shipping_pb2.ListShippingMethodsRequest, _context: Context) -> Answer:
        """List methods in the order in which buyers see them."""
        with Checks() as check:
            self._pager.check(check, request)
        archived = request.show_archived
        query = f"shipping methods, archived: {archived}"
        return await self._pager.answer(
            self._pager.page(request, query),
            query,
            lambda page: shipping_methods.methods(self._pool, page, archived=archived),
            self._method,
            shipping_pb2.ListShippingMethodsResponse,
        )

    async def GetShippingMethod(self, request: shipping_pb2.GetShippingMethodRequest, _context: Context) -> shipping_pb2.ShippingMethod:
        """Return a method."""
        with Checks() as check:
            method_id = check.uuid("shipping_method_id", request.shipping_method_id)
        return self._method(await shipping_methods.get(self._pool, method_id))

    async def CreateShippingMethod(self, request: shipping_pb2.CreateShippingMethodRequest, context: Context) -> Answer:
        """Create a method."""
        with Checks() as check:
            draft = shipping_messages.method_draft(check, request.shipping_method, METHOD_FIELDS, self._currency)
        key = self._idempotency.key(context, request, self._method)
        return answer(context, await shipping_methods.create(self._pool, draft, context.actor, key), self._method)

    async def UpdateShippingMethod(self, request: shipping_pb2.UpdateShippingMethodRequest, context: Context) -> Answer:
        """Change a method."""
        method = request.shipping_method
        with Checks() as check:
            method_id = check.uuid("shipping_method.id", method.id)
            etags = expected_etags(check, context, "shipping_method.etag", method.etag)
            fields = masked(check, request.update_mask, method, METHOD_FIELDS)
            draft = shipping_messages.method_draft(check, method, fields, self._currency)
        key = self._idempotency.key(context, request, self._method)
        changed = await shipping_methods.update(self._pool, method_id, draft, etags, context.actor, key)
        return answer(context, changed, self._method)

    async def ArchiveShippingMethod(self, request: shipping_pb2.ArchiveShippingMethodRequest, context: Context) -> Answer:
        """Archive a method."""
        with Checks() as check:
            method_id = check.uuid("shipping_method_id", request.shipping_method_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, self._method)
        return answer(context, await shipping_methods.archive(self._pool, method_id, etags, context.actor, key), self._method)

    def _method(self, found: MethodRecord) -> shipping_pb2.ShippingMethod:
        return shipping_messages.method(found, self._currency)
