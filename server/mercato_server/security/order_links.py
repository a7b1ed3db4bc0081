"""Tokens of links that show an order to anyone who has them.

A token is a keyed digest of the order's id and of the purpose of the link. The mails that have it are old when keys are rotated, so it
depends on the server's secret alone, and not on the keys that sign access tokens.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID

PREFIX = "mol_"
"""Prefix by which people and secret scanners recognise a token."""
LENGTH = len(PREFIX) + 43
VIEW = b"view"
"""The purpose of a link that shows the order."""


@dataclass(frozen=True, slots=True)
class OrderLinks:
    """Makes and verifies tokens, with the server's secret."""

    secret: str = field(repr=False)

    def of(self, order_id: UUID) -> str:
        """Return the one token of an order."""
        value = hmac.digest(self.secret.encode(), b"mercato order link\0" + VIEW + b"\0" + order_id.bytes, hashlib.sha256)
        return PREFIX + base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    def verifies(self, order_id: UUID, token: str) -> bool:
        """Return whether a token is that of an order; the time that this takes does not depend on the token's content."""
        return hmac.compare_digest(self.of(order_id).encode(), token.encode())
