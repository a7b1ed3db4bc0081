"""The RPCs of OrderService."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from mercato.v1 import order_pb2
from mercato_server.config.settings import Batching
from mercato_server.database.batching import Coalescer, Coalescers
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Role
from mercato_server.domain.errors import OrderNotFound
from mercato_server.domain.orders import REASON_MAX, Order, OrderStatus, Terms
from mercato_server.handlers import convert, order_filters
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.order_notes import OrderNoteHandler
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context, asks_for_session
from mercato_server.rpc.preconditions import ETAG_MAX
from mercato_server.security.session_cache import Sessions
from mercato_server.store import order_lists, order_search, order_states, orders
from mercato_server.store.idempotency import Stored
from mercato_server.store.locked_carts import Checkout
from mercato_server.validation.checks import Checks

Settle = Callable[[UUID], Awaitable[None]]
"""Sends the open requests of an order to its payment provider, and applies the answers that come in time."""


class OrderHandler:
    """Places orders, reads them and changes their state. OrderNoteHandler has the RPCs of notes."""

    settle: Settle | None = None
    """None in a shop without a payment provider."""
    GetLinkedOrder: Callable[[order_pb2.GetLinkedOrderRequest, Context], Awaitable[order_pb2.Order]]
    """That of LinkedOrderHandler."""

    def __init__(
        self,
        pool: "Pool",
        known: Sessions,
        pager: Pager,
        idempotency: Idempotency,
        shop: orders.Shop,
        batching: Batching,
    ) -> None:
        self._pool = pool
        self._known = known
        self._idempotency = idempotency
        self._pager = pager
        self._currency = shop.currency
        notes = OrderNoteHandler(pool, pager, idempotency)
        self.CreateOrderNote = notes.CreateOrderNote
        self.ListOrderNotes = notes.ListOrderNotes
        self._checkout: Coalescer[Checkout, Order | Stored] = Coalescer(
            lambda batch: orders.checkout(pool, batch, shop), party=lambda command: command.account_id, batching=batching
        )
        self.coalescers: Coalescers = {"checkout": self._checkout}

    @asks_for_session
    async def Checkout(self, request: order_pb2.CheckoutRequest, context: Context) -> Answer:
        """Place an order for the caller's cart."""
        terms = self._terms(request)
        key = self._idempotency.key(context, request, convert.order)
        key = None if request.validate_only else key
        command = Checkout(context.account_id, context.session_id, key, terms, request.validate_only)
        return answer(context, await self._checkout(command), convert.order)

    async def ListOrders(self, request: order_pb2.ListOrdersRequest, context: Context) -> Answer:
        """List the caller's orders."""
        with Checks() as check:
            self._pager.check(check, request)
            status = order_filters.status(check, request.status)
        account_id = context.account_id
        query = f"orders {account_id} {status}"
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page,
            query,
            lambda page: order_lists.of_account(self._pool, account_id, status, page),
            convert.order,
            order_pb2.ListOrdersResponse,
        )

    async def ListAllOrders(self, request: order_pb2.ListAllOrdersRequest, _context: Context) -> Answer:
        """List the orders of all accounts that fit a filter."""
        with Checks() as check:
            self._pager.check(check, request)
            wanted = order_filters.checked(check, request)
        page = self._pager.page(request, wanted.query)
        return await self._pager.answer(
            page,
            wanted.query,
            lambda page: order_search.orders(self._pool, wanted, page),
            convert.order,
            order_pb2.ListAllOrdersResponse,
        )

    async def GetOrder(self, request: order_pb2.GetOrderRequest, context: Context) -> order_pb2.Order:
        """Return an order of the caller; an administrator may read any order."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
        order = await order_lists.get(self._pool, order_id)
        if order is None or (order.account_id != context.account_id and await self._known.role(context.identity) is not Role.ADMIN):
            raise OrderNotFound(order_id)
        return convert.order(order)

    async def CancelOrder(self, request: order_pb2.CancelOrderRequest, context: Context) -> Answer:
        """Cancel an order and put its units back into stock."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            reason = check.text("reason", request.reason, longest=REASON_MAX)
            etag = check.text("etag", request.etag, longest=ETAG_MAX)
        owner_id = None if context.role is Role.ADMIN else context.account_id
        change = order_states.Change(
            order_id=order_id, status=OrderStatus.CANCELLED, actor=context.actor, reason=reason, owner_id=owner_id, etag=etag
        )
        key = self._idempotency.key(context, request, convert.order)
        return answer(context, await self._settled(change, await order_states.transition(self._pool, change, key)), convert.order)

    async def AdvanceOrder(self, request: order_pb2.AdvanceOrderRequest, context: Context) -> Answer:
        """Move an order to its next state."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            reason = check.text("reason", request.reason, longest=REASON_MAX)
            etag = check.text("etag", request.etag, longest=ETAG_MAX)
            if request.status not in convert.STATUS_OF:
                check.fail("status", "must be one of ORDER_STATUS_PAID, _SHIPPED, _DELIVERED, _CANCELLED, _REFUNDED")
        status = convert.STATUS_OF[request.status]
        change = order_states.Change(order_id=order_id, status=status, actor=context.actor, reason=reason, etag=etag)
        key = self._idempotency.key(context, request, convert.order)
        return answer(context, await self._settled(change, await order_states.transition(self._pool, change, key)), convert.order)

    async def _settled(self, change: order_states.Change, moved: Order | Stored) -> Order | Stored:
        """Return the order as it is after its open requests were sent to a provider; a stored answer has the state before that."""
        if self.settle is None:
            return moved
        await self.settle(change.order_id)
        return moved if isinstance(moved, Stored) else await order_lists.get(self._pool, change.order_id) or moved

    def _terms(self, request: order_pb2.CheckoutRequest) -> Terms:
        with Checks() as check:
            expected = None
            if request.HasField("expected_total"):  # testing for the field is faster than reading it
                expected = check.money("expected_total", request.expected_total, self._currency)
            etag = check.text("cart_etag", request.cart_etag, longest=ETAG_MAX)
            quote_id = check.optional_uuid("quote_id", request.quote_id)
        return Terms(expected_total_minor=expected, cart_etag=etag or None, quote_id=quote_id)
