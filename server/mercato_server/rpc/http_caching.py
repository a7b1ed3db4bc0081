"""ETag, Cache-Control and 304 over REST, so that browsers and proxies can keep an answer, and a client can make a change conditional."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from mercato.rpcs import Rpc, rpcs
from mercato_server.rpc.context import Metadata
from mercato_server.rpc.headers import HTTP_STATUS, ORIGINAL_PATH

_TAGS = re.compile(r'"[^"]*"')
_READ = frozenset({"authorization", "if-none-match", ORIGINAL_PATH})
NO_STORE = ("cache-control", "no-store")
NOT_MODIFIED = (HTTP_STATUS, "304")

Validators = Callable[[bytes, Metadata], list[tuple[str, str]]]
"""Returns the headers of an answer to a call with this metadata."""


def validators(rpc: Rpc) -> Validators | None:
    """Return the function that makes the caching headers of a serialized answer, none for a gRPC client; None if no answer has any.

    The entity tag is a digest of the answer, after the resource's etag if it has one, so that `if-match` finds the etag in it. It is
    compared weakly with those of `if-none-match` (RFC 9110 section 13.1.2). That of an immutable answer is the last part of its path, and
    it makes no difference who reads it.
    """
    max_age_s, shared_max_age_s = rpc.policy.max_age_s, rpc.policy.shared_max_age_s
    for_anyone = f"public, max-age={max_age_s}" + (f", s-maxage={shared_max_age_s}" if shared_max_age_s else "")
    etag_of = _etag_of(rpc)
    if etag_of is None and not max_age_s:
        return None

    def headers(answer: bytes, received: Metadata) -> list[tuple[str, str]]:
        asked: dict[str, Any] = {name: value for name, value in received if name in _READ}
        if ORIGINAL_PATH not in asked:
            return []
        if rpc.policy.immutable:
            tag = f'"{asked[ORIGINAL_PATH].partition("?")[0].rstrip("/").rpartition("/")[2]}"'
            made = [("etag", tag), ("cache-control", f"{for_anyone}, immutable")]
            return [*made, NOT_MODIFIED] if _names(asked.get("if-none-match", ""), tag) else made
        digest = hashlib.blake2b(answer, digest_size=12).hexdigest()
        tag = f'"{etag_of(answer)}-{digest}"' if etag_of else f'"{digest}"'
        made = [("etag", tag)]
        if max_age_s:
            # RFC 9111 section 5.2.2: what a caller with a token reads may be newer than a copy that others have kept.
            made.append(("cache-control", "private, no-cache" if "authorization" in asked else for_anyone))
        known = asked.get("if-none-match", "") if rpc.reads else ""
        return [*made, NOT_MODIFIED] if _names(known, tag) else made

    return headers


def _names(known: str, tag: str) -> bool:
    """Tell whether `if-none-match` names a tag."""
    return known.strip() == "*" or tag in _TAGS.findall(known)


def _etag_of(rpc: Rpc) -> Callable[[bytes], str] | None:
    """Return the function that reads the etag of an answer; None for an RPC whose answer has none, or has one that no header needs.

    A client needs the header of a read for `if-none-match`, and that of a change for the `if-match` of the next one.
    """
    answers: type[Message] = rpc.response_type
    needed = rpc.reads or any(other.takes_etag and other.response_type is answers for other in rpcs())
    if not needed or "etag" not in answers.DESCRIPTOR.fields_by_name:
        return None
    return lambda answer: answers.FromString(answer).etag  # type: ignore[attr-defined] # its descriptor has the field
