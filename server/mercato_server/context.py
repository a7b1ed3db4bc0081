"""What a handler may know of the call that it serves, and what it may say about the answer beside the message."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from google.protobuf.message import Message
from grpc import StatusCode

from mercato.v1.policy_pb2 import Policy
from mercato_server.domain.errors import TokenInvalid

NOBODY = UUID(int=0)
REQUEST_ID_MAX = 128

Metadata = Sequence[tuple[str, str | bytes]]


class Transport(Protocol):
    """The part of grpc.aio.ServicerContext that a call needs."""

    def invocation_metadata(self) -> Metadata | None:
        """Return the caller's metadata."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, or None."""

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Send metadata before the message."""

    async def abort(self, code: StatusCode, details: str = ..., trailing_metadata: Metadata = ...) -> None:
        """End the call with an error; raises grpc.aio.AbortError."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """An RPC as its proto describes it."""

    service: str
    """Full name, such as mercato.v1.CartService."""
    name: str
    request_type: type[Message]
    policy: Policy

    @property
    def method(self) -> str:
        """The path of the RPC, such as /mercato.v1.CartService/GetCart."""
        return f"/{self.service}/{self.name}"


class Context:
    """One call."""

    __slots__ = ("_account_id", "_metadata", "_request_id", "code", "headers", "rpc", "started", "transport")

    def __init__(self, rpc: Rpc, transport: Transport) -> None:
        self.rpc = rpc
        self.transport = transport
        self.started = time.perf_counter()
        self.code = StatusCode.OK
        self.headers: list[tuple[str, str]] = []
        """Initial metadata of the answer; becomes HTTP headers at the edge."""
        self._metadata = transport.invocation_metadata() or ()
        self._account_id: UUID | None = None
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """What the call is known by in logs: the edge's id, or one that is made when somebody asks."""
        if not self._request_id:
            given = self.metadata("x-request-id") or ""
            self._request_id = given if 0 < len(given) <= REQUEST_ID_MAX else str(uuid.uuid4())
        return self._request_id

    @property
    def account_id(self) -> UUID:
        """Account of the caller, once the call has been authenticated."""
        if self._account_id is None:
            raise TokenInvalid("the call needs an access token")
        return self._account_id

    @account_id.setter
    def account_id(self, value: UUID) -> None:
        self._account_id = value

    @property
    def scope_id(self) -> UUID:
        """Whose idempotency keys the call's are: the account's, or those of all who are not logged in."""
        return self._account_id or NOBODY

    def metadata(self, name: str) -> str | None:
        """Return the caller's metadata of a name in lower case, or None; of several the first."""
        return next((value for key, value in self._metadata if key == name and isinstance(value, str)), None)

    def metadata_all(self, name: str) -> list[str]:
        """Return all of the caller's metadata of a name in lower case."""
        return [value for key, value in self._metadata if key == name and isinstance(value, str)]
