"""Envoy's own error replies (no route, too large, no worker …) in the format of our errors.

By itself Envoy sends plain text. With this configuration its errors are a `google.rpc.Status` with an ErrorInfo, like those of the workers:
JSON for REST clients; `grpc-status`, `grpc-message` and `grpc-status-details-bin` for gRPC clients.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2, status_pb2

from mercato.errors import DOMAIN
from mercato.rpcs import Rpc
from mercato_server.edge.descriptors import VARIABLE, methods, template_regex
from mercato_server.edge.docs import pages
from mercato_server.edge.filters import FILL_MAX_S, HEALTH, overwriting, typed
from mercato_server.rpc.headers import ORIGINAL_PATH
from mercato_server.rpc.statuses import PUSHBACK, PUSHBACK_MAX_S

ENVOYS_WORDS = "%LOCAL_REPLY_BODY%"
LIMITS = "mercato.limits"
"""Metadata of a route with the limit of its bodies."""
LIMIT = f"%METADATA(ROUTE:{LIMITS}:request_bytes)%"
AS_TOLD = "%RESP(RETRY-AFTER)%s"
"""Time until the bucket has a token again. It is known only at run time."""
LONG = f"int(response.headers['retry-after']) > {PUSHBACK_MAX_S:g}"
"""A delay for which no gRPC client waits by itself: the edge does not know the deadline of the call."""

ERROR_INFO, RETRY_INFO, BAD_REQUEST = (f"type.googleapis.com/google.rpc.{name}" for name in ("ErrorInfo", "RetryInfo", "BadRequest"))

IS_GRPC = {
    "header_filter": {
        "header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}, "treat_missing_header_as_empty": True}
    }
}
IS_CONNECT = {"header_filter": {"header": {"name": ":method", "string_match": {"exact": "CONNECT"}}}}
IS_TRANSCODED = {"header_filter": {"header": {"name": ORIGINAL_PATH, "present_match": True}}}
"""Behind the transcoder only this header distinguishes a REST call from a gRPC call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The error that replaces Envoy's own reply with an HTTP status."""

    status: int
    code: int
    reason: str
    message: str
    """Fixed text where Envoy's own text would reveal internals."""
    as_status: int = 0
    """HTTP status that replaces Envoy's."""
    retry: str = ""
    """Delay before a retry; empty if a retry cannot help."""
    details: str = ""
    """Regex of Envoy's details of the reply (`%RESPONSE_CODE_DETAILS%`); empty for any."""
    condition: str = ""
    """Condition on the reply, as an expression of CEL; empty for none."""
    vetoes: bool = False
    """Whether gRPC clients must not repeat the call by themselves, although a retry can help."""

    @property
    def pushback(self) -> str:
        """The milliseconds after which the gRPC of a client may repeat the call; negative for never."""
        return self.retry.removesuffix("s") + "000" if self.retry and not self.vetoes else "-1"


MALFORMED = {
    "path_normalization_failed": "the path has a fragment, or an escaped slash, backslash or NUL",
    "missing_host_header": "it has no Host header",
    "http..unexpected_underscore": "the name of a header has an underscore",
    "http1.content_length_and_chunked_not_allowed": "Content-Length and Transfer-Encoding exclude each other",
    "http1.invalid_characters": "a header has a character that HTTP does not allow",
    "http1.codec_error": "its method, target, headers or chunks break the rules of RFC 9112",
    "direct_response": ENVOYS_WORDS,
}
"""The faults of requests by Envoy's details, for which it has no words. The words of our own refusals are in the routes."""

REPLIES = (
    *(
        Reply(400, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST", f"malformed request: {words}", details=details)
        for details, words in MALFORMED.items()
    ),
    Reply(400, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST", "malformed request: %RESPONSE_CODE_DETAILS%"),
    Reply(403, code_pb2.INVALID_ARGUMENT, "UPGRADE_REFUSED", "connections are not upgraded here"),
    Reply(404, code_pb2.NOT_FOUND, "ROUTE_NOT_FOUND", "no such route"),
    Reply(408, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "deadline exceeded", as_status=504),
    Reply(413, code_pb2.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", f"request body too large: it has at most {LIMIT} bytes"),
    Reply(415, code_pb2.INVALID_ARGUMENT, "UNSUPPORTED_MEDIA_TYPE", f"unsupported media type: {ENVOYS_WORDS}"),
    # A 426 must have an Upgrade header (RFC 9110 section 15.5.22), and Envoy removes that header from its own replies.
    Reply(426, code_pb2.INVALID_ARGUMENT, "HTTP_VERSION", "HTTP/1.1 or HTTP/2 is needed", as_status=400),
    Reply(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many requests", retry=AS_TOLD, condition=LONG, vetoes=True),
    Reply(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many requests", retry=AS_TOLD),
    Reply(431, code_pb2.INVALID_ARGUMENT, "HEADERS_TOO_LARGE", "request headers too large"),
    Reply(500, code_pb2.INTERNAL, "INTERNAL", "internal error"),
    # Envoy's reply to a transfer coding other than `chunked`; RFC 9112 section 6.1.
    Reply(501, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST", "malformed request: unknown transfer coding", as_status=400),
    Reply(502, code_pb2.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "no worker could answer", as_status=503, retry="1s"),
    Reply(503, code_pb2.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "no worker could answer", retry="1s"),
    Reply(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "deadline exceeded"),
)
METHOD_NOT_ALLOWED = Reply(404, code_pb2.UNIMPLEMENTED, "METHOD_NOT_ALLOWED", "this path does not take this method", as_status=405)


def local_reply_config(rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Return the `local_reply_config`; Envoy applies the first mapper that matches a reply."""
    paths = _paths(rpcs)
    not_allowed = [_for_rest(METHOD_NOT_ALLOWED, _any(map(_path, regexes)), allow) for regexes, allow in paths]
    every_method = ", ".join(sorted({method for _, allow in paths for method in allow.split(", ")}))
    return {
        "mappers": [
            *not_allowed,
            _for_rest(METHOD_NOT_ALLOWED, IS_CONNECT, every_method),
            *map(_for_rest, REPLIES),
            *map(_for_grpc, REPLIES),
        ]
    }


def _for_rest(reply: Reply, requests: dict[str, Any] | None = None, allow: str = "") -> dict[str, Any]:
    """Return the mapper for REST clients, or only for some requests of them."""
    rest = _any((_inverted(IS_GRPC), IS_TRANSCODED))
    body = {"code": reply.code, "message": reply.message, "details": _details(reply, reply.message)}
    return {
        "filter": _all(*_reply(reply), rest, *([requests] if requests else [])),
        **({"status_code": reply.as_status} if reply.as_status else {}),
        "headers_to_add": overwriting({"cache-control": "no-store", **({"allow": allow} if allow else {})}),
        "body_format_override": {"content_type": "application/json", "json_format": body},
    }


def _for_grpc(reply: Reply) -> dict[str, Any]:
    """Return the mapper for gRPC clients, which refuse details whose code and message differ from the other headers."""
    words, runtime, _ = reply.message.partition("%")
    message = words.rpartition(":")[0] if runtime else words  # a text of run time would differ from the packed status
    headers = {"grpc-status": str(reply.code), "grpc-status-details-bin": _packed(reply, message), PUSHBACK: reply.pushback}
    return {
        "filter": _all(*_reply(reply), IS_GRPC, _inverted(IS_TRANSCODED)),
        "headers_to_add": [{"header": {"key": key, "value": value}} for key, value in headers.items()],
        "body_format_override": {"text_format_source": {"inline_string": message}},
    }


def _details(reply: Reply, message: str) -> list[dict[str, Any]]:
    variables = {"cause": ENVOYS_WORDS} if ENVOYS_WORDS in message else {}
    info = {"@type": ERROR_INFO, "reason": reply.reason, "domain": DOMAIN, "metadata": variables}
    if reply.code == code_pb2.INVALID_ARGUMENT:
        return [info, {"@type": BAD_REQUEST, "field_violations": [{"field": "", "description": message, "reason": ""}]}]
    return [info, {"@type": RETRY_INFO, "retry_delay": reply.retry}] if reply.retry else [info]


def _packed(reply: Reply, message: str) -> str:
    """Return the packed status. If the delay is known only at run time, Envoy chooses the end of the status, which depends on it."""
    if reply.retry != AS_TOLD:
        return _base64(reply, message)
    delays = [replace(reply, retry=f"{max(seconds, 1)}s") for seconds in range(FILL_MAX_S + 1)]
    statuses = [_base64(each, message) for each in delays]
    [start] = {status[:-2] for status in statuses}  # the seconds are the last byte, which is in the last two characters
    ends = [status[-2:] for status in statuses]
    told = "int(response.headers['retry-after'])"
    return f"{start}%CEL({ends}[{told} < {FILL_MAX_S} ? {told} : {FILL_MAX_S}])%"


def _base64(reply: Reply, message: str) -> str:
    status = ParseDict({"code": reply.code, "message": message, "details": _details(reply, message)}, status_pb2.Status())
    return base64.b64encode(status.SerializeToString(deterministic=True)).decode().rstrip("=")


def _paths(rpcs: Sequence[Rpc]) -> list[tuple[list[str], str]]:
    """Return for each set of methods the regexes of the paths with exactly these methods; literal paths come first."""
    taken: dict[str, set[str]] = defaultdict(set)
    for rpc in rpcs:
        for binding in rpc.bindings:
            taken[VARIABLE.sub("{}", binding.path)].update(methods(binding.verb))
    groups: dict[tuple[bool, str], list[str]] = defaultdict(list)
    groups[False, ", ".join(methods("GET"))] = [HEALTH, *(rf"{page.regex}(\?.*)?" for page in pages())]
    for template, verbs in sorted(taken.items()):
        groups["{" in template, ", ".join(sorted(verbs))].append(template_regex(template))
    return [(paths, allow) for (_, allow), paths in sorted(groups.items())]


def _path(regex: str) -> dict[str, Any]:
    return {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": regex}}}}}


def _reply(reply: Reply) -> Iterator[dict[str, Any]]:
    """Yield the conditions on Envoy's reply."""
    yield _status(reply.status)
    for expression in (f"response.code_details.matches('^{reply.details}$')" if reply.details else "", reply.condition):
        if expression:
            condition = typed("extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=expression)
            yield {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": condition}}


def _status(status: int) -> dict[str, Any]:
    comparison = {"op": "EQ", "value": {"default_value": status, "runtime_key": "edge.local_reply"}}
    return {"status_code_filter": {"comparison": comparison}}


def _inverted(header_filter: dict[str, Any]) -> dict[str, Any]:
    return {"header_filter": {"header": {**header_filter["header_filter"]["header"], "invert_match": True}}}


def _any(filters: Iterable[dict[str, Any]]) -> dict[str, Any]:
    alternatives = list(filters)
    return {"or_filter": {"filters": alternatives}} if len(alternatives) > 1 else alternatives[0]  # Envoy wants at least two


def _all(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(filters)}}
