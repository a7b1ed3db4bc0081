"""Lost answers, refreshes of many callers, and logs: the client does it right, and a fault that is planted in it is found."""

import asyncio
import contextlib
import logging
import pickle
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import grpc
import pytest

from mercato import AsyncClient, Client
from mercato.errors import CallError
from mercato.sessions import MemoryStore, Session
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from python_client.planted import planted
from support.lossy_link import LossyLink
from support.patience import until
from support.scrape import scrape
from support.shop import CALL_S, PASSWORD, Person, Shop

CALLERS = 20
WRONG = "another-password"
GET_QUANTITY = "SELECT coalesce(sum(quantity), 0)::integer FROM cart_items WHERE account_id = $1::uuid"
REFRESHED = "mercato_rpc_duration_seconds_count OK /mercato.v1.AuthService/Refresh"


@dataclass
class Served:
    """A shop, and the link to it."""

    link: LossyLink
    shop: Shop
    jo: Person
    ball_id: str
    metrics_port: int

    async def quantity(self) -> int:
        """Return how many units are in the cart."""
        return int(await self.shop.pool.fetchval(GET_QUANTITY, self.jo.id))

    async def refreshes(self) -> float:
        """Return how many refreshes the shop has answered."""
        return (await asyncio.to_thread(scrape, self.metrics_port)).get(REFRESHED, 0)


@pytest.fixture
async def served(settings: Settings, pool: "Pool", port: int) -> AsyncIterator[Served]:
    async with (
        running(replace(settings, metrics_listen=("127.0.0.1", port))) as (_, [own_port]),
        grpc.aio.insecure_channel(f"127.0.0.1:{own_port}") as channel,
        LossyLink(own_port).open() as link,
    ):
        shop = Shop(channel, pool)
        ball = await shop.product(await shop.person(admin=True))
        yield Served(link, shop, await shop.person(), ball.id, port)


def add(served: Served) -> bool:
    """Add a unit with a `Client`, whose answer is lost; return whether the answer was one of an earlier attempt."""
    with Client(served.link.target, token=served.jo.token, timeout=CALL_S) as shop:
        shop.cart.get_cart()  # connects
        served.link.lose_answers()
        return shop.with_response.cart.add_cart_item(product_id=served.ball_id).replayed


async def add_async(served: Served) -> bool:
    """Add a unit with an `AsyncClient`, whose answer is lost."""
    async with AsyncClient(served.link.target, token=served.jo.token, timeout=CALL_S) as shop:
        await shop.cart.get_cart()
        served.link.lose_answers()
        return (await shop.with_response.cart.add_cart_item(product_id=served.ball_id)).replayed


Kind = Callable[[Served], Awaitable[bool]]
KINDS: dict[str, Kind] = {"Client": lambda served: asyncio.to_thread(add, served), "AsyncClient": add_async}


async def check_that_a_lost_answer_acts_once(served: Served, kind: Kind) -> None:
    before = await served.quantity()
    call = asyncio.ensure_future(kind(served))
    try:
        await until(lambda: more_than(served, before), "the shop has served the call")
    finally:
        served.link.cut()
    replayed = await call
    assert (await served.quantity() - before, replayed) == (1, True)


async def more_than(served: Served, units: int) -> bool:
    return await served.quantity() > units


async def check_that_callers_share_a_refresh(served: Served) -> None:
    before, expired = await served.refreshes(), Session(served.jo.token, served.jo.refresh_token, time.time() - 1)
    async with AsyncClient(served.link.target, session=MemoryStore(expired), timeout=CALL_S) as shop:
        people = await asyncio.gather(*(shop.users.get_me() for _ in range(CALLERS)), return_exceptions=True)
        assert shop.session is not None
        served.jo = replace(served.jo, token=shop.session.access_token, refresh_token=shop.session.refresh_token)
    refused = [repr(each) for each in people if isinstance(each, BaseException)]
    assert (refused, await served.refreshes() - before) == ([], 1)


@contextlib.contextmanager
def all_logs() -> Iterator[list[str]]:
    """Collect every line that any library logs in a block."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name} {record.levelname} {self.format(record)} {vars(record)}")

    root, collector = logging.getLogger(), Collector()
    level = root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(collector)
        root.setLevel(level)


def told(error: BaseException) -> str:
    """Return all that an error tells: its texts, its traceback, and its bytes in another process."""
    return "\n".join((str(error), repr(error), *traceback.format_exception(error), str(pickle.dumps(error))))


async def check_that_nothing_tells_a_secret(served: Served) -> list[str]:
    """Log in, refresh and be refused; return the lines of the log."""
    store, texts = MemoryStore(), []

    def visit() -> None:
        with Client(served.link.target, session=store, timeout=CALL_S) as shop:
            for attempt in (lambda: shop.login(served.jo.email, WRONG), shop.cart.get_cart):
                with pytest.raises(CallError) as refused:
                    attempt()
                texts.append(told(refused.value))
            shop.login(served.jo.email, PASSWORD)
            first = store.load()
            assert first is not None
            store.save(replace(first, expires_at=time.time() - 1))
        with Client(served.link.target, session=store, timeout=CALL_S) as shop:
            shop.cart.add_cart_item(product_id=served.ball_id)
            texts.extend((repr(shop), repr(shop.session), repr(store)))
            secrets.extend((first.access_token, first.refresh_token))

    secrets = [PASSWORD, WRONG]
    with all_logs() as lines:
        await asyncio.to_thread(visit)
    last = store.load()
    assert last is not None
    secrets += [last.access_token, last.refresh_token]
    assert len(set(secrets)) == 6
    for secret in secrets:
        found = [text for text in (*lines, *texts) if secret in text or secret.rpartition(".")[2] in text]
        assert not found, found[0]
    return lines


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_whose_answer_is_lost_acts_once_and_a_client_that_renews_its_key_is_found(served: Served, kind: str) -> None:
    await check_that_a_lost_answer_acts_once(served, KINDS[kind])
    with planted("key renewed on retry"), pytest.raises(AssertionError, match=r"2, False"):
        await check_that_a_lost_answer_acts_once(served, KINDS[kind])


async def test_callers_share_one_refresh_and_a_client_that_refreshes_for_each_is_found(served: Served) -> None:
    await check_that_callers_share_a_refresh(served)
    with planted("refresh doubled"), pytest.raises(AssertionError, match=r"\[\], 1"):
        await check_that_callers_share_a_refresh(served)


async def test_logs_and_errors_tell_each_call_and_no_secret_and_a_client_that_logs_a_token_is_found(served: Served) -> None:
    lines = [line for line in await check_that_nothing_tells_a_secret(served) if line.startswith("mercato ")]
    for expected in (
        "DEBUG AuthService/Login: UNAUTHENTICATED INVALID_CREDENTIALS in ",
        "DEBUG CartService/GetCart: UNAUTHENTICATED TOKEN_INVALID in ",
        "DEBUG AuthService/Login: OK in ",
        "INFO the session was refreshed by this client",
        "DEBUG CartService/AddCartItem: OK in ",
    ):
        assert len([line for line in lines if line.startswith(f"mercato {expected}")]) == 1, (expected, lines)
    with planted("token logged"), pytest.raises(AssertionError, match="Bearer"):
        await check_that_nothing_tells_a_secret(served)
