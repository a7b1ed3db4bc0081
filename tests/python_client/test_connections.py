"""Connections of the Python clients: wrong addresses, TLS, forks."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc
import pytest

from mercato.errors import ConnectionFailed, Unimplemented
from mercato.sessions import Session
from mercato.v1.cart_pb2 import Cart
from ports import free_port
from support.certificates import Certificate, certificate
from support.patience import patient, slowness
from support.python_twins import Twin
from support.scripted_server import Refused, Scripted, scripted


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(lambda _: Cart()) as server:
        yield server


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(own: Certificate) -> Iterator[Scripted]:
    credentials = grpc.ssl_server_credentials([(own.key.read_bytes(), own.path.read_bytes())])
    with scripted(lambda _: Cart(), credentials) as server:
        yield server


EXPIRED = Session("access-1", "refresh-1", 0)


@pytest.mark.parametrize(
    ("host", "cause", "session"),
    [("127.0.0.1", "refused", None), ("no-such-host.invalid", "no-such-host", None), ("127.0.0.1", "refused", EXPIRED)],
    ids=["refused", "unknown", "refused, with an expired session"],
)
def test_a_wrong_address_is_named_within_a_second(twin: Twin, host: str, cause: str, session: Session | None) -> None:
    target = f"{host}:{free_port()}"
    with twin.open(target, timeout=patient(), session=session) as client:
        began = time.monotonic()
        with pytest.raises(ConnectionFailed) as failed:
            client.cart.add_cart_item(product_id="1")
        took_s = time.monotonic() - began
    assert took_s < slowness()
    assert target in str(failed.value)
    assert cause in str(failed.value)


def test_an_address_that_does_not_answer_fails_at_the_timeout(twin: Twin) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        twin.open(f"127.0.0.1:{silent.getsockname()[1]}") as client,
        pytest.raises(ConnectionFailed, match=r"nothing answered within 0\.3 s"),
    ):
        client.cart.get_cart(timeout=0.3)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://shop.example.com"])
def test_a_url_is_refused_at_once(twin: Twin, url: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        twin.kind(url)


def test_an_address_that_was_wrong_may_come_right(twin: Twin, server: Scripted) -> None:
    server.stop()
    with twin.open(server.target) as client:
        with pytest.raises(ConnectionFailed):
            client.cart.get_cart()
        server.start()
        assert client.cart.get_cart() == Cart()


def test_tls_is_spoken(twin: Twin, secure: Scripted, own: Certificate) -> None:
    with twin.open(secure.target, tls=grpc.ssl_channel_credentials(own.path.read_bytes())) as client:
        assert client.cart.get_cart() == Cart()


def test_an_authority_that_is_not_trusted_is_told(twin: Twin, secure: Scripted) -> None:
    with twin.open(secure.target, tls=True) as client, pytest.raises(ConnectionFailed, match=r"(?i)certificate.*the client speaks TLS"):
        client.cart.get_cart()


def test_tls_against_plaintext_is_told(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target, tls=True) as client, pytest.raises(ConnectionFailed, match="the client speaks TLS"):
        client.cart.get_cart()


def test_plaintext_against_tls_is_told(twin: Twin, secure: Scripted) -> None:
    with twin.open(secure.target) as client, pytest.raises(ConnectionFailed, match="the client speaks plaintext"):
        client.cart.get_cart()


def test_a_server_of_another_kind_is_told(twin: Twin, server: Scripted) -> None:
    def unknown(_: object) -> Cart:
        raise Refused(grpc.StatusCode.UNIMPLEMENTED)

    server.script = unknown
    with twin.open(server.target) as client, pytest.raises(Unimplemented):
        client.cart.get_cart()


CHILD = """
import os, sys
from mercato import Client, ConnectionFailed
client = Client(sys.argv[1])
if sys.argv[2] == "late":
    client.cart.get_cart()
child = os.fork()
if child == 0:
    try:
        client.cart.get_cart(timeout=30)
        print("called", flush=True)
    except ConnectionFailed as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
client.cart.get_cart(timeout=30)
print("and the parent")
"""


def forked(server: Scripted, when: str, support: str) -> str:
    environ = {"GRPC_ENABLE_FORK_SUPPORT": support, "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, server.target, when], env=environ, capture_output=True, text=True, timeout=patient(), check=True
    )
    return done.stdout


def test_a_fork_before_the_first_call_is_a_client_of_its_own(server: Scripted) -> None:
    assert forked(server, "early", "0") == "called\nand the parent\n"


def test_a_fork_after_the_first_call_needs_fork_support(server: Scripted) -> None:
    child, parent = forked(server, "late", "0").splitlines()
    assert "GRPC_ENABLE_FORK_SUPPORT=1" in child
    assert parent == "and the parent"
    assert server.counts["GetCart"] == 2


def test_a_fork_after_the_first_call_works_with_fork_support(server: Scripted) -> None:
    assert forked(server, "late", "1") == "called\nand the parent\n"


def test_importing_the_package_loads_neither_grpc_nor_messages() -> None:
    script = "import mercato, sys; print(sorted(name for name in ('grpc', 'google.protobuf', 'mercato.errors') if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_errors_can_be_caught_without_grpc() -> None:
    script = "import mercato.errors, sys; print('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
