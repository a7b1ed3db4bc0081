"""Envoy's configuration as plain data, to be written with `json.dumps`.

It contains descriptors, scripts and the pages under /docs; the only files that it refers to are those of a certificate.
"""

import ipaddress
import math
import os
from collections.abc import Sequence
from typing import Any

from mercato.rpcs import Rpc, rpcs
from mercato_server.config.edge_settings import EdgeSettings, TlsFiles
from mercato_server.config.environment import ConfigError
from mercato_server.edge.filters import CLUSTER, http_filters, typed
from mercato_server.edge.local_replies import IS_TRANSCODED, local_reply_config
from mercato_server.edge.probes import READINESS
from mercato_server.edge.routes import route_config

HEAP_BYTES = 512 * 1024 * 1024
"""Limit of Envoy's heap. Envoy frees memory at 90 % of it, and refuses requests at 95 %."""
CONNECTIONS = 10_000
BUFFER_BYTES = 1024 * 1024
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
    config: dict[str, Any] = {
        "overload_manager": _overload_manager(),
        "static_resources": {"listeners": [_listener(settings, (*rpcs(), READINESS))], "clusters": [_cluster(settings)]},
    }
    if settings.admin_path:
        config["admin"] = {"address": {"pipe": {"path": settings.admin_path, "mode": 0o600}}}
    elif settings.admin_port:
        config["admin"] = {"address": _socket_address("127.0.0.1", settings.admin_port)}
    return config


def _listener(settings: EdgeSettings, calls: Sequence[Rpc]) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": _connection_manager(settings, calls)}]
    }
    if settings.tls:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": _tls(settings.tls)}
    return {
        "name": "edge",
        "address": _socket_address(settings.listen_host, settings.port),
        "enable_reuse_port": False,  # a second Envoy on the port must fail instead of sharing its connections
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
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
        request_headers_timeout="10s",
        request_timeout="30s",
        stream_idle_timeout="60s",
        drain_timeout="10s",
        common_http_protocol_options={"idle_timeout": "300s", "max_headers_count": 64, "headers_with_underscores_action": "REJECT_REQUEST"},
        http_protocol_options={"allow_custom_methods": True},  # as HTTP/2 does: an unknown method is a 405, not a malformed request
        http2_protocol_options={
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 64 * 1024,
            "initial_connection_window_size": BUFFER_BYTES,
            "connection_keepalive": KEEPALIVE,
        },
        local_reply_config=local_reply_config(calls),
        access_log=[_access_log(transcoded=True), _access_log(transcoded=False)],
        route_config=route_config(settings, calls),
        http_filters=http_filters(settings, calls),
    )


def _access_log(*, transcoded: bool) -> dict[str, Any]:
    """Log calls on standard output. The log of transcoded calls has no gRPC status: Envoy would derive a wrong one from HTTP's."""
    fields = {name: value for name, value in ACCESS_LOG.items() if not (transcoded and name == "grpc_status")}
    header = {**IS_TRANSCODED["header_filter"]["header"], "invert_match": not transcoded}
    chosen = {"and_filter": {"filters": [{"not_health_check_filter": {}}, {"header_filter": {"header": header}}]}}
    stdout = typed("extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": fields})
    return {"name": "envoy.access_loggers.stdout", "filter": chosen, "typed_config": stdout}


def _cluster(settings: EdgeSettings) -> dict[str, Any]:
    """Return the cluster of workers. An unhealthy worker gets no calls; if all are unhealthy, calls fail at once."""
    addresses = [_upstream(upstream) for upstream in settings.upstreams]
    return {
        "name": CLUSTER,
        "type": "STRICT_DNS" if any(map(_needs_dns, addresses)) else "STATIC",
        "dns_lookup_family": "V4_PREFERRED",  # localhost is ::1 first, where no worker listens
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _http2()},
        "circuit_breakers": {"thresholds": [_thresholds(settings)]},
        "health_checks": [_health_check(settings)],
        "outlier_detection": {
            "consecutive_5xx": 20,
            "base_ejection_time": "5s",  # short: a failing database makes every worker look bad
            "max_ejection_time": "30s",
            "max_ejection_percent": _ejection_percent(settings),
        },
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # Envoy merges updates within a second by default. A worker that stops just after another update would still get calls.
            "update_merge_window": "0s",
        },
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
    }


def _ejection_percent(settings: EdgeSettings) -> int:
    """Return the percentage of addresses that is half of the workers; Envoy counts addresses without a worker too."""
    addresses = len(settings.upstreams)
    return math.ceil(50 * (addresses - settings.spares) / addresses)


def _http2() -> dict[str, Any]:
    return typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": {"max_concurrent_streams": 100, "connection_keepalive": KEEPALIVE}},
    )


def _thresholds(settings: EdgeSettings) -> dict[str, Any]:
    calls = settings.limits.concurrent_calls * (len(settings.upstreams) - settings.spares)
    return {
        "max_connections": 1024,
        "max_pending_requests": calls,
        "max_requests": calls,
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 8},  # so that retries cannot overload workers
    }


def _health_check(settings: EdgeSettings) -> dict[str, Any]:
    interval = f"{settings.health_interval_s:g}s"
    return {
        "timeout": f"{min(settings.health_interval_s, 1.0):g}s",
        "interval": interval,
        "no_traffic_interval": interval,  # the default of a minute would delay the first worker
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def _overload_manager() -> dict[str, Any]:
    heap, connections = "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections"
    heap_config = typed("extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=HEAP_BYTES)
    connections_config = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", max_active_downstream_connections=CONNECTIONS
    )
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {"name": heap, "typed_config": heap_config},
            {"name": connections, "typed_config": connections_config},
        ],
        "actions": [
            {"name": f"envoy.overload_actions.{action}", "triggers": [{"name": heap, "threshold": {"value": value}}]}
            for action, value in (("shrink_heap", 0.9), ("stop_accepting_requests", 0.95))
        ],
    }


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
