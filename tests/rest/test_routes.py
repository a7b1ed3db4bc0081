"""Every REST route works through Envoy as the API's contract says."""

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from mercato.v1 import policy_pb2
from rest.routes import BINDINGS, ROUTES, Route, Scene
from support import needs
from support.mercato_up import PASSWORD, Up, created, draft, draft_address
from support.rest_client import Client


def test_the_table_of_routes_has_every_binding_of_the_protos() -> None:
    assert sorted((route.verb, route.template) for route in ROUTES) == sorted(BINDINGS)


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_route_works_with_and_without_a_trailing_slash(shop_up: Up, route: Route, slash: str) -> None:
    reply = route.call(Scene(shop_up), slash)
    assert reply.status == route.status == (400 if route.unsigned else route.policy.http_status or 200), reply
    assert reply.headers["content-type"] == route.media
    if route.media == "application/json":
        assert route.shows in reply.json if route.shows else reply.json == {}
    assert not [name for name in reply.headers if name.lower().startswith("grpc-")]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_route_refuses_callers_without_access(shop_up: Up, route: Route) -> None:
    access, scene = route.policy.access, Scene(shop_up)
    path, body = route.path(scene), route.body(scene)
    if access != policy_pb2.ACCESS_ANYONE:
        anonymous = shop_up.anyone.send_json(route.verb, path, body)
        assert (anonymous.status, anonymous.reason) == (401, "TOKEN_INVALID")
    if access == policy_pb2.ACCESS_ADMIN:
        user = scene.buyer.send_json(route.verb, path, body)
        assert (user.status, user.reason) == (403, "ADMIN_ONLY")


@needs.CURL.unless(shutil.which("curl"))
def test_the_first_commands_of_a_newcomer_work_word_for_word(shop_up: Up) -> None:
    signup = curl(
        shop_up,
        """curl -X POST "$BASE/signup" -H "Content-Type: application/json" """
        """-d '{"email":"user@example.com","password":"securepass123","full_name":"John Doe"}'""",
    )
    assert (signup["email"], signup["full_name"], signup["role"]) == ("user@example.com", "John Doe", "ROLE_USER")
    login = curl(
        shop_up,
        """curl -X POST "$BASE/login" -H "Content-Type: application/x-www-form-urlencoded" """
        """-d "username=user@example.com&password=securepass123" """,
    )
    assert login["token_type"] == "bearer"
    assert login["expires_in"] == 600
    me = curl(shop_up, """curl -X GET "$BASE/me" -H "Authorization: Bearer TOKEN" """.replace("TOKEN", login["access_token"]))
    assert me == signup


def curl(up: Up, command: str) -> Any:
    done = subprocess.run(["/bin/sh", "-c", command], env={**os.environ, "BASE": up.base}, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_a_login_by_form_gives_a_token_in_the_shape_of_oauth2(shop_up: Up) -> None:
    buyer = shop_up.buyer()
    reply = shop_up.anyone.form("/login", {"grant_type": "password", "username": buyer.email.upper(), "password": PASSWORD, "scope": ""})
    assert reply.status == 200
    assert set(reply.json) == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"}
    assert isinstance(reply.json["expires_in"], int)
    assert reply.headers["cache-control"] == "no-store"
    assert Client(shop_up.port, reply.json["access_token"]).get("/me").json["email"] == buyer.email


def test_a_new_account_is_returned_without_its_password_and_with_role_user(shop_up: Up) -> None:
    email = f"{uuid.uuid4().hex}@Example.com"
    user = created(shop_up.anyone.post("/signup", {"email": email, "password": PASSWORD}))
    fields = {"id", "email", "full_name", "role", "create_time", "disabled", "email_verified", "tax_treatment", "tax_number"}
    assert set(user) == fields
    assert (user["email"], user["role"]) == (email.lower(), "ROLE_USER")
    again = shop_up.anyone.post("/signup", {"email": email.upper(), "password": PASSWORD})
    assert (again.status, again.reason) == (409, "EMAIL_TAKEN")


def test_a_session_names_the_device_that_the_edge_saw(shop_up: Up) -> None:
    buyer = shop_up.buyer()
    told = [
        ("content-type", "application/json"),
        ("user-agent", "Phone/1"),
        ("x-client-address", "6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
    ]
    body = json.dumps({"email": buyer.email, "password": PASSWORD}).encode()
    phone = Client(shop_up.port, shop_up.anyone.send("POST", "/v1/auth:login", body, told).json["access_token"])
    [session] = [session for session in phone.get("/me/sessions").json["sessions"] if session["current"]]
    assert (session["user_agent"], session["ip_address"]) == ("Phone/1", "127.0.0.1")


def test_patch_changes_exactly_the_fields_of_its_mask(shop_up: Up, admin: Client) -> None:
    before = shop_up.product(description="old")
    path = f"/products/{before['id']}"
    sent = {"name": "New", "price": {"minor_units": "5"}, "description": "ignored", "stock": 99}
    after = admin.patch(f"{path}?update_mask=name,price", sent).json
    assert after == {**before, "name": "New", "price": {"currency_code": "USD", "minor_units": "5"}} | changed(after)
    cleared = admin.patch(f"{path}?update_mask=description", {}).json
    assert cleared == {**after, "description": ""} | changed(cleared)
    assert shop_up.anyone.get(path).json == cleared


def test_patch_without_a_mask_changes_the_fields_that_it_brings(shop_up: Up, admin: Client) -> None:
    before = shop_up.product(description="old")
    after = admin.patch(f"/products/{before['id']}", {"name": "New"}).json
    assert after == {**before, "name": "New"} | changed(after)


def test_put_replaces_all_but_a_stock_that_is_left_out(shop_up: Up, admin: Client) -> None:
    before = shop_up.product(description="old", sku=uuid.uuid4().hex, image_urls=["https://example.com/1.png"], stock=7)
    after = admin.put(f"/products/{before['id']}", {"name": "New", "price": {"minor_units": "5"}}).json
    emptied = {"name": "New", "price": {"currency_code": "USD", "minor_units": "5"}, "description": "", "sku": "", "image_urls": []}
    assert after == before | emptied | changed(after)
    assert after["stock"] == 7


def test_a_product_can_be_put_back_as_it_was_read(shop_up: Up, admin: Client) -> None:
    before = shop_up.product(description="round", stock=7)
    after = admin.put(f"/products/{before['id']}", before)
    assert after.status == 200, after
    assert after.json == before | changed(after.json)


def test_a_mask_of_an_account_is_taken_from_body_and_query(shop_up: Up, admin: Client) -> None:
    buyer = shop_up.buyer()
    assert buyer.patch("/me", {"full_name": "A", "update_mask": "full_name"}).json["full_name"] == "A"
    assert buyer.patch("/me", {"full_name": "B", "update_mask": "fullName"}).json["full_name"] == "B"
    assert buyer.patch("/me?update_mask=full_name", {}).json["full_name"] == ""
    assert buyer.patch("/me", {"full_name": "C", "update_mask": "*"}).json["full_name"] == "C"
    unknown = buyer.patch("/me?update_mask=email", {"full_name": "D"})
    assert (unknown.status, unknown.reason, unknown.metadata["path"]) == (400, "INVALID_FIELD", "email")
    user = admin.patch(f"/v1/users/{buyer.id}?update_mask=role", {"role": "ROLE_USER", "disabled": True}).json
    assert (user["full_name"], user["disabled"]) == ("C", False)


def test_a_category_is_replaced_by_put_and_changed_by_patch_if_it_has_the_etag(shop_up: Up, admin: Client) -> None:
    before = shop_up.category()
    path = f"/categories/{before['id']}"
    assert admin.put(path, {"etag": before["etag"]}).fields == ["category.name"]
    kept = admin.patch(path, {"etag": before["etag"]}).json
    assert kept == {**before, "etag": kept["etag"]}
    after = admin.put(path, {**kept, "name": uuid.uuid4().hex}).json
    assert after["create_time"] == before["create_time"]
    for stale in (admin.patch(path, {**kept, "name": "x"}), admin.put(path, {**kept, "name": "x"}), admin.delete(path, etag=kept["etag"])):
        assert (stale.status, stale.reason, stale.metadata["etag"]) == (409, "ETAG_MISMATCH", after["etag"])
    assert admin.delete(path, etag=after["etag"]).json == after


def test_an_address_is_kept_in_the_form_of_its_country_and_replaced_by_put(shop_up: Up) -> None:
    buyer = shop_up.buyer()
    typed = {"country_code": "gb", "recipient": "Jo", "street_lines": ["10 Downing St"], "city": "London", "postal_code": "sw1a2aa"}
    made = created(buyer.post("/v1/me/addresses", {"postal_address": typed}))
    assert (made["postal_address"]["postal_code"], made["is_default"]) == ("SW1A 2AA", True)
    assert set(made["postal_address"]) == {*typed, "company", "city_area", "region", "sorting_code", "phone", "vat_number"}
    path = f"/v1/me/addresses/{made['id']}"
    read = buyer.get(path)
    assert (read.json, read.headers["cache-control"]) == (made, "no-store")
    assert read.headers["etag"].startswith(f'"{made["etag"]}-')
    given_up = buyer.patch(path, {"is_default": False}).json
    assert given_up == {**made, "is_default": False} | changed(given_up)
    replaced = buyer.put(path, {"postal_address": {**typed, "company": "Doe Ltd"}, "etag": given_up["etag"]}).json
    assert (replaced["postal_address"]["company"], replaced["is_default"]) == ("Doe Ltd", False)
    stale = buyer.delete(path, etag=made["etag"])
    assert (stale.status, stale.reason, stale.metadata["etag"]) == (409, "ETAG_MISMATCH", replaced["etag"])
    condition = [("content-type", "application/json"), ("if-match", read.headers["etag"])]
    assert buyer.send("PATCH", path, b'{"is_default": true}', condition).status == 412
    assert buyer.get("/v1/me/addresses").json == {"addresses": [replaced], "next_page_token": ""}


def test_an_address_of_another_account_is_answered_like_an_absent_one(shop_up: Up) -> None:
    buyer, address_id, absent_id = shop_up.buyer(), shop_up.address(shop_up.buyer())["id"], str(uuid.uuid4())
    for verb, body in (("GET", None), ("PUT", draft_address()), ("PATCH", {"is_default": True}), ("DELETE", None)):
        foreign, absent = [buyer.send_json(verb, f"/v1/me/addresses/{each}", body) for each in (address_id, absent_id)]
        assert (foreign.status, foreign.reason) == (404, "ADDRESS_NOT_FOUND")
        assert foreign.body.replace(address_id.encode(), absent_id.encode()) == absent.body


def test_an_administrator_sees_deleted_products_and_no_cache_keeps_them(shop_up: Up, admin: Client) -> None:
    product = shop_up.product()
    assert admin.delete(f"/products/{product['id']}").status == 200
    for path in ("/products?only_deleted=true", f"/products/{product['id']}?show_deleted=true"):
        reply = admin.get(path)
        assert (reply.status, reply.headers["cache-control"], reply.headers["etag"]) == (200, "no-store", None)
        assert reply.json.get("products", [reply.json])[0]["id"] == product["id"]
        assert shop_up.anyone.get(path).status == 401
        refused = shop_up.buyer().get(path)
        assert (refused.status, refused.reason) == (403, "ADMIN_ONLY")


def changed(product: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a product that every change updates."""
    return {"etag": product["etag"], "update_time": product["update_time"]}


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_a_body_with_another_id_than_its_path_changes_neither(shop_up: Up, admin: Client, verb: str) -> None:
    one, other = shop_up.product(), shop_up.product()
    reply = admin.send_json(verb, f"/products/{one['id']}", {**draft(), "id": other["id"]})
    assert (reply.status, reply.reason, reply.fields) == (400, "INVALID_FIELD", ["product.id"])
    for product in (one, other):
        assert shop_up.anyone.get(f"/products/{product['id']}").json == product


@pytest.mark.parametrize(
    ("verb", "query", "body"),
    [
        pytest.param("PUT", "", {**draft(), "etag": "stale"}, id="put"),
        pytest.param("PATCH", "", {"name": "New", "etag": "stale"}, id="patch"),
        pytest.param("DELETE", "?etag=stale", None, id="delete"),
    ],
)
def test_a_change_of_something_newer_is_refused(shop_up: Up, admin: Client, verb: str, query: str, body: Any) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    reply = admin.send_json(verb, path + query, body)
    assert (reply.status, reply.reason) == (409, "ETAG_MISMATCH")
    assert reply.metadata["etag"] == product["etag"]
    assert shop_up.anyone.get(path).json == product


def test_stock_is_changed_by_a_difference_or_by_comparison(shop_up: Up, admin: Client) -> None:
    path = f"/products/{shop_up.product(stock=10)['id']}:adjustStock"
    assert admin.post(path, {"delta": -3, "reason": "broken"}).json["stock"] == 7
    assert admin.post(f"{path}?delta=1").json["stock"] == 8
    assert admin.post(path, {"compare_and_set": {"expected_stock": 8, "stock": 100}}).json["stock"] == 100
    stale = admin.post(path, {"compare_and_set": {"expected_stock": 8, "stock": 5}})
    assert (stale.status, stale.reason, stale.metadata["stock"]) == (409, "STOCK_CHANGED", "100")
    below_zero = admin.post(path, {"delta": -101})
    assert (below_zero.status, below_zero.reason) == (400, "OUT_OF_STOCK")


def test_a_deleted_product_is_gone_until_it_is_undeleted(shop_up: Up, admin: Client) -> None:
    product = shop_up.product()
    path = f"/products/{product['id']}"
    assert admin.delete(path).json["delete_time"]
    gone = shop_up.anyone.get(path)
    assert (gone.status, gone.reason) == (404, "PRODUCT_NOT_FOUND")
    back = admin.post(f"{path}:undelete").json
    assert back == product | changed(back)
    twice = admin.post(f"{path}:undelete")
    assert (twice.status, twice.reason) == (400, "PRODUCT_NOT_DELETED")


def test_several_products_come_in_the_order_asked_for(shop_up: Up, anyone: Client) -> None:
    one, two = shop_up.product()["id"], shop_up.product()["id"]
    reply = anyone.get("/products:batchGet", ids=[two, one, two])
    assert [product["id"] for product in reply.json["products"]] == [two, one, two]
    absent = anyone.get("/products:batchGet", ids=[one, str(uuid.uuid4())])
    assert (absent.status, absent.reason) == (404, "PRODUCT_NOT_FOUND")


def test_a_category_in_use_cannot_be_deleted(shop_up: Up, admin: Client) -> None:
    category = shop_up.category()
    product = shop_up.product(category_id=category["id"])
    path = f"/categories/{category['id']}"
    refused = admin.delete(path)
    assert (refused.status, refused.reason) == (400, "CATEGORY_IN_USE")
    admin.delete(f"/products/{product['id']}")
    assert admin.delete(path).json == category
    assert shop_up.anyone.get(path).reason == "CATEGORY_NOT_FOUND"


@dataclass(frozen=True)
class Shelf:
    """A new category with products: name, price, stock."""

    category_id: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
def shelf(shop_up: Up) -> Shelf:
    category_id = shop_up.category()["id"]
    products = [("Red ball", 500, 1), ("Blue ball", 1500, 0), ("Green hat", 1000, 5), ("Éclair", 1000, 2), ("Anvil", 99_999, 3)]
    made = [
        shop_up.product(name=name, minor_units=price, stock=stock, category_id=category_id, description="of the shelf")
        for name, price, stock in products
    ]
    return Shelf(category_id, {product["name"]: product["id"] for product in made})


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param({}, ["Anvil", "Éclair", "Green hat", "Blue ball", "Red ball"], id="newest first"),
        pytest.param({"order_by": "create_time"}, ["Red ball", "Blue ball", "Green hat", "Éclair", "Anvil"], id="oldest first"),
        pytest.param({"min_price": 1001, "order_by": "price desc"}, ["Anvil", "Blue ball"], id="dearest first"),
        pytest.param({"min_price": 1000, "max_price": 1500}, ["Éclair", "Green hat", "Blue ball"], id="between"),
        pytest.param({"min_price": 1501}, ["Anvil"], id="min_price"),
        pytest.param({"max_price": 500}, ["Red ball"], id="max_price"),
        pytest.param({"max_price": 0}, [], id="max_price 0 is a limit too"),
        pytest.param({"in_stock": True, "max_price": 1500}, ["Éclair", "Green hat", "Red ball"], id="in_stock"),
        pytest.param({"q": "ball", "order_by": "name"}, ["Blue ball", "Red ball"], id="q"),
        pytest.param({"q": "eclair"}, ["Éclair"], id="q without the accent"),
        pytest.param({"q": "green hats"}, ["Green hat"], id="q with another ending"),
        pytest.param({"skip": 3}, ["Blue ball", "Red ball"], id="skip"),
        pytest.param({"skip": 1, "page_size": 2}, ["Éclair", "Green hat"], id="skip with page_size"),
        pytest.param({"skip": 1000}, [], id="skip past the end"),
        pytest.param({"page_size": 1_000_000, "max_price": 500}, ["Red ball"], id="page_size is capped, not refused"),
    ],
)
def test_products_are_filtered_and_ordered(anyone: Client, shelf: Shelf, query: dict[str, Any], names: list[str]) -> None:
    reply = anyone.get("/products", category_id=shelf.category_id, **query)
    assert reply.status == 200, reply
    assert [product["name"] for product in reply.json["products"]] == names
    assert "total_size" not in reply.json


def test_products_are_counted_only_when_asked(anyone: Client, shelf: Shelf) -> None:
    reply = anyone.get("/products", category_id=shelf.category_id, page_size=2, include_total_size=True)
    assert reply.json["total_size"] == 5
    assert len(reply.json["products"]) == 2


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "query",
    [{}, {"order_by": "price"}, {"order_by": "price desc"}, {"order_by": "name desc"}, {"q": "shelf"}],
    ids=lambda query: "&".join(map(str, query.values())) or "default",
)
def test_a_walk_through_the_pages_sees_each_product_once(
    anyone: Client, shelf: Shelf, query: dict[str, str], size: int, slash: str
) -> None:
    seen: list[str] = []
    token = ""
    for _ in range(6):
        page = anyone.get(f"/products{slash}", category_id=shelf.category_id, page_size=size, page_token=token, **query).json
        assert len(page["products"]) <= size
        seen += [product["id"] for product in page["products"]]
        token = page["next_page_token"]
        if not token:
            break
    assert not token
    assert sorted(seen) == sorted(shelf.ids.values())


def test_a_cart_adds_sets_warns_and_empties(shop_up: Up, buyer: Client) -> None:
    product = shop_up.product(minor_units=250, stock=4)
    path = product["id"]
    assert lines(buyer.post(f"/cart/add/{path}")) == [(path, 1)]
    assert lines(buyer.post(f"/cart/add/{path}?quantity=2")) == [(path, 3)]
    more = buyer.post(f"/cart/add/{path}", {"quantity": 2})
    assert lines(more) == [(path, 5)]
    [line] = more.json["lines"]
    assert [(warning["code"], warning["available"]) for warning in line["warnings"]] == [("CART_WARNING_CODE_FEWER_LEFT", 4)]
    assert line["line_total"] == more.json["total"] == {"currency_code": "USD", "minor_units": "1250"}
    assert buyer.get("/cart").json == more.json
    assert lines(buyer.patch(f"/cart/items/{path}", {"quantity": 2})) == [(path, 2)]
    assert lines(buyer.delete(f"/cart/items/{path}")) == []
    assert lines(buyer.delete(f"/cart/items/{path}")) == []
    buyer.post(f"/cart/add/{path}")
    assert lines(buyer.patch(f"/cart/items/{path}", {"quantity": 0})) == []
    buyer.post(f"/cart/add/{path}")
    assert lines(buyer.delete("/cart")) == []


def lines(cart: Any) -> list[tuple[str, int]]:
    assert cart.status == 200, cart
    return [(line["product_id"], line["quantity"]) for line in cart.json["lines"]]


def test_checkout_takes_the_stock_keeps_the_price_and_empties_the_cart(shop_up: Up, admin: Client, buyer: Client) -> None:
    product = shop_up.product(name="Kite", minor_units=700, stock=5)
    buyer.post(f"/cart/add/{product['id']}?quantity=2")
    order = created(buyer.post("/orders/checkout"))
    assert order["status"] == "ORDER_STATUS_PLACED"
    assert order["account_id"] == buyer.id
    assert order["total"] == {"currency_code": "USD", "minor_units": "1400"}
    assert shop_up.stock(product["id"]) == 3
    assert buyer.get("/cart").json["lines"] == []
    admin.patch(f"/products/{product['id']}", {"name": "Drone", "price": {"minor_units": "9"}})
    [line] = buyer.get(f"/orders/{order['id']}").json["lines"]
    assert (line["product_name"], line["unit_price"]["minor_units"], line["quantity"]) == ("Kite", "700", 2)


def test_a_checkout_repeated_with_its_key_gives_the_first_answer(shop_up: Up, buyer: Client) -> None:
    product_id = shop_up.product(stock=5)["id"]
    key = [("Idempotency-Key", uuid.uuid4().hex)]
    buyer.post(f"/cart/add/{product_id}")
    first = buyer.post("/orders/checkout", headers=key)
    assert first.headers["idempotent-replayed"] is None
    buyer.post(f"/cart/add/{product_id}")
    again = buyer.post("/orders/checkout", headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body) == (first.status, first.body) == (201, again.body)
    other = buyer.post("/orders/checkout", {"expected_total": {"minor_units": "1"}}, headers=key)
    assert (other.status, other.reason) == (400, "IDEMPOTENCY_KEY_REUSED")
    assert shop_up.stock(product_id) == 4
    assert len(buyer.get("/orders/my").json["orders"]) == 1


def test_validate_only_says_what_would_be_and_changes_nothing(shop_up: Up, buyer: Client) -> None:
    product = shop_up.product(minor_units=700, stock=5)
    cart = buyer.post(f"/cart/add/{product['id']}").json
    order = buyer.post("/orders/checkout", {"validate_only": True}).json
    assert (order["id"], order["total"]["minor_units"]) == ("", "700")
    assert buyer.get("/cart").json == cart
    assert buyer.get("/orders/my").json["orders"] == []
    assert shop_up.stock(product["id"]) == 5


def test_a_checkout_buys_only_the_cart_that_was_seen(shop_up: Up, buyer: Client) -> None:
    product = shop_up.product(minor_units=700, stock=5)
    cart = buyer.post(f"/cart/add/{product['id']}").json
    other_total = buyer.post("/orders/checkout", {"expected_total": {"minor_units": "699"}})
    assert (other_total.status, other_total.reason) == (409, "TOTAL_CHANGED")
    assert other_total.metadata == {"expected_total": "699", "total": "700"}
    other_cart = buyer.post("/orders/checkout", {"cart_etag": "stale"})
    assert (other_cart.status, other_cart.reason) == (409, "ETAG_MISMATCH")
    assert buyer.get("/cart").json == cart
    assert shop_up.stock(product["id"]) == 5
    created(buyer.post("/orders/checkout", {"cart_etag": cart["etag"], "expected_total": cart["total"]}))


def test_a_checkout_beyond_the_stock_names_every_line_that_is_short(shop_up: Up, buyer: Client) -> None:
    short = [shop_up.product(stock=stock)["id"] for stock in (0, 1)]
    enough = shop_up.product(stock=9)["id"]
    for product_id in (*short, enough):
        buyer.post(f"/cart/add/{product_id}?quantity=2")
    reply = buyer.post("/orders/checkout")
    assert (reply.status, reply.reason) == (400, "OUT_OF_STOCK")
    [shortage] = reply.details("type.googleapis.com/mercato.v1.StockShortage")
    assert {line["product_id"]: (line["wanted"], line["available"]) for line in shortage["lines"]} == dict(
        zip(short, [(2, 0), (2, 1)], strict=True)
    )
    assert shop_up.stock(enough) == 9


def test_an_empty_cart_cannot_be_bought(buyer: Client) -> None:
    reply = buyer.post("/orders/checkout")
    assert (reply.status, reply.reason) == (400, "CART_EMPTY")


def test_a_cancelled_order_puts_its_units_back(shop_up: Up, buyer: Client) -> None:
    order = shop_up.order(buyer, stock=5)
    [line] = order["lines"]
    assert shop_up.stock(line["product_id"]) == 4
    cancelled = buyer.post(f"/orders/{order['id']}:cancel", {"reason": "too late"}).json
    assert cancelled["status"] == "ORDER_STATUS_CANCELLED"
    assert [(step["status"], step["actor"], step["reason"]) for step in cancelled["history"]] == [
        ("ORDER_STATUS_PLACED", "ORDER_ACTOR_BUYER", ""),
        ("ORDER_STATUS_CANCELLED", "ORDER_ACTOR_BUYER", "too late"),
    ]
    assert shop_up.stock(line["product_id"]) == 5
    twice = buyer.post(f"/orders/{order['id']}:cancel")
    assert (twice.status, twice.reason, twice.metadata["allowed"]) == (400, "ORDER_STATE", "")
    assert shop_up.stock(line["product_id"]) == 5


def test_an_order_advances_through_its_states(shop_up: Up, admin: Client, buyer: Client) -> None:
    path = f"/v1/orders/{shop_up.order(buyer)['id']}:advance"
    early = admin.post(path, {"status": "ORDER_STATUS_DELIVERED"})
    assert (early.status, early.reason, early.metadata["allowed"]) == (400, "ORDER_STATE", "PAID,CANCELLED")
    for status in ("PAID", "SHIPPED", "DELIVERED", "REFUNDED"):
        assert admin.post(path, {"status": f"ORDER_STATUS_{status}"}).json["status"] == f"ORDER_STATUS_{status}"


def test_anothers_order_answers_like_an_absent_one(shop_up: Up, admin: Client, buyer: Client) -> None:
    order_id, absent = shop_up.order(shop_up.buyer())["id"], str(uuid.uuid4())
    for verb, path in (("GET", "/orders/{}"), ("POST", "/orders/{}:cancel")):
        foreign, nowhere = (buyer.send_json(verb, path.format(target)) for target in (order_id, absent))
        assert (foreign.status, foreign.reason) == (404, "ORDER_NOT_FOUND")
        assert foreign.body.replace(order_id.encode(), b"") == nowhere.body.replace(absent.encode(), b"")
    assert admin.get(f"/orders/{order_id}").json["status"] == "ORDER_STATUS_PLACED"


def test_orders_are_listed_newest_first_in_pages_of_the_callers_own(shop_up: Up, buyer: Client) -> None:
    shop_up.order(shop_up.buyer())
    orders = [shop_up.order(buyer)["id"] for _ in range(3)]
    first = buyer.get("/orders/my", page_size=2).json
    second = buyer.get("/orders/my", page_size=2, page_token=first["next_page_token"]).json
    assert [order["id"] for order in first["orders"] + second["orders"]] == orders[::-1]
    assert second["next_page_token"] == ""
    buyer.post(f"/orders/{orders[1]}:cancel")
    cancelled = buyer.get("/orders/my", status="ORDER_STATUS_CANCELLED").json["orders"]
    assert [order["id"] for order in cancelled] == [orders[1]]


def test_an_administrator_lists_all_orders_by_account_and_status(shop_up: Up, admin: Client, buyer: Client) -> None:
    other = shop_up.order(shop_up.buyer())["id"]
    mine, paid = shop_up.order(buyer)["id"], shop_up.order(buyer)["id"]
    admin.post(f"/v1/orders/{paid}:advance", {"status": "ORDER_STATUS_PAID"})

    def listed(**query: Any) -> list[str]:
        return [order["id"] for order in admin.get("/v1/orders", **query).json["orders"]]

    assert listed(page_size=3) == [paid, mine, other]
    assert listed(account_id=buyer.id) == [paid, mine]
    assert listed(account_id=buyer.id, status="ORDER_STATUS_PLACED") == [mine]
    assert listed(account_id=buyer.id, status="order_status_paid") == [paid]
    assert listed(account_id=str(uuid.uuid4())) == []


def test_an_administrator_finds_orders_by_what_is_known_of_them(shop_up: Up, admin: Client, buyer: Client) -> None:
    first, second = shop_up.order(buyer), shop_up.order(buyer)

    def listed(**query: Any) -> list[str]:
        return [order["id"] for order in admin.get("/v1/orders", account_id=buyer.id, **query).json["orders"]]

    product, total = first["lines"][0]["product_id"], first["total"]["minor_units"]
    assert listed(number=first["number"].lower()) == [first["id"]]
    assert listed(contact_email=first["contact_email"].upper(), statuses=["ORDER_STATUS_PAID", "order_status_placed"]) == [
        second["id"],
        first["id"],
    ]
    assert listed(statuses="ORDER_STATUS_PAID") == []
    assert listed(product_id=product, min_total=total, max_total=total)[-1] == first["id"]
    assert listed(start_time=first["create_time"], end_time=second["create_time"]) == [first["id"]]
    assert admin.get("/v1/orders", end_time="now").status == 400


def test_the_notes_of_an_order_are_for_administrators(shop_up: Up, admin: Client, buyer: Client) -> None:
    path = f"/v1/orders/{shop_up.order(buyer)['id']}/notes"
    note = admin.post(path, {"text": "Wrap it."})
    assert (note.status, note.json["text"]) == (201, "Wrap it.")
    assert admin.get(path).json == {"notes": [note.json], "next_page_token": ""}
    assert (buyer.get(path).status, buyer.post(path, {"text": "x"}).status) == (403, 403)
