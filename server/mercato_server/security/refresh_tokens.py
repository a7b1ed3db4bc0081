"""Refresh tokens: opaque, 256 bits, each with one successor (RFC 9700 section 4.14.2).

A successor is a keyed digest of its predecessor. A client that lost the response gets the same token again, although the database stores
only digests.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

PREFIX = "mrt_"
"""Prefix by which people and secret scanners recognise a token."""
BYTES = 32
LENGTH = len(PREFIX) + 43


@dataclass(frozen=True, slots=True)
class RefreshTokens:
    """Makes refresh tokens, with the server's secret."""

    secret: str = field(repr=False)

    def first(self) -> str:
        """Return the first token of a new session."""
        return _text(secrets.token_bytes(BYTES))

    def after(self, token: str) -> str:
        """Return the one successor of a token."""
        return _text(hmac.digest(self.secret.encode(), b"mercato refresh token\0" + token.encode(), hashlib.sha256))


def digest(token: str) -> bytes:
    """Return the stored digest of a token. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def _text(value: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(value).rstrip(b"=").decode()
