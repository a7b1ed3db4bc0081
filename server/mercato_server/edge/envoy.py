"""Envoy's configuration as plain data, to be written with `json.dumps`.

It contains descriptors, scripts and the pages under /docs; the only files that it refers to are those of a certificate.
"""

import ipaddress
import os
from collections.abc import Sequence
from typing import Any

from mercato.rpcs import Rpc, rpcs
from mercato_server.config.edge_settings import EdgeSettings, TlsFiles
from mercato_server.config.environment import ConfigError
from mercato_server.edge.filters import CLUSTER, SECOND_HOP, STREAMS, UPLOADS, http_filters, second_hop_filters, typed
from mercato_server.edge.local_replies import IS_TRANSCODED, local_reply_config
from mercato_server.edge.probes import READINESS
from mercato_server.edge.routes import route_config, second_hop_route_config
from mercato_server.rpc.headers import RPC

HEAP_BYTES = 512 * 1024 * 1024
"""Limit of Envoy's heap. Ten thousand idle connections take a third of it."""
BUFFER_BYTES = 1024 * 1024
BUSY_HEAP = (0.15, 0.35)
"""From the first share of the heap on, idle connections are closed sooner; at the second one after the shortest time."""
FULL_HEAP = (0.5, 0.9)
"""From the first share of the heap on, the streams that hold most of it are reset; at the second one, all that are tracked."""
TRACKED_BYTES_LOG2 = 18
"""A stream is tracked if it holds 256 KiB or more."""
WORKER_STREAM_BYTES = 128 * 1024
"""Answer that Envoy takes from a worker while the client does not read."""
WORKER_STREAMS = 100
"""Calls of one connection to a worker."""
FIRST_BYTES = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}
"""Waits for a connection's first bytes, TLS or not. A connection without them costs no more than its socket."""
HEALTH_TIMEOUT_S = 3.0
"""Longer than a worker may be busy because of its calls. A worker that is gone fails its health check at once."""
REFUSALS = (
    *("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "UNAUTHENTICATED"),
)
"""gRPC codes for which the caller is responsible, like HTTP's 4xx."""
SOCKET_PATH_BYTES_MAX = 107
"""sockaddr_un holds 107 bytes and a NUL (unix(7))."""
KEEPALIVE = {"interval": "30s", "timeout": "5s"}

ACCESS_LOG = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH):256%",  # NQ: without the query, which may hold personal data
    "rpc": "%PATH(NQ:PATH):128%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "worker_ms": "%RESPONSE_DURATION%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "worker": "%UPSTREAM_HOST%",
}


def render(settings: EdgeSettings) -> dict[str, Any]:
    """Return the bootstrap configuration of Envoy 1.40.

    Raises ConfigError for an upstream that is neither `host:port` nor a `unix:/path` that fits a socket's address.
    """
    calls = (*rpcs(), READINESS)
    config: dict[str, Any] = {
        "overload_manager": _overload_manager(settings),
        "static_resources": {
            "listeners": [_listener(settings, calls)],
            "clusters": [
                _cluster(settings, CLUSTER, settings.limits.concurrent_calls),
                _cluster(settings, STREAMS, settings.holding.streams),
                _cluster(settings, UPLOADS, settings.holding.uploads),
            ],
        },
    }
    if settings.cache:
        config["bootstrap_extensions"] = [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": typed("extensions.bootstrap.internal_listener.v3.InternalListener"),
            }
        ]
        config["static_resources"]["listeners"].append(_second_listener(settings, calls))
        config["static_resources"]["clusters"].append(_second_hop(settings))
    if settings.admin_path:
        config["admin"] = {"address": {"pipe": {"path": settings.admin_path, "mode": 0o600}}}
    elif settings.admin_port:
        config["admin"] = {"address": _socket_address("127.0.0.1", settings.admin_port)}
    return config


def _listener(settings: EdgeSettings, calls: Sequence[Rpc]) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": _connection_manager(settings, calls)}]
    }
    first_byte = f"{settings.holding.first_byte_s:g}s"
    if settings.tls:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": _tls(settings.tls)}
        chain["transport_socket_connect_timeout"] = first_byte
    return {
        "name": "edge",
        "address": _socket_address(settings.listen_host, settings.port),
        "enable_reuse_port": False,  # a second Envoy on the port must fail instead of sharing its connections
        "listener_filters": [FIRST_BYTES],
        "listener_filters_timeout": first_byte,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "per_connection_buffer_high_watermark_timeout": f"{settings.holding.unread_s:g}s",
        "filter_chains": [chain],
    }


def _tls(files: TlsFiles) -> dict[str, Any]:
    return typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificates": [{"certificate_chain": {"filename": files.certificate}, "private_key": {"filename": files.key}}],
        },
    )


def _connection_manager(settings: EdgeSettings, calls: Sequence[Rpc]) -> dict[str, Any]:
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        server_header_transformation="PASS_THROUGH",
        use_remote_address=True,
        xff_num_trusted_hops=settings.trusted_hops,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        always_set_request_id_in_response=True,
        max_request_headers_kb=16,
        request_headers_timeout=f"{settings.holding.headers_s:g}s",
        # Envoy knows one value for the whole listener. The routes hold all requests but uploads to `request_s`, or less.
        request_timeout=f"{max(settings.holding.request_s, settings.holding.upload_s):g}s",
        stream_idle_timeout="60s",
        stream_flush_timeout=f"{settings.holding.unread_s:g}s",
        drain_timeout="10s",
        common_http_protocol_options={
            "idle_timeout": f"{settings.holding.idle_s:g}s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http_protocol_options={"allow_custom_methods": True},  # as HTTP/2 does: an unknown method is a 405, not a malformed request
        http2_protocol_options={
            "max_concurrent_streams": settings.holding.streams_per_connection,
            "initial_stream_window_size": 64 * 1024,
            "initial_connection_window_size": BUFFER_BYTES,
            "connection_keepalive": KEEPALIVE,
        },
        local_reply_config=local_reply_config(calls),
        access_log=[_access_log(settings, transcoded=True), _access_log(settings, transcoded=False)],
        route_config=route_config(settings, calls),
        http_filters=http_filters(settings, calls),
    )


def _second_listener(settings: EdgeSettings, calls: Sequence[Rpc]) -> dict[str, Any]:
    """Return the listener behind the cache. It has no socket: only this Envoy reaches it."""
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=SECOND_HOP,
        codec_type="HTTP2",
        server_header_transformation="PASS_THROUGH",
        use_remote_address=False,
        max_request_headers_kb=16,
        stream_idle_timeout="60s",
        http2_protocol_options={"max_concurrent_streams": settings.limits.concurrent_calls},
        local_reply_config=local_reply_config(calls),
        route_config=second_hop_route_config(settings, calls),
        http_filters=second_hop_filters(settings, calls),
    )
    return {
        "name": SECOND_HOP,
        "internal_listener": {},
        "ignore_global_conn_limit": True,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }


def _second_hop(settings: EdgeSettings) -> dict[str, Any]:
    address = {"envoy_internal_address": {"server_listener_name": SECOND_HOP}}
    return {
        "name": SECOND_HOP,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _http2()},
        "circuit_breakers": {"thresholds": [_thresholds(settings, settings.limits.concurrent_calls)]},
        "load_assignment": {"cluster_name": SECOND_HOP, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    }


def _access_log(settings: EdgeSettings, *, transcoded: bool) -> dict[str, Any]:
    """Log calls on standard output. The log of transcoded calls has no gRPC status: Envoy would derive a wrong one from HTTP's."""
    fields = {name: value for name, value in ACCESS_LOG.items() if not (transcoded and name == "grpc_status")}
    if transcoded:
        fields["rpc"] = f"%REQ({RPC}?:PATH):128%"  # after transcoding the path has no query
    header = {**IS_TRANSCODED["header_filter"]["header"], "invert_match": not transcoded}
    filters = [{"not_health_check_filter": {}}, {"header_filter": {"header": header}}, _worth_logging(settings)]
    chosen = {"and_filter": {"filters": filters}}
    stdout = typed("extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": fields})
    return {"name": "envoy.access_loggers.stdout", "filter": chosen, "typed_config": stdout}


def _worth_logging(settings: EdgeSettings) -> dict[str, Any]:
    """Choose all calls but a share of the refused ones, so that a flood of them does not push out the others."""
    percent = {"numerator": settings.refused_logged_percent, "denominator": "HUNDRED"}
    sampled = {"runtime_key": "edge.refused_logged", "percent_sampled": percent, "use_independent_randomness": True}
    no_4xx = {"or_filter": {"filters": [_status("LE", 399), _status("GE", 500)]}}
    served = {"and_filter": {"filters": [no_4xx, {"grpc_status_filter": {"statuses": list(REFUSALS), "exclude": True}}]}}
    return {"or_filter": {"filters": [served, {"runtime_filter": sampled}]}}


def _status(operator: str, status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": "edge.logged_status"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _cluster(settings: EdgeSettings, name: str, calls: int) -> dict[str, Any]:
    """Return a cluster of all workers with `calls` places for each. If all workers are unhealthy, calls fail at once.

    Only health checks decide on a worker's health. Envoy's outlier detection also counts answers and resets, which a request may cause.
    """
    addresses = [_upstream(upstream) for upstream in settings.upstreams]
    return {
        "name": name,
        "type": "STRICT_DNS" if any(map(_needs_dns, addresses)) else "STATIC",
        "dns_lookup_family": "V4_PREFERRED",  # localhost is ::1 first, where no worker listens
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _http2()},
        "circuit_breakers": {"thresholds": [_thresholds(settings, calls)]},
        "health_checks": [_health_check(settings)],
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # Envoy merges updates within a second by default. A worker that stops just after another update would still get calls.
            "update_merge_window": "0s",
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
    }


def _http2() -> dict[str, Any]:
    """Speak HTTP/2 with workers. The window of a connection has room for every stream, so an unread answer blocks no other."""
    options = {
        "max_concurrent_streams": WORKER_STREAMS,
        "initial_stream_window_size": WORKER_STREAM_BYTES,
        "initial_connection_window_size": WORKER_STREAM_BYTES * WORKER_STREAMS,
        "connection_keepalive": KEEPALIVE,
    }
    return typed("extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": options})


def _thresholds(settings: EdgeSettings, calls_each: int) -> dict[str, Any]:
    calls = calls_each * settings.workers
    return {
        "max_connections": 1024,
        "max_pending_requests": calls,
        "max_requests": calls,
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 8},  # so that retries cannot overload workers
    }


def _health_check(settings: EdgeSettings) -> dict[str, Any]:
    interval = f"{settings.health_interval_s:g}s"
    return {
        "timeout": f"{HEALTH_TIMEOUT_S:g}s",
        "interval": interval,
        "no_traffic_interval": interval,  # the default of a minute would delay the first worker
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def _overload_manager(settings: EdgeSettings) -> dict[str, Any]:
    """Bound connections and memory. Idle connections go first, then streams that hold much, then new requests."""
    heap, connections = "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections"
    heap_config = typed("extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=HEAP_BYTES)
    connections_config = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=settings.holding.connections,
    )
    idle = {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": f"{settings.holding.idle_min_s:g}s"}
    sooner = typed("config.overload.v3.ScaleTimersOverloadActionConfig", timer_scale_factors=[idle])
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {"name": heap, "typed_config": heap_config},
            {"name": connections, "typed_config": connections_config},
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": TRACKED_BYTES_LOG2},
        "actions": [
            {**_action("reduce_timeouts", heap, _scaled(*BUSY_HEAP)), "typed_config": sooner},
            _action("reset_high_memory_stream", heap, _scaled(*FULL_HEAP)),
            _action("shrink_heap", heap, {"threshold": {"value": 0.9}}),
            _action("stop_accepting_requests", heap, {"threshold": {"value": 0.95}}),
        ],
    }


def _action(name: str, resource: str, trigger: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": resource, **trigger}]}


def _scaled(first: float, last: float) -> dict[str, Any]:
    return {"scaled": {"scaling_threshold": first, "saturation_threshold": last}}


def _upstream(upstream: str) -> dict[str, Any]:
    if upstream.startswith("unix:/"):
        path = upstream.removeprefix("unix:")
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            raise ConfigError(f"the upstream is {upstream!r}; the path of a Unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes")
        return {"pipe": {"path": path}}
    host, _, port = upstream.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"the upstream is {upstream!r}; it must be host:port or unix:/path")
    return _socket_address(host.strip("[]"), int(port))


def _socket_address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _needs_dns(address: dict[str, Any]) -> bool:
    if "pipe" in address:
        return False
    try:
        ipaddress.ip_address(address["socket_address"]["address"])
    except ValueError:
        return True
    return False
