"""kill -9 of a worker, of the edge and of the client, under the TypeScript client: one order per key."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from faults.buyers import Goods, stock_up
from faults.conftest import Scale
from faults.processes import Edge, Worker, running
from mercato_server.config.holding import Holding
from mercato_server.embedded.processes import Process
from support import needs
from support.patience import patient, until
from typescript.conftest import BUILT

pytestmark = needs.TYPESCRIPT.unless(BUILT)
KILLS, DEATHS = (1, 50), (2, 30)
"""In a quick run, and with `--soak`."""
BETWEEN = 6
"""Purchases between two kills."""
HEALTH_INTERVAL_S = 0.2


class Program:
    """A running `buy_again.js`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def line(self) -> str:
        """Return its next line; empty at its end."""
        assert self.process.stdout is not None
        text = (await asyncio.wait_for(self.process.stdout.readline(), patient())).decode().strip()
        if text:
            self.lines.append(text)
        return text

    async def until_orders(self, count: int) -> None:
        """Return once it has so many orders."""
        while len(self.orders) < count:
            assert await self.line(), self.lines

    async def end(self) -> None:
        """Read all its lines; its end must be good."""
        while await self.line():
            pass
        assert await self.process.wait() == 0, self.lines

    @property
    def orders(self) -> list[str]:
        return [line.split()[1] for line in self.lines if line.startswith("order ")]


@asynccontextmanager
async def buying(programs: Path, edge: Edge, goods: Goods, count: int, *key: str) -> AsyncIterator[Program]:
    """Run the program of a buyer, and end it with the block."""
    arguments = [f"http://{edge.address}", goods.buyers[0].token, str(goods.product_ids[0]), str(count), *key]
    process = await asyncio.create_subprocess_exec("node", "buy_again.js", *arguments, cwd=programs, stdout=asyncio.subprocess.PIPE)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def goods(database: str) -> Goods:
    return await stock_up(database, buyers=1, products=1)


@pytest.fixture
async def worker(goods: Goods, tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(tmp_path, goods.database_url)
    async with running(worker):
        yield worker
    worker.require_no_bugs_logged()


@pytest.fixture
async def edge(worker: Worker, tmp_path: Path) -> AsyncIterator[Edge]:
    async with Edge(tmp_path, [worker], HEALTH_INTERVAL_S) as edge:
        yield edge


async def test_an_idle_client_survives_that_the_edge_closes_its_connection(
    programs: Path, goods: Goods, worker: Worker, tmp_path: Path
) -> None:
    async with Edge(tmp_path, [worker], HEALTH_INTERVAL_S, Holding(idle_s=0.3)) as edge:
        process = await asyncio.create_subprocess_exec(
            *("node", "idle.js", f"http://{edge.address}", goods.buyers[0].token, str(goods.product_ids[0])),
            cwd=programs,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        program = Program(process)
        for closed in (1, 2):
            assert await program.line() == "added 1"
            await until(lambda closed=closed: _has_closed(edge, closed))  # type: ignore[misc] # the number is bound
            process.stdin.write(b"again\n")
        process.stdin.close()
        await program.end()
    assert program.lines == ["added 1"] * 3


async def _has_closed(edge: Edge, connections: int) -> bool:
    return await edge.idle_closed() >= connections


async def placed(goods: Goods) -> list[str]:
    """Return the ids of all orders."""
    connection = await asyncpg.connect(goods.database_url)
    try:
        return sorted(str(row["id"]) for row in await connection.fetch("SELECT id FROM orders"))
    finally:
        await connection.close()


async def test_a_killed_worker_costs_no_order_and_doubles_none(
    programs: Path, goods: Goods, worker: Worker, edge: Edge, scale: Scale
) -> None:
    kills = scale(*KILLS)
    async with buying(programs, edge, goods, kills * BETWEEN) as program:
        for kill in range(kills):
            await program.until_orders(1 + kill * BETWEEN)
            await worker.kill()
            await worker.restart()
        await program.end()
    assert len(program.orders) == kills * BETWEEN
    assert await placed(goods) == sorted(program.orders)


async def test_a_killed_edge_costs_no_order_and_doubles_none(programs: Path, goods: Goods, edge: Edge, scale: Scale) -> None:
    kills = scale(*KILLS)
    process: Process = edge.process
    async with buying(programs, edge, goods, kills * BETWEEN) as program:
        for kill in range(kills):
            await program.until_orders(1 + kill * BETWEEN)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await process.start()
            await edge.until_all_healthy()
        await program.end()
    assert len(program.orders) == kills * BETWEEN
    assert await placed(goods) == sorted(program.orders)


async def test_a_killed_client_that_starts_again_with_its_key_has_one_order(programs: Path, goods: Goods, edge: Edge, scale: Scale) -> None:
    bought, deaths = [], scale(*DEATHS)
    for _ in range(deaths):
        key = str(uuid.uuid4())
        async with buying(programs, edge, goods, 1, key) as program:
            while await program.line() != "sending":
                assert program.process.returncode is None
            program.process.kill()
            await program.process.wait()
        async with buying(programs, edge, goods, 1, key) as program:
            await program.end()
        bought += program.orders
    assert len(bought) == deaths
    assert await placed(goods) == sorted(bought)
