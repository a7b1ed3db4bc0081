"""What a handler may know of the call that it serves, and what it may say about the answer beside the message."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from grpc import StatusCode

from mercato.rpcs import Rpc
from mercato_server.domain.accounts import USER_AGENT_MAX, Actor, Device, Role
from mercato_server.domain.errors import TokenInvalid
from mercato_server.security.tokens import Identity

NOBODY = UUID(int=0)
REQUEST_ID_MAX = 128
CLIENT_ADDRESS = "x-client-address"
"""Where the edge writes the address of its client, over whatever the client may have sent by that name."""

Metadata = Sequence[tuple[str, str | bytes]]


class Transport(Protocol):
    """The part of grpc.aio.ServicerContext that a call needs."""

    def invocation_metadata(self) -> Metadata | None:
        """Return the caller's metadata."""

    def peer(self) -> str:
        """Return the address of the other end, such as `ipv4:192.0.2.1:4711`."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, or None."""

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Send metadata before the message."""

    async def abort(self, code: StatusCode, details: str = ..., trailing_metadata: Metadata = ...) -> None:
        """End the call with an error; raises grpc.aio.AbortError."""


Handled = TypeVar("Handled", bound=Callable[..., Any])


def asks_for_session(handle: Handled) -> Handled:
    """Mark a method of a handler whose transaction asks whether the caller's session is live, so that no layer need ask before.

    The commands that ask (`store.sessions.InSession`) require their `session_id`. A test calls every RPC with an ended session,
    so it finds a method that is marked and does not ask.
    """
    handle.asks_for_session = True  # type: ignore[attr-defined] # read by the pipeline
    return handle


class Context:
    """One call."""

    __slots__ = ("_identity", "_metadata", "_request_id", "code", "headers", "role", "rpc", "started", "transport")

    def __init__(self, rpc: Rpc, transport: Transport) -> None:
        self.rpc = rpc
        self.transport = transport
        self.started = time.perf_counter()
        self.code = StatusCode.OK
        self.headers: list[tuple[str, str]] = []
        """Initial metadata of the answer; becomes HTTP headers at the edge."""
        self._metadata = transport.invocation_metadata() or ()
        self._identity: Identity | None = None
        self._request_id = ""
        self.role: Role | None = None
        """What the caller may do now, where the call changes something or is for administrators; else nobody has asked."""

    @property
    def request_id(self) -> str:
        """What the call is known by in logs: the edge's id, or one that is made when somebody asks."""
        if not self._request_id:
            given = self.metadata("x-request-id") or ""
            self._request_id = given if 0 < len(given) <= REQUEST_ID_MAX else str(uuid.uuid4())
        return self._request_id

    @property
    def identity(self) -> Identity:
        """Who calls, once the call has been authenticated."""
        if self._identity is None:
            raise TokenInvalid("the call needs an access token")
        return self._identity

    @identity.setter
    def identity(self, value: Identity) -> None:
        self._identity = value

    @property
    def account_id(self) -> UUID:
        """Account of the caller."""
        return self.identity.account_id

    @property
    def session_id(self) -> UUID:
        """Session of the caller."""
        return self.identity.session_id

    @property
    def actor(self) -> Actor:
        """Who the audit log says has done what the call does."""
        return Actor(self.account_id, self.request_id)

    @property
    def scope_id(self) -> UUID:
        """Whose idempotency keys the call's are: the account's, or those of all who are not logged in."""
        return self._identity.account_id if self._identity else NOBODY

    @property
    def device(self) -> Device:
        """Where the call comes from: what the edge says of it, else the other end of the connection."""
        agent = self.metadata("x-user-agent") or self.metadata("user-agent") or ""
        address = self.metadata(CLIENT_ADDRESS) or self.transport.peer().partition(":")[2].rpartition(":")[0].strip("[]")
        return Device(user_agent=agent[:USER_AGENT_MAX], ip_address=address)

    def metadata(self, name: str) -> str | None:
        """Return the caller's metadata of a name in lower case, or None; of several the first."""
        return next((value for key, value in self._metadata if key == name and isinstance(value, str)), None)

    def metadata_all(self, name: str) -> list[str]:
        """Return all of the caller's metadata of a name in lower case."""
        return [value for key, value in self._metadata if key == name and isinstance(value, str)]
