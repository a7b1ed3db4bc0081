"""The metrics that a worker serves to Prometheus over HTTP while it answers calls."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mercato.v1.catalog_pb2 import BatchGetProductsRequest, ListProductsRequest
from mercato.v1.order_pb2 import CancelOrderRequest
from mercato_server.composition import StartupError
from mercato_server.config.mail_settings import MailSettings
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.batching import BATCH_SIZES
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from rpc.test_catalog_cache import locked
from support import patience
from support.scrape import Samples, scrape
from support.shop import CALL_S, Shop, refusal, worker

HIT, MISSED, KEPT = "mercato_catalog_cache_hits_total", "mercato_catalog_cache_misses_total", "mercato_catalog_cache_entries"
AGE = "mercato_change_feed_age_seconds"
DIED = "mercato_task_failures_total feed listener"


@pytest.fixture
def settings(settings: Settings, port: int) -> Settings:
    """Settings of a worker that serves metrics and has a short lock timeout."""
    return replace(settings, metrics_listen=("127.0.0.1", port), limits=Limits(timeout_s=CALL_S, lock_timeout_s=0.5))


@pytest.fixture
async def shop(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    async with worker(settings, pool) as shop:
        yield shop


async def samples(port: int) -> Samples:
    return await asyncio.to_thread(scrape, port)


async def until(port: int, wanted: Callable[[Samples], bool]) -> Samples:
    """Read the metrics until they meet a condition; return them."""

    async def found() -> Samples:
        return there if wanted(there := await samples(port)) else {}

    return await patience.until(found)


def growth(before: Samples, after: Samples, *names: str) -> list[float]:
    return [after[name] - before[name] for name in names]


async def test_reads_of_the_catalog_are_counted_as_hits_or_misses_and_what_is_kept_too(shop: Shop, port: int) -> None:
    admin = await shop.person(admin=True)
    products = [await shop.product(admin) for _ in range(3)]
    first = await until(port, lambda at: at[AGE] < math.inf)
    names = [f"{name} {kind}" for kind in ("product", "page") for name in (HIT, MISSED, KEPT)]
    assert {name: first[name] for name in names} == dict.fromkeys(names, 0)
    for _ in range(5):
        await shop.stock(products[0])
    one = await samples(port)
    assert sum(growth(first, one, f"{HIT} product", f"{MISSED} product")) == 5
    assert one[f"{KEPT} product"] == 1
    await shop.catalog.BatchGetProducts(BatchGetProductsRequest(ids=[product.id for product in products]))
    for _ in range(4):
        await shop.catalog.ListProducts(ListProductsRequest())
    last = await samples(port)
    assert sum(growth(one, last, f"{HIT} page", f"{MISSED} page")) == 4
    assert last[f"{MISSED} product"] >= 3
    assert (last[f"{KEPT} product"], last[f"{KEPT} page"]) == (3, 1)

    async def hit() -> bool:
        await shop.stock(products[0])
        await shop.catalog.ListProducts(ListProductsRequest())
        return all(growth(first, await samples(port), f"{HIT} product", f"{HIT} page"))

    await patience.until(hit)


async def test_the_age_of_the_feed_is_small_unless_it_cannot_be_read(shop: Shop, port: int, database: str) -> None:
    await until(port, lambda at: at[AGE] < 0.25)
    assert (await samples(port))[DIED] == 0
    async with locked(database, "events"):
        await until(port, lambda at: at[AGE] > 0.25)
        await until(port, lambda at: at[AGE] == math.inf and at[DIED] >= 1)
    await until(port, lambda at: at[AGE] < 0.25)


async def test_calls_that_share_transactions_are_counted_with_them(shop: Shop, port: int) -> None:
    ball = await shop.product(await shop.person(admin=True), stock=100)
    buyers = [await shop.person() for _ in range(8)]
    await asyncio.gather(*(shop.add(buyer, ball) for buyer in buyers))
    await asyncio.gather(*(shop.checkout(buyer) for buyer in buyers))
    found = await samples(port)
    for kind in ("add_cart_item", "checkout"):
        assert found[f"mercato_batched_calls_total {kind}"] == 8
        assert 1 <= found[f"mercato_batches_total {kind}"] <= 8
    assert {name.partition(" ")[2] for name in found if name.startswith("mercato_batches_total")} == {
        "add_cart_item",
        "check_session",
        "checkout",
        "clear_cart",
        "get_cart",
        "get_product",
        "set_cart_item",
    }


async def test_placed_orders_their_revenue_and_what_ran_out_are_counted(shop: Shop, port: int) -> None:
    admin, buyers = await shop.person(admin=True), [await shop.person() for _ in range(3)]
    ball = await shop.product(admin, price=250, stock=5)
    for buyer in buyers:
        await shop.add(buyer, ball, 2)
    first = await shop.checkout(buyers[0], "once")
    assert await shop.checkout(buyers[0], "once") == first  # a replay places none
    await shop.checkout(buyers[1])
    refused = await refusal(shop.checkout(buyers[2]))
    assert refused.reason == "OUT_OF_STOCK"
    found = await samples(port)
    assert (found["mercato_orders_placed_total"], found["mercato_order_units_total"]) == (2, 4)
    assert found["mercato_order_revenue_minor_total USD"] == 1000
    assert (found["mercato_stock_outs_total"], found["mercato_refused_calls_total OUT_OF_STOCK"]) == (1, 1)
    assert found["mercato_changes_total order.placed"] == 2
    await shop.orders.CancelOrder(CancelOrderRequest(order_id=first.id), metadata=buyers[0].metadata)
    after = await samples(port)
    assert growth(found, after, "mercato_changes_total order.cancelled", "mercato_order_revenue_minor_total USD") == [1, 0]


async def test_the_sizes_of_batches_are_counted_by_powers_of_two(shop: Shop, port: int) -> None:
    ball = await shop.product(await shop.person(admin=True), stock=100)
    buyers = [await shop.person() for _ in range(8)]
    for buyer in buyers:
        await shop.add(buyer, ball)
    await asyncio.gather(*(shop.checkout(buyer) for buyer in buyers))
    found = await samples(port)
    assert found["mercato_batch_size_sum checkout"] == 8
    assert found["mercato_batch_size_count checkout"] == found["mercato_batches_total checkout"]
    assert found["mercato_batch_size_bucket add_cart_item 1.0"] == found["mercato_batch_size_bucket add_cart_item +Inf"] == 8
    buckets = [found[f"mercato_batch_size_bucket checkout {size}.0"] for size in BATCH_SIZES]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found["mercato_batches_total checkout"]
    assert found["mercato_batch_queue_length checkout"] == 0


async def test_the_queues_for_connections_and_the_jobs_are_described(settings: Settings, port: int, pool: "Pool", tmp_path: Path) -> None:
    job = "INSERT INTO pgqueuer (priority, entrypoint, status) VALUES (0, 'picture', 'failed')"
    await pool.execute(job)
    async with running(replace(settings, mail=MailSettings(directory=str(tmp_path / "mail")), metrics_socket=str(tmp_path / "s"))):
        found = await until(port, lambda at: "mercato_jobs mail failed" in at and "mercato_products_out_of_stock" in at)
        for name, size in (("calls", settings.pool_size), ("background", settings.limits.background_connections)):
            assert sum(found[f"mercato_pool_connections {name} {state}"] for state in ("idle", "busy", "unopened")) == size
            assert found[f"mercato_pool_acquire_seconds_count {name}"] > 0
        assert (found["mercato_jobs mail failed"], found["mercato_jobs picture failed"]) == (0, 1)
        assert found["mercato_products_out_of_stock"] == 0
        assert found["mercato_mails_total sent"] == 0
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        page = (await reader.read()).decode()
        writer.close()
        assert {family.name for family in text_string_to_metric_families(page)} >= {"mercato_jobs", "process_cpu_seconds"}
    assert not (tmp_path / "s").exists()


async def test_the_consumers_of_the_feed_are_described(settings: Settings, port: int, tmp_path: Path) -> None:
    async with running(replace(settings, mail=MailSettings(directory=str(tmp_path / "mail")))):
        found = await until(port, lambda at: at["mercato_feed_lag_seconds order mails"] < math.inf)
    assert (found["mercato_feed_quarantined_events order mails"], found["mercato_feed_gaps_total order mails"]) == (0, 0)
    tasks = {name.partition(" ")[2] for name in found if name.startswith("mercato_task_failures_total")}
    swept = {"order expiry", "order numbers", "sweeps", "search documents", "slugs", "pictures"}
    watched = {"payment watch", "job watch", "stock watch", "verification"}
    assert tasks == {"feed listener", "database watch", "key watch", "jobs", "due jobs", "order mails"} | swept | watched


async def test_the_process_is_described(shop: Shop, port: int) -> None:
    found = await samples(port)
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_open_fds"] > 3


async def test_a_port_in_use_is_reported_and_leaves_nothing_behind(settings: Settings, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StartupError) as told:
        async with running(settings):
            raise AssertionError("it serves")
    assert str(told.value) == f"cannot answer Prometheus on 127.0.0.1 port {port}: Address already in use; set MERCATO_METRICS_LISTEN"
    async with running(settings):
        assert await samples(port)


async def test_a_worker_that_stopped_answers_no_more(settings: Settings, port: int) -> None:
    async with running(settings):
        assert await samples(port)
    with pytest.raises(OSError, match="refused"):
        await samples(port)
