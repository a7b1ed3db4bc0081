"""One class of error for each gRPC code; `mercato.errors` has the classes by reason below them."""

from typing import NamedTuple

from google.rpc import error_details_pb2

from mercato._call_errors import CallError


class Violation(NamedTuple):
    """An invalid field of a request."""

    field: str
    """Path of the field, such as `product.price`; empty if the whole request is meant."""
    description: str
    """How to correct it."""


class Cancelled(CallError):
    """The call was cancelled, such as by closing its client."""

    code_name = "CANCELLED"


class Unknown(CallError):
    """The server failed in a way that it does not describe."""

    code_name = "UNKNOWN"


class InvalidArgument(CallError):
    """The request breaks the contract: change it."""

    code_name = "INVALID_ARGUMENT"

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The invalid fields, at most 50."""
        found = self.detail(error_details_pb2.BadRequest)
        return tuple(Violation(each.field, each.description) for each in found.field_violations) if found is not None else ()


class DeadlineExceeded(CallError):
    """The timeout ended before the answer came."""

    code_name = "DEADLINE_EXCEEDED"


class _OfResource(CallError):
    """An error about a resource that the request names."""

    @property
    def resource_type(self) -> str:
        """Type of the resource, such as `mercato.v1.Product`; empty if the shop does not tell."""
        found = self.detail(error_details_pb2.ResourceInfo)
        return found.resource_type if found is not None else ""

    @property
    def resource_name(self) -> str:
        """Name or id of the resource; empty if the shop does not tell."""
        found = self.detail(error_details_pb2.ResourceInfo)
        return found.resource_name if found is not None else ""


class NotFound(_OfResource):
    """There is no such resource, or the caller may not see it."""

    code_name = "NOT_FOUND"


class AlreadyExists(_OfResource):
    """Another resource has what must be unique."""

    code_name = "ALREADY_EXISTS"


class PermissionDenied(CallError):
    """The caller is known, and may not do this."""

    code_name = "PERMISSION_DENIED"


class Unauthenticated(CallError):
    """The credentials are missing or no longer valid."""

    code_name = "UNAUTHENTICATED"


class ResourceExhausted(CallError):
    """A limit is reached; `retry_after_s` says when to try again, if that helps."""

    code_name = "RESOURCE_EXHAUSTED"


class FailedPrecondition(CallError):
    """The state of the shop does not allow the call."""

    code_name = "FAILED_PRECONDITION"


class Aborted(CallError):
    """Something changed meanwhile: read it again."""

    code_name = "ABORTED"


class OutOfRange(CallError):
    """A value is beyond what the server knows."""

    code_name = "OUT_OF_RANGE"


class Unimplemented(CallError):
    """The server does not have the RPC: it is of another release, or no server of Mercato."""

    code_name = "UNIMPLEMENTED"


class Internal(CallError):
    """The server failed; its log has the request id."""

    code_name = "INTERNAL"


class Unavailable(CallError):
    """The server, or something that it needs, is away for now."""

    code_name = "UNAVAILABLE"


class DataLoss(CallError):
    """Data were lost or corrupted."""

    code_name = "DATA_LOSS"


CODES: dict[str, type[CallError]] = {
    kind.code_name: kind
    for kind in (
        Aborted,
        AlreadyExists,
        Cancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        NotFound,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Unknown,
    )
}
"""The classes by the name of their code."""
