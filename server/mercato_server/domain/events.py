"""The kinds of events in the change feed, and the names of its durable consumers. The values are those of the database.

Another release may have more kinds and consumers; this release ignores those.
"""

from enum import StrEnum


class EventKind(StrEnum):
    """The kind of change that an event reports about its subject."""

    PRODUCT_CREATED = "product.created"
    PRODUCT_UPDATED = "product.updated"
    PRODUCT_DELETED = "product.deleted"
    PRODUCT_UNDELETED = "product.undeleted"
    PRODUCT_GROUP_CREATED = "product_group.created"
    PRODUCT_GROUP_UPDATED = "product_group.updated"
    PRODUCT_GROUP_DELETED = "product_group.deleted"
    STOCK_CHANGED = "stock.changed"
    CATEGORY_CREATED = "category.created"
    CATEGORY_UPDATED = "category.updated"
    CATEGORY_MOVED = "category.moved"
    CATEGORY_DELETED = "category.deleted"
    ORDER_PLACED = "order.placed"
    ORDER_PAID = "order.paid"
    ORDER_SHIPPED = "order.shipped"
    ORDER_DELIVERED = "order.delivered"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_PROCESSING = "payment.processing"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_DISPUTED = "payment.disputed"
    REFUND_CREATED = "refund.created"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    SHIPMENT_CREATED = "shipment.created"
    SHIPMENT_SHIPPED = "shipment.shipped"
    SHIPMENT_DELIVERED = "shipment.delivered"
    SHIPMENT_CANCELLED = "shipment.cancelled"
    RETURN_CREATED = "return.created"
    SESSION_ENDED = "session.ended"
    KEYS_CHANGED = "keys.changed"
    SHOP_RESTORED = "shop.restored"
    """The database was set back to an earlier time; what readers outside of it know of later events is void."""


class ConsumerName(StrEnum):
    """The name of a consumer of the feed that has a cursor."""

    ORDER_MAILS = "order mails"
