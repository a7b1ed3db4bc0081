"""Commands for orders and all that belongs to them, taxes, shipping, promotions, users, audit and the shop, against a real shop."""

import uuid
from typing import Any

from support.rest_client import Client
from support.shopkeeper import Shopkeeper


def bought(keeper: Shopkeeper, buyer: Client, quantity: int = 3) -> tuple[str, str]:
    """Let a buyer order something; return the ids of the order and of its product."""
    product = keeper.up.product()["id"]
    assert buyer.post(f"/cart/add/{product}?quantity={quantity}").status == 200
    order: dict[str, Any] = buyer.post("/orders/checkout").json
    return order["id"], product


def test_an_order_is_sent_and_comes_back(admin: Shopkeeper) -> None:
    order, product = bought(admin, admin.up.buyer())
    listed = admin.json("orders", "list", "--status", "placed", "--product-id", product)
    assert [each["id"] for each in listed] == [order]
    assert admin.one("orders", "note", order, "--text", "Ring twice")["text"] == "Ring twice"
    assert [each["text"] for each in admin.json("orders", "notes", order)] == ["Ring twice"]
    assert admin.one("orders", "advance", order, "--status", "paid")["status"] == "ORDER_STATUS_PAID"
    shipment = admin.one("shipments", "create", order, "--line", f"{product}=2", "--carrier", "Post")
    assert (shipment["lines"], shipment["carrier"]) == ([{"product_id": product, "quantity": 2}], "Post")
    assert admin.one("shipments", "ship", order, shipment["id"], "--tracking-number", "T1")["tracking_number"] == "T1"
    assert admin.one("shipments", "deliver", order, shipment["id"])["state"] == "SHIPMENT_STATE_DELIVERED"
    second = admin.one("shipments", "create", order)
    assert admin.one("shipments", "cancel", order, second["id"], "--yes")["state"] == "SHIPMENT_STATE_CANCELLED"
    assert len(admin.json("shipments", "list", order)) == 2
    back = admin.one("returns", "create", order, "--line", f"{product}=1", "--restock", "--reason", "torn")
    assert [each["id"] for each in admin.json("returns", "list", order)] == [back["id"]]
    assert admin.one("orders", "cancel-items", order, "--line", f"{product}=1", "--yes")["lines"][0]["cancelled"] == 1
    assert admin.up.stock(product) == 9  # of 10: two were sent, one of them came back, and one was cancelled
    head, line = admin("orders", "get", order).stdout.splitlines()
    shown = dict(zip(head.split("\t"), line.split("\t"), strict=True))
    assert (shown["id"], shown["total"]) == (order, "59.97 USD")


def test_money_is_taken_by_hand_and_given_back(admin: Shopkeeper) -> None:
    order, product = bought(admin, admin.up.buyer(), 2)
    payment = admin.one("payments", "create", order, "--method", "cash-on-delivery")["payment"]
    assert payment["state"] == "PAYMENT_STATE_AUTHORIZED"
    assert admin.one("payments", "capture", order, payment["id"])["state"] == "PAYMENT_STATE_CAPTURED"
    assert [each["id"] for each in admin.json("payments", "of-order", order)] == [payment["id"]]
    assert admin.one("payments", "get", order, payment["id"])["amount"]["minor_units"] == "3998"
    refund = admin.one("refunds", "create", order, "--amount", "5.50", "--reason", "scratch", "--yes")
    assert refund["amount"] == {"currency_code": "USD", "minor_units": "550"}
    other = admin.one("refunds", "create", order, "--line", f"{product}=1", "--yes")
    assert other["lines"][0]["quantity"] == 1
    assert {each["id"] for each in admin.json("refunds", "of-order", order)} == {refund["id"], other["id"]}
    assert {refund["id"], other["id"]} <= {each["id"] for each in admin.json("refunds", "list")}
    assert payment["id"] in {each["id"] for each in admin.json("payments", "list", "--state", "captured")}
    for listed in ("disputes", "requests", "events"):
        assert admin.json("payments", listed) == []


def test_orders_are_cancelled_in_part(admin: Shopkeeper) -> None:
    buyer = admin.up.buyer()
    placed, sent = bought(admin, buyer)[0], bought(admin, buyer)[0]
    for status in ("paid", "shipped"):
        admin.one("orders", "advance", sent, "--status", status)
    done = admin("orders", "cancel", sent, placed, "--reason", "closed", "--yes")
    assert done.returncode == 3
    assert [line.split("\t")[1:3] for line in done.stdout.splitlines()[1:]] == [[placed, "cancelled"]]
    assert admin("orders", "list", "--any-status", "paid", "--any-status", "shipped").stdout.count(sent) == 1


def test_taxes_and_shipping_are_set_and_archived(admin: Shopkeeper) -> None:
    name = f"books-{uuid.uuid4().hex[:8]}"
    assert admin.one("tax-categories", "create", name, "--display-name", "Books")["id"] == name
    assert admin.one("tax-categories", "update", name, "--display-name", "All books")["display_name"] == "All books"
    rate = ("--country-code", "DE", "--tax-category", name, "--name", "VAT", "--rate-ppm", "70000")
    made = admin.one("tax-rates", "create", *rate, "--valid-from", "2026-12-01T00:00:00+01:00")
    assert (made["rate_ppm"], made["valid_from"]) == (70000, "2026-11-30T23:00:00Z")
    assert [each["id"] for each in admin.json("tax-rates", "list", "--country-code", "DE")] == [made["id"]]
    assert admin.one("tax-rates", "archive", made["id"], "--yes")["archive_time"]
    assert admin.one("tax-categories", "archive", name, "--yes")["archive_time"]
    zone = admin.one("shipping-zones", "create", "--name", "Lapland", "--area", "FI==99", "--area", "SE")
    assert zone["areas"] == [
        {"country_code": "FI", "region": "", "postal_prefix": "99"},
        {"country_code": "SE", "region": "", "postal_prefix": ""},
    ]
    tiers = f'{{"shipping_zone_id": "{zone["id"]}", "basis": "SHIPPING_RATE_BASIS_WEIGHT", "tiers": [{{"price": {{"minor_units": 500}}}}]}}'
    method = admin.one("shipping-methods", "create", "--name", "Sledge", "--rate", tiers)
    assert method["rates"][0]["tiers"][0]["price"]["minor_units"] == "500"
    assert admin.one("shipping-methods", "update", method["id"], "--position", "3")["position"] == 3
    assert admin("shipping-methods", "archive", method["id"], "--yes").returncode == 0
    assert admin("shipping-zones", "archive", zone["id"], "--yes").returncode == 0
    assert zone["id"] not in admin("shipping-zones", "list").stdout
    assert zone["id"] in admin("shipping-zones", "list", "--show-archived").stdout


def test_promotions_and_codes(admin: Shopkeeper) -> None:
    made = admin.one("promotions", "create", "--name", "Ten", "--kind", "amount", "--amount", "10", "--needs-code", "--usage-limit", "5")
    assert (made["amount"]["minor_units"], made["usage_limit"]) == ("1000", 5)
    assert "usage_limit" not in admin.one("promotions", "update", made["id"], "--clear", "usage-limit")
    code = f"TEN{uuid.uuid4().hex[:6].upper()}"
    assert admin.one("promotions", "create-code", made["id"], "--code", code)["code"] == code
    assert admin.one("promotions", "generate-codes", made["id"], "--count", "120", "--prefix", "X")["count"] == 120
    assert len(admin("promotions", "codes", made["id"]).stdout.splitlines()) == 122
    assert admin("promotions", "archive-code", made["id"], code, "--yes").returncode == 0
    assert admin("promotions", "archive", made["id"], "--yes").returncode == 0
    assert admin.one("promotions", "get", made["id"])["archive_time"]


def test_users_audit_and_shop(admin: Shopkeeper) -> None:
    buyer = admin.up.buyer()
    assert admin.one("users", "get", buyer.id)["email"] == buyer.email
    assert admin.one("users", "update", buyer.id, "--disabled")["disabled"] is True
    assert [each["id"] for each in admin.json("users", "list", "--disabled", "--q", buyer.email)] == [buyer.id]
    assert admin.one("users", "update", buyer.id, "--no-disabled", "--role", "admin")["role"] == "ROLE_ADMIN"
    entries = admin.json("audit", "list", "--subject-id", buyer.id)
    assert any("role" in each["after"] for each in entries)
    assert len(entries) == 2
    shop = admin.one("shop", "get")
    assert admin.one("shop", "update", "--time-zone", "Africa/Accra", "--etag", shop["etag"])["time_zone"] == "Africa/Accra"
    assert admin.refused(1, "shop", "update", "--time-zone", "UTC", "--etag", shop["etag"])["reason"] == "ETAG_MISMATCH"


def test_a_buyer_is_refused_what_administrators_may(anyone: Shopkeeper) -> None:
    token = anyone.up.buyer().token
    assert anyone.refused(4, "users", "list", MERCATO_TOKEN=token)["reason"] == "ADMIN_ONLY"
    assert anyone.refused(4, "products", "create", "--name", "x", "--price", "1", MERCATO_TOKEN=token)["reason"] == "ADMIN_ONLY"
