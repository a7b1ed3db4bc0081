"""The commands of the shopkeeper's `mercato`: the name of each RPC on the command line, and the columns of each message."""

from typing import NamedTuple


class Group(NamedTuple):
    """A group of commands, such as `mercato products`."""

    help: str
    commands: dict[str, str]
    """RPC by the name of its command: `service.method` of the Python client."""


GROUPS: dict[str, Group] = {
    "products": Group(
        "Products of the catalog.",
        {
            "list": "catalog.list_products",
            "get": "catalog.get_product",
            "create": "catalog.create_product",
            "update": "catalog.update_product",
            "delete": "catalog.delete_product",
            "undelete": "catalog.undelete_product",
        },
    ),
    "stock": Group("Units on hand.", {"list": "catalog.list_products", "adjust": "catalog.adjust_stock"}),
    "categories": Group(
        "The category tree.",
        {
            "list": "catalog.list_categories",
            "get": "catalog.get_category",
            "create": "catalog.create_category",
            "update": "catalog.update_category",
            "delete": "catalog.delete_category",
        },
    ),
    "groups": Group(
        "Product groups and their variants.",
        {
            "list": "catalog.list_product_groups",
            "get": "catalog.get_product_group",
            "create": "catalog.create_product_group",
            "update": "catalog.update_product_group",
            "upsert": "catalog.upsert_product_group",
            "delete": "catalog.delete_product_group",
        },
    ),
    "pictures": Group("Pictures of products.", {"status": "media.get_picture_upload", "set": "media.set_product_pictures"}),
    "orders": Group(
        "Orders of all buyers.",
        {
            "list": "orders.list_all_orders",
            "get": "orders.get_order",
            "advance": "orders.advance_order",
            "cancel": "orders.cancel_order",
            "cancel-items": "fulfillment.cancel_order_items",
            "notes": "orders.list_order_notes",
            "note": "orders.create_order_note",
        },
    ),
    "shipments": Group(
        "Shipments of orders.",
        {
            "list": "fulfillment.list_shipments",
            "get": "fulfillment.get_shipment",
            "create": "fulfillment.create_shipment",
            "ship": "fulfillment.ship_shipment",
            "deliver": "fulfillment.deliver_shipment",
            "cancel": "fulfillment.cancel_shipment",
        },
    ),
    "returns": Group("Goods that came back.", {"list": "fulfillment.list_returns", "create": "fulfillment.create_return"}),
    "payments": Group(
        "Payments of orders.",
        {
            "list": "payments.list_all_payments",
            "of-order": "payments.list_payments",
            "get": "payments.get_payment",
            "create": "payments.create_payment",
            "capture": "payments.capture_payment",
            "cancel": "payments.cancel_payment",
            "disputes": "payments.list_disputes",
            "requests": "payments.list_payment_requests",
            "events": "payments.list_payment_events",
            "resolve-event": "payments.resolve_payment_event",
        },
    ),
    "refunds": Group(
        "Refunds of payments.",
        {"list": "payments.list_all_refunds", "of-order": "payments.list_refunds", "create": "payments.create_refund"},
    ),
    "tax-rates": Group(
        "Rates of taxes.",
        {
            "list": "taxes.list_tax_rates",
            "get": "taxes.get_tax_rate",
            "create": "taxes.create_tax_rate",
            "update": "taxes.update_tax_rate",
            "archive": "taxes.archive_tax_rate",
        },
    ),
    "tax-categories": Group(
        "Kinds of goods that are taxed alike.",
        {
            "list": "taxes.list_tax_categories",
            "get": "taxes.get_tax_category",
            "create": "taxes.create_tax_category",
            "update": "taxes.update_tax_category",
            "archive": "taxes.archive_tax_category",
        },
    ),
    "shipping-zones": Group(
        "Areas of the world with the same shipping rates.",
        {
            "list": "shipping.list_shipping_zones",
            "get": "shipping.get_shipping_zone",
            "create": "shipping.create_shipping_zone",
            "update": "shipping.update_shipping_zone",
            "archive": "shipping.archive_shipping_zone",
        },
    ),
    "shipping-methods": Group(
        "Ways to send goods, and their rates.",
        {
            "list": "shipping.list_shipping_methods",
            "get": "shipping.get_shipping_method",
            "create": "shipping.create_shipping_method",
            "update": "shipping.update_shipping_method",
            "archive": "shipping.archive_shipping_method",
        },
    ),
    "promotions": Group(
        "Promotions and their codes.",
        {
            "list": "promotions.list_promotions",
            "get": "promotions.get_promotion",
            "create": "promotions.create_promotion",
            "update": "promotions.update_promotion",
            "archive": "promotions.archive_promotion",
            "codes": "promotions.list_promotion_codes",
            "create-code": "promotions.create_promotion_code",
            "generate-codes": "promotions.generate_promotion_codes",
            "archive-code": "promotions.archive_promotion_code",
        },
    ),
    "users": Group("Accounts.", {"list": "users.list_users", "get": "users.get_user", "update": "users.update_user"}),
    "sessions": Group(
        "Logins of your own account.",
        {"list": "auth.list_sessions", "revoke": "auth.revoke_session", "revoke-all": "auth.logout_all"},
    ),
    "audit": Group("Changes that administrators made.", {"list": "audit.list_audit_log"}),
    "shop": Group("Settings of the shop.", {"get": "shop.get_shop", "update": "shop.update_shop"}),
}

BY_OTHER_COMMANDS = {
    "media.create_picture_upload": "`mercato pictures upload` calls it",
    "media.upload_picture_content": "`mercato pictures upload` calls it",
    "media.complete_picture_upload": "`mercato pictures upload` calls it",
    "users.get_admin_only": "it does nothing",
}
"""RPCs for administrators that have no command of their own, and why."""

DESTROY = frozenset(
    {
        "auth.logout_all",
        "auth.revoke_session",
        "catalog.delete_category",
        "catalog.delete_product",
        "catalog.delete_product_group",
        "catalog.upsert_product_group",  # delete_others
        "fulfillment.cancel_order_items",
        "fulfillment.cancel_shipment",
        "orders.cancel_order",
        "payments.cancel_payment",
        "payments.create_refund",
        "promotions.archive_promotion",
        "promotions.archive_promotion_code",
        "shipping.archive_shipping_method",
        "shipping.archive_shipping_zone",
        "taxes.archive_tax_category",
        "taxes.archive_tax_rate",
    }
)
"""RPCs whose effect cannot be taken back by another command: they ask first."""

COLUMNS: dict[str, str] = {
    "AuditEntry": "create_time action actor_id subject_id id request_id",
    "Category": "id name slug parent_id position",
    "Dispute": "id order_id payment_id state amount withdrawn reason update_time",
    "GeneratePromotionCodesResponse": "batch_id count",
    "CreatePaymentResponse": "payment.id payment.order_id payment.state payment.amount",
    "LogoutAllResponse": "ended_sessions",
    "Order": "number id status payment_status fulfillment_status total contact_email create_time",
    "OrderNote": "id create_time actor_id text",
    "Payment": "id order_id method state amount captured refunded update_time",
    "PaymentEvent": "id provider kind failure happen_time resolve_time",
    "PaymentRequest": "id order_id kind amount tries failure outcome create_time",
    "PictureUpload": "id state picture.id refusal_reason expire_time",
    "Product": "id sku name price stock category_id slug update_time delete_time",
    "ProductGroup": "id code name variant_count min_price max_price slug",
    "Promotion": "id name kind needs_code used usage_limit start_time end_time archive_time",
    "PromotionCode": "code batch_id usage_limit used archive_time",
    "Refund": "id order_id payment_id state amount reason update_time",
    "Return": "id order_id restocked reason create_time",
    "Session": "id current user_agent ip_address create_time expire_time",
    "Shipment": "id order_id state carrier tracking_number ship_time deliver_time",
    "ShippingMethod": "id name position tax_category archive_time",
    "ShippingZone": "id name archive_time",
    "Shop": "currency_code country_code prices_include_tax tax_rounding time_zone update_time",
    "TaxCategory": "id display_name archive_time",
    "TaxRate": "id country_code region tax_category name rate_ppm valid_from valid_until archive_time",
    "User": "id email full_name role disabled email_verified create_time",
}
"""Columns of the table of each message."""

OWN_COLUMNS = {("stock", "list"): "id sku name stock", ("stock", "adjust"): "id sku name stock"}
"""Columns of commands that show less than their message has."""

AMOUNTS = frozenset({"min_price", "max_price", "min_total", "max_total"})
"""Numbers of minor units, which a person types as an amount."""

RENAMED = {"compare_and_set.stock": "stock", "compare_and_set.expected_stock": "expected-stock"}
"""Options that are not named as their fields."""
