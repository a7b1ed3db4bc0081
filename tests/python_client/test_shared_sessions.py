"""Many processes share one stored session, and never lose it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from mercato.sessions import FileStore, Session
from mercato.v1.user_pb2 import GetMeRequest
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.security import keyrings
from mercato_server.worker import running
from python_client.sharers import Sharer, sharers
from python_client.sharing import BLIND, DIE
from support.patience import until
from support.scrape import scrape
from support.shop import SECRET, TOKEN_S, Person, Shop, refusal

PROCESSES = 20
REFRESHES, SOAK_REFRESHES = 50, 1_000
DEATH_EVERY = 10
"""In each round of so many, the process that refreshes is killed before it can save the next session."""
REFRESHED = "mercato_rpc_duration_seconds_count OK /mercato.v1.AuthService/Refresh"
COUNT_TOKENS = "SELECT count(*) FROM refresh_tokens"
IS_ENDED = "SELECT ended_at IS NOT NULL FROM sessions WHERE id = $1::uuid"


@dataclass
class Shared:
    """A shop, and a session that is stored in a file."""

    target: str
    path: Path
    shop: Shop
    jo: Person
    database_url: str
    metrics_port: int

    async def refuse_the_access_token(self) -> None:
        """Change the keys of the shop, and return once the stored access token is refused."""
        session = FileStore(self.path).load()
        assert session is not None
        metadata = (("authorization", f"Bearer {session.access_token}"),)
        await keyrings.rotate(self.database_url, SECRET, discard=True)

        async def is_refused() -> bool:
            return (await refusal(self.shop.users.GetMe(GetMeRequest(), metadata=metadata))).reason == "TOKEN_INVALID"

        await until(is_refused, despite=AssertionError)

    async def refreshes(self) -> int:
        """Return how many refreshes the shop has answered."""
        return int((await asyncio.to_thread(scrape, self.metrics_port)).get(REFRESHED, 0))

    async def is_ended(self) -> bool:
        """Return whether the session has ended."""
        return bool(await self.shop.pool.fetchval(IS_ENDED, self.jo.session_id))


@pytest.fixture
async def shared(settings: Settings, pool: "Pool", port: int, tmp_path: Path) -> AsyncIterator[Shared]:
    """A shop with one person, whose session is stored in a file."""
    path = tmp_path / "session.json"
    async with (
        running(replace(settings, metrics_listen=("127.0.0.1", port))) as (_, [own_port]),
        grpc.aio.insecure_channel(f"127.0.0.1:{own_port}") as channel,
    ):
        shop = Shop(channel, pool)
        jo = await shop.person()
        FileStore(path).save(Session(jo.token, jo.refresh_token, time.time() + TOKEN_S))
        yield Shared(f"127.0.0.1:{own_port}", path, shop, jo, settings.database_url, port)


async def all_ask(processes: list[Sharer]) -> set[str]:
    """Let all processes make their calls at once; return their different answers."""
    return set(await asyncio.gather(*(each.ask() for each in processes)))


async def test_20_processes_go_through_50_refreshes_with_one_session(shared: Shared, request: pytest.FixtureRequest) -> None:
    rounds = SOAK_REFRESHES if request.config.getoption("--soak") else REFRESHES
    deaths = rounds // DEATH_EVERY
    async with sharers(PROCESSES + deaths, shared.target, shared.path) as everyone:
        alive, reserve = everyone[:PROCESSES], everyone[PROCESSES:]
        assert await all_ask(alive) == {shared.jo.id}
        assert await shared.refreshes() == 0
        for number in range(1, rounds + 1):
            before = await shared.refreshes()
            await shared.refuse_the_access_token()
            dies = number % DEATH_EVERY == 0
            if dies:
                assert await alive.pop(0).ask(DIE) == ""
                alive.append(reserve.pop())
            assert await all_ask(alive) == {shared.jo.id}, f"refresh {number}"
            assert await shared.refreshes() - before == 1 + dies, f"refresh {number}"
            assert await shared.shop.pool.fetchval(COUNT_TOKENS) == number + 1
    assert not await shared.is_ended()
    assert not list(shared.path.parent.glob(".session.json.*")) or deaths
    stored = FileStore(shared.path).load()
    assert stored is not None
    assert stored.refresh_token != shared.jo.refresh_token


async def test_the_count_of_refreshes_finds_processes_that_refresh_for_themselves(shared: Shared) -> None:
    async with sharers(2, shared.target, shared.path, fault=BLIND) as processes:
        await all_ask(processes)
        await shared.refuse_the_access_token()
        await all_ask(processes)
        assert await shared.refreshes() > 1


async def test_a_session_that_was_ended_elsewhere_ends_in_every_process(shared: Shared) -> None:
    async with sharers(2, shared.target, shared.path) as processes:
        assert await all_ask(processes) == {shared.jo.id}
        await shared.shop.pool.execute("UPDATE sessions SET ended_at = now(), end_reason = 'revoked'")
        await shared.refuse_the_access_token()
        answers = await all_ask(processes)
    assert all("log in again" in answer or "REFRESH_TOKEN_INVALID" in answer for answer in answers), answers
    assert FileStore(shared.path).load() is None
