"""The context of a call: caller, metadata and session for the handler, status and headers for the answer."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from grpc import StatusCode

from mercato.rpcs import Rpc
from mercato_server.database.work import Work
from mercato_server.domain.accounts import USER_AGENT_MAX, Actor, ActorKind, Device, Role
from mercato_server.domain.errors import AdminOnly, TokenInvalid
from mercato_server.rpc.headers import CLIENT_ADDRESS, HTTP_STATUS, ORIGINAL_PATH
from mercato_server.security.security_log import SecurityEvent
from mercato_server.security.tokens import Identity

REQUEST_ID_MAX = 128
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII)
"""The header of W3C's Trace Context; the group is the id of the trace."""

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


Authenticate = Callable[["Context"], Awaitable[None]]
Handled = TypeVar("Handled", bound=Callable[..., Any])


def asks_for_session(handle: Handled) -> Handled:
    """Mark a handler's method whose own transaction checks that the caller's session is live; the layers then skip the check.

    Commands that check it (`store.sessions.InSession`) require a `session_id`. A test calls every RPC with an ended session,
    so it fails for a marked method that does not check.
    """
    handle.asks_for_session = True  # type: ignore[attr-defined] # read by the pipeline
    return handle


class Reported(NamedTuple):
    """An event for the security log: the account that it concerns, None for the caller's, and more fields of its line."""

    event: SecurityEvent
    account_id: UUID | None
    more: dict[str, str]


class Context:
    """One call."""

    __slots__ = (
        "_identity",
        "_metadata",
        "_request_id",
        "address_digest",
        "authenticate",
        "code",
        "headers",
        "private",
        "reason",
        "redirected",
        "reported",
        "role",
        "rpc",
        "started",
        "transport",
        "work",
    )

    def __init__(self, rpc: Rpc, transport: Transport) -> None:
        self.rpc = rpc
        self.transport = transport
        self.started = time.perf_counter()
        self.work = Work()
        """The statements for this call."""
        self.code = StatusCode.OK
        self.reason = ""
        """The reason of the error with which the call ended."""
        self.headers: list[tuple[str, str]] = []
        """Initial metadata of the answer; becomes HTTP headers at the edge."""
        self._metadata = transport.invocation_metadata() or ()
        self._identity: Identity | None = None
        self._request_id = ""
        self.address_digest = ""
        """Digest of the e-mail address with which an anonymous caller tries to log in; for the security log."""
        self.reported: list[Reported] = []
        """Events for the security log, which are written once the call has succeeded."""
        self.role: Role | None = None
        """The caller's role, read from the database for this call. None for reads that need no administrator."""
        self.private = False
        """Whether the answer of a public RPC is for its caller only, so that no cache may keep it."""
        self.redirected = False
        """Whether a REST client is led to another path."""
        self.authenticate: Authenticate = _no_token
        """Sets identity and role of a caller whom the layers have let through without a token; raises TokenInvalid."""

    @property
    def received(self) -> Metadata:
        """The caller's metadata. gRPC converts them each time that it is asked, which takes longer than to parse a request."""
        return self._metadata

    @property
    def request_id(self) -> str:
        """Id of the call in logs: the edge's, or a new one that is made on first use."""
        if not self._request_id:
            given = self.metadata("x-request-id") or ""
            self._request_id = given if 0 < len(given) <= REQUEST_ID_MAX else str(uuid.uuid4())
        return self._request_id

    @property
    def trace_id(self) -> str:
        """Id of the call's trace if that is recorded, else of the one that the client has begun; empty without both."""
        if self.work.traced:
            return self.work.trace_id
        match = TRACEPARENT.fullmatch(self.metadata("traceparent") or "")
        return match[1] if match else ""

    @property
    def identity(self) -> Identity:
        """The authenticated caller; raises TokenInvalid for a call without a token."""
        if self._identity is None:
            raise TokenInvalid("the call needs an access token", security_event="")
        return self._identity

    @identity.setter
    def identity(self, value: Identity) -> None:
        self._identity = value

    async def require_admin(self) -> None:
        """Require an administrator for a request of a public RPC, and make the answer private.

        Raises TokenInvalid or AdminOnly.
        """
        await self.authenticate(self)
        if self.role is not Role.ADMIN:
            raise AdminOnly
        self.private = True

    def report(self, event: SecurityEvent, account_id: UUID | None = None, **more: str) -> None:
        """Let the security log have an event once the call has succeeded. `account_id` is that of another account that it concerns."""
        self.reported.append(Reported(event, account_id, more))

    def redirect(self, path: str) -> None:
        """Answer a REST client with 308 and the path at which the same thing is. A gRPC client gets the answer as it is."""
        self.redirected = self.metadata(ORIGINAL_PATH) is not None
        if self.redirected:
            self.headers += [("location", path), (HTTP_STATUS, "308")]

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
        """The actor that the audit log records for this call."""
        return Actor(ActorKind.ADMINISTRATOR if self.role is Role.ADMIN else ActorKind.BUYER, self.account_id, self.request_id)

    @property
    def caller_id(self) -> UUID | None:
        """Account of the caller, or None for a call of an RPC that anyone may call."""
        return self._identity.account_id if self._identity else None

    @property
    def device(self) -> Device:
        """User agent and address of the client, as the edge reports them, else those of the connection."""
        agent = self.metadata("x-user-agent") or self.metadata("user-agent") or ""
        address = self.metadata(CLIENT_ADDRESS) or self.transport.peer().partition(":")[2].rpartition(":")[0].strip("[]")
        return Device(user_agent=agent[:USER_AGENT_MAX], ip_address=address)

    def metadata(self, name: str) -> str | None:
        """Return the first value of the caller's metadata with a name in lower case, or None."""
        return value_of(self._metadata, name)

    def metadata_all(self, name: str) -> list[str]:
        """Return all values of the caller's metadata with a name in lower case."""
        return [value for key, value in self._metadata if key == name and isinstance(value, str)]


def value_of(metadata: Metadata, name: str) -> str | None:
    """Return the first value with a name in lower case, or None."""
    return next((value for key, value in metadata if key == name and isinstance(value, str)), None)


async def _no_token(_context: Context) -> None:
    raise TokenInvalid("the call needs an access token", security_event="")
