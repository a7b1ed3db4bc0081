"""`AsyncClient`: a shop from a program with an event loop."""

import contextlib
from types import TracebackType
from typing import Self

import grpc

from mercato._aio import Calls
from mercato._connections import Target
from mercato._refresh import Tokens, session_of
from mercato._services.aio import Answers, Services
from mercato._stores import in_thread, store_of
from mercato.errors import Unauthenticated
from mercato.sessions import Session, SessionStore
from mercato.v1 import cart_merge_pb2
from mercato.v1.auth_pb2 import LoginResponse


class AsyncClient(Services):
    """A shop, to be used in `async with`, from any event loop.

    Each service is an attribute, and each RPC a method of it: `await shop.cart.add_cart_item(product_id=…, quantity=2)`. Errors are
    those of `mercato.errors`.

    - A call takes `timeout` seconds at most, with the wait for a connection, for a new access token and with all retries.
    - A call that changes something carries an idempotency key, so that gRPC may repeat it and it acts once.
    - The access token is exchanged for the next one before it expires, once for all callers.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        session: Session | SessionStore | None = None,
        tls: bool | grpc.ChannelCredentials = False,
        timeout: float | None = None,
    ) -> None:
        """Prepare a client; nothing is sent, and no file is read, before the first call.

        Args:
            target: `host:port` of the edge, or of one worker.
            token: access token that calls carry. It is not refreshed.
            session: a session to go on with, or the store that keeps it. `login` opens one.
            tls: True for TLS with the authorities of the system, or other credentials.
            timeout: seconds of calls that name none. None stands for 5, and for the longer time that some RPCs take.
        """
        connection = Target.of(target, tls)
        self._tokens = Tokens(store_of(token, session), connection.exchange)
        self._calls = Calls(connection, self._tokens, timeout)
        super().__init__(self._calls)
        self.with_response = Answers(self._calls)
        """The same services, whose methods return an `Answer`: the message, the request id, and whether it was replayed."""

    @property
    def session(self) -> Session | None:
        """The session that calls are made in."""
        return self._tokens.session

    async def login(
        self,
        email: str,
        password: str,
        *,
        guest_token: str | None = None,
        cart_merge: "cart_merge_pb2.CartMergeMode.ValueType | None" = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as every method
    ) -> LoginResponse:
        """Open a session, save it in the store, and send its tokens from now on.

        Errors: as `auth.login`; SessionStoreError if the store cannot save it.
        """
        response = await self.auth.login(email=email, password=password, guest_token=guest_token, cart_merge=cart_merge, timeout=timeout)
        await in_thread(self._tokens.use, session_of(response, email))
        return response

    async def use(self, response: LoginResponse) -> None:
        """Go on with the session that an answer has opened, such as that of `auth.create_guest`."""
        await in_thread(self._tokens.use, session_of(response))

    async def logout(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as every method
        """End the session, and remove it from the store. A session that has ended already is no error."""
        with contextlib.suppress(Unauthenticated):
            await self.auth.logout(timeout=timeout)
        await in_thread(self._tokens.forget)

    async def close(self) -> None:
        """Close the connection; calls in flight end as `Cancelled`, later ones as `ClientClosed`."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
