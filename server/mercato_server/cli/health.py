"""`mercato health`: ask a worker or an edge for its health, for systems that run a command to learn it."""

from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.config import settings as config

if TYPE_CHECKING:
    import ssl

TIMEOUT_S = 3.0
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound


def health(
    address: Annotated[
        str | None,
        typer.Argument(help="host:port or unix:/path of a worker, or a URL of an edge. Default: the first address of MERCATO_LISTEN."),
    ] = None,
    service: Annotated[str, typer.Option(help="Name to ask a worker for, such as liveness or database. Default: does it take calls?")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1, max=60)] = TIMEOUT_S,
) -> None:
    """Ask a worker by gRPC's health protocol, or an edge by HTTP, and say what it answers.

    Exit code 0 if the worker says SERVING, or if the edge answers 200 (`mercato health http://127.0.0.1:8080/livez`). Exit code 1 in any
    other case, with the reason on standard error.
    """
    target = address or _own_address()
    is_url = target.startswith(("http://", "https://"))
    answer, is_healthy = _ask_edge(target, timeout) if is_url else _ask_worker(target, service, timeout)
    typer.echo(f"{target}: {answer}", err=not is_healthy)
    raise typer.Exit(0 if is_healthy else 1)


def _own_address() -> str:
    """Return an address that reaches the worker which this environment describes."""
    listen = config.listen()[0]
    host, colon, port = listen.rpartition(":")
    return f"{_ANY.get(host, host)}{colon}{port}"


def _ask_worker(address: str, service: str, timeout_s: float) -> tuple[str, bool]:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout_s, wait_for_ready=False
            )
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}", False
    return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status), reply.status == health_pb2.HealthCheckResponse.SERVING


def _ask_edge(url: str, timeout_s: float) -> tuple[str, bool]:
    """Return the status of a GET. A certificate is not checked: it does not name the loopback address."""
    import http.client
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_unverified())
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)  # type: ignore[assignment]
        try:
            connection.request("GET", parts.path or "/")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or repr(error), False
    return f"HTTP {status}", status == http.client.OK


def _unverified() -> "ssl.SSLContext":
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
