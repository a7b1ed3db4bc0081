"""The calls of `AsyncClient`: coroutines. `_sync` is the same without `await`."""

import asyncio
import copy
import os
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, Generic

import grpc

from mercato._call_errors import ClientClosed
from mercato._connections import CAUSE_S, HEALTH, SETTLED, Line, Target, cause_of, forget_closed
from mercato._core import Answer, Credentials, ItemT, Method, Options, Plan, ResponseT, items_of, next_page, token_refused
from mercato._refresh import Token, Tokens


class Calls:
    """Makes the calls of a client, from any event loop."""

    def __init__(self, target: Target, tokens: Tokens, timeout_s: float | None) -> None:
        self.tokens = tokens
        self._target, self._timeout_s, self._is_closed = target, timeout_s, False
        self._lines: dict[tuple[int, asyncio.AbstractEventLoop], Line] = {}
        """By process and event loop: each needs a channel of its own."""

    async def message(self, method: Method[Any, ResponseT], request: Any, options: Options) -> ResponseT:
        """Make a call; a method that streams takes an iterable of requests."""
        response: ResponseT = (await self._sent(Plan(method, options, self._timeout_s), request))[0]
        return response

    async def answer(self, method: Method[Any, ResponseT], request: Any, options: Options) -> Answer[ResponseT]:
        """Make a call, and return what came beside its answer too."""
        plan = Plan(method, options, self._timeout_s)
        response, call = await self._sent(plan, request)
        return plan.answer(response, await call.initial_metadata())

    async def close(self) -> None:
        """Close the channel of the running event loop; its calls in flight are cancelled."""
        self._is_closed = True
        if (line := self._lines.pop((os.getpid(), asyncio.get_running_loop()), None)) is not None:
            await line.channel.close()

    async def _sent(self, plan: Plan, request: Any) -> tuple[Any, Any]:
        await self._connected(plan)  # before a refresh: the address may be wrong, and the client closed
        token = await self._token(plan)
        try:
            return await self._attempt(plan, request, token)
        except grpc.RpcError as error:
            refused: Any = error
        next_token = self.tokens.replaced(token) if token and token_refused(refused) else None
        following = await self._waited(plan, next_token) if plan.may_repeat(request) else None
        if following is None:
            raise plan.ended(refused)
        try:
            return await self._attempt(plan, request, following)
        except grpc.RpcError as error:
            refused = error
        raise plan.ended(refused)

    async def _attempt(self, plan: Plan, request: Any, token: Token) -> tuple[Any, Any]:
        sender = (await self._connected(plan)).callable(plan.method)
        left_s = plan.left_s()
        if not left_s:
            raise plan.late("a connection")
        try:
            call = sender(plan.sent(request), timeout=left_s, metadata=plan.metadata(token), wait_for_ready=True)
            return plan.answered(await call), call
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                plan.interrupted()
                raise
            raise plan.cut() from None
        except grpc.aio.UsageError as error:
            raise (ClientClosed() if self._is_closed else error) from None

    async def _token(self, plan: Plan) -> Token:
        if plan.own_token or plan.method.credentials is Credentials.NEVER:
            return None
        return await self._waited(plan, self.tokens.token(may_wait=plan.method.credentials is Credentials.ALWAYS))

    async def _waited(self, plan: Plan, token: Token | Future[Token]) -> Token:
        if not isinstance(token, Future):
            return token
        waiter = asyncio.wrap_future(token)
        waiter.add_done_callback(lambda ended: ended.exception())  # else asyncio reports an error that no caller waited for
        done, _ = await asyncio.wait([waiter], timeout=plan.left_s())
        if not done:
            raise plan.late("the next access token")
        if (error := token.exception()) is not None:
            raise copy.copy(error)
        return token.result()

    async def _connected(self, plan: Plan) -> Line:
        if self._is_closed:
            raise ClientClosed
        place = os.getpid(), asyncio.get_running_loop()
        if (line := self._lines.get(place)) is None:
            forget_closed(self._lines)
            line = self._lines[place] = Line(self._target.open_async())
        if not line.is_ready:
            await self._connect(line, plan)
        return line

    async def _connect(self, line: Line, plan: Plan) -> None:
        """Wait for the first connection; raises ConnectionFailed with its cause. Later calls wait until their deadline instead."""
        try:
            async with asyncio.timeout(plan.left_s()):
                while (state := line.channel.get_state(try_to_connect=True)) not in SETTLED:
                    await line.channel.wait_for_state_change(state)
            cause = "" if state is grpc.ChannelConnectivity.READY else await self._cause(line, plan)
        except TimeoutError:
            cause = f"nothing answered within {plan.timeout_s:g} s"
        if cause:
            self._lines.pop((os.getpid(), asyncio.get_running_loop()), None)  # the next call begins anew, without this one's backoff
            raise ClientClosed() if self._is_closed else self._target.unreachable(cause)
        line.is_ready = True

    async def _cause(self, line: Line, plan: Plan) -> str:
        """Return why there is no connection; empty if there is one meanwhile."""
        call: Any = line.channel.unary_unary(HEALTH)
        try:
            await call(b"", timeout=min(CAUSE_S, plan.left_s()))
        except grpc.aio.AioRpcError as error:
            return cause_of(error, plan)
        return ""


class AsyncPager(Generic[ResponseT, ItemT]):
    """The pages of a list, fetched one at a time as they are needed. Iterate over it for the items of all pages."""

    def __init__(self, calls: Calls, method: Method[Any, ResponseT], request: Any, options: Options) -> None:
        self._calls, self._method, self._request, self._options = calls, method, request, options

    async def page(self) -> ResponseT:
        """Return the first page."""
        return await self._calls.message(self._method, self._request, self._options)

    async def pages(self) -> AsyncIterator[ResponseT]:
        """Yield each page. The timeout is that of one page."""
        request = self._request
        while request is not None:
            response = await self._calls.message(self._method, request, self._options)
            yield response
            request = next_page(request, response)

    async def __aiter__(self) -> AsyncIterator[ItemT]:
        async for page in self.pages():
            for item in items_of(self._method, page):
                yield item
