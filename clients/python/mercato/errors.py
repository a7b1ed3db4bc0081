"""Errors of Mercato as objects: the reason to branch on, and the details."""

from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from mercato.v1 import order_pb2

DOMAIN = "mercato.internal"
"""The domain of the errors of Mercato, the same for all shops: reasons are unique within it."""
# Imported so that the details of an error are known here and can be unpacked.
_KNOWN = (error_details_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class MercatoCallError:
    """The error of a failed call."""

    code: grpc.StatusCode
    reason: str
    """UPPER_SNAKE, such as OUT_OF_STOCK; empty if the error did not come from Mercato itself."""
    message: str
    """For people; may change."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The values of the message, and others that belong to the reason, such as the current etag."""
    details: tuple[Message, ...] = ()
    """google.rpc.BadRequest, PreconditionFailure, RetryInfo, ResourceInfo; mercato.v1.StockShortage."""


def call_error(error: grpc.RpcError) -> MercatoCallError:
    """Return the details of an error that a stub raised, synchronous or not."""
    call: Any = error
    trailers = dict(call.trailing_metadata() or ())
    status = Status.FromString(trailers.get("grpc-status-details-bin", b""))
    details = tuple(message for packed in status.details if (message := _unpack(packed)) is not None)
    infos = (detail for detail in details if isinstance(detail, error_details_pb2.ErrorInfo) and detail.domain == DOMAIN)
    info = next(infos, error_details_pb2.ErrorInfo())
    return MercatoCallError(call.code(), info.reason, call.details() or "", dict(info.metadata), details)


def _unpack(packed: Any) -> Message | None:
    name = packed.type_url.rpartition("/")[2]
    try:
        message: Message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
    except KeyError:  # of a newer server
        return None
    packed.Unpack(message)
    return message
