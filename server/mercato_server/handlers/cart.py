"""CartService."""

from mercato.v1 import cart_pb2
from mercato_server.context import Context
from mercato_server.db import Pool
from mercato_server.domain.carts import LINE_QUANTITY_MAX, CartLine
from mercato_server.domain.errors import MercatoError
from mercato_server.handlers import convert
from mercato_server.handlers.checks import Checks
from mercato_server.store import carts
from mercato_server.store.carts import LineChange


class CartHandler:
    """The caller's cart."""

    def __init__(self, pool: "Pool", currency: str) -> None:
        self._pool = pool
        self._currency = currency

    async def GetCart(self, _request: cart_pb2.GetCartRequest, context: Context) -> cart_pb2.Cart:
        """Return the cart."""
        [lines] = await carts.get(self._pool, [context.account_id])
        return convert.cart(lines, self._currency)

    async def AddCartItem(self, request: cart_pb2.AddCartItemRequest, context: Context) -> cart_pb2.Cart:
        """Add units of a product."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            quantity = check.between("quantity", request.quantity if request.HasField("quantity") else 1, 1, LINE_QUANTITY_MAX)
        [result] = await carts.add(self._pool, [LineChange(context.account_id, product_id, quantity)])
        return self._cart(result)

    async def SetCartItem(self, request: cart_pb2.SetCartItemRequest, context: Context) -> cart_pb2.Cart:
        """Set the units of a line."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            quantity = check.between("quantity", request.quantity, 0, LINE_QUANTITY_MAX)
            if not request.HasField("quantity"):
                check.fail("quantity", "is required; 0 removes the line")
        [result] = await carts.put(self._pool, [LineChange(context.account_id, product_id, quantity)])
        return self._cart(result)

    async def RemoveCartItem(self, request: cart_pb2.RemoveCartItemRequest, context: Context) -> cart_pb2.Cart:
        """Remove a line."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
        return convert.cart(await carts.remove(self._pool, context.account_id, product_id), self._currency)

    async def ClearCart(self, _request: cart_pb2.ClearCartRequest, context: Context) -> cart_pb2.Cart:
        """Remove every line."""
        await carts.clear(self._pool, context.account_id)
        return convert.cart((), self._currency)

    def _cart(self, result: tuple[CartLine, ...] | MercatoError) -> cart_pb2.Cart:
        if isinstance(result, MercatoError):
            raise result
        return convert.cart(result, self._currency)
