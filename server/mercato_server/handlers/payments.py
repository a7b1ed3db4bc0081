"""The RPCs of PaymentService."""

from typing import TypeVar

from google.protobuf.message import Message

from mercato.v1 import payment_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Actor, Role
from mercato_server.domain.errors import AdminOnly
from mercato_server.domain.orders import REASON_MAX
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, PaymentMethod
from mercato_server.handlers import payment_messages as messages
from mercato_server.handlers.idempotency import REPLAYED, Answer, Idempotency, answer
from mercato_server.handlers.order_rights import OrderRights
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.payment_lists import PaymentLists
from mercato_server.payments.desk import Desk
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import ETAG_MAX
from mercato_server.security.session_cache import Sessions
from mercato_server.store import payments, provider_events
from mercato_server.store.idempotency import IdempotencyKey
from mercato_server.store.payments import ChangePayment, CreatePayment, CreateRefund
from mercato_server.validation import units
from mercato_server.validation.checks import Checks

Request = TypeVar("Request", bound=Message)

SIGNATURE = "stripe-signature"
PROVIDER_MAX = 40
"""Characters of a provider's name."""
BY_HAND = (PaymentMethod.CASH, PaymentMethod.TRANSFER, PaymentMethod.CASH_ON_DELIVERY)


class PaymentHandler:
    """Opens and changes payments, refunds them, and takes the notices of providers. PaymentLists has the lists."""

    def __init__(self, pool: "Pool", known: Sessions, pager: Pager, idempotency: Idempotency, currency: str, desk: Desk) -> None:
        self._pool = pool
        self._rights = OrderRights(pool, known)
        self._idempotency = idempotency
        self._currency = currency
        self._desk = desk
        lists = PaymentLists(pool, pager, self._rights)
        self.ListPayments = lists.ListPayments
        self.ListRefunds = lists.ListRefunds
        self.ListAllPayments = lists.ListAllPayments
        self.ListAllRefunds = lists.ListAllRefunds
        self.ListDisputes = lists.ListDisputes
        self.ListPaymentRequests = lists.ListPaymentRequests
        self.ListPaymentEvents = lists.ListPaymentEvents

    async def CreatePayment(self, request: payment_pb2.CreatePaymentRequest, context: Context) -> Answer:
        """Open a payment of an order."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            etag = check.text("etag", request.etag, longest=ETAG_MAX)
            method = messages.METHOD_OF.get(request.method, PaymentMethod.ONLINE)
            if method not in (PaymentMethod.ONLINE, *BY_HAND):
                check.fail("method", "must be one of PAYMENT_METHOD_ONLINE, _CASH, _TRANSFER, _CASH_ON_DELIVERY")
        is_admin = context.role is Role.ADMIN
        if method in BY_HAND and not is_admin:
            raise AdminOnly
        means = Means(MANUAL, method) if method in BY_HAND else self._desk.online
        command = CreatePayment(
            order_id=order_id,
            owner_id=None if is_admin else context.account_id,
            etag=etag,
            means=means,
            actor=context.actor,
            unpayable=self._desk.unpayable(means.provider),
        )
        made, replayed = await self._desk.create(command, self._key(context, request))
        return _told(context, messages.opened(made), replayed=replayed)

    async def GetPayment(self, request: payment_pb2.GetPaymentRequest, context: Context) -> payment_pb2.Payment:
        """Return a payment of an order."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            payment_id = check.uuid("payment_id", request.payment_id)
        await self._rights.require(context, order_id)
        return messages.payment(await payments.get(self._pool, order_id, payment_id))

    async def CapturePayment(self, request: payment_pb2.CapturePaymentRequest, context: Context) -> Answer:
        """Capture an authorised payment."""
        made, replayed = await self._desk.capture(_change(request, context.actor), self._key(context, request))
        return _told(context, messages.payment(made), replayed=replayed)

    async def CancelPayment(self, request: payment_pb2.CancelPaymentRequest, context: Context) -> Answer:
        """Cancel a payment."""
        made, replayed = await self._desk.cancel(_change(request, context.actor), self._key(context, request))
        return _told(context, messages.payment(made), replayed=replayed)

    async def CreateRefund(self, request: payment_pb2.CreateRefundRequest, context: Context) -> Answer:
        """Give money back."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            amount = check.money("amount", request.amount, self._currency) if request.HasField("amount") else None
            if amount == 0:
                check.fail("amount.minor_units", "must be above 0")
            if amount is not None and request.lines:
                check.fail("lines", "must be absent if amount is set")
            wanted = units.units(check, request.lines)
            reason = check.text("reason", request.reason, longest=REASON_MAX)
            payment_id = check.optional_uuid("payment_id", request.payment_id)
            etag = check.text("etag", request.etag, longest=ETAG_MAX)
        command = CreateRefund(
            order_id=order_id,
            etag=etag,
            payment_id=payment_id,
            amount_minor=amount,
            units=wanted,
            reason=reason,
            actor=context.actor,
        )
        made, replayed = await self._desk.refund(command, self._key(context, request))
        return _told(context, messages.refund(messages.listed(made, order_id, self._currency)), replayed=replayed)

    async def ResolvePaymentEvent(self, request: payment_pb2.ResolvePaymentEventRequest, context: Context) -> Answer:
        """Try a quarantined notice again, or dismiss it."""
        with Checks() as check:
            event_id = check.uuid("payment_event_id", request.payment_event_id)
        key = self._idempotency.key(context, request, messages.event)
        found = await provider_events.resolve(self._pool, event_id, context.actor, key, retry=request.retry)
        return answer(context, found, messages.event)

    async def HandlePaymentEvent(
        self, request: payment_pb2.HandlePaymentEventRequest, context: Context
    ) -> payment_pb2.HandlePaymentEventResponse:
        """Take a notice of a provider."""
        with Checks() as check:
            provider = check.text("provider", request.provider, shortest=1, longest=PROVIDER_MAX)
        await self._desk.take_event(provider, request.event.data, context.metadata(SIGNATURE) or "")
        return payment_pb2.HandlePaymentEventResponse()

    def _key(self, context: Context, request: Message) -> IdempotencyKey | None:
        return self._idempotency.key(context, request, lambda _: request)  # stored as a reference


def _change(request: payment_pb2.CapturePaymentRequest | payment_pb2.CancelPaymentRequest, actor: Actor) -> ChangePayment:
    with Checks() as check:
        order_id = check.uuid("order_id", request.order_id)
        payment_id = check.uuid("payment_id", request.payment_id)
    return ChangePayment(order_id=order_id, payment_id=payment_id, actor=actor)


def _told(context: Context, message: Message, *, replayed: bool) -> Message:
    if replayed:
        context.headers.append(REPLAYED)
    return message
