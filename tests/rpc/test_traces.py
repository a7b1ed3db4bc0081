"""Traces of calls and of the work that they cause, as a collector gets them by OTLP over gRPC."""

import asyncio
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import asyncpg
import grpc
import pytest
import structlog
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import NoOpTracer

from mercato.v1 import auth_pb2, cart_pb2, catalog_pb2, order_pb2, shop_pb2, user_pb2
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server.composition import StartupError
from mercato_server.config.settings import Settings
from mercato_server.config.trace_settings import TraceSettings
from mercato_server.database.pool import Pool, small_pool
from mercato_server.database.work import current_work
from mercato_server.domain.mails import Template
from mercato_server.handlers.shop import ShopHandler
from mercato_server.store import mails
from mercato_server.tracing.export import FLUSH_S, QUIT_S, Export
from mercato_server.tracing.spans import SPANS_MAX, TraceIds, Tracer
from mercato_server.worker import running
from support.collector import Collector, collecting
from support.error_examples import MAKE
from support.mail_server import PostOffice
from support.market import buyer_of, market
from support.patience import patient, until
from support.shop import CALL_S, SECRET, Refusal, Shop, open_worker, refusal, worker
from support.tax_provider import Office

CHECKOUT = "mercato.v1.OrderService/Checkout"
GET_SHOP = "mercato.v1.ShopService/GetShop"
ALWAYS = TraceSettings(ratio=1.0)
CALLER = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
"""The example of W3C Trace Context, section 3.2."""
TRACEPARENT = f"00-{CALLER[0]}-{CALLER[1]}-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=our%20shop")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


@pytest.fixture
def tracing(settings: Settings, collector: Collector) -> Settings:
    """Settings of a worker that records every trace."""
    return replace(settings, tracing=ALWAYS)


@pytest.fixture
async def traced(tracing: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    async with worker(tracing, pool) as shop:
        yield shop


def stranger() -> tuple[tuple[str, str], ...]:
    return (("traceparent", TRACEPARENT),)


async def test_concurrent_checkouts_share_one_batch_which_is_linked_with_each_of_them(
    tracing: Settings, pool: "Pool", database: str, collector: Collector
) -> None:
    async with open_worker(tracing, pool) as (running, shop):
        admin = await shop.person(admin=True)
        ball = await shop.product(admin)
        buyers = [await shop.person() for _ in range(4)]
        for buyer in buyers:
            await shop.add(buyer, ball)
        async with small_pool(database) as other, other.acquire() as blocker, blocker.transaction():
            await blocker.execute("SELECT FROM stock_levels FOR UPDATE")
            first = asyncio.ensure_future(shop.checkout(buyers[0]))
            await until(lambda: blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"), "the first checkout waits")
            others = [asyncio.ensure_future(shop.checkout(buyer)) for buyer in buyers[1:]]
            await until(lambda: len(running.parts.coalescers["checkout"]._queue) == 3, "the others wait for it")
        await asyncio.gather(first, *others)

    [batch] = [span for span in collector.named("batch of checkout") if span.attributes["mercato.batch.calls"] == 3]
    calls = [span for span in collector.named(CHECKOUT) if batch.place in span.links]
    assert len(calls) == 3
    assert sorted(batch.links) == sorted(span.place for span in calls)
    [leader] = [span for span in calls if span.trace_id == batch.trace_id]
    assert [span.name for span in collector.below(leader)] == ["authentication", "parse", "handler"]
    assert collector.below(collector.below(leader)[2]) == [batch]
    below = collector.below(batch)
    assert [span.name for span in below] == ["BEGIN", "LOCK_CARTS", "PLACE_PLAIN_ORDERS", "COMMIT"]
    assert {span.kind for span in below} == {"CLIENT"}
    assert below[1].attributes["db.query.summary"] == "LOCK_CARTS"
    assert str(below[1].attributes["db.query.text"]).startswith("WITH call AS (")
    assert all(len(str(value)) <= ALWAYS.text_max for span in collector.spans for value in span.attributes.values())


async def test_a_span_of_a_call_has_the_attributes_of_the_conventions(traced: Shop, collector: Collector) -> None:
    error = await refusal(traced.orders.GetOrder(order_pb2.GetOrderRequest(order_id="x"), metadata=stranger()))
    [span] = await collector.until("mercato.v1.OrderService/GetOrder")
    assert span.kind == "SERVER"
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "mercato.v1.OrderService",
        "rpc.method": "GetOrder",
        "rpc.grpc.status_code": error.code.name,
        "error.type": error.reason,
    }
    assert not span.failed, "the fault is the caller's"
    assert (span.resource["service.name"], span.resource["deployment.environment.name"]) == ("mercato", "test")
    assert collector.metadata[0]["x-tenant"] == "our shop"


async def test_a_call_of_a_stranger_begins_a_trace_that_is_linked_with_the_strangers(traced: Shop, collector: Collector) -> None:
    await traced.settings.GetShop(shop_pb2.GetShopRequest(), metadata=stranger())
    [span] = await collector.until(GET_SHOP)
    assert (span.links, span.parent_id) == ([CALLER], "")
    assert span.trace_id != CALLER[0]


@pytest.mark.parametrize(("follows", "recorded"), [(True, ["01", "03"]), (False, [])], ids=["by parent", "by share"])
async def test_a_trusted_caller_leads_the_trace_and_decides_on_it_unless_the_share_alone_does(
    settings: Settings,
    pool: "Pool",
    collector: Collector,
    follows: bool,  # noqa: FBT001 - a parameter of the test
    recorded: list[str],
) -> None:
    trusting = TraceSettings(ratio=0.0, follows_parent=follows, proxies=(ip_network("127.0.0.0/8"),))
    async with worker(replace(settings, tracing=trusting), pool) as shop:
        for flags in ("00", "01", "02", "03"):
            header = f"00-{CALLER[0]}-{CALLER[1][:-2]}{flags}-{flags}"
            await shop.settings.GetShop(shop_pb2.GetShopRequest(), metadata=(("traceparent", header),))
        await shop.settings.GetShop(shop_pb2.GetShopRequest())
    found = sorted((span.trace_id, span.parent_id, span.links) for span in collector.named(GET_SHOP))
    assert found == [(CALLER[0], CALLER[1][:-2] + flags, []) for flags in recorded]


async def test_a_share_of_the_traces_is_recorded_and_of_the_others_nothing(
    settings: Settings, pool: "Pool", collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([1 << 63, (1 << 63) - 1, 1 << 127, (1 << 64) - 1])  # a half of the low 64 bits, which OpenTelemetry's sampler looks at
    monkeypatch.setattr("random.getrandbits", lambda bits: next(drawn) if bits == 128 else 7)
    async with worker(replace(settings, tracing=TraceSettings(ratio=0.5)), pool) as shop:
        for _ in range(4):
            await shop.settings.GetShop(shop_pb2.GetShopRequest(), metadata=stranger())
    assert [span.trace_id for span in collector.named(GET_SHOP)] == [f"{(1 << 63) - 1:032x}", f"{1 << 127:032x}"]
    assert {span.trace_id for span in collector.spans} == {span.trace_id for span in collector.named(GET_SHOP)}


async def test_the_same_ids_are_recorded_as_by_the_sampler_of_opentelemetry() -> None:
    for ratio in (0.0, 0.01, 0.3, 1.0):
        tracer = Tracer(TraceSettings(ratio=ratio), NoOpTracer(), TraceIds())
        bound = TraceIdRatioBased(ratio).bound
        for trace_id in (0, 1, bound - 1, bound, bound + 1, (1 << 64) - 1, 1 << 100, random.getrandbits(128)):
            expected = TraceIdRatioBased(ratio).should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
            assert tracer._takes(trace_id) == expected, (ratio, trace_id)


async def test_the_log_line_of_a_call_has_the_id_of_its_trace_not_of_the_strangers(
    tracing: Settings, pool: "Pool", collector: Collector
) -> None:
    with structlog.testing.capture_logs() as entries:
        async with worker(tracing, pool) as shop:
            await refusal(shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id="x"), metadata=stranger()))
    [line] = [entry for entry in entries if entry["event"] == "call"]
    assert [line["trace_id"]] == [span.trace_id for span in collector.named("mercato.v1.OrderService/GetOrder")]


async def test_a_call_that_is_answered_from_memory_has_a_span(traced: Shop, collector: Collector) -> None:
    ball = await traced.product(await traced.person(admin=True))
    request = catalog_pb2.GetProductRequest(product_id=ball.id)
    await traced.catalog.GetProduct(request)
    await traced.catalog.GetProduct(request, metadata=stranger())
    [span] = await collector.until("mercato.v1.CatalogService/GetProduct", condition=lambda span: span.attributes.get("mercato.cached"))
    assert span.links == [CALLER]
    assert collector.below(span) == []


async def test_errors_reach_the_caller_as_they_do_without_traces(
    settings: Settings, tracing: Settings, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    every: list[Exception] = [make() for makers in MAKE.values() for make in makers]
    every += [ZeroDivisionError("a secret text"), asyncpg.DeadlockDetectedError("a secret text"), TimeoutError()]

    async def fail(_self: object, _request: object, context: Any) -> None:
        raise every[int(context.metadata("x-number"))]

    monkeypatch.setattr(ShopHandler, "GetShop", fail)

    async def refusals(each: Settings) -> list[Refusal]:
        async with worker(each, pool) as shop:
            calls = [(("x-number", str(number)), ("x-request-id", "req-1")) for number in range(len(every))]
            return [await refusal(shop.settings.GetShop(shop_pb2.GetShopRequest(), metadata=metadata)) for metadata in calls]

    with_traces, without = await refusals(tracing), await refusals(settings)
    assert len(with_traces) > 50
    assert with_traces == without
    assert all(each.details for each in without)


async def test_only_errors_of_the_server_mark_a_span_as_failed(
    tracing: Settings, pool: "Pool", collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato_server.store.catalog.GET_PRODUCT", "SELECT 1 / 0 AS id, $1::uuid")
    async with worker(tracing, pool) as shop:
        request = catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
        await refusal(shop.catalog.GetProduct(request))
    [call] = collector.named("mercato.v1.CatalogService/GetProduct")
    assert (call.failed, call.received.status.message) == (True, "INTERNAL")
    [statement] = [span for span in collector.spans if "1 / 0" in str(span.attributes.get("db.query.text"))]
    assert statement.failed
    assert (statement.attributes["error.type"], statement.attributes["db.response.status_code"]) == ("DivisionByZeroError", "22012")


async def test_a_mail_is_sent_in_the_trace_of_the_call_that_has_queued_it(tracing: Settings, pool: "Pool", collector: Collector) -> None:
    post = PostOffice()
    await post.start()
    async with worker(replace(tracing, mail=post.settings()), pool) as shop:
        buyer, admin = await shop.person(), await shop.person(admin=True)
        await shop.auth.RequestPasswordReset(auth_pb2.RequestPasswordResetRequest(email=buyer.email))
        await shop.add(buyer, await shop.product(admin))
        await shop.checkout(buyer)
        await post.mail(buyer.email, "order")
        await post.mail(buyer.email, "password")
    await post.stop()
    [asked] = collector.named("mercato.v1.AuthService/RequestPasswordReset")
    [placed] = collector.named(CHECKOUT)
    jobs = collector.named("job mail")
    in_traces = {call.name: [job for job in jobs if job.trace_id == call.trace_id] for call in (asked, placed)}
    assert [job.parent_id for job in in_traces[asked.name]] == [asked.id]
    [batch] = collector.named("batch of checkout")
    assert [job.parent_id for job in in_traces[placed.name]] == [batch.id]
    for [job] in in_traces.values():
        assert job.kind == "CONSUMER"
        names = [span.name for span in collector.below(job)]
        assert names[0] == "LEASE_MAIL"
        assert names[-2:] == ["send mail", "SET_SENT"]


async def test_work_that_no_recorded_call_has_caused_takes_no_trace_from_an_earlier_one(pool: "Pool", settings: Settings) -> None:
    """PostgreSQL keeps an empty value of a parameter that was set for a transaction."""
    async with worker(settings, pool) as shop:
        admin = await shop.person(admin=True)
        async with pool.acquire() as conn:
            for trace in (TRACEPARENT, None, TRACEPARENT):
                async with conn.transaction():
                    if trace:
                        await conn.execute(f"SET LOCAL mercato.traceparent = '{trace}'")
                    await conn.execute("INSERT INTO events (kind, subject_id) VALUES ('a.test', gen_random_uuid())")
                    address = f"{len(trace or '')}@example.com"
                    await mails.request(conn, address, Template.RESET_PASSWORD, 9)
        await shop.product(admin)
    events = "SELECT traceparent FROM events WHERE kind IN ('a.test', 'product.created') ORDER BY id"
    assert [row[0] for row in await pool.fetch(events)] == [TRACEPARENT, None, TRACEPARENT, None]
    jobs = """SELECT headers ->> 'traceparent' FROM pgqueuer JOIN mails ON payload = uuid_send(mails.id)
               WHERE address ~ '^[0-9]' ORDER BY pgqueuer.id"""
    assert [row[0] for row in await pool.fetch(jobs)] == [TRACEPARENT, None, TRACEPARENT]


@pytest.mark.parametrize("providers", [frozenset({"tax"}), frozenset()], ids=["told", "not told"])
async def test_a_tax_provider_hears_of_the_trace_if_it_may(
    settings: Settings, pool: "Pool", collector: Collector, providers: frozenset[str]
) -> None:
    office = Office()
    await office.start()
    asking = replace(settings, tracing=replace(ALWAYS, providers=providers), tax_provider=office.settings())
    async with worker(asking, pool) as shop:
        trade = await market(shop)
        buyer = await buyer_of(trade, await trade.ball())
        await shop.carts.QuoteCart(cart_pb2.QuoteCartRequest(), metadata=buyer.metadata, timeout=CALL_S)
    await office.stop()
    [span] = collector.named("ask the tax provider")
    [call] = collector.named("mercato.v1.CartService/QuoteCart")
    assert (span.kind, span.trace_id) == ("CLIENT", call.trace_id)
    told = re.findall(r"traceparent: (.*)", "".join(office.heads))
    assert [each.strip()[:-3] for each in told] == ([f"00-{span.trace_id}-{span.id}"] if providers else [])


async def test_no_attribute_has_an_address_a_password_or_a_token(tracing: Settings, pool: "Pool", collector: Collector) -> None:
    email, password = "jo.secret@example.com", "correct horse battery"
    post = PostOffice()
    await post.start()
    async with worker(replace(tracing, mail=post.settings()), pool) as shop:
        signup = auth_pb2.SignUpRequest(email=email, full_name="Josephine Secret", password=password)
        await shop.auth.SignUp(signup)
        await refusal(shop.auth.SignUp(signup))
        login = await shop.auth.Login(auth_pb2.LoginRequest(email=email, password=password))
        await refusal(shop.auth.Login(auth_pb2.LoginRequest(email=email, password="wrong horse")))
        bearer = (("authorization", f"Bearer {login.access_token}"), ("x-request-id", email), *stranger())
        address = PostalAddress(
            country_code="DE", recipient="Josephine Secret", street_lines=["Geheimgasse 1"], city="Ulm", postal_code="89073"
        )
        header = cart_pb2.UpdateCartHeaderRequest(contact_email=email, shipping_address=address)
        await shop.carts.UpdateCartHeader(header, metadata=bearer, timeout=CALL_S)
        admin = await shop.person(admin=True)
        await shop.users.ListUsers(user_pb2.ListUsersRequest(q=email), metadata=admin.metadata)
        await refusal(shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=login.refresh_token + "x")))
        await post.mail(email, "")
    await post.stop()
    assert len(collector.named("mercato.v1.AuthService/SignUp")) == 2
    sent = b"".join(collector.requests)
    secrets = (
        email,
        "Secret",
        password,
        "wrong horse",
        "Geheimgasse",
        "89073",
        "127.0.0.1",
        login.access_token[:40],
        login.refresh_token,
        admin.email,
    )
    assert [secret for secret in secrets if secret.encode() in sent] == []


async def test_a_collector_that_is_away_or_silent_costs_no_call_and_no_memory(
    tracing: Settings, pool: "Pool", collector: Collector, monkeypatch: pytest.MonkeyPatch, port: int, within: Any
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
    collector.open.clear()
    for number in (port, collector.port):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{number}")
        async with running(tracing) as (active, [listening]), grpc.aio.insecure_channel(f"127.0.0.1:{listening}") as channel:
            shop = Shop(channel, pool)
            assert active.parts.export
            queue = active.parts.export._processor._batch_processor._queue
            for _ in range(2):  # each call has four spans
                await asyncio.gather(*(shop.settings.GetShop(shop_pb2.GetShopRequest()) for _ in range(60)))
                assert len(queue) <= 64
            began = time.perf_counter()
            await active.parts.export.close()
            assert time.perf_counter() - began < within(FLUSH_S + QUIT_S)
            await shop.settings.GetShop(shop_pb2.GetShopRequest())


async def test_a_call_has_a_bounded_number_of_spans(collector: Collector, pool: "Pool") -> None:
    export = Export(ALWAYS)
    work = export.tracer.job("many", TRACEPARENT, {})
    assert work
    token = current_work.set(work)
    for _ in range(SPANS_MAX + 3):
        await pool.execute("SELECT 1")
    current_work.reset(token)
    work.end()
    await export.close()
    [span] = collector.named("many")
    assert span.attributes["mercato.spans_omitted"] == 3
    assert len(collector.named("SELECT")) == SPANS_MAX
    assert work.statements == SPANS_MAX + 3


SERVES = """
import asyncio, sys
from mercato_server.config.settings import Settings
from mercato_server.worker import running
async def serve():
    async with running(Settings.from_environ()) as (worker, ports):
        print(ports[0] > 0, any(name.startswith("opentelemetry") for name in sys.modules))
asyncio.run(serve())
"""


@pytest.mark.parametrize("tracing_is", ["off", "on"])
def test_a_worker_without_traces_does_not_load_opentelemetry(database: str, tracing_is: str) -> None:
    drains = {"MERCATO_DRAIN_SECONDS": "0", "MERCATO_LISTEN": "127.0.0.1:0"}
    env = {**os.environ, **drains, "DATABASE_URL": database, "SECRET_KEY": SECRET, "MERCATO_TRACING": tracing_is}
    done = subprocess.run([sys.executable, "-c", SERVES], env=env, capture_output=True, text=True, check=True, timeout=patient())
    assert done.stdout.split() == ["True", str(tracing_is == "on")]


async def test_a_worker_without_the_extra_says_in_one_line_how_to_get_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mercato_server.tracing.export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(StartupError, match=r"^MERCATO_TRACING is on, but .* pip install 'mercato-server\[tracing\]'$"):
        async with running(replace(settings, tracing=ALWAYS)):
            pass


async def test_a_variable_that_the_sdk_cannot_use_stops_the_start_in_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(StartupError, match=r"^cannot export traces: .*soon.*; check the OTEL_\* variables$"):
        async with running(replace(settings, tracing=ALWAYS)):
            pass
