"""The fields that an update writes (AIP-134)."""

from collections.abc import Collection

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mercato_server.domain.messages import LISTED_MAX
from mercato_server.rpc.context import Context
from mercato_server.rpc.headers import ORIGINAL_METHOD
from mercato_server.validation.checks import Checks

PATH_MAX = 64
"""The number of characters of a wrong path that an error repeats."""


def replace_by_put(context: Context, mask: FieldMask) -> None:
    """Write `*` into the mask of a PUT without one: it replaces all fields. For an idempotency key it is another request than a PATCH."""
    if context.metadata(ORIGINAL_METHOD) == "PUT" and not mask.paths:
        mask.paths.append("*")


def masked(check: Checks, mask: FieldMask, message: Message, writable: Collection[str]) -> list[str]:
    """Return the fields to write: those of the mask, all of them for `*`, and those that the message has if the mask is empty.

    A path that is not writable is a violation of `update_mask`.
    """
    paths = list(mask.paths)
    if not paths:
        paths = [field.name for field, _ in message.ListFields() if field.name in writable]
    elif paths == ["*"]:
        paths = list(writable)
    for path in [path for path in paths if path not in writable][:LISTED_MAX]:
        check.fail("update_mask", "{path!r} cannot be changed; use {allowed} or *", path=path[:PATH_MAX], allowed=", ".join(writable))
    return [field for field in writable if field in paths]
