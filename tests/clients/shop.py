"""Shops with a client that is generated from the OpenAPI document, and prints what it bought and what it was refused.

Run by Python with the generated package `mercato_rest` on its path: `shop.py URL EMAIL`.
"""

import json
import sys
from typing import Any
from uuid import UUID

from mercato_rest import AuthenticatedClient, Client
from mercato_rest.api.auth_service import auth_service_login, auth_service_sign_up
from mercato_rest.api.cart_service import cart_service_add_cart_item, cart_service_get_cart, cart_service_set_cart_item
from mercato_rest.api.catalog_service import catalog_service_list_products
from mercato_rest.api.order_service import order_service_checkout, order_service_get_order
from mercato_rest.models import (
    AddCartItemRequest,
    BadRequest,
    CheckoutRequest,
    ErrorInfo,
    LoginRequest,
    MoneyInput,
    PreconditionFailure,
    QuoteChange,
    ResourceInfo,
    SetCartItemRequest,
    SignUpRequest,
    Status,
    StockShortage,
)

PASSWORD = "blue-kite-over-hills"


def told(error: Status) -> list[str]:
    """Tell what an error says, detail by detail: each has the class of its `@type`."""
    return [_told(detail) for detail in error.details]


def _told(detail: Any) -> str:
    match detail:
        case ErrorInfo():
            return f"{detail.reason} of {detail.domain}"
        case BadRequest():
            return ",".join(violation.field for violation in detail.field_violations)
        case PreconditionFailure():
            return ",".join(violation.type_ for violation in detail.violations)
        case ResourceInfo():
            return f"{detail.resource_type} {detail.resource_name}"
        case StockShortage():
            return ",".join(f"{line.wanted} wanted, {line.available} available" for line in detail.lines)
        case QuoteChange():
            return f"{detail.quoted.total.minor_units} quoted, {detail.current.total.minor_units} now"
        case _:
            raise TypeError(detail)


def main(base: str, email: str) -> None:
    """Sign up, buy a product, and be refused in several ways."""
    anyone = Client(base)
    auth_service_sign_up.sync(client=anyone, body=SignUpRequest(email, PASSWORD))
    token = auth_service_login.sync(client=anyone, body=LoginRequest(email, PASSWORD)).access_token
    buyer = AuthenticatedClient(base, token)
    [product] = catalog_service_list_products.sync(client=buyer, page_size=1, in_stock=True).products
    cart_service_add_cart_item.sync(product.id, client=buyer, body=AddCartItemRequest(1))
    order = order_service_checkout.sync(client=buyer, body=CheckoutRequest(MoneyInput(product.price.minor_units)))
    empty = order_service_checkout.sync(client=buyer)
    absent = order_service_get_order.sync(product.id, client=buyer)
    invalid = auth_service_sign_up.sync(client=anyone, body=SignUpRequest("nobody", ""))
    stranger = cart_service_get_cart.sync(client=AuthenticatedClient(base, "none"))
    cart_service_set_cart_item.sync(product.id, client=buyer, body=SetCartItemRequest(1000))
    short = order_service_checkout.sync(client=buyer)
    bought = {
        "product_id": str(product.id),
        "status": order.status.value,
        "total": order.total.minor_units,
        "lines": [line.product_id == product.id and isinstance(product.id, UUID) for line in order.lines],
        "refused": [told(error) for error in (empty, absent, invalid, stranger, short)],
    }
    sys.stdout.write(json.dumps(bought))


main(*sys.argv[1:])
