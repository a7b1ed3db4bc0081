"""Invalid REST requests, one per line, with the error that each must get."""

import json
from dataclasses import dataclass
from typing import Any

from support.mercato_up import PASSWORD, draft
from support.rest_client import search

JSON, FORM = ("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Bad:
    """An invalid request and its error."""

    name: str
    verb: str
    path: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    who: str = "anyone"
    status: int = 400
    reason: str = "INVALID_FIELD"
    fields: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.name[:80]


def bad_json(name: str, body: str | bytes, reason: str = "MALFORMED_REQUEST", **how: Any) -> Bad:
    """Return a signup with a body that claims to be JSON."""
    return Bad(name, "POST", "/signup", body if isinstance(body, bytes) else body.encode(), (JSON,), reason=reason, **how)


def bad_signup(name: str, /, *fields: str, reason: str = "INVALID_FIELD", **values: Any) -> Bad:
    """Return a signup that is valid except for these values."""
    body = json.dumps({"email": "new@example.com", "password": PASSWORD, **values})
    return bad_json(f"signup: {name}", body, reason, fields=fields or None)


def bad_quantity(value: str, in_body: str = "INVALID_FIELD") -> list[Bad]:
    """Return requests with a quantity in the body, in the query, and for an existing line."""
    body = b'{"quantity": %s}' % value.encode()
    how: dict[str, Any] = {"who": "buyer", "reason": in_body, "fields": ("quantity",) if in_body == "INVALID_FIELD" else None}
    line = Bad(f"line of {value}", "PATCH", "/cart/items/PRODUCT", body, (JSON,), **how)
    return [
        Bad(f"quantity {value}", "POST", "/cart/add/PRODUCT", body, (JSON,), **how),
        Bad(f"?quantity={value}", "POST", f"/cart/add/PRODUCT?quantity={value}", who="buyer", fields=("quantity",)),
        *([] if value == "0" else [line]),
    ]


def bad_product(name: str, /, *fields: str, reason: str = "INVALID_FIELD", **values: Any) -> Bad:
    """Return a product that is valid except for these values."""
    body = json.dumps({key: value for key, value in {**draft(), **values}.items() if value is not None}).encode()
    prefixed = tuple(f"product.{field}" for field in fields)
    return Bad(f"product: {name}", "POST", "/products", body, (JSON,), "admin", reason=reason, fields=prefixed or None)


def bad_promotion(name: str, /, *fields: str, status: int = 400, reason: str = "INVALID_FIELD", **values: Any) -> Bad:
    """Return a promotion that is valid except for these values."""
    valid = {"name": "Sale", "kind": "PROMOTION_KIND_PERCENT", "percent_ppm": 100_000}
    body = json.dumps({key: value for key, value in {**valid, **values}.items() if value is not None}).encode()
    prefixed = tuple(f"promotion.{field}" for field in fields)
    return Bad(f"promotion: {name}", "POST", "/v1/promotions", body, (JSON,), "admin", status, reason, prefixed)


def bad_query(path: str, /, *fields: str, reason: str = "INVALID_FIELD", who: str = "anyone", **query: Any) -> Bad:
    return Bad(f"GET {path}{search(query)}"[:80], "GET", path + search(query), who=who, reason=reason, fields=fields or None)


def bad_login(name: str, body: str | bytes, *fields: str, kind: tuple[str, str] = FORM, **how: Any) -> Bad:
    content = body if isinstance(body, bytes) else body.encode()
    return Bad(f"login: {name}", "POST", "/login", content, (kind,), fields=fields or None, **how)


def bad_tax_rate(name: str, field: str, /, **values: Any) -> Bad:
    """Return a tax rate that is valid except for these values."""
    rate = {"country_code": "DE", "name": "VAT", "rate_ppm": 190_000, **values}
    body = json.dumps({key: value for key, value in rate.items() if value is not None}).encode()
    return Bad(f"tax rate: {name}", "POST", "/v1/taxRates", body, (JSON,), "admin", fields=(f"tax_rate.{field}",))


def bad_id(verb: str, path: str, field: str, body: Any = None, who: str = "anyone") -> Bad:
    content = None if body is None else json.dumps(body).encode()
    return Bad(f"{verb} {path}", verb, path, content, (JSON,) if content else (), who, fields=(field,))


MALFORMED = "MALFORMED_REQUEST"
ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
LONG = "x" * 10_000
DEEP = 5_000

BAD = [
    # Paths and verbs.
    Bad("unknown path", "GET", "/no/such/thing", status=404, reason="ROUTE_NOT_FOUND"),
    Bad("path with escaped dots", "GET", "/products/%2e%2e/%2e%2e/etc/passwd", status=404, reason="ROUTE_NOT_FOUND"),
    Bad("gRPC path as JSON", "POST", "/mercato.v1.CatalogService/ListProducts", b"{}", (JSON,), status=404, reason="ROUTE_NOT_FOUND"),
    Bad("Envoy's admin page", "GET", "/config_dump", status=404, reason="ROUTE_NOT_FOUND"),
    Bad("wrong verb", "DELETE", "/orders/my", status=405, reason="METHOD_NOT_ALLOWED"),
    Bad("wrong verb with variable", "DELETE", "/orders/ORDER", status=405, reason="METHOD_NOT_ALLOWED"),
    Bad("GET of a POST", "GET", "/signup", status=405, reason="METHOD_NOT_ALLOWED"),
    Bad("no verb at all", "NONSENSE", "/products", status=405, reason="METHOD_NOT_ALLOWED"),
    Bad("%ff in a path", "GET", "/products/%ff", reason=MALFORMED),
    Bad("%00 in a path", "GET", "/products/%00", reason=MALFORMED),
    Bad("escaped slash", "GET", "/products/a%2fb", reason=MALFORMED),
    Bad("broken escape", "GET", "/products/%zz", fields=("product_id",)),
    Bad("unknown query parameter", "GET", "/products?colour=red", fields=("colour",)),
    Bad("unknown query parameter of a POST", "POST", "/cart/add/PRODUCT?price=0", who="buyer", fields=("price",)),
    # Bodies.
    bad_json("null", "null"),
    bad_json("array", "[]"),
    bad_json("string", '"text"'),
    bad_json("number", "1"),
    bad_json("no JSON", "{nope"),
    bad_json("half an object", '{"email": "new@example.com"'),
    bad_json("two objects", "{}{}"),
    bad_json("deep array", "[" * DEEP),
    bad_json("deep object", '{"a":' * DEEP + "1" + "}" * DEEP),
    bad_json("deep unknown field", '{"unknown":' + "[" * DEEP + "]" * DEEP + "}"),
    bad_json("bad UTF-8", b'{"email":"new@example.com","password":"securepass123","full_name":"\xff\xfe"}'),
    bad_json("overlong UTF-8", b'{"email":"new@example.com","password":"securepass123","full_name":"\xc0\xaf"}'),
    bad_json("70 KB", json.dumps({"full_name": "x" * 70_000}), "REQUEST_TOO_LARGE", status=413),
    bad_json("2 MB", json.dumps({"full_name": "x" * 2_000_000}), "REQUEST_TOO_LARGE", status=413),
    Bad("2 MB form", "POST", "/login", b"username=" + b"x" * 2_000_000, (FORM,), status=413, reason="REQUEST_TOO_LARGE"),
    Bad("text", "POST", "/signup", b"{}", (("content-type", "text/plain"),), status=415, reason="UNSUPPORTED_MEDIA_TYPE"),
    Bad("XML", "POST", "/login", b"<a/>", (("content-type", "application/xml"),), status=415, reason="UNSUPPORTED_MEDIA_TYPE"),
    Bad(
        "parts", "POST", "/login", b"-", (("content-type", "multipart/form-data; boundary=x"),), status=415, reason="UNSUPPORTED_MEDIA_TYPE"
    ),
    Bad("compressed", "POST", "/signup", b"{}", (JSON, ("content-encoding", "gzip")), status=415, reason="UNSUPPORTED_MEDIA_TYPE"),
    Bad("compressed form", "POST", "/login", b"x", (FORM, ("content-encoding", "br")), status=415, reason="UNSUPPORTED_MEDIA_TYPE"),
    bad_json("empty text", " "),
    bad_json("UTF-16", '{"email": "new@example.com"}'.encode("utf-16")),
    bad_json("two byte order marks", "\ufeff\ufeff{}"),
    bad_json("NaN", '{"email": NaN}'),
    bad_json("5,000 digits", '{"email": %s}' % ("1" * 5_000)),
    # Unknown fields and fields that are there twice.
    bad_signup("misspelt field", "fullname", fullname="Jo"),
    bad_signup("role of its own", "role", "id", role="ROLE_ADMIN", id="1"),
    bad_json("field twice", '{"email":"new@example.com","password":"x","password":"y"}', "INVALID_FIELD", fields=("password",)),
    bad_json("field by both names", '{"full_name":"Jo","fullName":"Di"}', "INVALID_FIELD", fields=("full_name",)),
    Bad("me: role", "PATCH", "/me", b'{"role":"ROLE_ADMIN"}', (JSON,), "buyer", fields=("role",)),
    Bad("checkout: misspelt", "POST", "/orders/checkout", b'{"validate_onyl":true}', (JSON,), "buyer", fields=("validate_onyl",)),
    Bad("checkout: misspelt parameter", "POST", "/orders/checkout?validate_onyl=true", who="buyer", fields=("validate_onyl",)),
    Bad("patch: misspelt", "PATCH", "/products/PRODUCT", b'{"nmae":"New"}', (JSON,), "admin", fields=("product.nmae",)),
    Bad(
        "put: misspelt",
        "PUT",
        "/products/PRODUCT",
        b'{"name":"New","price":{"amount":1}}',
        (JSON,),
        "admin",
        fields=("product.price.amount",),
    ),
    Bad("another id in the body", "PATCH", "/products/PRODUCT", b'{"id":"%s"}' % ABSENT.encode(), (JSON,), "admin", fields=("product.id",)),
    Bad("another id in the query", "PATCH", "/products/PRODUCT?product.id=1", b"{}", (JSON,), "admin", fields=("product.id",)),
    Bad("etag in the body of a DELETE", "DELETE", "/products/PRODUCT", b'{"etag":"x"}', (JSON,), "admin", fields=("body",)),
    Bad("the edge's field", "POST", "/cart/add/PRODUCT?http_body.data=e30", who="buyer", fields=("http_body.data",)),
    bad_query("/products", "page_sizes", page_sizes=""),
    Bad("parameter twice", "GET", "/products?page_size=1&page_size=2", fields=("page_size",)),
    Bad("parameter below a text", "GET", "/products?q.x=1", fields=("q.x",)),
    Bad("object as parameter", "POST", "/orders/checkout?expected_total=5", who="buyer", fields=("expected_total",)),
    # Headers.
    Bad("20 KB header", "GET", "/products", headers=(("x-long", "x" * 20_000),), status=431, reason="HEADERS_TOO_LARGE"),
    Bad("20 KB path", "GET", "/products/" + "x" * 20_000, status=431, reason="HEADERS_TOO_LARGE"),
    Bad("100 headers", "GET", "/products", headers=tuple((f"x-{n}", "x") for n in range(100)), status=431, reason="HEADERS_TOO_LARGE"),
    Bad("messages of an unknown coding", "GET", "/products", headers=(("grpc-encoding", "lzma"),), reason=MALFORMED),
    Bad("header with underscore", "GET", "/products", headers=(("x_underscore", "x"),), reason=MALFORMED),
    # Accounts.
    bad_signup("no e-mail", "email", email=""),
    bad_signup("no address", "email", email="nobody"),
    bad_signup("long address", "email", email="x" * 250 + "@example.com"),
    bad_signup("NUL in address", "email", email="new\0@example.com"),
    bad_signup("address of another kind", "email", email=5),
    bad_signup("address as object", "email", email={}),
    bad_signup("lone surrogate in address", "email", email="\ud800@example.com"),
    bad_signup("short password", "password", password="short"),
    bad_signup("common password", "password", password="password1"),
    bad_signup("long password", "password", password="x" * 1025),
    bad_signup("password as array", "password", password=[PASSWORD]),
    bad_signup("NUL in name", "full_name", full_name="a\0b"),
    bad_signup("long name", "full_name", full_name="x" * 201),
    bad_signup("lone surrogate in name", "full_name", full_name="\udfff"),
    bad_signup("everything", "email", "full_name", "password", email="x", full_name="x" * 201, password="x"),
    Bad("signup: nothing", "POST", "/signup", fields=("email", "password")),
    Bad("me: NUL in name", "PATCH", "/me", b'{"full_name":"\\u0000"}', (JSON,), "buyer", fields=("full_name",)),
    # Logins.
    bad_login("empty", "", "email", "password"),
    bad_login("no password", "username=jo@example.com", "password"),
    bad_login("no name", f"password={PASSWORD}", "email"),
    bad_login("JSON under the name of a form", '{"username":"jo@example.com"}', "email", "password"),
    bad_login("bad UTF-8, escaped", "username=%ff&password=%fe", "body"),
    bad_login("bad UTF-8", b"username=\xff&password=\xfe", "body"),
    bad_login("many fields", "x=1&" * 1000, "body"),
    bad_login("NUL in name", f"username=jo%00@example.com&password={PASSWORD}", "email"),
    bad_login("long name", f"username={LONG}&password={PASSWORD}", "email"),
    bad_login("long password", f"username=jo@example.com&password={LONG}", "password"),
    bad_login("JSON null", "null", "body", kind=JSON),
    bad_login("JSON array", "[]", "body", kind=JSON),
    bad_login("no JSON", "{", "body", kind=JSON),
    bad_login("deep JSON", "[" * DEEP, "body", kind=JSON),
    bad_login("numbers", '{"username":1,"password":2}', "username", "password", kind=JSON),
    bad_login("lone surrogate", '{"username":"\\ud800","password":"x"}', "username", kind=JSON),
    bad_login("misspelt field", '{"username":"jo@example.com","pasword":"x"}', "pasword", kind=JSON),
    bad_login("field twice", '{"username":"jo@example.com","password":"x","password":"y"}', "password", kind=JSON),
    bad_login("parameter twice", "username=jo@example.com&password=x&password=y", "password"),
    bad_login("unknown account", "username=absent@example.com&password=x", status=401, reason="INVALID_CREDENTIALS"),
    bad_login("wrong password", "username=admin@example.com&password=x", status=401, reason="INVALID_CREDENTIALS"),
    # Ids.
    bad_id("GET", "/products/not-a-uuid", "product_id"),
    bad_id("GET", "/products/a:b", "product_id"),
    bad_id("GET", "/products/0198c5f27a3e7c4d9b1e2f6a8d0c4b57", "product_id"),
    bad_id("GET", "/products/" + LONG, "product_id"),
    bad_id("PUT", "/products/1", "product.id", draft(), "admin"),
    bad_id("DELETE", "/products/1", "product_id", who="admin"),
    bad_id("POST", "/products/1:undelete", "product_id", who="admin"),
    bad_id("POST", "/products/1:adjustStock", "product_id", {"delta": 1}, "admin"),
    bad_id("GET", "/categories/1", "category_id"),
    bad_id("PUT", "/categories/1", "category.id", {"name": "New"}, "admin"),
    bad_id("PATCH", "/categories/1", "category.id", {"name": "New"}, "admin"),
    bad_id("DELETE", "/categories/1", "category_id", who="admin"),
    bad_id("POST", "/cart/add/1", "product_id", who="buyer"),
    bad_id("PATCH", "/cart/items/1", "product_id", {"quantity": 1}, "buyer"),
    bad_id("DELETE", "/cart/items/1", "product_id", who="buyer"),
    bad_id("GET", "/orders/1", "order_id", who="buyer"),
    bad_id("POST", "/orders/1:cancel", "order_id", who="buyer"),
    bad_id("POST", "/v1/orders/1:advance", "order_id", {"status": "ORDER_STATUS_PAID"}, "admin"),
    bad_id("GET", "/v1/orders/1/shipments", "order_id", who="buyer"),
    bad_id("POST", "/v1/orders/1/shipments", "order_id", {}, "admin"),
    bad_id("GET", "/v1/orders/ORDER/shipments/1", "shipment_id", who="buyer"),
    bad_id("POST", "/v1/orders/ORDER/shipments/1:ship", "shipment_id", {}, "admin"),
    bad_id("POST", "/v1/orders/ORDER/shipments/1:deliver", "shipment_id", {}, "admin"),
    bad_id("POST", "/v1/orders/ORDER/shipments/1:cancel", "shipment_id", {}, "admin"),
    bad_id("GET", "/v1/orders/1/returns", "order_id", who="buyer"),
    Bad("absent shipment", "GET", f"/v1/orders/ORDER/shipments/{ABSENT}", who="buyer", status=404, reason="SHIPMENT_NOT_FOUND"),
    Bad("shipment of an absent order", "GET", f"/v1/orders/{ABSENT}/shipments/{ABSENT}", who="buyer", status=404, reason="ORDER_NOT_FOUND"),
    Bad(
        "shipment of units that the order lacks",
        "POST",
        "/v1/orders/ORDER/shipments",
        f'{{"lines":[{{"product_id":"{ABSENT}","quantity":1}}]}}'.encode(),
        (JSON,),
        "admin",
        400,
        "UNITS_EXCEED",
    ),
    Bad(
        "cancelled units that the order lacks",
        "POST",
        "/v1/orders/ORDER:cancelItems",
        f'{{"lines":[{{"product_id":"{ABSENT}","quantity":1}}]}}'.encode(),
        (JSON,),
        "admin",
        400,
        "UNITS_EXCEED",
    ),
    Bad(
        "return of units that were not shipped",
        "POST",
        "/v1/orders/ORDER/returns",
        f'{{"lines":[{{"product_id":"{ABSENT}","quantity":1}}]}}'.encode(),
        (JSON,),
        "admin",
        400,
        "UNITS_EXCEED",
    ),
    Bad("return of nothing", "POST", "/v1/orders/ORDER/returns", b"{}", (JSON,), "admin", fields=("lines",)),
    Bad(
        "tracking by script",
        "POST",
        "/v1/orders/ORDER/shipments",
        b'{"tracking_url":"javascript:1"}',
        (JSON,),
        "admin",
        fields=("tracking_url",),
    ),
    Bad("shipment by a buyer", "POST", "/v1/orders/ORDER/shipments", b"{}", (JSON,), "buyer", 403, "ADMIN_ONLY"),
    bad_id("GET", "/v1/users/1", "user_id", who="admin"),
    bad_id("GET", "/v1/me/addresses/1", "address_id", who="buyer"),
    bad_id("DELETE", "/v1/me/addresses/1", "address_id", who="buyer"),
    bad_id("PATCH", "/v1/me/addresses/1", "address.id", {"is_default": True}, "buyer"),
    Bad("absent address", "GET", f"/v1/me/addresses/{ABSENT}", who="buyer", status=404, reason="ADDRESS_NOT_FOUND"),
    bad_id("PATCH", "/v1/users/1", "user_id", {"disabled": True}, "admin"),
    bad_id("GET", "/v1/taxRates/1", "tax_rate_id", who="admin"),
    bad_id("PATCH", "/v1/taxRates/1", "tax_rate.id", {"name": "VAT"}, "admin"),
    bad_id("POST", "/v1/taxRates/1:archive", "tax_rate_id", who="admin"),
    bad_id("GET", "/v1/taxCategories/Books", "tax_category_id", who="admin"),
    bad_id("PATCH", "/v1/taxCategories/Books", "tax_category.id", {"display_name": "Books"}, "admin"),
    bad_id("POST", "/v1/taxCategories/Books:archive", "tax_category_id", who="admin"),
    bad_id("POST", "/v1/taxCategories?tax_category_id=as-goods", "tax_category_id", {"display_name": "Books"}, "admin"),
    Bad("absent tax rate", "GET", f"/v1/taxRates/{ABSENT}", who="admin", status=404, reason="TAX_RATE_NOT_FOUND"),
    Bad("absent tax category", "GET", "/v1/taxCategories/absent", who="admin", status=404, reason="TAX_CATEGORY_NOT_FOUND"),
    Bad("absent user", "GET", f"/v1/users/{ABSENT}", who="admin", status=404, reason="USER_NOT_FOUND"),
    Bad("no role", "PATCH", f"/v1/users/{ABSENT}", b'{"role":"ROLE_UNSPECIFIED"}', (JSON,), "admin", fields=("role",)),
    Bad("absent product", "POST", f"/cart/add/{ABSENT}", who="buyer", status=404, reason="PRODUCT_NOT_FOUND"),
    # Quantities.
    *bad_quantity("0"),
    *bad_quantity("-1"),
    *bad_quantity("1001"),
    *bad_quantity("1.5"),
    *bad_quantity("2147483648"),
    *bad_quantity("99999999999999999999999"),
    *bad_quantity("true"),
    *bad_quantity("NaN", MALFORMED),
    Bad("line too large", "POST", "/cart/add/PRODUCT?quantity=998", who="buyer", reason="CART_LIMIT"),
    Bad("quantity twice", "POST", "/cart/add/PRODUCT?quantity=1", b'{"quantity":2}', (JSON,), "buyer", fields=("quantity",)),
    Bad("line without quantity", "PATCH", "/cart/items/PRODUCT", b"{}", (JSON,), "buyer", fields=("quantity",)),
    Bad("another product in the body", "POST", "/cart/add/PRODUCT", b'{"product_id":"1"}', (JSON,), "buyer", fields=("product_id",)),
    # Products.
    bad_product("no name", "name", name=""),
    bad_product("white space for a name", "name", name=" \t "),
    bad_product("long name", "name", name="x" * 201),
    bad_product("NUL in name", "name", name="a\0"),
    bad_product("lone surrogate", "description", description="\ud83d"),
    bad_product("no price", "price", price=None),
    *(
        Bad(f"{verb} {path}: {name}", verb, path, body % price, (JSON,), "admin", fields=(f"product.price.{field}",))
        for verb, path, body in (
            ("POST", "/products", b'{"name":"Ball","price":%s}'),
            ("PUT", "/products/PRODUCT", b'{"name":"Ball","price":%s}'),
            ("PATCH", "/products/PRODUCT", b'{"price":%s}'),
            ("PATCH", "/products/PRODUCT?update_mask=price", b'{"price":%s}'),
        )
        for name, price, field in (
            ("price without amount", b"{}", "minor_units"),
            ("price with only a currency", b'{"currency_code":"USD"}', "minor_units"),
            ("price of null", b'{"minor_units":null}', "minor_units"),
            ("price with another name", b'{"amount":1999}', "amount"),
        )
    ),
    Bad("masked price absent", "PATCH", "/products/PRODUCT?update_mask=price", b"{}", (JSON,), "admin", fields=("product.price",)),
    bad_product("negative price", "price.minor_units", price={"minor_units": "-1"}),
    bad_product("huge price", "price.minor_units", price={"minor_units": "1000000000001"}),
    bad_product("price beyond int64", "price.minor_units", price={"minor_units": "9223372036854775808"}),
    bad_product("price with a fraction", "price.minor_units", price={"minor_units": 1.5}),
    bad_product("price as number", "price", price=5),
    bad_product("other currency", "price.currency_code", price={"currency_code": "EUR", "minor_units": "1"}),
    bad_product("negative stock", "stock", stock=-1),
    bad_product("huge stock", "stock", stock=1_000_000_001),
    bad_product("no category", "category_id", category_id="1"),
    bad_product("no time", "create_time", create_time="yesterday"),
    bad_product("script for an image", "image_urls[0]", image_urls=["javascript:alert(1)"]),
    bad_product("images of another kind", "image_urls", image_urls={}),
    bad_product(
        "everything",
        *("name", "price.currency_code", "price.minor_units", "description", "category_id", "sku", "stock", "image_urls[0]"),
        name="",
        price={"currency_code": "EUR", "minor_units": "-1"},
        description="x" * 10_001,
        category_id="1",
        sku="x" * 65,
        stock=-1,
        image_urls=["ftp://example.com"],
    ),
    Bad("product: nothing", "POST", "/products", who="admin", fields=("product.name", "product.price")),
    Bad("unknown field in mask", "PATCH", "/products/PRODUCT?update_mask=id", b'{"name":"New"}', (JSON,), "admin", fields=("update_mask",)),
    Bad("masked stock absent", "PATCH", "/products/PRODUCT?update_mask=stock", b"{}", (JSON,), "admin", fields=("product.stock",)),
    *(
        Bad(
            f"stock set {body!r}",
            "POST",
            "/products/PRODUCT:adjustStock",
            b'{"compare_and_set":%s}' % body,
            (JSON,),
            "admin",
            fields=fields,
        )
        for body, fields in (
            (b"{}", ("compare_and_set.expected_stock", "compare_and_set.stock")),
            (b'{"expected_stock":100}', ("compare_and_set.stock",)),
            (b'{"stock":0}', ("compare_and_set.expected_stock",)),
            (b'{"expected_stock":100,"stok":1}', ("compare_and_set.stok",)),
        )
    ),
    Bad("no change of stock", "POST", "/products/PRODUCT:adjustStock", who="admin", fields=("delta",)),
    Bad("stock beyond int32", "POST", "/products/PRODUCT:adjustStock", b'{"delta":2147483648}', (JSON,), "admin", fields=("delta",)),
    Bad("stock below zero", "POST", "/products/PRODUCT:adjustStock", b'{"delta":-101}', (JSON,), "admin", reason="OUT_OF_STOCK"),
    Bad("stock too large", "POST", "/products/PRODUCT:adjustStock", b'{"delta":1000000000}', (JSON,), "admin", reason="STOCK_LIMIT"),
    Bad(
        "both changes of stock",
        *("POST", "/products/PRODUCT:adjustStock", b'{"delta":1,"compare_and_set":{"expected_stock":100,"stock":1}}', (JSON,), "admin"),
        fields=("compare_and_set",),
    ),
    Bad("category without name", "POST", "/categories", b"{}", (JSON,), "admin", fields=("category.name",)),
    # Taxes.
    bad_tax_rate("no country", "country_code", country_code="EU"),
    bad_tax_rate("120 %", "rate_ppm", rate_ppm=1_200_000),
    bad_tax_rate("-1 %", "rate_ppm", rate_ppm=-10_000),
    bad_tax_rate("no percentage", "rate_ppm", rate_ppm=None),
    bad_tax_rate("percentage with a fraction", "rate_ppm", rate_ppm=0.5),
    bad_tax_rate("time without an offset", "valid_from", valid_from="2027-01-01T00:00:00"),
    bad_tax_rate("day", "valid_from", valid_from="2027-01-01"),
    bad_tax_rate("time long ago", "valid_from", valid_from="0001-01-01T00:00:00Z"),
    bad_tax_rate("time far ahead", "valid_until", valid_until="9999-12-31T23:59:59Z"),
    bad_tax_rate("end before the beginning", "valid_until", valid_from="2027-01-01T00:00:00Z", valid_until="2027-01-01T00:00:00+01:00"),
    bad_tax_rate("part without a name", "parts[0].name", parts=[{"ppm": 190_000}]),
    bad_tax_rate("parts of another sum", "parts", parts=[{"name": "State", "ppm": 1}]),
    Bad("tax rate: nothing", "POST", "/v1/taxRates", who="admin", fields=("tax_rate.rate_ppm", "tax_rate.name", "tax_rate.country_code")),
    Bad("country of the shop", "PATCH", "/v1/shop", b'{"country_code":"XX"}', (JSON,), "admin", fields=("shop.country_code",)),
    Bad("time zone of the shop", "PATCH", "/v1/shop", b'{"time_zone":"Mars"}', (JSON,), "admin", fields=("shop.time_zone",)),
    # Lists.
    bad_query("/v1/taxRates", "page_size", page_size=-1, who="admin"),
    bad_query("/v1/taxRates", "country_code", country_code="EU", who="admin"),
    bad_query("/v1/taxCategories", "page_size", page_size=-1, who="admin"),
    bad_query("/products", "page_size", page_size=-1),
    bad_query("/categories", "page_size", page_size=-1),
    bad_query("/orders/my", "page_size", page_size=-1, who="buyer"),
    bad_query("/v1/orders", "page_size", page_size=-1, who="admin"),
    bad_query("/v1/users", "page_size", page_size=-1, who="admin"),
    bad_query("/v1/users", "q", q="x" * 201, who="admin"),
    bad_query("/v1/users", "disabled", disabled="perhaps", who="admin"),
    bad_query("/v1/auditLog", "page_size", page_size=-1, who="admin"),
    bad_query("/v1/auditLog", "actor_id", "subject_id", actor_id="1", subject_id="1", who="admin"),
    bad_query("/v1/auditLog", "action", action="x" * 101, who="admin"),
    bad_query("/products", "page_size", page_size="many"),
    bad_query("/products", "page_size", page_size=2**31),
    bad_query("/products", "skip", skip=-1),
    bad_query("/products", "skip", skip=1001),
    bad_query("/products", "category_id", category_id="1"),
    bad_query("/products", "q", q="x" * 201),
    bad_query("/products", "q", q="\0"),
    Bad("%ff in a query", "GET", "/products?q=%ff"),
    bad_query("/products", "order_by", order_by="stock"),
    bad_query("/products", "order_by", order_by="price; DROP TABLE products"),
    bad_query("/products", "min_price", min_price=-1),
    bad_query("/products", "min_price", min_price="cheap"),
    bad_query("/products", "in_stock", in_stock="maybe"),
    bad_query(
        "/products", "category_id", "q", "order_by", "page_size", "skip", category_id="1", q="\0", order_by="x", page_size=-1, skip=-1
    ),
    bad_query("/v1/orders", "account_id", "page_size", who="admin", account_id="1", page_size=-1),
    bad_query("/orders/my", "status", who="buyer", status=99),
    bad_query("/orders/my", "status", who="buyer", status="ORDER_STATUS_LOST"),
    bad_query("/products:batchGet", "ids"),
    bad_query("/products:batchGet", "ids[0]", "ids[1]", ids=["1", "2"]),
    bad_query("/products:batchGet", "ids", ids=[ABSENT] * 101),
    # Orders.
    Bad("other currency", "POST", "/orders/checkout", b'{"expected_total":{"currency_code":"EUR","minor_units":1}}', (JSON,), "buyer"),
    Bad("total of another kind", "POST", "/orders/checkout", b'{"expected_total":1}', (JSON,), "buyer", fields=("expected_total",)),
    *(
        Bad(
            f"total {total!r}",
            "POST",
            "/orders/checkout",
            b'{"expected_total":%s}' % total,
            (JSON,),
            "buyer",
            fields=(f"expected_total.{field}",),
        )
        for total, field in ((b"{}", "minor_units"), (b'{"currency_code":"USD"}', "minor_units"), (b'{"amount":5}', "amount"))
    ),
    Bad(
        "other total",
        "POST",
        "/orders/checkout",
        b'{"expected_total":{"minor_units":"0"}}',
        (JSON,),
        "buyer",
        status=409,
        reason="TOTAL_CHANGED",
    ),
    Bad("other cart", "POST", "/orders/checkout", b'{"cart_etag":"x"}', (JSON,), "buyer", status=409, reason="ETAG_MISMATCH"),
    Bad("empty key", "POST", "/orders/checkout", headers=(("idempotency-key", ""),), who="buyer", fields=("idempotency-key",)),
    Bad("key with a space", "POST", "/orders/checkout", headers=(("idempotency-key", "a b"),), who="buyer", fields=("idempotency-key",)),
    Bad(
        "two keys",
        "POST",
        "/orders/checkout",
        headers=(("idempotency-key", "a"), ("idempotency-key", "b")),
        who="buyer",
        fields=("idempotency-key",),
    ),
    Bad("long key", "POST", "/orders/checkout", headers=(("idempotency-key", "x" * 256),), who="buyer", fields=("idempotency-key",)),
    Bad("unknown status", "POST", "/v1/orders/ORDER:advance", b'{"status":"LOST"}', (JSON,), "admin", fields=("status",)),
    Bad("status of a later release", "POST", "/v1/orders/ORDER:advance", b'{"status":99}', (JSON,), "admin", fields=("status",)),
    Bad(
        "no status, long reason",
        "POST",
        "/v1/orders/ORDER:advance",
        b'{"reason":"%s"}' % (b"x" * 501),
        (JSON,),
        "admin",
        fields=("reason", "status"),
    ),
    Bad("skipped status", "POST", "/v1/orders/ORDER:advance", b'{"status":"ORDER_STATUS_SHIPPED"}', (JSON,), "admin", reason="ORDER_STATE"),
    Bad("long reason", "POST", "/orders/ORDER:cancel", b'{"reason":"%s"}' % (b"x" * 501), (JSON,), "buyer", fields=("reason",)),
    # Promotions.
    bad_id("GET", "/v1/promotions/1", "promotion_id", who="admin"),
    bad_id("PATCH", "/v1/promotions/1", "promotion.id", {"name": "New"}, "admin"),
    bad_id("POST", "/v1/promotions/1:archive", "promotion_id", who="admin"),
    bad_id("POST", "/v1/promotions/1:generateCodes", "promotion_id", {"count": 1}, "admin"),
    bad_id("GET", "/v1/promotions/1/codes", "promotion_id", who="admin"),
    bad_id("POST", "/v1/promotions/1/codes", "promotion_id", {"code": "SUMMER"}, "admin"),
    bad_id("POST", "/v1/promotions/1/codes/SUMMER:archive", "promotion_id", who="admin"),
    Bad("absent promotion", "GET", f"/v1/promotions/{ABSENT}", who="admin", status=404, reason="PROMOTION_NOT_FOUND"),
    Bad(
        "absent code",
        "POST",
        f"/v1/promotions/{ABSENT}/codes/SUMMER:archive",
        who="admin",
        status=404,
        reason="PROMOTION_CODE_NOT_FOUND",
    ),
    Bad("code with a space", "POST", f"/v1/promotions/{ABSENT}/codes/a%20b:archive", who="admin", fields=("code",)),
    bad_query("/v1/promotions", "page_size", page_size=-1, who="admin"),
    bad_query(f"/v1/promotions/{ABSENT}/codes", "page_size", "batch_id", page_size=-1, batch_id="1", who="admin"),
    bad_promotion("nothing", "name", "kind", name=None, kind=None, percent_ppm=None),
    bad_promotion("120 %", "percent_ppm", percent_ppm=1_200_000),
    bad_promotion("no percentage", "percent_ppm", percent_ppm=None),
    bad_promotion("another kind's field", "amount", amount={"minor_units": "1"}),
    bad_promotion("unknown kind", "kind", kind="PROMOTION_KIND_LOTTERY"),
    bad_promotion("no time", "start_time", start_time="tomorrow"),
    bad_promotion("no window", "end_time", start_time="2026-01-01T00:00:00Z", end_time="2026-01-01T01:00:00+01:00"),
    bad_promotion("absent product", "product_ids[0]", status=404, reason="PRODUCT_NOT_FOUND", product_ids=[ABSENT]),
    bad_promotion("absent category", "category_ids[0]", status=404, reason="CATEGORY_NOT_FOUND", category_ids=[ABSENT]),
    bad_promotion("unknown field", "colour", colour="red"),
]
