"""Conversion of a MercatoError to google.rpc.Status with details (AIP-193)."""

import math
from collections.abc import Iterator

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from mercato.errors import DOMAIN
from mercato.v1.cart_pb2 import QuoteChange
from mercato.v1.order_pb2 import StockShortage
from mercato.v1.price_pb2 import PriceBreakdown
from mercato_server.domain.errors import Code, InvalidRequest, MercatoError, OutOfStock
from mercato_server.domain.quotes import QuoteChanged
from mercato_server.rpc.context import Transport
from mercato_server.rpc.prices import breakdown

PUSHBACK = "grpc-retry-pushback-ms"
"""Metadata by which a server decides about the retries of a client's gRPC (gRFC A6)."""
PUSHBACK_MAX_S = 5.0
"""Longest delay for a call without a deadline, which would wait for it without the knowledge of its caller."""
MESSAGE_MAX = 1_000
METADATA_VALUE_MAX = 500
QUOTED_MAX = 10
"""Lines and discounts of each price in a QuoteChange, which are larger."""
DETAILS_MAX = 50
"""Violations or lines in one error: a status travels in headers, which are limited to 8 KiB by many clients."""


async def abort(transport: Transport, error: MercatoError, *more: tuple[str, str]) -> None:
    """End a call with an error, and with more trailing metadata; raises AbortError."""
    pushback = PUSHBACK, str(pushback_ms(error, transport.time_remaining()))
    await transport.abort(status_code(error), status_message(error), (*status_metadata(error), pushback, *more))


def pushback_ms(error: MercatoError, left_s: float | None) -> int:
    """Return the milliseconds after which a client's gRPC may repeat a call with so much time left; -1 forbids it to.

    It is never 0, at which gRPC's C core hangs. A delay that the call cannot wait for forbids too: the caller then gets this error, instead
    of DEADLINE_EXCEEDED later.
    """
    delay_s = error.retry_after_s
    if delay_s is None or delay_s >= (PUSHBACK_MAX_S if left_s is None else left_s):
        return -1
    return max(1, math.ceil(delay_s * 1000))


def status_metadata(error: MercatoError) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata of an error: the status with its details, and the headers that HTTP has for it."""
    status = Status(code=status_code(error).value[0], message=status_message(error))
    for detail in _details(error):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    metadata: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.SerializeToString()), ("cache-control", "no-store")]
    if error.retry_after_s is not None:
        metadata.append(("retry-after", str(math.ceil(error.retry_after_s))))
    if error.code is Code.UNAUTHENTICATED:
        metadata.append(("www-authenticate", "Bearer"))
    return tuple(metadata)


def status_code(error: MercatoError) -> StatusCode:
    """Return the gRPC code of an error."""
    return StatusCode[error.code.name]


def status_message(error: MercatoError) -> str:
    """Return the human-readable message, cut at MESSAGE_MAX characters."""
    return error.message if len(error.message) <= MESSAGE_MAX else error.message[: MESSAGE_MAX - 1] + "…"


def _details(error: MercatoError) -> Iterator[Message]:
    metadata = {name: value[:METADATA_VALUE_MAX] for name, value in error.metadata.items()}
    yield ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    if isinstance(error, InvalidRequest):
        yield BadRequest(
            field_violations=[
                BadRequest.FieldViolation(field=violation.field, description=violation.description)
                for violation in error.violations[:DETAILS_MAX]
            ]
        )
    if error.code is Code.FAILED_PRECONDITION:
        yield PreconditionFailure(violations=list(_preconditions(error)))
    if isinstance(error, OutOfStock):
        yield StockShortage(
            lines=[
                StockShortage.Line(
                    product_id=str(line.product_id), product_name=line.product_name, wanted=line.wanted, available=line.available
                )
                for line in error.shortages[:DETAILS_MAX]
            ]
        )
    if isinstance(error, QuoteChanged):
        prices = [breakdown(price, error.currency_code) for price in (error.quoted, error.current)]
        _leave_differences(*prices)
        yield QuoteChange(quoted=prices[0], current=prices[1])
    if error.retry_after_s is not None:
        seconds, fraction = divmod(error.retry_after_s, 1)
        yield RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=int(fraction * 1e9)))
    if error.resource_type:
        yield ResourceInfo(resource_type=error.resource_type, resource_name=error.resource[:METADATA_VALUE_MAX])


def _leave_differences(quoted: PriceBreakdown, current: PriceBreakdown) -> None:
    """Remove the lines and discounts that two prices have in common, and those beyond what fits into headers."""
    for field in ("lines", "discounts"):
        one, other = getattr(quoted, field), getattr(current, field)
        kept = [part for part in one if part not in other][:QUOTED_MAX], [part for part in other if part not in one][:QUOTED_MAX]
        for parts, rest in zip((one, other), kept, strict=True):
            del parts[:]
            parts.extend(rest)


def _preconditions(error: MercatoError) -> Iterator[PreconditionFailure.Violation]:
    if isinstance(error, OutOfStock):
        for line in error.shortages[:DETAILS_MAX]:
            yield PreconditionFailure.Violation(
                type=error.reason, subject=f"products/{line.product_id}", description=f"wanted {line.wanted}, available {line.available}"
            )
    else:
        yield PreconditionFailure.Violation(type=error.reason, description=status_message(error))
