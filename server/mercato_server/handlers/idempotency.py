"""The metadata `idempotency-key` of a call."""

import hashlib
import re

from google.protobuf.message import Message

from mercato_server.context import Context
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.store.idempotency import IdempotencyKey, Replay

HEADER = "idempotency-key"
REPLAYED = ("idempotent-replayed", "true")
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")


def idempotency_key(context: Context, request: Message) -> IdempotencyKey | None:
    """Return the key of a call, with the fingerprint of its request, or None if it brings none; raises InvalidRequest for a bad one."""
    key = context.metadata(HEADER)
    if key is None:
        return None
    if not _VISIBLE_ASCII.fullmatch(key):
        raise InvalidRequest([Violation(HEADER, "must be 1 to 255 visible ASCII characters")])
    content = context.rpc.method.encode() + b"\0" + request.SerializeToString(deterministic=True)
    return IdempotencyKey(context.account_id, key, context.rpc.method, hashlib.sha256(content).digest())


def replay(context: Context, stored: Replay) -> bytes:
    """Answer with what the first call of the key was answered, and say so in the initial metadata."""
    context.headers.append(REPLAYED)
    return stored.response
