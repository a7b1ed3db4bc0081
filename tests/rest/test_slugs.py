"""Slugs over REST: an earlier one is a redirect to the current one (RFC 9110 section 15.4.9)."""

import itertools
import json
from pathlib import Path

from mercato_server.cli.redirects_csv import RedirectImport
from support.mercato_up import Up
from support.rest_client import Client, Reply

_numbers = itertools.count(1)


def renamed(shop_up: Up, admin: Client) -> tuple[str, str, str]:
    """Return the id of a category with its earlier and its current slug."""
    made, slug = shop_up.category(), f"renamed-{next(_numbers)}"
    body = json.dumps({"slug": slug}).encode()
    assert admin.send("PATCH", f"/categories/{made['id']}", body, [("content-type", "application/json")]).status == 200
    return made["id"], made["slug"], slug


def followed(client: Client, reply: Reply) -> Reply:
    return client.get(reply.headers["location"])


def test_an_earlier_slug_is_308_to_the_current_one_for_five_seconds(shop_up: Up, admin: Client, anyone: Client) -> None:
    id_, old, new = renamed(shop_up, admin)
    for path in (f"/v1/slugs/category/{old}", f"/v1/slugs/category/{old}/"):
        reply = anyone.get(path)
        assert (reply.status, reply.headers["location"]) == (308, f"/v1/slugs/category/{new}")
        assert reply.headers["cache-control"] == "public, max-age=5"
        assert "x-http-status" not in reply.headers
        assert reply.json["category"]["slug"] == new
    found = followed(anyone, anyone.get(f"/v1/slugs/category/{old}"))
    assert (found.status, found.json["category"]["id"], "location" in found.headers) == (200, id_, False)
    head = anyone.send("HEAD", f"/v1/slugs/category/{old}")
    assert (head.status, head.headers["location"]) == (308, f"/v1/slugs/category/{new}")


def test_a_matching_tag_of_a_redirect_is_a_redirect_and_that_of_the_thing_304(shop_up: Up, admin: Client, anyone: Client) -> None:
    _, old, new = renamed(shop_up, admin)
    for slug, status in ((old, 308), (new, 304)):
        tag = anyone.get(f"/v1/slugs/category/{slug}").headers["etag"]
        assert anyone.send("GET", f"/v1/slugs/category/{slug}", headers=[("if-none-match", tag)]).status == status


def test_a_product_has_a_slug_and_an_absent_one_is_404(shop_up: Up, anyone: Client) -> None:
    product = shop_up.product()
    found = anyone.get(f"/v1/slugs/product/{product['slug']}")
    assert (found.status, found.json["product"]) == (200, product)
    for path, status in (("/v1/slugs/product/absent-slug", 404), ("/v1/slugs/order/x", 400), ("/v1/slugs/product/NO", 400)):
        assert anyone.get(path).status == status


async def test_an_imported_redirect_is_308_to_the_present_slug(shop_up: Up, anyone: Client, tmp_path: Path) -> None:
    product, old = shop_up.product(), f"of-the-other-shop-{next(_numbers)}"
    file = tmp_path / "redirects.csv"
    file.write_text(f"Redirect from,Redirect to\n/products/{old},/products/{product['slug']}\n")
    assert anyone.get(f"/v1/slugs/product/{old}").status == 404
    await RedirectImport(path=file).run(shop_up.database)
    reply = anyone.get(f"/v1/slugs/product/{old}")
    assert (reply.status, reply.headers["location"]) == (308, f"/v1/slugs/product/{product['slug']}")
    assert followed(anyone, reply).json["product"] == product
