"""Channels: how they are opened, and why one cannot be."""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

import grpc

from mercato._call_errors import ConnectionFailed, Finished, values
from mercato._core import NO_OPTIONS, Credentials, Method, Plan, Source
from mercato.retries import service_config
from mercato.v1.auth_pb2 import LoginResponse, RefreshRequest

HEALTH = "/grpc.health.v1.Health/Check"
CAUSE_S = 1.0
"""Most seconds to ask for the cause of a failed connection."""
EXCHANGE_S, ATTEMPT_S, PAUSE_S = 8.0, 3.0, 0.2
"""Seconds for a refresh, for each of its attempts, and before the second one. The server repeats an answer for 10 s."""
FORKS = "GRPC_ENABLE_FORK_SUPPORT"
REFRESH = Method("/mercato.v1.AuthService/Refresh", RefreshRequest, LoginResponse, Credentials.NEVER, reads=False, keyed=False)
AGAIN = frozenset({"ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"})
"""Codes of refreshes that may be sent again: the server repeats the answer of one that it has served."""
SETTLED = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)
"""States of a channel that has tried to connect."""
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", service_config(keyed=True)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # the time that an attempt to connect gets
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),  # so that no client inherits the backoff of another one
)


class _Process:
    """Whether this process, or the one that it was forked from, has opened a channel."""

    used = False
    forked_late = False


def _after_fork() -> None:
    _Process.forked_late = _Process.forked_late or _Process.used


os.register_at_fork(after_in_child=_after_fork)


def cause_of(check: Finished, plan: Plan) -> str:
    """Return why a health check did not reach a server; empty if it did: a server's refusal has metadata, or another code."""
    code = check.code().name
    if code == "DEADLINE_EXCEEDED":
        return f"nothing answered within {plan.timeout_s:g} s"
    return check.details() or code if code in {"UNAVAILABLE", "CANCELLED"} and not values(check) else ""


class Line:
    """A channel, synchronous or not, and whether it has been connected."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.is_ready = False
        self._callables: dict[str, Any] = {}

    def callable(self, method: Method[Any, Any]) -> Any:
        """Return what sends a method's requests."""
        if method.path not in self._callables:
            make = self.channel.stream_unary if method.streams else self.channel.unary_unary
            self._callables[method.path] = make(method.path, method.request.SerializeToString, method.response.FromString)
        return self._callables[method.path]


def forget_closed(lines: dict[tuple[int, asyncio.AbstractEventLoop], Line]) -> None:
    """Remove the channels of closed event loops; the loops of other threads may add theirs meanwhile."""
    for place in tuple(lines):
        if place[1].is_closed():
            lines.pop(place, None)


def sent_stream(call: Any, source: Source, **named: Any) -> tuple[Any, Any]:
    """Send a stream and wait for its answer. A source that breaks off cancels the call: gRPC would log its traceback."""
    upload = call.future(source.until_broken(), **named)
    source.cancel_with(upload.cancel)
    return upload.result(), upload


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a shop, and how to speak with it."""

    address: str
    credentials: grpc.ChannelCredentials | None
    """Of TLS; None for plaintext."""

    @classmethod
    def of(cls, address: str, tls: "bool | grpc.ChannelCredentials") -> "Target":
        """Check an address; raises ValueError for a URL."""
        if address.startswith(("http://", "https://")):
            raise ValueError(f"{address} is a URL; the target of gRPC is host:port, with tls=True for https")
        if not isinstance(tls, bool):
            return cls(address, tls)
        return cls(address, grpc.ssl_channel_credentials() if tls else None)

    def open(self) -> grpc.Channel:
        """Return a channel, which connects at its first call; raises ConnectionFailed after a fork."""
        self._check_process()
        if self.credentials is None:
            return grpc.insecure_channel(self.address, OPTIONS)
        return grpc.secure_channel(self.address, self.credentials, OPTIONS)

    def open_async(self) -> grpc.aio.Channel:
        """Return a channel of the running event loop."""
        self._check_process()
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, OPTIONS)
        return grpc.aio.secure_channel(self.address, self.credentials, OPTIONS)

    def _check_process(self) -> None:
        if _Process.forked_late and os.environ.get(FORKS, "").lower() not in {"1", "true", "yes"}:
            raise ConnectionFailed(
                f"{self.address}: this process was forked after the first call, which gRPC does not survive: fork before it, start"
                f" the process anew (spawn), or set {FORKS}=1 before gRPC is imported"
            )
        _Process.used = True

    def unreachable(self, cause: str) -> ConnectionFailed:
        """Return the error of a connection that cannot be made."""
        spoken = "TLS" if self.credentials else "plaintext"
        hint = f"; the client speaks {spoken}" if any(word in cause for word in ("handshake", "Handshake", "closed", "SSL", "HTTP")) else ""
        return ConnectionFailed(f"no connection to {self.address}: {cause}{hint}")

    def exchange(self, refresh_token: str) -> LoginResponse:
        """Exchange a refresh token on a channel of its own, again and again for 8 s; raises CallError."""
        plan, pause_s = Plan(REFRESH, NO_OPTIONS, EXCHANGE_S), PAUSE_S
        with self.open() as channel:
            call: Any = channel.unary_unary(REFRESH.path, RefreshRequest.SerializeToString, LoginResponse.FromString)
            while True:
                try:
                    timeout = min(ATTEMPT_S, plan.left_s())
                    response: LoginResponse = call(
                        RefreshRequest(refresh_token=refresh_token), timeout=timeout, metadata=plan.metadata(None)
                    )
                except grpc.RpcError as error:
                    failure = plan.failed(error)  # type: ignore[arg-type] # an error of a stub is a finished call
                    wait_s = max(pause_s, failure.retry_after_s or 0)
                    if failure.code not in AGAIN or plan.left_s() < wait_s:
                        raise failure from None
                else:
                    return response
                time.sleep(wait_s)
                pause_s = min(pause_s * 2, 2.0)
