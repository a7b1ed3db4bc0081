"""One-time tokens: opaque, 256 bits, sent by mail.

A token is a keyed digest of its mail's id. A mail that is sent again carries the same token, although the database stores only a digest
of it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID

PREFIX = "mot_"
"""Prefix by which people and secret scanners recognise a token."""
LENGTH = len(PREFIX) + 43


@dataclass(frozen=True, slots=True)
class OneTimeTokens:
    """Makes one-time tokens, with the server's secret."""

    secret: str = field(repr=False)

    def of(self, mail_id: UUID) -> str:
        """Return the one token of a mail."""
        value = hmac.digest(self.secret.encode(), b"mercato one-time token\0" + mail_id.bytes, hashlib.sha256)
        return PREFIX + base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """Return the stored digest of a token. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()
