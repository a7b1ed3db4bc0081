"""The session of a client: when it is refreshed, by whom, and how often."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from mercato import AsyncClient, FileStore, MemoryStore, Session
from mercato import _refresh as refresh_module
from mercato.errors import ClientClosed, DeadlineExceeded, RefreshTokenInvalid, TokenInvalid, Unavailable
from mercato.v1.auth_pb2 import RefreshRequest
from mercato.v1.cart_pb2 import Cart
from mercato.v1.media_pb2 import PictureUpload, UploadPictureContentRequest
from support.patience import patient, until_sync
from support.python_twins import Twin
from support.scripted_server import VALID_S, Gate, Received, Refused, Scripted, scripted, tokens

DAY_S, HOUR_S = 86_400, 3_600
INVALID = grpc.StatusCode.UNAUTHENTICATED


@dataclass
class Shop:
    """Exchanges each refresh token once, and takes the access tokens that it has not revoked."""

    newest: int = 1
    revoked: set[str] = field(default_factory=set)
    down: bool = False
    """Whether Refresh answers UNAVAILABLE."""
    gate: Gate | None = None
    """Where Refresh waits."""

    def __call__(self, call: Received) -> Message:
        if call.name == "Refresh":
            return self._refreshed(RefreshRequest.FromString(call.body).refresh_token)
        if call.name != "ListProducts" and (not call.token.startswith("access-") or call.token in self.revoked):
            raise Refused(INVALID, "TOKEN_INVALID")
        if call.name == "UploadPictureContent":
            return PictureUpload(id=call.token)
        return Cart(etag=call.token)

    def _refreshed(self, token: str) -> Message:
        if self.gate:
            self.gate.wait_there()
        if self.down:
            raise Refused(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        if token != f"refresh-{self.newest}":
            raise Refused(INVALID, "REFRESH_TOKEN_INVALID")
        self.newest += 1
        return tokens(self.newest)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def server(shop: Shop) -> Iterator[Scripted]:
    with scripted(shop) as server:
        yield server


def session(left_s: float) -> Session:
    return Session("access-1", "refresh-1", time.time() + left_s)


def test_a_token_that_expires_is_exchanged_before_the_call(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target, session=session(-1)) as client:
        assert client.cart.get_cart().etag == "access-2"
        assert client.cart.get_cart().etag == "access-2"
    assert server.counts == {"Refresh": 1, "GetCart": 2}


def test_a_token_that_is_due_serves_until_its_successor_is_there(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    with twin.open(server.target, session=session(20)) as client:
        client.cart.get_cart()
        with refresh_due(20):
            assert client.cart.get_cart().etag == "access-1"
            shop.gate.wait_until_reached()
            assert client.cart.get_cart().etag == "access-1"
            shop.gate.open()
            until_sync(lambda: client.session.access_token == "access-2")
        assert client.cart.get_cart().etag == "access-2"
    assert server.counts["Refresh"] == 1


def test_calls_go_on_while_refreshes_fail_and_the_token_is_valid(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.down = True
    with twin.open(server.target, session=session(20)) as client, refresh_due(20):
        assert [client.cart.get_cart().etag for _ in range(5)] == ["access-1"] * 5
        until_sync(lambda: server.counts["Refresh"] > 0)


def test_a_refresh_that_fails_is_repeated_until_the_shop_is_back(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.down = True
    with twin.open(server.target, session=session(-1), timeout=patient()) as client, ThreadPoolExecutor(1) as pool:
        cart = pool.submit(client.cart.get_cart)
        until_sync(lambda: server.counts["Refresh"] > 1)
        shop.down = False
        assert cart.result(patient()).etag == "access-2"


def test_an_expired_token_and_no_refresh_end_a_call_with_the_cause(
    twin: Twin, server: Scripted, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato._connections.EXCHANGE_S", 0.3)
    shop.down = True
    with twin.open(server.target, session=session(-1)) as client, pytest.raises(Unavailable) as failed:
        client.cart.get_cart()
    assert (failed.value.reason, server.counts["GetCart"]) == ("DATABASE_UNAVAILABLE", 0)


def test_a_token_that_is_refused_early_is_replaced_once_and_the_call_sent_once_more(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.revoked = {"access-1"}
    with twin.open(server.target, session=session(VALID_S)) as client:
        client.cart.add_cart_item(product_id="1")
    first, second = server.calls("AddCartItem")
    assert (first.token, second.token) == ("access-1", "access-2")
    assert first.key == second.key != ""
    assert server.counts["Refresh"] == 1


def test_a_refused_stream_that_cannot_be_read_again_leaves_a_new_token_for_the_next_one(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.revoked = {"access-1"}
    piece = UploadPictureContentRequest(upload_id="1")
    with twin.open(server.target, session=session(VALID_S)) as client:
        with pytest.raises(TokenInvalid):
            client.media.upload_picture_content(iter([piece]))
        until_sync(lambda: client.session.access_token == "access-2")
        assert client.media.upload_picture_content(iter([piece])).id == "access-2"
        shop.revoked.add("access-2")
        assert client.media.upload_picture_content([piece]).id == "access-3"
    assert server.counts == {"UploadPictureContent": 4, "Refresh": 2}


def test_a_closed_client_does_not_refresh(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target, session=session(-1)) as client:
        client.close()
        with pytest.raises(ClientClosed):
            client.cart.get_cart()
    assert server.counts == {}


def test_a_thread_that_cannot_be_started_fails_one_call(twin: Twin, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    start, failures = threading.Thread.start, iter([RuntimeError("can't start new thread")])

    def started(self: threading.Thread) -> None:
        if self.name == "mercato-refresh" and (failure := next(failures, None)) is not None:
            raise failure
        start(self)

    monkeypatch.setattr(threading.Thread, "start", started)
    with twin.open(server.target, session=session(-1), timeout=patient()) as client:
        with pytest.raises(RuntimeError, match="can't start"):
            client.cart.get_cart()
        assert client.cart.get_cart().etag == "access-2"


def test_a_second_refusal_is_told(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.revoked = {"access-1", "access-2"}
    with twin.open(server.target, session=session(VALID_S)) as client, pytest.raises(TokenInvalid):
        client.cart.get_cart()
    assert server.counts == {"GetCart": 2, "Refresh": 1}


def test_a_token_without_a_session_is_not_replaced(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.revoked = {"access-1"}
    with twin.open(server.target, token="access-1") as client, pytest.raises(TokenInvalid):
        client.cart.get_cart()
    assert server.counts == {"GetCart": 1}


def test_a_callers_own_token_is_never_replaced(twin: Twin, server: Scripted) -> None:
    own = (("authorization", "Bearer mine"),)
    with twin.open(server.target, session=session(-1)) as client, pytest.raises(TokenInvalid):
        client.cart.get_cart(metadata=own)
    assert [call.token for call in server.received] == ["mine"]


def test_many_callers_share_one_refresh(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    with twin.open(server.target, session=session(-1), timeout=patient()) as client, ThreadPoolExecutor(16) as pool:
        carts = [pool.submit(client.cart.get_cart) for _ in range(16)]
        shop.gate.wait_until_reached()
        shop.gate.open()
        assert [cart.result(patient()).etag for cart in carts] == ["access-2"] * 16
    assert server.counts == {"Refresh": 1, "GetCart": 16}


def test_a_session_that_has_ended_is_told_to_each_caller_until_a_login(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.newest = 7
    store = MemoryStore(session(-1))
    with twin.open(server.target, session=store) as client:
        for _ in range(2):
            with pytest.raises(RefreshTokenInvalid):
                client.cart.get_cart()
        assert store.load() is None
        client.use(tokens(8))
        assert client.cart.get_cart().etag == "access-8"
    assert server.counts["Refresh"] == 1


def test_the_timeout_covers_the_wait_for_a_refresh(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    with twin.open(server.target, session=session(-1)) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="next access token") as late:
            client.cart.add_cart_item(product_id="1", timeout=0.3)
        took_s = time.monotonic() - began
        shop.gate.open()
        assert client.cart.get_cart().etag == "access-2"
    assert took_s < shop_timeout_s(0.3)
    assert not late.value.outcome_unknown
    assert server.counts == {"Refresh": 1, "GetCart": 1}


def shop_timeout_s(timeout_s: float) -> float:
    """Return what a call may take: less than the 1.2 s more that a client without one deadline took."""
    return timeout_s + patient() / 60


async def test_a_cancelled_caller_leaves_the_refresh_to_the_others(server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    async with AsyncClient(server.target, session=session(-1), timeout=patient()) as client:
        caller = asyncio.ensure_future(client.cart.get_cart())
        await asyncio.to_thread(shop.gate.wait_until_reached)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        shop.gate.open()
        assert (await client.cart.get_cart()).etag == "access-2"
    assert server.counts == {"Refresh": 1, "GetCart": 1}


def test_the_next_token_is_saved_before_it_is_used(twin: Twin, server: Scripted) -> None:
    saved: list[tuple[str, int]] = []

    class Store(MemoryStore):
        def save(self, session: Session) -> None:
            saved.append((session.access_token, server.counts["GetCart"]))
            super().save(session)

    with twin.open(server.target, session=Store(session(-1))) as client:
        client.cart.get_cart()
    assert saved == [("access-2", 0)]


def test_a_store_that_cannot_save_keeps_the_last_session_in_use(twin: Twin, server: Scripted) -> None:
    class Full(MemoryStore):
        def save(self, session: Session) -> None:
            raise OSError(f"no space for {session}")

    with twin.open(server.target, session=Full(session(20))) as client, refresh_due(20):
        assert client.cart.get_cart().etag == "access-1"
        until_sync(lambda: server.counts["Refresh"] > 0)
        assert client.cart.get_cart().etag == "access-1"


def test_a_session_that_another_process_has_refreshed_is_taken_over(twin: Twin, server: Scripted) -> None:
    class Shared(MemoryStore):
        """Another process refreshes after this client has read the session."""

        reads = 0

        def load(self) -> Session:
            self.reads += 1
            return session(-1) if self.reads == 1 else Session("access-5", "refresh-5", time.time() + VALID_S)

    with twin.open(server.target, session=Shared()) as client:
        assert client.cart.get_cart().etag == "access-5"
    assert server.counts == {"GetCart": 1}


def test_a_login_during_a_refresh_wins(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    with twin.open(server.target, session=session(20)) as client, refresh_due(20):
        client.cart.get_cart()
        shop.gate.wait_until_reached()
        login = threading.Thread(target=client.use, args=(tokens(9),))
        login.start()
        shop.gate.open()
        login.join(patient())
        assert client.session.access_token == "access-9"
        assert client.cart.get_cart().etag == "access-9"


def test_a_stored_session_that_has_expired_is_refreshed_before_the_first_call(twin: Twin, server: Scripted, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "session.json")
    store.save(session(-1))
    with twin.open(server.target, session=store) as client:
        assert client.cart.get_cart().etag == "access-2"
    assert server.counts == {"Refresh": 1, "GetCart": 1}
    assert store.load() == client.session


class FakeTime:
    """A clock of the wall that is wrong, and a monotonic one that may stand still."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return time.time() + self.ahead_s

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(refresh_module, "time", fake)
    return fake


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S], ids=["ahead", "behind"])
def test_a_clock_that_is_a_day_off_makes_no_difference(twin: Twin, server: Scripted, clock: FakeTime, ahead_s: float) -> None:
    clock.ahead_s = ahead_s
    with twin.open(server.target) as client:
        client.use(tokens(1))
        assert client.cart.get_cart().etag == "access-1"
    assert server.counts == {"GetCart": 1}


def test_a_stored_session_survives_a_clock_that_was_set_back(twin: Twin, server: Scripted, shop: Shop, clock: FakeTime) -> None:
    stored, clock.ahead_s, shop.revoked = session(60), -DAY_S, {"access-1"}
    with twin.open(server.target, session=stored) as client:
        assert client.cart.get_cart().etag == "access-2"
    assert server.counts == {"GetCart": 2, "Refresh": 1}


def test_a_machine_that_slept_for_an_hour_refreshes_first(twin: Twin, server: Scripted, clock: FakeTime) -> None:
    with twin.open(server.target, session=session(VALID_S)) as client:
        assert client.cart.get_cart().etag == "access-1"
        clock.ahead_s = HOUR_S  # the monotonic clock stands still while a machine sleeps
        assert client.cart.get_cart().etag == "access-2"
    assert server.counts == {"GetCart": 2, "Refresh": 1}


def test_reads_for_anyone_never_wait_for_a_refresh(twin: Twin, server: Scripted, shop: Shop) -> None:
    shop.gate = Gate()
    with twin.open(server.target, session=session(-1)) as client:
        client.catalog.list_products().page()
        shop.gate.open()
    assert server.counts["ListProducts"] == 1


class refresh_due:  # noqa: N801 - used like a function
    """Let a session of some seconds count as due at once: usually half of its time has to pass first."""

    def __init__(self, left_s: float) -> None:
        self._early_s = left_s
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(refresh_module._Held, "due", property(lambda held: held.ends_within(self._early_s)))

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
