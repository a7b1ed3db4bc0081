"""Errors with which a call can be refused."""

from typing import Any
from uuid import UUID


class Refusal(Exception):
    """An error response: HTTP status, code and reason as Mercato has them, and a message."""

    def __init__(self, status: int, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.content: dict[str, Any] = {
            "code": code,
            "message": message,
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "mercato.internal", "metadata": {}},
            ],
        }


def token_invalid() -> Refusal:
    """Refuse an invalid token."""
    return Refusal(401, 16, "TOKEN_INVALID", "the access token is not valid; log in to get one")


def product_not_found(product_id: UUID) -> Refusal:
    """Refuse a product that is not on sale."""
    return Refusal(404, 5, "PRODUCT_NOT_FOUND", f"product {product_id} does not exist")


def invalid(reason: str, message: str) -> Refusal:
    """Refuse a malformed request."""
    return Refusal(400, 3, reason, message)


def unmet(reason: str, message: str) -> Refusal:
    """Refuse a request that the state of the shop forbids."""
    return Refusal(400, 9, reason, message)
