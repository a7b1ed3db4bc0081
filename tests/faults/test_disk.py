"""The database's disk is slow, fails, or is full."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import grpc
import pytest

from faults.buyers import Goods, Market, describe, dice, market, stock_up
from faults.conftest import BUYERS, SOAK_BUYERS, Conclude, Scale
from faults.processes import HEALED_S, Worker, answers, family, running
from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato_server.database import migrations
from mercato_server.embedded.postgres import Postgres
from support import needs
from support.disks import fill, small_disk
from support.patience import Within, until

Faulty = Callable[[str], AbstractAsyncContextManager[None]]

UNAVAILABLE = {"UNAVAILABLE", "UNAVAILABLE DATABASE_UNAVAILABLE"}
SYNCS = "fsync,fdatasync"
SLOW_US = 30_000
"""Delay of each sync. A commit on this machine takes less than a millisecond."""
READ_S = 2.0
"""The server's deadline for reads without one."""


class NotAllowedError(Exception):
    """This user may not trace processes."""


@asynccontextmanager
async def injected(strace: str, pids: Collection[int], fault: str) -> AsyncIterator[None]:
    """Inject a fault, in strace's syntax, into every sync of some processes and of their descendants."""
    argv = [strace, "-f", "-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:{fault}", "-o", "/dev/null"]
    for pid in pids:
        argv += ["-p", str(pid)]
    tracer = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: tracer.returncode is not None or all(map(_is_traced, pids)))
        if tracer.returncode is not None:
            raise NotAllowedError
        yield
    finally:
        if tracer.returncode is None:
            tracer.terminate()
        await tracer.wait()


@pytest.fixture
async def faulty(durable_postgres: Postgres) -> Faulty:
    """Inject a fault into the server's syncs for a block; skips the test where processes may not be traced."""
    strace = shutil.which("strace")
    if strace is None:
        needs.STRACE.skip()

    def suffer(fault: str) -> AbstractAsyncContextManager[None]:
        return injected(strace, family(durable_postgres), fault)

    try:
        async with suffer("delay_enter=0"):
            pass
    except NotAllowedError:
        needs.PTRACE.skip()
    return suffer


def _is_traced(pid: int) -> bool:
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the process has ended
        return True


async def test_a_slow_disk_makes_calls_slow_and_fails_none(
    directory: Path, durable_goods: Goods, faulty: Faulty, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    async with running(worker), market(durable_goods, worker.address) as shop, shop.crowd():
        await shop.trade()
        async with faulty(f"delay_enter={SLOW_US}"):
            reads = await _read_for(shop, scale(3, 60), within(READ_S))
    worker.require_no_bugs_logged()
    did = {"milliseconds_a_sync": SLOW_US // 1000, "reads": reads.total(), "failed_reads": reads.total() - reads["OK"]}
    await conclude("slow disk", durable_goods, shop.tally, **did)
    assert shop.tally.codes == Counter()
    assert set(reads) == {"OK"}


async def test_a_failed_sync_loses_nothing_that_was_acknowledged(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, faulty: Faulty, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    cycles, waits_s = scale(2, 20), []
    async with running(worker), market(durable_goods, worker.address) as shop, shop.crowd():
        for _ in range(cycles):
            await shop.trade()
            watch = await asyncpg.connect(durable_goods.database_url)
            async with faulty("error=EIO"):
                await until(watch.is_closed)  # PostgreSQL trusts no file after a failed sync: it crashes and recovers from its log
            waits_s.append(await _recovered(durable_postgres, shop))
    worker.require_no_bugs_logged()
    await conclude("sync fails", durable_goods, shop.tally, times=cycles, seconds_to_heal_at_most=f"{max(waits_s):.2f}")
    assert max(waits_s) <= within(HEALED_S)
    assert set(shop.tally.codes) <= UNAVAILABLE


async def _recovered(server: Postgres, shop: Market) -> float:
    """Start PostgreSQL again if its recovery failed too; return the seconds from then until a call is answered."""

    async def back() -> bool:
        if server.pid is None:
            await server.start()
        return await answers(shop.goods.database_url)

    await until(back)
    began = time.monotonic()
    await shop.insist(shop.carts, "GetCart", cart_pb2.GetCartRequest(), shop.goods.buyers[0])
    return time.monotonic() - began


@pytest.fixture
def disk(directory: Path, scale: Scale) -> Iterator[Path]:
    """The test's own small file system."""
    with small_disk(directory, megabytes=scale(160, 512)) as place:
        yield place


async def test_a_full_disk_refuses_changes_with_unavailable_and_serves_reads(
    directory: Path, disk: Path, scale: Scale, conclude: Conclude, within: Within
) -> None:
    server = Postgres(disk / "data")
    try:
        await server.start()
        await migrations.migrate(server.url())
        goods = await stock_up(server.url(), buyers=scale(BUYERS, SOAK_BUYERS))
        await _shop_on_a_full_disk(directory, disk, goods, scale, conclude, within)
    finally:
        await server.stop()


async def _shop_on_a_full_disk(directory: Path, disk: Path, goods: Goods, scale: Scale, conclude: Conclude, within: Within) -> None:
    worker = Worker(directory, goods.database_url)
    *others, bystander = goods.buyers  # no other call uses the bystander's cart
    goods = replace(goods, buyers=others)
    async with running(worker), market(goods, worker.address) as shop, shop.crowd():
        await shop.trade()
        ballast = fill(disk)
        reads = await _read_for(shop, scale(3, 30), within(READ_S))
        refused = await until(lambda: Counter(shop.tally.codes))
        ballast.unlink()
        freed = time.monotonic()
        await shop.buy(bystander)
        healed_s = time.monotonic() - freed
        await shop.trade()
    worker.require_no_bugs_logged()
    did = {"reads": reads.total(), "failed_reads": reads.total() - reads["OK"], "seconds_to_heal": f"{healed_s:.2f}"}
    await conclude("disk full", goods, shop.tally, **did)
    assert refused
    assert set(shop.tally.codes) <= UNAVAILABLE
    assert set(reads) == {"OK"}
    assert healed_s <= within(HEALED_S)


async def _read_for(shop: Market, seconds: float, timeout_s: float) -> Counter[str]:
    """Read for some seconds; return the count of each outcome."""
    ends = Counter[str]()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ends += await _read(shop, timeout_s)
    return ends


async def _read(shop: Market, timeout_s: float) -> Counter[str]:
    """Make one read of each kind; return the count of each outcome."""
    metadata, product_id = dice.choice(shop.goods.buyers).metadata(), str(dice.choice(shop.goods.product_ids))
    calls = (
        shop.carts[0].GetCart(cart_pb2.GetCartRequest(), metadata=metadata, timeout=timeout_s),
        shop.orders[0].ListOrders(order_pb2.ListOrdersRequest(), metadata=metadata, timeout=timeout_s),
        shop.catalog[0].ListProducts(catalog_pb2.ListProductsRequest(), timeout=timeout_s),
        shop.catalog[0].GetProduct(catalog_pb2.GetProductRequest(product_id=product_id), timeout=timeout_s),
    )
    ends = Counter[str]()
    for call in calls:
        try:
            await call
            ends["OK"] += 1
        except grpc.aio.AioRpcError as error:
            ends[describe(error)] += 1
    return ends
