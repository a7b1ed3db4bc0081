"""ETag, Cache-Control and 304 for reads over REST, so that browsers and proxies can keep an answer and revalidate it."""

import hashlib
import re
from typing import Any

from mercato.rpcs import Rpc
from mercato_server.rpc.context import Metadata

_TAGS = re.compile(r'"[^"]*"')
NO_STORE = ("cache-control", "no-store")
NOT_MODIFIED = ("x-not-modified", "true")
"""Header by which a worker asks the edge to send a 304."""


def validators(rpc: Rpc, answer: bytes, received: Metadata) -> list[tuple[str, str]]:
    """Return the caching headers of a serialized answer to a call with this metadata, by the RPC's policy; none for a gRPC client.

    The entity tag is a digest of the answer, compared weakly with those of `if-none-match` (RFC 9110 section 13.1.2).
    """
    asked: dict[str, Any] = {name: value for name, value in received if name in ("x-envoy-original-path", "if-none-match")}
    if "x-envoy-original-path" not in asked:
        return []
    etag = f'"{hashlib.blake2b(answer, digest_size=12).hexdigest()}"'
    headers = [("etag", etag), ("cache-control", f"public, max-age={rpc.policy.max_age_s}")]
    known = asked.get("if-none-match", "")
    return [*headers, NOT_MODIFIED] if known.strip() == "*" or etag in _TAGS.findall(known) else headers
