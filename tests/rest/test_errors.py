"""Invalid requests are refused with the API's own errors, and change no row."""

import asyncio
import contextlib
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc import code_pb2

from mercato.reasons import REASONS
from mercato.v1 import auth_pb2, catalog_pb2, catalog_pb2_grpc, user_pb2
from rest.bad_calls import BAD_CALLS, BadCall
from rest.bad_requests import BAD, JSON, LONG, MALFORMED, Bad
from rest.wire import grpc_error, rich
from support.mercato_up import PASSWORD, Up
from support.patience import patient
from support.rest_client import RETRY, Client, Reply
from support.retries import RETRY_HELPS, RETRY_HELPS_AT_THE_EDGE

HTTP_STATUS = {3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 12: 405, 14: 503, 16: 401}
ENVOYS_STATUS = {413, 415, 431}  # refusals for which Envoy has its own status
INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 3, 8

TABLES = (
    *("accepted_differences", "database_origin"),
    *("account_taxes", "accounts", "addresses", "audit_log", "cart_items", "carts", "categories", "events", "idempotency_keys"),
    *("login_attempts", "mail_allowances", "order_discounts", "order_history", "order_items", "order_notes", "order_taxes", "orders"),
    *(
        "price_rules",
        "product_search",
        "products",
        "promotion_buyers",
        "promotion_codes",
        "promotion_guesses",
        "promotion_redemptions",
        "promotions",
    ),
    *("category_listings", "picture_uploads", "pictures", "product_groups", "product_pictures", "slugs"),
    *("quotes", "refresh_tokens", "search_words", "sessions", "shipping_areas", "shipping_methods", "shipping_rates", "shipping_zones"),
    *("disputes", "payment_ledger", "payments", "provider_events", "provider_requests", "refund_lines", "refunds"),
    *("return_items", "returns", "shipment_items", "shipments"),
    *("shop", "shop_settings", "signing_keys", "stock_ledger", "stock_levels", "tax_categories", "tax_rates"),
)
WORKED_ON = ("feed_cursors", "feed_quarantine", "mails", "one_time_tokens", "pgqueuer", "pgqueuer_log", "pgqueuer_statistics")
"""Tables that workers write to between calls, for the mail of earlier calls."""
CONTENTS = " UNION ALL ".join(
    f"SELECT '{table}', count(*), md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {table} AS row"  # noqa: S608 - names of our own
    for table in TABLES
    if table != "login_attempts"  # a failed login must be recorded
)
CONTENTS += " ORDER BY 1"  # PostgreSQL reads large tables at the same time
TABLE_NAMES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%migrations' ORDER BY tablename"

Contents = list[tuple[str, int, str]]


@dataclass(frozen=True)
class Target:
    """A buyer with a full cart and an order, and a product, which an invalid request could change."""

    up: Up
    buyer: Client
    product: dict[str, Any]
    order_id: str

    def fill(self, path: str) -> str:
        return path.replace("PRODUCT", self.product["id"]).replace("ORDER", self.order_id)

    def client(self, who: str) -> Client:
        return {"anyone": self.up.anyone, "buyer": self.buyer, "admin": self.up.admin}[who]


@pytest.fixture(scope="module")
def target(shop_up: Up) -> Target:
    buyer = shop_up.buyer()
    order_id = shop_up.order(buyer)["id"]
    product = shop_up.product(description="round", stock=100)
    assert buyer.post(f"/cart/add/{product['id']}?quantity=3").status == 200
    return Target(shop_up, buyer, product, order_id)


@pytest.fixture(scope="module")
def fetch(shop_up: Up) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Run a query in the shop's database."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(shop_up.database))
        yield lambda query: [tuple(row) for row in runner.run(connection.fetch(query))]
        runner.run(connection.close())


@pytest.fixture
def untouched(fetch: Callable[[str], list[tuple[Any, ...]]], target: Target) -> Iterator[None]:
    """Fail a test that changes any row of the database."""
    before = fetch(CONTENTS)
    yield
    assert fetch(CONTENTS) == before


def test_every_table_is_watched(fetch: Callable[[str], list[tuple[Any, ...]]]) -> None:
    assert sorted(name for (name,) in fetch(TABLE_NAMES)) == sorted((*TABLES, *WORKED_ON))


def refused(reply: Reply, status: int, reason: str) -> None:
    """Check an error's status, reason and common shape."""
    assert (reply.status, reply.reason) == (status, reason), reply
    error = reply.json
    assert REASONS[reply.reason].code == code_pb2.Code.Name(error["code"])
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert not [name for name in reply.headers if name.lower().startswith("grpc-")]
    assert status in ENVOYS_STATUS or HTTP_STATUS[error["code"]] == status
    assert not any(word in reply.body.lower() for word in (b"traceback", b"asyncpg", b"sqlstate", b"select ", b"/usr/", b".sock", b".py"))
    if status == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")
    helps = reply.reason in RETRY_HELPS_AT_THE_EDGE or RETRY_HELPS.get(reply.reason, False)
    assert ("retry-after" in reply.headers) == helps
    assert len(reply.details(RETRY)) == helps


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_request_is_refused_and_changes_nothing(target: Target, bad: Bad) -> None:
    reply = target.client(bad.who).send(bad.verb, target.fill(bad.path), bad.body, bad.headers)
    refused(reply, bad.status, bad.reason)
    if bad.reason == MALFORMED:
        assert re.fullmatch(r"malformed request: \w.{15,}", reply.json["message"])
    if bad.fields is not None:
        assert sorted(reply.fields) == sorted(bad.fields)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", BAD_CALLS, ids=str)
def test_a_bad_call_is_refused_and_changes_nothing(target: Target, channel: grpc.Channel, bad: BadCall) -> None:
    token = target.client(bad.who).token
    metadata = (*((("authorization", f"Bearer {token}"),) if token else ()), *bad.metadata)
    error = grpc_error(channel, bad.path, bad.message(target.product["id"], target.order_id), metadata=metadata)
    assert error.code() is bad.code
    if bad.reason:
        told = rich(error)
        assert (told["code"], told["message"]) == (bad.code.value[0], error.details())
        assert told["details"][0]["reason"] == bad.reason
        violations = [each["field"] for detail in told["details"] for each in detail.get("field_violations", [])]
        assert not bad.fields or sorted(violations) == sorted(bad.fields)


@pytest.mark.parametrize(
    ("verb", "path", "body", "kind"),
    [
        pytest.param("POST", "/signup", b"{nope", JSON, id="malformed body"),
        pytest.param("GET", "/products?colour=red", None, JSON, id="unknown query parameter"),
        pytest.param("GET", "/products/%00", None, JSON, id="malformed path"),
        pytest.param("POST", "/signup", b"{}", ("content-type", "text/plain"), id="wrong type"),
        pytest.param("GET", "/products", None, ("x-long", "x" * 40_000), id="long header"),
    ],
)
def test_an_invalid_argument_says_what_is_wrong_with_which_part_even_where_envoy_finds_it(
    anyone: Client, verb: str, path: str, body: bytes | None, kind: tuple[str, str]
) -> None:
    reply = anyone.send(verb, path, body, [kind])
    assert reply.json["code"] == INVALID_ARGUMENT
    assert len(reply.fields) >= 1


def test_a_path_that_takes_other_verbs_names_them(anyone: Client) -> None:
    assert anyone.delete("/orders/my").headers["allow"] == "GET, HEAD"
    assert anyone.post("/me").headers["allow"] == "GET, HEAD, PATCH"


def client_hello() -> bytes:
    """Return the first message of a TLS client. The edge closes the connection of a broken one."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="shop.example").do_handshake()
    return sent.read()


RAW = {
    "no host": b"GET /products HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "negative length": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and length": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "space before colon": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "signed length": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
    "hexadecimal length": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
    "list of lengths": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}",
    "length beyond int64": b"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "negative chunk": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "chunk beyond int64": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "broken chunk": b"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "space in path": b"GET /pro ducts HTTP/1.1\r\nHost: x\r\n\r\n",
    "UTF-8 in path": b"GET /products/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /products#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in header": b"GET /products HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "zeros": bytes(12),
    "TLS": client_hello(),
}


@pytest.mark.parametrize("request_bytes", [pytest.param(request, id=name) for name, request in RAW.items()])
def test_bytes_that_are_not_http_are_refused_in_json(anyone: Client, request_bytes: bytes) -> None:
    reply = anyone.raw(request_bytes)
    refused(reply, 400, MALFORMED)
    assert re.fullmatch(r"malformed request: \w.{15,}", reply.json["message"])


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /products HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"GET /me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", id="websocket"),
        pytest.param(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", id="tunnel"),
    ],
)
def test_unsupported_protocols_are_refused_in_json(anyone: Client, request_bytes: bytes) -> None:
    reply = anyone.raw(request_bytes)
    assert 400 <= reply.status < 500
    assert reply.reason


OTHER_KEY = Ed25519PrivateKey.generate()
PUBLIC_KEY = "the shop's public key"
AN_HOUR_AGO, IN_AN_HOUR = int(time.time()) - 3600, int(time.time()) + 3600


def forged(target: Target, *, key: Any = None, algorithm: str = "EdDSA", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token of the buyer that is valid except for the given values; a claim or header of None is left out."""
    keyring = target.up.keyring
    if key == PUBLIC_KEY:
        key = keyring.verifying[keyring.kid].public_bytes_raw()  # type: ignore[union-attr] # not a shared secret
    right = jwt.decode(target.buyer.token, options={"verify_signature": False})
    payload = {name: value for name, value in {**right, **claims}.items() if value is not None}
    headers = {name: value for name, value in {"typ": "at+jwt", "kid": keyring.kid, **(header or {})}.items() if value is not None}
    secret: Any = None if algorithm == "none" else key or keyring.signing
    return jwt.encode(payload, secret, algorithm, headers=headers)


def test_a_token_made_by_the_tests_is_valid_without_changes(target: Target) -> None:
    assert Client(target.up.port, forged(target)).get("/me").status == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"algorithm": "none"}, id="unsigned"),
        pytest.param({"key": OTHER_KEY}, id="wrong key"),
        pytest.param({"algorithm": "HS256", "key": PUBLIC_KEY}, id="public key as secret"),
        pytest.param({"algorithm": "HS512", "key": "s" * 64}, id="other algorithm"),
        pytest.param({"algorithm": "HS256", "key": "\0" * 32, "header": {"kid": "../../../../dev/zero"}}, id="kid of a file"),
        pytest.param({"header": {"kid": "unknown"}}, id="unknown kid"),
        pytest.param({"header": {"kid": None}}, id="no kid"),
        pytest.param({"key": OTHER_KEY, "header": {"jku": "http://localhost:1/jwks.json"}}, id="keys from elsewhere"),
        pytest.param({"key": OTHER_KEY, "header": {"x5u": "http://localhost:1/chain.pem"}}, id="certificate from elsewhere"),
        pytest.param({"key": OTHER_KEY, "header": {"jwk": {"kty": "oct", "k": "YQ"}}}, id="key of its own"),
        pytest.param({"header": {"crit": ["x"], "x": 1}}, id="unknown crit"),
        pytest.param({"header": {"typ": "JWT"}}, id="other type"),
        pytest.param({"exp": AN_HOUR_AGO}, id="expired"),
        pytest.param({"exp": None}, id="no exp"),
        pytest.param({"exp": "tomorrow"}, id="exp as text"),
        pytest.param({"exp": 10**40}, id="exp beyond all time"),
        pytest.param({"iat": IN_AN_HOUR}, id="iat ahead"),
        pytest.param({"nbf": IN_AN_HOUR}, id="nbf ahead"),
        pytest.param({"aud": "else"}, id="wrong aud"),
        pytest.param({"aud": ["mercato", "else"]}, id="several aud"),
        pytest.param({"aud": None}, id="no aud"),
        pytest.param({"iss": "else"}, id="wrong iss"),
        pytest.param({"iss": None}, id="no iss"),
        pytest.param({"sub": None}, id="no sub"),
        pytest.param({"sid": None}, id="no sid"),
        pytest.param({"sid": str(uuid.uuid4())}, id="sid without session"),
        pytest.param({"sub": "' OR true --"}, id="sub that is no id"),
        pytest.param({"jti": None}, id="no jti"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(target: Target, changes: dict[str, Any]) -> None:
    token = forged(target, **changes)
    refused(Client(target.up.port, token).get("/me"), 401, "TOKEN_INVALID")


def test_a_token_with_the_signature_of_another_is_refused(target: Target) -> None:
    mine, other = (forged(target, sub=account_id).split(".") for account_id in (target.buyer.id, str(uuid.uuid4())))
    refused(Client(target.up.port, ".".join([*mine[:2], other[2]])).get("/me"), 401, "TOKEN_INVALID")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="missing"),
        pytest.param([("authorization", "")], id="empty"),
        pytest.param([("authorization", "Bearer")], id="without token"),
        pytest.param([("authorization", "TOKEN")], id="without scheme"),
        pytest.param([("authorization", "Basic TOKEN")], id="other scheme"),
        pytest.param([("authorization", "Bearer a.b.c")], id="no JWT"),
        pytest.param([("authorization", "Bearer \xfc")], id="not ASCII"),
        pytest.param([("authorization", f"Bearer {LONG}")], id="too long"),
        pytest.param([("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")], id="twice"),
        pytest.param([("authorization", "Bearer TOKEN"), ("authorization", "Bearer a.b.c")], id="right, then wrong"),
        pytest.param([("authorization", "Bearer a.b.c"), ("authorization", "Bearer TOKEN")], id="wrong, then right"),
        pytest.param([("cookie", "authorization=Bearer TOKEN")], id="cookie"),
        pytest.param([("x-authorization", "Bearer TOKEN")], id="other header"),
    ],
)
def test_an_order_needs_exactly_one_bearer_token(target: Target, headers: list[tuple[str, str]]) -> None:
    sent = [(name, value.replace("TOKEN", target.buyer.token)) for name, value in headers]
    refused(target.up.anyone.send("POST", "/orders/checkout", headers=sent), 401, "TOKEN_INVALID")


def test_an_administrators_role_is_not_taken_from_the_token(target: Target) -> None:
    token = forged(target, role="admin", roles=["admin"], scope="admin")
    refused(Client(target.up.port, token).get("/admin-only"), 403, "ADMIN_ONLY")


def test_an_invalid_token_does_not_prevent_public_calls(target: Target) -> None:
    expired = Client(target.up.port, forged(target, exp=AN_HOUR_AGO))
    assert expired.get("/products").status == 200
    assert expired.login(target.buyer.email, PASSWORD).get("/me").status == 200


def test_a_page_token_is_of_use_only_in_the_list_that_gave_it(shop_up: Up, admin: Client) -> None:
    one, other = shop_up.buyer(), shop_up.buyer()
    for buyer in (one, one, other, other):
        shop_up.order(buyer)
    products = shop_up.anyone.get("/products", page_size=1).json["next_page_token"]
    orders = one.get("/orders/my", page_size=1).json["next_page_token"]
    everybodys = admin.get("/v1/orders", page_size=1).json["next_page_token"]
    assert one.get("/orders/my", page_size=50, page_token=orders).status == 200
    for client, path, query in (
        (shop_up.anyone, "/products", {"page_token": "AAAA"}),
        (shop_up.anyone, "/products", {"page_token": "' OR true --"}),
        (shop_up.anyone, "/products", {"page_token": "\0"}),
        (shop_up.anyone, "/products", {"page_token": "é"}),
        (shop_up.anyone, "/products", {"page_token": "A" * 10_000}),
        (shop_up.anyone, "/products", {"page_token": swapped(products)}),
        (shop_up.anyone, "/products", {"page_token": products + "A"}),
        (shop_up.anyone, "/products", {"page_token": products, "order_by": "price"}),
        (shop_up.anyone, "/products", {"page_token": products, "in_stock": True}),
        (shop_up.anyone, "/products", {"page_token": products, "q": "ball"}),
        (shop_up.anyone, "/categories", {"page_token": products}),
        (one, "/orders/my", {"page_token": products}),
        (one, "/orders/my", {"page_token": everybodys}),
        (one, "/orders/my", {"page_token": orders, "status": "ORDER_STATUS_PLACED"}),
        (other, "/orders/my", {"page_token": orders}),
        (admin, "/v1/orders", {"page_token": orders}),
        (admin, "/v1/users", {"page_token": everybodys}),
        (admin, "/v1/auditLog", {"page_token": everybodys}),
        (admin, "/v1/orders", {"page_token": everybodys, "account_id": one.id}),
    ):
        reply = client.get(path, **query)
        refused(reply, 400, "PAGE_TOKEN_INVALID")
        assert reply.fields == ["page_token"]


def swapped(token: str) -> str:
    """Return a token with its first character changed."""
    return ("B" if token[0] == "A" else "A") + token[1:]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE products; --",
        "' OR '1'='1",
        "%' --",
        "a & | ! ( ) : * <-> b",
        "\\",
        "%",
        "_",
        '"',
        "$1",
        "{}",
        "🎈",
        "\u202e",
        "&amp;",
        "<b>",
    ],
)
def test_sql_and_search_operators_are_only_text(anyone: Client, text: str) -> None:
    reply = anyone.get("/products", q=text)
    assert reply.status == 200, reply
    assert isinstance(reply.json["products"], list)


@pytest.mark.parametrize("text", ["'; DROP TABLE products; --", "<script>alert(1)</script>", "\u202eלך", "🎈" * 50, "a\u200db\u00a0c"])
def test_odd_but_valid_text_is_kept_as_it_is(shop_up: Up, text: str) -> None:
    product = shop_up.product(name=f"({text})", description=f"({text})")
    assert (product["name"], product["description"]) == (f"({text})", f"({text})")
    assert shop_up.anyone.get(f"/products/{product['id']}").json == product


def test_prices_roles_and_owners_in_a_request_are_refused(target: Target) -> None:
    buyer = target.up.buyer()
    product = target.up.product(minor_units=700)
    sent = {"quantity": 1, "unit_price": {"minor_units": "1"}, "account_id": target.buyer.id, "line_total": {"minor_units": "1"}}
    assert buyer.post(f"/cart/add/{product['id']}", sent).fields == ["unit_price", "account_id", "line_total"]
    assert buyer.get("/cart").json["lines"] == []
    assert buyer.post(f"/cart/add/{product['id']}").status == 200
    sent = {"total": {"minor_units": "1"}, "account_id": target.buyer.id, "status": "ORDER_STATUS_PAID"}
    assert buyer.post("/orders/checkout", sent).fields == ["total", "account_id", "status"]
    assert buyer.get("/orders/my").json["orders"] == []
    assert buyer.patch("/me", {"role": "ROLE_ADMIN", "email": "admin@example.com"}).fields == ["role", "email"]
    assert buyer.get("/me").json["role"] == "ROLE_USER"


def test_a_role_in_a_field_that_no_signup_has_has_no_effect_over_grpc(channel: grpc.Channel) -> None:
    request = auth_pb2.SignUpRequest(email=f"{uuid.uuid4().hex}@example.com", password=PASSWORD).SerializeToString()
    sign_up = channel.unary_unary("/mercato.v1.AuthService/SignUp", bytes, user_pb2.User.FromString)
    user = sign_up(request + b"\x20\x02" + b"\x2a\x01x", timeout=patient())  # fields 4 and 5: ROLE_ADMIN, an id
    assert user.role == user_pb2.ROLE_USER
    assert str(uuid.UUID(user.id)) == user.id


def test_a_page_of_a_million_has_a_hundred(shop_up: Up, channel: grpc.Channel) -> None:
    for _ in range(101):
        shop_up.product()
    assert len(shop_up.anyone.get("/products", page_size=10**6).json["products"]) == 100
    catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
    assert len(catalog.ListProducts(catalog_pb2.ListProductsRequest(page_size=10**6), timeout=patient()).products) == 100


def test_the_dearest_lines_are_added_up_exactly(target: Target) -> None:
    buyer = target.up.buyer()
    for _ in range(10):
        product = target.up.product(minor_units=10**12, stock=1000)
        assert buyer.post(f"/cart/add/{product['id']}?quantity=1000").status == 200
    assert buyer.get("/cart").json["total"]["minor_units"] == str(10**16)
    assert buyer.post("/orders/checkout").json["total"]["minor_units"] == str(10**16)


def test_unknown_account_and_wrong_password_are_the_same_bytes(target: Target) -> None:
    wrong = target.up.anyone.form("/login", {"username": target.buyer.email, "password": "wrong-password"})
    unknown = target.up.anyone.form("/login", {"username": "absent@example.com", "password": "wrong-password"})
    refused(wrong, 401, "INVALID_CREDENTIALS")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
