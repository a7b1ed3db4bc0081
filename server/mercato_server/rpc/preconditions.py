"""Conditional changes (RFC 9110 section 13): the etags that a change requires, from its request and from `if-match`."""

import re

from mercato_server.domain.errors import EtagMismatch, InvalidRequest, MercatoError, RequestTooLarge, Violation
from mercato_server.rpc.context import Context
from mercato_server.rpc.headers import HTTP_STATUS, ORIGINAL_PATH
from mercato_server.rpc.layers import Answer, Call, Method, Request
from mercato_server.validation.checks import Checks

IF_MATCH, IF_NONE_MATCH = "if-match", "if-none-match"
ETAG_MAX = 64
PRECONDITION_FAILED, CONTENT_TOO_LARGE = (HTTP_STATUS, "412"), (HTTP_STATUS, "413")
_TAGS = re.compile(r'\s*+(?:(?:W/)?"(?P<quoted>[^"]*+)"|(?P<bare>[^\s",]++))?\s*+(?:,|$)')  # possessive: linear in time


def refuse_conditions(method: Method, proceed: Call) -> Call:
    """Refuse a condition that an RPC does not check: a client that sent it must not believe that it held.

    `if-match: *` only requires that the resource exists, as every change does.
    """
    rpc = method.rpc
    if rpc.reads:
        return proceed
    told = {IF_NONE_MATCH: "changes do not take it; a change never creates what its path names"}
    if not rpc.takes_etag:
        told[IF_MATCH] = "this call does not take it; it is for PUT, PATCH and DELETE of resources with an etag"

    async def checked(request: Request, context: Context) -> Answer:
        given = {name: context.metadata(name) for name in told}
        violations = [Violation(name, told[name]) for name, value in given.items() if value and (name, value.strip()) != (IF_MATCH, "*")]
        if violations:
            raise InvalidRequest(violations)
        return await proceed(request, context)

    return checked


def expected_etags(check: Checks, context: Context, field: str, value: str) -> tuple[str, ...]:
    """Return the etags of which the resource must have one; none if it may have any.

    They come from a field of the request and from `if-match`, which takes the values of the header `etag` and of the field: a list, weak
    tags too, since the edge weakens those of compressed answers.
    """
    etag = check.text(field, value, longest=ETAG_MAX)
    own = (etag,) if etag else ()
    given = context.metadata_all(IF_MATCH)
    if not given or (listed := ", ".join(given)).strip() == "*":
        return own
    tags = _tags(listed)
    if not tags:
        check.fail(IF_MATCH, 'must be * or entity tags such as "1.0"')
    elif etag and etag not in tags:
        check.fail(IF_MATCH, "names another etag than {other}; send one of them", other=field)
    return own or tags


def status_headers(error: MercatoError, context: Context) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata by which the edge answers a failed `if-match` with 412; without that header the status is 409.

    A streamed body that turns out to be too large is a 413, like one whose length the edge has seen before. Over gRPC the HTTP status stays
    200: clients of gRPC-Web do not read the gRPC status of another one.
    """
    if context.metadata(ORIGINAL_PATH) is None:
        return ()
    if isinstance(error, RequestTooLarge) and context.rpc.streams:
        return (CONTENT_TOO_LARGE,)
    failed = isinstance(error, EtagMismatch) and context.metadata(IF_MATCH) and context.rpc.takes_etag
    return (PRECONDITION_FAILED,) if failed else ()


def _tags(listed: str) -> tuple[str, ...]:
    """Return the etags of a list of entity tags, without the digests that the header `etag` adds; none if the list is malformed."""
    found, end = [], 0
    while end < len(listed):
        match = _TAGS.match(listed, end)
        if match is None:
            return ()
        if tag := match["quoted"] or match["bare"]:
            found.append(tag.partition("-")[0])
        end = match.end()
    return tuple(found)
