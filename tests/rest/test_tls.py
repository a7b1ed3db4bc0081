"""`mercato up` with a certificate serves REST and gRPC over TLS only."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support.certificates import Certificate, certificate
from support.mercato_up import Up, running
from support.patience import patient
from support.rest_client import HOST


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=["off", "on"], ids=["workers", "cache"])
def secure(request: pytest.FixtureRequest, own: Certificate) -> Iterator[Up]:
    with running(MERCATO_RATE_LIMITS="off", MERCATO_EDGE_CACHE=request.param, **own.environ) as up:
        yield up


def handshake(up: Up, trust: Path, *protocols: str, version: ssl.TLSVersion | None = None) -> tuple[str | None, str | None]:
    """Return the negotiated version of TLS and the negotiated protocol above it."""
    context = ssl.create_default_context(cafile=trust)
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")  # otherwise the client would refuse old versions
        context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols([*protocols])
    with (
        socket.create_connection((HOST, up.port), timeout=patient()) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        return wrapped.version(), wrapped.selected_alpn_protocol()


@pytest.mark.parametrize("path", ["/products", "/me", "/nowhere", "/healthz", "/docs", "/openapi.json"])
def test_rest_is_served_over_tls_and_every_answer_asks_browsers_to_stay_with_it(secure: Up, path: str) -> None:
    reply = secure.anyone.get(path)
    assert reply.status in (200, 401, 404)
    assert reply.headers["strict-transport-security"] == "max-age=31536000"


def test_a_buyer_shops_over_tls(secure: Up) -> None:
    buyer = secure.buyer()
    assert buyer.get("/orders/my").json["orders"] == []
    assert secure.order(buyer)["account_id"] == buyer.id


def test_grpc_is_served_over_tls_on_the_same_port(secure: Up, own: Certificate) -> None:
    credentials = grpc.ssl_channel_credentials(own.path.read_bytes())
    with grpc.secure_channel(f"{HOST}:{secure.port}", credentials) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=patient())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("protocols", "agreed"), [(("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), ((), None)]
)
def test_both_versions_of_http_are_offered(secure: Up, own: Certificate, protocols: tuple[str, ...], agreed: str | None) -> None:
    assert handshake(secure, own.path, *protocols)[1] == agreed


@pytest.mark.parametrize(("version", "name"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_current_versions_of_tls_are_spoken(secure: Up, own: Certificate, version: ssl.TLSVersion, name: str) -> None:
    assert handshake(secure, own.path, version=version)[0] == name


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_an_old_version_of_tls_is_refused(secure: Up, own: Certificate) -> None:
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(secure, own.path, version=ssl.TLSVersion.TLSv1_1)


def test_plaintext_gets_no_answer(secure: Up) -> None:
    with socket.create_connection((HOST, secure.port), timeout=patient()) as connection:
        connection.sendall(b"GET /products HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in connection.recv(4096)
