"""What a call can be refused for."""

from typing import Any
from uuid import UUID


class Refusal(Exception):
    """An answer that is no success: HTTP status, code and reason as Mercato has them, and a text."""

    def __init__(self, status: int, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.content: dict[str, Any] = {
            "code": code,
            "message": message,
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "mercato", "metadata": {}},
            ],
        }


def token_invalid() -> Refusal:
    """Refuse a token."""
    return Refusal(401, 16, "TOKEN_INVALID", "the access token is not valid; log in to get one")


def product_not_found(product_id: UUID) -> Refusal:
    """Refuse a product that is not on sale."""
    return Refusal(404, 5, "PRODUCT_NOT_FOUND", f"product {product_id} does not exist")


def invalid(reason: str, message: str) -> Refusal:
    """Refuse a request that nobody could serve."""
    return Refusal(400, 3, reason, message)


def unmet(reason: str, message: str) -> Refusal:
    """Refuse what the state of the shop forbids."""
    return Refusal(400, 9, reason, message)
