"""The metrics that a worker serves to Prometheus over HTTP while it answers calls."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mercato.v1.catalog_pb2 import BatchGetProductsRequest, ListProductsRequest
from mercato_server.composition import StartupError
from mercato_server.config.mail_settings import MailSettings
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from rpc.test_catalog_cache import locked
from support import patience
from support.scrape import Samples, scrape
from support.shop import CALL_S, Shop, worker

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


async def test_the_consumers_of_the_feed_are_described(settings: Settings, port: int, tmp_path: Path) -> None:
    async with running(replace(settings, mail=MailSettings(directory=str(tmp_path / "mail")))):
        found = await until(port, lambda at: at["mercato_feed_lag_seconds order mails"] < math.inf)
    assert (found["mercato_feed_quarantined_events order mails"], found["mercato_feed_gaps_total order mails"]) == (0, 0)
    tasks = {name.partition(" ")[2] for name in found if name.startswith("mercato_task_failures_total")}
    swept = {"order expiry", "order numbers", "payment watch", "sweeps", "search documents", "slugs", "pictures"}
    assert tasks == {"feed listener", "database watch", "key watch", "jobs", "due jobs", "order mails"} | swept


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
