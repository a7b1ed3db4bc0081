"""The calls of `Client`: plain functions that block. `_aio` is the same with `await`."""

import copy
import os
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic

import grpc

from mercato._call_errors import ClientClosed
from mercato._connections import HEALTH, Line, Target, cause_of, sent_stream
from mercato._core import Answer, Credentials, ItemT, Method, Options, Plan, ResponseT, items_of, next_page, token_refused
from mercato._refresh import Token, Tokens


class Calls:
    """Makes the calls of a client, from any thread."""

    def __init__(self, target: Target, tokens: Tokens, timeout_s: float | None) -> None:
        self.tokens = tokens
        self._target, self._timeout_s, self._is_closed = target, timeout_s, False
        self._lines: dict[int, Line] = {}
        """By process: a fork needs a channel of its own."""

    def message(self, method: Method[Any, ResponseT], request: Any, options: Options) -> ResponseT:
        """Make a call; a method that streams takes an iterable of requests."""
        response: ResponseT = self._sent(Plan(method, options, self._timeout_s), request)[0]
        return response

    def answer(self, method: Method[Any, ResponseT], request: Any, options: Options) -> Answer[ResponseT]:
        """Make a call, and return what came beside its answer too."""
        plan = Plan(method, options, self._timeout_s)
        response, call = self._sent(plan, request)
        return plan.answer(response, call.initial_metadata())

    def close(self) -> None:
        """Close the channel; calls in flight end as CANCELLED."""
        self._is_closed = True
        if (line := self._lines.pop(os.getpid(), None)) is not None:
            line.channel.close()

    def _sent(self, plan: Plan, request: Any) -> tuple[Any, Any]:
        self._connected(plan)  # before a refresh: the address may be wrong, and the client closed
        token = self._token(plan)
        try:
            return self._attempt(plan, request, token)
        except grpc.RpcError as error:
            refused: Any = error
        next_token = self.tokens.replaced(token) if token and token_refused(refused) else None
        following = self._waited(plan, next_token) if plan.may_repeat(request) else None
        if following is None:
            raise plan.ended(refused)
        try:
            return self._attempt(plan, request, following)
        except grpc.RpcError as error:
            refused = error
        raise plan.ended(refused)

    def _attempt(self, plan: Plan, request: Any, token: Token) -> tuple[Any, Any]:
        call = self._connected(plan).callable(plan.method)
        left_s = plan.left_s()
        if not left_s:
            raise plan.late("a connection")
        send = partial(sent_stream, call) if plan.method.streams else call.with_call
        try:
            answer: tuple[Any, Any] = send(plan.sent(request), timeout=left_s, metadata=plan.metadata(token), wait_for_ready=True)
        except ValueError as error:
            raise (ClientClosed() if self._is_closed else error) from None
        except grpc.FutureCancelledError:
            raise plan.cut() from None
        except (KeyboardInterrupt, SystemExit):
            plan.interrupted()
            raise
        return plan.answered(answer)

    def _token(self, plan: Plan) -> Token:
        if plan.own_token or plan.method.credentials is Credentials.NEVER:
            return None
        return self._waited(plan, self.tokens.token(may_wait=plan.method.credentials is Credentials.ALWAYS))

    def _waited(self, plan: Plan, token: Token | Future[Token]) -> Token:
        if not isinstance(token, Future):
            return token
        try:
            error = token.exception(plan.left_s())
        except TimeoutError:
            raise plan.late("the next access token") from None
        if error is not None:
            raise copy.copy(error)
        return token.result()

    def _connected(self, plan: Plan) -> Line:
        if self._is_closed:
            raise ClientClosed
        line = self._lines.get(os.getpid()) or self._lines.setdefault(os.getpid(), Line(self._target.open()))
        if not line.is_ready:
            self._connect(line, plan)
        return line

    def _connect(self, line: Line, plan: Plan) -> None:
        """Wait for the first connection; raises ConnectionFailed with its cause. Later calls wait until their deadline instead.

        A health check does so: gRPC tells threads the state of a channel by a thread, which prints a traceback if the channel is closed.
        """
        call: Any = line.channel.unary_unary(HEALTH)
        try:
            call(b"", timeout=plan.left_s())
        except grpc.RpcError as error:
            told: Any = error
            cause = cause_of(told, plan)
        except ValueError:
            cause = "the channel is closed"
        else:
            cause = ""
        if cause:
            self._lines.pop(os.getpid(), None)  # the next call begins anew, without this one's backoff
            raise ClientClosed() if self._is_closed else self._target.unreachable(cause)
        line.is_ready = True


class Pager(Generic[ResponseT, ItemT]):
    """The pages of a list, fetched one at a time as they are needed. Iterate over it for the items of all pages."""

    def __init__(self, calls: Calls, method: Method[Any, ResponseT], request: Any, options: Options) -> None:
        self._calls, self._method, self._request, self._options = calls, method, request, options

    def page(self) -> ResponseT:
        """Return the first page."""
        return self._calls.message(self._method, self._request, self._options)

    def pages(self) -> Iterator[ResponseT]:
        """Yield each page. The timeout is that of one page."""
        request = self._request
        while request is not None:
            response = self._calls.message(self._method, request, self._options)
            yield response
            request = next_page(request, response)

    def __iter__(self) -> Iterator[ItemT]:
        for page in self.pages():
            yield from items_of(self._method, page)
