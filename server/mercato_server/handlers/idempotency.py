"""Idempotency keys of calls, and the replay of stored responses."""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import Message

from mercato_server.domain.accounts import Role
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.rpc.context import Context
from mercato_server.store.idempotency import UNLIMITED, IdempotencyKey, Stored

HEADER = "idempotency-key"
REPLAYED = ("idempotent-replayed", "true")
KEY = re.compile(r"[!-~]{1,255}")

Result = TypeVar("Result")
Answer = Message | bytes
"""The return value of a handler: a message, or the bytes of a stored or cached one."""


class Idempotency:
    """Reads the idempotency keys of calls.

    The fingerprint of a request is a keyed digest (HMAC). A sign-up has a password, which an attacker with a copy of the database could
    guess from a plain digest.
    """

    def __init__(self, secret: str, keys_per_account: int) -> None:
        self._secret = hmac.digest(secret.encode(), b"mercato idempotency fingerprints", hashlib.sha256)
        self._keys_per_account = keys_per_account

    def key(self, context: Context, request: Message, to_message: Callable[[Result], Message]) -> IdempotencyKey | None:
        """Return the key of a call, or None if it has none; `to_message` creates the response to store.

        Raises InvalidRequest for a malformed key, and for several keys.
        """
        given = context.metadata_all(HEADER)
        if not given:
            return None
        key = given[0]
        if len(given) > 1:
            raise InvalidRequest([Violation(HEADER, "must be sent once")])
        if not KEY.fullmatch(key):
            raise InvalidRequest([Violation(HEADER, "must be 1 to 255 visible ASCII characters")])
        content = context.rpc.path.encode() + b"\0" + request.SerializeToString(deterministic=True)
        fingerprint = hmac.digest(self._secret, content, hashlib.sha256)
        return IdempotencyKey(
            scope_id=context.caller_id or _anonymous_scope(fingerprint),
            key=key,
            method=context.rpc.path,
            fingerprint=fingerprint,
            serialize=lambda result: to_message(result).SerializeToString(),
            # An administrator may change any number of products in a day. The role is not known to calls of carts and checkouts.
            live_max=UNLIMITED if context.role is Role.ADMIN else self._keys_per_account,
        )


def _anonymous_scope(fingerprint: bytes) -> UUID:
    """Return the scope of an anonymous call's key: its request. Two strangers that choose the same key do not meet in it.

    Its version differs from that of an account's id.
    """
    return UUID(bytes=fingerprint[:16], version=4)


def answer(context: Context, result: Result | Stored, to_message: Callable[[Result], Message]) -> Answer:
    """Return the message of a result, or the stored response; response metadata marks the replay of an earlier call's response."""
    if isinstance(result, Stored):
        if result.replayed:
            context.headers.append(REPLAYED)
            context.reported.clear()  # the call before has reported it
        return result.response
    return to_message(result)
