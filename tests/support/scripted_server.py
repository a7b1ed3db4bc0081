"""A gRPC server whose answers a test scripts: for faults that a real shop gives too rarely."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from mercato.v1.auth_pb2 import LoginResponse
from ports import free_port
from support.patience import patient

DETAILS = "grpc-status-details-bin"
DOMAIN = "mercato.internal"
VALID_S = 900


@dataclass(frozen=True)
class Received:
    """A call as it came."""

    name: str
    """Of the RPC, such as GetCart."""
    metadata: dict[str, str | bytes]
    body: bytes

    @property
    def token(self) -> str:
        return str(self.metadata.get("authorization", "")).removeprefix("Bearer ")

    @property
    def key(self) -> str:
        return str(self.metadata.get("idempotency-key", ""))


@dataclass(frozen=True)
class Refused(Exception):
    """The answer of a script that refuses a call."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "as scripted"
    details: tuple[Message | Packed, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    """The value of the details, instead of a status."""

    @property
    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        if self.raw is not None:
            return ((DETAILS, self.raw), *self.metadata)
        if not self.reason and not self.details:
            return self.metadata
        status = Status(code=self.code.value[0], message=self.message)
        for detail in (*([ErrorInfo(reason=self.reason, domain=DOMAIN)] if self.reason else []), *self.details):
            if isinstance(detail, Packed):
                status.details.append(detail)
            else:
                status.details.add().Pack(detail)
        return ((DETAILS, status.SerializeToString()), *self.metadata)


Script = Callable[[Received], Message]


@dataclass
class Scripted:
    """The server: `script` answers each call but those of health."""

    port: int
    script: Script
    credentials: grpc.ServerCredentials | None = None
    received: list[Received] = field(default_factory=list)
    _server: grpc.Server | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def target(self) -> str:
        return f"localhost:{self.port}"

    @property
    def counts(self) -> Counter[str]:
        """Number of calls by RPC."""
        return Counter(call.name for call in self.received)

    def calls(self, name: str) -> list[Received]:
        return [call for call in self.received if call.name == name]

    def start(self) -> None:
        handler = _Handler(self)
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=[handler])
        if self.credentials:
            self._server.add_secure_port(f"127.0.0.1:{self.port}", self.credentials)
        else:
            self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Break the connections."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def answer(self, received: Received) -> bytes:
        with self._lock:
            self.received.append(received)
        return self.script(received).SerializeToString()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: Scripted) -> None:
        self._server = server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        name = str(handler_call_details.method).rpartition("/")[2]
        metadata: dict[str, Any] = dict(handler_call_details.invocation_metadata or ())

        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return self._server.answer(Received(name, metadata, body))
            except Refused as refused:
                context.set_trailing_metadata(refused.trailers)
                context.abort(refused.code, refused.message)
                raise AssertionError("abort() returned") from refused

        if name == "Check":
            return grpc.unary_unary_rpc_method_handler(lambda _body, _context: b"")
        if name == "UploadPictureContent":
            return grpc.stream_unary_rpc_method_handler(lambda bodies, context: answer(b"|".join(bodies), context))
        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def scripted(script: Script, credentials: grpc.ServerCredentials | None = None) -> Iterator[Scripted]:
    """Run a server on a port of its own."""
    server = Scripted(free_port(), script, credentials)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def tokens(number: int, valid_s: int = VALID_S) -> LoginResponse:
    """Return an answer of Login or Refresh with numbered tokens."""
    return LoginResponse(access_token=f"access-{number}", refresh_token=f"refresh-{number}", expires_in=valid_s, token_type="bearer")


class Gate:
    """Holds a script back until it is opened, and tells when one waits there."""

    def __init__(self) -> None:
        self._opened, self._reached = threading.Event(), threading.Event()

    def open(self) -> None:
        self._opened.set()

    def wait_there(self) -> None:
        """Wait at the gate."""
        self._reached.set()
        assert self._opened.wait(patient())

    def wait_until_reached(self) -> None:
        assert self._reached.wait(patient())
