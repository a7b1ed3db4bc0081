"""Routes of the GETs that the edge may answer from its cache, because the answer depends on nothing but the URL."""

from typing import Any

from mercato.rpcs import Rpc
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.edge.descriptors import template_regex
from mercato_server.edge.filters import CACHE, HEADER_MUTATION, LUA, OUTER_LUA, SECOND_HOP, TRANSCODER, overwriting, typed
from mercato_server.edge.scripts import CACHED, CACHED_CONDITIONAL, CONDITIONAL
from mercato_server.rpc.headers import CLIENT_ADDRESS, ORIGINAL_PATH, PROXY_ADDRESS, RPC

PASSING_BY = ("authorization", "cache-control", "pragma", "content-length", "transfer-encoding")
"""A request with one of these headers is answered by a worker: its sender may see more, wants the newest answer, or sent a body."""
ON, OFF = typed("config.route.v3.FilterConfig", config={}), typed("config.route.v3.FilterConfig", disabled=True)

STORED_HEADERS = {"age": "1", "date": "Fri, 31 Dec 2100 23:59:59 GMT"}
"""Headers of an answer on its way to the cache, which make it keep the answer for `s-maxage` to the millisecond.

The cache counts an entry's age in whole seconds, from `date`, which lags by up to half a second. It keeps an entry until it is older than
`s-maxage`, which would be up to a second longer. It takes an `age` as it is, and a `date` to come for the time of its arrival.
"""


def cached_routes(rpc: Rpc, settings: EdgeSettings, max_stream_duration: dict[str, str]) -> list[dict[str, Any]]:
    """Return the routes of an RPC's GETs to the cache."""
    regex = "|".join(sorted({template_regex(binding.path) for binding in rpc.bindings}))
    route: dict[str, Any] = {
        "name": f"{rpc.path} cached",
        "match": {"safe_regex": {"regex": regex}, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}, *_absent()]},
        "route": {"cluster": SECOND_HOP, "timeout": "0s", "max_stream_duration": max_stream_duration},
        "typed_per_filter_config": {CACHE: ON, TRANSCODER: OFF, HEADER_MUTATION: _headers(rpc, settings), LUA: _script(CACHED)},
    }
    conditional = {
        "name": f"{route['name']} if-none-match",
        "match": {**route["match"], "headers": [*route["match"]["headers"], {"name": "if-none-match", "present_match": True}]},
        "typed_per_filter_config": {
            **route["typed_per_filter_config"],
            LUA: _script(CACHED_CONDITIONAL),
            OUTER_LUA: _script(CONDITIONAL),
        },
    }
    return [{**route, **conditional}, route]


def _absent() -> list[dict[str, Any]]:
    no_grpc = {
        "name": "content-type",
        "string_match": {"prefix": "application/grpc"},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }
    return [*({"name": name, "present_match": True, "invert_match": True} for name in PASSING_BY), no_grpc]


def _headers(rpc: Rpc, settings: EdgeSettings) -> dict[str, Any]:
    """Name the RPC and the client for the access log and the worker; remove the headers that were for the cache."""
    asked = {RPC: rpc.path, ORIGINAL_PATH: "%REQ(:PATH)%", CLIENT_ADDRESS: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    if settings.tells_proxies:
        asked[PROXY_ADDRESS] = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    vary = [{"append": {"header": {"key": "vary", "value": "Origin"}}}] if settings.cors_origins else []
    return typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        mutations={
            "request_mutations": [{"append": header} for header in overwriting(asked)],
            "response_mutations": [*({"remove": name} for name in (*STORED_HEADERS, "x-envoy-upstream-service-time")), *vary],
        },
    )


def _script(name: str) -> dict[str, Any]:
    return typed("extensions.filters.http.lua.v3.LuaPerRoute", name=name)
