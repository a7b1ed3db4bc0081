"""Buyers at the interfaces of a shop, who see prices as the examples state them."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from mercato import call_error
from mercato.v1 import cart_pb2, order_pb2
from mercato.v1.price_pb2 import PriceBreakdown
from support.price_examples.model import Delivered, Price
from support.price_shop import Wanted
from support.rest_client import Client, Reply
from support.shop import CALL_S, Person, Shop

Answer = TypeVar("Answer", bound=Message)


class Refused(Exception):
    """A call was refused; the text is the reason."""


class Door(Protocol):
    """A buyer at one of the interfaces, with an empty cart at first; all methods raise Refused."""

    async def fill(self, wanted: Wanted) -> None:
        """Fill the empty cart with what is wanted."""

    async def cart(self) -> cart_pb2.Cart:
        """Read the cart."""

    async def quote(self) -> cart_pb2.Quote:
        """Ask for a quote."""

    async def checkout(self, quote_id: str) -> order_pb2.Order:
        """Buy the cart, for the price of a quote if it is not empty."""

    async def order(self, order_id: str) -> order_pb2.Order:
        """Read an order."""


@dataclass(frozen=True)
class OverGrpc:
    """A buyer who calls over gRPC."""

    shop: Shop
    buyer: Person

    async def fill(self, wanted: Wanted) -> None:
        for product_id, quantity in wanted.units:
            await self._call(self.shop.carts.AddCartItem, cart_pb2.AddCartItemRequest(product_id=product_id, quantity=quantity))
        if wanted.address or wanted.method_id:
            header = cart_pb2.UpdateCartHeaderRequest(shipping_address=wanted.address, shipping_method_id=wanted.method_id)
            await self._call(self.shop.carts.UpdateCartHeader, header)

    async def cart(self) -> cart_pb2.Cart:
        cart: cart_pb2.Cart = await self._call(self.shop.carts.GetCart, cart_pb2.GetCartRequest())
        return cart

    async def quote(self) -> cart_pb2.Quote:
        quote: cart_pb2.Quote = await self._call(self.shop.carts.QuoteCart, cart_pb2.QuoteCartRequest())
        return quote

    async def checkout(self, quote_id: str) -> order_pb2.Order:
        order: order_pb2.Order = await self._call(self.shop.orders.Checkout, order_pb2.CheckoutRequest(quote_id=quote_id))
        return order

    async def order(self, order_id: str) -> order_pb2.Order:
        order: order_pb2.Order = await self._call(self.shop.orders.GetOrder, order_pb2.GetOrderRequest(order_id=order_id))
        return order

    async def _call(self, method: Any, request: Message) -> Any:
        try:
            return await method(request, metadata=self.buyer.metadata, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise Refused(call_error(error).reason) from error


@dataclass(frozen=True)
class OverRest:
    """A buyer who calls over REST."""

    client: Client

    async def fill(self, wanted: Wanted) -> None:
        for product_id, quantity in wanted.units:
            await self._call("POST", f"/cart/add/{product_id}", {"quantity": quantity})
        header: dict[str, Any] = {"shipping_method_id": wanted.method_id} if wanted.method_id else {}
        if wanted.address:
            header["shipping_address"] = json_format.MessageToDict(wanted.address, preserving_proto_field_name=True)
        if header:
            await self._call("PATCH", "/v1/cart", header)

    async def cart(self) -> cart_pb2.Cart:
        return parsed(await self._call("GET", "/cart"), cart_pb2.Cart())

    async def quote(self) -> cart_pb2.Quote:
        return parsed(await self._call("POST", "/v1/cart:quote"), cart_pb2.Quote())

    async def checkout(self, quote_id: str) -> order_pb2.Order:
        return parsed(await self._call("POST", "/orders/checkout", {"quote_id": quote_id} if quote_id else None), order_pb2.Order())

    async def order(self, order_id: str) -> order_pb2.Order:
        return parsed(await self._call("GET", f"/orders/{order_id}"), order_pb2.Order())

    async def _call(self, method: str, path: str, value: Any = None) -> Reply:
        reply = await asyncio.to_thread(self.client.send_json, method, path, value)
        if reply.status >= 400:
            raise Refused(reply.reason)
        return reply


def parsed(reply: Reply, message: Answer) -> Answer:
    """Return the message that the JSON of an answer stands for."""
    return json_format.ParseDict(reply.json, message)


def price_of(price: PriceBreakdown) -> Price:
    """Return a price as an example states it."""
    given: dict[str, int] = {}
    for discount in price.discounts:
        given[discount.name] = given.get(discount.name, 0) + discount.amount.minor_units
    part = price.delivery
    amounts = (part.price, part.discount, part.tax, part.tax_relief)
    return Price(
        price.total.minor_units,
        tuple(line.discount.minor_units for line in price.lines),
        tuple(line.tax.minor_units for line in price.lines),
        tuple(line.tax_relief.minor_units for line in price.lines),
        Delivered(*(amount.minor_units for amount in amounts)) if price.HasField("delivery") else None,
        tuple((tax.rate_ppm, tax.net.minor_units, tax.tax.minor_units) for tax in price.taxes),
        given,
    )


def price_of_whole(whole: cart_pb2.Cart | order_pb2.Order) -> Price:
    """Return the price of a cart or an order; without parts it is that of its lines."""
    if whole.HasField("price"):
        assert whole.price.total == whole.total
        return price_of(whole.price)
    nothing = (0,) * len(whole.lines)
    assert whole.total.minor_units == sum(line.line_total.minor_units for line in whole.lines)
    return Price(whole.total.minor_units, nothing, nothing, nothing, None, (), {})
