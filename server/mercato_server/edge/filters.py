"""Envoy's HTTP filters, in the order in which a request meets them; a response meets them in reverse."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from mercato.rpcs import Rpc
from mercato_server.config.edge_settings import EdgeCache, EdgeSettings
from mercato_server.edge.descriptors import descriptor_set, template_regex, transcoded_services
from mercato_server.edge.scripts import CONDITIONAL, CONDITIONAL_LUA, SLASH, SLASH_LUA, cache_scripts, inner_scripts, outer_scripts
from mercato_server.rpc.headers import ORIGINAL_METHOD, PREVIOUS_ATTEMPTS, PROXY_ADDRESS, RPC

CLUSTER = "mercato"
STREAMS = "mercato-streams"
"""The same workers, for health watches and reflection: these last long, so they have places of their own."""
UPLOADS = "mercato-uploads"
"""The same workers, for uploads, which last as long as their clients take."""
SECOND_HOP = "mercato-cache"
"""The second hop, from which the cache gets its answers."""
BUFFER = "envoy.filters.http.buffer"
CACHE = "envoy.filters.http.cache"
HEADER_MUTATION = "envoy.filters.http.header_mutation"
LUA = "envoy.filters.http.lua"
OUTER_LUA = f"{LUA}.outer"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
CORS = "envoy.filters.http.cors"

HEALTH = r"/healthz/?(\?.*)?"
"""The paths that the health check answers."""
REST_BODY = "mercato.rest_body"
"""The filter that bounds the bodies of REST requests."""

ALLOWED_HEADERS = (
    "authorization",
    "baggage",
    "connect-protocol-version",
    "content-type",
    "grpc-timeout",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "x-grpc-web",
    "x-request-id",
    "x-user-agent",
)
EXPOSED_HEADERS = (
    "allow",
    "etag",
    "grpc-message",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-status-details-bin",
    "idempotent-replayed",
    "location",
    "retry-after",
    "www-authenticate",
    "x-request-id",
)

COMPRESSED = ("application/json", "text/css", "text/html", "text/javascript")

ONE_YEAR = "max-age=31536000"

UNREADABLE = r".*[^0-9a-z_.:-].*|.*-bin|grpc-(internal-encoding-request|previous-rpc-attempts|retry-pushback-ms|status)"
"""Names of request headers that the edge removes; workers need none of them.

gRPC fails a call with INTERNAL for a name that HTTP allows and gRPC does not, and for a value that it cannot decode. It keeps such a header
in the compression state of the connection, which all clients share; so one client could fail the calls of others.
"""

CALLERS_REMEMBERED = 10_000
"""Most client addresses, and most tokens, that have their own bucket; the least recently used bucket is dropped first."""
FILL_MAX_S = 60
"""Longest time until a bucket has tokens again."""
CREDENTIALS, ADDRESS, TOKEN, STREAM = "credentials", "masked_remote_address", "token", "stream"
"""Keys of rate limit descriptors; the second one is defined by Envoy."""
CLIENT: dict[str, Any] = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}  # a subscriber has a whole /64
STREAMING_PATHS = r"/grpc\.(health\.[^/]+/Watch|reflection\.[^/]+/ServerReflectionInfo)"
NAMESPACE = "mercato"
TELLING_PART = r"^\S+\s+([^.\s]*(?:\.[^.\s]*)?).*$"
"""The part of `authorization` that identifies a token: without scheme, spaces and a JWT's signature, which have several spellings."""
ANY = {"safe_regex": {"regex": ".*"}}
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


JSON_GROWTH_MAX = 6
"""Bytes of JSON for a byte of a message, at most: an escape such as \\u003c."""


def typed(kind: str, /, **fields: Any) -> dict[str, Any]:
    """Return the configuration of an extension; `kind` is its message's name without `envoy.`."""
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def overwriting(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the configuration that sets headers, in place of values that they have."""
    return [{"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for key, value in values.items()]


def http_filters(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> list[dict[str, Any]]:
    """Return the filter chain.

    Filters that add headers to every response come first, also to Envoy's own responses. Lua and the compressor come before the
    transcoder, so that they see its JSON responses instead of gRPC's. The scripts that drop a body come before the compressor: the other
    headers are then those of the whole answer. The buffer comes last: it reads a request whole, as a gRPC message, before the request
    takes a place at a worker.
    """
    return [
        _filter(HEADER_MUTATION, _header_mutation(settings)),
        _filter("envoy.filters.http.health_check", _health_check()),
        *([_filter(CORS, typed("extensions.filters.http.cors.v3.Cors"))] if settings.cors_origins else []),
        *(_rate_limits(settings, rpcs) if settings.rate_limits else []),
        _filter(OUTER_LUA, _lua(outer_scripts())),
        _filter("envoy.filters.http.compressor", _compressor()),
        _filter("envoy.filters.http.grpc_web", typed("extensions.filters.http.grpc_web.v3.GrpcWeb")),
        _filter(LUA, _lua(inner_scripts(rpcs) | (cache_scripts(settings.cache.name) if settings.cache else {}))),
        {**_filter(REST_BODY, _buffer(settings)), "disabled": True},  # routes of REST bodies turn it on
        _filter(TRANSCODER, _transcoder(settings, rpcs)),
        _filter(BUFFER, _buffer(settings)),
        *([{**_filter(CACHE, _cache(settings.cache)), "disabled": True}] if settings.cache else []),  # routes of cached answers turn it on
        ROUTER,
    ]


def second_hop_filters(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> list[dict[str, Any]]:
    """Return the filter chain behind the cache: what turns a GET into a call, and nothing that an answer owes to its caller.

    It must not compress: the cache would not store an answer with `vary`.
    """
    return [
        _filter(HEADER_MUTATION, typed("extensions.filters.http.header_mutation.v3.HeaderMutation")),
        _filter(OUTER_LUA, _lua({CONDITIONAL: CONDITIONAL_LUA})),
        _filter(LUA, _lua({SLASH: SLASH_LUA})),
        _filter(TRANSCODER, _transcoder(settings, rpcs)),
        _filter(BUFFER, _buffer(settings)),
        ROUTER,
    ]


def cors_policy(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Return the CORS policy. Cookies are not allowed, because credentials are sent in `authorization`."""
    methods = sorted({binding.verb for rpc in rpcs for binding in rpc.bindings} | {"HEAD", "OPTIONS", "POST"})
    return typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[ANY if origin == "*" else {"exact": origin} for origin in settings.cors_origins],
        allow_methods=", ".join(methods),
        allow_headers=", ".join(ALLOWED_HEADERS),
        expose_headers=", ".join(EXPOSED_HEADERS),
        max_age="600",
    )


def _filter(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": config}


ROUTER = _filter("envoy.filters.http.router", typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True))


def _header_mutation(settings: EdgeSettings) -> dict[str, Any]:
    """Remove request headers that belong to the edge or that workers cannot read.

    Add `nosniff`, and with TLS Strict-Transport-Security, to responses.
    """
    values = {"x-content-type-options": "nosniff", **({"strict-transport-security": ONE_YEAR} if settings.tls else {})}
    return typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={
            "request_mutations": [
                *({"append": header} for header in overwriting({PREVIOUS_ATTEMPTS: "%REQ(grpc-previous-rpc-attempts)%"})),
                {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": UNREADABLE}}}},
                {"remove": ORIGINAL_METHOD},  # Envoy itself removes the path of a client
                {"remove": RPC},
                {"remove": PROXY_ADDRESS},
            ],
            "response_mutations": [{"append": header} for header in overwriting(values)],
        },
    )


def _health_check() -> dict[str, Any]:
    return typed(
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[
            {"name": ":path", "string_match": {"safe_regex": {"regex": HEALTH}}},
            {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}},
        ],
        cluster_min_healthy_percentages={CLUSTER: {"value": 1}},  # whole numbers only; one healthy worker of up to a hundred is enough
    )


def _lua(scripts: Mapping[str, str]) -> dict[str, Any]:
    """Run one of the scripts where a route names it. A script that changes a request leaves its route as it is."""
    codes = {name: {"inline_string": script} for name, script in scripts.items()}
    return typed("extensions.filters.http.lua.v3.Lua", source_codes=codes, clear_route_cache=False)


def _rate_limits(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> list[dict[str, Any]]:
    token_to_metadata = _filter("envoy.filters.http.header_to_metadata", _token_to_metadata())
    return [token_to_metadata, _filter(RATE_LIMIT, _rate_limit(settings, rpcs))]


def _token_to_metadata() -> dict[str, Any]:
    """Copy the access token of a request to the metadata that the rate limits read."""
    rewrite = {"pattern": {"regex": TELLING_PART}, "substitution": r"\1"}
    value = {"metadata_namespace": NAMESPACE, "key": TOKEN, "regex_value_rewrite": rewrite}
    return typed(
        "extensions.filters.http.header_to_metadata.v3.Config", request_rules=[{"header": "authorization", "on_header_present": value}]
    )


def _rate_limit(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Limit the requests of each client address and each token; credentials and streams have a lower limit per address."""
    metadata_key = {"key": NAMESPACE, "path": [{"key": TOKEN}]}
    token = {"metadata": {"descriptor_key": TOKEN, "metadata_key": metadata_key, "source": "DYNAMIC", "skip_if_absent": True}}
    credentials = [_credentials(rpc, path) for rpc in rpcs if rpc.has_tight_limit for path in rpc.paths]
    path = {"name": ":path", "string_match": {"safe_regex": {"regex": STREAMING_PATHS}}}
    stream = {"header_value_match": {"descriptor_key": STREAM, "descriptor_value": STREAM, "headers": [path]}}
    return _local_rate_limit(
        "clients",
        rate_limits=[
            {"actions": [CLIENT]},
            {"actions": [token]},
            {"actions": [stream, CLIENT]},
            *({"actions": [match, CLIENT]} for match in credentials),
        ],
        descriptors=[
            _bucket_for_each(CREDENTIALS, ADDRESS, bucket=_bucket(settings.credentials_per_minute, FILL_MAX_S)),
            _bucket_for_each(STREAM, ADDRESS, bucket=_bucket(settings.holding.streams_per_s, 1)),
            _bucket_for_each(ADDRESS, bucket=_bucket(settings.requests_per_s, 1)),
            _bucket_for_each(TOKEN, bucket=_bucket(settings.token_requests_per_s, 1)),
        ],
    )


def page_rate_limit(settings: EdgeSettings) -> dict[str, Any]:
    """Limit the requests of each client address for pages, apart from its other requests."""
    bucket = _bucket_for_each(ADDRESS, bucket=_bucket(settings.holding.pages_per_s, 1))
    return _local_rate_limit("pages", rate_limits=[{"actions": [CLIENT]}], descriptors=[bucket])


def notice_rate_limit(settings: EdgeSettings) -> dict[str, Any]:
    """Limit the signed notices of each client address, apart from its other requests."""
    bucket = _bucket_for_each(ADDRESS, bucket=_bucket(settings.holding.notices_per_s, 1))
    return _local_rate_limit("notices", rate_limits=[{"actions": [CLIENT]}], descriptors=[bucket])


def _local_rate_limit(stat_prefix: str, *, rate_limits: list[dict[str, Any]], descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    return typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix=stat_prefix,
        token_bucket=_bucket(1, 1),  # required but unused: every request has a descriptor
        always_consume_default_token_bucket=False,
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        rate_limited_as_resource_exhausted=True,
        enable_retry_after_header=True,
        max_dynamic_descriptors=CALLERS_REMEMBERED,
        rate_limits=rate_limits,
        descriptors=descriptors,
    )


def _credentials(rpc: Rpc, path: str) -> dict[str, Any]:
    match = {"name": ":path", "string_match": {"safe_regex": {"regex": template_regex(path)}}}
    return {"header_value_match": {"descriptor_key": CREDENTIALS, "descriptor_value": _counted_as(rpc), "headers": [match]}}


def _bucket_for_each(*keys: str, bucket: dict[str, Any]) -> dict[str, Any]:
    """Return a descriptor that gives each combination of the keys' values a bucket; an entry without a value matches any value."""
    return {"entries": [{"key": key} for key in keys], "token_bucket": bucket}


def _bucket(tokens: int, seconds: int) -> dict[str, Any]:
    return {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": f"{seconds}s"}


def _compressor() -> dict[str, Any]:
    return typed(
        "extensions.filters.http.compressor.v3.Compressor",
        response_direction_config={
            "common_config": {
                "min_content_length": 256,
                "content_type_matcher": [{"prefix": content_type} for content_type in COMPRESSED],
            },
            "weaken_etag_on_compress": True,
        },
        compressor_library={
            "name": "gzip",
            "typed_config": typed("extensions.compression.gzip.compressor.v3.Gzip", compression_level="BEST_SPEED"),
        },
    )


def _buffer(settings: EdgeSettings) -> dict[str, Any]:
    return typed("extensions.filters.http.buffer.v3.Buffer", max_request_bytes=settings.limits.request_bytes)


def _cache(cache: EdgeCache) -> dict[str, Any]:
    files = typed(
        "extensions.http.cache.file_system_http_cache.v3.FileSystemHttpCacheConfig",
        manager_config={"thread_pool": {"thread_count": cache.threads}},
        cache_path=f"{cache.directory}/",
        max_cache_size_bytes=cache.size_bytes,
        max_cache_entry_count=cache.entries,
    )
    return typed("extensions.filters.http.cache.v3.CacheConfig", typed_config=files)


def _transcoder(settings: EdgeSettings, rpcs: Sequence[Rpc]) -> dict[str, Any]:
    """Translate REST into gRPC. The limits are those of the longest message: the routes limit bodies, and workers limit responses."""
    return typed(
        "extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor_bin=base64.b64encode(descriptor_set().SerializeToString(deterministic=True)).decode(),
        services=transcoded_services(rpcs),
        convert_grpc_status=True,
        ignore_unknown_query_parameters=True,  # a worker reads them
        max_request_body_size=settings.limits.receive_bytes,
        max_response_body_size=JSON_GROWTH_MAX * settings.limits.response_bytes,
        print_options={"always_print_primitive_fields": True, "preserve_proto_field_names": True},
        request_validation_options={
            "reject_unknown_method": True,  # without it an unknown path is a 503, and a wrong verb an empty 200
        },
    )


def _counted_as(rpc: Rpc) -> str:
    """Return the name under which a rate limit counts an RPC; its variant for HTML forms counts together with it."""
    return rpc.name.removesuffix("Form")
