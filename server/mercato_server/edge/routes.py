"""Envoy's routes. A REST request is routed twice: by its own path, and by its gRPC path after transcoding."""

from collections.abc import Sequence
from typing import Any

from mercato.rpcs import Rpc
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.edge.cached_routes import STORED_HEADERS, cached_routes
from mercato_server.edge.descriptors import template_regex
from mercato_server.edge.docs import Page, pages
from mercato_server.edge.filters import (
    BUFFER,
    CLUSTER,
    CORS,
    HEADER_MUTATION,
    LUA,
    OUTER_LUA,
    RATE_LIMIT,
    REST_BODY,
    SECOND_HOP,
    STREAMING_PATHS,
    STREAMS,
    TRANSCODER,
    UPLOADS,
    cors_policy,
    notice_rate_limit,
    overwriting,
    page_rate_limit,
    typed,
)
from mercato_server.edge.local_replies import LIMITS
from mercato_server.edge.scripts import CONDITIONAL, HEAD, SLASH, created
from mercato_server.rpc.headers import CLIENT_ADDRESS, ORIGINAL_METHOD, ORIGINAL_PATH, PROXY_ADDRESS
from mercato_server.rpc.rest import ENVELOPE_BYTES

SAFE_RETRIES = "connect-failure,refused-stream,reset-before-request"
"""Failures after which the worker cannot have seen the call."""
READ_RETRIES = f"{SAFE_RETRIES},unavailable"

TRAILERS = overwriting({"te": "trailers"})
"""gRPC resets a call without this header."""
ADDED = [*TRAILERS, *overwriting({CLIENT_ADDRESS: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"})]
"""Headers that a worker gets with each request."""
PROXY = overwriting({PROXY_ADDRESS: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"})
"""A header for workers that continue the traces of some proxies."""

BODY_TYPES = r"(?i)application/(json|x-www-form-urlencoded|grpc)([-+;].*)?| *"
"""Accepted content types. JSON named x-www-form-urlencoded passes, because that is curl's default."""

NO_GRPC = {
    "name": "content-type",
    "string_match": {"prefix": "application/grpc"},
    "invert_match": True,
    "treat_missing_header_as_empty": True,
}

_REMOVE_GRPC = [{"remove_on_match": {"key_matcher": {"prefix": "grpc-"}}}]
_WITHOUT_GRPC = typed(
    "extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
    mutations={"response_mutations": _REMOVE_GRPC, "response_trailers_mutations": _REMOVE_GRPC},
)
"""For the route of a REST request before the transcoder, which the filter keeps for the answer."""
HAS_BODY = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}, "invert_match": True}
MESSAGE_CODINGS = "identity|deflate|gzip"
"""Message encodings that workers know. Another value of `grpc-encoding` would fail calls like the headers in filters.UNREADABLE."""


def route_config(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Return the route table: refusals, RPCs by their gRPC path, Envoy's own pages, then everything else."""
    fixed = pages()
    host: dict[str, Any] = {
        "name": "api",
        "domains": ["*"],
        "routes": [
            _unfiltered(_wrong_coding(), settings),
            *(route for rpc in rpcs for route in _rpc(rpc, settings)),
            _stream(settings),
            *(_page(page, settings) for page in fixed),
            *(route for rpc in rpcs if rpc.streams for route in _upload_over_rest(rpc, settings)),
            _unfiltered(_wrong_type(), settings),
            _unfiltered(_encoded(), settings),
            *(route for rpc in _cached(rpcs, settings) for route in cached_routes(rpc, settings, _duration(rpc, settings))),
            _verb_slash(settings),
            *(_with_body(rpc, settings) for rpc in rpcs if rpc.policy.max_request_bytes and rpc.bindings and not rpc.streams),
            _with_any_body(settings),
            _grpc(settings),
            _anything(settings),
        ],
    }
    if settings.cors_origins:
        host["typed_per_filter_config"] = {CORS: cors_policy(settings, rpcs)}
        host["response_headers_to_add"] = [{"header": {"key": "vary", "value": "Origin"}}]  # else a shared cache would mix origins
    return {
        "name": "edge",
        "max_direct_response_body_size_bytes": _largest(fixed),
        "response_headers_to_remove": ["grpc-accept-encoding"],
        "virtual_hosts": [host],
    }


def second_hop_route_config(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Return the route table behind the cache. The first hop has named the client."""
    routes = [*(route for rpc in _cached(rpcs, settings) for route in _rpc(rpc, settings)), _verb_slash(settings), _anything(settings)]
    host = {
        "name": "api",
        "domains": ["*"],
        "routes": [{**route, "request_headers_to_add": TRAILERS} for route in routes],
        "response_headers_to_add": overwriting(STORED_HEADERS),
    }
    return {"name": SECOND_HOP, "response_headers_to_remove": ["grpc-accept-encoding"], "virtual_hosts": [host]}


def _cached(rpcs: Sequence[Rpc], settings: EdgeSettings) -> list[Rpc]:
    return [rpc for rpc in rpcs if rpc.policy.shared_max_age_s] if settings.cache else []


def _rpc(rpc: Rpc, settings: EdgeSettings) -> list[dict[str, Any]]:
    """Return the routes of an RPC. Only some requests need a script, which costs a fifth of Envoy's time for a call."""
    if rpc.streams:
        return [_upload(rpc, settings)]
    buffer = {"max_request_bytes": (rpc.policy.max_request_bytes or settings.limits.request_bytes) + ENVELOPE_BYTES}
    route: dict[str, Any] = {
        "name": rpc.path,
        "match": {"path": rpc.path},
        "request_headers_to_add": _added(settings),
        "route": {
            "cluster": CLUSTER,
            "timeout": "0s",
            "retry_policy": _retries(READ_RETRIES if rpc.reads else SAFE_RETRIES),
            "max_stream_duration": _duration(rpc, settings),
        },
        "typed_per_filter_config": {
            BUFFER: typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer=buffer),
            **_notice_limit(rpc, settings),
        },
    }
    if not rpc.policy.max_age_s:  # RFC 6749 section 5.1: tokens and private answers must not be cached
        route["response_headers_to_add"] = overwriting({"cache-control": "no-store"})
    if rpc.reads:
        # The route of a gRPC call is chosen before any filter, so its client may send the first of these headers, but not the second.
        is_head = {"name": ORIGINAL_METHOD, "string_match": {"exact": "HEAD"}}, {"name": ORIGINAL_PATH, "present_match": True}
        has_tag = {"name": "if-none-match", "present_match": True}
        redirected = [_variant(route, "redirect", is_head[1:], CONDITIONAL)] if rpc.policy.redirects else []
        return [_variant(route, "head", is_head, HEAD), _variant(route, "if-none-match", (has_tag,), CONDITIONAL), *redirected, route]
    if rpc.policy.http_status:
        return [_with_script(route, LUA, created(rpc))]
    if rpc.takes_etag:
        return [_variant(route, "if-match", ({"name": "if-match", "present_match": True},), CONDITIONAL), route]
    return [route]


def _upload(rpc: Rpc, settings: EdgeSettings) -> dict[str, Any]:
    """Return the route of an RPC whose body comes in pieces. Nothing reads it whole, and nothing sends it again."""
    unbuffered = typed("extensions.filters.http.buffer.v3.BufferPerRoute", disabled=True)
    route = {
        "name": rpc.path,
        "match": {"path": rpc.path},
        "request_headers_to_add": _added(settings),
        "route": {
            "cluster": UPLOADS,
            "timeout": "0s",
            "max_stream_duration": _seconds(settings.holding.upload_s, settings.holding.upload_s),
        },
        "response_headers_to_add": overwriting({"cache-control": "no-store"}),
        "typed_per_filter_config": {BUFFER: unbuffered},
    }
    return _with_script(route, OUTER_LUA, CONDITIONAL)  # a worker asks for the 413 of a body without a length


def _upload_over_rest(rpc: Rpc, settings: EdgeSettings) -> list[dict[str, Any]]:
    """Return the routes of such an RPC before the transcoder. Any type of body passes, as its content decides."""
    paths = "|".join(sorted({template_regex(binding.path) for binding in rpc.bindings}))
    verbs = "|".join(sorted({binding.verb for binding in rpc.bindings}))
    headers = [{"name": ":method", "string_match": {"safe_regex": {"regex": verbs}}}, NO_GRPC]
    match = {"safe_regex": {"regex": paths}, "headers": headers}
    limit = rpc.policy.max_request_bytes
    too_long = {"name": "content-length", "range_match": {"start": str(limit + 1), "end": str(2**63 - 1)}}
    limits = {"metadata": {"filter_metadata": {LIMITS: {"request_bytes": str(limit)}}}}
    taken = _anything(settings)
    taken["route"] = {**_upload(rpc, settings)["route"]}
    return [
        _unfiltered(
            {
                "name": f"{rpc.path} over REST, too long",
                "match": {**match, "headers": [*headers, too_long]},
                "direct_response": {"status": 413},
                **limits,
            },
            settings,
        ),
        {**taken, "name": f"{rpc.path} over REST", "match": match, **limits},
    ]


def _variant(route: dict[str, Any], name: str, headers: Sequence[dict[str, Any]], script: str) -> dict[str, Any]:
    """Return a route for the requests with certain headers, whose answers a script changes."""
    match = {**route["match"], "headers": [*headers]}
    return _with_script({**route, "name": f"{route['name']} {name}", "match": match}, OUTER_LUA, script)


def _with_script(route: dict[str, Any], script_filter: str, name: str) -> dict[str, Any]:
    script = {script_filter: typed("extensions.filters.http.lua.v3.LuaPerRoute", name=name)}
    return {**route, "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), **script}}


def _anything(settings: EdgeSettings) -> dict[str, Any]:
    """Route REST requests on their way to the transcoder. Their answers lose the headers of gRPC."""
    return {
        **_standard(settings),
        "name": "anything",
        "match": {"prefix": "/"},
        "typed_per_filter_config": {HEADER_MUTATION: _WITHOUT_GRPC},
    }


def _grpc(settings: EdgeSettings) -> dict[str, Any]:
    """Route calls of the standard services (health, reflection)."""
    is_grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {**_standard(settings), "name": "grpc", "match": {"prefix": "/", "headers": [is_grpc]}}


def _added(settings: EdgeSettings) -> list[dict[str, Any]]:
    return [*ADDED, *PROXY] if settings.tells_proxies else ADDED


def _standard(settings: EdgeSettings) -> dict[str, Any]:
    return {
        "request_headers_to_add": _added(settings),
        "route": {
            "cluster": CLUSTER,
            "timeout": "0s",
            "max_stream_duration": _seconds(settings.holding.command_s, settings.holding.command_s),
            "retry_policy": _retries(SAFE_RETRIES),
        },
    }


def _stream(settings: EdgeSettings) -> dict[str, Any]:
    """Route health watches and reflection. Their requests are not read whole, and they take no place of a call."""
    unbuffered = typed("extensions.filters.http.buffer.v3.BufferPerRoute", disabled=True)
    return {
        "name": "streams",
        "match": {"safe_regex": {"regex": STREAMING_PATHS}},
        "request_headers_to_add": _added(settings),
        "route": {
            "cluster": STREAMS,
            "timeout": "0s",
            "max_stream_duration": _seconds(settings.holding.stream_s, settings.holding.stream_s),
            "retry_policy": _retries(SAFE_RETRIES),
        },
        "typed_per_filter_config": {BUFFER: unbuffered},
    }


def _verb_slash(settings: EdgeSettings) -> dict[str, Any]:
    """Route `:verb/`, without the slash."""
    match = {"safe_regex": {"regex": r"[^?]*:[A-Za-z]+/(\?.*)?"}}
    limited = {**_anything(settings), "name": "verb-slash", "match": match, **_limited(settings.limits.request_bytes)}
    return _with_script(limited, LUA, SLASH)


def _wrong_coding() -> dict[str, Any]:
    """Refuse message encodings that workers do not know. A request without `grpc-encoding` does not match, and passes."""
    coding = {"name": "grpc-encoding", "string_match": {"safe_regex": {"regex": MESSAGE_CODINGS}}, "invert_match": True}
    return {
        "name": "wrong-coding",
        "match": {"prefix": "/", "headers": [coding]},
        "direct_response": {"status": 400, "body": {"inline_string": "grpc-encoding must be identity, deflate or gzip"}},
    }


def _wrong_type() -> dict[str, Any]:
    """Refuse bodies that are not JSON. A request without content-type does not match, and passes."""
    return {
        "name": "wrong-type",
        "match": {
            "prefix": "/",
            "headers": [
                {"name": ":method", "string_match": {"safe_regex": {"regex": "PATCH|POST|PUT"}}},
                {"name": "content-type", "string_match": {"safe_regex": {"regex": BODY_TYPES}}, "invert_match": True},
            ],
        },
        "direct_response": {"status": 415, "body": {"inline_string": "the body must be application/json"}},
    }


def _encoded() -> dict[str, Any]:
    """Refuse bodies that are compressed, in a REST request."""
    identity = {"name": "content-encoding", "string_match": {"safe_regex": {"regex": "(?i)identity| *"}}, "invert_match": True}
    return {
        "name": "encoded",
        "match": {"prefix": "/", "headers": [identity, HAS_BODY, NO_GRPC]},
        "response_headers_to_add": [{"header": {"key": "accept-encoding", "value": "identity"}}],  # RFC 7694 section 3
        "direct_response": {"status": 415, "body": {"inline_string": "the body must not be encoded: leave content-encoding out"}},
    }


def _with_body(rpc: Rpc, settings: EdgeSettings) -> dict[str, Any]:
    """Route the REST requests of an RPC that takes longer bodies than others."""
    paths = "|".join(sorted({template_regex(binding.path) for binding in rpc.bindings}))
    verbs = "|".join(sorted({binding.verb for binding in rpc.bindings}))
    match = {"safe_regex": {"regex": paths}, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": verbs}}}, NO_GRPC]}
    limited = _limited(rpc.policy.max_request_bytes)
    limited["typed_per_filter_config"] |= _notice_limit(rpc, settings)
    return {**_anything(settings), "name": f"{rpc.path} over REST", "match": match, **limited}


def _with_any_body(settings: EdgeSettings) -> dict[str, Any]:
    """Route all other REST requests with a body."""
    match = {"prefix": "/", "headers": [HAS_BODY, NO_GRPC]}
    return {**_anything(settings), "name": "with body", "match": match, **_limited(settings.limits.request_bytes)}


def _notice_limit(rpc: Rpc, settings: EdgeSettings) -> dict[str, Any]:
    """Return the rate limit of signed notices, in place of that of all other calls, for the routes of an RPC that takes them."""
    return {RATE_LIMIT: notice_rate_limit(settings)} if rpc.policy.signed_notice and settings.rate_limits else {}


def _limited(request_bytes: int) -> dict[str, Any]:
    """Read a body whole before the request goes on; a longer one is a 413, which names the limit."""
    limit = typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": request_bytes})
    return {
        "metadata": {"filter_metadata": {LIMITS: {"request_bytes": str(request_bytes)}}},
        "typed_per_filter_config": {HEADER_MUTATION: _WITHOUT_GRPC, REST_BODY: limit},
    }


def _unfiltered(route: dict[str, Any], settings: EdgeSettings) -> dict[str, Any]:
    """Turn off transcoder and rate limits for a route: the transcoder would refuse its path."""
    off = typed("config.route.v3.FilterConfig", disabled=True)
    names = [TRANSCODER, *([RATE_LIMIT] if settings.rate_limits else [])]
    return {**route, "typed_per_filter_config": dict.fromkeys(names, off)}


def _page(page: Page, settings: EdgeSettings) -> dict[str, Any]:
    """Route a page of Envoy's own, with a rate limit of its own."""
    route = _unfiltered(page.route(), settings)
    if settings.rate_limits:
        route["typed_per_filter_config"][RATE_LIMIT] = page_rate_limit(settings)
    return route


def _duration(rpc: Rpc, settings: EdgeSettings) -> dict[str, str]:
    """Bound a call by its `grpc-timeout`, up to the longest allowed, or by the RPC's own deadline if it has none.

    Signed notices may come more often than other calls, so none may take longer than the RPC's own deadline.
    """
    own_s = rpc.policy.timeout_ms / 1000 or settings.limits.timeout_s
    longest_s = 0 if rpc.policy.signed_notice else settings.holding.read_s if rpc.reads else settings.holding.command_s
    return _seconds(own_s, max(own_s, longest_s))


def _seconds(usual: float, longest: float) -> dict[str, str]:
    """Bound a call. Envoy sends the resulting `grpc-timeout` to the worker, so that both use the same deadline."""
    return {"max_stream_duration": f"{usual:g}s", "grpc_timeout_header_max": f"{longest:g}s"}


def _retries(on: str) -> dict[str, Any]:
    previous_hosts = typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    return {
        "retry_on": on,
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": previous_hosts}],
        "host_selection_retry_max_attempts": 3,
    }


def _largest(fixed: Sequence[Page]) -> int:
    return max(len(page.body) for page in fixed)
