"""The commands of `mercato` for Envoy."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mercato_server.cli.running import output
from mercato_server.config.environment import ConfigError

VERSION = "1.40."
SHUTDOWN_S = 180


def envoy_config(
    port: Annotated[int, typer.Option(help="Port that Envoy listens on.", min=1, max=65535)] = 8080,
    host: Annotated[str | None, typer.Option(help="Address that Envoy listens on. Default: MERCATO_EDGE_HOST or 127.0.0.1.")] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="A worker: host:port or unix:/path; repeat it. Default: MERCATO_UPSTREAMS.")
    ] = None,
    admin_port: Annotated[int, typer.Option(help="Port of Envoy's admin page on 127.0.0.1; 0 for none.", min=0, max=65535)] = 0,
    edge_cache: Annotated[
        Path | None, typer.Option(help="Directory in memory that only Envoy's account may enter: turns its cache of catalog reads on.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--output", help="File to replace, once it is complete. Default: standard output.")] = None,
) -> None:
    """Print the configuration of Envoy 1.40, as JSON. It refers to no other file, except a certificate and its key."""
    from mercato_server.config.edge_settings import EdgeCache, EdgeSettings
    from mercato_server.edge.envoy import render

    settings = EdgeSettings.from_environ()
    settings = replace(
        settings,
        port=port,
        listen_host=host or settings.listen_host,
        upstreams=tuple(upstream or settings.upstreams),
        admin_port=admin_port,
        cache=EdgeCache(directory=edge_cache.absolute()) if edge_cache else None,
    )
    text = json.dumps(render(settings), indent=2) + "\n"
    with output(file, private=edge_cache is not None) as out:  # it has the secret name of the cache
        out.write(text.encode())


def edge(
    port: Annotated[int | None, typer.Option(help="Port that Envoy listens on. Default: 8080.", min=1, max=65535)] = None,
    host: Annotated[str | None, typer.Option(help="Address that Envoy listens on. Default: MERCATO_EDGE_HOST or 127.0.0.1.")] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="A worker: host:port or unix:/path; repeat it. Default: MERCATO_UPSTREAMS.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="File that `envoy-config` has written, in place of these options.", dir_okay=False)
    ] = None,
    shutdown_seconds: Annotated[
        int | None,
        typer.Option(
            help="Life of an Envoy after a restart; longer than an upload. Default: 180, or twice MERCATO_DRAIN_SECONDS.",
            min=2,
            max=7200,
        ),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Threads of Envoy. Default: one per core.", min=1, max=256)] = None,
) -> None:
    """Run the Envoy 1.40 in PATH until SIGTERM, which fails no call, or SIGINT, which is quicker. SIGHUP restarts it and fails no call.

    Without --config its configuration is what `envoy-config` prints, made anew at each restart. At a restart the next Envoy takes over the
    port. The old one ends the calls and connections that it has, and then itself. If the configuration is refused, or the next Envoy does
    not serve, the old one goes on. The access log goes to standard output.
    """
    from mercato_server.config.edge_settings import EdgeSettings
    from mercato_server.embedded.hot_restart import HotRestart, run

    settings = EdgeSettings.from_environ()
    if config is not None and (port or host or upstream):
        raise typer.BadParameter("--config has the port, the address and the workers; leave the other options out")
    shutdown_s = shutdown_seconds or max(SHUTDOWN_S, round(2 * settings.drain_s))
    if shutdown_s <= settings.drain_s:
        raise typer.BadParameter("--shutdown-seconds must be more than MERCATO_DRAIN_SECONDS")
    with tempfile.TemporaryDirectory(prefix="mercato-edge-") as directory:
        file = config.absolute() if config else Path(directory, "envoy.json")
        wanted = HotRestart(
            binary=_envoy(),
            config=file,
            render=() if config else _render(file, port or 8080, host, upstream or []),
            drain_s=settings.drain_s,
            grace_s=settings.grace_s,
            shutdown_s=shutdown_s,
            concurrency=concurrency,
        )
        raise typer.Exit(asyncio.run(run(wanted)))


def _render(file: Path, port: int, host: str | None, upstreams: Sequence[str]) -> Sequence[str | Path]:
    """Return the command that writes the configuration to a file."""
    listen = ("--port", str(port), *(("--host", host) if host else ()))
    workers = [word for upstream in upstreams for word in ("--upstream", upstream)]
    return (sys.executable, "-P", "-m", "mercato_server", "envoy-config", *listen, *workers, "--output", file)


def _envoy() -> Path:
    """Return the path of Envoy; raises ConfigError unless it is the version that the configuration is for."""
    found = shutil.which("envoy")
    if found is None:
        raise ConfigError("envoy is not in PATH; install Envoy 1.40")
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if f"/{VERSION}" not in done.stdout:
        raise ConfigError(f"{found} is not Envoy 1.40: {done.stdout.strip() or done.stderr.strip()}")
    return Path(found)
