"""The refusals of payments, refunds and shipments."""

from uuid import UUID

from mercato_server.domain import money
from mercato_server.domain.errors import Code, MercatoError, NotFound


class PaymentNotFound(NotFound):
    """The order has no payment with this id."""

    reason, resource_type, noun = "PAYMENT_NOT_FOUND", "mercato.v1.Payment", "payment"


class ShipmentNotFound(NotFound):
    """The order has no shipment with this id."""

    reason, resource_type, noun = "SHIPMENT_NOT_FOUND", "mercato.v1.Shipment", "shipment"


class PaymentEventNotFound(NotFound):
    """No quarantined event has this id."""

    reason, resource_type, noun = "PAYMENT_EVENT_NOT_FOUND", "mercato.v1.PaymentEvent", "quarantined event"


class WrongPaymentState(MercatoError):
    """The payments of the order, or its units, do not allow the call; the message says why."""

    code, reason = Code.FAILED_PRECONDITION, "PAYMENT_STATE"


class CaptureRefused(WrongPaymentState):
    """The provider did not capture the payment of a shipment; the failure is its code, if it has told one."""

    def __init__(self, failure: str) -> None:
        super().__init__("the provider has not captured the payment: {failure}", failure=failure or "it has lapsed")


class PaymentsPaused(MercatoError):
    """The shop asks its provider for no money, because it may have forgotten payments; an operator must compare both first."""

    code, reason = Code.FAILED_PRECONDITION, "PAYMENTS_PAUSED"

    def __init__(self) -> None:
        super().__init__("the shop was restored from a backup, and takes no payments until they were compared with its provider's")


class PaymentAmount(MercatoError):
    """The provider cannot charge this amount in this currency; an administrator can record a payment that comes in another way."""

    code, reason = Code.FAILED_PRECONDITION, "PAYMENT_AMOUNT"

    def __init__(self, amount_minor: int, currency_code: str, detail: str) -> None:
        super().__init__(
            "{amount} cannot be paid online: {detail}",
            amount=money.amount(amount_minor, currency_code),
            detail=detail,
            minor_units=amount_minor,
            currency_code=currency_code,
        )


class RefundExceeds(MercatoError):
    """The refund is more than the shop has left of the payment."""

    code, reason = Code.FAILED_PRECONDITION, "REFUND_EXCEEDS"

    def __init__(self, wanted_minor: int, left_minor: int) -> None:
        super().__init__("{wanted} minor units exceed the {left} that are left to refund", wanted=wanted_minor, left=left_minor)


class UnitsExceed(MercatoError):
    """The order has fewer units of a product in the state that the call needs."""

    code, reason = Code.FAILED_PRECONDITION, "UNITS_EXCEED"

    def __init__(self, product_id: UUID, wanted: int, left: int) -> None:
        super().__init__(
            "the order has {left} such units of the product {product_id}, not {wanted}",
            product_id=str(product_id),
            wanted=wanted,
            left=left,
        )


class WrongShipmentState(MercatoError):
    """The state of the shipment does not allow the call."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPMENT_STATE"

    def __init__(self, shipment_id: UUID, state: str) -> None:
        super().__init__("the shipment {shipment_id} is {state}", shipment_id=str(shipment_id), state=state)


class ShipmentLimit(MercatoError):
    """The order has as many shipments as it may have, cancelled ones too."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPMENT_LIMIT"

    def __init__(self, shipments_max: int) -> None:
        super().__init__("an order may have {limit} shipments", limit=shipments_max)


class PaymentProviderUnavailable(MercatoError):
    """The provider did not answer in time. The request is kept, and a worker repeats it; a retry with the same key continues it."""

    code, reason = Code.UNAVAILABLE, "PAYMENT_PROVIDER_UNAVAILABLE"
    retry_after_s = 2.0

    def __init__(self) -> None:
        super().__init__("the payment provider does not answer; try again with the same idempotency key")


class WebhookInvalid(MercatoError):
    """The request is not an authentic event of the provider."""

    code, reason = Code.INVALID_ARGUMENT, "WEBHOOK_INVALID"
    security_event = reason

    def __init__(self, detail: str) -> None:
        super().__init__("not an event of the provider: {detail}", detail=detail)
