"""Many clients guess passwords as fast as they can; readers of the catalog still get every answer."""

import asyncio
import itertools
import time
from collections import Counter
from pathlib import Path

import grpc

from faults.buyers import Goods, Tally, describe, dice
from faults.conftest import Conclude, Scale
from faults.processes import Worker, open_channel, running
from mercato.v1 import auth_pb2, auth_pb2_grpc, catalog_pb2, catalog_pb2_grpc
from support.patience import patient, until

READERS = 4
LOGIN_S = 30.0
"""Deadline of a login. Password hashing gets only idle processor time, so a login is slow beside other work."""
WRONG = "UNAUTHENTICATED INVALID_CREDENTIALS"
SHED = "RESOURCE_EXHAUSTED OVERLOADED"
LATE = {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED DEADLINE_EXCEEDED"}


async def test_a_flood_of_logins_leaves_the_catalog_to_its_readers(directory: Path, goods: Goods, scale: Scale, conclude: Conclude) -> None:
    clients, reads = scale(48, 64), scale(200, 20_000)
    worker = Worker(directory, goods.database_url, MERCATO_BCRYPT_COST=str(scale(9, 12)), MERCATO_HASHING_PRIORITY="idle")
    answers: Counter[str] = Counter()
    async with running(worker), open_channel(worker.address) as readers_channel, open_channel(worker.address) as flood_channel:
        await p99_ms(readers_channel, goods, reads // 4)
        idle = await p99_ms(readers_channel, goods, reads)
        guesses = itertools.count()
        flood = [asyncio.create_task(guess(flood_channel, guesses, answers)) for _ in range(clients)]
        await until(lambda: answers[SHED] and answers[WRONG])  # until then the queue was not full, or no login was served
        flooded = await p99_ms(readers_channel, goods, reads)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    worker.require_no_bugs_logged()
    figures = {"idle_p99_ms": round(idle, 1), "flooded_p99_ms": round(flooded, 1), "times": round(flooded / idle, 2)}
    await conclude("login flood", goods, Tally(), clients=clients, reads=reads, logins=answers.total(), **figures)
    assert set(answers) <= {WRONG, SHED, *LATE}


async def guess(channel: grpc.aio.Channel, guesses: "itertools.count[int]", answers: Counter[str]) -> None:
    """Try to log in until cancelled, each time with another address, so that no limit per account slows the flood down."""
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    while True:
        try:
            await auth.Login(auth_pb2.LoginRequest(email=f"guess-{next(guesses)}@example.com", password="securepass123"), timeout=LOGIN_S)
        except grpc.aio.AioRpcError as error:
            answers[describe(error)] += 1


async def p99_ms(channel: grpc.aio.Channel, goods: Goods, reads: int) -> float:
    """Read products, each of which must be answered; return the 99th percentile of the latency."""
    catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
    took_s: list[float] = []

    async def read() -> None:
        while len(took_s) < reads:
            began = time.monotonic()
            await catalog.GetProduct(catalog_pb2.GetProductRequest(product_id=str(dice.choice(goods.product_ids))), timeout=patient())
            took_s.append(time.monotonic() - began)

    await asyncio.gather(*(read() for _ in range(READERS)))
    return sorted(took_s)[int(len(took_s) * 0.99)] * 1000
