"""Conditional changes over REST: `if-match` and `if-none-match` (RFC 9110 section 13.1) beside the etag of a body."""

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from support.mercato_up import Up
from support.rest_client import Client, Reply

VERBS = ["PUT", "PATCH", "DELETE"]
STALE = "0.0"


def send(client: Client, verb: str, path: str, conditions: Sequence[tuple[str, str]], **fields: Any) -> Reply:
    """Change a product; a field `etag` is the etag that its request names."""
    etag = fields.pop("etag", "")
    if verb == "DELETE":
        return client.send(verb, path + f"?etag={etag}" * bool(etag), headers=conditions)
    body = {"name": "New", "price": {"minor_units": "5"}, **fields, **({"etag": etag} if etag else {})}
    return client.send(verb, path, json.dumps(body).encode(), [("content-type", "application/json"), *conditions])


HOLDS: dict[str, Callable[[str, str], list[str]]] = {
    "header": lambda _etag, header: [header],
    "weakened header": lambda _etag, header: [f"W/{header}"],
    "etag of the body": lambda etag, _header: [f'"{etag}"'],
    "etag of the body, not quoted": lambda etag, _header: [etag],
    "one of a list": lambda _etag, header: [f'"{STALE}", {header}'],
    "one of a list with a comma in a tag": lambda _etag, header: [f'"{STALE},1" ,, W/{header} ,'],
    "one of two headers": lambda _etag, header: [f'"{STALE}"', header],
    "anything": lambda _etag, _header: ["*"],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("values", HOLDS.values(), ids=HOLDS.keys())
def test_a_change_is_made_if_the_condition_holds(shop_up: Up, admin: Client, verb: str, values: Callable[[str, str], list[str]]) -> None:
    path = f"/products/{shop_up.product()['id']}"
    read = admin.get(path)
    conditions = [("if-match", value) for value in values(read.json["etag"], read.headers["etag"])]
    changed = send(admin, verb, path, conditions)
    assert changed.status == 200, changed
    assert changed.json["etag"] != read.json["etag"]


@pytest.mark.parametrize("of", ["shop", "taxCategories", "taxRates"])
def test_the_header_of_an_answer_is_the_condition_of_the_next_change(shop_up: Up, admin: Client, of: str) -> None:
    code, region = f"c{uuid.uuid4().hex[:20]}", uuid.uuid4().hex
    made = {
        "taxCategories": admin.post(f"/v1/taxCategories?tax_category_id={code}", {"display_name": "Books"}),
        "taxRates": admin.post("/v1/taxRates", {"country_code": "DE", "region": region, "name": "VAT", "rate_ppm": 1}),
    }
    path = f"/v1/{of}" + (f"/{made[of].json['id']}" if of in made else "")
    body = {"shop": b'{"country_code": "DE"}', "taxCategories": b'{"display_name": "Papers"}', "taxRates": b'{"name": "Tax"}'}[of]
    header = admin.get(path).headers["etag"]
    conditions = [("content-type", "application/json"), ("if-match", header)]
    first, second = [admin.send("PATCH", path, body, conditions) for _ in range(2)]
    assert (first.status, second.status, second.reason) == (200, 412, "ETAG_MISMATCH")
    assert admin.send("PATCH", path, body, [conditions[0], ("if-match", first.headers["etag"])]).status == 200


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_of_something_newer_is_412_with_the_header_and_409_without(shop_up: Up, admin: Client, verb: str) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    admin.patch(path, {"name": "Newer"})
    newer = admin.get(path).json
    for value in (f'"{product["etag"]}"', STALE, f'W/"{STALE}-ab"', f'"{STALE}", "9.9"', '"2"', '"20.0"', '"2-0"', "W/"):
        refused = send(admin, verb, path, [("if-match", value)])
        assert (refused.status, refused.reason, refused.json["code"]) == (412, "ETAG_MISMATCH", 10), value
        assert refused.metadata["etag"] == newer["etag"] == "2.0"
        assert refused.headers["x-http-status"] is None
    stale = send(admin, verb, path, [], etag=product["etag"])
    assert (stale.status, stale.reason) == (409, "ETAG_MISMATCH")
    assert admin.get(path).json == newer


@pytest.mark.parametrize("verb", VERBS)
def test_a_condition_that_is_no_list_of_tags_is_refused_by_name(shop_up: Up, admin: Client, verb: str) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    for value in ("", " ", ",", '"1.0', '1.0"', '"1.0" "2.0"', "*, *x y", "a b"):
        refused = send(admin, verb, path, [("if-match", value)])
        assert (refused.status, refused.reason, refused.fields) == (400, "INVALID_FIELD", ["if-match"]), value
    assert admin.get(path).json == product


@pytest.mark.parametrize("verb", VERBS)
def test_header_and_etag_must_not_name_different_versions(shop_up: Up, admin: Client, verb: str) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    both = send(admin, verb, path, [("if-match", f'"{STALE}"')], etag=product["etag"])
    assert (both.status, both.reason, both.fields) == (400, "INVALID_FIELD", ["if-match"])
    assert admin.get(path).json == product
    assert send(admin, verb, path, [("if-match", admin.get(path).headers["etag"])], etag=product["etag"]).status == 200


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_of_an_absent_product_is_not_found_under_any_condition(shop_up: Up, admin: Client, verb: str) -> None:
    path = f"/products/{shop_up.product()['id']}"
    admin.delete(path)
    for value in ("*", '"1.0"'):
        assert send(admin, verb, path, [("if-match", value)]).reason == "PRODUCT_NOT_FOUND"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("value", ["*", '"1.0"'])
def test_a_change_refuses_if_none_match(shop_up: Up, admin: Client, verb: str, value: str) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    refused = send(admin, verb, path, [("if-none-match", value)])
    assert (refused.status, refused.reason, refused.fields) == (400, "INVALID_FIELD", ["if-none-match"])
    assert admin.get(path).json == product


def test_each_answer_has_the_tag_for_the_next_change(shop_up: Up, admin: Client) -> None:
    made = admin.post("/products", {"name": "Ball", "price": {"minor_units": "5"}, "stock": 3})
    path, tag = made.headers["location"], made.headers["etag"]
    for verb, body in (("PATCH", {"name": "A"}), ("PUT", {"name": "B", "price": {"minor_units": "5"}}), ("PATCH", {"stock": 7})):
        changed = admin.send_json(verb, path, body, [("if-match", tag)])
        assert changed.status == 200, changed
        assert changed.headers["etag"] != tag
        tag = changed.headers["etag"]
        assert admin.get(path).headers["etag"] == tag
        assert tag.startswith(f'"{changed.json["etag"]}-')


def test_a_sale_is_in_the_way_only_of_a_change_that_sets_the_stock(shop_up: Up, admin: Client, buyer: Client) -> None:
    product = shop_up.product(stock=10)
    path = f"/products/{product['id']}"
    read = admin.get(path)
    assert buyer.post(f"/cart/add/{product['id']}").status == 200
    assert buyer.post("/orders/checkout").status == 201
    sold = admin.get(path).json
    assert (sold["stock"], sold["update_time"]) == (9, product["update_time"])
    assert sold["etag"] != product["etag"]
    for body in ({"stock": 10}, {"name": "New", "stock": 9}):
        refused = admin.send_json("PATCH", path, body, [("if-match", read.headers["etag"])])
        assert (refused.status, refused.reason) == (412, "ETAG_MISMATCH")
    put_back = admin.put(path, read.json)
    assert (put_back.status, put_back.reason) == (409, "ETAG_MISMATCH")
    assert admin.get(path).json == sold
    renamed = admin.send_json("PATCH", path, {"name": "New"}, [("if-match", read.headers["etag"])])
    assert (renamed.status, renamed.json["stock"]) == (200, 9)
    for change in ({"name": "Newer", "etag": read.json["etag"]}, {"stock": 1, "etag": renamed.json["etag"]}):
        assert admin.patch(path, change).status == (409 if "name" in change else 200)


def test_only_the_etag_of_this_product_holds_also_in_a_cart(shop_up: Up, buyer: Client) -> None:
    product_id = shop_up.product()["id"]
    buyer.post(f"/cart/add/{product_id}")
    cart = buyer.get("/cart")
    assert cart.headers["etag"].startswith(f'"{cart.json["etag"]}-')
    assert buyer.send("GET", "/cart", headers=[("if-none-match", cart.headers["etag"])]).status == 304
    for verb, path in (("PATCH", f"/cart/items/{product_id}"), ("DELETE", f"/cart/items/{product_id}"), ("DELETE", "/cart")):
        refused = buyer.send(verb, path, headers=[("if-match", cart.headers["etag"])])
        assert (refused.status, refused.fields) == (400, ["if-match"])
    assert buyer.get("/cart").json == cart.json
