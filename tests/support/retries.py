"""The reasons of errors by whether a retry helps: whether the same request, sent again later, may succeed without another change."""

RETRY_HELPS = {
    # The caller has to wait.
    "CONFLICT": True,
    "DATABASE_UNAVAILABLE": True,
    "HASHING_UNAVAILABLE": True,
    "OVERLOADED": True,
    "TOO_MANY_ATTEMPTS": True,
    "TOO_MANY_CALLS": True,
    "TOO_MANY_MAILS": True,
    "TOO_MANY_STREAMS": True,
    # The request, or what it is about, has to change first.
    "ADMIN_ONLY": False,
    "CART_EMPTY": False,
    "CART_LIMIT": False,
    "CATEGORY_IN_USE": False,
    "CATEGORY_NOT_FOUND": False,
    "CATEGORY_TAKEN": False,
    "EMAIL_NOT_VERIFIED": False,
    "EMAIL_TAKEN": False,
    "ETAG_MISMATCH": False,
    "IDEMPOTENCY_KEY_REUSED": False,
    "INTERNAL": False,
    "INVALID_CREDENTIALS": False,
    "INVALID_FIELD": False,
    "LAST_ADMIN": False,
    "ONE_TIME_TOKEN_INVALID": False,
    "OPEN_ORDERS_LIMIT": False,
    "MALFORMED_REQUEST": False,
    "ORDER_NOT_FOUND": False,
    "ORDER_STATE": False,
    "OUT_OF_STOCK": False,
    "PAGE_TOKEN_INVALID": False,
    "PASSWORD_WRONG": False,
    "PRODUCT_NOT_DELETED": False,
    "PRODUCT_NOT_FOUND": False,
    "REFRESH_TOKEN_INVALID": False,
    "REQUEST_TOO_LARGE": False,
    "RESPONSE_TOO_LARGE": False,
    "SERVICE_UNKNOWN": False,
    "SESSION_NOT_FOUND": False,
    "SKU_TAKEN": False,
    "STOCK_CHANGED": False,
    "STOCK_LIMIT": False,
    "STREAM_TOO_LONG": False,
    "TOKEN_INVALID": False,
    "TOO_MANY_KEYS": False,
    "TOTAL_CHANGED": False,
    "UNITS_LIMIT": False,
    "USER_NOT_FOUND": False,
    # The deadline is the caller's own: a call without a key may have had its effect.
    "DEADLINE_EXCEEDED": False,
}
"""Every reason of a worker."""

RETRY_HELPS_AT_THE_EDGE = {"RATE_LIMITED", "UPSTREAM_UNAVAILABLE"}
"""The reasons of the edge itself whose requests may succeed later."""
