"""Every example of the OpenAPI document succeeds in the demo shop."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mercato_server import demo
from mercato_server.edge.answers import ANSWERS
from mercato_server.edge.examples import EXAMPLES, PARAMETERS
from mercato_server.security.order_links import OrderLinks
from support.example_payments import an_event
from support.mercato_up import Up, created, running_demo
from support.rest_client import Client, Reply, search
from support.stripe_double.webhooks import signature
from support.stripe_thread import WEBHOOK_SECRET, played_stripe

STORY = """
GET /livez, GET /readyz, GET /.well-known/jwks.json
POST /signup, POST /login, POST /v1/auth:login, POST /v1/auth:refresh, POST /v1/auth:guest
GET /products, GET /products/{product_id}, GET /products:batchGet, GET /categories, GET /categories/{category_id}
GET /v1/slugs/{kind}/{slug}
GET /cart, POST /cart/add/{product_id}, PATCH /cart/items/{product_id}
GET /v1/cart, PATCH /v1/cart, GET /v1/cart/shippingOptions, POST /v1/cart:quote, POST /orders/checkout
DELETE /cart/items/{product_id}, DELETE /cart
GET /orders/my, GET /orders/{order_id}, GET /v1/orders/{order_id}:linked, POST /orders/{order_id}:cancel
POST /v1/me/addresses, GET /v1/me/addresses, GET /v1/me/addresses/{address_id}
PUT /v1/me/addresses/{address_id}, PATCH /v1/me/addresses/{address_id}, DELETE /v1/me/addresses/{address_id}
GET /me, PATCH /me, GET /me/sessions, DELETE /me/sessions/{session_id}, POST /me:requestEmailVerification, POST /v1/auth:verifyEmail
GET /admin-only, GET /v1/users, GET /v1/users/{user_id}, PATCH /v1/users/{user_id}
POST /products, PUT /products/{product_id}, PATCH /products/{product_id}, POST /products/{product_id}:adjustStock
DELETE /products/{product_id}, POST /products/{product_id}:undelete
POST /v1/pictures:createUpload, PUT /v1/pictureUploads/{upload_id}/content, GET /v1/pictureUploads/{upload_id}
POST /v1/pictureUploads/{upload_id}:complete
PUT /products/{product_id}/pictures, GET /pictures/{name}
POST /v1/productGroups, GET /v1/productGroups, GET /v1/productGroups/{group_id}, PATCH /v1/productGroups/{group_id}
POST /v1/productGroups:upsert, DELETE /v1/productGroups/{group_id}
POST /categories, PUT /categories/{category_id}, PATCH /categories/{category_id}, DELETE /categories/{category_id}
GET /v1/shop, PATCH /v1/shop
POST /v1/taxCategories, GET /v1/taxCategories, GET /v1/taxCategories/{tax_category_id}, PATCH /v1/taxCategories/{tax_category_id}
POST /v1/taxRates, GET /v1/taxRates, GET /v1/taxRates/{tax_rate_id}, PATCH /v1/taxRates/{tax_rate_id}
POST /v1/taxRates/{tax_rate_id}:archive, POST /v1/taxCategories/{tax_category_id}:archive
POST /v1/orders/{order_id}/payments, GET /v1/orders/{order_id}/payments, GET /v1/orders/{order_id}/payments/{payment_id}
POST /v1/orders/{order_id}/payments/{payment_id}:capture, POST /v1/orders/{order_id}/payments/{payment_id}:cancel
POST /v1/orders/{order_id}/refunds, GET /v1/orders/{order_id}/refunds
GET /v1/payments, GET /v1/refunds, GET /v1/disputes, GET /v1/paymentRequests, GET /v1/paymentEvents
POST /v1/paymentEvents/{payment_event_id}:resolve, POST /webhooks/payments/{provider}
GET /v1/orders, POST /v1/orders/{order_id}/notes, GET /v1/orders/{order_id}/notes, POST /v1/orders/{order_id}:advance, GET /v1/auditLog
POST /v1/orders/{order_id}/shipments, GET /v1/orders/{order_id}/shipments, GET /v1/orders/{order_id}/shipments/{shipment_id}
POST /v1/orders/{order_id}/shipments/{shipment_id}:cancel, POST /v1/orders/{order_id}/shipments/{shipment_id}:ship
POST /v1/orders/{order_id}/shipments/{shipment_id}:deliver, POST /v1/orders/{order_id}/returns, GET /v1/orders/{order_id}/returns
POST /v1/orders/{order_id}:cancelItems
POST /v1/shippingZones, GET /v1/shippingZones, GET /v1/shippingZones/{shipping_zone_id}, PATCH /v1/shippingZones/{shipping_zone_id}
POST /v1/shippingMethods, GET /v1/shippingMethods, GET /v1/shippingMethods/{shipping_method_id}
PATCH /v1/shippingMethods/{shipping_method_id}, POST /v1/shippingMethods/{shipping_method_id}:archive
POST /v1/shippingZones/{shipping_zone_id}:archive
POST /v1/promotions, GET /v1/promotions, GET /v1/promotions/{promotion_id}, PATCH /v1/promotions/{promotion_id}
POST /v1/promotions/{promotion_id}/codes, POST /v1/promotions/{promotion_id}:generateCodes, GET /v1/promotions/{promotion_id}/codes
POST /v1/promotions/{promotion_id}/codes/{code}:archive, POST /v1/promotions/{promotion_id}:archive
POST /logout, POST /v1/auth:logoutAll, POST /me:changePassword, POST /v1/auth:requestPasswordReset, POST /v1/auth:resetPassword
POST /me:export, POST /me:delete
"""
"""Every operation, in an order in which each finds what it needs."""


@pytest.fixture(scope="module")
def demo_up() -> Iterator[Up]:
    """`mercato up` with the demo shop, which takes payments at a double of Stripe."""
    with played_stripe() as stripe, running_demo(MERCATO_RATE_LIMITS="off", **stripe.environ) as up:
        yield up


LEAVER = "leaver@example.com"
SHIPMENTS = "/v1/orders/{order_id}/shipments/{shipment_id}"
RETURNS = "/v1/orders/{order_id}/returns"


class Shopper:
    """The account of the examples, and what only the shop can tell it."""

    def __init__(self, up: Up, signup: Mapping[str, str]) -> None:
        self.up = up
        self.email, self.password = signup["email"], signup["password"]
        self.payment_id = ""
        self.linked_id = ""
        """An order whose link is asked for."""
        self.sent = ("", "", "", "")
        """The ids of a paid order, its product and its shipments."""
        self.known: Mapping[str, Callable[[], Any]] = {
            "order_id": self.order_id,
            "/v1/orders/{order_id}:linked order_id": self.linked_order_id,
            "/v1/orders/{order_id}:linked token": lambda: OrderLinks(up.secret).of(UUID(self.linked_id)),
            "shipment_id": lambda: self.sent[2],
            f"{SHIPMENTS} order_id": self.sent_order_id,
            f"{SHIPMENTS}:cancel order_id": self.sent_order_id,
            f"{SHIPMENTS}:ship order_id": self.sent_order_id,
            f"{SHIPMENTS}:deliver order_id": self.sent_order_id,
            f"{SHIPMENTS}:deliver shipment_id": lambda: self.sent[3],
            f"{RETURNS} order_id": self.sent_order_id,
            f"{RETURNS} lines": lambda: [{"product_id": self.sent[1], "quantity": 1}],
            "/v1/orders/{order_id}:cancelItems order_id": self.sent_order_id,
            "/v1/orders/{order_id}:cancelItems lines": lambda: [{"product_id": self.sent[1], "quantity": 1}],
            "address_id": lambda: str(up.address(self.client())["id"]),
            "session_id": self.session_id,
            "user_id": lambda: self.client().id,
            "upload_id": lambda: str(created(up.admin.post("/v1/pictures:createUpload"))["id"]),
            "/v1/pictureUploads/{upload_id}:complete upload_id": lambda: str(up.picture()["id"]),
            "category_id": lambda: str(up.category()["id"]),
            "group_id": lambda: str(created(up.admin.post("/v1/productGroups", {"name": "Kite", "varies_by": ["Size"]}))["id"]),
            "shipping_zone_id": lambda: str(up.shipping_zone()["id"]),
            "shipping_method_id": lambda: str(up.shipping_method()["id"]),
            "/orders/checkout quote_id": lambda: str(created(self.client().post("/v1/cart:quote"))["id"]),
            "promotion_id": lambda: self.promotion_id,
            "code": lambda: str(up.promotion_code(self.promotion_id)["code"]),
            "tax_category_id": lambda: str(up.admin.get("/v1/taxCategories").json["tax_categories"][0]["id"]),
            "tax_rate_id": lambda: str(up.admin.get("/v1/taxRates").json["tax_rates"][0]["id"]),
            "payment_event_id": lambda: asyncio.run(stored_event(up)),
            "provider": lambda: "stripe",
            "payment_id": lambda: self.payment_id,
            "/v1/orders/{order_id}/payments/{payment_id} order_id": lambda: self.paid_order_id("CASH"),
            "/v1/orders/{order_id}/payments/{payment_id}:capture order_id": lambda: self.paid_order_id("CASH_ON_DELIVERY"),
            "/v1/orders/{order_id}/payments/{payment_id}:cancel order_id": lambda: self.paid_order_id("ONLINE"),
            "/v1/orders/{order_id}/refunds order_id": lambda: self.paid_order_id("CASH"),
            "/v1/auth:refresh refresh_token": self.refresh_token,
            "/v1/auth:verifyEmail token": lambda: up.token(self.email, "confirm"),
            "/v1/auth:resetPassword token": lambda: up.token(self.email, "Set a new password"),
        }

    @cached_property
    def promotion_id(self) -> str:
        """A promotion that needs a code."""
        return str(self.up.promotion()["id"])

    def sent_order_id(self) -> str:
        """A paid order with two shipments, of which the second has left."""
        self.sent = self.up.shipments(self.client())
        return self.sent[0]

    def client(self) -> Client:
        """Log in anew, since some examples end the session."""
        return self.up.anyone.login(self.email, self.password)

    def caller(self, path: str, operation: dict[str, Any]) -> Client:
        """Return the client of an operation. Another account is erased, because the orders of this one are not finished."""
        if path == "/me:delete":
            created(self.up.anyone.post("/signup", {"email": LEAVER, "password": self.password}))
            return self.up.anyone.login(LEAVER, self.password)
        if "For administrators only" in operation["description"]:
            return self.up.admin
        return self.client() if operation["security"] else self.up.anyone

    def order_id(self) -> str:
        return str(self.up.order(self.client())["id"])

    def linked_order_id(self) -> str:
        self.linked_id = self.order_id()
        return self.linked_id

    def paid_order_id(self, method: str) -> str:
        """Return an order with a payment, and note the payment."""
        order_id = self.order_id()
        opened = created(self.up.admin.post(f"/v1/orders/{order_id}/payments", {"method": f"PAYMENT_METHOD_{method}"}))
        self.payment_id = str(opened["payment"]["id"])
        return order_id

    def session_id(self) -> str:
        self.client()
        return str(next(session["id"] for session in self.client().get("/me/sessions").json["sessions"] if not session["current"]))

    def refresh_token(self) -> str:
        login = self.up.anyone.post("/v1/auth:login", {"email": self.email, "password": self.password})
        return str(login.json["refresh_token"])

    def replies(self, path: str, verb: str, operation: dict[str, Any]) -> Iterator[Reply]:
        """Send the example of each body that an operation takes."""
        examples = {parameter["name"]: parameter["example"] for parameter in operation.get("parameters", ()) if "example" in parameter}
        in_path = re.findall(r"\{([^}]*)\}", path)
        target = path
        for name in in_path:
            known = self.known.get(f"{path} {name}") or self.known.get(name)
            target = target.replace(f"{{{name}}}", examples.pop(name, None) or (known() if known else ""))
        queries = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
        examples |= {name: self.known[f"{path} {name}"]() for name in queries if f"{path} {name}" in self.known}
        target += search(examples)
        client = self.caller(path, operation)
        if "requestBody" not in operation:
            yield client.send(verb, target)
        contents = operation.get("requestBody", {"content": {}})["content"]
        if contents and all("example" not in content for content in contents.values()):  # a file, of any of these types
            yield client.send(verb, target, b"a file", [("content-type", next(iter(contents)))])
            return
        for media, content in contents.items():
            own = {name: self.known[f"{path} {name}"]() for name in content["example"] if f"{path} {name}" in self.known}
            body = content["example"] | own
            if "form" in media:
                yield client.form(target, body)
            else:
                raw = json.dumps(body).encode()
                signed = [("stripe-signature", signature(raw, [WEBHOOK_SECRET], int(time.time())))] if "/webhooks/" in path else []
                yield client.send(verb, target, raw, [("content-type", "application/json"), *signed])


async def stored_event(up: Up) -> str:
    """Store a quarantined notice."""
    conn = await asyncpg.connect(up.database)
    try:
        return await an_event(conn)
    finally:
        await conn.close()


VARYING = {"id", "account_id", "quote_id", "create_time", "update_time", "expire_time", "number"}
"""Fields of answers that are different each time."""


def constant(answer: Any) -> Any:
    """Return an answer without the values that vary."""
    if isinstance(answer, list):
        return [constant(each) for each in answer]
    if isinstance(answer, dict):
        return {name: bool(value) if name in VARYING else constant(value) for name, value in answer.items()}
    return answer


def test_every_example_succeeds_as_it_stands(demo_up: Up) -> None:
    openapi = json.loads(demo_up.anyone.get("/openapi.json").body)
    paths = openapi["paths"]
    signup = paths["/signup"]["post"]["requestBody"]["content"]["application/json"]["example"]
    shopper = Shopper(demo_up, signup)
    story = [tuple(step.split(" ")) for step in re.split(r", |\n", STORY.strip())]
    assert sorted(story) == sorted((verb.upper(), path) for path, operations in paths.items() for verb in operations)
    replies = [(verb, path, reply) for verb, path in story for reply in shopper.replies(path, verb, paths[path][verb.lower()])]
    assert [(verb, path, str(reply)) for verb, path, reply in replies if reply.status not in (200, 201)] == []
    rpcs = {(verb, path): paths[path][verb.lower()]["operationId"].partition("_")[2] for verb, path in story}
    shown = {rpcs[verb, path]: constant(reply.json) for verb, path, reply in replies if rpcs[verb, path] in ANSWERS}
    assert shown == {name: constant(next(iter(answers.values()))) for name, answers in ANSWERS.items()}


def test_the_example_of_a_changed_quote_is_what_the_shop_answers(demo_up: Up) -> None:
    shoes = PARAMETERS["AddCartItemRequest.product_id"]
    name = demo.catalog()[1][0].name
    as_loaded = {"name": name, "price": {"minor_units": "11999"}, "tax_category": "standard", "needs_delivery": True, "weight_grams": 720}
    assert demo_up.admin.patch(f"/products/{shoes}", as_loaded).status == 200
    buyer = demo_up.buyer()
    assert buyer.post(f"/cart/add/{shoes}", EXAMPLES["SetCartItem"]).status == 200
    assert buyer.patch("/v1/cart", {**EXAMPLES["UpdateCartHeader"], "contact_email": buyer.email}).status == 200
    quote = created(buyer.post("/v1/cart:quote"))
    assert demo_up.admin.patch(f"/products/{shoes}", EXAMPLES["UpdateProduct"]).status == 200
    try:
        refused = buyer.post("/orders/checkout", {"quote_id": quote["id"]})
        assert (refused.status, refused.json) == (409, ANSWERS["Checkout"]["409"])
    finally:
        assert demo_up.admin.patch(f"/products/{shoes}", as_loaded).status == 200
