"""PostgreSQL dies under the worker, with and without its postmaster, and loses writes that were not on disk."""

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import asyncpg
import grpc

from faults.buyers import Goods, Market, dice, fill_carts, market
from faults.conftest import Conclude, Scale
from faults.processes import HEALED_S, Worker, crash, kill_at_once, running, until_it_answers
from faults.proxy import BEFORE, proxied
from mercato.v1 import cart_pb2
from mercato_server.embedded.postgres import Postgres
from support.patience import Within, patient, until

LIFE_S = (0.2, 0.8)
UNAVAILABLE = {"UNAVAILABLE", "UNAVAILABLE DATABASE_UNAVAILABLE"}

GET_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mercato' ORDER BY state = 'active' DESC"

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mercato'"

GET_WAL_WRITER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"

GET_NEXT_XID = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

USE_XID = "SELECT pg_current_xact_id()::text::bigint"


async def healed(shop: Market) -> float:
    """Return the seconds from when the database answers until a call is answered again."""
    await until_it_answers(shop.goods.database_url)
    began = time.monotonic()
    await shop.insist(shop.carts, "GetCart", cart_pb2.GetCartRequest(), shop.goods.buyers[0])
    return time.monotonic() - began


async def test_a_killed_postmaster_is_unavailable_until_it_is_back(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    cycles = scale(3, 50)
    waits_s = []
    async with running(worker), market(durable_goods, worker.address) as shop, shop.crowd():
        for _ in range(cycles):
            await asyncio.sleep(dice.uniform(*LIFE_S))
            await crash(durable_postgres)
            await durable_postgres.start()
            waits_s.append(await healed(shop))
    worker.require_no_bugs_logged()
    await conclude("postmaster killed", durable_goods, shop.tally, kills=cycles, seconds_to_heal_at_most=f"{max(waits_s):.2f}")
    assert max(waits_s) <= within(HEALED_S)
    assert set(shop.tally.codes) <= UNAVAILABLE


async def test_a_killed_backend_ends_all_others_and_no_buyer_loses_an_order(
    directory: Path, durable_goods: Goods, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    cycles = scale(3, 50)
    waits_s = []
    async with running(worker), market(durable_goods, worker.address) as shop, shop.crowd():
        for _ in range(cycles):
            await asyncio.sleep(dice.uniform(*LIFE_S))
            connection = await asyncpg.connect(durable_goods.database_url)
            os.kill(await until(partial(connection.fetchval, GET_BACKENDS)), signal.SIGKILL)
            await until(connection.is_closed)  # as all connections are when PostgreSQL restarts its backends
            waits_s.append(await healed(shop))
    worker.require_no_bugs_logged()
    await conclude("one backend killed", durable_goods, shop.tally, kills=cycles, seconds_to_heal_at_most=f"{max(waits_s):.2f}")
    assert max(waits_s) <= within(HEALED_S)
    assert set(shop.tally.codes) <= UNAVAILABLE


async def test_connections_that_the_database_closes_are_replaced_unnoticed(
    directory: Path, goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    worker = Worker(directory, goods.database_url)
    cycles = scale(10, 200)
    async with running(worker), market(goods, worker.address) as shop, shop.crowd():
        connection = await asyncpg.connect(goods.database_url)
        for _ in range(cycles):
            await asyncio.sleep(dice.uniform(0.0, 0.3))
            await connection.execute(TERMINATE)
        await connection.close()
    worker.require_no_bugs_logged()
    await conclude("backends terminated", goods, shop.tally, times=cycles)
    assert set(shop.tally.codes) <= UNAVAILABLE


async def test_a_transaction_that_the_crash_erased_is_not_taken_for_the_one_that_got_its_number(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, conclude: Conclude
) -> None:
    """PostgreSQL reuses the ids of transactions that had nothing on disk when it crashed; see pg_xact_status."""
    async with proxied(durable_goods.database_url, durable_postgres) as (proxy, url):
        worker = Worker(directory, url)
        buyer = durable_goods.buyers[0]
        async with running(worker), market(durable_goods, worker.address) as shop:
            await fill_carts(durable_goods, [buyer], durable_goods.product_ids[:2])
            proxy.release = asyncio.Event()
            proxy.cut_next(BEFORE)
            os.kill(await _ask(durable_goods, GET_WAL_WRITER), signal.SIGSTOP)  # so that nothing is written to disk before COMMIT
            purchase = shop.tally.begin(buyer)
            sending = asyncio.ensure_future(shop.send(purchase))
            await asyncio.wait_for(proxy.held.wait(), patient())
            next_xid = await _ask(durable_goods, GET_NEXT_XID)
            await kill_at_once(durable_postgres)
            await durable_postgres.start()
            while await _ask(durable_goods, USE_XID) < next_xid:
                pass
            proxy.release.set()
            try:
                purchase.reply = await sending
            except grpc.aio.AioRpcError:
                await shop.resolve(purchase)
    await conclude("transaction id used twice", durable_goods, shop.tally, crashes=1)
    assert purchase.reply
    assert set(shop.tally.codes) <= UNAVAILABLE


async def _ask(goods: Goods, statement: str) -> int:
    connection = await asyncpg.connect(goods.database_url)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()
