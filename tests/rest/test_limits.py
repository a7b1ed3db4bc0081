"""Limits on the rate of requests: per client address, per token, and tighter limits for calls that take a password."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest

from mercato.v1 import auth_pb2, user_pb2, user_pb2_grpc
from rest.wire import grpc_error, rich
from support.mercato_up import PASSWORD, Up, running
from support.patience import patient, until_sync
from support.rest_client import HOST, RETRY, Client, Reply

CREDENTIALS = 6
_addresses = itertools.count(1)
FORGED = [("x-forwarded-for", "203.0.113.7"), ("x-real-ip", "203.0.113.7"), ("forwarded", "for=203.0.113.7")]


def wrong() -> dict[str, str]:
    """Return a login with a new address. The worker's own limit on failures per account must not be reached."""
    return {"email": f"{uuid.uuid4().hex}@example.com", "password": "guess"}


@pytest.fixture(scope="module")
def limited() -> Iterator[Up]:
    """Run a shop without a proxy in front, with low limits."""
    with running(
        MERCATO_RATE_LIMITS="on",
        MERCATO_CREDENTIALS_PER_MINUTE=str(CREDENTIALS),
        MERCATO_REQUESTS_PER_SECOND="30",
        MERCATO_ACCESS_LOG_REFUSED="0",
        MERCATO_TOKEN_REQUESTS_PER_SECOND="1000",
    ) as up:
        yield up


@pytest.fixture(scope="module")
def behind_a_proxy() -> Iterator[Up]:
    """Run a shop behind a proxy, as which these tests act: the last address in X-Forwarded-For is the client's."""
    with running(
        MERCATO_RATE_LIMITS="on",
        MERCATO_TRUSTED_HOPS="1",
        MERCATO_CREDENTIALS_PER_MINUTE=str(CREDENTIALS),
        MERCATO_REQUESTS_PER_SECOND="1000",
        MERCATO_TOKEN_REQUESTS_PER_SECOND="5",
    ) as up:
        yield up


def at(up: Up) -> Client:
    """Return a client with its own address, whose limits are unused."""
    return replace(up.anyone, source=f"127.0.1.{next(_addresses)}")


def at_once(send: Callable[[int], Reply], count: int) -> list[Reply]:
    """Send requests at once, so that even a slow machine sends enough in a second."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(send, range(count)))


def assert_limited(send: Callable[[], Reply]) -> None:
    """Check that a request is refused by the limit; the bucket may have got one more token since it was empty."""
    reply = send()
    is_limited(reply if reply.status == 429 else send())


def is_limited(reply: Reply) -> None:
    """Check that an answer is the refusal of the limit."""
    assert (reply.status, reply.reason, reply.json["code"]) == (429, "RATE_LIMITED", 8)
    assert reply.headers["content-type"] == "application/json"
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    [retry] = reply.details(RETRY)
    assert retry["retry_delay"] == f"{reply.headers['retry-after']}s"


def exhaust(anyone: Client, path: str, *headers: tuple[str, str]) -> None:
    """Use up the calls with credentials that an address has in a minute."""
    statuses = {reply.status for reply in at_once(lambda _: anyone.post(path, wrong(), headers=headers), 2 * CREDENTIALS)}
    assert 429 in statuses
    assert statuses <= {400, 401, 429, 504}  # the last one if a busy machine has no time to hash the password


def test_logins_are_limited_on_every_path_that_leads_to_them_and_nothing_else_is(limited: Up) -> None:
    anyone = at(limited)
    replies = [anyone.form("/login", {"username": wrong()["email"], "password": "guess"}) for _ in range(CREDENTIALS + 2)]
    statuses = [reply.status for reply in replies]
    assert statuses[:CREDENTIALS] == [401] * CREDENTIALS
    assert 429 in statuses[CREDENTIALS:]
    for path in ("/login", "/login/", "/login?x=1", "//login", "/v1/auth:login"):
        assert_limited(lambda path=path: anyone.post(path, wrong()))  # type: ignore[misc]
    assert_limited(lambda: anyone.post("/login", wrong(), headers=FORGED))
    assert_limited(lambda: replace(limited.admin, source=anyone.source).post("/login", wrong()))
    exhaust(limited.anyone, "/login")
    with grpc.insecure_channel(f"{HOST}:{limited.port}") as channel:
        guesses = [
            auth_pb2.LoginRequest(email=guess["email"], password=guess["password"]).SerializeToString() for guess in (wrong(), wrong())
        ]
        _, error = [grpc_error(channel, "/mercato.v1.AuthService/Login", guess) for guess in guesses]  # see `assert_limited`
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert rich(error)["details"][0]["reason"] == "RATE_LIMITED"
    assert int(dict([*error.initial_metadata(), *error.trailing_metadata()])["retry-after"]) >= 1
    assert anyone.get("/products").status == 200
    assert limited.admin.get("/me").status == 200


def test_signups_have_a_limit_of_their_own(limited: Up) -> None:
    anyone = at(limited)
    exhaust(anyone, "/login")
    assert anyone.post("/signup", wrong()).status == 400
    exhaust(anyone, "/signup")
    assert_limited(lambda: anyone.post("//signup/", wrong(), headers=FORGED))


def test_a_burst_of_requests_is_cut_off_and_forgiven_after_its_second(limited: Up) -> None:
    anyone = at(limited)
    replies = at_once(lambda _: anyone.get("/products"), 200)
    assert {reply.status for reply in replies} == {200, 429}
    refused = next(reply for reply in replies if reply.status == 429)
    is_limited(refused)
    assert refused.headers["retry-after"] == "1"
    assert {anyone.get(path).status for path in ("/healthz", "/docs", "/openapi.json")} == {200}
    until_sync(lambda: anyone.get("/products").status != 429)


def test_pages_are_limited_apart_from_calls(limited: Up) -> None:
    anyone = at(limited)
    replies = at_once(lambda _: anyone.get("/docs"), 100)
    assert {reply.status for reply in replies} == {200, 429}
    is_limited(next(reply for reply in replies if reply.status == 429))
    assert anyone.get("/products").status == 200
    until_sync(lambda: anyone.get("/docs").status == 200)


def test_a_flood_of_refused_calls_is_not_in_the_access_log(limited: Up) -> None:
    anyone = at(limited)
    refused = [*at_once(lambda _: anyone.get("/products/1"), 5), anyone.get("/absent"), anyone.get("/me"), anyone.post("/login", {})]
    assert [reply.status for reply in refused] == [400] * 5 + [404, 401, 400]
    with grpc.insecure_channel(f"{HOST}:{limited.port}") as channel:
        assert grpc_error(channel, "/mercato.v1.UserService/GetMe", b"").code() is grpc.StatusCode.UNAUTHENTICATED
    served = anyone.get("/products")
    assert served.status == 200
    log = until_sync(lambda: found if served.headers["x-request-id"] in (found := limited.log("access.log")) else "")
    assert not [reply for reply in refused if reply.headers["x-request-id"] in log]
    statuses = [(call["status"], call["grpc_status"]) for call in map(json.loads, log.split("\n")[:-1]) if "grpc_status" in call]
    assert not [call for call in statuses if call[1] in ("Unauthenticated", "ResourceExhausted")]


def test_a_token_has_one_limit_wherever_and_however_it_is_sent(behind_a_proxy: Up) -> None:
    buyer, other = behind_a_proxy.buyer(), behind_a_proxy.buyer()
    spelt = [f"Bearer {buyer.token}", f"bearer {buyer.token}", f"BEARER   {buyer.token}", f"Bearer {buyer.token[:-1]}A"]
    replies = at_once(
        lambda number: buyer.anonymous().send(
            "GET", "/me", headers=[("authorization", spelt[number % 4]), ("x-forwarded-for", f"203.0.113.{number}")]
        ),
        60,
    )
    assert sum(reply.status == 200 for reply in replies) < sum(reply.status == 429 for reply in replies)
    is_limited(next(reply for reply in replies if reply.status == 429))
    assert other.get("/me").status == 200
    with grpc.insecure_channel(f"{HOST}:{behind_a_proxy.port}") as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        calls = [users.GetMe.future(user_pb2.GetMeRequest(), metadata=(("authorization", spelt[0]),), timeout=patient()) for _ in range(60)]
        codes = {call.code() for call in calls}
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_behind_a_proxy_the_address_that_it_adds_counts_and_no_other(behind_a_proxy: Up) -> None:
    anyone = behind_a_proxy.anyone
    exhaust(anyone, "/login", ("x-forwarded-for", "198.51.100.1"))
    assert_limited(lambda: anyone.post("/login", wrong(), headers=[("x-forwarded-for", "198.51.100.2, 198.51.100.1")]))
    twice = [("x-forwarded-for", "198.51.100.2"), ("x-forwarded-for", "198.51.100.1")]
    assert_limited(lambda: anyone.post("/login", wrong(), headers=twice))
    assert anyone.post("/login", wrong(), headers=[("x-forwarded-for", "198.51.100.1, 198.51.100.2")]).status == 401
    assert anyone.login(behind_a_proxy.buyer().email, PASSWORD).token


def test_addresses_of_one_subscriber_count_together(behind_a_proxy: Up) -> None:
    exhaust(behind_a_proxy.anyone, "/login", ("x-forwarded-for", "2001:db8:1:1::1"))
    assert_limited(lambda: behind_a_proxy.anyone.post("/login", wrong(), headers=[("x-forwarded-for", "2001:db8:1:1:2::2")]))
    assert behind_a_proxy.anyone.post("/login", wrong(), headers=[("x-forwarded-for", "2001:db8:1:2::1")]).status == 401


@pytest.mark.parametrize("path", ["AuthService/Login", "CatalogService/ListProducts"])
def test_grpc_clients_are_told_when_to_repeat_a_limited_call_and_never_after_long(limited: Up, path: str) -> None:
    who = wrong()
    login = auth_pb2.LoginRequest(email=who["email"], password=who["password"])
    request = login.SerializeToString() if path.endswith("Login") else b""
    with grpc.insecure_channel(f"{HOST}:{limited.port}", options=[("grpc.enable_retries", 0)]) as channel:
        call: Any = channel.unary_unary(f"/mercato.v1.{path}")
        ended: list[Any] = [future.exception(patient()) for future in [call.future(request, timeout=patient()) for _ in range(100)]]
    told = [dict([*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]) for error in ended if error is not None]
    limits = [metadata for metadata in told if "retry-after" in metadata and metadata.get("grpc-retry-pushback-ms")]
    refused = [(int(str(each["retry-after"])), str(each["grpc-retry-pushback-ms"])) for each in limits]
    assert refused
    assert [pushback for _, pushback in refused] == [str(after * 1000) if after <= 5 else "-1" for after, _ in refused]
    assert (max(after for after, _ in refused) > 5) == path.endswith("Login")
