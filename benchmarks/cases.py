"""The calls that the benchmark measures, with the preparation and the check of each."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import goods
import http1
import http2
from goods import Cart, Goods
from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato_server.database.pool import Conn
from meter import Job, Outcome, Request
from stage import HOST, WORKER, Stage, generate
from worker import EMPTY

GRPC, REST = "gRPC", "REST"
OWN = "own client"
PAGE_SIZE = 20
_keys = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """Concurrency and duration of a measurement; checkouts end sooner if they run out of carts."""

    concurrency: int
    seconds: float
    rate: float | None = None
    """Requests per second over REST; without it, callers send as fast as they are answered."""
    together: asyncio.Barrier | None = None
    """A barrier for measurements that must begin at the same time, after all their carts are filled."""
    cores: tuple[int, ...] = ()
    """Cores of the load generator; any without."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement, and the processor time of each role."""

    outcome: Outcome
    cpu_s: dict[str, float]
    batch: float = 0.0
    """Orders per transaction that wrote a row."""
    driver: str = OWN


async def sell(conn: "Conn", carts: Sequence[Cart], generate: Callable[[], Awaitable[tuple[Outcome, dict[str, float]]]]) -> Run:
    """Fill the carts and run the checkouts; raises goods.Mismatch if the database has more or fewer orders than were answered."""
    await goods.fill(conn, carts)
    before, began = await goods.books(conn, carts), await goods.transactions(conn)
    outcome, cpu_s = await generate()
    orders, transactions = outcome.count - outcome.refused + outcome.unmeasured, await goods.transactions(conn) - began
    goods.require_placed(before, await goods.books(conn, carts), orders)
    return Run(outcome, cpu_s, orders / max(transactions, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call over gRPC or REST."""

    name: str
    way: str
    requests: Callable[[], Sequence[Request]]
    carts: Sequence[Cart] = ()
    """Carts that are filled before each round and checked after it."""
    places_orders: bool = False
    """Each request can be sent only once."""
    worker: str = WORKER
    """Name of the worker that answers gRPC."""
    refusal: str = ""
    """The gRPC status of a refusal that is a right answer too; none without."""

    def one(self) -> "Case":
        """Return the case reduced to its first request."""
        return replace(self, requests=lambda: self.requests()[:1])

    async def run(self, stage: Stage, conn: "Conn", load: Load) -> Run:
        """Measure once; raises goods.Mismatch if the database disagrees with the answers."""
        job = Job(
            protocol="h2" if self.way == GRPC else "http1",
            address=str(stage.workers[self.worker]) if self.way == GRPC else f"{HOST}:{stage.edge_port}",
            requests=self.requests(),
            concurrency=load.concurrency,
            seconds=load.seconds,
            repeatable=not self.carts,
            once=self.places_orders,
            rate=load.rate,
            cores=load.cores,
            refusal=self.refusal,
        )
        if self.places_orders:
            return await sell(conn, self.carts, lambda: generate(job, stage, load.together))
        if not self.carts:
            return Run(*await generate(job, stage, load.together))
        await goods.fill(conn, self.carts)
        before = await goods.books(conn, self.carts)
        outcome, cpu_s = await generate(job, stage, load.together)
        goods.require_added(before, await goods.books(conn, self.carts), outcome.count)
        return Run(outcome, cpu_s)


def get_product(way: str, wares: Goods) -> Case:
    """Return the case of reading a product."""
    return Case(name="GetProduct", way=way, requests=lambda: [_get(way, product_id) for product_id in wares.shown])


def list_products(way: str) -> Case:
    """Return the case of a page of products."""
    return Case(name=f"ListProducts({PAGE_SIZE})", way=way, requests=lambda: [_list(way)])


def get_cart(way: str, wares: Goods, *, readers: int | None = None) -> Case:
    """Return the case of reading a cart, that of each reader in turn or of the first ones only."""
    return Case(name="GetCart", way=way, requests=lambda: [_get_cart(way, cart) for cart in wares.readers[:readers]])


def add_cart_item(way: str, wares: Goods) -> Case:
    """Return the case of adding a unit to a cart."""
    return Case(name="AddCartItem", way=way, requests=lambda: _adds(way, wares.shoppers), carts=wares.shoppers)


def empty(size: int = 0, name: str = "empty RPC") -> Case:
    """Return the case of a constant answer of some size."""
    return Case(name=name, way=GRPC, requests=lambda: [http2.request(EMPTY, str(size).encode())])


def checkout(way: str, carts: Sequence[Cart], *, name: str = f"Checkout, {goods.LINES} lines", worker: str = WORKER) -> Case:
    """Return the case of buying each cart once."""
    return Case(
        name=name, way=way, requests=lambda: [_checkout(way, cart) for cart in carts], carts=carts, places_orders=True, worker=worker
    )


def _get(way: str, product_id: UUID) -> Request:
    if way == REST:
        return http1.request("GET", f"/products/{product_id}")
    message = catalog_pb2.GetProductRequest(product_id=str(product_id))
    return http2.request("/mercato.v1.CatalogService/GetProduct", message.SerializeToString())


def _list(way: str) -> Request:
    if way == REST:
        return http1.request("GET", f"/products?page_size={PAGE_SIZE}")
    message = catalog_pb2.ListProductsRequest(page_size=PAGE_SIZE)
    return http2.request("/mercato.v1.CatalogService/ListProducts", message.SerializeToString())


def _get_cart(way: str, cart: Cart) -> Request:
    headers = {"authorization": f"Bearer {cart.token}"}
    if way == REST:
        return http1.request("GET", "/cart", headers=headers)
    return http2.request("/mercato.v1.CartService/GetCart", cart_pb2.GetCartRequest().SerializeToString(), tuple(headers.items()))


def _adds(way: str, carts: Sequence[Cart]) -> list[Request]:
    """Return a request for each line of every cart that adds one unit; consecutive requests are for different carts."""
    return [_add(way, cart, cart.products[line]) for line in range(goods.LINES) for cart in carts]


def _add(way: str, cart: Cart, product_id: UUID) -> Request:
    headers = {"authorization": f"Bearer {cart.token}"}
    if way == REST:
        return http1.request("POST", f"/cart/add/{product_id}", headers=headers, body=json.dumps({"quantity": 1}).encode())
    message = cart_pb2.AddCartItemRequest(product_id=str(product_id), quantity=1)
    return http2.request("/mercato.v1.CartService/AddCartItem", message.SerializeToString(), tuple(headers.items()))


def _checkout(way: str, cart: Cart) -> Request:
    """Buy with an idempotency key, as our own client always does."""
    headers = {"authorization": f"Bearer {cart.token}", "idempotency-key": f"benchmark-{next(_keys)}"}
    if way == REST:
        return http1.request("POST", "/orders/checkout", headers=headers, body=b"{}")
    return http2.request("/mercato.v1.OrderService/Checkout", order_pb2.CheckoutRequest().SerializeToString(), tuple(headers.items()))
