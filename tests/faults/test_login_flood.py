"""Password hashes under attack: the catalog keeps its readers, and logins go on beside other hashes and beside busy neighbours."""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest

from faults.buyers import Goods, Tally, describe, dice
from faults.conftest import Conclude, Scale
from faults.processes import SECRET, Worker, open_channel, running
from mercato.v1 import auth_pb2, auth_pb2_grpc, catalog_pb2, catalog_pb2_grpc
from mercato_server.security.tokens import Keyring, Tokens
from support.patience import allowed, patient, until
from support.shop import PASSWORD, hash_of

READERS = 4
LOGIN_S = 30.0
"""Deadline of a guess: it must not end before it is answered."""
DEADLINE_S = 5.0
"""Deadline of a login whose client sets none."""
CHANGERS = 32
LOGINS = 4
HOME = (("x-client-address", "192.0.2.1"),)
WRONG = "UNAUTHENTICATED INVALID_CREDENTIALS"
SHED = "RESOURCE_EXHAUSTED OVERLOADED"
LATE = {"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED DEADLINE_EXCEEDED"}
OWNER = "owner@example.com"
INSERT_CHANGERS = """
WITH changer AS (
    INSERT INTO accounts (email, full_name, role, password_hash)
    SELECT 'changer-' || number || '@example.com', '', 'user', $2 FROM generate_series(1, $1::integer) AS number
    RETURNING id
)
INSERT INTO sessions (id, account_id, user_agent, ip_address, expires_at)
SELECT id, id, '', '', now() + interval '1 day' FROM changer
RETURNING id
"""


async def test_a_flood_of_logins_leaves_the_catalog_to_its_readers(directory: Path, goods: Goods, scale: Scale, conclude: Conclude) -> None:
    clients, reads = scale(48, 64), scale(200, 20_000)
    worker = Worker(directory, goods.database_url, MERCATO_BCRYPT_COST=str(scale(9, 12)))
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


@pytest.mark.parametrize("networks", [1, CHANGERS])
async def test_accounts_that_loop_change_password_do_not_starve_logins(directory: Path, goods: Goods, scale: Scale, networks: int) -> None:
    worker = Worker(directory, goods.database_url, MERCATO_BCRYPT_COST=str(scale(9, 12)))
    answers: Counter[str] = Counter()
    async with running(worker), open_channel(worker.address) as channel, open_channel(worker.address) as attackers_channel:
        await sign_up(channel)
        changers = await sessions_of(goods.database_url, CHANGERS)
        addresses = [(("x-client-address", f"198.51.100.{number % networks}"),) for number in range(CHANGERS)]
        loops = [
            asyncio.create_task(change_password(attackers_channel, (*buyer, *address), answers))
            for buyer, address in zip(changers, addresses, strict=True)
        ]
        await until(lambda: answers["OK"] and answers[SHED])
        for _ in range(LOGINS):
            await log_in(channel, allowed(DEADLINE_S))
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    worker.require_no_bugs_logged()
    assert set(answers) <= {"OK", SHED, *LATE}


async def test_logins_end_beside_busy_neighbours(directory: Path, goods: Goods, scale: Scale) -> None:
    worker = Worker(directory, goods.database_url, MERCATO_BCRYPT_COST=str(scale(10, 12)))
    async with running(worker), open_channel(worker.address) as channel:
        await sign_up(channel)
        with busy(os.cpu_count() or 1):
            for _ in range(LOGINS):
                await log_in(channel, allowed(DEADLINE_S))


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep cores busy for a block, in sessions of their own."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def sign_up(channel: grpc.aio.Channel) -> None:
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    await auth.SignUp(auth_pb2.SignUpRequest(email=OWNER, password=PASSWORD), metadata=HOME, timeout=patient())


async def log_in(channel: grpc.aio.Channel, timeout_s: float) -> None:
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    assert (await auth.Login(auth_pb2.LoginRequest(email=OWNER, password=PASSWORD), metadata=HOME, timeout=timeout_s)).access_token


async def sessions_of(database_url: str, count: int) -> list[tuple[tuple[str, str], ...]]:
    """Insert accounts with a password and a session; return the metadata with their tokens."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(INSERT_CHANGERS, count, hash_of(PASSWORD))
    finally:
        await connection.close()
    tokens = Tokens(Keyring.shared(SECRET, "HS256"), 24 * 60 * 60)
    return [(("authorization", f"Bearer {tokens.issue(row['id'], row['id'])}"),) for row in rows]


async def change_password(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], answers: Counter[str]) -> None:
    """Change a password back and forth until cancelled."""
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    current, new = PASSWORD, "another-secret-1"
    while True:
        request = auth_pb2.ChangePasswordRequest(current_password=current, new_password=new)
        try:
            await auth.ChangePassword(request, metadata=metadata, timeout=LOGIN_S)
        except grpc.aio.AioRpcError as error:
            answers[describe(error)] += 1
        else:
            answers["OK"] += 1
            current, new = new, current


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
