"""`mercato edge` gives its port from one Envoy to the next: new routes and certificates appear, and old connections end."""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embedded.watch import children, gone
from faults.buyers import Goods
from faults.deployments import HotEdge
from faults.processes import HOST, Worker, open_channel, running
from faults.releases import ROOT, Release, run
from support.certificates import Certificate, certificate
from support.patience import allowed, patient, until

HERE = Release(ROOT)
NEW_SERVICE, NEW_ROUTE = "mercato.v1.PromotionService", "/v1/promotions"
KNOWN, UNKNOWN = 401, 405
"""The answer of a route that an edge can translate, to a caller without a token; and of one that it cannot, but whose path is reserved."""
CALL_S = 1.0
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"


@pytest.fixture
async def worker(directory: Path, goods: Goods) -> AsyncIterator[Worker]:
    worker = Worker(directory, goods.database_url)
    async with running(worker):
        yield worker


async def rendered(edge: HotEdge, worker: Worker, *, knows_new: bool = True, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a configuration, if wanted that of a release that lacks a service."""
    arguments = ("--port", str(edge.port), "--admin-port", "0", "--upstream", worker.address)
    config: dict[str, Any] = json.loads(await run(HERE, "envoy-config", *arguments, **(environ or {})))
    if not knows_new:
        [listener] = config["static_resources"]["listeners"]
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        [transcoder] = [each for each in filters if each["name"] == TRANSCODER]
        transcoder["typed_config"]["services"].remove(NEW_SERVICE)
    return config


@asynccontextmanager
async def edge_of(directory: Path, worker: Worker) -> AsyncIterator[HotEdge]:
    """Run an edge whose first configuration lacks a service."""
    edge = HotEdge(directory, HERE, allowed(CALL_S))
    edge.configure(await rendered(edge, worker, knows_new=False))
    async with edge:
        yield edge


async def get(connection: HTTPConnection, path: str) -> HTTPResponse:
    """Make a request on a connection, which is kept unless the answer says otherwise."""

    def request() -> HTTPResponse:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer

    return await asyncio.to_thread(request)


async def status(edge: HotEdge, path: str) -> int:
    """Make a request on a new connection."""
    with closing(HTTPConnection(HOST, edge.port, timeout=patient())) as connection:
        return (await get(connection, path)).status


async def knows_new_routes(edge: HotEdge) -> bool:
    """Return whether the next Envoy takes new connections: the old one may take some until it obeys the next one, which serves."""
    return await status(edge, NEW_ROUTE) == KNOWN


async def test_the_next_envoy_has_new_routes_and_the_old_one_ends_with_its_connections(directory: Path, worker: Worker) -> None:
    async with (
        edge_of(directory, worker) as edge,
        open_channel(f"{HOST}:{edge.port}") as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        with closing(HTTPConnection(HOST, edge.port, timeout=patient())) as kept:
            assert (await get(kept, NEW_ROUTE)).status == UNKNOWN
            assert (await get(kept, "/products")).getheader("connection") is None
            watch = health.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            [old] = envoys(edge)
            edge.configure(await rendered(edge, worker))
            await edge.restart()
            await until(lambda: knows_new_routes(edge))
            await until(lambda: is_told_to_leave(kept), "the old connection is told to close")
            assert (await get(kept, NEW_ROUTE)).status == KNOWN, "a new connection"
            await health.Check(health_pb2.HealthCheckRequest(), timeout=patient())
            watch.cancel()
            await edge.drained()
            [new] = envoys(edge)
            assert gone(old)
            shared = shared_memory(new)
            assert shared.exists()
            await until(lambda: not abstract_sockets(new), "only the account of the edge may command Envoy", despite=FileNotFoundError)
            assert await status(edge, NEW_ROUTE) == KNOWN
            await health.Check(health_pb2.HealthCheckRequest(), timeout=patient())
    assert gone(new), "SIGTERM ends the command and its Envoy"
    assert not shared.exists()


async def is_told_to_leave(kept: HTTPConnection) -> bool:
    answer = await get(kept, "/products")
    assert answer.status == 200
    return answer.getheader("connection") == "close"


async def test_an_epoch_that_fails_changes_nothing_and_the_next_one_serves(directory: Path, worker: Worker) -> None:
    async with edge_of(directory, worker) as edge:
        with socket.create_server((HOST, 0)) as taken:
            bad = json.loads(edge.config.read_text())
            bad["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = taken.getsockname()[1]
            edge.configure(bad)
            os.kill(edge.pid, signal.SIGHUP)
            await edge.said("cannot restart Envoy; the epoch that serves goes on: epoch 1 of Envoy ended with exit code 1")
        assert await status(edge, NEW_ROUTE) == UNKNOWN
        edge.configure(await rendered(edge, worker))
        await edge.restart()
        await until(lambda: knows_new_routes(edge))


async def test_a_refused_configuration_changes_nothing_and_a_renewed_certificate_is_served(directory: Path, worker: Worker) -> None:
    edge = HotEdge(directory, HERE, allowed(CALL_S))
    first = certificate(directory)
    edge.configure(await rendered(edge, worker, environ=first.environ))
    async with edge:
        before = await served_certificate(edge)
        assert before == first.path.read_text()
        good = edge.config.read_text()
        edge.config.write_text('{"static_resources": {"listeners": [{"name": 7}]}}')
        os.kill(edge.pid, signal.SIGHUP)
        await edge.said("cannot restart Envoy; the epoch that serves goes on: Envoy refuses")
        assert await served_certificate(edge) == before
        edge.config.write_text(good)
        renewed = certificate(directory)
        assert renewed.path == first.path
        await edge.restart()
        assert renewed.path.read_text() != before
        await until(lambda: serves(edge, renewed))


async def serves(edge: HotEdge, wanted: Certificate) -> bool:
    return await served_certificate(edge) == wanted.path.read_text()


async def served_certificate(edge: HotEdge) -> str:
    """Return the certificate that a new connection gets, as PEM."""
    return await asyncio.to_thread(ssl.get_server_certificate, (HOST, edge.port), timeout=patient())


async def test_the_command_ends_with_its_envoy_and_its_envoy_with_the_command(directory: Path, worker: Worker) -> None:
    async with edge_of(directory, worker) as edge:
        [envoy] = envoys(edge)
        os.kill(envoy, signal.SIGKILL)
        assert await edge.wait() == 1
        assert "mercato: Envoy was killed by SIGKILL" in edge.log.read_text()
    async with edge_of(directory, worker) as edge:
        [envoy] = envoys(edge)
        os.kill(edge.pid, signal.SIGKILL)
        await until(lambda: gone(envoy))


def shared_memory(envoy: int) -> Path:
    """Return the file by which an Envoy and its successor know each other."""
    maps = Path(f"/proc/{envoy}/maps").read_text().splitlines()
    [path] = {line.split()[-1] for line in maps if "envoy_shared_memory" in line}
    return Path(path)


def abstract_sockets(process: int) -> list[str]:
    """Return the names of the Unix sockets of a process that are not in the file system."""
    own = {opened.readlink().name for opened in Path(f"/proc/{process}/fd").iterdir() if opened.is_socket()}
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return [row[-1] for row in rows if row[-1].startswith("@") and f"socket:[{row[6]}]" in own]


def envoys(edge: HotEdge) -> list[int]:
    """Return the running Envoys of an edge."""
    return sorted(children(edge.pid))
