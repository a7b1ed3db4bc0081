"""Examples of responses in the OpenAPI document: a purchase in the demo shop, by the name of the RPC and the HTTP status.

They are the answers to the examples of requests, except for ids, etags, times and the number of the order. The purchase is of two pairs of
shoes to Berlin by express, with ten percent off. An administrator then lowers the price, and the quote no longer holds.
"""

from collections.abc import Mapping
from typing import Any

from mercato.errors import DOMAIN
from mercato_server.demo import product_id
from mercato_server.demo.prices import method_id, promotion_id
from mercato_server.edge.examples import ADDRESS, EMAIL, NOTE, QUOTE

Json = dict[str, Any]

_PRODUCT, _EXPRESS, _PROMOTION = str(product_id(0)), str(method_id(1)), str(promotion_id(0))
_SHOES = "Lapwing 3 Daily Running Shoes, Women's"
_TIME, _EXPIRY = "2026-11-30T12:00:00Z", "2026-11-30T12:30:00Z"
_ACCOUNT, _ORDER_ID = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b58", "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b59"
_SENT_EMPTY = ("company", "city_area", "region", "sorting_code", "phone", "vat_number")


def _usd(minor_units: int) -> Json:
    return {"currency_code": "USD", "minor_units": str(minor_units)}


def _price(pair: int, discount: int, taxes: tuple[int, int]) -> Json:
    """Return the price of two pairs, with the taxes of the goods and of the delivery."""
    delivery, total = 1_490, 2 * pair - discount + 1_490
    on_goods, on_delivery = taxes
    tax = on_goods + on_delivery
    line = {"product_id": _PRODUCT, "total": _usd(2 * pair), "discount": _usd(discount), "tax_rate_ppm": 190_000}
    promotion = {"promotion_id": _PROMOTION, "name": "Ten percent off your first order", "product_id": _PRODUCT, "amount": _usd(discount)}
    return {
        "lines": [{**line, "tax": _usd(on_goods), "tax_relief": _usd(0)}],
        "subtotal": _usd(2 * pair),
        "discounts": [promotion],
        "discount": _usd(discount),
        "delivery": {
            "shipping_method_id": _EXPRESS,
            "name": "Express",
            "price": _usd(delivery),
            "discount": _usd(0),
            "tax": _usd(on_delivery),
            "tax_relief": _usd(0),
        },
        "taxes": [{"name": "USt", "rate_ppm": 190_000, "net": _usd(total - tax), "tax": _usd(tax)}],
        "tax": _usd(tax),
        "prices_include_tax": True,
        "tax_relief": _usd(0),
        "total": _usd(total),
    }


_QUOTED, _CURRENT = _price(11_999, 2_400, (3_448, 238)), _price(10_999, 2_200, (3_161, 238))
_TOTALS = {"current_total": "21288", "quoted_total": "23088"}

_OPTIONS = [
    {"shipping_method_id": str(method_id(number)), "name": name, "price": _usd(price), "total": _usd(21_598 + price)}
    for number, (name, price) in enumerate((("Parcel", 0), ("Express", 1_490), ("Pick-up point", 0)))
]

_ORDER = {
    "id": _ORDER_ID,
    "status": "ORDER_STATUS_PLACED",
    "lines": [
        {
            "product_id": _PRODUCT,
            "product_name": _SHOES,
            "unit_price": _usd(11_999),
            "quantity": 2,
            "line_total": _usd(23_998),
            **dict.fromkeys(("shipped", "delivered", "cancelled", "returned"), 0),
            "options_text": "",
        },
    ],
    "total": _QUOTED["total"],
    "create_time": _TIME,
    "update_time": _TIME,
    "account_id": _ACCOUNT,
    "history": [{"status": "ORDER_STATUS_PLACED", "create_time": _TIME, "actor": "ORDER_ACTOR_BUYER", "reason": ""}],
    "etag": "1",
    "price": _QUOTED,
    "number": "FGPR2KP2B4K",
    "shipping_address": {**dict.fromkeys(_SENT_EMPTY, ""), **ADDRESS},
    "contact_email": EMAIL,
    "note": NOTE,
    "quote_id": QUOTE,
    "payment_status": "PAYMENT_STATUS_UNPAID",
    "fulfillment_status": "FULFILLMENT_STATUS_UNFULFILLED",
}

_CHANGED = {
    "code": 10,
    "message": "the quote was for a total of 23088, and the total is 21288; compare their parts and ask for a new quote",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTE_CHANGED", "domain": DOMAIN, "metadata": _TOTALS},
        {"@type": "type.googleapis.com/mercato.v1.QuoteChange", "quoted": _QUOTED, "current": _CURRENT},
    ],
}

ANSWERS: Mapping[str, Mapping[str, Json]] = {
    "GetShippingOptions": {"200": {"options": _OPTIONS}},
    "QuoteCart": {"201": {"id": QUOTE, "price": _QUOTED, "expire_time": _EXPIRY}},
    "Checkout": {"201": _ORDER, "409": _CHANGED},
}
