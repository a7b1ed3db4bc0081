"""The JSON of the answers."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from peer.tables import CartItem, Product

CURRENCY = "USD"

Content = dict[str, Any]


def money(minor_units: int) -> Content:
    """Return an amount."""
    return {"currency_code": CURRENCY, "minor_units": str(minor_units)}


def product(found: Product) -> Content:
    """Return a product."""
    return {
        "id": str(found.id),
        "name": found.name,
        "description": found.description,
        "price": money(found.price_minor),
        "category_id": str(found.category_id or ""),
        "sku": found.sku or "",
        "stock": found.level.on_hand,
        "image_urls": found.image_urls,
        "etag": f"{found.version:x}.{found.level.version:x}",
        "create_time": found.created_at,
        "update_time": found.updated_at,
    }


def cart(lines: Sequence[CartItem]) -> Content:
    """Return a cart with its total and etag."""
    on_sale = [line for line in lines if line.product.deleted_at is None]
    return {
        "lines": [
            {
                "product_id": str(line.product_id),
                "name": line.product.name,
                "quantity": line.quantity,
                "unit_price": money(line.product.price_minor),
                "line_total": money(line.product.price_minor * line.quantity),
                "warnings": list(_warnings(line)),
            }
            for line in lines
        ],
        "total": money(sum(line.product.price_minor * line.quantity for line in on_sale)),
        "etag": _cart_etag(lines),
    }


def _cart_etag(lines: Sequence[CartItem]) -> str:
    content = sorted((line.product_id.bytes, line.quantity, line.product.price_minor, line.product.deleted_at is None) for line in lines)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _warnings(line: CartItem) -> list[Content]:
    found, name = line.product, line.product.name
    if found.deleted_at is not None:
        return [_warning("PRODUCT_GONE", f"{name} is no longer on sale")]
    warnings, stock = [], found.level.on_hand
    if stock == 0:
        warnings.append(_warning("OUT_OF_STOCK", f"{name} is out of stock"))
    elif stock < line.quantity:
        warnings.append(_warning("FEWER_LEFT", f"only {stock} of {name} are left", stock))
    if found.price_minor != line.unit_price_minor:
        changed = _warning("PRICE_CHANGED", f"the price of {name} has changed")
        warnings.append(changed | {"previous_unit_price": money(line.unit_price_minor)})
    return warnings


def _warning(code: str, message: str, available: int = 0) -> Content:
    return {"code": f"CART_WARNING_CODE_{code}", "message": message, "available": available}


def order(order_id: UUID, account_id: UUID, created_at: datetime, lines: Sequence[CartItem]) -> Content:
    """Return an order that has just been placed."""
    return {
        "id": str(order_id),
        "status": "ORDER_STATUS_PLACED",
        "lines": [
            {
                "product_id": str(line.product_id),
                "product_name": line.product.name,
                "unit_price": money(line.product.price_minor),
                "quantity": line.quantity,
                "line_total": money(line.product.price_minor * line.quantity),
                **dict.fromkeys(("shipped", "delivered", "cancelled", "returned"), 0),
            }
            for line in lines
        ],
        "total": money(sum(line.product.price_minor * line.quantity for line in lines)),
        "create_time": created_at,
        "update_time": created_at,
        "account_id": str(account_id),
        "history": [{"status": "ORDER_STATUS_PLACED", "create_time": created_at, "actor": "ORDER_ACTOR_BUYER", "reason": ""}],
        "etag": "1",
        "payment_status": "PAYMENT_STATUS_UNPAID",
        "fulfillment_status": "FULFILLMENT_STATUS_UNFULFILLED",
    }
