"""Features of Envoy: access for browsers, compression, health, the docs page, deadlines and logs."""

import asyncio
import contextlib
import gzip
import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rest.wire import run
from support import needs
from support.mercato_up import ORIGIN, PASSWORD, Up
from support.patience import Within, allowed, until_sync
from support.rest_client import HOST, Client, Reply

"""Envoy writes its log every 10 s, or after 64 KiB."""


# Browsers.


def test_a_browser_may_call_from_an_origin_that_is_named(anyone: Client) -> None:
    asked = [
        ("origin", ORIGIN),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,idempotency-key,if-match,traceparent"),
    ]
    preflight = anyone.send("OPTIONS", "/orders/checkout", headers=asked)
    assert preflight.status in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(preflight.headers["access-control-allow-methods"].split(", "))
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-grpc-web", "grpc-timeout"} <= set(allowed)
    assert {"baggage", "traceparent", "tracestate"} <= set(allowed)  # W3C Trace Context and Baggage
    assert preflight.headers["access-control-allow-credentials"] is None


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        pytest.param("GET", "/products", 200, id="answer"),
        pytest.param("GET", "/me", 401, id="error"),
        pytest.param("GET", "/nowhere", 404, id="error of Envoy's"),
    ],
)
def test_a_browser_may_read_answers_and_errors(anyone: Client, verb: str, path: str, status: int) -> None:
    reply = anyone.send(verb, path, headers=[("origin", ORIGIN)])
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    exposed = reply.headers["access-control-expose-headers"].split(", ")
    assert {"etag", "location", "www-authenticate", "allow"} <= set(exposed)
    assert {"idempotent-replayed", "retry-after", "x-request-id", "grpc-status", "grpc-message"} <= set(exposed)
    assert "Origin" in reply.headers["vary"]


def test_a_browser_may_not_call_from_another_origin(anyone: Client) -> None:
    for origin in ("http://evil.example", ORIGIN + ".evil.example", "null"):
        preflight = anyone.send("OPTIONS", "/me", headers=[("origin", origin), ("access-control-request-method", "GET")])
        assert preflight.headers["access-control-allow-origin"] is None
        assert anyone.send("GET", "/products", headers=[("origin", origin)]).headers["access-control-allow-origin"] is None


# Several workers.


def test_a_call_reads_the_changes_of_the_one_before_at_any_worker(shop_up: Up) -> None:
    for number in range(5):
        product = shop_up.product(stock=20)
        path = f"/products/{product['id']}"

        def stocks(path: str = path) -> set[int]:
            return {shop_up.anyone.get(path).json["stock"] for _ in range(8)}

        assert stocks() == {20}
        buyer = shop_up.buyer()
        assert buyer.post(f"/cart/add/{product['id']}?quantity=3").status == 200
        assert buyer.post("/orders/checkout").status == 201
        assert stocks() == {17}
        assert shop_up.admin.patch(path, {"name": f"Renamed {number}"}).status == 200
        assert {shop_up.anyone.get("/products?page_size=1").json["products"][0]["name"] for _ in range(8)} == {f"Renamed {number}"}
        assert shop_up.admin.delete(path).status == 200
        assert {shop_up.anyone.get(path).status for _ in range(8)} == {404}


# Compression and ids.


def test_an_answer_is_compressed_for_clients_that_accept_it(shop_up: Up, anyone: Client) -> None:
    path = f"/products/{shop_up.product(description='round ' * 200)['id']}"
    plain, packed = anyone.get(path), anyone.send("GET", path, headers=[("accept-encoding", "gzip")])
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["content-encoding"] is None
    assert len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body
    assert all("accept-encoding" in reply.headers["vary"].lower() for reply in (plain, packed))


def test_every_answer_carries_an_id_that_its_caller_cannot_choose(anyone: Client) -> None:
    replies = [anyone.get("/products"), anyone.get("/me"), anyone.get("/nowhere")]
    replies += [anyone.send("GET", "/products", headers=[("x-request-id", "chosen")])]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert all(str(uuid.UUID(request_id)) == request_id for request_id in ids)
    assert len(set(ids)) == len(ids)


def test_no_header_reveals_the_servers_behind_the_edge(anyone: Client) -> None:
    for reply in (anyone.get("/products"), anyone.get("/me"), anyone.get("/nowhere"), anyone.get("/docs")):
        assert not {"server", "x-http-code", "x-http-status", "grpc-accept-encoding", "grpc-encoding", "x-powered-by"} & {
            name.lower() for name in reply.headers
        }
        assert not [name for name in reply.headers if name.lower().startswith("x-envoy")]


def test_browsers_must_not_guess_types_and_caches_must_not_keep_private_answers(shop_up: Up, anyone: Client) -> None:
    buyer = shop_up.buyer()
    login = anyone.form("/login", {"username": buyer.email, "password": PASSWORD})
    private = [login, buyer.get("/me"), buyer.get("/cart"), buyer.get("/orders/my"), anyone.post("/signup"), anyone.get("/me")]
    errors = [anyone.get(path) for path in ("/nowhere", "/products/1", "/products?colour=red", "/categories/1")] + [anyone.post("/docs")]
    public = [anyone.get(path) for path in ("/products", "/categories", "/healthz")]
    assert {reply.headers["x-content-type-options"] for reply in private + errors + public} == {"nosniff"}
    assert {reply.headers["cache-control"] for reply in private + errors} == {"no-store"}
    assert "no-store" not in {reply.headers["cache-control"] for reply in public}
    assert not any(reply.headers["strict-transport-security"] for reply in private + public)  # this connection is plaintext


# Health and the page.


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/healthz?now"])
def test_health_needs_no_token(anyone: Client, path: str) -> None:
    assert anyone.get(path).status == 200
    assert anyone.send("HEAD", path).status == 200


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
def test_the_page_and_all_it_loads_come_from_here(anyone: Client, slash: str) -> None:
    page = anyone.get(f"/docs{slash}")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(loaded) >= 4
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png", "json": "application/json"}
    for path in loaded:
        asset = anyone.get(path)
        assert (asset.status, asset.headers["content-type"]) == (200, types[path.rpartition(".")[2]])
        assert_secure(asset.headers)
    assert_secure(page.headers)


def assert_secure(headers: Any) -> None:
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"]


# Deadlines.


@contextlib.contextmanager
def locked(up: Up) -> Iterator[None]:
    """Lock the table of products, so that every read and change of it must wait."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(up.database))
        transaction = connection.transaction()
        runner.run(transaction.start())
        runner.run(connection.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE"))
        yield
        runner.run(transaction.rollback())
        runner.run(connection.close())


DEADLINES = [pytest.param([], 2.0, id="the RPC's own"), pytest.param([("grpc-timeout", "300m")], 0.3, id="the caller's")]


@pytest.mark.parametrize(("headers", "seconds"), DEADLINES)
def test_a_read_ends_by_its_deadline(shop_up: Up, anyone: Client, headers: list[tuple[str, str]], seconds: float, within: Within) -> None:
    path = f"/products/{shop_up.product()['id']}"
    with locked(shop_up):
        started = time.monotonic()
        late = anyone.send("GET", path, headers=headers)
        took = time.monotonic() - started
    assert (late.status, late.reason, late.json["code"]) == (504, "DEADLINE_EXCEEDED", 4)
    assert seconds - 0.1 < took < seconds + within(0.5)


@pytest.mark.parametrize("whose", ["the RPC's own", "the caller's"])
def test_a_change_that_has_to_wait_too_long_for_others_is_a_conflict_and_changes_nothing(shop_up: Up, admin: Client, whose: str) -> None:
    seconds = 2.0 if whose == "the RPC's own" else allowed(0.2)  # a fifth of the time is kept for the answer
    headers = [] if whose == "the RPC's own" else [("grpc-timeout", f"{seconds * 1000:.0f}m")]
    product = shop_up.product()
    path = f"/products/{product['id']}"

    def in_time() -> Reply | None:
        """Return the answer; None if it missed the deadline, as a busy machine may let it now and then."""
        started = time.monotonic()
        answer = admin.send("PATCH", path, b'{"name":"New"}', [("content-type", "application/json"), *headers])
        return answer if answer.status != 504 and time.monotonic() - started < seconds else None

    with locked(shop_up):
        late = until_sync(in_time)
    assert late
    assert (late.status, late.reason, late.json["code"]) == (409, "CONFLICT", 10)
    assert late.headers["retry-after"] == "1"
    assert admin.get(path).json == product


# Logs.


def test_the_access_log_is_json_and_holds_nothing_secret(shop_up: Up, anyone: Client) -> None:
    buyer = shop_up.buyer()
    secret = f"secret{uuid.uuid4().hex}"
    login = anyone.form("/login", {"username": buyer.email, "password": PASSWORD})
    token = login.json["access_token"]
    anyone.form("/login", {"username": buyer.email, "password": secret})
    anyone.post("/signup", {"email": "broken", "password": secret})
    anyone.get("/products", q=secret)
    anyone.get("/me", access_token=secret)
    anyone.send("GET", "/me", headers=[("authorization", f"Bearer {secret}")])
    anyone.send("GET", "/products", headers=[("x-forwarded-for", secret), ("user-agent", secret), ("referer", f"http://x/{secret}")])
    shop = buyer.get("/me")
    line = logged(shop_up, shop.headers["x-request-id"])
    assert (line["method"], line["path"], line["status"], line["rpc"]) == ("GET", "/me", 200, "/mercato.v1.UserService/GetMe")
    assert line["client"] == HOST
    for name in ("access.log", "worker-0.log", "worker-1.log", "envoy.log", "postgres.log"):
        log = shop_up.log(name)
        for word in (secret, token, buyer.token, PASSWORD):
            assert word not in log, name


def test_the_access_log_has_the_outcome_of_a_call(shop_up: Up, anyone: Client) -> None:
    for reply, status, code in (
        (anyone.get("/products"), 200, {"OK"}),
        (anyone.get("/products/1"), 400, {"InvalidArgument"}),
        (anyone.get("/me"), 401, {"Unauthenticated"}),
        (anyone.get("/nowhere"), 404, {None, "NotFound", "Unimplemented"}),
    ):
        line = logged(shop_up, reply.headers["x-request-id"])
        assert line["status"] == status
        assert line.get("grpc_status") in {None, *code}


def logged(up: Up, request_id: str) -> dict[str, Any]:
    """Return the log line of a request; further requests flush Envoy's buffer."""

    def found() -> list[str]:
        for _ in range(50):
            up.anyone.get("/nowhere")
        return [line for line in up.log("access.log").split("\n")[:-1] if request_id in line]  # the last line may be half written

    parsed: dict[str, Any] = json.loads(until_sync(found, f"a line of {request_id} is there")[0])
    return parsed


# Ports.


@needs.SS.unless(shutil.which("ss"))
def test_the_shop_listens_on_the_port_that_was_asked_for_and_on_no_other(shop_up: Up) -> None:
    listening = [(line.split()[3], int(pid)) for line in run("ss", "-Hltnp").splitlines() for pid in re.findall(r"pid=(\d+)", line)]
    assert {address for address, pid in listening if belongs(pid, shop_up)} == {f"{HOST}:{shop_up.port}"}


def belongs(pid: int, up: Up) -> bool:
    """Return whether a process belongs to the shop: its arguments or its environment name the data directory."""
    process = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):  # the process is another user's, or has ended
        return str(up.data_dir).encode() in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    return False
