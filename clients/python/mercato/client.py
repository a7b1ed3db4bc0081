"""A channel to Mercato with the stubs of its services."""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import ClientCallDetails, Metadata

from mercato.retries import service_config
from mercato.rpcs import rpcs
from mercato.v1 import (
    audit_pb2_grpc,
    auth_pb2,
    auth_pb2_grpc,
    cart_pb2_grpc,
    catalog_pb2_grpc,
    fulfillment_pb2_grpc,
    media_pb2_grpc,
    order_pb2_grpc,
    policy_pb2,
    promotion_pb2_grpc,
    shipping_pb2_grpc,
    shop_pb2_grpc,
    tax_pb2_grpc,
    user_pb2_grpc,
)

DEFAULT_TIMEOUT_S = 5.0
REFRESH_EARLY_S = 60.0
"""How long before an access token expires it is exchanged for the next."""
_POLICIES = {rpc.path: rpc.policy for rpc in rpcs()}


class Client:
    """A connection to Mercato, to be used in `async with`.

    Every call that needs a login carries the access token, which is exchanged for the next one a minute before it expires, and every call
    has a deadline. Calls that honour an idempotency key get a new one unless the caller brings one, so that gRPC may send them again when
    the connection breaks. Such calls and reads are retried on UNAVAILABLE (`mercato.service_config`).
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        refresh_token: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            target: `host:port` of the edge, or of one worker.
            token: access token; `login` gets one.
            refresh_token: of an earlier login, to go on with its session; the current one is in the attribute of that name.
            tls: credentials of a TLS connection; None speaks plaintext.
            timeout_s: deadline in seconds of calls that name none.
        """
        self.token = token
        self.refresh_token = refresh_token
        self._refresh_at = 0.0 if token is None else math.inf
        self._refreshing = asyncio.Lock()
        options = (("grpc.service_config", service_config(keyed=True)),)
        interceptors = [_Defaults(self._current_token, timeout_s)]
        if tls is None:
            self.channel = grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
        else:
            self.channel = grpc.aio.secure_channel(target, tls, options=options, interceptors=interceptors)
        self.auth = auth_pb2_grpc.AuthServiceStub(self.channel)
        self.users = user_pb2_grpc.UserServiceStub(self.channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(self.channel)
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        self.media = media_pb2_grpc.MediaServiceStub(self.channel)
        self.cart = cart_pb2_grpc.CartServiceStub(self.channel)
        self.orders = order_pb2_grpc.OrderServiceStub(self.channel)
        self.fulfillment = fulfillment_pb2_grpc.FulfillmentServiceStub(self.channel)
        self.shipping = shipping_pb2_grpc.ShippingServiceStub(self.channel)
        self.promotions = promotion_pb2_grpc.PromotionServiceStub(self.channel)
        self.shop = shop_pb2_grpc.ShopServiceStub(self.channel)
        self.taxes = tax_pb2_grpc.TaxServiceStub(self.channel)

    async def login(self, email: str, password: str) -> None:
        """Open a session and send its tokens from now on; raises grpc.aio.AioRpcError."""
        self._use(await self.auth.Login(auth_pb2.LoginRequest(email=email, password=password)))

    async def logout(self) -> None:
        """End the session; raises grpc.aio.AioRpcError."""
        await self.auth.Logout(auth_pb2.LogoutRequest())
        self.token = self.refresh_token = None

    def _use(self, response: auth_pb2.LoginResponse) -> None:
        self.token, self.refresh_token = response.access_token, response.refresh_token
        self._refresh_at = time.monotonic() + max(response.expires_in - REFRESH_EARLY_S, response.expires_in / 2)

    async def _current_token(self) -> str | None:
        """Return the access token, the next one if this one is about to expire; concurrent calls refresh once."""
        async with self._refreshing:
            if self.refresh_token is not None and time.monotonic() >= self._refresh_at:
                self._use(await self.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=self.refresh_token)))
        return self.token

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class _Defaults(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds to a call what it lacks: the token, a deadline, an idempotency key."""

    def __init__(self, token: Callable[[], Awaitable[str | None]], timeout_s: float) -> None:
        self._token = token
        self._timeout_s = timeout_s

    async def intercept_unary_unary(self, continuation: Callable[..., Any], call: ClientCallDetails, request: Any) -> Any:
        metadata = list(call.metadata or ())
        names = {name for name, _ in metadata}
        policy = _POLICIES.get(_path(call.method), policy_pb2.Policy())
        if policy.access != policy_pb2.ACCESS_ANYONE and "authorization" not in names and (token := await self._token()):
            metadata.append(("authorization", f"Bearer {token}"))
        if policy.idempotency_key and "idempotency-key" not in names:
            metadata.append(("idempotency-key", str(uuid.uuid4())))
        timeout = self._timeout_s if call.timeout is None else call.timeout
        return await continuation(
            ClientCallDetails(call.method, timeout, Metadata(*metadata), call.credentials, call.wait_for_ready), request
        )


def _path(method: str | bytes) -> str:
    return method if isinstance(method, str) else method.decode()  # grpc.aio gives bytes
