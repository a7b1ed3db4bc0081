"""The parts of a call that need no I/O: both clients share them.

A call becomes a `Plan` once: its deadline, its idempotency key and its request id stay the same however often it is sent.
"""

import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message

from mercato import _log, _tracing
from mercato._call_errors import PREVIOUS_ATTEMPTS, CallError, Failure, Finished, reason_of, status_of, text_of, values
from mercato.errors import error_of

DEFAULT_TIMEOUT_S = 5.0
AUTHORIZATION, IDEMPOTENCY_KEY, IF_MATCH, REQUEST_ID = "authorization", "idempotency-key", "if-match", "x-request-id"
REPLAYED = "idempotent-replayed"

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
"""Names in lower case with their values; a value is bytes if its name ends with `-bin`."""
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


class Credentials(Enum):
    """Whether a call carries the access token of the client's session."""

    NEVER = "never"
    """A call that anyone may make, and that changes something: a login."""
    IF_ANY = "if any"
    """A read that anyone may make, and that shows administrators more."""
    ALWAYS = "always"
    """A call that needs a login."""


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    """An RPC."""

    path: str
    request: type[RequestT]
    response: type[ResponseT]
    credentials: Credentials
    reads: bool
    """Whether it changes nothing."""
    keyed: bool
    """Whether it honours an idempotency key."""
    streams: bool = False
    """Whether its request comes as a stream of messages."""
    timeout_s: float | None = None
    """Seconds that a call may take if neither it nor the client says otherwise; None for the client's default."""
    items: str = ""
    """The field of its response with the items of a page; empty if it has no pages."""


class Options(NamedTuple):
    """Keywords that every method takes beside the fields of its request."""

    timeout: float | None = None
    metadata: Metadata = ()
    idempotency_key: str | None = None
    etag: str | None = None


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class Answer(Generic[ResponseT]):
    """The answer of a call, with what came beside it."""

    message: ResponseT
    request_id: str
    """Id of the call in the logs of the shop."""
    replayed: bool
    """Whether it is the stored answer of an earlier call with the same idempotency key."""


def request_of(method: Method[RequestT, ResponseT], request: RequestT | None, fields: Mapping[str, Any]) -> RequestT:
    """Return the request of a call: the given message, or one of the fields. Raises TypeError for both and for another type."""
    if request is None:
        return method.request(**fields)
    if not isinstance(request, method.request):
        raise TypeError(f"{method.path} takes a {method.request.__name__}, not a {type(request).__name__}")
    if any(value is not None for value in fields.values()):
        raise TypeError(f"{method.path} takes a message or fields, not both")
    return request


class Source:
    """The requests of a stream, and the error with which they broke off: gRPC itself only tells that the call was cancelled."""

    def __init__(self, method: Method[Any, Any], requests: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._method = method
        self._requests: Any = requests
        self._cancel = Future[Callable[[], object]]()
        self.error: Exception | None = None

    def cancel_with(self, cancel: Callable[[], object]) -> None:
        """Take the function that cancels the call; `until_broken` waits for it if the source breaks off."""
        self._cancel.set_result(cancel)

    def until_broken(self) -> Iterator[Any]:
        """Yield the requests. An error of the source cancels the call: gRPC would log its traceback."""
        try:
            for request in self._requests:
                yield self._checked(request)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            self.error = error
            self._cancel.result()()

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            if hasattr(self._requests, "__aiter__"):
                async for request in self._requests:
                    yield self._checked(request)
            else:
                for request in self._requests:
                    yield self._checked(request)
        except Exception as error:
            self.error = error
            raise

    def _checked(self, request: Any) -> Any:
        if not isinstance(request, self._method.request):
            raise TypeError(f"{self._method.path} takes each {self._method.request.__name__} of a stream, not a {type(request).__name__}")
        return request


class Plan:
    """One call: what stays the same however often it is sent."""

    __slots__ = ("_metadata", "deadline", "key", "method", "own_token", "request_id", "source", "timeout_s")

    def __init__(self, method: Method[Any, Any], options: Options, timeout_s: float | None) -> None:
        """Prepare a call. A `timeout_s` of the client holds where neither the call nor its RPC has one."""
        given = {name for name, _ in options.metadata} if options.metadata else ()
        self.method = method
        self.timeout_s: float = next(
            (each for each in (options.timeout, timeout_s, method.timeout_s) if each is not None), DEFAULT_TIMEOUT_S
        )
        self.deadline = time.monotonic() + self.timeout_s
        self.source: Source | None = None
        self.key = options.idempotency_key
        self.own_token = AUTHORIZATION in given
        """Whether the caller brings a token of its own, which is never replaced."""
        self._metadata: list[tuple[str, str | bytes]] = list(options.metadata)
        if IDEMPOTENCY_KEY in given:
            self.key = next(str(value) for name, value in options.metadata if name == IDEMPOTENCY_KEY)
        elif method.keyed:
            self.key = str(uuid.uuid4()) if self.key is None else self.key
            self._metadata.append((IDEMPOTENCY_KEY, self.key))
        if options.etag is not None:
            self._metadata.append((IF_MATCH, options.etag))
        if REQUEST_ID in given:
            self.request_id = next(str(value) for name, value in options.metadata if name == REQUEST_ID)
        else:
            self.request_id = str(uuid.uuid4())
            self._metadata.append((REQUEST_ID, self.request_id))
        _tracing.inject(self._metadata)

    def left_s(self) -> float:
        """Return the seconds until the deadline; never less than 0."""
        return max(0.0, self.deadline - time.monotonic())

    def answered(self, answer: AnswerT) -> AnswerT:
        """Log that the call was answered; return the answer."""
        _log.call(self.method.path, elapsed_s=self._elapsed_s(), request_id=self.request_id)
        return answer

    def metadata(self, token: str | None) -> Metadata:
        """Return the metadata to send with an access token, or without one."""
        return [*self._metadata, (AUTHORIZATION, f"Bearer {token}")] if token else self._metadata

    def may_repeat(self, request: object) -> bool:
        """Return whether the request can be sent again, with another token: a stream can if it is a list."""
        return not self.method.streams or isinstance(request, Sequence)

    def answer(self, message: ResponseT, initial: Metadata) -> Answer[ResponseT]:
        """Return the answer with what its metadata tell."""
        found = dict(iter(initial))  # in pairs: older releases of gRPC have keys() that are pairs too
        return Answer(message, text_of(found, REQUEST_ID) or self.request_id, text_of(found, REPLAYED) == "true")

    def sent(self, request: Any) -> Any:
        """Return what gRPC sends: the message, or for a stream the source of its messages."""
        self.source = Source(self.method, request) if self.method.streams else None
        return self.source or request

    def interrupted(self) -> None:
        """Log that the caller has interrupted the call, which may have acted."""
        self._error(Failure("CANCELLED", "the caller interrupted the call", request_id=self.request_id))

    def cut(self) -> Exception:
        """Return the error of a call that was cancelled, although its caller was not: its client was closed, or its source broke off."""
        if self.source is not None and self.source.error is not None:
            return self.source.error
        return self._error(Failure("CANCELLED", "the client was closed during the call", request_id=self.request_id))

    def ended(self, call: Finished) -> Exception:
        """Return the error of a call that gRPC has finished: that of its source if it has broken off."""
        return self.source.error if self.source is not None and self.source.error is not None else self.failed(call)

    def failed(self, call: Finished) -> CallError:
        """Return the error of a call that gRPC has finished, and log it."""
        found = values(call)
        code, request_id = str(call.code().name), text_of(found, REQUEST_ID) or self.request_id
        resent = text_of(found, PREVIOUS_ATTEMPTS) != ""
        return self._error(Failure(code, call.details() or "", status_of(found), request_id, resent=resent))

    def late(self, waited_for: str) -> CallError:
        """Return the error of a call whose time was over before it was sent."""
        message = f"{self.timeout_s:g} s went by while the call waited for {waited_for}; it was not sent"
        return self._error(Failure("DEADLINE_EXCEEDED", message, request_id=self.request_id, sent=False))

    def _error(self, failure: Failure) -> CallError:
        known = Failure(
            failure.code,
            failure.message,
            failure.status,
            failure.request_id,
            self.method.path,
            self.key,
            reads=self.method.reads,
            sent=failure.sent,
            resent=failure.resent,
        )
        error = error_of(known)
        _log.call(
            self.method.path,
            elapsed_s=self._elapsed_s(),
            request_id=failure.request_id,
            code=error.code,
            reason=error.reason,
            idempotency_key=self.key if error.outcome_unknown else None,
        )
        return error

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.deadline + self.timeout_s


def token_refused(call: Finished) -> bool:
    """Return whether a call was refused for its access token alone."""
    return call.code().name == "UNAUTHENTICATED" and reason_of(status_of(values(call))) == "TOKEN_INVALID"


def next_page(request: RequestT, response: Message) -> RequestT | None:
    """Return the request of the page after a response; None after the last page."""
    token = getattr(response, "next_page_token")  # noqa: B009 - a field of every paged response
    if not token or token == getattr(request, "page_token"):  # noqa: B009 - and of its request
        return None
    following = type(request)()
    following.CopyFrom(request)
    setattr(following, "page_token", token)  # noqa: B010
    if "skip" in type(request).DESCRIPTOR.fields_by_name:
        following.ClearField("skip")
    return following


def items_of(method: Method[Any, Any], response: Message) -> Iterator[Any]:
    """Yield the items of a page."""
    yield from getattr(response, method.items)
