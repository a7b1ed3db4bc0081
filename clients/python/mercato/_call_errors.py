"""The errors of calls without their classes by code and reason: `mercato.errors` has those.

Nothing here imports gRPC: errors can be caught, pickled and read where only protobuf is loaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from mercato._root_error import MercatoError
from mercato.reasons import REASONS, RetryAdvice
from mercato.v1 import cart_pb2, order_pb2

DOMAIN = "mercato.internal"
"""The domain of the errors of Mercato, the same for all shops: reasons are unique within it."""
_KNOWN = (error_details_pb2.DESCRIPTOR, cart_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR)
"""Imported so that the pool knows the details of an error and can unpack them."""
_LOST = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN"})
"""Codes that gRPC itself gives a call that a worker may have served."""
_TOO_LARGE = "RESOURCE_EXHAUSTED"
"""Without a reason, gRPC gives this code for an answer that is too large: a worker has served the call."""
_RESENT = frozenset(reason.code for reason in REASONS.values() if reason.retry is RetryAdvice.AFTER_DELAY)
"""Codes of refusals that come before the server looks for the stored answer of a key."""
PREVIOUS_ATTEMPTS = "previous-attempts"
Detail = TypeVar("Detail", bound=Message)
MetadataItems = Iterable[tuple[str, str | bytes]]


class ConnectionFailed(MercatoError):
    """No connection, so nothing was sent. The message names the address and the cause."""


class ClientClosed(ConnectionFailed):
    """The client was closed before the call, so nothing was sent."""

    def __init__(self, message: str = "the client is closed") -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a call, as gRPC tells it, with what the client knows of the call."""

    code: str
    message: str
    status: bytes = b""
    """The `google.rpc.Status` of the answer, serialized; empty if the answer had none."""
    request_id: str = ""
    method: str = ""
    idempotency_key: str | None = None
    reads: bool = False
    """Whether the call changes nothing, so that its outcome is never in doubt."""
    sent: bool = True
    """Whether the request may have left the client."""
    resent: bool = False
    """Whether gRPC had sent the call before this answer, so that an earlier attempt may have acted."""


class CallError(MercatoError):
    """A call that failed. Its subclasses are classes by gRPC code, and below them classes by reason."""

    code_name: ClassVar[str] = ""
    """The gRPC code of the class; empty for `CallError` itself."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self._failure = failure
        self.code = failure.code
        """Name of the gRPC code, such as NOT_FOUND."""
        self.message = failure.message
        """For people; may change."""
        self.details = _details(failure.status)
        """The messages of the answer that this release knows: google.rpc.RetryInfo, mercato.v1.StockShortage and others."""
        info = _info(self.details)
        self.reason: str = info.reason
        """UPPER_SNAKE, such as OUT_OF_STOCK; empty if the error did not come from Mercato itself."""
        self.metadata: Mapping[str, str] = dict(info.metadata)
        """The values of the message, and others that belong to the reason."""
        self.request_id = failure.request_id
        """Id of the call in the logs of the shop."""
        self.method = failure.method
        """Path of the RPC, such as `/mercato.v1.CartService/GetCart`."""
        self.idempotency_key = failure.idempotency_key
        """The key that the call was sent with; None if the RPC takes none."""

    @property
    def outcome_unknown(self) -> bool:
        """Whether the call may have had its effect. Repeat it with the same `idempotency_key` to find out and to act at most once."""
        if self._failure.reads or not self._failure.sent:
            return False
        known = REASONS.get(self.reason)
        if known is None:
            is_own = self.code in _LOST or (self.code == _TOO_LARGE and not self.reason)
            return is_own or (self._failure.resent and self.code in _RESENT)
        # Other refusals settle earlier attempts of a keyed call: had one of them acted, its answer would have been replayed.
        return known.outcome_unknown or (self._failure.resent and known.retry is RetryAdvice.AFTER_DELAY)

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the same request may succeed; None if the shop names no time."""
        info = self.detail(error_details_pb2.RetryInfo)
        return info.retry_delay.seconds + info.retry_delay.nanos / 1e9 if info is not None else None

    def detail(self, kind: type[Detail]) -> Detail | None:
        """Return the first detail of a type."""
        return next((detail for detail in self.details if isinstance(detail, kind)), None)

    def __str__(self) -> str:
        call = self.method.rpartition(".")[2]
        where = ", ".join(text for text in (self.code, call, self.request_id and f"request {self.request_id}") if text)
        text = f"{self.reason or self.code}: {self.message} ({where})"
        if not self.outcome_unknown:
            return text
        key = f": repeat it with idempotency_key={self.idempotency_key!r}" if self.idempotency_key else ""
        return f"{text}; its outcome is unknown{key}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._failure,)


class Finished(Protocol):
    """A finished call of gRPC, synchronous or not: its error says this of it."""

    def code(self) -> Any:
        """Return the `grpc.StatusCode`."""

    def details(self) -> str | None:
        """Return the text."""

    def initial_metadata(self) -> MetadataItems | None:
        """Return the metadata that came before the answer."""

    def trailing_metadata(self) -> MetadataItems | None:
        """Return the metadata that came after it."""


def values(call: Finished) -> dict[str, str | bytes]:
    """Return the metadata of an answer by name; of those that came twice, the last."""
    return {name: value for items in (call.initial_metadata(), call.trailing_metadata()) for name, value in (items or ())}


def status_of(found: Mapping[str, str | bytes]) -> bytes:
    """Return the serialized `google.rpc.Status` of an answer's metadata."""
    value = found.get("grpc-status-details-bin", b"")
    return value if isinstance(value, bytes) else b""


def text_of(found: Mapping[str, str | bytes], name: str) -> str:
    """Return a value of an answer's metadata as text; empty if there is none."""
    value = found.get(name, "")
    return value if isinstance(value, str) else value.decode(errors="replace")


def _details(status: bytes) -> tuple[Message, ...]:
    try:
        packed = Status.FromString(status).details
    except DecodeError:
        return ()
    return tuple(message for each in packed if (message := _unpacked(each.type_url, each.value)) is not None)


def _unpacked(type_url: str, value: bytes) -> Message | None:
    """Return a detail; None if it is malformed, or of a newer server."""
    name = type_url.rpartition("/")[2]
    try:
        message: Message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
        message.ParseFromString(value)
    except (KeyError, DecodeError):
        return None
    return message


def _info(details: Iterable[Message]) -> error_details_pb2.ErrorInfo:
    infos = (detail for detail in details if isinstance(detail, error_details_pb2.ErrorInfo) and detail.domain == DOMAIN)
    return next(infos, error_details_pb2.ErrorInfo())


def reason_of(status: bytes) -> str:
    """Return the reason of a serialized `google.rpc.Status`; empty if it has none of Mercato."""
    return str(_info(_details(status)).reason)
