"""Examples of the OpenAPI document, by the name of the RPC and by fields of requests.

They succeed in the demo shop in this order: sign up, log in, fill the cart, address it, ask for a quote, check out. Only the quote, and
tokens, must be replaced by those of the shop, of a login or of a mail.
"""

from collections.abc import Mapping
from typing import Any

from mercato_server.demo import category_id, product_id
from mercato_server.demo.goods import goods, group_id
from mercato_server.demo.pictures import pictures, renditions
from mercato_server.demo.prices import method_id, zone_id
from mercato_server.domain.pictures import name
from mercato_server.security import one_time_tokens, refresh_tokens

EMAIL = "jo@example.com"
PASSWORD = "blue-kite-over-hills"  # noqa: S105 - an example
NEW_PASSWORD = "red-kite-over-hills"  # noqa: S105 - an example
MAILED = one_time_tokens.PREFIX + "A" * (one_time_tokens.LENGTH - len(one_time_tokens.PREFIX))
"""A token of the form of those that mails bring."""
QUOTE = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
ADDRESS: Mapping[str, Any] = {
    "country_code": "DE",
    "recipient": "Jo Doe",
    "street_lines": ["Pariser Platz 1"],
    "city": "Berlin",
    "postal_code": "10117",
}
NOTE = "Please ring twice."

_PRODUCT, _CATEGORY = str(product_id(0)), str(category_id(0))
_OUTDOOR = next(str(each.id) for each in goods().categories if each.name == "Outdoor")
_PICTURE = renditions("shoe").digest

EXAMPLES: Mapping[str, dict[str, Any]] = {
    "SignUp": {"email": EMAIL, "password": PASSWORD, "full_name": "Jo Doe"},
    "Login": {"email": EMAIL, "password": PASSWORD},
    "LoginForm": {"username": EMAIL, "password": PASSWORD},
    "Refresh": {"refresh_token": refresh_tokens.PREFIX + "A" * (refresh_tokens.LENGTH - len(refresh_tokens.PREFIX))},
    "CreateGuest": {},
    "Logout": {},
    "LogoutAll": {},
    "ChangePassword": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "ExportMe": {"page_size": 100},
    "DeleteMe": {"password": PASSWORD},
    "RequestPasswordReset": {"email": EMAIL},
    "ResetPassword": {"token": MAILED, "new_password": PASSWORD},
    "RequestEmailVerification": {},
    "VerifyEmail": {"token": MAILED},
    "UpdateMe": {"full_name": "Jo Miller"},
    "UpdateUser": {"disabled": False},
    "CreateAddress": {
        "postal_address": {
            "country_code": "US",
            "recipient": "Jo Doe",
            "street_lines": ["600 Montgomery Street", "Floor 12"],
            "city": "San Francisco",
            "region": "CA",
            "postal_code": "94111",
            "phone": "+14155552671",
        },
        "is_default": True,
    },
    "UpdateAddress": {
        "postal_address": {
            "country_code": "GB",
            "recipient": "Jo Doe",
            "company": "Doe Ltd",
            "street_lines": ["10 Downing Street"],
            "city": "London",
            "postal_code": "SW1A 2AA",
        }
    },
    "CreateProduct": {
        "name": "Box Kite",
        "description": "Flies in light wind.",
        "price": {"currency_code": "USD", "minor_units": "2999"},
        "sku": "KITE-0001",
        "stock": 12,
        "image_urls": ["https://example.com/kite.jpg"],
    },
    "UpdateProduct": {
        "name": "Lapwing 3 Daily Running Shoes",
        "price": {"currency_code": "USD", "minor_units": "10999"},
        "category_id": _CATEGORY,
    },
    "UndeleteProduct": {},
    "CreatePictureUpload": {},
    "UploadPictureContent": {},
    "CompletePictureUpload": {},
    "SetProductPictures": {"pictures": [{"picture_id": _PICTURE.hex(), "alt": pictures()["shoe"].alt}]},
    "AdjustStock": {"delta": 5, "reason": "counted again"},
    "CreateCategory": {"name": "Kites", "parent_id": _OUTDOOR, "description": "For wind of any strength."},
    "UpdateCategory": {"name": "Running & Trail"},
    "CreateProductGroup": {"name": "Ripstop Kite", "code": "KITE-RIPSTOP", "varies_by": ["Size", "Colour"]},
    "UpdateProductGroup": {"name": "Ripstop Kite 2"},
    "UpsertProductGroup": {
        "group": {"name": "Ripstop Kite", "code": "KITE-RIPSTOP", "varies_by": ["Size", "Colour"]},
        "variants": [
            {
                "name": f"Ripstop Kite, {size}, {colour}",
                "price": {"currency_code": "USD", "minor_units": minor_units},
                "sku": sku,
                "stock": 12,
                "options": [{"name": "Size", "value": size}, {"name": "Colour", "value": colour}],
            }
            for sku, size, colour, minor_units in (("KITE-R-S", "S", "Red", "3999"), ("KITE-R-L", "L", "Blue", "4999"))
        ],
    },
    "AddCartItem": {"quantity": 1},
    "SetCartItem": {"quantity": 2},
    "UpdateCartHeader": {
        "shipping_address": ADDRESS,
        "shipping_method_id": str(method_id(1)),
        "codes": ["WELCOME10"],
        "contact_email": EMAIL,
        "note": NOTE,
    },
    "QuoteCart": {},
    "Checkout": {"quote_id": QUOTE},
    "CreateOrderNote": {"text": "The buyer asked for gift wrapping."},
    "CancelOrder": {"reason": "ordered by mistake"},
    "AdvanceOrder": {"status": "ORDER_STATUS_PAID", "reason": "paid by bank transfer"},
    "CreateShipment": {
        "carrier": "DHL",
        "tracking_number": "00340434161094042557",
        "tracking_url": "https://example.com/track/00340434161094042557",
    },
    "ShipShipment": {"carrier": "DHL Express"},
    "DeliverShipment": {},
    "CancelShipment": {},
    "CreateReturn": {"lines": [{"product_id": _PRODUCT, "quantity": 1}], "restock": True, "reason": "too small"},
    "CancelOrderItems": {"lines": [{"product_id": _PRODUCT, "quantity": 1}], "reason": "damaged in the warehouse"},
    "CreatePayment": {},
    "CapturePayment": {},
    "CancelPayment": {},
    "CreateRefund": {"reason": "one of them was broken"},
    "ResolvePaymentEvent": {"retry": True},
    "HandlePaymentEvent": {
        "id": "evt_1QqOWnB7WZ01zgkWaZdCw0q2",
        "object": "event",
        "created": 1_796_040_000,
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_3QqOWmB7WZ01zgkW0NkZzF1A", "object": "payment_intent"}},
    },
    "CreateShippingZone": {
        "name": "Switzerland and Greater London",
        "areas": [{"country_code": "CH"}, {"country_code": "GB", "postal_prefix": "SW1 "}, {"country_code": "US", "region": "NY"}],
    },
    "UpdateShippingZone": {"name": "The Alps"},
    "ArchiveShippingZone": {},
    "CreateShippingMethod": {
        "name": "Night courier",
        "description": "At your door before seven in the morning.",
        "position": 3,
        "tax_category": "as-goods",
        "rates": [
            {
                "shipping_zone_id": str(zone_id(0)),
                "basis": "SHIPPING_RATE_BASIS_WEIGHT",
                "tiers": [
                    {"start": "0", "price": {"currency_code": "USD", "minor_units": "1990"}},
                    {"start": "2000", "price": {"currency_code": "USD", "minor_units": "2490"}},
                ],
                "end": "31500",
                "free_from": {"currency_code": "USD", "minor_units": "50000"},
            }
        ],
    },
    "UpdateShippingMethod": {"name": "Night courier with insurance"},
    "ArchiveShippingMethod": {},
    "CreatePromotion": {
        "name": "Summer sale",
        "kind": "PROMOTION_KIND_PERCENT",
        "percent_ppm": 100000,
        "category_ids": [_CATEGORY],
        "needs_code": True,
        "end_time": "2100-09-01T00:00:00Z",
        "usage_limit": 500,
        "per_buyer_limit": 1,
    },
    "UpdatePromotion": {"name": "Late summer sale", "usage_limit": 1000},
    "ArchivePromotion": {},
    "CreatePromotionCode": {"code": "SUMMER10", "usage_limit": 500},
    "GeneratePromotionCodes": {"count": 100, "prefix": "SUN-"},
    "ArchivePromotionCode": {},
    "UpdateShop": {"country_code": "DE", "prices_include_tax": True, "tax_rounding": "TAX_ROUNDING_LINE", "time_zone": "Europe/Berlin"},
    "CreateTaxCategory": {"display_name": "Books"},
    "UpdateTaxCategory": {"display_name": "Books and newspapers"},
    "ArchiveTaxCategory": {},
    "CreateTaxRate": {"country_code": "CH", "name": "MWST", "rate_ppm": 81_000, "valid_from": "2024-01-01T00:00:00+01:00"},
    "UpdateTaxRate": {"valid_until": "2040-01-01T00:00:00+01:00"},
    "ArchiveTaxRate": {},
}
"""Bodies of requests."""

PARAMETERS: Mapping[str, Any] = {
    "AddCartItemRequest.product_id": _PRODUCT,
    "AdjustStockRequest.product_id": _PRODUCT,
    "BatchGetProductsRequest.ids": [_PRODUCT, str(product_id(1))],
    "Category.id": _CATEGORY,
    "CreateTaxCategoryRequest.tax_category_id": "books",
    "DeleteProductRequest.product_id": _PRODUCT,
    "GetCategoryRequest.category_id": _CATEGORY,
    "GetPictureRequest.name": name(_PICTURE, "small"),
    "GetProductGroupRequest.group_id": str(group_id(0)),
    "GetProductRequest.product_id": _PRODUCT,
    "GetSlugRequest.kind": "category",
    "GetSlugRequest.slug": "running",
    "SetProductPicturesRequest.product_id": _PRODUCT,
    "Product.id": _PRODUCT,
    "RemoveCartItemRequest.product_id": _PRODUCT,
    "SetCartItemRequest.product_id": _PRODUCT,
    "UndeleteProductRequest.product_id": _PRODUCT,
}
"""Parameters that must be there, by message and field: things of the demo shop.

Others, such as the id of an order or of a category without products, the caller gets from the shop.
So it does with the quote in a body.
"""
