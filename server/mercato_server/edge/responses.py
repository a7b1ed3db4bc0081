"""Responses of the OpenAPI document that are no messages of mercato.v1: errors and probes."""

import re
from collections.abc import Iterator, Mapping

from mercato.rpcs import Binding, Rpc
from mercato.v1 import policy_pb2
from mercato_server.edge.bounds import Schema

ERROR: Schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}}

RESPONSES: Mapping[str, Schema] = {
    "400": {"description": "The request is invalid, or the state of the shop does not allow it: INVALID_ARGUMENT, FAILED_PRECONDITION."},
    "401": {"description": "The access token, or the credentials, are absent, invalid or expired: UNAUTHENTICATED."},
    "403": {"description": "The account may not do this: PERMISSION_DENIED."},
    "404": {"description": "What the request names does not exist: NOT_FOUND."},
    "409": {"description": "The request contradicts the current state: ALREADY_EXISTS, ABORTED."},
    "412": {"description": "The resource has none of the entity tags in `if-match`: ABORTED ETAG_MISMATCH."},
    "413": {"description": "The body is too large: RESOURCE_EXHAUSTED REQUEST_TOO_LARGE."},
    "415": {"description": "The body is not of a type that is taken here, or encoded: INVALID_ARGUMENT UNSUPPORTED_MEDIA_TYPE."},
    "429": {"description": "Too many requests or attempts; its RetryInfo says when to come back: RESOURCE_EXHAUSTED."},
    "default": {"description": "Any other error: DEADLINE_EXCEEDED (504), UNAVAILABLE (503) or INTERNAL (500)."},
}
"""The errors by HTTP status."""

STATUS_OF_CODE: Mapping[str, str] = {
    "UNAUTHENTICATED": "401",
    "PERMISSION_DENIED": "403",
    "NOT_FOUND": "404",
    "ALREADY_EXISTS": "409",
    "ABORTED": "409",
}
"""HTTP statuses of the codes that only some RPCs answer with (google/rpc/code.proto)."""

_CODE = re.compile(r"\b(" + "|".join(STATUS_OF_CODE) + r")\b")


def errors(rpc: Rpc, binding: Binding, comment: str) -> list[str]:
    """Return the keys in RESPONSES of the errors of a binding; the comments of the RPC and its service name their codes."""
    return [status for status in RESPONSES if status in {*_statuses(rpc, binding, comment)}]


def _statuses(rpc: Rpc, binding: Binding, comment: str) -> Iterator[str]:
    yield from ("400", "429", "default")
    yield from (STATUS_OF_CODE[code] for code in _CODE.findall(comment) if not (rpc.reads and code == "ABORTED"))
    if rpc.policy.access != policy_pb2.ACCESS_ANYONE:
        yield "401"
    if rpc.policy.access == policy_pb2.ACCESS_ADMIN:
        yield "403"
    if rpc.takes_etag:
        yield from ("409", "412")
    if binding.body:
        yield from ("413", "415")


PROBES_TAG: Schema = {"name": "Probes", "description": "Life and readiness, for orchestrators and load balancers."}

_HEALTH: Schema = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]}},
}


def _probe(name: str, summary: str, description: str, schema: Schema, example: Schema) -> Schema:
    return {
        "get": {
            "tags": ["Probes"],
            "summary": summary,
            "description": description,
            "operationId": f"Probes_{name}",
            "responses": {
                "200": {"description": "OK", "content": {"application/json": {"schema": schema, "example": example}}},
                **{status: {"$ref": f"#/components/responses/{status}"} for status in ("429", "default")},
            },
            "security": [],
        }
    }


PROBES: Mapping[str, Schema] = {
    "/livez": _probe(
        "Live",
        "Tell whether the edge answers",
        "Tell whether the edge answers. It asks no worker and no database.",
        _HEALTH,
        {"status": "SERVING"},
    ),
    "/readyz": _probe(
        "Ready",
        "Tell whether a worker takes calls",
        "Tell whether a worker takes calls, and the state of each of its services. 503 if there is none.\n\n"
        "The service `database` is NOT_SERVING while the database does not answer; the shop still takes calls.",
        {"type": "object", "required": ["statuses"], "properties": {"statuses": {"type": "object", "additionalProperties": _HEALTH}}},
        {"statuses": {"": {"status": "SERVING"}, "database": {"status": "SERVING"}}},
    ),
}
"""Paths of the probes for orchestrators and load balancers."""
