"""HTTP as its clients see it on the wire: HEAD, 304, unknown methods, Location, and no trace of gRPC."""

import contextlib
import re
import shutil
import socket
from collections.abc import Iterator
from email.parser import BytesHeaderParser

import grpc
import pytest

from mercato.v1 import catalog_pb2, catalog_pb2_grpc, policy_pb2
from rest.routes import ROUTES, Route, Scene
from rest.wire import run
from support import needs
from support.mercato_up import ORIGIN, Up, created, draft
from support.patience import patient, until_sync
from support.rest_client import HOST, Client, Reply

FIXED = ["/", "/docs", "/docs/swagger-ui.css", "/livez", "/openapi.json", "/readyz"]
OF_ONE_ANSWER = {"date", "x-request-id"}
"""Headers whose values differ for each answer."""
GETS = [route for route in ROUTES if route.verb == "GET"]


@pytest.fixture(scope="module")
def shop_up(either_up: Up) -> Up:
    return either_up


class Wire:
    """One connection of HTTP/1.1, whose bytes are read as a client must read them."""

    def __init__(self, port: int, token: str = "") -> None:
        self._socket = socket.create_connection((HOST, port), timeout=patient())
        self._file = self._socket.makefile("rb")
        self._token = token

    def send(self, method: str, path: str, **headers: str) -> Reply:
        """Send a request without a body. The answers to HEAD and 304 have no body: bytes of one would be taken for the next answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token:
            named["authorization"] = f"Bearer {self._token}"
        lines = [f"{method} {path} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in named.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        status = int(self._file.readline().split()[1])
        head = BytesHeaderParser().parsebytes(b"".join(iter(self._file.readline, b"\r\n")))
        empty = method == "HEAD" or status == 304
        return Reply(status, head, b"" if empty else b"".join(self._body(head["content-length"])))  # type: ignore[arg-type] # as http.client's

    def _body(self, length: str | None) -> Iterator[bytes]:
        if length is not None:
            yield self._file.read(int(length))
            return
        while size := int(self._file.readline(), 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def wire(anyone: Client) -> Iterator[Wire]:
    connection = Wire(anyone.port)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def scene(shop_up: Up) -> Scene:
    """Things that all routes of this module may read, since none changes them."""
    return Scene(shop_up)


def stable(reply: Reply) -> dict[str, str]:
    headers = {name.lower(): value for name, value in reply.headers.items() if name.lower() not in OF_ONE_ANSWER}
    return headers | {"vary": ", ".join(sorted(re.split(", *", headers["vary"])))} if "vary" in headers else headers


def without_grpc(reply: Reply) -> bool:
    return not [name for name in reply.headers if name.lower().startswith("grpc-")]


# HEAD.


def of_one_version(wire: Wire, path: str, headers: dict[str, str]) -> tuple[Reply, Reply]:
    """Return the answers to HEAD and GET. The cache answers GET only, and may have an answer of before the last change for a second."""

    def answers() -> tuple[Reply, Reply] | None:
        head, got = wire.send("HEAD", path, **headers), wire.send("GET", path, **headers)
        return (head, got) if head.headers["etag"] == got.headers["etag"] else None

    found = until_sync(answers)
    assert found
    return found


def assert_head_is_get_without_a_body(port: int, token: str, path: str, *variants: dict[str, str]) -> None:
    with contextlib.closing(Wire(port, token)) as wire:
        for headers in ({}, {"origin": ORIGIN}, *variants):
            head, got = of_one_version(wire, path, headers)
            assert head.status == got.status < 400
            assert stable(head) == stable(got)
            if "content-encoding" not in got.headers:
                assert int(head.headers["content-length"]) == len(got.body)
            assert without_grpc(head)


@pytest.mark.parametrize("route", GETS, ids=str)
def test_head_answers_as_get_without_a_body(shop_up: Up, scene: Scene, route: Route) -> None:
    assert_head_is_get_without_a_body(shop_up.port, scene.client(route.policy.access).token, route.path(scene), {"accept_encoding": "gzip"})


@pytest.mark.parametrize("path", FIXED)
def test_head_answers_as_get_without_a_body_on_fixed_pages(anyone: Client, path: str) -> None:
    assert_head_is_get_without_a_body(anyone.port, "", path)


def test_only_the_method_of_a_request_makes_it_a_head(shop_up: Up, wire: Wire, channel: grpc.Channel) -> None:
    product, header = shop_up.product(), "x-envoy-original-method"
    assert wire.send("GET", f"/products/{product['id']}", **{header: "HEAD"}).json == product
    call = catalog_pb2_grpc.CatalogServiceStub(channel).GetProduct
    request = catalog_pb2.GetProductRequest(product_id=product["id"])
    assert call(request, metadata=((header, "HEAD"),), timeout=patient()).name == product["name"]


def test_head_has_the_headers_of_an_error(anyone: Client, wire: Wire) -> None:
    for path in ("/products/1", "/me", "/nowhere", "/orders/my"):
        head, got = wire.send("HEAD", path), wire.send("GET", path)
        assert head.status == got.status >= 400
        assert stable(head) == stable(got)
        assert int(head.headers["content-length"]) == len(got.body)


def test_a_header_of_the_edge_never_takes_the_body_out_of_an_answer(shop_up: Up, wire: Wire) -> None:
    path = f"/products/{shop_up.product()['id']}"
    got = wire.send("GET", path)
    spoofed = wire.send("GET", path, x_envoy_original_method="HEAD")  # waits for the bytes that content-length promises
    assert (spoofed.status, spoofed.body) == (200, got.body)
    assert wire.send("GET", "/livez").json == {"status": "SERVING"}


def test_a_header_of_the_edge_never_makes_a_replacement_of_a_change(shop_up: Up, admin: Client) -> None:
    product = shop_up.product(description="kept")
    headers = [("content-type", "application/json"), ("x-envoy-original-method", "PUT")]
    changed = admin.send("PATCH", f"/products/{product['id']}", b'{"name": "New", "price": {"minor_units": "5"}}', headers)
    assert (changed.status, changed.json["description"]) == (200, "kept")


# 304.


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_304_is_the_answer_without_its_content(shop_up: Up, wire: Wire, method: str, encoding: str) -> None:
    path = f"/products/{shop_up.product(description='round ' * 200)['id']}"
    answers = [wire.send("GET", path, accept_encoding=encoding) for _ in range(5)]
    whole, lengths = answers[-1], {str(len(answer.body)) for answer in answers}  # of a compressed one it depends on the pieces that came
    for known in (whole.headers["etag"], f'"x", {whole.headers["etag"]}', "*"):
        kept = wire.send(method, path, accept_encoding=encoding, if_none_match=known)
        assert kept.status == 304
        of_content = {"content-encoding", "content-length", "content-type", "transfer-encoding"}
        assert {**stable(kept), **dict.fromkeys(of_content, "")} == {**stable(whole), **dict.fromkeys(of_content, "")}
        assert kept.headers["content-type"] is None
        assert kept.headers["content-length"] in {None, *lengths}
        assert without_grpc(kept)
    assert wire.send(method, path, if_none_match='"other"').status == 200
    assert "script log" not in shop_up.log("envoy.log")


@needs.CURL.unless(shutil.which("curl"))
def test_over_http_2_neither_headers_nor_trailers_have_traces_of_grpc(shop_up: Up) -> None:
    path = f"{shop_up.base}/products/{shop_up.product()['id']}"
    etag = shop_up.anyone.send("GET", path.removeprefix(shop_up.base)).headers["etag"]
    for options, status in (([], 200), (["-I"], 200), (["-H", f"if-none-match: {etag}"], 304), (["-X", "FOO"], 405)):
        told = run("curl", "-s", "--http2-prior-knowledge", "-D", "-", *options, path)
        assert told.startswith(f"HTTP/2 {status} ")
        assert "grpc-" not in told


# Methods.


def allowed(path: str) -> str:
    verbs = {"/products": "GET, HEAD, POST", "/me": "GET, HEAD, PATCH", "/orders/checkout": "POST", "/cart": "DELETE, GET, HEAD"}
    return verbs.get(path, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/products", "/me", "/orders/checkout", "/cart", "/", "/docs", "/openapi.json", "/healthz", "/livez", "/readyz"]
)
def test_an_unknown_method_is_not_allowed_and_the_others_are_named(anyone: Client, path: str) -> None:
    for method, asked in (("FOO", path), ("TRACE", path), ("PROPFIND", f"{path}?x=1"), ("get", path), ("M-SEARCH", path)):
        reply = anyone.raw(f"{method} {asked} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (reply.status, reply.reason, reply.json["code"]) == (405, "METHOD_NOT_ALLOWED", 12)
        assert reply.headers["allow"] == allowed(path)


def test_a_known_method_is_refused_by_pages_that_do_not_take_it(anyone: Client) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/livez", "/readyz"):
        for method in ("POST", "PUT", "DELETE"):
            reply = anyone.send(method, path)
            assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_a_tunnel_is_a_method_that_is_not_allowed(anyone: Client) -> None:
    reply = anyone.raw(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
    assert (reply.status, reply.reason) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "DELETE, GET, HEAD, PATCH, POST, PUT"


def test_an_old_version_of_http_is_refused_with_a_status_that_needs_no_upgrade(anyone: Client) -> None:
    reply = anyone.raw(b"GET /products HTTP/1.0\r\n\r\n")
    assert (reply.status, reply.reason) == (400, "HTTP_VERSION")


# Locations.


LISTED_ONLY = "/v1/orders/{order_id}/notes"
PARTS = tuple(f"/v1/orders/{{order_id}}/{part}" for part in ("payments", "refunds", "returns", "shipments"))
UNREADABLE = ("/v1/cart:quote", *PARTS, LISTED_ONLY)
"""Routes that create what no GET reads alone, or only with the id of its order."""


@pytest.mark.parametrize("route", [route for route in ROUTES if route.status == 201 and route.template not in UNREADABLE], ids=str)
def test_what_was_created_is_at_its_location(shop_up: Up, route: Route) -> None:
    scene = Scene(shop_up)
    made = route.call(scene)
    assert made.headers["location"].endswith(made.json["id"])
    reader = scene.buyer if route.policy.access in (policy_pb2.ACCESS_USER, policy_pb2.ACCESS_BUYER) else shop_up.admin
    assert reader.get(made.headers["location"]).json == made.json


def test_a_quote_has_no_location_because_it_cannot_be_read(shop_up: Up, buyer: Client) -> None:
    buyer.post(f"/cart/add/{shop_up.product()['id']}")
    quote = buyer.post("/v1/cart:quote")
    assert created(quote)["id"]
    assert "location" not in quote.headers


@pytest.mark.parametrize("route", [route for route in ROUTES if route.status == 201 and route.template == LISTED_ONLY], ids=str)
def test_a_note_of_an_order_has_no_location_because_it_is_only_listed(shop_up: Up, route: Route) -> None:
    note = route.call(Scene(shop_up))
    assert created(note)["id"]
    assert "location" not in note.headers


def test_a_location_is_there_for_compressed_answers_and_replays_but_not_without_a_resource(
    shop_up: Up, admin: Client, buyer: Client
) -> None:
    headers = [("accept-encoding", "gzip"), ("idempotency-key", "a-created-product")]
    made, again = (admin.post("/products", draft(name="Kite", description="round " * 99), headers) for _ in range(2))
    assert made.headers["content-encoding"] == "gzip"
    assert again.headers["idempotent-replayed"] == "true"
    assert re.fullmatch(r"/products/[0-9a-f-]{36}", made.headers["location"])
    assert made.headers["location"] == again.headers["location"]
    buyer.post(f"/cart/add/{shop_up.product()['id']}")
    assert buyer.post("/orders/checkout", {"validate_only": True}).headers["location"] is None
    assert admin.post("/products", {"name": ""}).headers["location"] is None


def test_the_root_leads_to_the_docs(anyone: Client) -> None:
    for path in ("/", "/?x=1"):
        root = anyone.get(path)
        assert (root.status, root.headers["location"]) == (302, "/docs")
    assert anyone.get("/docs").status == 200
