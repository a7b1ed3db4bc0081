"""Sessions are opened, renewed and ended through real channels, at one worker and at another."""

import asyncio
import time
import uuid
from datetime import timedelta
from typing import Any

import grpc
import jwt
import pytest
import structlog
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato_server.composition import StartupError
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Device
from mercato_server.domain.paging import Page
from mercato_server.handlers.cart import CartHandler
from mercato_server.handlers.order import OrderHandler
from mercato_server.security import keyrings
from mercato_server.security.address_digests import AddressDigests
from mercato_server.security.keyrings import KeysError
from mercato_server.store import sessions
from mercato_server.store.sweeps import sweep
from mercato_server.worker import running
from support.delays import delays
from support.feed_outage import unheard
from support.patience import Within, until
from support.shop import CALL_S, PASSWORD, SECRET, SOON_S, Person, Shop, refusal

NEW_PASSWORD = "another-secret-1"
FREE_FAILURES = Limits().failures_free
PROLONG = "UPDATE login_attempts SET blocked_until = now() + interval '1 minute'"
"""Keeps a delay of a second from ending while a busy machine makes the next call wait."""
HOME, AWAY = "192.0.2.1", "198.51.100.7"
CLOCK = "SELECT clock_timestamp()"
LIVE = "SELECT count(*) FROM sessions WHERE ended_at IS NULL"
# Three sessions share each time, so that pages end between equal ones.
MANY_SESSIONS = """
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at, refreshed_at)
SELECT $1, '', '192.0.2.1', now() + interval '1 day', now() - make_interval(secs => n / 3) FROM generate_series(1, $2) AS n
"""
REASONS = "SELECT array_agg(end_reason ORDER BY id) FROM sessions"
PUBLISHED_LONG_AGO = "UPDATE signing_keys SET created_at = created_at - interval '1 hour'"


async def me(shop: Shop, person: Person) -> user_pb2.User:
    """Make a call that changes nothing."""
    return await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=person.metadata)


async def answered(call: Any) -> bool:
    """Return whether a call is answered; raises if it is refused for any reason but its token."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not StatusCode.UNAUTHENTICATED:
            raise
        return False
    return True


async def clear(shop: Shop, person: Person) -> cart_pb2.Cart:
    """Make a call that changes something."""
    return await shop.carts.ClearCart(cart_pb2.ClearCartRequest(), metadata=person.metadata)


async def refresh(shop: Shop, token: str) -> auth_pb2.LoginResponse:
    return await shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=token))


async def logout(shop: Shop, person: Person) -> None:
    await shop.auth.Logout(auth_pb2.LogoutRequest(), metadata=person.metadata)


def change_password(shop: Shop, person: Person, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Any:
    request = auth_pb2.ChangePasswordRequest(current_password=current, new_password=new)
    return shop.auth.ChangePassword(request, metadata=person.metadata)


async def test_a_refresh_token_gives_the_next_pair_of_the_same_session(shop: Shop) -> None:
    jo = await shop.person()
    answer = await refresh(shop, jo.refresh_token)
    renewed = Person(jo.id, jo.email, answer.access_token, answer.refresh_token)
    assert renewed.session_id == jo.session_id
    assert renewed.refresh_token != jo.refresh_token
    assert (answer.token_type, answer.expires_in) == ("bearer", 600)
    assert 30 * 86400 - 5 < answer.refresh_expires_in <= 30 * 86400
    assert (await me(shop, renewed)).id == jo.id
    stored = str(await shop.pool.fetch("SELECT * FROM refresh_tokens"))
    assert jo.refresh_token not in stored
    assert renewed.refresh_token not in stored


async def test_a_client_that_lost_the_answer_gets_the_same_pair_again_while_it_is_unused(shop: Shop) -> None:
    jo = await shop.person()
    first, again = [(await refresh(shop, jo.refresh_token)).refresh_token for _ in range(2)]
    assert first == again
    assert await shop.pool.fetchval("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL") == 1
    await refresh(shop, first)
    assert (await refusal(refresh(shop, jo.refresh_token))).reason == "REFRESH_TOKEN_INVALID"


@pytest.mark.parametrize(("refreshes", "seconds"), [(2, 0), (1, 11)], ids=["the successor is used", "eleven seconds later"])
async def test_a_second_use_ends_the_session_for_both_holders(shop: Shop, refreshes: int, seconds: int) -> None:
    jo, other = await shop.person(), await shop.person()
    successor = jo.refresh_token
    for _ in range(refreshes):
        successor = (await refresh(shop, successor)).refresh_token
    await shop.pool.execute("UPDATE refresh_tokens SET used_at = used_at - make_interval(secs => $1)", seconds)
    error = await refusal(refresh(shop, jo.refresh_token))
    assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID")
    assert (await refusal(refresh(shop, successor))).reason == "REFRESH_TOKEN_INVALID"
    assert (await refusal(clear(shop, jo))).reason == "TOKEN_INVALID"
    assert await shop.pool.fetchval(REASONS) == ["reuse", None]
    assert (await me(shop, other)).id == other.id


@pytest.mark.race
async def test_of_many_refreshes_at_once_one_token_stays_live(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    jo = await shop.person()
    token = jo.refresh_token
    for _ in range(race_rounds):
        answers = await asyncio.gather(*(refresh(at, token) for at in (shop, elsewhere) * 10))
        [token] = {answer.refresh_token for answer in answers}
    assert await shop.pool.fetchval("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL") == 1
    assert await shop.pool.fetchval(LIVE) == 1


@pytest.mark.parametrize("token", ["", "x", "mrt_" + "A" * 43, "mrt_" + "é" * 43, "mrt_" + "A" * 60_000])
async def test_an_invalid_refresh_token_is_refused(shop: Shop, token: str) -> None:
    await shop.person()
    error = await refusal(refresh(shop, token))
    assert error.reason in {"INVALID_FIELD", "REFRESH_TOKEN_INVALID"}
    assert await shop.pool.fetchval(LIVE) == 1


async def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(shop: Shop) -> None:
    jo = await shop.person()
    assert (await refusal(refresh(shop, jo.token))).reason == "INVALID_FIELD"
    assert (await refusal(me(shop, Person(jo.id, jo.email, jo.refresh_token)))).reason == "TOKEN_INVALID"


async def test_a_session_ends_after_thirty_days_however_often_it_is_refreshed(shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute("UPDATE sessions SET expires_at = now()")
    assert (await refusal(refresh(shop, jo.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await refusal(clear(shop, jo))).reason == "TOKEN_INVALID"
    await shop.pool.execute("UPDATE sessions SET expires_at = now() - interval '8 days'")
    await sweep(shop.pool)
    assert await shop.pool.fetchval("SELECT count(*) FROM refresh_tokens") == 0


async def test_a_logout_ends_its_session_and_no_other(shop: Shop) -> None:
    jo = await shop.person()
    phone = await shop.login(jo)
    await me(shop, jo)
    await logout(shop, jo)
    assert (await refusal(me(shop, jo))).reason == "TOKEN_INVALID"
    assert (await refusal(refresh(shop, jo.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await me(shop, phone)).id == jo.id
    assert await shop.pool.fetchval(REASONS) == ["logout", None]
    await shop.auth.LogoutAll(auth_pb2.LogoutAllRequest(), metadata=(await shop.login(jo)).metadata)
    assert (await refusal(me(shop, phone))).reason == "TOKEN_INVALID"  # at once, at the worker that ended it
    assert (await refusal(clear(shop, phone))).reason == "TOKEN_INVALID"
    assert await shop.pool.fetchval(LIVE) == 0


async def test_another_worker_refuses_an_ended_session_at_once_for_changes_and_soon_for_reads(
    shop: Shop, elsewhere: Shop, within: Within
) -> None:
    jo = await shop.person()
    for at in (shop, elsewhere):
        await me(at, jo)
    await logout(shop, jo)
    ended = time.monotonic()
    assert (await refusal(clear(elsewhere, jo))).reason == "TOKEN_INVALID"
    asked = ended
    while await answered(me(elsewhere, jo)):
        assert asked - ended < within(SOON_S)
        asked = time.monotonic()


async def test_a_call_of_an_ended_session_is_refused_where_its_batch_asks_and_takes_neither_cart_nor_key(shop: Shop) -> None:
    jo, ball = await shop.person(), await shop.product(await shop.person(admin=True))
    phone = await shop.login(jo)
    await shop.add(jo, ball)
    await logout(shop, phone)
    metadata = (*phone.metadata, ("idempotency-key", "one"))
    for refused in (
        shop.orders.Checkout(order_pb2.CheckoutRequest(), metadata=metadata),
        shop.orders.Checkout(order_pb2.CheckoutRequest(validate_only=True), metadata=metadata),
        shop.carts.AddCartItem(cart_pb2.AddCartItemRequest(product_id=ball.id), metadata=metadata),
        shop.carts.SetCartItem(cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=5), metadata=metadata),
        shop.carts.RemoveCartItem(cart_pb2.RemoveCartItemRequest(product_id=ball.id), metadata=metadata),
        shop.carts.ClearCart(cart_pb2.ClearCartRequest(), metadata=metadata),
    ):
        assert (await refusal(refused)).reason == "TOKEN_INVALID"
    methods = {**vars(CartHandler), **vars(OrderHandler)}
    marked = {name for name, method in methods.items() if getattr(method, "asks_for_session", False)}
    assert marked == {"AddCartItem", "SetCartItem", "RemoveCartItem", "ClearCart", "Checkout"}  # every key that was tried
    order = await shop.checkout(jo, "one")
    assert [line.quantity for line in order.lines] == [1]
    assert (await refusal(shop.orders.Checkout(order_pb2.CheckoutRequest(), metadata=metadata))).reason == "TOKEN_INVALID"
    assert await shop.checkout(jo, "one") == order


async def test_a_worker_that_has_not_read_the_feed_for_long_asks_the_database(shop: Shop, pool: "Pool", database: str) -> None:
    jo = await shop.person()
    await me(shop, jo)
    async with unheard(pool, database, "UPDATE sessions SET ended_at = now(), end_reason = 'revoked'"):
        assert (await refusal(me(shop, jo))).reason == "TOKEN_INVALID"


async def test_people_see_their_own_sessions_and_can_end_one(shop: Shop) -> None:
    began = int(time.time())
    jo, other = await shop.person(), await shop.person()
    phone = await shop.login(jo)
    await refresh(shop, phone.refresh_token)
    listed = (await shop.auth.ListSessions(auth_pb2.ListSessionsRequest(), metadata=jo.metadata)).sessions
    assert [(each.id, each.current) for each in listed] == [(phone.session_id, False), (jo.session_id, True)]
    assert listed[0].ip_address == "127.0.0.1"
    assert "grpc-python" in listed[0].user_agent
    assert began <= listed[0].expire_time.seconds - 30 * 86400 <= time.time()
    request = auth_pb2.RevokeSessionRequest(session_id=phone.session_id)
    stranger = await refusal(shop.auth.RevokeSession(request, metadata=other.metadata))
    assert (stranger.code, stranger.reason) == (StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    assert (await shop.auth.RevokeSession(request, metadata=jo.metadata)).id == phone.session_id
    assert (await refusal(me(shop, phone))).reason == "TOKEN_INVALID"
    assert await refusal(shop.auth.RevokeSession(request, metadata=jo.metadata)) == stranger


async def test_sessions_are_listed_in_pages_of_the_last_used_first(shop: Shop) -> None:
    jo, other = await shop.person(), await shop.person()
    await shop.pool.execute(MANY_SESSIONS, uuid.UUID(jo.id), 104)
    whole, token, sizes = [], "", []
    while True:
        request = auth_pb2.ListSessionsRequest(page_size=1_000, page_token=token)
        page = await shop.auth.ListSessions(request, metadata=jo.metadata)
        whole += [each.id for each in page.sessions]
        sizes.append(len(page.sessions))
        token = page.next_page_token or token
        if not page.next_page_token:
            break
    expected = await shop.pool.fetch(
        "SELECT id::text FROM sessions WHERE account_id = $1 ORDER BY refreshed_at DESC, id DESC", uuid.UUID(jo.id)
    )
    assert (sizes, whole) == ([100, 5], [id_ for (id_,) in expected])
    assert len((await shop.auth.ListSessions(auth_pb2.ListSessionsRequest(), metadata=jo.metadata)).sessions) == 20
    for request, person, reason in (
        (auth_pb2.ListSessionsRequest(page_token=token), other, "PAGE_TOKEN_INVALID"),
        (auth_pb2.ListSessionsRequest(page_size=-1), jo, "INVALID_FIELD"),
    ):
        assert (await refusal(shop.auth.ListSessions(request, metadata=person.metadata))).reason == reason


async def test_a_new_password_ends_the_other_sessions_and_replaces_the_old_one(shop: Shop) -> None:
    jo = await shop.person()
    phone = await shop.login(jo)
    await me(shop, phone)
    assert (await change_password(shop, jo)).ended_sessions == 1
    assert (await me(shop, jo)).id == jo.id
    assert (await refusal(me(shop, phone))).reason == "TOKEN_INVALID"
    assert (await refusal(clear(shop, phone))).reason == "TOKEN_INVALID"
    assert (await refusal(shop.login(jo))).reason == "INVALID_CREDENTIALS"
    assert (await me(shop, await shop.login(jo, NEW_PASSWORD))).id == jo.id


@pytest.mark.parametrize(
    ("current", "new", "reason"),
    [
        ("wrong-password", NEW_PASSWORD, "PASSWORD_WRONG"),
        ("", NEW_PASSWORD, "INVALID_FIELD"),
        (PASSWORD, PASSWORD, "INVALID_FIELD"),
        (PASSWORD, "short", "INVALID_FIELD"),
        (PASSWORD, "password1", "INVALID_FIELD"),
    ],
)
async def test_a_refused_new_password_changes_nothing(shop: Shop, current: str, new: str, reason: str) -> None:
    jo = await shop.person()
    await shop.login(jo)
    assert (await refusal(change_password(shop, jo, current, new))).reason == reason
    assert await shop.pool.fetchval(LIVE) == 2
    assert (await shop.login(jo)).token


async def test_a_disabled_account_has_no_sessions_and_cannot_log_in(shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute("UPDATE accounts SET disabled_at = now()")
    assert (await refusal(clear(shop, jo))).reason == "TOKEN_INVALID"
    wrong = await refusal(shop.login(jo, "wrong-password"))
    assert await refusal(shop.login(jo)) == wrong
    assert wrong.reason == "INVALID_CREDENTIALS"


async def test_failed_logins_take_longer_and_longer_until_one_succeeds(shop: Shop, within: Within) -> None:
    jo, other = await shop.person(), await shop.person()
    for delay_s in [0] * 5 + [1, 2, 4, 8, 16, 32, 60, 60, 60]:
        before = await shop.pool.fetchval(CLOCK)
        assert (await refusal(shop.login(jo, "wrong-password"))).reason == "INVALID_CREDENTIALS"
        blocked_until = await shop.pool.fetchval("SELECT max(blocked_until) FROM login_attempts")
        assert before <= blocked_until - timedelta(seconds=delay_s) <= await shop.pool.fetchval(CLOCK)
        await shop.pool.execute("UPDATE login_attempts SET blocked_until = now()")
    await shop.pool.execute("UPDATE login_attempts SET blocked_until = now() + interval '42 seconds'")
    error = await refusal(shop.login(jo))  # even with the right password, because otherwise the answer would reveal a right guess
    assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS")
    assert 42 - within(1) <= error.detail(RetryInfo).retry_delay.seconds <= 42
    assert (await shop.login(other)).token
    assert (await me(shop, jo)).id == jo.id  # existing sessions stay valid
    await shop.pool.execute("UPDATE login_attempts SET blocked_until = now()")
    assert (await shop.login(jo)).token
    assert await shop.pool.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_an_address_without_an_account_is_throttled_alike_and_not_written_down(shop: Shop) -> None:
    stranger = Person("", "absent@example.com", "")
    for _ in range(FREE_FAILURES + 1):
        assert (await refusal(shop.login(stranger))).reason == "INVALID_CREDENTIALS"
    await shop.pool.execute(PROLONG)
    assert (await refusal(shop.login(stranger))).reason == "TOO_MANY_ATTEMPTS"
    assert "nobody" not in str(await shop.pool.fetch("SELECT address_digest::text FROM login_attempts"))
    await shop.pool.execute("UPDATE login_attempts SET blocked_until = now() - interval '25 hours'")
    await sweep(shop.pool)
    assert await shop.pool.fetchval("SELECT count(*) FROM login_attempts") == 0


@pytest.mark.race
async def test_guesses_sent_at_once_are_counted_one_by_one(shop: Shop, elsewhere: Shop) -> None:
    jo = await shop.person()
    with delays() as over:
        guesses = await asyncio.gather(*(refusal(at.auth.Login(wrong(jo))) for at in (shop, elsewhere) * 20))
    failed = sum(guess.reason == "INVALID_CREDENTIALS" for guess in guesses)
    assert FREE_FAILURES + 1 <= failed <= FREE_FAILURES + 1 + over.passed


def wrong(person: Person) -> auth_pb2.LoginRequest:
    return auth_pb2.LoginRequest(email=person.email, password="wrong-password")


def right(person: Person) -> auth_pb2.LoginRequest:
    return auth_pb2.LoginRequest(email=person.email, password=PASSWORD)


def at(address: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata by which the edge tells a client's address."""
    return (("x-client-address", address),)


@pytest.mark.race
async def test_right_passwords_sent_at_once_all_log_in(shop: Shop, elsewhere: Shop) -> None:
    jo = await shop.person()
    await asyncio.gather(*(where.auth.Login(right(jo), timeout=CALL_S) for where in (shop, elsewhere) * 8))
    assert await shop.pool.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_a_login_that_runs_out_of_time_is_no_failure(shop: Shop) -> None:
    jo = await shop.person()
    for _ in range(2 * FREE_FAILURES):
        error = await refusal(shop.auth.Login(wrong(jo), timeout=0.001))
        assert error.code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAUTHENTICATED)
    assert (await shop.login(jo)).token


async def test_guesses_elsewhere_never_keep_the_owner_out_at_home(shop: Shop) -> None:
    jo = await shop.person()
    await shop.auth.Login(right(jo), metadata=at(HOME))
    for _ in range(FREE_FAILURES + 1):
        assert (await refusal(shop.auth.Login(wrong(jo), metadata=at(AWAY)))).reason == "INVALID_CREDENTIALS"
    await shop.pool.execute(PROLONG)
    assert (await refusal(shop.auth.Login(right(jo), metadata=at(AWAY)))).reason == "TOO_MANY_ATTEMPTS"
    await shop.pool.execute("UPDATE login_attempts SET failures = 1000, blocked_until = now() + interval '1 minute'")  # from everywhere
    assert (await shop.auth.Login(right(jo), metadata=at(HOME))).access_token
    assert (await refusal(shop.auth.Login(right(jo), metadata=at(AWAY)))).reason == "TOO_MANY_ATTEMPTS"
    assert (await refusal(shop.auth.Login(wrong(jo), metadata=at(HOME)))).reason == "INVALID_CREDENTIALS"


@pytest.mark.parametrize(
    ("address", "neighbour", "stranger"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("", "", "192.0.2.1"),
    ],
)
def test_clients_of_one_network_are_told_by_their_addresses(address: str, neighbour: str, stranger: str) -> None:
    networks = [Device(user_agent="", ip_address=each).network for each in (address, neighbour, stranger)]
    assert networks[0] == networks[1] != networks[2]


async def test_an_account_knows_the_networks_of_its_last_logins_only(shop: Shop) -> None:
    jo = await shop.person()
    limit = Limits().networks_known
    for number in (*range(limit + 2), 2):
        await shop.auth.Login(right(jo), metadata=at(f"192.0.2.{number}"))
    known = await shop.pool.fetchval("SELECT known_networks FROM accounts WHERE email = $1", jo.email)
    digests = AddressDigests(SECRET)
    assert known == [digests.counters(jo.email, f"192.0.2.{number}").here for number in (2, 11, 10, 9, 8, 7, 6, 5, 4, 3)]


async def test_a_new_password_by_mail_or_change_forgets_the_failures(shop: Shop) -> None:
    jo = await shop.person()
    for _ in range(FREE_FAILURES):
        await refusal(shop.login(jo, "wrong-password"))
    await change_password(shop, jo)
    assert await shop.pool.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_a_wrong_current_password_counts_as_a_failed_login(shop: Shop) -> None:
    jo = await shop.person()
    for _ in range(FREE_FAILURES + 1):
        assert (await refusal(change_password(shop, jo, "wrong-password"))).reason == "PASSWORD_WRONG"
    await shop.pool.execute(PROLONG)
    assert (await refusal(change_password(shop, jo))).reason == "TOO_MANY_ATTEMPTS"


async def test_the_published_keys_verify_tokens_before_and_after_a_rotation(shop: Shop, elsewhere: Shop, settings: Settings) -> None:
    jo = await shop.person()
    before = await published(elsewhere)
    verify(jo.token, before)
    with pytest.raises(KeysError, match="5 minutes"):
        await keyrings.rotate(settings.database_url, settings.secret_key, discard=False)
    await shop.pool.execute(PUBLISHED_LONG_AGO)
    kid = await keyrings.rotate(settings.database_url, settings.secret_key, discard=False)
    assert kid in before  # the key was published ahead

    async def signed_with_it() -> bool:
        await shop.pool.execute("DELETE FROM login_attempts")
        return bool(jwt.get_unverified_header((await shop.login(jo)).token)["kid"] == kid)

    await until(signed_with_it)
    verify((await shop.login(jo)).token, before)
    verify(jo.token, await published(shop))
    assert (await me(shop, jo)).id == (await me(elsewhere, jo)).id == jo.id
    assert set(before) < set(await published(shop))


async def test_workers_log_the_ids_of_changed_keys(shop: Shop, settings: Settings) -> None:
    before = await shop.pool.fetchval("SELECT kid FROM signing_keys WHERE state = 'current'")
    with structlog.testing.capture_logs() as logs:
        kid = await keyrings.rotate(settings.database_url, settings.secret_key, discard=True)
        await until(lambda: [entry for entry in logs if entry["event"] == "tokens are signed with other keys"])
    told = next(entry for entry in logs if entry["event"] == "tokens are signed with other keys")
    assert (told["log_level"], told["kid"], told["before"]) == ("warning", kid, before)
    assert set(told["verifying"]) == {row["kid"] for row in await shop.pool.fetch("SELECT kid FROM signing_keys")}


async def test_discarded_keys_void_every_access_token_but_no_session(shop: Shop, elsewhere: Shop, settings: Settings) -> None:
    jo = await shop.person()
    await me(elsewhere, jo)
    await keyrings.rotate(settings.database_url, settings.secret_key, discard=True)

    async def void() -> bool:
        return not await answered(me(elsewhere, jo))

    await until(void)
    renewed = await refresh(elsewhere, jo.refresh_token)
    assert (await me(elsewhere, Person(jo.id, jo.email, renewed.access_token))).id == jo.id


async def test_keys_of_another_secret_are_reported_at_the_start(shop: Shop, settings: Settings) -> None:
    other = Settings(database_url=settings.database_url, secret_key="another secret of more than 32 bytes", listen=("127.0.0.1:0",))
    with pytest.raises(StartupError, match="keys rotate --discard"):
        async with running(other):
            pass
    with pytest.raises(KeysError, match="SECRET_KEY"):
        await keyrings.rotate(other.database_url, other.secret_key, discard=False)


async def published(shop: Shop) -> dict[str, auth_pb2.Jwk]:
    return {key.kid: key for key in (await shop.auth.GetJwks(auth_pb2.GetJwksRequest())).keys}


def verify(token: str, keys: dict[str, auth_pb2.Jwk]) -> None:
    """Verify a token as another service would, with the published keys only."""
    key = keys[jwt.get_unverified_header(token)["kid"]]
    jwk = jwt.PyJWK({"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid, "use": key.use, "alg": key.alg})
    jwt.decode(token, jwk, algorithms=["EdDSA"], audience="mercato", issuer="mercato")


async def test_the_events_of_a_session_are_in_the_feed(shop: Shop) -> None:
    jo = await shop.person()
    await shop.login(jo)
    await shop.auth.LogoutAll(auth_pb2.LogoutAllRequest(), metadata=jo.metadata)
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'session.ended'") == 2
    assert await sessions.of_account(shop.pool, (await shop.pool.fetchval("SELECT id FROM accounts")), Page(20)) == ([], None)
