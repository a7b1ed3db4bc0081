"""The RPCs of CartService."""

from uuid import UUID

from mercato.v1 import cart_pb2
from mercato_server.config.settings import Batching
from mercato_server.database.batching import Coalescer, Coalescers
from mercato_server.database.pool import Pool
from mercato_server.domain.carts import LINE_QUANTITY_MAX
from mercato_server.domain.purchases import PricedCart
from mercato_server.domain.quotes import Quote
from mercato_server.handlers import convert, postal_addresses
from mercato_server.handlers.cart_headers import header_change
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.rpc.context import Context, asks_for_session
from mercato_server.store import cart_headers, carts
from mercato_server.store.carts import Clearance, LineChange
from mercato_server.store.idempotency import Stored
from mercato_server.store.orders import Shop
from mercato_server.taxes import quotes
from mercato_server.taxes.provider import TaxProvider
from mercato_server.validation.checks import Checks

READ_TURNS = 2
"""The statement that reads carts is so short that few calls arrive while it runs; without a wait its batches would be small."""


class CartHandler:
    """Reads and changes the caller's cart."""

    def __init__(self, pool: "Pool", idempotency: Idempotency, shop: Shop, batching: Batching, taxes: TaxProvider | None = None) -> None:
        """Prepare; `taxes` names the taxes of quotes, and None if the shop's own rates do."""
        book, units_max = shop.book, shop.rules.units_per_product
        self._pool = pool
        self._taxes = taxes
        self._idempotency = idempotency
        self._book = book
        self._currency = shop.currency
        self._read: Coalescer[UUID, PricedCart] = Coalescer(
            lambda accounts: carts.get(pool, accounts, book), turns=READ_TURNS, batching=batching
        )
        self._add: Coalescer[LineChange, PricedCart | Stored] = Coalescer(
            lambda changes: carts.add(pool, changes, book, units_max=units_max), party=lambda change: change.account_id, batching=batching
        )
        self._set: Coalescer[LineChange, PricedCart | Stored] = Coalescer(
            lambda changes: carts.put(pool, changes, book, units_max=units_max), party=lambda change: change.account_id, batching=batching
        )
        self._clear: Coalescer[Clearance, PricedCart | Stored] = Coalescer(
            lambda commands: carts.clear(pool, commands), party=lambda command: command.account_id, batching=batching
        )
        self.coalescers: Coalescers = {
            "get_cart": self._read,
            "add_cart_item": self._add,
            "set_cart_item": self._set,
            "clear_cart": self._clear,
        }

    async def GetCart(self, _request: cart_pb2.GetCartRequest, context: Context) -> cart_pb2.Cart:
        """Return the cart."""
        return self._cart(await self._read(context.account_id))

    @asks_for_session
    async def AddCartItem(self, request: cart_pb2.AddCartItemRequest, context: Context) -> Answer:
        """Add units of a product to the cart."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            quantity = check.between("quantity", request.quantity if request.HasField("quantity") else 1, 1, LINE_QUANTITY_MAX)
        key = self._idempotency.key(context, request, self._cart)
        return answer(context, await self._add(LineChange(context.account_id, product_id, quantity, context.session_id, key)), self._cart)

    @asks_for_session
    async def SetCartItem(self, request: cart_pb2.SetCartItemRequest, context: Context) -> Answer:
        """Set the units of a product in the cart."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            quantity = check.between("quantity", request.quantity, 0, LINE_QUANTITY_MAX)
            if not request.HasField("quantity"):
                check.fail("quantity", "is required; 0 removes the line")
        key = self._idempotency.key(context, request, self._cart)
        return answer(context, await self._set(LineChange(context.account_id, product_id, quantity, context.session_id, key)), self._cart)

    @asks_for_session
    async def RemoveCartItem(self, request: cart_pb2.RemoveCartItemRequest, context: Context) -> Answer:
        """Remove a product from the cart."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
        key = self._idempotency.key(context, request, self._cart)
        return answer(context, await self._set(LineChange(context.account_id, product_id, 0, context.session_id, key)), self._cart)

    @asks_for_session
    async def ClearCart(self, request: cart_pb2.ClearCartRequest, context: Context) -> Answer:
        """Remove all products from the cart."""
        key = self._idempotency.key(context, request, self._cart)
        return answer(context, await self._clear(Clearance(context.account_id, context.session_id, key)), self._cart)

    async def GetCartHeader(self, _request: cart_pb2.GetCartHeaderRequest, context: Context) -> cart_pb2.CartHeader:
        """Return the header of the cart."""
        return convert.cart_header(await cart_headers.get(self._pool, context.account_id))

    async def UpdateCartHeader(self, request: cart_pb2.UpdateCartHeaderRequest, context: Context) -> Answer:
        """Change the header of the cart."""
        await postal_addresses.load(request.shipping_address)
        await postal_addresses.load(request.billing_address)
        with Checks() as check:
            change = header_change(check, context, request)
        key = self._idempotency.key(context, request, convert.cart_header)
        return answer(context, await cart_headers.update(self._pool, change, self._book, key), convert.cart_header)

    async def GetShippingOptions(
        self, _request: cart_pb2.GetShippingOptionsRequest, context: Context
    ) -> cart_pb2.GetShippingOptionsResponse:
        """Return the ways in which the cart can be delivered."""
        options = await carts.shipping_options(self._pool, context.account_id, self._book)
        return convert.shipping_options(options, self._currency)

    async def QuoteCart(self, request: cart_pb2.QuoteCartRequest, context: Context) -> Answer:
        """Keep the price of the cart as a quote."""
        key = self._idempotency.key(context, request, self._quote)
        return answer(context, await quotes.quote(self._pool, context.account_id, self._book, self._taxes, key), self._quote)

    def _quote(self, quote: Quote) -> cart_pb2.Quote:
        return convert.quote(quote, self._currency)

    def _cart(self, cart: PricedCart) -> cart_pb2.Cart:
        return convert.cart(cart, self._currency)
