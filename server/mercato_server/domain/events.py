"""What the change feed tells of, and who reads it without missing anything. The values are those of the database.

Another release may know more kinds and more consumers: what is not here is left alone.
"""

from enum import StrEnum


class EventKind(StrEnum):
    """Something that happened to the subject of an event."""

    PRODUCT_CREATED = "product.created"
    PRODUCT_UPDATED = "product.updated"
    PRODUCT_DELETED = "product.deleted"
    PRODUCT_UNDELETED = "product.undeleted"
    STOCK_CHANGED = "stock.changed"
    CATEGORY_CREATED = "category.created"
    CATEGORY_UPDATED = "category.updated"
    CATEGORY_DELETED = "category.deleted"
    ORDER_PLACED = "order.placed"
    ORDER_PAID = "order.paid"
    ORDER_SHIPPED = "order.shipped"
    ORDER_DELIVERED = "order.delivered"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"
    SESSION_ENDED = "session.ended"
    KEYS_CHANGED = "keys.changed"


class ConsumerName(StrEnum):
    """A consumer of the feed that has a cursor."""

    ORDER_MAILS = "order mails"
