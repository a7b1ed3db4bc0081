"""A shop that charges tax and delivery, and gives discounts, over REST. Expected amounts are computed by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.example_requests import unused_category_id
from support.mercato_up import Up, created
from support.rest_client import Client

PRAGUE = {"country_code": "CZ", "recipient": "Jo Doe", "street_lines": ["Národní 1"], "city": "Praha", "postal_code": "110 00"}
SETTINGS = ("country_code", "prices_include_tax", "tax_rounding")


@dataclass(frozen=True)
class Market:
    """A shop in the Czech Republic: 21 % of tax in the prices, a parcel for 490, or 790 from 500 g, and a code for ten percent."""

    tax_category: str
    method_id: str
    code: str

    @property
    def header(self) -> dict[str, Any]:
        """A header for a cart that goes to Prague, with the code in another spelling."""
        return {"shipping_address": PRAGUE, "shipping_method_id": self.method_id, "codes": [f" {self.code.lower()} "]}


@pytest.fixture
def market(shop_up: Up, admin: Client) -> Iterator[Market]:
    """Set it up; then the shop gets its settings back, and no longer delivers to the Czech Republic."""
    before = admin.get("/v1/shop").json
    ours = {"country_code": "CZ", "prices_include_tax": True, "tax_rounding": "TAX_ROUNDING_LINE"}
    assert admin.patch("/v1/shop", ours).json.items() >= ours.items()
    category = created(admin.post(f"/v1/taxCategories?tax_category_id={unused_category_id()}", {"display_name": "Balls"}))["id"]
    rate = {"country_code": "CZ", "tax_category": category, "name": "DPH 21%", "rate_ppm": 210_000}
    created(admin.post("/v1/taxRates", rate))
    zone = created(admin.post("/v1/shippingZones", {"name": "Czech Republic", "areas": [{"country_code": "CZ"}]}))
    tiers = [{"start": "0", "price": {"minor_units": "490"}}, {"start": "500", "price": {"minor_units": "790"}}]
    rates = [{"shipping_zone_id": zone["id"], "basis": "SHIPPING_RATE_BASIS_WEIGHT", "tiers": tiers}]
    method = created(admin.post("/v1/shippingMethods", {"name": "Parcel", "tax_category": "as-goods", "rates": rates}))
    promotion = shop_up.promotion(name="Ten percent")
    yield Market(category, method["id"], shop_up.promotion_code(promotion["id"])["code"])
    for path in (f"/v1/promotions/{promotion['id']}", f"/v1/shippingMethods/{method['id']}", f"/v1/shippingZones/{zone['id']}"):
        assert admin.post(f"{path}:archive").status == 200
    settings = {name: before[name] for name in SETTINGS}
    assert admin.patch(f"/v1/shop?update_mask={','.join(SETTINGS)}", settings).json.items() >= settings.items()


def usd(minor_units: int) -> dict[str, str]:
    return {"currency_code": "USD", "minor_units": str(minor_units)}


def amounts(price: dict[str, Any]) -> dict[str, int]:
    """Return the sums of a price."""
    return {name: int(price[name]["minor_units"]) for name in ("subtotal", "discount", "tax", "tax_relief", "total")}


def test_a_quote_is_bought_unless_the_price_has_changed(shop_up: Up, admin: Client, buyer: Client, market: Market) -> None:
    ball = shop_up.product(minor_units=1_999, tax_category=market.tax_category, needs_delivery=True, weight_grams=400)
    assert buyer.post(f"/cart/add/{ball['id']}?quantity=2").json["missing"] == "ADDRESS_REQUIRED"
    header = buyer.patch("/v1/cart", {**market.header, "contact_email": "Jo@Example.com", "note": "Ring twice."})
    assert (header.status, header.json["contact_email"], header.json["note"]) == (200, "jo@example.com", "Ring twice.")
    assert buyer.get("/v1/cart").json == header.json
    # 10 % of 39.98 is 3.998, so 35.98 are left; two balls weigh 800 g.
    options = [{"shipping_method_id": market.method_id, "name": "Parcel", "price": usd(790), "total": usd(3_598 + 790)}]
    assert buyer.get("/v1/cart/shippingOptions").json == {"options": options}

    quote = created(buyer.post("/v1/cart:quote"))
    # 21/121 of 35.98 is 6.2445, of 7.90 is 1.3711.
    assert amounts(quote["price"]) == {"subtotal": 3_998, "discount": 400, "tax": 624 + 137, "tax_relief": 0, "total": 4_388}
    assert [(tax["name"], tax["tax"], tax["net"]) for tax in quote["price"]["taxes"]] == [("DPH 21%", usd(761), usd(3_627))]
    cart = buyer.get("/cart").json
    assert (cart["price"], cart["total"], cart["missing"]) == (quote["price"], usd(4_388), "")
    order = created(buyer.post("/orders/checkout", {"quote_id": quote["id"]}))
    assert (order["price"], order["total"], order["quote_id"]) == (quote["price"], usd(4_388), quote["id"])
    assert (order["shipping_address"]["city"], order["contact_email"], order["note"]) == ("Praha", "jo@example.com", "Ring twice.")
    assert buyer.get(f"/orders/{order['id']}").json == order
    assert buyer.get("/v1/cart").json["etag"] == "0"

    buyer.post(f"/cart/add/{ball['id']}?quantity=2")
    assert buyer.patch("/v1/cart", market.header).status == 200
    quote = created(buyer.post("/v1/cart:quote"))
    assert admin.patch(f"/products/{ball['id']}", {"price": {"minor_units": "2100"}}).status == 200
    refused = buyer.post("/orders/checkout", {"quote_id": quote["id"]})
    assert (refused.status, refused.reason) == (409, "QUOTE_CHANGED")
    [change] = refused.details("type.googleapis.com/mercato.v1.QuoteChange")
    assert amounts(change["quoted"]) == amounts(quote["price"])
    # 10 % of 42.00 is 4.20; 21/121 of 37.80 is 6.5603.
    assert amounts(change["current"]) == {"subtotal": 4_200, "discount": 420, "tax": 656 + 137, "tax_relief": 0, "total": 4_570}
    assert [(line["product_id"], line["total"]) for line in change["current"]["lines"]] == [(ball["id"], usd(4_200))]
    again = created(buyer.post("/v1/cart:quote"))
    assert created(buyer.post("/orders/checkout", {"quote_id": again["id"]}))["total"] == usd(4_570)
