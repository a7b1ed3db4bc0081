"""A shop that takes payments at a double of Stripe: the steps with which most tests of payments begin."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody

from mercato.v1 import order_pb2, payment_pb2
from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.store.verify import inspect
from mercato_server.worker import Worker
from support.patience import until
from support.shop import Person, Shop, open_worker
from support.stripe_double.double import StripeDouble
from support.stripe_double.webhooks import signature
from support.stripe_shop import settings_of

WEBHOOK_SECRET = "whsec_of_the_tests"


class Till:
    """A shop with an administrator, a buyer and a product, and its payments."""

    def __init__(self, worker: Worker, shop: Shop, double: StripeDouble, pool: "Pool") -> None:
        self.worker = worker
        self.shop = shop
        self.double = double
        self.pool = pool

    async def open(self) -> None:
        """Make the administrator, the buyer and the product."""
        self.admin, self.buyer = await self.shop.person(admin=True), await self.shop.person()
        self.product = await self.shop.product(self.admin, price=1_000, stock=1_000)

    async def order(self, quantity: int = 1, buyer: Person | None = None) -> order_pb2.Order:
        """Place an order of some units for 10.00 each."""
        buyer = buyer or self.buyer
        await self.shop.add(buyer, self.product, quantity)
        return await self.shop.checkout(buyer)

    async def pay(
        self, order: order_pb2.Order, key: str = "", buyer: Person | None = None, method: int = 0
    ) -> payment_pb2.CreatePaymentResponse:
        """Open a payment of an order."""
        person = buyer or (self.admin if method else self.buyer)
        request = payment_pb2.CreatePaymentRequest(order_id=order.id, method=method)  # type: ignore[arg-type] # a number
        return await self.shop.payments.CreatePayment(request, metadata=(*person.metadata, *_key(key)), timeout=30)

    async def refund(self, order: order_pb2.Order, amount: int | None = None, units: int = 0, key: str = "") -> payment_pb2.Refund:
        """Give money of an order back."""
        request = payment_pb2.CreateRefundRequest(order_id=order.id, reason="broken")
        if amount is not None:
            request.amount.minor_units = amount
        if units:
            request.lines.add(product_id=self.product.id, quantity=units)
        return await self.shop.payments.CreateRefund(request, metadata=(*self.admin.metadata, *_key(key)), timeout=30)

    async def get(self, order: order_pb2.Order) -> order_pb2.Order:
        """Return an order as it is now."""
        return await self.shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=self.admin.metadata)

    async def payments(self, order: order_pb2.Order) -> Sequence[payment_pb2.Payment]:
        """Return the payments of an order, newest first."""
        request = payment_pb2.ListPaymentsRequest(order_id=order.id)
        return (await self.shop.payments.ListPayments(request, metadata=self.admin.metadata)).payments

    async def refunds(self, order: order_pb2.Order) -> Sequence[payment_pb2.Refund]:
        """Return the refunds of an order, newest first."""
        request = payment_pb2.ListRefundsRequest(order_id=order.id)
        return (await self.shop.payments.ListRefunds(request, metadata=self.admin.metadata)).refunds

    async def advance(self, order: order_pb2.Order, status: int) -> order_pb2.Order:
        """Advance an order as an administrator."""
        request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status)  # type: ignore[arg-type] # a number
        return await self.shop.orders.AdvanceOrder(request, metadata=self.admin.metadata, timeout=30)

    async def notify(self, kind: str) -> None:
        """Deliver the double's events of a kind, as Stripe would."""
        for event in self.double.events.of_kind(kind):
            await self.deliver(json.dumps(event).encode())

    async def deliver(self, body: bytes, header: str | None = None) -> None:
        """Deliver a notice."""
        header = signature(body, [WEBHOOK_SECRET], self.double.clock.now()) if header is None else header
        request = payment_pb2.HandlePaymentEventRequest(provider="stripe", event=HttpBody(content_type="application/json", data=body))
        await self.shop.payments.HandlePaymentEvent(request, metadata=(("stripe-signature", header),))

    async def becomes(self, order: order_pb2.Order, status: int) -> order_pb2.Order:
        """Wait until an order has a status, and return it."""

        async def found() -> order_pb2.Order | None:
            now = await self.get(order)
            return now if now.status == status else None

        return await until(found, f"the order becomes {order_pb2.OrderStatus.Name(status)}")  # type: ignore[arg-type] # a number

    async def verify(self) -> None:
        """Check every invariant of the shop, and the money of the double."""
        self.double.check()
        async with self.pool.acquire() as conn:
            found = await inspect(conn)
        assert [(each.invariant.name, each.examples) for each in found.findings if each.violations] == []

    async def read_soon(self) -> None:
        """Let the worker read all payments that are under way now, as it does after a while."""
        await self.pool.execute("UPDATE payments SET next_read_at = now() WHERE next_read_at IS NOT NULL")

    async def is_overdue(self, *orders: order_pb2.Order) -> None:
        """Let the time to pay orders end."""
        ids = [UUID(order.id) for order in orders]
        await self.pool.execute("UPDATE orders SET payment_due_at = now() - interval '1 second' WHERE id = ANY($1)", ids)


def _key(key: str) -> tuple[tuple[str, str], ...]:
    return (("idempotency-key", key),) if key else ()


def with_payments(settings: Settings, double: StripeDouble, *, capture_later: bool = False, **changes: Any) -> Settings:
    """Return the settings of a worker that takes payments at a double; `changes` are other settings of Stripe."""
    stripe = settings_of(double.url, webhook_secrets=(WEBHOOK_SECRET,), **changes)
    return replace(settings, payments=PaymentSettings(stripe=stripe, capture_later=capture_later))


@asynccontextmanager
async def opened(
    settings: Settings, pool: "Pool", double: StripeDouble, *, capture_later: bool = False, **changes: Any
) -> AsyncIterator[Till]:
    """Run a worker that takes payments."""
    async with open_worker(with_payments(settings, double, capture_later=capture_later, **changes), pool) as (worker, shop):
        till = Till(worker, shop, double, pool)
        await till.open()
        yield till
