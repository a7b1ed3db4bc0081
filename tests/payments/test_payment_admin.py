"""Administrators see all payments, refunds, disputes, requests and quarantined notices, and resolve what does not fit."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from mercato.v1 import order_pb2, payment_pb2
from mercato.v1.audit_pb2 import ListAuditLogRequest
from support.pages import every
from support.patience import until
from support.shop import Person, refusal
from support.stripe_double.faults import refused
from support.till import Till

PAID, PLACED = order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_PLACED
LISTS = {
    "ListAllPayments": payment_pb2.ListAllPaymentsRequest,
    "ListAllRefunds": payment_pb2.ListAllRefundsRequest,
    "ListDisputes": payment_pb2.ListDisputesRequest,
    "ListPaymentRequests": payment_pb2.ListPaymentRequestsRequest,
    "ListPaymentEvents": payment_pb2.ListPaymentEventsRequest,
}
SET_AMOUNT = "UPDATE payments SET amount_minor = $2 WHERE provider_ref = $1"


async def paid(till: Till, quantity: int = 1) -> tuple[order_pb2.Order, str]:
    """Return an order that was paid online, and its payment's reference."""
    order = await till.order(quantity)
    ref = (await till.pay(order)).payment.provider_ref
    till.double.acts.pay(ref)
    await till.read_soon()
    return await till.becomes(order, PAID), ref


async def listed(till: Till, rpc: str, **fields: Any) -> list[Any]:
    """Return all entries of an administrator's list, newest first."""
    return await every(getattr(till.shop.payments, rpc), LISTS[rpc], till.admin, **fields)


async def actions(till: Till) -> list[tuple[str, str, dict[str, Any]]]:
    """Return actor, action and values of the administrator's entries in the audit log about payments, newest first."""
    found = await every(till.shop.audit.ListAuditLog, ListAuditLogRequest, till.admin)
    about = [entry for entry in found if entry.action.startswith(("payment", "refund"))]
    return [(entry.actor_id, entry.action, MessageToDict(entry.after)) for entry in about]


def ids(entries: Sequence[Any]) -> list[str]:
    return [entry.id for entry in entries]


async def test_payments_of_all_orders_are_listed_newest_first_and_by_state(till: Till) -> None:
    first, _ = await paid(till)
    second = await till.order()
    pending = (await till.pay(second)).payment
    third = await till.order()
    cash = (await till.pay(third, method=payment_pb2.PAYMENT_METHOD_CASH)).payment
    [online] = await till.payments(first)
    assert ids(await listed(till, "ListAllPayments")) == [cash.id, pending.id, online.id]
    assert ids(await listed(till, "ListAllPayments", state=payment_pb2.PAYMENT_STATE_CAPTURED)) == [cash.id, online.id]
    assert ids(await listed(till, "ListAllPayments", state=payment_pb2.PAYMENT_STATE_PENDING)) == [pending.id]
    assert await listed(till, "ListAllPayments", state=payment_pb2.PAYMENT_STATE_EXPIRED) == []
    assert (cash.provider, cash.method, online.provider) == ("manual", payment_pb2.PAYMENT_METHOD_CASH, "stripe")
    assert [action[:2] for action in await actions(till)] == [(till.admin.id, "payment.created")]


async def test_refunds_are_listed_with_those_that_were_made_at_the_provider_and_those_that_failed(till: Till) -> None:
    order, ref = await paid(till, 3)
    own = await till.refund(order, 500)
    till.double.acts.refund(ref, 700)
    await till.notify("refund.created")

    async def both() -> bool:
        return len(await till.refunds(order)) == 2

    await until(both, "the refund at the provider is known")
    [theirs, mine] = await listed(till, "ListAllRefunds")
    assert (theirs.amount.minor_units, theirs.made_at_provider, theirs.order_id, theirs.reason) == (700, True, order.id, "")
    assert (mine.id, mine.made_at_provider, mine.reason) == (own.id, False, "broken")
    till.double.acts.fail_refund(next(iter(till.double.account.refunds)))
    await till.notify("refund.failed")

    async def failed() -> list[Any]:
        return await listed(till, "ListAllRefunds", state=payment_pb2.REFUND_STATE_FAILED)

    [lost] = await until(failed, "the refund has failed")
    assert (lost.id, lost.failure) == (own.id, "expired_or_canceled_card")
    assert [action[1] for action in await actions(till)] == ["refund.created"]


async def test_a_dispute_is_listed_as_the_provider_tells_it(till: Till) -> None:
    order, ref = await paid(till, 2)
    assert await listed(till, "ListDisputes") == []
    made = till.double.acts.dispute(ref)
    await till.notify("charge.dispute.created")

    async def found() -> list[Any]:
        return await listed(till, "ListDisputes")

    [dispute] = await until(found, "the dispute is known")
    [payment] = await till.payments(order)
    assert (dispute.state, dispute.amount.minor_units, dispute.withdrawn.minor_units) == (payment_pb2.DISPUTE_STATE_OPEN, 2_000, 2_000)
    assert (dispute.provider_ref, dispute.payment_id, dispute.order_id) == (made, payment.id, order.id)
    assert dispute.reason
    till.double.acts.advance_dispute(made, "won")
    await till.notify("charge.dispute.closed")
    await until(lambda: _in_state(till, payment_pb2.DISPUTE_STATE_WON), "the dispute is won")
    assert await listed(till, "ListDisputes", state=payment_pb2.DISPUTE_STATE_OPEN) == []


async def _in_state(till: Till, state: int) -> bool:
    return [dispute.state for dispute in await listed(till, "ListDisputes", state=state)] == [state]


async def test_a_request_without_an_outcome_is_listed_until_it_has_one(till: Till) -> None:
    order, _ = await paid(till)
    assert await listed(till, "ListPaymentRequests") == []
    till.double.faults.stand("refunds.create", refused(503))  # the worker repeats the request
    made = await till.refund(order, 300)
    [request] = await listed(till, "ListPaymentRequests")
    assert (request.kind, request.refund_id, request.amount.minor_units, request.outcome) == ("refund", made.id, 300, "")
    assert (request.order_id, request.attempt, request.failure) == (order.id, 1, "http_503")
    assert not request.HasField("settle_time")
    till.double.faults.lift("refunds.create")

    async def settled() -> bool:
        return await listed(till, "ListPaymentRequests") == []

    await until(settled, "the request is settled")
    [settled_request, created] = await listed(till, "ListPaymentRequests", show_settled=True)
    assert (settled_request.id, settled_request.outcome, settled_request.attempt) == (request.id, "succeeded", 1)
    assert (created.kind, created.outcome) == ("create", "succeeded")
    assert settled_request.HasField("settle_time")


async def quarantined(till: Till) -> tuple[order_pb2.Order, str, payment_pb2.PaymentEvent]:
    """Return an order, its payment's reference, and the notice that was quarantined because the amount is not the shop's."""
    order = await till.order()
    ref = (await till.pay(order)).payment.provider_ref
    await till.pool.execute(SET_AMOUNT, ref, 999)
    till.double.acts.pay(ref)
    await till.notify("payment_intent.succeeded")

    async def found() -> list[Any]:
        return await listed(till, "ListPaymentEvents")

    [event] = await until(found, "the notice is quarantined")
    assert (event.provider, event.kind, event.provider_ref) == ("stripe", "payment_intent.succeeded", ref)
    assert event.failure == "its amount is not the one that the shop has asked for"
    assert event.HasField("quarantine_time")
    assert not event.HasField("resolve_time")
    return order, ref, event


async def resolve(till: Till, event_id: str, who: Person | None = None, *, retry: bool = False) -> payment_pb2.PaymentEvent:
    request = payment_pb2.ResolvePaymentEventRequest(payment_event_id=event_id, retry=retry)
    return await till.shop.payments.ResolvePaymentEvent(request, metadata=(who or till.admin).metadata)


async def test_a_notice_that_does_not_fit_books_nothing_and_a_retry_reads_again(till: Till) -> None:
    order, ref, event = await quarantined(till)
    [payment] = await till.payments(order)
    assert (payment.state, payment.captured.minor_units) == (payment_pb2.PAYMENT_STATE_PENDING, 0)
    assert (await till.get(order)).status == PLACED

    assert (await resolve(till, event.id, retry=True)).id == event.id  # the cause is still there

    async def again() -> list[Any]:
        return [each for each in await listed(till, "ListPaymentEvents") if each.quarantine_time != event.quarantine_time]

    [same] = await until(again, "the notice is quarantined again")
    assert (same.id, (await till.get(order)).status) == (event.id, PLACED)

    await till.pool.execute(SET_AMOUNT, ref, 1_000)
    tried = await resolve(till, event.id, retry=True)
    assert not tried.HasField("quarantine_time")
    await till.becomes(order, PAID)
    assert await listed(till, "ListPaymentEvents", show_resolved=True) == []
    values = {"provider_ref": ref, "failure": event.failure}
    assert await actions(till) == [(till.admin.id, "payment_event.retried", values)] * 2


async def test_a_dismissed_notice_stays_on_record_and_changes_nothing(till: Till) -> None:
    order, ref, event = await quarantined(till)
    dismissed = await resolve(till, event.id)
    assert dismissed.HasField("resolve_time")
    assert await listed(till, "ListPaymentEvents") == []
    assert await listed(till, "ListPaymentEvents", show_resolved=True) == [dismissed]
    for retry in (False, True):
        error = await refusal(resolve(till, event.id, retry=retry))
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PAYMENT_EVENT_NOT_FOUND")
    assert await actions(till) == [(till.admin.id, "payment_event.dismissed", {"provider_ref": ref, "failure": event.failure})]
    assert (await till.get(order)).status == PLACED


async def test_buyers_neither_list_nor_resolve(till: Till) -> None:
    _, _, event = await quarantined(till)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: resolve(till, event.id, till.buyer),
        *(
            lambda rpc=rpc, request=request: getattr(till.shop.payments, rpc)(request(), metadata=till.buyer.metadata)
            for rpc, request in LISTS.items()
        ),
    ]
    for call in calls:
        error = await refusal(call())
        assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    assert ids(await listed(till, "ListPaymentEvents")) == [event.id]


@pytest.mark.parametrize("method", [payment_pb2.PAYMENT_METHOD_CASH, payment_pb2.PAYMENT_METHOD_CASH_ON_DELIVERY])
async def test_a_buyer_cannot_record_money(till: Till, method: int) -> None:
    order = await till.order()
    error = await refusal(till.pay(order, buyer=till.buyer, method=method))
    assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    assert await till.payments(order) == []


async def test_payments_of_another_buyer_are_answered_like_those_of_an_absent_order(till: Till) -> None:
    order, _ = await paid(till)
    [payment] = await till.payments(order)
    stranger, absent = await till.shop.person(), str(uuid.uuid4())
    stub: Any = till.shop.payments
    requests: dict[str, Callable[[str], Any]] = {
        "CreatePayment": lambda order_id: payment_pb2.CreatePaymentRequest(order_id=order_id),
        "GetPayment": lambda order_id: payment_pb2.GetPaymentRequest(order_id=order_id, payment_id=payment.id),
        "ListPayments": lambda order_id: payment_pb2.ListPaymentsRequest(order_id=order_id),
        "ListRefunds": lambda order_id: payment_pb2.ListRefundsRequest(order_id=order_id),
    }
    for rpc, request in requests.items():
        theirs, none = [await refusal(getattr(stub, rpc)(request(id_), metadata=stranger.metadata)) for id_ in (order.id, absent)]
        assert (theirs.code, theirs.reason) == (StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
        assert repr(theirs).replace(order.id, absent) == repr(none)
    others = await till.order()
    wrong = payment_pb2.GetPaymentRequest(order_id=others.id, payment_id=payment.id)
    assert (await refusal(stub.GetPayment(wrong, metadata=till.buyer.metadata))).reason == "PAYMENT_NOT_FOUND"
    assert len(till.double.account.intents) == 1
