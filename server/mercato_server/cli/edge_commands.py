"""The commands of `mercato` for Envoy."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mercato_server.cli.running import output


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


def envoy(
    config: Annotated[Path, typer.Option(help="What `mercato envoy-config` has printed.", exists=True, dir_okay=False)],
    drain_seconds: Annotated[int, typer.Option(help="Time over which an old Envoy asks its clients to reconnect.", min=1, max=3600)] = 30,
    shutdown_seconds: Annotated[
        int, typer.Option(help="Life of an old Envoy; longer than the drain and then the longest upload.", min=2, max=7200)
    ] = 180,
    concurrency: Annotated[int | None, typer.Option(help="Threads of Envoy. Default: one per core.", min=1, max=256)] = None,
) -> None:
    """Run Envoy, and restart it without a failed call on SIGHUP: after a new release, a new setting or a new certificate.

    The next Envoy takes over the port. The old one ends the calls and connections that it has, and then itself. If the configuration is
    refused, or the next Envoy does not serve, the old one goes on.
    """
    from mercato_server.embedded.hot_restart import HotRestart, run

    if shutdown_seconds <= drain_seconds:
        raise typer.BadParameter("--shutdown-seconds must be more than --drain-seconds")
    wanted = HotRestart(config=config.absolute(), drain_s=drain_seconds, shutdown_s=shutdown_seconds, concurrency=concurrency)
    raise typer.Exit(asyncio.run(run(wanted)))
