"""Envoy's configuration with and without the cache of catalog reads, and the status that Envoy gives to what it uses."""

import json
import re
from pathlib import Path
from typing import Any

from mercato.rpcs import rpcs
from mercato_server.config.edge_settings import EdgeCache, EdgeSettings, TlsFiles
from mercato_server.edge.envoy import render
from support.certificates import certificate
from unit.test_envoy_config import assert_valid, found

CATALOG_READS = {
    *("BatchGetProducts", "GetCategory", "GetProduct", "GetProductGroup", "ListCategories", "ListProductGroups", "ListProducts"),
}
STATUS = {
    "access_loggers.filters.cel": "alpha",
    "access_loggers.stream": "stable",
    "bootstrap.internal_listener": "stable",
    "compression.gzip.compressor": "stable",
    "filters.http.buffer": "stable",
    "filters.http.cache": "wip",
    "filters.http.compressor": "stable",
    "filters.http.cors": "stable",
    "filters.http.grpc_json_transcoder": "stable",
    "filters.http.grpc_web": "stable",
    "filters.http.header_mutation": "alpha",
    "filters.http.header_to_metadata": "stable",
    "filters.http.health_check": "stable",
    "filters.http.local_ratelimit": "stable",
    "filters.http.lua": "stable",
    "filters.http.router": "stable",
    "filters.listener.tls_inspector": "stable",
    "filters.network.http_connection_manager": "stable",
    "http.cache.file_system_http_cache": "wip",
    "resource_monitors.downstream_connections": "stable",
    "resource_monitors.fixed_heap": "alpha",
    "retry.host.previous_hosts": "stable",
    "transport_sockets.tls": "stable",
    "upstreams.http": "stable",
}
"""Status of the extensions in Envoy's extensions_metadata.yaml; `wip` means work in progress, not intended for production."""


def with_cache(directory: Path, **settings: Any) -> EdgeSettings:
    return EdgeSettings(cache=EdgeCache(directory=directory), **settings)


def extensions(config: dict[str, Any]) -> set[str]:
    types = re.findall(r"type\.googleapis\.com/envoy\.extensions\.([a-z0-9_.]+)\.v3\.", json.dumps(config))
    return set(types)


def test_only_the_cache_uses_what_envoy_calls_work_in_progress(tmp_path: Path) -> None:
    tls = TlsFiles.from_environ(certificate(tmp_path).environ)
    plain = extensions(render(EdgeSettings(tls=tls, cors_origins=("*",))))
    cached = extensions(render(with_cache(tmp_path, tls=tls, cors_origins=("*",))))
    assert {name for name in plain if STATUS[name] == "wip"} == set()
    assert {name for name in cached if STATUS[name] == "wip"} == {"filters.http.cache", "http.cache.file_system_http_cache"}
    assert plain | cached == set(STATUS)


def test_without_the_cache_there_is_no_trace_of_it() -> None:
    config = render(EdgeSettings())
    assert list(config) == ["overload_manager", "static_resources"]
    assert not [word for word in ("mercato-cache", "http.cache", "internal_listener") if word in json.dumps(config)]


def test_envoy_accepts_the_configuration_with_the_cache(tmp_path: Path) -> None:
    assert_valid(render(with_cache(tmp_path, cors_origins=("*",), rate_limits=False)), tmp_path / "envoy.json")


def test_limits_of_the_cache_reach_the_configuration(tmp_path: Path) -> None:
    cache = EdgeCache(directory=tmp_path, size_bytes=12_345, entries=678, threads=3)
    config = render(EdgeSettings(cache=cache))
    for key, expected in (("cache_path", f"{tmp_path}/"), ("max_cache_size_bytes", 12_345), ("max_cache_entry_count", 678)):
        assert list(found(config, key)) == [expected]
    assert list(found(config, "thread_count")) == [3]
    assert json.dumps(config).count(cache.name) == 2


def test_the_host_in_the_keys_is_another_one_for_each_configuration(tmp_path: Path) -> None:
    names = {with_cache(tmp_path).cache.name for _ in range(3)}  # type: ignore[union-attr] # it has one
    assert len(names) == 3
    assert all(len(bytes.fromhex(name)) == 16 for name in names)


def test_a_route_leads_to_the_cache_for_each_read_that_caches_may_share_and_for_no_other(tmp_path: Path) -> None:
    config = render(with_cache(tmp_path))
    [first, second] = found(config, "virtual_hosts")
    cached = [route for route in first[0]["routes"] if route.get("route", {}).get("cluster") == "mercato-cache"]
    shared = {rpc.path for rpc in rpcs() if rpc.policy.shared_max_age_s}
    assert shared == {f"/mercato.v1.CatalogService/{name}" for name in CATALOG_READS}
    assert {route["name"].split()[0] for route in cached} == shared
    for route in cached:
        conditions = {each["name"]: each for each in route["match"]["headers"]}
        assert conditions[":method"]["string_match"] == {"exact": "GET"}
        assert all(conditions[name]["invert_match"] for name in ("authorization", "cache-control", "pragma"))
    assert shared <= {route["name"] for route in second[0]["routes"]}
    assert "mercato-cache" not in json.dumps(second)
