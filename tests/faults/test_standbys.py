"""Commits that wait for a standby, and outcomes that are asked of another server than the one that committed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import pytest

from faults.buyers import Goods, Habits, Market, Purchase, fill_carts, market, stock_up
from faults.conftest import Conclude
from faults.processes import Worker, family, kill_at_once, running, stopped
from faults.proxy import BEFORE, proxied
from mercato.v1 import catalog_pb2
from mercato_server.background.supervisor import Supervisor
from mercato_server.config.settings import Limits
from mercato_server.database import connections, transactions
from mercato_server.database.pool import TransactionId, refusal, small_pool
from mercato_server.domain.errors import DatabaseUnavailable
from mercato_server.embedded.postgres import Postgres
from mercato_server.feed.listener import Listener
from mercato_server.store import events
from support.patience import Within, patient, until
from support.standbys import cold_copy, one_of, promote, replicated

UNAVAILABLE = {"UNAVAILABLE DATABASE_UNAVAILABLE", "DEADLINE_EXCEEDED DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"}
LEFT_S = 3.0
"""Orders go on within this time after a standby was promoted, though the old primary stays silent."""
SHORT_S = 3.0
"""Deadline of calls that cannot succeed."""

PRIMARY_ROLE = "SELECT false AS is_standby, '00000001' AS timeline"

NOTHING_WAITS = "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

GET_SENDER = "SELECT pid FROM pg_stat_replication"

GET_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'mercato' AND query = 'COMMIT'"

USE_XID = "SELECT pg_current_xact_id()::text::bigint"


@pytest.fixture
async def standby(directory: Path, durable_postgres: Postgres) -> AsyncIterator[Postgres]:
    async with replicated(durable_postgres, directory / "standby") as standby:
        yield standby


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_an_order_is_acknowledged_only_when_a_standby_has_it(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, standby: Postgres, conclude: Conclude, end: str
) -> None:
    """An operator ends a COMMIT that waits for a standby. The primary then has the order, and no other server has."""
    worker = Worker(directory, one_of(durable_postgres.url(), standby.url()))
    buyer = durable_goods.buyers[0]
    async with running(worker), market(durable_goods, worker.address) as shop:
        await fill_carts(durable_goods, [buyer], durable_goods.product_ids[:2])
        operator = await asyncpg.connect(durable_postgres.url())
        with stopped([await operator.fetchval(GET_SENDER)]):  # the standby receives nothing more
            purchase = shop.tally.begin(buyer)
            first = asyncio.ensure_future(_may_fail(shop, purchase, patient()))
            assert await operator.fetchval(f"SELECT {end}($1)", await until(partial(operator.fetchval, GET_WAITING)))
            await first
            await _may_fail(shop, purchase, SHORT_S)  # the stored answer of the first call
            told_before = purchase.reply is not None
            await kill_at_once(durable_postgres)
        await promote(standby)
        await shop.resolve(purchase)
    worker.require_no_bugs_logged()
    promoted = replace(durable_goods, database_url=standby.url())
    await conclude(f"COMMIT ended by {end} before a standby had it", promoted, shop.tally, times=1)
    assert not told_before
    assert set(shop.tally.codes) <= UNAVAILABLE


async def test_a_worker_leaves_a_silent_primary_for_the_new_one(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, standby: Postgres, conclude: Conclude, within: Within
) -> None:
    """The silent primary is the first server of the URL, and all connections of the worker are open to it."""
    worker = Worker(directory, one_of(durable_postgres.url(), standby.url()))
    habits = Habits(timeout_s=1.0)
    async with running(worker), market(durable_goods, worker.address, habits=habits) as shop, shop.crowd():
        await shop.trade()
        with stopped(family(durable_postgres)):
            await promote(standby)
            began = time.monotonic()
            await shop.trade()
            gap_s = time.monotonic() - began
            await kill_at_once(durable_postgres)
    worker.require_no_bugs_logged()
    promoted = replace(durable_goods, database_url=standby.url())
    await conclude("primary silent, standby promoted", promoted, shop.tally, times=1, seconds_until_orders_go_on=f"{gap_s:.1f}")
    assert gap_s <= within(LEFT_S)


async def test_commits_without_a_standby_end_with_their_calls(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, standby: Postgres
) -> None:
    """A COMMIT that no call waits for would keep its connection and its locks until a standby is back."""
    worker = Worker(directory, durable_postgres.url())
    operator = await asyncpg.connect(durable_postgres.url())
    async with running(worker), market(durable_goods, worker.address) as shop:
        await asyncio.gather(*(shop.fill(buyer) for buyer in durable_goods.buyers))
        with stopped(family(standby)):
            purchases = [shop.tally.begin(buyer) for buyer in durable_goods.buyers]
            await asyncio.gather(*(_may_fail(shop, purchase, SHORT_S) for purchase in purchases))
            await until(partial(operator.fetchval, NOTHING_WAITS))
            request = catalog_pb2.ListProductsRequest(skip=1)
            assert (await shop.insist(shop.catalog, "ListProducts", request, durable_goods.buyers[0])).products
        assert not shop.tally.acknowledged
    await operator.close()
    worker.require_no_bugs_logged()


async def test_an_old_primary_cannot_tell_that_a_transaction_was_aborted(
    directory: Path, durable_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that has not noticed its successor has other transactions than the successor, and gets no connection any more."""
    copy = await cold_copy(durable_postgres, directory / "copy")
    try:
        await copy.start()
        await promote(copy)
        successor = await asyncpg.connect(copy.url())
        life = await successor.fetchval(f"SELECT {transactions.LIFE}")
        added = await successor.fetchval("INSERT INTO categories (name) VALUES ('ball') RETURNING pg_current_xact_id()::text")
        await successor.close()
        monkeypatch.setattr(transactions, "RESOLVE_S", 0.5)
        async with small_pool(durable_postgres.url()) as old:
            assert await transactions._outcome(old, TransactionId(added, life)) == "unknown"
    finally:
        await copy.stop()


async def test_a_primary_of_an_earlier_timeline_gets_no_connection(directory: Path, durable_postgres: Postgres) -> None:
    copy = await cold_copy(durable_postgres, directory / "copy")
    both = one_of(durable_postgres.url(), copy.url())
    try:
        await copy.start()
        await (await connections.connect(both)).close()
        await promote(copy)

        async def is_successor() -> bool:
            connection = await connections.connect(both)
            timeline = await connection.fetchval(f"SELECT {connections.TIMELINE}")
            await connection.close()
            return bool(timeline == "00000002")

        await until(is_successor)
        assert all([await is_successor() for _ in range(20)])
    finally:
        await copy.stop()


async def test_a_listener_leaves_a_silent_primary_for_the_new_one(durable_postgres: Postgres, standby: Postgres, within: Within) -> None:
    """Until it does, the caches of its worker answer nothing."""
    async with small_pool(one_of(durable_postgres.url(), standby.url())) as pool:
        listener = Listener(pool)
        supervisor = Supervisor(Limits(), partial(asyncio.sleep, 0))
        supervisor.start("feed listener", listener.listen)
        await until(lambda: listener.current)
        with stopped(family(durable_postgres)):
            await until(lambda: not listener.current)  # not after the promotion: the listener may have left by then
            await promote(standby)
            began = time.monotonic()
            await until(lambda: listener.current)
            gap_s = time.monotonic() - began
            await kill_at_once(durable_postgres)
        await supervisor.stop()
    assert gap_s <= within(events.SILENCE_S + LEFT_S)


async def _may_fail(shop: Market, purchase: Purchase, timeout_s: float) -> None:
    try:
        purchase.reply = await shop.send(purchase, timeout_s)
    except grpc.aio.AioRpcError:
        assert purchase.reply is None


async def test_an_outcome_is_not_taken_from_a_transaction_of_a_promoted_copy(
    directory: Path, durable_postgres: Postgres, conclude: Conclude
) -> None:
    """A cold copy begins with the ids and the statistics of the original, and gives the ids to transactions of its own."""
    goods = await stock_up(durable_postgres.url(), buyers=1)
    copy = await cold_copy(durable_postgres, directory / "copy")
    try:
        await copy.start()
        async with proxied(goods.database_url, durable_postgres) as (proxy, url):
            worker = Worker(directory, one_of(url, copy.url()))
            async with running(worker), market(goods, worker.address) as shop:
                copied = replace(goods, database_url=copy.url())
                await fill_carts(goods, goods.buyers, goods.product_ids[:2])
                proxy.release = asyncio.Event()
                proxy.cut_next(BEFORE)
                purchase = shop.tally.begin(goods.buyers[0])
                sending = asyncio.ensure_future(_may_fail(shop, purchase, patient()))
                await asyncio.wait_for(proxy.held.wait(), patient())
                operator = await asyncpg.connect(durable_postgres.url())
                used = await operator.fetchval(USE_XID)
                await kill_at_once(durable_postgres)
                await promote(copy)
                await fill_carts(copied, copied.buyers, copied.product_ids[:2])
                successor = await asyncpg.connect(copy.url())
                while await successor.fetchval(USE_XID) < used:
                    pass
                proxy.release.set()
                await sending
                await shop.resolve(purchase)
                await successor.close()
        worker.require_no_bugs_logged()
        await conclude("cold copy promoted during COMMIT", copied, shop.tally, promotions=1)
        assert purchase.reply
    finally:
        await copy.stop()


async def test_the_life_of_a_promoted_copy_is_another_for_the_readers_of_the_feed(directory: Path, durable_postgres: Postgres) -> None:
    copy = await cold_copy(durable_postgres, directory / "copy")
    try:
        await copy.start()
        await promote(copy)
        async with small_pool(durable_postgres.url()) as original, small_pool(copy.url()) as promoted:
            assert (await events.seen(original)).life != (await events.seen(promoted)).life
    finally:
        await copy.stop()


async def test_a_standby_cannot_tell_that_a_transaction_was_aborted(
    durable_postgres: Postgres, standby: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a standby that lags, the transaction is in the future; that does not mean that a crash has erased it."""
    primary = await asyncpg.connect(durable_postgres.url())
    life = await primary.fetchval(f"SELECT {transactions.LIFE}")
    with stopped([await primary.fetchval(GET_SENDER)]):
        await primary.execute("SET synchronous_commit = local")
        added = await primary.fetchval("INSERT INTO categories (name) VALUES ('ball') RETURNING pg_current_xact_id()::text")
        with monkeypatch.context() as pooled:
            pooled.setattr(connections, "GET_ROLE", PRIMARY_ROLE)  # a pooler may move a connection to a standby
            pooled.setattr(transactions, "RESOLVE_S", 0.5)
            async with small_pool(standby.url()) as pool:
                assert await transactions._outcome(pool, TransactionId(added, life)) == "unknown"
                for use in (transactions.await_standbys, events.seen):
                    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:
                        await use(pool)
                    assert isinstance(refusal(refused.value), DatabaseUnavailable)
    await primary.close()
    async with small_pool(durable_postgres.url()) as pool:
        assert await transactions._outcome(pool, TransactionId(added, life)) == "committed"
