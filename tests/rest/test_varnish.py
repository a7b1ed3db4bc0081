"""The configuration of Varnish in docs/edge.md: what a writer reads back, how old other answers are, and what is never stored."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rest.routes import ROUTES, Route, Scene
from rest.test_edge_cache import ABSENT, AGE_S
from support import needs
from support.mercato_up import Up
from support.patience import allowed, until_sync
from support.rest_client import Client, Reply
from varnish import VARNISHD, varnish

pytestmark = needs.VARNISH.unless(VARNISHD)


@pytest.fixture(scope="module")
def port(plain_up: Up) -> Iterator[int]:
    """The port of a Varnish in front of the shop."""
    with varnish(plain_up.port) as (port, _):
        yield port


@pytest.fixture
def anyone(port: int, plain_up: Up) -> Client:
    return replace(plain_up.anyone, port=port)


@pytest.fixture
def writer(port: int, plain_up: Up) -> Client:
    return replace(plain_up.admin, port=port)


@pytest.fixture
def scene(plain_up: Up) -> Scene:
    return Scene(plain_up)


def stored(reply: Reply) -> bool:
    """Return whether Varnish had the answer: it then names two requests, this one and that which brought it."""
    return len(str(reply.headers["x-varnish"]).split()) == 2


def hit(anyone: Client, path: str) -> Reply:
    def answered() -> Reply | None:
        reply = anyone.get(path)
        return reply if stored(reply) else None

    found = until_sync(answered, f"a hit of {path}")
    assert found
    return found


PATHS = ["/products/PRODUCT", "/products?page_size=2&order_by=price", "/products:batchGet?ids=PRODUCT", "/categories"]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_varnish_stored_is_that_of_a_worker(plain_up: Up, anyone: Client, scene: Scene, path: str) -> None:
    path = path.replace("PRODUCT", scene.product_id)

    def same() -> bool:
        by_worker, by_varnish = plain_up.anyone.get(path), hit(anyone, path)
        tags = [str(reply.headers["etag"]).removeprefix("W/") for reply in (by_worker, by_varnish)]
        return by_varnish.body == by_worker.body and tags[0] == tags[1]

    until_sync(same)
    again = anyone.send("GET", path, headers=[("if-none-match", str(hit(anyone, path).headers["etag"]))])
    assert (again.status, again.body) == (304, b"")


def test_a_writer_reads_a_change_at_once_and_anyone_after_a_second(anyone: Client, writer: Client, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    for number in range(3):
        hit(anyone, path)
        name, began = f"Changed {number}", time.monotonic()
        assert writer.patch(path, {"name": name}).status == 200
        assert writer.get(path).json["name"] == name
        for header in (("cache-control", "no-cache"), ("pragma", "no-cache")):
            assert anyone.send("GET", path, headers=[header]).json["name"] == name
        until_sync(lambda: anyone.get(path).json["name"] == name)  # noqa: B023 - called at once
        assert time.monotonic() - began < allowed(AGE_S)
    assert writer.delete(path).status == 200
    until_sync(lambda: anyone.get(path).status == 404)
    assert writer.post(f"{path}:undelete").status == 200
    until_sync(lambda: anyone.get(path).status == 200)


def test_errors_are_not_stored_and_each_has_its_own_request_id(anyone: Client) -> None:
    for wrong in (f"/products/{ABSENT}", "/products/1", "/products?page_size=x", "/products?bogus=1"):
        replies = [anyone.send("GET", wrong, headers=[("cache-control", "no-cache")]) for _ in range(2)]
        assert len({reply.headers["x-request-id"] for reply in replies}) == 2
        assert not any(stored(anyone.get(wrong)) for _ in range(3))


def test_what_one_client_sends_changes_no_answer_to_another(anyone: Client, scene: Scene) -> None:
    path = f"/products/{scene.product_id}"
    plain = hit(anyone, path)
    assert plain.headers["x-request-id"] is None
    for header in (("cookie", "a=b"), ("range", "bytes=0-9"), ("grpc-timeout", "1n"), ("x-rpc", "/me"), ("x-http-status", "304")):
        for reply in (anyone.send("GET", path, headers=[header]), anyone.get(path)):
            assert (reply.status, reply.body) == (200, plain.body), header
    assert anyone.send("HEAD", path).status == 200


@pytest.mark.parametrize("route", [route for route in ROUTES if route.verb == "GET"], ids=str)
def test_no_caller_gets_the_answer_of_another(port: int, anyone: Client, scene: Scene, route: Route) -> None:
    owner, path = replace(scene.client(route.policy.access), port=port), route.path(scene)
    for _ in range(2):
        answered = owner.get(path)
        assert answered.status == route.status
        if owner.token:
            assert not stored(answered)
            assert anyone.get(path).headers["x-request-id"] != answered.headers["x-request-id"]
