"""Measure how long correct logins take alone, beside accounts that change their passwords in a loop, and beside busy loops."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import grpc

import http1
import runs
from goods import ALGORITHM
from login_flood import DEADLINE_MS
from mercato.v1 import auth_pb2, auth_pb2_grpc
from mercato_server.config.settings import Hashing
from mercato_server.database.pool import Conn
from mercato_server.security.passwords import hash_password
from mercato_server.security.tokens import Keyring, Tokens
from meter import Job, Outcome
from mixed_load import WORKERS
from report import Goal, Part, Spread
from runs import Scale
from stage import HOST, Stage, generate

CALLERS = 2
"""Logins at the same time."""
CHANGERS = 32
SECONDS = 5.0
OWNER, PASSWORD, OTHER = "owner@example.com", "correct horse battery", "wrong horse battery"
INSERT_ACCOUNTS = """
INSERT INTO accounts (id, email, full_name, role, password_hash)
SELECT id, CASE place WHEN 1 THEN $2 ELSE id || '@example.com' END, '', 'user', $3
  FROM unnest($1::uuid[]) WITH ORDINALITY AS new (id, place)
"""
INSERT_SESSIONS = """
INSERT INTO sessions (id, account_id, user_agent, ip_address, expires_at)
SELECT id, id, '', '', now() + interval '1 day' FROM unnest($1::uuid[]) AS id
"""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Log in for some seconds in each of the ways, in turns."""
    async with runs.shop(directory, workers={name: {} for name in WORKERS}) as (running, conn):
        changers = await _accounts(conn, running.secret_key)
        ways: dict[str, Callable[[], AbstractAsyncContextManager[None]]] = {
            "alone": _nothing,
            f"{CHANGERS} accounts that change their passwords": partial(_changing, running, changers),
            "a busy loop on each core": _burning,
        }
        found = await runs.interleave([partial(_log_in, running, beside) for beside in ways.values()], scale.few)
    return Part(
        title="Logins beside other hashes and busy neighbours",
        goals=[
            Goal(
                what=f"p99 of a login beside {name}",
                bound=DEADLINE_MS,
                found=[outcome.p99_ms if outcome.count and not outcome.failures else 2 * DEADLINE_MS for outcome in outcomes],
                unit="ms",
                digits=0,
                at_least=False,
            )
            for name, outcomes in list(zip(ways, found, strict=True))[1:]
        ],
        note=f"{CALLERS} clients log in over REST, one after the other, with right passwords at bcrypt's cost of {Hashing().cost}. "
        "A round with a login that failed counts as twice the deadline.",
        tables=[_table(dict(zip(ways, found, strict=True)))],
    )


async def _log_in(running: Stage, beside: Callable[[], AbstractAsyncContextManager[None]]) -> Outcome:
    body = f'{{"email": "{OWNER}", "password": "{PASSWORD}"}}'.encode()
    job = Job(
        protocol="http1",
        address=f"{HOST}:{running.edge_port}",
        requests=[http1.request("POST", "/v1/auth:login", body=body)],
        concurrency=CALLERS,
        seconds=SECONDS,
        repeatable=False,
    )
    async with beside():
        outcome, _ = await generate(job, running)
    return outcome


async def _accounts(conn: "Conn", secret_key: str) -> list[str]:
    """Make the owner's account and the others; return the tokens of the others."""
    ids = [UUID(int=number) for number in range(1, CHANGERS + 2)]
    await conn.execute(INSERT_ACCOUNTS, ids, OWNER, hash_password(PASSWORD, pepper="", cost=Hashing().cost))
    await conn.execute(INSERT_SESSIONS, ids)
    tokens = Tokens(Keyring.shared(secret_key, ALGORITHM), 24 * 60 * 60)
    return [tokens.issue(account_id, account_id) for account_id in ids[1:]]


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _changing(running: Stage, tokens: Sequence[str]) -> AsyncIterator[None]:
    """Change the passwords of all accounts to and fro, as fast as they are answered."""
    socket, *_ = running.workers.values()
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        loops = [asyncio.create_task(_change(channel, token)) for token in tokens]
        yield
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def _change(channel: grpc.aio.Channel, token: str) -> None:
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    current, new = PASSWORD, OTHER
    while True:
        request = auth_pb2.ChangePasswordRequest(current_password=current, new_password=new)
        try:
            await auth.ChangePassword(request, metadata=(("authorization", f"Bearer {token}"),), timeout=30)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        else:
            current, new = new, current


@asynccontextmanager
async def _burning() -> AsyncIterator[None]:
    command = (sys.executable, "-c", "while True: pass")
    loops = [await asyncio.create_subprocess_exec(*command, start_new_session=True) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            await loop.wait()


def _table(ways: dict[str, Sequence[Outcome]]) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = [("beside", "logins a second", "p50 ms", "p99 ms", "failed")]
    for name, outcomes in ways.items():
        rate = Spread.of([outcome.count / outcome.seconds for outcome in outcomes])
        p50 = Spread.of([outcome.p50_ms if outcome.count else 0.0 for outcome in outcomes])
        p99 = Spread.of([outcome.p99_ms if outcome.count else 0.0 for outcome in outcomes])
        failures = sum((Counter(outcome.failures) for outcome in outcomes), Counter[str]())
        failed = ", ".join(f"{count} {why[:8]}" for why, count in failures.items()) or "none"
        cells.append((name, rate.text(1), p50.text(0, spread=False), p99.text(0), failed))
    return cells
