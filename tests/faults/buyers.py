"""Buyers who retry: each checkout has a key, and the buyer sends it again until its outcome is known."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc
from google.protobuf.message import Message
from grpc import StatusCode

from faults.processes import SECRET, open_channel
from mercato import call_error
from mercato.v1 import cart_pb2, cart_pb2_grpc, catalog_pb2_grpc, order_pb2, order_pb2_grpc, payment_pb2_grpc
from mercato_server.database.pool import SET_CURRENCY
from mercato_server.security.tokens import Keyring, Tokens
from support.databases import index_products
from support.patience import patient, until

AGAIN = frozenset(
    {StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED, StatusCode.ABORTED, StatusCode.RESOURCE_EXHAUSTED}
)
"""Codes after which a buyer sends the call again with its key; after the first three the effect of the call is unknown."""
FINAL = "ABORTED QUOTE_CHANGED"
"""The error after which the buyer would have to agree to another price first."""
UNKNOWN = frozenset({StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED})
CALL_S = 30.0
"""The longest that a server works on a call, whatever the client's deadline."""
INSISTENCE = 5
"""A buyer retries a call for this multiple of a test's patience."""
THINK_S = (0.0, 0.05)
RETRY_S = (0.05, 0.15)
LINES_MAX = 3
PRICE_MINOR = 100
dice = random.Random()  # noqa: S311 - chance, not a secret

CHECKOUT = "/mercato.v1.OrderService/Checkout"

INSERT_BUYERS = """
WITH buyer AS (
    INSERT INTO accounts (email, full_name, role, password_hash)
    SELECT 'buyer-' || number || '@example.com', 'Jo Doe', 'user', 'no login'
      FROM generate_series(1, $1::integer) AS number
    RETURNING id
)
INSERT INTO sessions (id, account_id, user_agent, ip_address, expires_at)
SELECT id, id, '', '', now() + interval '1 day' FROM buyer
RETURNING id
"""

INSERT_PRODUCTS = """
WITH product AS (
    INSERT INTO products (name, description, price_minor, currency_code, image_urls)
    SELECT 'Ball ' || number, '', $3, 'USD', '{}' FROM generate_series(1, $1::integer) AS number
    RETURNING id
), booked AS (
    INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) SELECT id, 'initial', $2, 'system' FROM product
)
INSERT INTO stock_levels (product_id, on_hand) SELECT id, $2 FROM product RETURNING product_id
"""

FILL_CARTS = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code, added_at)
SELECT account_id, id, $3, price_minor, currency_code, clock_timestamp()
  FROM unnest($1::uuid[]) AS account_id, unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, place)
  JOIN products USING (id)
 ORDER BY account_id, place
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Buyer:
    """A buyer with an account and a token."""

    id: uuid.UUID
    token: str

    def metadata(self, key: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call by the buyer."""
        return (("authorization", f"Bearer {self.token}"), *((("idempotency-key", key),) if key else ()))


@dataclass(frozen=True)
class Goods:
    """A database with buyers and products."""

    database_url: str
    buyers: Sequence[Buyer]
    product_ids: Sequence[uuid.UUID]


async def stock_up(database_url: str, *, buyers: int, products: int = 20, stock: int = 1_000_000) -> Goods:
    """Insert buyers and products directly, without signups, so that no password is hashed."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(SET_CURRENCY, "USD")
        accounts = await connection.fetch(INSERT_BUYERS, buyers)
        on_sale = await connection.fetch(INSERT_PRODUCTS, products, stock, PRICE_MINOR)
        await index_products(connection)
    finally:
        await connection.close()
    tokens = Tokens(Keyring.shared(SECRET, "HS256"), 24 * 60 * 60)
    return Goods(
        database_url,
        [Buyer(row["id"], tokens.issue(row["id"], row["id"])) for row in accounts],
        [row["product_id"] for row in on_sale],
    )


@dataclass
class Purchase:
    """A checkout with its key, as its buyer knows it."""

    buyer: Buyer
    key: str | None
    sent: int = 0
    unknown: int = 0
    """How often a call of it ended with an unknown outcome."""
    reply: bytes | None = None
    acknowledged_at: float | None = None
    """Time of the reply on the monotonic clock."""
    refusal: str | None = None
    """Code and reason, if it was refused with an error that is not retried."""
    cancelling: bool = False
    cancelled: bool = False
    quote: cart_pb2.Quote | None = None
    """The price that the buyer has agreed to."""

    @property
    def request(self) -> order_pb2.CheckoutRequest:
        """The checkout's request."""
        return order_pb2.CheckoutRequest(quote_id=self.quote.id if self.quote else "")

    @property
    def order(self) -> order_pb2.Order:
        """The order that the server acknowledged."""
        assert self.reply is not None
        return order_pb2.Order.FromString(self.reply)


@dataclass
class Tally:
    """The outcomes that all buyers have seen."""

    purchases: list[Purchase] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    """Number of failed calls by their errors."""
    texts: set[str] = field(default_factory=set)
    """The texts of errors that gRPC or Envoy raised, not Mercato."""
    replayed: int = 0
    """Acknowledged checkouts that were sent once more and had the same reply."""
    contradictions: list[str] = field(default_factory=list)

    def count(self, error: grpc.aio.AioRpcError) -> None:
        """Count a failed call."""
        self.codes[describe(error)] += 1
        if not call_error(error).reason:
            self.texts.add(str(error.details()))

    def begin(self, buyer: Buyer, *, keyed: bool = True, quote: cart_pb2.Quote | None = None) -> Purchase:
        """Record a checkout that is about to be sent."""
        purchase = Purchase(buyer, uuid.uuid4().hex if keyed else None, quote=quote)
        self.purchases.append(purchase)
        return purchase

    @property
    def acknowledged(self) -> list[Purchase]:
        return [purchase for purchase in self.purchases if purchase.reply is not None]

    @property
    def refused(self) -> Counter[str]:
        return Counter(purchase.refusal for purchase in self.purchases if purchase.refusal)

    @property
    def retried(self) -> int:
        return sum(max(purchase.sent - 1, 0) for purchase in self.purchases)

    @property
    def unknown(self) -> int:
        """Number of checkouts whose outcome was unknown for some time."""
        return sum(purchase.unknown > 0 for purchase in self.purchases)


def describe(error: grpc.aio.AioRpcError) -> str:
    """Return the code of an error and, if Mercato raised it, the reason."""
    known = call_error(error)
    return f"{known.code} {known.reason}".strip()


@dataclass(frozen=True)
class Habits:
    """How buyers behave."""

    timeout_s: float = CALL_S
    """Deadline of calls without their own."""
    replays: float = 0.1
    """Share of the acknowledged checkouts that are sent once more."""
    cancels: float = 0.1
    """Share of the orders that their buyer cancels."""
    think_s: tuple[float, float] = THINK_S
    """The shortest and the longest pause before the next purchase."""
    retry_s: tuple[float, float] = RETRY_S
    """The shortest and the longest pause before a call is sent again."""


USUAL = Habits()


class Market:
    """Buyers, and the stubs through which they reach the workers; a retry may go to another worker."""

    def __init__(self, goods: Goods, channels: Sequence[grpc.aio.Channel], tally: Tally, habits: Habits) -> None:
        self.goods = goods
        self.tally = tally
        self._habits = habits
        self.carts = [cart_pb2_grpc.CartServiceStub(channel) for channel in channels]
        self.orders = [order_pb2_grpc.OrderServiceStub(channel) for channel in channels]
        self.catalog = [catalog_pb2_grpc.CatalogServiceStub(channel) for channel in channels]
        self.payments = [payment_pb2_grpc.PaymentServiceStub(channel) for channel in channels]
        self._checkouts: list[Any] = [
            channel.unary_unary(CHECKOUT, request_serializer=order_pb2.CheckoutRequest.SerializeToString, response_deserializer=None)
            for channel in channels
        ]

    async def insist(self, stubs: Sequence[Any], method: str, request: Message, buyer: Buyer, key: str | None = None) -> Any:
        """Call until an answer; raises AioRpcError for an error that is not retried, or when patience ends."""
        last = time.monotonic() + INSISTENCE * patient()
        while True:
            try:
                return await getattr(dice.choice(stubs), method)(request, metadata=buyer.metadata(key), timeout=self._habits.timeout_s)
            except grpc.aio.AioRpcError as error:
                self.tally.count(error)
                if error.code() not in AGAIN or time.monotonic() > last:
                    raise
            await asyncio.sleep(dice.uniform(*self._habits.retry_s))

    async def fill(self, buyer: Buyer) -> None:
        """Put some products into the cart. Setting a line is idempotent."""
        for product_id in dice.sample(self.goods.product_ids, dice.randint(1, LINES_MAX)):
            request = cart_pb2.SetCartItemRequest(product_id=str(product_id), quantity=dice.randint(1, 2))
            await self.insist(self.carts, "SetCartItem", request, buyer)

    async def send(self, purchase: Purchase, timeout_s: float | None = None) -> bytes:
        """Send a checkout once; raises AioRpcError."""
        purchase.sent += 1
        call = dice.choice(self._checkouts)(
            purchase.request, metadata=purchase.buyer.metadata(purchase.key), timeout=timeout_s or self._habits.timeout_s
        )
        try:
            return bytes(await call)
        except grpc.aio.AioRpcError as error:
            self.tally.count(error)
            purchase.unknown += error.code() in UNKNOWN
            raise

    async def resolve(self, purchase: Purchase) -> None:
        """Send a checkout until its outcome is known; a checkout without a key is never sent again."""
        last = time.monotonic() + INSISTENCE * patient()
        while purchase.reply is None and purchase.refusal is None:
            try:
                reply = await self.send(purchase)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN or describe(error) == FINAL:
                    purchase.refusal = describe(error)
                elif purchase.key is None or time.monotonic() > last:
                    return
                await asyncio.sleep(dice.uniform(*self._habits.retry_s))
            else:
                purchase.reply, purchase.acknowledged_at = reply, time.monotonic()

    async def buy(self, buyer: Buyer, *, keyed: bool = True) -> Purchase:
        """Fill the cart and buy it."""
        await self.fill(buyer)
        purchase = self.tally.begin(buyer, keyed=keyed)
        await self.resolve(purchase)
        if purchase.key and purchase.reply and dice.random() < self._habits.replays:
            await self.replay(purchase)
        return purchase

    async def replay(self, purchase: Purchase) -> None:
        """Send an acknowledged checkout once more: the reply must be the same, byte for byte."""
        again = Purchase(purchase.buyer, purchase.key, quote=purchase.quote)
        await self.resolve(again)
        if again.reply == purchase.reply:
            self.tally.replayed += 1
        else:
            self.tally.contradictions.append(f"key {purchase.key} was answered {purchase.reply!r}, then {again.reply or again.refusal!r}")

    async def cancel(self, purchase: Purchase) -> None:
        """Cancel an order."""
        purchase.cancelling = True
        request = order_pb2.CancelOrderRequest(order_id=purchase.order.id)
        await self.insist(self.orders, "CancelOrder", request, purchase.buyer, uuid.uuid4().hex)
        purchase.cancelled = True

    async def trade(self) -> None:
        """Return once as many further checkouts were acknowledged as there are buyers."""
        wanted = len(self.tally.acknowledged) + len(self.goods.buyers)
        await until(lambda: len(self.tally.acknowledged) >= wanted, f"{wanted} orders are acknowledged")

    @asynccontextmanager
    async def crowd(self) -> AsyncIterator[None]:
        """Let all buyers shop during the block; after it each buyer knows the outcome of all its calls."""
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for buyer in self.goods.buyers:
                group.create_task(self._shop(buyer, closing))
            try:
                yield
            finally:
                closing.set()

    async def _shop(self, buyer: Buyer, closing: asyncio.Event) -> None:
        while not closing.is_set():
            purchase = await self.buy(buyer)
            if purchase.reply and dice.random() < self._habits.cancels:
                await self.cancel(purchase)
            await asyncio.sleep(dice.uniform(*self._habits.think_s))


@asynccontextmanager
async def market(goods: Goods, *targets: str, tally: Tally | None = None, habits: Habits = USUAL) -> AsyncIterator[Market]:
    """Open channels to workers, or to an edge in front of them, for a block.

    Args:
        goods: the rows of their database.
        targets: gRPC addresses; each call goes to one of them.
        tally: the counts to add to.
        habits: how the buyers behave.
    """
    channels = [open_channel(target) for target in targets]
    try:
        yield Market(goods, channels, tally or Tally(), habits)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def fill_carts(goods: Goods, buyers: Sequence[Buyer], product_ids: Sequence[uuid.UUID], quantity: int = 1) -> None:
    """Put the same lines in this order into the buyers' carts, which must have none of them."""
    connection = await asyncpg.connect(goods.database_url)
    try:
        await connection.execute(FILL_CARTS, [buyer.id for buyer in buyers], list(product_ids), quantity)
    finally:
        await connection.close()
