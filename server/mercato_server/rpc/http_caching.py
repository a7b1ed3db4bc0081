"""What lets a cache between client and server keep an answer over REST, and ask whether it is still good."""

import hashlib
import re
from typing import Any

from mercato.rpcs import Rpc

_TAGS = re.compile(r'"[^"]*"')
NOT_MODIFIED = ("x-not-modified", "true")
"""Tells the edge to make the answer a 304."""


def validators(rpc: Rpc, answer: bytes, transport: Any) -> list[tuple[str, str]]:
    """Return the headers of a serialized answer, by the RPC's policy; none for a caller who speaks gRPC.

    The entity tag is a digest of the answer, compared weakly with those of `if-none-match` (RFC 9110 section 13.1.2).
    """
    asked = {name: value for name, value in transport.invocation_metadata() or () if name in ("x-envoy-original-path", "if-none-match")}
    if "x-envoy-original-path" not in asked:
        return []
    etag = f'"{hashlib.blake2b(answer, digest_size=12).hexdigest()}"'
    headers = [("etag", etag), ("cache-control", f"public, max-age={rpc.policy.max_age_s}")]
    known = asked.get("if-none-match", "")
    return [*headers, NOT_MODIFIED] if known.strip() == "*" or etag in _TAGS.findall(known) else headers
