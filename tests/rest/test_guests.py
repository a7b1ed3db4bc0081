"""Guests over REST: the session, the login form with a guest, and the link of an order."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from mercato_server.security.order_links import OrderLinks
from support.mercato_up import PASSWORD, Up
from support.rest_client import Client

CONTACT = "guest@example.com"
OF_A_CALL = {"date", "x-request-id", "x-envoy-upstream-service-time", "server"}
"""Headers that differ between any two answers."""


def guest_of(up: Up) -> tuple[Client, str]:
    """Make a guest; return its client and its refresh token."""
    reply = up.anyone.post("/v1/auth:guest", headers=[("Idempotency-Key", "one")])
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["token_type"] == "bearer"
    assert "guest_merge" not in reply.json
    return replace(up.anyone, token=reply.json["access_token"]), reply.json["refresh_token"]


def lines(client: Client) -> dict[str, int]:
    return {line["product_id"]: line["quantity"] for line in client.get("/cart").json["lines"]}


def test_a_guest_buys_and_an_account_setting_is_refused(shop_up: Up) -> None:
    guest, _ = guest_of(shop_up)
    me = guest.get("/me").json
    assert (me["role"], me["email"]) == ("ROLE_GUEST", "")
    product_id = shop_up.product()["id"]
    assert guest.post(f"/cart/add/{product_id}").status == 200
    refused = guest.post("/orders/checkout")
    assert (refused.status, refused.reason) == (400, "CONTACT_REQUIRED")
    assert guest.patch("/v1/cart", {"contact_email": CONTACT}).status == 200
    order = guest.post("/orders/checkout")
    assert (order.status, order.json["contact_email"]) == (201, CONTACT)
    forbidden = guest.patch("/me", {"full_name": "Gus"})
    assert (forbidden.status, forbidden.reason) == (403, "ACCOUNT_REQUIRED")


@pytest.mark.parametrize(
    ("mode", "quantity", "left_out"),
    [({}, 3, 0), ({"cart_merge": "SUM"}, 3, 0), ({"cart_merge": "KEEP"}, 1, 2), ({"cart_merge": "CART_MERGE_MODE_REPLACE"}, 2, 1)],
)
@pytest.mark.parametrize("as_form", [True, False])
def test_a_login_body_merges_a_guest(shop_up: Up, mode: dict[str, str], quantity: int, left_out: int, *, as_form: bool) -> None:
    buyer, (guest, token) = shop_up.buyer(), guest_of(shop_up)
    product_id = shop_up.product()["id"]
    assert buyer.post(f"/cart/add/{product_id}").status == 200
    assert guest.post(f"/cart/add/{product_id}?quantity=2").status == 200
    fields = {"username": buyer.email, "password": PASSWORD, "guest_token": token, **mode}

    def log_in() -> Any:
        reply = shop_up.anyone.form("/login", fields) if as_form else shop_up.anyone.post("/login", fields)
        assert reply.status == 200
        return reply.json["guest_merge"]

    merge = log_in()
    line = {"product_id": product_id, "account_quantity": 1, "guest_quantity": 2, "quantity": quantity, "left_out": left_out}
    assert (merge["merged"], merge["lines"]) == (True, [line])
    assert lines(buyer) == {product_id: quantity}
    assert log_in() == {**merge, "merged": False, "lines": []}
    assert guest.get("/cart").status == 401


def test_a_login_without_a_guest_answers_as_before(shop_up: Up) -> None:
    reply = shop_up.anyone.form("/login", {"username": shop_up.buyer().email, "password": PASSWORD})
    assert set(reply.json) == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"}


@pytest.mark.parametrize("mode", ["ALL", "sum", "CART_MERGE_MODE_ALL"])
def test_an_unknown_mode_of_a_form_is_refused(shop_up: Up, mode: str) -> None:
    reply = shop_up.anyone.form("/login", {"username": "jo@example.com", "password": PASSWORD, "cart_merge": mode})
    assert (reply.status, reply.reason, reply.fields) == (400, "INVALID_FIELD", ["cart_merge"])


def test_a_link_shows_an_order_and_a_wrong_one_is_an_absent_order_byte_for_byte(shop_up: Up) -> None:
    guest, _ = guest_of(shop_up)
    guest.post(f"/cart/add/{shop_up.product()['id']}")
    guest.patch("/v1/cart", {"contact_email": CONTACT})
    order = guest.post("/orders/checkout").json
    links = OrderLinks(shop_up.secret)
    good = links.of(uuid.UUID(order["id"]))
    found = shop_up.anyone.get(f"/v1/orders/{order['id']}:linked", token=good)
    assert (found.status, found.json) == (200, order)
    expected = {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
    assert {name: found.headers[name] for name in expected} == expected
    absent_id = str(uuid.uuid4())
    absent = shop_up.anyone.get(f"/v1/orders/{absent_id}:linked", token=links.of(uuid.UUID(absent_id)))
    assert (absent.status, absent.reason) == (404, "ORDER_NOT_FOUND")
    for token in (links.of(uuid.UUID(absent_id)), good[:-1], good.upper(), "%00", "é", ""):
        wrong = shop_up.anyone.get(f"/v1/orders/{order['id']}:linked", token=token)
        assert wrong.status == 404
        assert wrong.body == absent.body.replace(absent_id.encode(), order["id"].encode())
        assert {name.lower() for name in wrong.headers} - OF_A_CALL == {name.lower() for name in absent.headers} - OF_A_CALL
    assert shop_up.anyone.post(f"/v1/orders/{order['id']}:linked").status == 405
