"""Buyers who pay at a double of Stripe, and administrators who capture and refund.

Each call has a key, and is sent until its outcome is known.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import grpc

from faults.buyers import Buyer, Market, Purchase, describe, dice
from faults.prices import MAKE_ADMIN
from faults.processes import SERVER, Edge, Worker
from mercato.v1 import order_pb2, payment_pb2
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble
from support.stripe_double.refusals import Refusal
from support.till import WEBHOOK_SECRET

REPLAYS, DECLINES, UNPAID, CANCELS, REFUNDS = 0.2, 0.1, 0.1, 0.15, 0.5
"""Shares of the payments that are opened twice, declined at first or never paid, and of the orders that are cancelled or refunded."""
PATIENCE_S = 5.0
"""An administrator waits so long for the money of an order."""
STATE = "FAILED_PRECONDITION PAYMENT_STATE"
REFUSALS = frozenset({STATE, "FAILED_PRECONDITION REFUND_EXCEEDS", "FAILED_PRECONDITION ORDER_STATE"})
"""Answers that a race for the money of an order may have."""


def paying_worker(directory: Path, database_url: str, double: StripeDouble, *, name: str = "worker", capture_later: bool = False) -> Worker:
    """Return a worker that takes payments at a double, whose limits it does not reach."""
    environ = {
        "MERCATO_STRIPE_SECRET_KEY": SECRET_KEY,
        "MERCATO_STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "MERCATO_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "MERCATO_STRIPE_URL": double.url,
        "MERCATO_STRIPE_REQUESTS_PER_SECOND": "100000",
        "MERCATO_PAYMENT_CAPTURE": "at_shipment" if capture_later else "at_once",
    }
    return Worker(directory, database_url, name=name, program=SERVER, **environ)


def receive(double: StripeDouble, edge: Edge) -> None:
    """Let a double send its notices to an edge, as Stripe does."""
    double.webhooks.endpoint(f"http://{edge.address}/webhooks/payments/stripe", WEBHOOK_SECRET)


@dataclass
class Ask:
    """A refund that an administrator asks for; the rows of the database have its key as their reason."""

    order_id: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    refund_id: str = ""
    refusal: str = ""


@dataclass
class Deal:
    """An order and its payment, as the buyer knows them."""

    purchase: Purchase
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    payment: payment_pb2.Payment | None = None
    refusal: str = ""

    @property
    def order_id(self) -> str:
        """The id of the order."""
        return self.purchase.order.id


class Payers:
    """Buyers and an administrator of a market, who pay, capture and refund at a double."""

    def __init__(self, shop: Market, double: StripeDouble, boss: Buyer) -> None:
        self.shop = shop
        self.double = double
        self.boss = boss
        self.deals: list[Deal] = []
        self.asks: list[Ask] = []

    @classmethod
    async def of(cls, shop: Market, double: StripeDouble) -> "Payers":
        """Make the last of the buyers an administrator."""
        boss = shop.goods.buyers[-1]
        connection = await asyncpg.connect(shop.goods.database_url)
        await connection.execute(MAKE_ADMIN, boss.id)
        await connection.close()
        return cls(shop, double, boss)

    async def open(self, purchase: Purchase) -> Deal:
        """Open a payment of an order; an opened payment stays the same when the call is repeated."""
        deal = Deal(purchase)
        self.deals.append(deal)
        request = payment_pb2.CreatePaymentRequest(order_id=deal.order_id)
        for _ in range(2 if dice.random() < REPLAYS else 1):
            try:
                opened = await self.shop.insist(self.shop.payments, "CreatePayment", request, purchase.buyer, deal.key)
            except grpc.aio.AioRpcError as error:
                deal.refusal = describe(error)
                break
            if deal.payment and deal.payment.id != opened.payment.id:
                self.shop.tally.contradictions.append(f"key {deal.key} opened the payments {deal.payment.id} and {opened.payment.id}")
            deal.payment = opened.payment
        return deal

    def pay(self, deal: Deal) -> str:
        """Pay in the browser; return the status that the buyer sees, or nothing if the provider takes no money for it any more."""
        if not deal.payment:
            return ""
        with suppress(Refusal):
            return self.double.acts.pay(deal.payment.provider_ref)
        return ""

    async def is_paid(self, deal: Deal) -> bool:
        """Wait for a while until the order is PAID; a notice may be lost."""
        request = order_pb2.GetOrderRequest(order_id=deal.order_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while (await self.shop.insist(self.shop.orders, "GetOrder", request, self.boss)).status != order_pb2.ORDER_STATUS_PAID:
                    await asyncio.sleep(dice.uniform(0.05, 0.15))
                return True
        return False

    async def capture(self, deal: Deal) -> None:
        """Capture an authorised payment."""
        assert deal.payment
        request = payment_pb2.CapturePaymentRequest(order_id=deal.order_id, payment_id=deal.payment.id)
        await self._may_be_refused(self.shop.insist(self.shop.payments, "CapturePayment", request, self.boss, uuid.uuid4().hex))

    async def refund(self, order_id: str, amount_minor: int) -> Ask:
        """Give money back."""
        ask = Ask(order_id)
        self.asks.append(ask)
        request = payment_pb2.CreateRefundRequest(order_id=order_id, reason=ask.key)
        request.amount.minor_units = amount_minor
        try:
            ask.refund_id = (await self.shop.insist(self.shop.payments, "CreateRefund", request, self.boss, ask.key)).id
        except grpc.aio.AioRpcError as error:
            ask.refusal = describe(error)
        return ask

    async def cancel(self, deal: Deal) -> None:
        """Cancel an order, unless it is too late."""
        deal.purchase.cancelling = True
        request = order_pb2.CancelOrderRequest(order_id=deal.order_id)
        call = self.shop.insist(self.shop.orders, "CancelOrder", request, deal.purchase.buyer, uuid.uuid4().hex)
        deal.purchase.cancelled = await self._may_be_refused(call)

    async def _may_be_refused(self, call: Awaitable[object]) -> bool:
        """Return whether a call had its effect, or was refused because of the state of the money."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            if describe(error) not in REFUSALS:
                raise
            return False
        return True

    async def trade(self, buyer: Buyer) -> None:
        """Buy, pay, and let the order and its money have a random fate."""
        purchase = await self.shop.buy(buyer)
        if not purchase.reply:
            return
        deal = await self.open(purchase)
        if deal.payment and dice.random() < DECLINES:
            self.double.acts.pay(deal.payment.provider_ref, "pm_card_visa_chargeDeclined")
        if dice.random() >= UNPAID:
            self.pay(deal)
        if dice.random() < CANCELS:
            await self.cancel(deal)
        elif dice.random() < REFUNDS and await self.is_paid(deal):
            if deal.payment and self.double.account.intents[deal.payment.provider_ref].status == "requires_capture":
                await self.capture(deal)
            total = purchase.order.total.minor_units
            await asyncio.gather(*(self.refund(deal.order_id, total // part) for part in (2, 3)))

    @asynccontextmanager
    async def crowd(self) -> AsyncIterator[None]:
        """Let all buyers but the administrator trade during the block; after it each knows the outcome of all calls."""
        closing = asyncio.Event()

        async def shopping(buyer: Buyer) -> None:
            while not closing.is_set():
                await self.trade(buyer)

        async with asyncio.TaskGroup() as group:
            for buyer in self.shop.goods.buyers:
                if buyer is not self.boss:
                    group.create_task(shopping(buyer))
            try:
                yield
            finally:
                closing.set()

    async def each(self, act: Callable[[Deal], Awaitable[None]]) -> None:
        """Do something with all deals at once."""
        await asyncio.gather(*(act(deal) for deal in self.deals))
