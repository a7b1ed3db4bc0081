"""The edge answers anonymous reads of the catalog from its cache: for a second, alike for everyone, and nothing else."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import grpc
import pytest

from mercato.rpcs import rpcs
from mercato.v1 import catalog_pb2, policy_pb2
from mercato_server.edge.descriptors import template_regex
from rest.routes import ROUTES, Route, Scene
from support.mercato_up import ORIGIN, Up, running
from support.patience import allowed, patient, until_sync
from support.rest_client import HOST, Client, Headers, Reply

AGE_S = 1.25
"""The promise for anonymous reads: a second in this cache after the 0.25 s of the workers'."""
CACHED = [rpc for rpc in rpcs() if rpc.policy.shared_max_age_s]
ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
PATHS = ["/products", "/products?page_size=2&order_by=price", "/products/PRODUCT", "/products:batchGet?ids=PRODUCT", "/categories"]
PATHS += ["/products/", "/categories/CATEGORY"]


@pytest.fixture
def up(cached_up: Up) -> Up:
    return cached_up


@pytest.fixture
def scene(up: Up) -> Scene:
    return Scene(up)


@pytest.fixture(scope="module")
def stranger(cached_up: Up) -> Client:
    """A buyer who has bought nothing."""
    return cached_up.buyer()


def filled(path: str, scene: Scene) -> str:
    return path.replace("PRODUCT", scene.product_id).replace("CATEGORY", scene.category_id)


def stored(directory: Path) -> list[bytes]:
    """Return the content of the cache's files."""
    files = []
    for path in directory.glob("cache-*"):
        with contextlib.suppress(FileNotFoundError):  # Envoy has replaced or removed it
            files.append(path.read_bytes())
    return files


def directory_of(up: Up) -> Path:
    found = re.search(r'"cache_path": "([^"]+)"', (up.data_dir / "envoy.json").read_text())
    assert found
    return Path(found[1])


def counted(up: Up, event: str) -> int:
    """Return how many lookups ended so, by the statistics on Envoy's admin socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patient())
        connection.connect(str(up.data_dir / "run/envoy.sock"))
        connection.sendall(b"GET /stats?filter=cache.event HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
        page = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    return sum(int(count) for count in re.findall(rf"event_type\.{event}: (\d+)", page))


def lookups(up: Up) -> int:
    return counted(up, "hit") + counted(up, "miss")


def hit(up: Up, path: str, headers: Headers = ()) -> Reply:
    """Return an answer from the cache that is as new as a worker's; those that earlier tests left may be older."""
    current = tag_of(up.anyone.send("GET", path, headers=[("cache-control", "no-cache")]))

    def answered() -> Reply | None:
        before = counted(up, "hit")
        reply = up.anyone.send("GET", path, headers=headers)
        return reply if counted(up, "hit") > before and tag_of(reply) == current else None

    found = until_sync(answered, f"a hit of {path}")
    assert found
    return found


def tag_of(reply: Reply) -> str:
    return str(reply.headers["etag"]).removeprefix("W/")


# Answers from the cache, and their age.


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_from_the_cache_is_that_of_a_worker(up: Up, scene: Scene, path: str) -> None:
    path = filled(path, scene)
    by_worker, by_cache = up.anyone.send("GET", path, headers=[("cache-control", "no-cache")]), hit(up, path)
    assert (by_cache.status, by_cache.body) == (by_worker.status, by_worker.body)
    assert comparable(by_cache) == comparable(by_worker)
    assert by_cache.headers["cache-control"] == "public, max-age=5, s-maxage=1"


def comparable(reply: Reply) -> dict[str, Any]:
    """Return the headers that do not differ for each answer, those that are lists as sets."""
    headers = {name.lower(): value for name, value in reply.headers.items() if name.lower() not in ("date", "x-request-id")}
    return headers | {"vary": set(re.split(", *", headers["vary"]))}


def test_a_change_is_seen_after_a_second_by_anyone_and_at_once_by_who_asks_a_worker(up: Up, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    for number in range(3):
        assert hit(up, path).status == 200
        name = f"Changed {number}"
        began = time.monotonic()
        up.admin.patch(path, {"name": name})
        assert scene.buyer.get(path).json["name"] == name
        for header in (("cache-control", "no-cache"), ("cache-control", "max-age=0"), ("pragma", "no-cache")):
            assert up.anyone.send("GET", path, headers=[header]).json["name"] == name
        until_sync(lambda: up.anyone.get(path).json["name"] == name)  # noqa: B023 - called at once
        assert time.monotonic() - began < allowed(AGE_S)


def test_lists_are_found_by_their_whole_query(up: Up) -> None:
    for size in (1, 2, 1, 2):
        up.product()
        assert len(hit(up, f"/products?page_size={size}").json["products"]) == size


@pytest.mark.parametrize("name", ["authorization", "cache-control", "pragma"])
def test_a_request_that_passes_by_is_not_looked_up(up: Up, scene: Scene, name: str) -> None:
    value = f"Bearer {scene.buyer.token}" if name == "authorization" else "no-cache"
    before = lookups(up)
    for path in (filled(path, scene) for path in PATHS):
        assert up.anyone.send("GET", path, headers=[(name, value)]).status == 200
    assert lookups(up) == before


def test_only_a_get_of_the_catalog_is_looked_up(up: Up, scene: Scene, cached_channel: grpc.Channel) -> None:
    before = lookups(up)
    call = cached_channel.unary_unary(
        "/mercato.v1.CatalogService/GetProduct",
        request_serializer=catalog_pb2.GetProductRequest.SerializeToString,
        response_deserializer=catalog_pb2.Product.FromString,
    )
    assert call(catalog_pb2.GetProductRequest(product_id=scene.product_id), timeout=patient()).id == scene.product_id
    for path in ("/me", "/livez", "/readyz", "/docs", "/.well-known/jwks.json", "/nowhere"):
        up.anyone.get(path)
    assert up.anyone.send("HEAD", "/products").status == 200
    assert lookups(up) == before


@pytest.fixture
def cached_channel(up: Up) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"{HOST}:{up.port}") as channel:
        yield channel


# HTTP.


def test_a_hit_with_a_known_tag_is_304(up: Up, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    found = hit(up, path)
    etag = found.headers["etag"]
    for tags in ([etag], [f"W/{etag}"], [f'"other", {etag}'], ['"other"', etag], ["*"], [" * "]):
        again = hit(up, path, [("if-none-match", tag) for tag in tags])
        assert (again.status, again.body) == (304, b""), tags
        assert comparable(again) == {name: value for name, value in comparable(found).items() if name != "content-type"}
    for tag in ('"other"', "", etag.strip('"'), etag[:-1], "**"):
        assert hit(up, path, [("if-none-match", tag)]).body == found.body, tag


def test_a_hit_is_compressed_and_its_weak_tag_is_known_again(up: Up) -> None:
    path = f"/products/{up.product(description='round ' * 200)['id']}"
    zipped = hit(up, path, [("accept-encoding", "gzip")])
    assert zipped.headers["content-encoding"] == "gzip"
    again = hit(up, path, [("accept-encoding", "gzip"), ("if-none-match", zipped.headers["etag"])])
    assert (again.status, again.body) == (304, b"")
    assert hit(up, path).headers["content-encoding"] is None


def test_nothing_that_one_caller_sends_reaches_another(up: Up, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    plain = hit(up, path)
    sent = [("origin", ORIGIN), ("cookie", "a=b"), ("range", "bytes=0-9"), ("accept-language", "de"), ("grpc-timeout", "1n")]
    sent += [("x-http-status", "304"), ("x-rpc", "/me"), ("x-client-address", "192.0.2.7"), ("x-forwarded-proto", "https")]
    for header in sent:
        replies = [up.anyone.get(path)]
        with (
            contextlib.suppress(IncompleteRead) if header[0] == "grpc-timeout" else contextlib.nullcontext()
        ):  # it may pass before the body is sent
            replies += [up.anyone.send("GET", path, headers=[header]), up.anyone.get(path)]
        for reply in replies:
            assert reply.status == 200 or (reply.status == 504 and header[0] == "grpc-timeout"), header
            if reply.status == 200:
                assert reply.body == plain.body
        assert comparable(up.anyone.get(path)) == comparable(plain), header
    ids = [up.anyone.get(path).headers["x-request-id"] for _ in range(5)]
    assert len(set(ids)) == 5
    assert hit(up, path, [("origin", ORIGIN)]).headers["access-control-allow-origin"] == ORIGIN
    assert hit(up, path, [("origin", "http://evil.example")]).headers["access-control-allow-origin"] is None


def test_the_access_log_names_rpc_client_and_request_of_a_hit(up: Up, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    request_id = hit(up, path + "?show_deleted=false").headers["x-request-id"]
    # The last line may be half written.
    [line] = until_sync(lambda: [line for line in up.log("access.log").split("\n")[:-1] if request_id in line])
    call = json.loads(line)
    assert (call["rpc"], call["path"], call["client"]) == ("/mercato.v1.CatalogService/GetProduct", path, HOST)
    assert (call["status"], call["flags"], call["details"]) == (200, "RFCF", "cache.response_from_cache_filter")
    assert "grpc_status" not in call


# Answers that are never stored.


def test_an_error_is_not_stored(up: Up) -> None:
    product_id = up.product()["id"]
    path = f"/products/{product_id}"
    assert up.admin.delete(path).status == 200
    until_sync(lambda: up.anyone.get(path).status == 404)
    assert up.admin.post(f"{path}:undelete").status == 200
    assert up.anyone.get(path).status == 200
    for wrong in (f"/products/{ABSENT}", "/products/1", "/products?page_size=x", "/products?bogus=1", "/categories/1"):
        replies = [up.anyone.get(wrong) for _ in range(3)]
        assert len({reply.headers["x-request-id"] for reply in replies}) == 3
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
        assert not [file for file in stored(directory_of(up)) if wrong.encode() in file]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_no_caller_gets_the_answer_of_another(up: Up, scene: Scene, stranger: Client, route: Route) -> None:
    owner, public = route.client(scene), route.policy.access == policy_pb2.ACCESS_ANYONE
    assert route.call(scene).status == route.status
    if route.verb == "GET":
        path = route.path(scene)
        for asked in (path, path.replace("?", "/?") if "?" in path else f"{path}/"):
            for headers in ((), [("cookie", f"access_token={owner.token}")], [("if-none-match", "*")], [("accept-encoding", "gzip")]):
                assert owner.send("GET", asked, headers=headers).status < 400
            assert up.anyone.get(asked).status == (200 if public else 401)
            others = stranger.get(asked)
            assert others.status in ((200,) if public else (200, 403, 404))
            if "token=" not in path:  # a link is all that its reader needs
                assert not [secret for secret in secrets_of(scene) if secret.encode() in others.body]
    assert_only_the_catalog_is_stored(up, secrets_of(scene))


def secrets_of(scene: Scene) -> list[str]:
    """Return what only the buyer and the administrator of a scene may read."""
    return [secret for who in (scene.buyer, scene.up.admin) for secret in (who.email, who.id, who.token)]


def assert_only_the_catalog_is_stored(up: Up, secrets: Sequence[str]) -> None:
    until_sync(lambda: up.anyone.get("/products").status == 200 and stored(directory_of(up)))
    paths = re.compile("|".join(template_regex(binding.path) for rpc in CACHED for binding in rpc.bindings))
    for file in stored(directory_of(up)):
        assert paths.fullmatch(path_of(file)), file
        assert b"public, max-age=5, s-maxage=1" in file
        assert not [secret for secret in secrets if secret.encode() in file]


def path_of(file: bytes) -> str:
    """Return the path and query in the key of a file, which follow the host (key.proto of Envoy)."""
    found = re.search(rb"[0-9a-f]{32}\x1a([\x00-\x7f])", file)
    assert found
    return file[found.end() :][: found[1][0]].decode()


def test_what_only_an_administrator_sees_of_the_catalog_is_not_stored(up: Up) -> None:
    product = up.product()
    assert up.admin.delete(f"/products/{product['id']}").status == 200
    for path in ("/products?only_deleted=true", f"/products/{product['id']}?show_deleted=true"):
        assert product["id"] in up.admin.get(path).body.decode()
        assert up.anyone.get(path).status == 401
        assert up.buyer().get(path).status == 403


def test_the_directory_is_private_and_goes_with_the_shop() -> None:
    with running(MERCATO_RATE_LIMITS="off", MERCATO_EDGE_CACHE="on") as up:
        directory = directory_of(up)
        assert directory.stat().st_mode & 0o777 == 0o700
        until_sync(lambda: up.anyone.get("/products").status == 200 and stored(directory))
    assert not directory.exists()


def test_the_cache_is_off_unless_it_is_asked_for(plain_up: Up) -> None:
    config = (plain_up.data_dir / "envoy.json").read_text()
    assert "cache_path" not in config
    assert "mercato-cache" not in config
