"""The peer of the benchmarks answers as Mercato does and keeps the same promises, so that the two can be compared."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest

import goods
import peer_stage
from mercato_server.database import migrations
from mercato_server.database.pool import SET_CURRENCY, Conn
from mercato_server.store.verify import verify
from stage import stage
from support import needs
from support.databases import index_products
from support.rest_client import Client, Reply

if not peer_stage.installed():
    needs.PEER.skip(module=True)

Result = TypeVar("Result")

PRODUCTS = 45
PAGE = 5
"""Two pages hold only products that no test buys, because a sale gives a product different times in the two shops."""
PEOPLE = 120
CACHED_S = 3_600.0
"""Longer than the tests run, so that a changed answer shows what the peer has forgotten."""
CATEGORY = UUID(int=1)
NOT_OF_THE_PEER = frozenset({
    "needs_delivery", "tax_category", "weight_grams", "missing", "number", "contact_email", "note", "quote_id",
    "slug", "group_id", "options", "options_text", "pictures", "description_html", "groups", "facets",
})  # fmt: skip
"""Fields of delivery, tax, variants, pictures and slugs, and the names of orders, which the peer does not have."""

# Ids above all others, so that these are the newest products, and times that are the same in both databases.
MAKE_PRODUCTS = """
WITH category AS (
    INSERT INTO categories (id, name) VALUES ($2, 'Balls of the test') RETURNING id
), made AS (
    INSERT INTO products (id, name, description, price_minor, category_id, sku, currency_code, image_urls, created_at, updated_at)
    SELECT ('ffffffff-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, 'Ball ' || number, 'Größe ' || number, 100 * number,
           CASE WHEN number % 2 = 0 THEN (SELECT id FROM category) END, CASE WHEN number % 3 = 0 THEN 'BALL-' || number END, 'USD',
           ARRAY['https://images.example.com/' || number], timestamptz '2026-01-01 00:00:00.123456Z' + number * interval '1 s',
           timestamptz '2026-01-02 00:00:00Z'
      FROM generate_series(1, $1::integer) AS number
    RETURNING id
), booked AS (
    INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) SELECT id, 'initial', 7, 'system' FROM made
)
INSERT INTO stock_levels (product_id, on_hand, updated_at) SELECT id, 7, timestamptz '2026-01-02 00:00:00Z' FROM made
"""

SET_PRICE = "UPDATE products SET price_minor = $2, version = version + 1 WHERE id = $1"
DELETE_PRODUCT = "UPDATE products SET deleted_at = now() WHERE id = $1"
END_SESSION = "UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE account_id = $1"

GET_BOOKS = """
SELECT (SELECT count(*) FROM orders JOIN order_items ON order_id = id WHERE product_id = $1) AS orders,
       (SELECT on_hand FROM stock_levels WHERE product_id = $1) AS stock,
       (SELECT sum(delta) FROM stock_ledger WHERE product_id = $1)::integer AS ledger,
       (SELECT count(*) FROM order_history JOIN order_items USING (order_id) WHERE product_id = $1) AS history
"""


@dataclass
class Shop:
    """A server, its database, and buyers with tokens."""

    port: int
    database_url: str
    runner: asyncio.Runner
    people: list[goods.Cart] = field(default_factory=list)

    def ask(self, question: Callable[[Conn], Awaitable[Result]]) -> Result:
        async def connected() -> Result:
            conn = await asyncpg.connect(self.database_url)
            try:
                return await question(conn)
            finally:
                await conn.close()

        return self.runner.run(connected())

    def execute(self, statement: str, *arguments: Any) -> None:
        self.ask(lambda conn: conn.execute(statement, *arguments))

    @property
    def anyone(self) -> Client:
        return Client(self.port)

    def buyer(self, number: int) -> Client:
        person = self.people[number]
        return Client(self.port, person.token, str(person.account_id))


@dataclass
class Both:
    """Mercato and the peer, with the same products and buyers."""

    mercato: Shop
    peer: Shop
    cached: Shop
    """The peer with a cache, on the database of the peer without one."""

    def __iter__(self) -> Iterator[Shop]:
        return iter((self.mercato, self.peer))

    def answers(self, call: Callable[[Shop], Reply]) -> list[Reply]:
        return [call(shop) for shop in self]

    def agree(self, call: Callable[[Shop], Reply], *, status: int = 200) -> Any:
        """Check that both answers are equal except the ids and times of orders; return the answer."""
        mercato, peer = self.answers(call)
        assert (mercato.status, peer.status) == (status, status), f"{mercato} {peer}"
        assert peer.headers["content-type"] == mercato.headers["content-type"]
        assert alike(peer.json) == alike(mercato.json)
        return peer.json


def alike(answer: Any) -> Any:
    """Replace the values that must differ between two shops, and drop the fields that only Mercato has."""
    answer = {
        name: [alike(entry) if isinstance(entry, dict) else entry for entry in value] if isinstance(value, list) else value
        for name, value in answer.items()
        if name not in NOT_OF_THE_PEER
    }
    if "history" not in answer:
        return {name: value for name, value in answer.items() if name != "next_page_token"}
    return {
        **answer,
        "id": "",
        "create_time": "",
        "update_time": "",
        "history": [{**step, "create_time": ""} for step in answer["history"]],
    }


def product_id(number: int) -> UUID:
    return UUID(f"ffffffff-0000-7000-8000-{number:012}")


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with tempfile.TemporaryDirectory(prefix="mercato-peer-") as name, asyncio.Runner() as runner:
        directory, stack = Path(name), AsyncExitStack()
        directory.chmod(0o711)
        try:
            yield runner.run(opened(stack, runner, directory))
        finally:
            runner.run(stack.aclose())
        assert [(directory / "log" / name).read_text() for name in ("peer.log", "cached-peer.log")] == ["", ""]


async def opened(stack: AsyncExitStack, runner: asyncio.Runner, directory: Path) -> Both:
    running = await stack.enter_async_context(stage(directory))
    conn = await asyncpg.connect(running.database_url)
    await conn.execute("CREATE DATABASE peer")
    name = await conn.fetchval("SELECT current_database()")
    await conn.close()
    own = running.database_url.replace(f"/{name}?", "/peer?")
    assert own != running.database_url
    await migrations.migrate(own)
    peer = await stack.enter_async_context(peer_stage.running(running, own))
    cached = await stack.enter_async_context(peer_stage.running(running, own, cached_s=CACHED_S))
    shops = Both(
        Shop(running.edge_port, running.database_url, runner), *(Shop(each.direct.edge_port, own, runner) for each in (peer, cached))
    )
    for shop in shops:
        conn = await asyncpg.connect(shop.database_url)
        await conn.execute(SET_CURRENCY, "USD")
        await conn.execute(MAKE_PRODUCTS, PRODUCTS, CATEGORY)
        await index_products(conn)
        shop.people = await goods.make_carts(conn, running.secret_key, 1, [()] * PEOPLE)
        await conn.close()
    shops.cached.people = shops.peer.people
    return shops


def get(product: int) -> Callable[[Shop], Reply]:
    return lambda shop: shop.anyone.get(f"/products/{product_id(product)}")


def add(number: int, product: int, quantity: int = 1) -> Callable[[Shop], Reply]:
    return lambda shop: shop.buyer(number).post(f"/cart/add/{product_id(product)}", {"quantity": quantity})


def checkout(number: int, key: str = "") -> Callable[[Shop], Reply]:
    headers = [("idempotency-key", key)] if key else []
    return lambda shop: shop.buyer(number).post("/orders/checkout", {}, headers)


def at_once(shop: Shop, calls: list[Callable[[Shop], Reply]]) -> list[Reply]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call, shop) for call in calls]]


def test_a_product_looks_the_same(both: Both) -> None:
    for number in (1, 2, 3):
        assert both.agree(get(number))["name"] == f"Ball {number}"


def test_a_list_has_the_same_pages(both: Both) -> None:
    first = both.answers(lambda shop: shop.anyone.get("/products", page_size=PAGE))
    assert alike(first[0].json) == alike(first[1].json)
    assert first[0].json["products"][0]["id"] == str(product_id(PRODUCTS))
    tokens = dict(zip((shop.port for shop in both), (reply.json["next_page_token"] for reply in first), strict=True))
    second = both.agree(lambda shop: shop.anyone.get("/products", page_size=PAGE, page_token=tokens[shop.port]))
    assert second["products"][0]["id"] == str(product_id(PRODUCTS - PAGE))


def test_a_cart_and_its_order_are_the_same(both: Both) -> None:
    both.agree(add(0, 11, 2))
    both.agree(add(0, 12))
    cart = both.agree(add(0, 11))
    assert [line["quantity"] for line in cart["lines"]] == [3, 1]
    order = both.agree(checkout(0), status=201)
    assert order["total"] == {"currency_code": "USD", "minor_units": "4500"}


def test_a_cart_warns_of_the_same_changes(both: Both) -> None:
    both.agree(add(1, 13, 9))
    both.agree(add(1, 14))
    for shop in both:
        shop.execute(SET_PRICE, product_id(13), 5)
        shop.execute(DELETE_PRODUCT, product_id(14))
        shop.ask(index_products)
    cart = both.agree(add(1, 15))
    assert [[warning["code"] for warning in line["warnings"]] for line in cart["lines"]] == [
        ["CART_WARNING_CODE_FEWER_LEFT", "CART_WARNING_CODE_PRICE_CHANGED"],
        ["CART_WARNING_CODE_PRODUCT_GONE"],
        [],
    ]


@pytest.mark.parametrize(
    ("status", "reason", "call"),
    [
        (404, "PRODUCT_NOT_FOUND", get(999)),
        (404, "PRODUCT_NOT_FOUND", add(2, 999)),
        (400, "INVALID_FIELD", lambda shop: shop.anyone.get("/products/1")),
        (400, "INVALID_FIELD", add(2, 20, 1001)),
        (400, "PAGE_TOKEN_INVALID", lambda shop: shop.anyone.get("/products", page_token="AAAA")),
        (401, "TOKEN_INVALID", lambda shop: shop.anyone.post("/orders/checkout", {})),
        (401, "TOKEN_INVALID", lambda shop: Client(shop.port, shop.people[2].token + "x").post("/orders/checkout", {})),
        (400, "CART_EMPTY", checkout(2)),
    ],
)
def test_both_refuse_alike(both: Both, status: int, reason: str, call: Callable[[Shop], Reply]) -> None:
    assert [(reply.status, reply.reason) for reply in both.answers(call)] == [(status, reason)] * 2


def test_a_caller_without_a_live_session_changes_nothing(both: Both) -> None:
    for shop in both:
        shop.execute(END_SESSION, shop.people[3].account_id)
    assert [reply.reason for call in (add(3, 20), checkout(3)) for reply in both.answers(call)] == ["TOKEN_INVALID"] * 4


def test_products_out_of_stock_are_named_and_nothing_is_sold(both: Both) -> None:
    for product, quantity in ((21, 8), (22, 7)):
        both.agree(add(4, product, quantity))
    mercato, peer = both.answers(checkout(4))
    assert (peer.status, peer.reason, peer.json["message"]) == (mercato.status, mercato.reason, mercato.json["message"])
    assert peer.reason == "OUT_OF_STOCK"
    for shop in both:
        assert shop.anyone.get(f"/products/{product_id(22)}").json["stock"] == 7


def test_a_repeated_key_gives_the_order_again_and_another_request_does_not_get_it(both: Both) -> None:
    both.agree(add(5, 23))
    for shop in both:
        once, again = checkout(5, "a key")(shop), checkout(5, "a-key")(shop)
        assert (once.status, once.reason) == (400, "INVALID_FIELD")
        assert again.status == 201
        assert checkout(5, "a-key")(shop).json == again.json
        buyer = shop.buyer(5)
        other = buyer.post(f"/cart/add/{product_id(23)}", {"quantity": 1}, [("idempotency-key", "a-key")])
        assert (other.status, other.reason) == (400, "IDEMPOTENCY_KEY_REUSED")


def test_one_key_used_at_once_buys_once(both: Both) -> None:
    both.agree(add(6, 24))
    for shop in both:
        replies = at_once(shop, [checkout(6, "at-once")] * 5)
        assert {reply.status for reply in replies} == {201}
        assert len({reply.json["id"] for reply in replies}) == 1


def test_twenty_buyers_at_once_buy_exactly_the_stock(both: Both) -> None:
    buyers = range(10, 30)
    for number in buyers:
        both.agree(add(number, 30))
    for shop in both:
        replies = at_once(shop, [checkout(number, f"hot-{number}") for number in buyers])
        assert Counter(reply.status for reply in replies) == {201: 7, 400: 13}
        assert {reply.reason for reply in replies if reply.status == 400} == {"OUT_OF_STOCK"}
        [books] = shop.ask(lambda conn: conn.fetch(GET_BOOKS, product_id(30)))
        assert tuple(books) == (7, 0, 0, 7)


def test_buyers_of_the_same_products_in_any_order_do_not_deadlock(both: Both) -> None:
    buyers = range(40, 47)
    for number in buyers:
        for product in (31, 32, 33) if number % 2 else (33, 32, 31):
            both.agree(add(number, product), status=200)
    for shop in both:
        replies = at_once(shop, [checkout(number) for number in buyers])
        assert {reply.status for reply in replies} == {201}


def test_a_cached_answer_is_that_of_the_peer_without_a_cache(both: Both) -> None:
    calls: list[Callable[[Shop], Reply]] = [get(4), lambda shop: shop.anyone.get("/products", page_size=PAGE)]
    for call in calls:
        assert [call(shop).body for shop in (both.cached, both.cached)] == [call(both.peer).body] * 2
    both.peer.execute(SET_PRICE, product_id(4), 1)
    both.peer.ask(index_products)
    assert get(4)(both.cached).json["price"] == {"currency_code": "USD", "minor_units": "400"}  # it was kept


def test_the_peer_with_a_cache_forgets_the_products_and_pages_that_it_has_sold_from(both: Both) -> None:
    def shown() -> list[int]:
        page = both.cached.anyone.get("/products", page_size=PRODUCTS).json["products"]
        return [get(35)(both.cached).json["stock"], *(each["stock"] for each in page if each["id"] == str(product_id(35)))]

    assert shown() == [7, 7]
    assert add(60, 35, 2)(both.cached).status == 200
    assert checkout(60, "cached")(both.cached).status == 201
    assert shown() == [5, 5]
    assert checkout(60, "cached")(both.cached).status == 201  # the stored answer, which sells nothing


def test_the_books_of_both_hold_every_invariant(both: Both) -> None:
    both.agree(add(50, 34))
    both.agree(checkout(50, "books"), status=201)
    for shop in both:
        findings = shop.ask(invariants)
        assert [f"{finding.invariant.name}: {finding.examples}" for finding in findings if finding.violations] == []


async def invariants(conn: Conn) -> Any:
    return await verify(conn)
