"""Page tokens: signed positions in a list, each bound to the query of its list."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from uuid import UUID

from mercato_server.domain.errors import PageTokenInvalid

_MAC_BYTES = 16
_TOKEN_MAX_CHARACTERS = 4_096
_ABOVE_ALL = UUID(int=2**128 - 1)

Key = int | str | bytes | None


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: its sort key (None if the list is sorted by id alone) and its id.

    `spelling` is the correction that the first page of a search made to the query, or None. The other pages use the same correction, even
    if the vocabulary has changed since.
    """

    key: Key
    id: UUID
    spelling: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The requested part of a list: `size` rows that follow a position, after skipping `skip` rows."""

    size: int
    after: Position | None = None
    skip: int = 0

    @property
    def below(self) -> UUID:
        """The exclusive upper bound of the ids on the page, for a list of decreasing ids."""
        return self.after.id if self.after else _ABOVE_ALL


class PageTokens:
    """Encodes positions as tokens and decodes them.

    A token is URL-safe and opaque, and grants no rights. It is valid only for the arguments of its list. `query` is a text that
    represents these arguments; it must be equal at encoding and decoding.
    """

    def __init__(self, secret: str) -> None:
        self._key = _page_token_key(secret)

    def encode(self, position: Position, query: str) -> str:
        """Return the token of a position in the list that `query` represents."""
        key = [base64.b64encode(position.key).decode()] if isinstance(position.key, bytes) else position.key
        values = [key, position.id.hex, *([position.spelling] if position.spelling else [])]
        body = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._mac(body, query) + body).rstrip(b"=").decode()

    def decode(self, token: str, query: str) -> Position:
        """Return the position of a token; raises PageTokenInvalid unless `encode` made it for this query."""
        if len(token) > _TOKEN_MAX_CHARACTERS:
            raise PageTokenInvalid
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise PageTokenInvalid from None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body, query)):
            raise PageTokenInvalid
        key, row_id, *spelling = json.loads(body)
        if isinstance(key, list):
            key = base64.b64decode(key[0])
        return Position(key, UUID(row_id), *spelling)

    def _mac(self, body: bytes, query: str) -> bytes:
        return hmac.digest(self._key, hashlib.sha256(query.encode()).digest() + body, hashlib.sha256)[:_MAC_BYTES]


def _page_token_key(secret: str) -> bytes:
    # The key is derived, so that no other signature by the server's secret is valid as a page token.
    return hmac.digest(secret.encode(), b"mercato page tokens", hashlib.sha256)
