"""Answers have the headers that an HTTP cache needs: cache-control, entity tags and 304."""

import pytest

from support.mercato_up import Up
from support.rest_client import Client


@pytest.mark.parametrize(
    "path", ["/products", "/products/PRODUCT", "/products:batchGet?ids=PRODUCT", "/categories", "/v1/shop", "/.well-known/jwks.json"]
)
def test_public_reads_say_how_long_they_keep_and_are_not_sent_twice(shop_up: Up, path: str) -> None:
    path = path.replace("PRODUCT", shop_up.product()["id"])
    first = shop_up.anyone.get(path)
    etag, kept = first.headers["etag"], first.headers["cache-control"]
    assert first.status == 200
    others = {"/.well-known/jwks.json": "public, max-age=300", "/v1/shop": "public, max-age=5"}
    assert kept == others.get(path, "public, max-age=5, s-maxage=1")
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = shop_up.anyone.send("GET", path, headers=[("if-none-match", known)])
        assert (again.status, again.body, again.headers["etag"], again.headers["cache-control"]) == (304, b"", etag, kept)
        assert again.headers["content-type"] is None
        assert again.headers["x-not-modified"] is None
    other = shop_up.anyone.send("GET", path, headers=[("if-none-match", '"other"')])
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("path", ["/products", "/products/PRODUCT", "/products:batchGet?ids=PRODUCT", "/categories"])
def test_a_caller_with_a_token_always_asks_again(shop_up: Up, admin: Client, path: str) -> None:
    path = path.replace("PRODUCT", shop_up.product()["id"])
    read = admin.get(path)
    assert read.headers["cache-control"] == "private, no-cache"
    again = admin.send("GET", path, headers=[("if-none-match", read.headers["etag"])])
    assert (again.status, again.headers["cache-control"]) == (304, "private, no-cache")
    assert shop_up.anyone.get(path).headers["cache-control"] == "public, max-age=5, s-maxage=1"


def test_a_changed_product_has_another_tag(shop_up: Up, admin: Client) -> None:
    path = f"/products/{shop_up.product()['id']}"
    etag = shop_up.anyone.get(path).headers["etag"]
    admin.patch(path, {"name": "New"})
    changed = shop_up.anyone.send("GET", path, headers=[("if-none-match", etag)])
    assert (changed.status, changed.json["name"]) == (200, "New")
    assert changed.headers["etag"] != etag


def test_a_compressed_answer_has_a_weak_tag_that_is_known_again(shop_up: Up) -> None:
    path = f"/products/{shop_up.product(description='A ball. ' * 100)['id']}"  # a short answer is not compressed
    zipped = shop_up.anyone.send("GET", path, headers=[("accept-encoding", "gzip")])
    assert zipped.headers["etag"].startswith('W/"')
    again = shop_up.anyone.send("GET", path, headers=[("accept-encoding", "gzip"), ("if-none-match", zipped.headers["etag"])])
    assert (again.status, again.body) == (304, b"")


def test_errors_and_private_answers_are_not_to_be_cached(shop_up: Up) -> None:
    absent = shop_up.anyone.get("/products/0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
    assert (absent.status, absent.headers["etag"]) == (404, None)
    buyer = shop_up.buyer()
    for path in ("/me", "/cart", "/orders/my"):
        assert "public" not in (buyer.get(path).headers["cache-control"] or "")
