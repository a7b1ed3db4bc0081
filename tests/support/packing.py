"""An administrator who packs: shipments, returns and cancelled units of orders, and the rows that they leave."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mercato.v1 import fulfillment_pb2, order_pb2
from mercato.v1.fulfillment_pb2 import OrderUnits, Return, Shipment
from mercato.v1.order_pb2 import ORDER_STATUS_PAID, Order
from mercato_server.database.transactions import transaction
from mercato_server.domain.order_books import Books
from mercato_server.store import order_books, saved_books
from support.market import violations
from support.shop import CALL_S, Person, Shop, refusal

PRICE = 1_999
STOCK = 10
LEDGER = """
SELECT product_id::text, kind, delta, reference_id::text
  FROM stock_ledger
 WHERE order_id = $1::text::uuid AND kind <> 'sale'
 ORDER BY id
"""


@dataclass(frozen=True)
class Packer:
    """The calls of an administrator."""

    shop: Shop
    admin: Person
    buyer: Person

    def _sent(self, key: str) -> dict[str, Any]:
        return {"metadata": (*self.admin.metadata, *((("idempotency-key", key),) if key else ())), "timeout": CALL_S}

    async def placed(self, *quantities: int, price: int = PRICE) -> Order:
        """Let the buyer place an order with so many units of new products, of which there are 10 each."""
        for quantity in quantities:
            await self.shop.add(self.buyer, await self.shop.product(self.admin, price=price, stock=STOCK), quantity)
        return await self.shop.checkout(self.buyer)

    async def paid(self, *quantities: int, price: int = PRICE) -> Order:
        """Let the buyer place an order, and record its payment."""
        return await self.advance(await self.placed(*quantities, price=price), ORDER_STATUS_PAID)

    async def advance(self, order: Order, status: order_pb2.OrderStatus.ValueType, **fields: Any) -> Order:
        request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status, **fields)
        return await self.shop.orders.AdvanceOrder(request, **self._sent(""))

    async def cancel_order(self, order: Order, **fields: Any) -> Order:
        return await self.shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id, **fields), **self._sent(""))

    async def read(self, order: Order) -> Order:
        return await self.shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), **self._sent(""))

    async def create(self, order: Order, *quantities: int, key: str = "", **fields: Any) -> Shipment:
        """Prepare a shipment of so many units of each line; without numbers, of all that are left."""
        request = fulfillment_pb2.CreateShipmentRequest(order_id=order.id, lines=units(order, *quantities), **fields)
        return await self.shop.fulfillment.CreateShipment(request, **self._sent(key))

    async def ship(self, shipment: Shipment, *, key: str = "", **fields: Any) -> Shipment:
        request = fulfillment_pb2.ShipShipmentRequest(order_id=shipment.order_id, shipment_id=shipment.id, **fields)
        return await self.shop.fulfillment.ShipShipment(request, **self._sent(key))

    async def deliver(self, shipment: Shipment, **fields: Any) -> Shipment:
        request = fulfillment_pb2.DeliverShipmentRequest(order_id=shipment.order_id, shipment_id=shipment.id, **fields)
        return await self.shop.fulfillment.DeliverShipment(request, **self._sent(""))

    async def cancel(self, shipment: Shipment, **fields: Any) -> Shipment:
        request = fulfillment_pb2.CancelShipmentRequest(order_id=shipment.order_id, shipment_id=shipment.id, **fields)
        return await self.shop.fulfillment.CancelShipment(request, **self._sent(""))

    async def get(self, shipment: Shipment) -> Shipment:
        request = fulfillment_pb2.GetShipmentRequest(order_id=shipment.order_id, shipment_id=shipment.id)
        return await self.shop.fulfillment.GetShipment(request, **self._sent(""))

    async def sent(self, order: Order, *quantities: int) -> Shipment:
        """Prepare a shipment and let it leave."""
        return await self.ship(await self.create(order, *quantities))

    async def take_back(self, order: Order, *quantities: int, key: str = "", **fields: Any) -> Return:
        request = fulfillment_pb2.CreateReturnRequest(order_id=order.id, lines=units(order, *quantities), **fields)
        return await self.shop.fulfillment.CreateReturn(request, **self._sent(key))

    async def cancel_items(self, order: Order, *quantities: int, key: str = "", **fields: Any) -> Order:
        request = fulfillment_pb2.CancelOrderItemsRequest(order_id=order.id, lines=units(order, *quantities), **fields)
        return await self.shop.fulfillment.CancelOrderItems(request, **self._sent(key))

    async def ledger(self, order: Order) -> list[tuple[Any, ...]]:
        """Return the movements of stock after the sale."""
        return [tuple(row) for row in await self.shop.pool.fetch(LEDGER, order.id)]

    async def news(self, order: Order) -> list[str]:
        """Return the kinds of the events about an order and its parts, in the order of the feed."""
        rows = await self.shop.pool.fetch(
            "SELECT kind FROM events WHERE subject_id = $1::text::uuid OR payload ->> 'order_id' = $1 ORDER BY id", order.id
        )
        return [row["kind"] for row in rows]

    async def audited(self, order: Order) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Return the entries of the audit log about an order: action, before and after."""
        rows = await self.shop.pool.fetch(
            "SELECT action, before, after FROM audit_log WHERE subject_id = $1::text::uuid ORDER BY id", order.id
        )
        return [(row["action"], json.loads(row["before"]), json.loads(row["after"])) for row in rows]

    async def stock(self, order: Order) -> list[int]:
        """Return the units on hand of the products of an order, by line."""
        ids = [UUID(line.product_id) for line in order.lines]
        rows = await self.shop.pool.fetch("SELECT on_hand FROM stock_levels WHERE product_id = ANY($1) ORDER BY product_id", ids)
        return [row["on_hand"] for row in rows]

    async def change_books(self, order: Order, change: Callable[[Books], object]) -> None:
        """Change the books of an order by a rule, as a use case does."""
        async with transaction(self.shop.pool) as conn:
            books = (await order_books.load(conn, [UUID(order.id)]))[UUID(order.id)]
            change(books)
            await saved_books.save(conn, [books])

    async def verify(self) -> None:
        """Check every invariant of the shop."""
        assert await violations(self.shop) == {}


async def packer(shop: Shop) -> Packer:
    return Packer(shop, await shop.person(admin=True), await shop.person())


def units(order: Order, *quantities: int) -> list[OrderUnits]:
    """Return so many units of each line; 0 leaves a line out."""
    lines = zip(order.lines, quantities, strict=False)
    return [OrderUnits(product_id=line.product_id, quantity=quantity) for line, quantity in lines if quantity]


def statuses(order: Order) -> tuple[str, str, str]:
    """Return the three statuses of an order, without their prefixes."""
    return (
        order_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_"),
        order_pb2.PaymentStatus.Name(order.payment_status).removeprefix("PAYMENT_STATUS_"),
        order_pb2.FulfillmentStatus.Name(order.fulfillment_status).removeprefix("FULFILLMENT_STATUS_"),
    )


def fates(order: Order) -> list[tuple[int, int, int, int, int]]:
    """Return the units of each line that were shipped, delivered, cancelled and returned, and the refund for them in minor units."""
    return [(line.shipped, line.delivered, line.cancelled, line.returned, line.refunded.minor_units) for line in order.lines]


def quantities_of(lines: Iterable[OrderUnits]) -> list[int]:
    return [line.quantity for line in lines]


async def raced(*calls: Any) -> list[Any]:
    """Make calls at once; return their answers, and the refusals of those that were refused."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [await refusal(_raise(answer)) if isinstance(answer, BaseException) else answer for answer in answers]


async def _raise(error: BaseException) -> None:
    raise error
