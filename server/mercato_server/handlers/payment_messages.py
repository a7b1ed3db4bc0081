"""Conversion of payments, refunds and their records to messages, and of filters from them."""

from uuid import UUID

from mercato.v1 import payment_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.domain.payment_records import Dispute, DisputeStatus, ListedRefund, Opened, QuarantinedEvent, RequestRecord
from mercato_server.domain.payments import Payment, PaymentMethod, PaymentState, Refund, RefundState
from mercato_server.handlers.convert import optional_timestamp, timestamp

STATE_OF = {payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{state.name}"): state for state in PaymentState if state.name != "UNKNOWN"}
STATES = {state: number for number, state in STATE_OF.items()}
METHOD_OF = {payment_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{each.name}"): each for each in PaymentMethod if each.name != "UNKNOWN"}
METHODS = {method: number for number, method in METHOD_OF.items()}
REFUND_STATE_OF = {payment_pb2.RefundState.Value(f"REFUND_STATE_{each.name}"): each for each in RefundState if each.name != "UNKNOWN"}
REFUND_STATES = {state: number for number, state in REFUND_STATE_OF.items()}
DISPUTE_STATE_OF = {payment_pb2.DisputeState.Value(f"DISPUTE_STATE_{each.name}"): each for each in DisputeStatus if each.name != "UNKNOWN"}
DISPUTE_STATES = {state: number for number, state in DISPUTE_STATE_OF.items()}


def payment(found: Payment) -> payment_pb2.Payment:
    """Return a payment."""
    currency = found.currency_code
    return payment_pb2.Payment(
        id=str(found.id),
        order_id=str(found.order_id),
        provider=found.provider,
        method=METHODS.get(found.method, payment_pb2.PAYMENT_METHOD_UNSPECIFIED),
        state=STATES.get(found.state, payment_pb2.PAYMENT_STATE_UNSPECIFIED),
        amount=Money(currency_code=currency, minor_units=found.amount_minor),
        authorized=Money(currency_code=currency, minor_units=found.authorized_minor),
        captured=Money(currency_code=currency, minor_units=found.captured_minor),
        refunding=Money(currency_code=currency, minor_units=found.refunding_minor),
        refunded=Money(currency_code=currency, minor_units=found.refunded_minor),
        disputed=Money(currency_code=currency, minor_units=found.disputed_minor),
        lost=Money(currency_code=currency, minor_units=found.lost_minor),
        failure=found.failure,
        provider_ref=found.provider_ref or "",
        capture_before_time=optional_timestamp(found.capture_before if found.state is PaymentState.AUTHORIZED else None),
        create_time=optional_timestamp(found.created_at),
        update_time=optional_timestamp(found.updated_at),
    )


def opened(made: Opened) -> payment_pb2.CreatePaymentResponse:
    """Return a payment with its secret."""
    return payment_pb2.CreatePaymentResponse(
        payment=payment(made.payment), client_secret=made.client_secret, publishable_key=made.publishable_key
    )


def refund(found: ListedRefund) -> payment_pb2.Refund:
    """Return a refund."""
    made, currency = found.refund, found.currency_code
    message = payment_pb2.Refund(
        id=str(made.id),
        order_id=str(found.order_id),
        payment_id=str(made.payment_id),
        state=REFUND_STATES.get(made.state, payment_pb2.REFUND_STATE_UNSPECIFIED),
        amount=Money(currency_code=currency, minor_units=made.amount_minor),
        reason=made.reason,
        failure=made.failure,
        made_at_provider=not made.is_own,
        create_time=optional_timestamp(made.created_at),
        update_time=optional_timestamp(made.updated_at),
    )
    for line in made.lines:
        amount = Money(currency_code=currency, minor_units=line.amount_minor)
        message.lines.add(product_id=str(line.product_id), quantity=line.quantity, amount=amount)
    return message


def dispute(found: Dispute) -> payment_pb2.Dispute:
    """Return a dispute."""
    return payment_pb2.Dispute(
        id=str(found.id),
        order_id=str(found.order_id),
        payment_id=str(found.payment_id),
        state=DISPUTE_STATES.get(found.state, payment_pb2.DISPUTE_STATE_UNSPECIFIED),
        amount=Money(currency_code=found.currency_code, minor_units=found.amount_minor),
        withdrawn=Money(currency_code=found.currency_code, minor_units=found.withdrawn_minor),
        reason=found.reason,
        provider_ref=found.provider_ref,
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
    )


def request(found: RequestRecord) -> payment_pb2.PaymentRequest:
    """Return a request to a provider."""
    return payment_pb2.PaymentRequest(
        id=str(found.id),
        order_id=str(found.order_id),
        payment_id=str(found.payment_id),
        refund_id=str(found.refund_id or ""),
        provider=found.provider,
        kind=found.kind,
        amount=Money(currency_code=found.currency_code, minor_units=found.amount_minor),
        attempt=found.attempt,
        tries=found.tries,
        failure=found.code,
        outcome=found.outcome or "",
        create_time=timestamp(found.created_at),
        settle_time=optional_timestamp(found.settled_at),
    )


def event(found: QuarantinedEvent) -> payment_pb2.PaymentEvent:
    """Return a quarantined event."""
    return payment_pb2.PaymentEvent(
        id=str(found.id),
        provider=found.provider,
        event_id=found.event_id,
        kind=found.kind,
        provider_ref=found.provider_ref,
        failure=found.failure,
        happen_time=timestamp(found.happened_at),
        quarantine_time=optional_timestamp(found.quarantined_at),
        resolve_time=optional_timestamp(found.resolved_at),
    )


def listed(made: Refund, order_id: UUID, currency: str) -> ListedRefund:
    """Return a refund with its order and currency."""
    return ListedRefund(order_id, currency, made)
