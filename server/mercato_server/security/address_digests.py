"""Digests of e-mail addresses and of clients' networks, by which failed logins are counted.

They are keyed, because people type passwords into the wrong field.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from mercato_server.store.login_attempts import Counters


@dataclass(frozen=True, slots=True)
class AddressDigests:
    """Makes digests of addresses, with the server's secret."""

    secret: str = field(repr=False)

    def counters(self, address: str, network: str) -> Counters:
        """Return where an attempt counts: for an address, which is in lower case, from a network and from everywhere."""
        return Counters(here=self._of(address, network), everywhere=self._of(address))

    def network(self, network: str) -> bytes:
        """Return the digest of a network, by which its guests are counted."""
        return hmac.digest(self.secret.encode(), b"mercato guests\0" + network.encode(), hashlib.sha256)

    def _of(self, *parts: str) -> bytes:
        return hmac.digest(self.secret.encode(), "\0".join(("mercato login attempts", *parts)).encode(), hashlib.sha256)
