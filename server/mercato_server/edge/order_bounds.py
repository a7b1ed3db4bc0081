"""Formats and bounds of the fields of PaymentService and FulfillmentService, which bounds.py includes."""

from collections.abc import Mapping
from typing import Any

from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX
from mercato_server.domain.fulfillment_rules import CARRIER_MAX, TRACKING_NUMBER_MAX, TRACKING_URL_MAX
from mercato_server.domain.orders import REASON_MAX
from mercato_server.handlers.payments import PROVIDER_MAX
from mercato_server.rpc.preconditions import ETAG_MAX

Bounds = Mapping[str, dict[str, Any]]

_IDS = (
    *("CancelOrderItemsRequest.order_id", "CancelPaymentRequest.order_id", "CancelPaymentRequest.payment_id"),
    *("CancelShipmentRequest.order_id", "CancelShipmentRequest.shipment_id"),
    *("CapturePaymentRequest.order_id", "CapturePaymentRequest.payment_id"),
    *("CreatePaymentRequest.order_id", "CreateRefundRequest.order_id", "CreateReturnRequest.order_id", "CreateShipmentRequest.order_id"),
    *("DeliverShipmentRequest.order_id", "DeliverShipmentRequest.shipment_id"),
    *("Dispute.id", "Dispute.order_id", "Dispute.payment_id"),
    *("GetPaymentRequest.order_id", "GetPaymentRequest.payment_id", "GetShipmentRequest.order_id", "GetShipmentRequest.shipment_id"),
    *("ListPaymentsRequest.order_id", "ListRefundsRequest.order_id", "ListReturnsRequest.order_id", "ListShipmentsRequest.order_id"),
    *("OrderUnits.product_id", "Payment.id", "Payment.order_id", "PaymentEvent.id"),
    *("PaymentRequest.id", "PaymentRequest.order_id", "PaymentRequest.payment_id"),
    *("Refund.id", "Refund.order_id", "Refund.payment_id", "RefundLine.product_id"),
    *("ResolvePaymentEventRequest.payment_event_id", "Return.id", "Return.order_id"),
    *("ShipShipmentRequest.order_id", "ShipShipmentRequest.shipment_id", "Shipment.id", "Shipment.order_id"),
)
_ETAGS = (
    *("CancelOrderItems", "CancelShipment", "CreatePayment", "CreateRefund", "CreateReturn", "CreateShipment", "DeliverShipment"),
    "ShipShipment",
)
_REASONS = ("CancelOrderItems", "CreateRefund", "CreateReturn")
_LISTS = (
    *("ListAllPayments", "ListAllRefunds", "ListDisputes", "ListPaymentEvents", "ListPaymentRequests", "ListPayments", "ListRefunds"),
    *("ListReturns", "ListShipments"),
)
_PARCELS = ("CreateShipment", "ShipShipment")
_ID_OR_EMPTY = {"pattern": "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$"}
_LINE = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
_UNITS = {"minimum": 1, "maximum": LINE_QUANTITY_MAX}

FORMATS: Bounds = {
    **{name: {"format": "uuid"} for name in _IDS},
    "CreateRefundRequest.payment_id": _ID_OR_EMPTY,
    "PaymentEvent.event_id": {"pattern": "^[!-~]{1,300}$"},
    "PaymentRequest.refund_id": _ID_OR_EMPTY,
}
"""Formats of requests and responses."""

BOUNDS: Bounds = {
    **{f"{name}Request.etag": {"maxLength": ETAG_MAX} for name in _ETAGS},
    **{f"{name}Request.reason": {"maxLength": REASON_MAX} for name in _REASONS},
    **{f"{name}Request.page_size": {"minimum": 0} for name in _LISTS},
    **{f"{name}Request.carrier": {"maxLength": CARRIER_MAX, "pattern": _LINE} for name in _PARCELS},
    **{f"{name}Request.tracking_number": {"maxLength": TRACKING_NUMBER_MAX, "pattern": _LINE} for name in _PARCELS},
    **{f"{name}Request.tracking_url": {"maxLength": TRACKING_URL_MAX, "format": "uri"} for name in _PARCELS},
    "CancelOrderItemsRequest.lines": {"minItems": 1, "maxItems": LINES_MAX},
    "CreateRefundRequest.lines": {"maxItems": LINES_MAX},
    "CreateReturnRequest.lines": {"minItems": 1, "maxItems": LINES_MAX},
    "CreateShipmentRequest.lines": {"maxItems": LINES_MAX},
    "HandlePaymentEventRequest.provider": {"maxLength": PROVIDER_MAX},
    "OrderUnits.quantity": _UNITS,
    "RefundLine.quantity": _UNITS,
}
"""Bounds of requests."""
