"""A shop of two workers in this process, persons who call both, and reads of its visible and stored state."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from mercato.v1.cart_pb2 import Cart, GetCartRequest
from mercato.v1.catalog_pb2 import ListProductsRequest, Product
from mercato.v1.order_pb2 import ListAllOrdersRequest, ListOrdersRequest, Order
from mercato_server.composition import SERVICES
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Conn, small_pool
from mercato_server.store.verify import verify
from mercato_server.worker import running
from support.model import Model
from support.model_records import Answer, Call, predictable
from support.shop import CALL_S, Person, Shop, refusal

Result = TypeVar("Result")

KEPT = ("accounts", "sessions", "refresh_tokens", "signing_keys", "shop", "price_rules", "schema_migrations", "database_origin")
METHODS = {method.input_type.full_name: f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL($1::text[])"
"""Tables that must be empty before each example."""
LEDGER = "SELECT product_id::text, kind, delta, order_id::text FROM stock_ledger"
EVENTS = "SELECT kind, subject_id::text FROM events WHERE kind LIKE 'product.%' OR kind LIKE 'order.%'"
STOCK = "SELECT id::text, on_hand, deleted_at IS NULL FROM products JOIN stock_levels ON product_id = id"
KEYS = "SELECT scope_id::text, key, response FROM idempotency_keys"
ORDER_KEYS = "SELECT id::text, idempotency_key FROM orders"


@dataclass(frozen=True)
class Seen:
    """The visible state of the shop: products on sale and orders by id, carts by account."""

    products: dict[str, Product]
    orders: dict[str, Order]
    carts: dict[str, Cart]

    def differences(self, model: Model) -> list[str]:
        """Return a text for each difference from the model."""
        expected: dict[str, Message] = {product.id: product.message() for product in model.products.values() if product.on_sale}
        expected |= {order_id: order.message(order_id) for order_id, order in model.orders.items()}
        expected |= {account_id: model.cart_message(account_id) for account_id in self.carts}
        found = {name: predictable(message) for part in (self.products, self.orders, self.carts) for name, message in part.items()}
        wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        return [f"{name} is shown as: {found.get(name)!r}\nbut must be: {expected.get(name)!r}" for name in wrong]

    def note_etags(self, model: Model) -> None:
        """Check that etags and contents correspond one to one."""
        for product_id, product in self.products.items():
            model.etags.see(f"{product_id} {product.etag}", model.products[product_id].content)
        for account_id, cart in self.carts.items():
            model.etags.see(cart.etag, model.cart_content(account_id))


@dataclass
class Stage:
    """Two workers over one database, and persons who call them, all on a separate event loop."""

    runner: asyncio.Runner
    shops: list[Shop]
    admin: Person
    buyers: list[Person]
    outcomes: Counter[str] = field(default_factory=Counter)
    """Number of answers of each kind."""
    _turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def people(self) -> list[Person]:
        return [*self.buyers, self.admin]

    @property
    def shop(self) -> Shop:
        """One of the workers, in turn."""
        return self.shops[next(self._turns) % len(self.shops)]

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    async def empty(self) -> None:
        """Remove all rows except the persons' accounts and sessions."""
        tables = [row[0] for row in await self.shop.pool.fetch(TABLES, KEPT)]
        truncate = f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"
        await self.shop.pool.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {truncate}; COMMIT")  # no triggers

    async def send(self, calls: Sequence[Call]) -> list[Answer]:
        """Make all calls at once."""
        return await asyncio.gather(*(self._send(call) for call in calls))

    async def _send(self, call: Call) -> Answer:
        person = next(person for person in self.people if person.id == call.account_id)
        metadata = (*person.metadata, *((("idempotency-key", call.key),) if call.key else ()))
        method: Any = self.shop.channel.unary_unary(METHODS[call.request.DESCRIPTOR.full_name])
        sent = method(call.request.SerializeToString(), metadata=metadata, timeout=CALL_S)
        name = call.request.DESCRIPTOR.name.removesuffix("Request")
        try:
            raw = await sent
        except grpc.aio.AioRpcError:
            refused = await refusal(sent)
            self.outcomes[f"{name} {refused.reason}"] += 1
            return Answer(refusal=refused)
        replayed = ("idempotent-replayed", "true") in tuple(await sent.initial_metadata())
        self.outcomes[f"{name} {'replayed' if replayed else 'OK'}"] += 1
        return Answer(raw, replayed)

    async def look(self) -> Seen:
        """Read all products on sale, orders and carts."""
        shop = self.shop
        seen = asyncio.gather(*(shop.carts.GetCart(GetCartRequest(), metadata=buyer.metadata) for buyer in self.buyers))
        products = await shop.catalog.ListProducts(ListProductsRequest(page_size=100))
        orders = await shop.orders.ListAllOrders(ListAllOrdersRequest(page_size=100), metadata=self.admin.metadata)
        carts = await seen
        return Seen(
            {product.id: product for product in products.products},
            {order.id: order for order in orders.orders},
            {buyer.id: cart for buyer, cart in zip(self.buyers, carts, strict=True)},
        )

    async def differences(self, model: Model) -> list[str]:
        """Return the differences of the stored rows and of the buyers' lists of orders from the model, and the findings of `verify`."""
        pool = self.shop.pool
        ledger = await pool.fetch(LEDGER)
        units = Counter(dict.fromkeys(model.products, 0))
        for product_id, _, delta, _ in ledger:
            units[product_id] += delta
        stored = {
            "stock": {row[0]: tuple(row[1:]) for row in await pool.fetch(STOCK)},
            "sums of the ledger": units,
            "ledger": Counter(map(tuple, ledger)),
            "events": Counter(map(tuple, await pool.fetch(EVENTS))),
            "keys": {(scope_id, key): response for scope_id, key, response in await pool.fetch(KEYS)},
            "keys of orders": {row[0]: row[1] for row in await pool.fetch(ORDER_KEYS)},
            "orders by account": {buyer.id: await self._orders(buyer) for buyer in self.buyers},
            "findings": await self.findings(),
        }
        expected = {
            "stock": {product.id: (product.stock, product.on_sale) for product in model.products.values()},
            "sums of the ledger": {product.id: product.stock for product in model.products.values()},
            "ledger": model.ledger,
            "events": model.events,
            "keys": {place: raw for place, (_, raw) in model.keys.items()},
            "keys of orders": {order_id: order.key for order_id, order in model.orders.items()},
            "orders by account": {buyer.id: model.orders_of(buyer.id) for buyer in self.buyers},
            "findings": [],
        }
        return [f"{name}: {found}\nbut must be: {expected[name]}" for name, found in stored.items() if found != expected[name]]

    async def _orders(self, buyer: Person) -> list[str]:
        listed = await self.shop.orders.ListOrders(ListOrdersRequest(page_size=100), metadata=buyer.metadata)
        return [order.id for order in listed.orders]

    async def findings(self) -> list[str]:
        """Return the findings of `verify`."""
        async with self.shop.pool.acquire() as conn:
            return await findings(conn)


async def findings(conn: "Conn") -> list[str]:
    """Return the findings of `verify` as text."""
    return [f"{finding.invariant.name}: {finding.examples}" for finding in await verify(conn) if finding.violations]


@contextmanager
def staged(settings: Settings) -> Iterator[Stage]:
    # A separate loop that does not become the thread's, because the database was made on pytest-asyncio's loop, which must stay.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(_opened(stack, runner, settings))
        finally:
            runner.run(stack.aclose())


async def _opened(stack: AsyncExitStack, runner: asyncio.Runner, settings: Settings) -> Stage:
    pool = await stack.enter_async_context(small_pool(settings.database_url))
    shops = []
    for batch_max in (64, 1):
        # A worker's cache may be 250 ms behind the other worker; the model is always current.
        own = replace(settings, batch_max=batch_max, cached_products=0, access_token_expire_minutes=24 * 60)
        _, [port] = await stack.enter_async_context(running(own))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        shops.append(Shop(channel, pool))
    return Stage(runner, shops, await shops[0].person(admin=True), [await shops[0].person() for _ in range(3)])
