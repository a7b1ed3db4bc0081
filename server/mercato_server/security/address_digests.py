"""Digests of e-mail addresses, by which failed logins are counted.

They are keyed, because people type passwords into the wrong field.
"""

import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AddressDigests:
    """Makes digests of addresses, with the server's secret."""

    secret: str = field(repr=False)

    def of(self, address: str) -> bytes:
        """Return the digest of an address, which is in lower case."""
        return hmac.digest(self.secret.encode(), b"mercato login attempts\0" + address.encode(), hashlib.sha256)
