"""The RPCs of FulfillmentService."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from mercato.v1 import fulfillment_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.fulfillment_rules import CARRIER_MAX, TRACKING_NUMBER_MAX, TRACKING_URL_MAX, Parcel
from mercato_server.domain.order_books import OrderReturn, OrderShipment, ShipmentState
from mercato_server.domain.orders import REASON_MAX
from mercato_server.domain.payment_errors import CaptureRefused
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.order import Settle
from mercato_server.handlers.order_rights import OrderRights
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import ETAG_MAX
from mercato_server.security.session_cache import Sessions
from mercato_server.store import order_lists, returns, shipments
from mercato_server.store.idempotency import Stored
from mercato_server.store.returns import UnitsStep
from mercato_server.store.shipments import NewShipment, ShipmentStep
from mercato_server.validation import units
from mercato_server.validation.checks import Checks

STATES = {
    state: fulfillment_pb2.SHIPMENT_STATE_UNSPECIFIED
    if state is ShipmentState.UNKNOWN
    else fulfillment_pb2.ShipmentState.Value(f"SHIPMENT_STATE_{state.name}")
    for state in ShipmentState
}

REFUSED = (ShipmentState.PREPARED, ShipmentState.CANCELLED)
"""The states of a shipment whose payment the provider did not capture; CANCELLED after the end of an authorisation."""


class FulfillmentHandler:
    """Ships the units of orders, takes them back, and cancels those that were not shipped."""

    def __init__(self, pool: "Pool", known: Sessions, pager: Pager, keys: Idempotency, settle: Settle | None = None) -> None:
        """Create the handler; without `settle` the shop has no payment provider, so that no request waits for one."""
        self._pool = pool
        self._rights = OrderRights(pool, known)
        self._pager = pager
        self._idempotency = keys
        self._settle = settle

    async def CreateShipment(self, request: fulfillment_pb2.CreateShipmentRequest, context: Context) -> Answer:
        """Prepare a shipment."""
        with Checks() as check:
            new = NewShipment(
                order_id=check.uuid("order_id", request.order_id),
                units=units.units(check, request.lines),
                parcel=_parcel(check, request),
                actor=context.actor,
                etag=check.text("etag", request.etag, longest=ETAG_MAX),
            )
        key = self._idempotency.key(context, request, _shipment)
        return answer(context, await shipments.create(self._pool, new, key), _shipment)

    async def ListShipments(self, request: fulfillment_pb2.ListShipmentsRequest, context: Context) -> Answer:
        """List the shipments of an order."""
        with Checks() as check:
            self._pager.check(check, request)
            order_id = check.uuid("order_id", request.order_id)
        query = f"shipments of {order_id}"
        page = self._pager.page(request, query)
        await self._rights.require(context, order_id)
        return await self._pager.answer(
            page,
            query,
            lambda page: shipments.shipments(self._pool, order_id, page),
            _shipment,
            fulfillment_pb2.ListShipmentsResponse,
        )

    async def GetShipment(self, request: fulfillment_pb2.GetShipmentRequest, context: Context) -> fulfillment_pb2.Shipment:
        """Return a shipment of an order."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            shipment_id = check.uuid("shipment_id", request.shipment_id)
        await self._rights.require(context, order_id)
        return _shipment(await shipments.get(self._pool, order_id, shipment_id))

    async def ShipShipment(self, request: fulfillment_pb2.ShipShipmentRequest, context: Context) -> Answer:
        """Let a shipment leave, once its payment is captured."""
        with Checks() as check:
            step = _step(check, request, context, _parcel(check, request))
        key = self._idempotency.key(context, request, _shipment)
        shipped = await shipments.ship(self._pool, step, key)
        if self._settle:
            await self._settle(step.order_id)
        if isinstance(shipped, Stored) or shipped.shipment.state is not ShipmentState.CAPTURING:
            return answer(context, shipped, _shipment)
        now = await shipments.get(self._pool, step.order_id, step.shipment_id)
        if now.shipment.state in REFUSED:
            raise CaptureRefused(now.shipment.failure)
        return _shipment(now)

    async def DeliverShipment(self, request: fulfillment_pb2.DeliverShipmentRequest, context: Context) -> Answer:
        """Note that a shipment has arrived."""
        with Checks() as check:
            step = _step(check, request, context, Parcel())
        key = self._idempotency.key(context, request, _shipment)
        return answer(context, await shipments.deliver(self._pool, step, key), _shipment)

    async def CancelShipment(self, request: fulfillment_pb2.CancelShipmentRequest, context: Context) -> Answer:
        """Cancel a shipment that has not left."""
        with Checks() as check:
            step = _step(check, request, context, Parcel())
        key = self._idempotency.key(context, request, _shipment)
        return answer(context, await shipments.cancel(self._pool, step, key), _shipment)

    async def CreateReturn(self, request: fulfillment_pb2.CreateReturnRequest, context: Context) -> Answer:
        """Take units back."""
        with Checks() as check:
            step = _units_step(check, request, context)
        key = self._idempotency.key(context, request, _return)
        return answer(context, await returns.create(self._pool, step, key, restock=request.restock), _return)

    async def ListReturns(self, request: fulfillment_pb2.ListReturnsRequest, context: Context) -> Answer:
        """List the returns of an order."""
        with Checks() as check:
            self._pager.check(check, request)
            order_id = check.uuid("order_id", request.order_id)
        query = f"returns of {order_id}"
        page = self._pager.page(request, query)
        await self._rights.require(context, order_id)
        return await self._pager.answer(
            page, query, lambda page: returns.returns(self._pool, order_id, page), _return, fulfillment_pb2.ListReturnsResponse
        )

    async def CancelOrderItems(self, request: fulfillment_pb2.CancelOrderItemsRequest, context: Context) -> Answer:
        """Cancel units that were not shipped."""
        with Checks() as check:
            step = _units_step(check, request, context)
        key = self._idempotency.key(context, request, convert.order)
        cancelled = await returns.cancel_items(self._pool, step, key)
        if self._settle:
            await self._settle(step.order_id)
            if not isinstance(cancelled, Stored):
                cancelled = await order_lists.get(self._pool, step.order_id) or cancelled
        return answer(context, cancelled, convert.order)


class _AboutShipment(Protocol):
    order_id: str
    shipment_id: str
    etag: str


class _AboutUnits(Protocol):
    order_id: str
    reason: str
    etag: str

    @property
    def lines(self) -> Sequence[fulfillment_pb2.OrderUnits]: ...


class _AboutParcel(Protocol):
    carrier: str
    tracking_number: str
    tracking_url: str


def _step(check: Checks, request: _AboutShipment, context: Context, parcel: Parcel) -> ShipmentStep:
    return ShipmentStep(
        order_id=check.uuid("order_id", request.order_id),
        shipment_id=check.uuid("shipment_id", request.shipment_id),
        actor=context.actor,
        parcel=parcel,
        etag=check.text("etag", request.etag, longest=ETAG_MAX),
    )


def _units_step(check: Checks, request: _AboutUnits, context: Context) -> UnitsStep:
    if not request.lines:
        check.fail("lines", "must not be empty")
    return UnitsStep(
        order_id=check.uuid("order_id", request.order_id),
        units=units.units(check, request.lines),
        reason=check.text("reason", request.reason, longest=REASON_MAX),
        actor=context.actor,
        etag=check.text("etag", request.etag, longest=ETAG_MAX),
    )


def _parcel(check: Checks, request: _AboutParcel) -> Parcel:
    url = request.tracking_url
    return Parcel(
        carrier=check.line("carrier", request.carrier, longest=CARRIER_MAX),
        tracking_number=check.line("tracking_number", request.tracking_number, longest=TRACKING_NUMBER_MAX),
        tracking_url=check.http_url("tracking_url", url, longest=TRACKING_URL_MAX) if url else "",
    )


def _shipment(found: OrderShipment) -> fulfillment_pb2.Shipment:
    shipment = found.shipment
    return fulfillment_pb2.Shipment(
        id=str(shipment.id),
        order_id=str(found.order_id),
        state=STATES[shipment.state],
        lines=_lines(shipment.units),
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        tracking_url=shipment.tracking_url,
        failure=shipment.failure,
        create_time=convert.optional_timestamp(shipment.created_at),
        ship_time=convert.optional_timestamp(shipment.shipped_at),
        deliver_time=convert.optional_timestamp(shipment.delivered_at),
        order_etag=found.order_etag,
    )


def _return(found: OrderReturn) -> fulfillment_pb2.Return:
    made = found.made
    return fulfillment_pb2.Return(
        id=str(made.id),
        order_id=str(found.order_id),
        lines=_lines(made.units),
        restocked=made.restocked,
        reason=made.reason,
        create_time=convert.optional_timestamp(made.created_at),
        order_etag=found.order_etag,
    )


def _lines(units: Mapping[UUID, int]) -> list[fulfillment_pb2.OrderUnits]:
    return [fulfillment_pb2.OrderUnits(product_id=str(product_id), quantity=quantity) for product_id, quantity in sorted(units.items())]
