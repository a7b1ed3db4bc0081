"""The lists of PaymentService."""

from mercato.v1 import payment_pb2
from mercato_server.database.pool import Pool
from mercato_server.handlers import payment_messages as messages
from mercato_server.handlers.idempotency import Answer
from mercato_server.handlers.order_rights import OrderRights
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.store import payment_lists
from mercato_server.validation.checks import Checks


class PaymentLists:
    """Lists payments and refunds, of an order or of the shop, and the records that administrators look after."""

    def __init__(self, pool: "Pool", pager: Pager, rights: OrderRights) -> None:
        self._pool = pool
        self._pager = pager
        self._rights = rights

    async def ListPayments(self, request: payment_pb2.ListPaymentsRequest, context: Context) -> Answer:
        """List the payments of an order."""
        with Checks() as check:
            self._pager.check(check, request)
            order_id = check.uuid("order_id", request.order_id)
        await self._rights.require(context, order_id)
        query = f"payments of {order_id}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.payments_of(self._pool, order_id, page),
            messages.payment,
            payment_pb2.ListPaymentsResponse,
        )

    async def ListRefunds(self, request: payment_pb2.ListRefundsRequest, context: Context) -> Answer:
        """List the refunds of an order."""
        with Checks() as check:
            self._pager.check(check, request)
            order_id = check.uuid("order_id", request.order_id)
        await self._rights.require(context, order_id)
        query = f"refunds of {order_id}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.refunds_of(self._pool, order_id, page),
            messages.refund,
            payment_pb2.ListRefundsResponse,
        )

    async def ListAllPayments(self, request: payment_pb2.ListAllPaymentsRequest, _context: Context) -> Answer:
        """List the payments of the shop."""
        with Checks() as check:
            self._pager.check(check, request)
        state = messages.STATE_OF.get(request.state)
        query = f"payments {state}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.payments(self._pool, state, page),
            messages.payment,
            payment_pb2.ListAllPaymentsResponse,
        )

    async def ListAllRefunds(self, request: payment_pb2.ListAllRefundsRequest, _context: Context) -> Answer:
        """List the refunds of the shop."""
        with Checks() as check:
            self._pager.check(check, request)
        state = messages.REFUND_STATE_OF.get(request.state)
        query = f"refunds {state}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.refunds(self._pool, state, page),
            messages.refund,
            payment_pb2.ListAllRefundsResponse,
        )

    async def ListDisputes(self, request: payment_pb2.ListDisputesRequest, _context: Context) -> Answer:
        """List the disputes of the shop."""
        with Checks() as check:
            self._pager.check(check, request)
        state = messages.DISPUTE_STATE_OF.get(request.state)
        query = f"disputes {state}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.disputes(self._pool, state, page),
            messages.dispute,
            payment_pb2.ListDisputesResponse,
        )

    async def ListPaymentRequests(self, request: payment_pb2.ListPaymentRequestsRequest, _context: Context) -> Answer:
        """List the requests to providers."""
        with Checks() as check:
            self._pager.check(check, request)
        settled = request.show_settled
        query = f"payment requests, settled: {settled}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.requests(self._pool, page, settled=settled),
            messages.request,
            payment_pb2.ListPaymentRequestsResponse,
        )

    async def ListPaymentEvents(self, request: payment_pb2.ListPaymentEventsRequest, _context: Context) -> Answer:
        """List quarantined notices."""
        with Checks() as check:
            self._pager.check(check, request)
        resolved = request.show_resolved
        query = f"payment events, resolved: {resolved}"
        return await self._pager.listed(
            request,
            query,
            lambda page: payment_lists.events(self._pool, page, resolved=resolved),
            messages.event,
            payment_pb2.ListPaymentEventsResponse,
        )
