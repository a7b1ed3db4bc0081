"""A channel to Mercato with the stubs of its services."""

import json
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import ClientCallDetails, Metadata

from mercato.v1 import auth_pb2, auth_pb2_grpc, cart_pb2_grpc, catalog_pb2, catalog_pb2_grpc, order_pb2, order_pb2_grpc, policy_pb2

DEFAULT_TIMEOUT_S = 5.0
_READS = ("Get", "List", "BatchGet")
_SERVICES = tuple(service for module in (auth_pb2, catalog_pb2, order_pb2) for service in module.DESCRIPTOR.services_by_name.values())
_KEYED = frozenset(
    f"/{service.full_name}/{method.name}"
    for service in _SERVICES
    for method in service.methods
    if method.GetOptions().Extensions[policy_pb2.policy].idempotency_key
)


class Client:
    """A connection to Mercato, to be used in `async with`.

    Every call carries the token, once there is one, and a deadline. Calls that honour an idempotency key get a new one unless the caller
    brings one, so that gRPC may send them again when the connection breaks. Reads are retried on UNAVAILABLE.
    """

    def __init__(
        self, target: str, *, token: str | None = None, tls: grpc.ChannelCredentials | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            target: `host:port` of the edge, or of one worker.
            token: access token; `login` gets one.
            tls: credentials of a TLS connection; None speaks plaintext.
            timeout_s: deadline in seconds of calls that name none.
        """
        self.token = token
        options = (("grpc.service_config", json.dumps(_service_config())),)
        interceptors = [_Defaults(lambda: self.token, timeout_s)]
        if tls is None:
            self.channel = grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
        else:
            self.channel = grpc.aio.secure_channel(target, tls, options=options, interceptors=interceptors)
        self.auth = auth_pb2_grpc.AuthServiceStub(self.channel)
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        self.cart = cart_pb2_grpc.CartServiceStub(self.channel)
        self.orders = order_pb2_grpc.OrderServiceStub(self.channel)

    async def login(self, email: str, password: str) -> None:
        """Get a token and send it from now on; raises grpc.aio.AioRpcError."""
        response = await self.auth.Login(auth_pb2.LoginRequest(email=email, password=password))
        self.token = response.access_token

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class _Defaults(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds to a call what it lacks: the token, a deadline, an idempotency key."""

    def __init__(self, token: Callable[[], str | None], timeout_s: float) -> None:
        self._token = token
        self._timeout_s = timeout_s

    async def intercept_unary_unary(self, continuation: Callable[..., Any], call: ClientCallDetails, request: Any) -> Any:
        metadata = list(call.metadata or ())
        names = {name for name, _ in metadata}
        if (token := self._token()) and "authorization" not in names:
            metadata.append(("authorization", f"Bearer {token}"))
        if _path(call.method) in _KEYED and "idempotency-key" not in names:
            metadata.append(("idempotency-key", str(uuid.uuid4())))
        timeout = self._timeout_s if call.timeout is None else call.timeout
        return await continuation(
            ClientCallDetails(call.method, timeout, Metadata(*metadata), call.credentials, call.wait_for_ready), request
        )


def _path(method: str | bytes) -> str:
    return method if isinstance(method, str) else method.decode()  # grpc.aio gives bytes


def _service_config() -> dict[str, Any]:
    """Return which calls gRPC may send again by itself: those that read, and those that carry a key."""
    names = [
        {"service": service.full_name, "method": method.name}
        for service in _SERVICES
        for method in service.methods
        if method.name.startswith(_READS) or f"/{service.full_name}/{method.name}" in _KEYED
    ]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": names, "retryPolicy": policy}]}
