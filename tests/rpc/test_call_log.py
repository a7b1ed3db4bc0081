"""The log of calls: a line for each, but for most reads that went well; it has the work of the database, and no secret."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import structlog
from google.protobuf.message import Message
from structlog.typing import EventDict

from mercato.v1.auth_pb2 import LoginRequest
from mercato.v1.cart_pb2 import ClearCartRequest
from mercato.v1.catalog_pb2 import GetProductRequest
from mercato.v1.order_pb2 import CheckoutRequest, GetOrderRequest
from mercato.v1.user_pb2 import GetMeRequest
from mercato_server.config.holding import Holding
from mercato_server.config.log_settings import LogSettings
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.rpc import call_log
from mercato_server.worker import Worker
from rpc.test_statement_counts import FILL_CART, ROWS, answer, counted, for_admins, scene
from support.patience import until
from support.shop import CALL_S, Person, Shop, open_worker, refusal

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIELDS = {"event", "log_level", "method", "code", "request_id", "trace_id", "account_id", "ms", "statements", "statement_ms", "batch_size",
          "from_memory"}  # fmt: skip
LOOKUPS = ("set_config('jit'", "typeinfo_tree")
"""Parts of the statements by which asyncpg looks up a type when a connection first uses it."""
LEAST_SECRET = 5
"""Shorter values of a request, such as the code of a country, may be in a line by chance."""


@contextmanager
def at_level(level: str) -> Iterator[list[EventDict]]:
    """Yield the entries of the log during the block, of this level and above."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    try:
        with structlog.testing.capture_logs() as entries:
            yield entries
    finally:
        structlog.reset_defaults()


def lines_of(entries: Sequence[EventDict], rpc: str = "") -> list[EventDict]:
    """Return the lines about calls, or about those of one RPC."""
    return [entry for entry in entries if entry["event"] == "call" and entry["method"].endswith(rpc)]


def texts(message: Message) -> Iterator[str]:
    """Yield the texts of a message that a line must not have; ids of things are no secrets."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        for each in value if field.is_repeated else [value]:
            if isinstance(each, Message):
                yield from texts(each)
            elif isinstance(each, str | bytes):
                yield each.decode(errors="ignore") if isinstance(each, bytes) else each


def secret_texts(*messages: Message) -> set[str]:
    return {text for message in messages for text in texts(message) if len(text) >= LEAST_SECRET and not is_id(text)}


def without_lookups(sent: Sequence[str]) -> int:
    return sum(not any(part in statement for part in LOOKUPS) for statement in sent)


def is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


async def test_a_line_of_any_rpc_has_its_statements_and_nothing_that_was_sent_or_answered(settings: Settings, pool: "Pool") -> None:
    sent_messages: list[Message] = []
    async with counted(replace(settings, cached_products=0), pool) as (shop, sent):
        at = await scene(shop, 1)
        with at_level("debug") as entries:
            for row in ROWS:
                await pool.execute(FILL_CART, at.buyer.id)
                entries.clear()
                sent.clear()
                reply = await answer(shop, at, row)
                statements = without_lookups(sent)
                [line] = lines_of(entries, f"/{row.rpc}")
                assert line.keys() <= FIELDS, row.label
                assert line["statements"] == statements, row.label
                assert (line["statement_ms"] > 0) == (statements > 0), row.label
                assert (line["code"] == "OK") == (not row.reason), row.label
                caller: Person = at.admin if for_admins(row.rpc) else getattr(at, row.by)
                assert line.get("account_id") in (None, caller.id), row.label
                request = row.request(at) if row.request else None
                messages = [each for each in (request, reply) if isinstance(each, Message)]
                sent_messages += messages
                private = {*secret_texts(*messages), caller.token, caller.token.rpartition(".")[2], caller.refresh_token, caller.email}
                private |= {row.key} if row.key else set()
                written = json.dumps([{name: value for name, value in each.items() if name != "method"} for each in entries], default=str)
                assert [each for each in private if each and each in written] == [], row.label
    assert len(secret_texts(*sent_messages)) > 100


PRIVATE = ("jo.private@example.com", "a-private-password-1", "Private Road 7", "4242424242424242", "a private note")


async def test_a_line_of_a_refused_call_has_nothing_of_the_request_either(settings: Settings, pool: "Pool") -> None:
    with at_level("debug") as entries:
        async with open_worker(settings, pool) as (_, shop):
            jo = await shop.person()
            for private in PRIVATE:
                await refusal(shop.auth.Login(LoginRequest(email=private, password=private), timeout=CALL_S))
                await refusal(shop.orders.GetOrder(GetOrderRequest(order_id=private), metadata=jo.metadata))
                bad = (("authorization", f"Bearer {private}"), ("idempotency-key", private))
                await refusal(shop.orders.Checkout(CheckoutRequest(), metadata=bad))
    assert len(lines_of(entries)) == 3 * len(PRIVATE)
    assert [private for private in PRIVATE if private in json.dumps(entries, default=str)] == []


async def test_a_line_names_the_request_the_trace_and_the_account(settings: Settings, pool: "Pool") -> None:
    with at_level("info") as entries:
        async with open_worker(settings, pool) as (_, shop):
            jo = await shop.person()
            ids = (("x-request-id", 'a "quoted" id'), ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
            await shop.users.GetMe(GetMeRequest(), metadata=(*jo.metadata, *ids))
            await shop.carts.ClearCart(ClearCartRequest(), metadata=(*jo.metadata, ("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01")))
    [read] = lines_of(entries, "/GetMe")
    assert (read["request_id"], read["trace_id"], read["account_id"]) == ('a "quoted" id', TRACE, jo.id)
    assert (read["method"], read["code"], read["log_level"]) == ("/mercato.v1.UserService/GetMe", "OK", "info")
    [write] = lines_of(entries, "/ClearCart")
    assert "trace_id" not in write
    assert is_id(write["request_id"])


def sampled(settings: Settings, reads_per_line: int, **limits: Any) -> Settings:
    return replace(settings, log=LogSettings(reads_per_line=reads_per_line), limits=Limits(timeout_s=CALL_S, slow_call_s=CALL_S, **limits))


@pytest.mark.parametrize(("reads_per_line", "lines"), [(0, 0), (1, 7), (3, 3), (100, 1)])
async def test_so_many_reads_leave_one_line_and_each_write_one(settings: Settings, pool: "Pool", reads_per_line: int, lines: int) -> None:
    with at_level("info") as entries:
        async with open_worker(sampled(settings, reads_per_line), pool) as (worker, shop):
            admin = await shop.person(admin=True)
            product = await shop.product(admin)
            await until(lambda: worker.parts.listener.current)
            await shop.stock(product)
            entries.clear()
            for _ in range(7):
                await shop.users.GetMe(GetMeRequest(), metadata=admin.metadata)
                await shop.carts.ClearCart(ClearCartRequest(), metadata=admin.metadata)
                await refusal(shop.orders.GetOrder(GetOrderRequest(order_id="x"), metadata=admin.metadata))
    found = Counter((line["method"].rpartition("/")[2], line["code"]) for line in lines_of(entries) if "Product" not in line["method"])
    assert found == Counter({("GetMe", "OK"): lines, ("ClearCart", "OK"): 7, ("GetOrder", "INVALID_ARGUMENT"): 7})


async def test_answers_from_memory_are_sampled_with_the_other_reads_of_their_rpc(settings: Settings, pool: "Pool") -> None:
    with at_level("info") as entries:
        async with open_worker(sampled(settings, 5), pool) as (worker, shop):
            product = await shop.product(await shop.person(admin=True))
            request = GetProductRequest(product_id=product.id)
            calls = 0

            async def read() -> int:
                nonlocal calls
                for _ in range(5):
                    await shop.catalog.GetProduct(request, metadata=(("x-request-id", "a-read"),))
                calls += 5
                return worker.parts.calls.counts.cached["/mercato.v1.CatalogService/GetProduct"]

            from_memory = await until(read)
    lines = lines_of(entries, "/GetProduct")
    assert len(lines) == calls // 5, "of the first, the sixth, and so on"
    assert {line["request_id"] for line in lines} == {"a-read"}
    assert {line.get("from_memory") for line in lines} <= {None, True}
    assert sum(line.get("from_memory", False) for line in lines) >= from_memory - calls // 5 * 4, "of five calls, four have no line"


@pytest.mark.parametrize(("level", "found"), [("warning", {"OK": 1}), ("error", {})])
async def test_a_slow_call_is_a_warning_and_the_level_leaves_out_the_others(
    settings: Settings, pool: "Pool", level: str, found: dict[str, int]
) -> None:
    slow = replace(settings, limits=Limits(timeout_s=CALL_S, slow_call_s=0.0))
    with at_level(level) as entries:
        async with open_worker(slow, pool) as (_, shop):
            await shop.users.GetMe(GetMeRequest(), metadata=(await shop.person()).metadata)
    assert Counter(line["code"] for line in lines_of(entries)) == found
    assert all(line["log_level"] == "warning" for line in lines_of(entries))


async def test_calls_that_went_well_leave_a_bounded_number_of_lines_and_the_others_are_counted(settings: Settings, pool: "Pool") -> None:
    with at_level("info") as entries:
        async with open_worker(sampled(settings, 1, log_lines_of_successes=3, log_period_s=3600), pool) as (_, shop):
            jo = await shop.person()
            for _ in range(5):
                await shop.carts.ClearCart(ClearCartRequest(), metadata=jo.metadata)
    assert len(lines_of(entries, "/ClearCart")) == 3
    assert [(line["kind"], line["calls"]) for line in entries if line["event"] == "more calls ended so"] == [("OK", 2)]


async def test_a_call_that_is_shed_leaves_a_line(settings: Settings, pool: "Pool") -> None:
    with at_level("info") as entries:
        async with open_worker(replace(settings, holding=Holding(calls_per_client=0)), pool) as (_, shop):
            metadata = (("x-client-address", "192.0.2.1"),)
            assert (await refusal(shop.catalog.GetProduct(GetProductRequest(product_id=str(uuid.uuid4())), metadata=metadata))).reason
    [line] = lines_of(entries)
    assert (line["code"], line["statements"]) == ("RESOURCE_EXHAUSTED", 0)


BUYERS = 12


async def test_calls_of_one_batch_have_its_size_and_its_statements(settings: Settings, pool: "Pool") -> None:
    with at_level("info") as entries:
        async with open_worker(replace(settings, pool_size=1), pool) as (worker, shop):
            sent: list[str] = []
            await worker.parts.supervisor.stop()
            async with worker.parts.pool.acquire() as conn:
                conn.add_query_logger(lambda query: sent.append(query.query))
            admin = await shop.person(admin=True)
            product = await shop.product(admin, stock=1_000)
            buyers = [await shop.person() for _ in range(BUYERS)]
            for buyer in buyers:
                await shop.add(buyer, product)
            sent.clear()
            entries.clear()
            await at_once(worker, shop, buyers)
            statements = without_lookups(sent)
    lines = lines_of(entries, "/Checkout")
    assert [line["code"] for line in lines] == ["OK"] * BUYERS
    sizes = Counter(line["batch_size"] for line in lines)
    assert all(calls % size == 0 for size, calls in sizes.items()), sizes
    assert max(sizes) > 1, "no two of them shared a batch"
    assert sum(Fraction(line["statements"], line["batch_size"]) for line in lines) == statements


async def at_once(worker: Worker, shop: Shop, buyers: Sequence[Person]) -> None:
    """Let all buyers check out while the worker's only connection waits for a lock, so that those after the first batch share one."""
    async with shop.pool.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE carts, cart_items IN ACCESS EXCLUSIVE MODE")
        orders = [asyncio.ensure_future(shop.checkout(buyer)) for buyer in buyers]
        await until(lambda: worker.parts.calls.in_flight == len(buyers))
    await asyncio.gather(*orders)


@pytest.mark.parametrize(("every", "chosen"), [(0, []), (1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6]), (100, [0])])
def test_a_sample_has_the_first_of_so_many(every: int, chosen: list[int]) -> None:
    sample = call_log.Sample(every)
    assert [number for number in range(7) if sample.take()] == chosen


@pytest.mark.parametrize("request_id", ["plain-1", 'a "quote"', "back\\slash", "ümlaut", "line\nbreak", "\x00\x1f", "{}", "\u2028"])
def test_a_request_id_is_escaped_as_json_wants_it(request_id: str) -> None:
    assert json.loads(call_log._quoted(request_id)) == request_id
    assert "\n" not in call_log._quoted(request_id)
