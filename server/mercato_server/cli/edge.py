"""`mercato edge`: run Envoy with the configuration of the settings."""

from typing import Annotated

import typer


def edge(
    port: Annotated[int, typer.Option(help="Port that Envoy listens on.", min=1, max=65535)] = 8080,
    host: Annotated[str | None, typer.Option(help="Address that Envoy listens on. Default: MERCATO_EDGE_HOST or 127.0.0.1.")] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="A worker: host:port or unix:/path; repeat it. Default: MERCATO_UPSTREAMS.")
    ] = None,
) -> None:
    """Run Envoy 1.40 with the configuration that `envoy-config` prints, until SIGTERM, which fails no call, or SIGINT, which is quicker.

    The program `envoy` must be in PATH. Its access log goes to standard output. The exit code is that of Envoy, 0 after a signal.
    """
    from dataclasses import replace

    from mercato_server.config.edge_settings import EdgeSettings
    from mercato_server.embedded.edge_process import run

    own = EdgeSettings.from_environ()
    settings = replace(own, port=port, listen_host=host or own.listen_host, upstreams=tuple(upstream or own.upstreams))
    raise typer.Exit(run(settings))
