"""Bodies and queries over REST: the largest products, spellings of JSON, and empty parameters."""

import json
from typing import Any

import pytest

from support.mercato_up import PASSWORD, Up, draft
from support.rest_client import Client, search

JSON = ("content-type", "application/json")
LONGEST = ("grpc-timeout", "5S")
"""The longest deadline that the edge allows a read, for answers of megabytes."""
KIB = 1024


def longest(character: str) -> dict[str, Any]:
    """Return the longest product whose texts repeat a character."""
    url = "https://images.example.com/"
    return draft(
        name=character * 200,
        description=character * 10_000,
        image_urls=[url + character * ((2_000 - len(url)) // len(character.encode()))] * 20,
    )


def escaped(value: object) -> str:
    """Return JSON in its longest spelling: every character of a text is an escape."""
    match value:
        case str():
            units = value.encode("utf-16-be").hex()
            return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'
        case list():
            return f"[{','.join(map(escaped, value))}]"
        case dict():
            return f"{{{','.join(f'{escaped(name)}:{escaped(each)}' for name, each in value.items())}}}"
        case _:
            return json.dumps(value)


@pytest.mark.parametrize("character", ["x", "é", "手", "\U0001f6d2", '"', "\\", "<"], ids=lambda character: f"U+{ord(character):X}")
def test_the_longest_product_is_created_read_listed_changed_and_bought_over_rest(shop_up: Up, admin: Client, character: str) -> None:
    html = character.replace("<", "x")  # 50,000 signs `<` have more tags than are parsed
    product = {**longest(character), "description_html": f"<p>{html * (50_000 - len('<p></p>'))}</p>"}
    if character in '"\\<':
        product["image_urls"] = longest("x")["image_urls"]
    sent = escaped(product)
    assert len(sent) < 1_024 * KIB
    created = admin.send("POST", "/products", sent.encode(), [JSON])
    assert created.status == 201, created
    made = created.json
    assert {name: made[name] for name in ("name", "description", "description_html", "image_urls")} == {
        name: product[name] for name in ("name", "description", "description_html", "image_urls")
    }
    path = f"/products/{made['id']}"
    assert shop_up.anyone.get(path).json == made
    assert made in shop_up.anyone.get("/products", page_size=1).json["products"]
    assert shop_up.anyone.get("/products:batchGet", ids=[made["id"]] * 14).json["products"] == [made] * 14
    assert admin.put(path, made).status == 200
    buyer = shop_up.buyer()
    assert buyer.post(f"/cart/add/{made['id']}").json["lines"][0]["name"] == made["name"]
    assert buyer.post("/orders/checkout").status == 201
    assert admin.delete(path).status == 200


def test_pages_of_the_longest_products_are_walked_over_rest(shop_up: Up, admin: Client) -> None:
    category = shop_up.category()["id"]
    made = [admin.post("/products", {**longest("<"), "image_urls": [], "category_id": category}).json["id"] for _ in range(120)]
    found: list[str] = []
    token = ""
    while True:
        query = search({"page_size": 100, "page_token": token, "category_id": category})
        page = shop_up.anyone.send("GET", f"/products{query}", headers=[LONGEST]).json
        found += [product["id"] for product in page["products"]]
        if not (token := page["next_page_token"]):
            break
        assert page["products"]
    assert sorted(found) == sorted(made)
    assert len(found) == len(set(found))
    too_many = shop_up.anyone.send("GET", f"/products:batchGet{search({'ids': made[:100]})}", headers=[LONGEST])
    assert too_many.status == 200
    for product_id in made:
        assert admin.delete(f"/products/{product_id}").status == 200


def test_a_request_of_exactly_the_limit_passes_the_edge(anyone: Client) -> None:
    body = json.dumps({"email": "x", "password": PASSWORD}).encode()
    passed, refused = (anyone.send("POST", "/signup", body.ljust(length), [JSON]) for length in (64 * KIB, 64 * KIB + 1))
    assert (passed.status, passed.reason) == (400, "INVALID_FIELD")
    assert (refused.status, refused.reason) == (413, "REQUEST_TOO_LARGE")
    assert "65536 bytes" in refused.json["message"]
    slash = anyone.send("POST", "/v1/auth:login/", body.ljust(64 * KIB + 1), [JSON])
    assert (slash.status, slash.reason) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused_whether_its_length_is_known_or_not(anyone: Client, chunked: bool) -> None:  # noqa: FBT001
    content = b'{"name":"' + b"x" * 1024 * KIB + b'"}'
    framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n%s"
    head = b"PATCH /products/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    reply = anyone.raw(head + framing % (len(content), content))
    assert (reply.status, reply.reason) == (413, "REQUEST_TOO_LARGE")
    assert "1048576 bytes" in reply.json["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/auth:login", b'\xef\xbb\xbf{"email": "%s", "password": "%s"}', id="byte order mark"),
        pytest.param("/login", b'\xef\xbb\xbf{"email": "%s", "password": "%s"}', id="byte order mark, login"),
        pytest.param("/v1/auth:login", b' {\n"email" :\t"%s", "password": "%s"\r\n} ', id="white space"),
        pytest.param("/login", b'{"grant_type": "password", "username": "%s", "password": "%s"}', id="grant type"),
    ],
)
def test_json_may_be_spelled_in_every_usual_way(buyer: Client, path: str, body: bytes) -> None:
    reply = buyer.anonymous().send("POST", path, body % (buyer.email.encode(), PASSWORD.encode()), [JSON])
    assert reply.status == 200, reply


def test_an_encoded_body_is_refused_with_the_coding_that_is_taken(anyone: Client) -> None:
    reply = anyone.send("POST", "/signup", b"\x1f\x8b", [JSON, ("content-encoding", "gzip")])
    assert (reply.status, reply.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert reply.headers["accept-encoding"] == "identity"
    assert "content-encoding" in reply.json["message"]
    assert anyone.send("POST", "/signup", b"{}", [JSON, ("content-encoding", "identity")]).status == 400
    assert anyone.send("GET", "/products", headers=[("content-encoding", "gzip")]).status == 200


def test_empty_parameters_are_absent(shop_up: Up, anyone: Client, buyer: Client) -> None:
    product = shop_up.product()
    query = "page_size=&page_token=&skip=&category_id=&q=&min_price=&max_price=&in_stock=&order_by=&include_total_size="
    assert anyone.send("GET", f"/products?{query}").json == anyone.get("/products").json
    assert anyone.send("GET", "/products?").json == anyone.get("/products").json
    assert buyer.send("GET", "/orders/my?status=&page_size=").json == buyer.get("/orders/my").json
    assert shop_up.admin.send("GET", "/v1/users?disabled=&role=&page_size=1").status == 200
    assert buyer.post(f"/cart/add/{product['id']}?quantity=").json["lines"][0]["quantity"] == 1
    assert buyer.post("/orders/checkout?expected_total.minor_units=&cart_etag=&validate_only=true").json["id"] == ""


@pytest.mark.parametrize("name", ["product_id", "productId", "product%5Fid", "path_product_id", "path%5Fproduct_id", "pathProductId"])
def test_a_query_never_replaces_a_variable_of_the_path(shop_up: Up, admin: Client, buyer: Client, name: str) -> None:
    one, other = shop_up.product(), shop_up.product()
    calls = [
        (buyer, "GET", "/products/{}", b""),
        (buyer, "POST", "/cart/add/{}", b"{}"),
        (admin, "POST", "/products/{}:adjustStock", b'{"delta": 1}'),
        (admin, "DELETE", "/products/{}", b""),
    ]
    for client, verb, path, body in calls:
        reply = client.send(verb, f"{path.format(one['id'])}?{name}={other['id']}", body, [JSON])
        assert (reply.status, reply.reason) == (400, "INVALID_FIELD"), reply
        assert shop_up.anyone.get(f"/products/{one['id']}").json == one
        assert shop_up.anyone.get(f"/products/{other['id']}").json == other
    if not name.startswith("path"):
        assert buyer.send("GET", f"/products/{one['id']}?{name}={one['id']}").json == one


@pytest.mark.parametrize("name", ["form.data", "form.content_type", "form.contentType"])
def test_a_query_never_replaces_the_body_of_a_login(buyer: Client, name: str) -> None:
    body = json.dumps({"username": buyer.email, "password": PASSWORD}).encode()
    reply = buyer.anonymous().send("POST", f"/login?{name}=e30%3D", body, [JSON])
    assert (reply.status, reply.reason, len(reply.fields)) == (400, "INVALID_FIELD", 1)
    assert reply.fields[0].startswith("form.")


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_a_path_that_is_not_utf_8_is_named(admin: Client, verb: str) -> None:
    reply = admin.send(verb, "/products/%ff", b"{}", [JSON])
    assert (reply.status, reply.reason) == (400, "MALFORMED_REQUEST")
    assert "path" in reply.json["message"]


@pytest.mark.parametrize("name", ["product.id", "product%2Eid", "product.path_id"])
def test_a_query_never_replaces_a_nested_variable_of_the_path(shop_up: Up, admin: Client, name: str) -> None:
    one, other = shop_up.product(), shop_up.product()
    for verb in ("PUT", "PATCH"):
        reply = admin.send(verb, f"/products/{one['id']}?{name}={other['id']}", json.dumps(one).encode(), [JSON])
        assert (reply.status, reply.reason) == (400, "INVALID_FIELD"), reply
    assert shop_up.anyone.get(f"/products/{other['id']}").json == other


def test_a_query_may_have_the_names_of_lower_camel_case_and_be_longer_than_those_that_are_remembered(anyone: Client) -> None:
    assert len(anyone.send("GET", "/products?pageSize=1").json["products"]) == 1
    assert len(anyone.send("GET", f"/products?pageSize=1&q={'&q=' * 200}").json["products"]) == 1
    for _ in range(2):
        assert anyone.send("GET", f"/products?page_size={'0' * 300}1").fields == ["page_size"]
        assert anyone.send("GET", "/products?page_size=abc").fields == ["page_size"]


def test_a_delete_takes_no_body_but_an_empty_one(shop_up: Up, buyer: Client) -> None:
    product = shop_up.product()
    for body, status in ((b'{"etag":"stale"}', 400), (b"{nope", 400), (b"{}", 200)):
        reply = shop_up.admin.send("DELETE", f"/products/{product['id']}", body, [JSON])
        assert reply.status == status, reply
    assert buyer.send("DELETE", "/cart", b"", [JSON]).status == 200
