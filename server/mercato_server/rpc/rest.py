"""Requests of REST clients, as the edge passes them on.

The message has the variables of the path and, under a number that no message of mercato.v1 uses, the body as it came. The query is in
header ORIGINAL_PATH. Over gRPC a message is as the client sent it; it may have fields of a later release.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from mercato.rpcs import Rpc
from mercato_server.domain.errors import InvalidRequest, MalformedRequest, Violation
from mercato_server.validation.rest_message import RestMessage
from mercato_server.validation.strict_json import parse

BODY_FIELD = 2**29 - 1
"""Number of the field with the body, a google.api.HttpBody: the largest number there is."""
ENVELOPE_BYTES = 32 * 1024
"""Most bytes of a request beside its body: gRPC's frame, the variables of the path, the body's type. The edge limits headers to 16 KiB."""
_PATH_MAX = 256
"""Maximum length of a path with query whose message is remembered."""
_QUERIES = 1_024
"""Queries that are remembered for each RPC that has a cache."""
_NOTHING = (b"", b"{}", b"null")
"""Bodies of a request that has none; some clients send one with each request."""

Read = Callable[[bytes, str | None], Message]
"""Returns the message of a serialized request with this original path; raises InvalidRequest."""
Fill = Callable[[RestMessage, HttpBody], None]


def reader(rpc: Rpc) -> Read:
    """Return the function that reads the requests of an RPC. Raises ValueError if its REST bindings differ in the field of their body."""
    from_string, fill = rpc.request_type.FromString, _filler(rpc)
    malformed = Violation("", "the request is not a serialized {type}", {"type": rpc.request_type.DESCRIPTOR.full_name})

    def read(request: bytes, path: str | None) -> Message:
        try:
            message = from_string(request)
        except DecodeError:
            if path is not None:  # the transcoder passes on the bytes of a variable
                raise MalformedRequest("its path is not UTF-8") from None
            raise InvalidRequest([malformed]) from None
        if path is None:
            return message
        query = path.partition("?")[2]
        if rpc.reads and not query:
            return message
        body = _taken_from(message)
        rest = RestMessage(message)
        if body is not None and not rpc.reads:
            fill(rest, body)
        rest.add_query(query)
        return rest.checked()

    return read


def canonical(read: Read) -> Callable[[bytes, str], bytes | None]:
    """Return a function that returns a request with its query as one serialized message; None if it is invalid, or long."""

    @lru_cache(_QUERIES)
    def serialized(request: bytes, path: str) -> bytes | None:
        try:
            return read(request, path).SerializeToString()
        except InvalidRequest:
            return None

    return lambda request, path: serialized(request, path) if len(path) <= _PATH_MAX else None


def _taken_from(message: Message) -> HttpBody | None:
    """Remove the body from a message and return it; None if it has none, which an edge of the last release has parsed."""
    unknown: Any = UnknownFieldSet(message)
    parts = [field.data for field in unknown if field.field_number == BODY_FIELD]
    message.DiscardUnknownFields()
    try:
        return HttpBody.FromString(b"".join(parts)) if parts else None  # the transcoder sends it in two parts
    except (DecodeError, TypeError):
        raise MalformedRequest("its body is no google.api.HttpBody") from None


def _filler(rpc: Rpc) -> Fill:
    """Return the function that writes the body of a REST request into its message."""
    names = {binding.body for binding in rpc.bindings}
    if len(names) > 1:
        raise ValueError(f"the bindings of {rpc.path} have different bodies: {', '.join(sorted(names))}")
    name = "".join(names)
    field = rpc.request_type.DESCRIPTOR.fields_by_name.get(name)
    if not name:
        return _fill_nothing
    if field is None:  # "*"
        return lambda rest, body: _fill(rest, body, rest.message, "")
    if field.message_type is HttpBody.DESCRIPTOR:
        return lambda rest, body: rest.add_whole(name, body)
    return lambda rest, body: _fill(rest, body, getattr(rest.message, name), f"{name}.")


def _fill(rest: RestMessage, body: HttpBody, message: Message, prefix: str) -> None:
    if not body.data:
        return
    value = parse(body.data)
    if not isinstance(value, dict):
        raise MalformedRequest("the body must be a JSON object")
    message.SetInParent()
    rest.add_object(value, message, prefix)


def _fill_nothing(rest: RestMessage, body: HttpBody) -> None:
    if body.data.strip() not in _NOTHING:
        rest.fail("body", "this route takes no body; send its fields as query parameters")
