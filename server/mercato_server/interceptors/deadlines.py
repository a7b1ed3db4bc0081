"""Deadlines: the caller's, or the RPC's own if the caller brings none or asks for too long."""

import asyncio
from collections.abc import Callable

from mercato_server.config import Limits
from mercato_server.context import Context, Rpc
from mercato_server.domain.errors import DeadlineExceeded
from mercato_server.interceptors import Answer, Unary


def keep_deadlines(limits: Limits) -> Callable[[Rpc, Unary], Unary]:
    """Cancel what a call does when its time is up; gRPC itself does so for a deadline that the caller brought."""

    def layer(rpc: Rpc, proceed: Unary) -> Unary:
        default_s = rpc.policy.timeout_ms / 1000 or limits.timeout_s

        async def timed(request: bytes, context: Context) -> Answer:
            remaining = context.transport.time_remaining()
            if remaining is not None and remaining <= limits.timeout_max_s:
                return await proceed(request, context)
            scope = asyncio.timeout(default_s if remaining is None else limits.timeout_max_s)
            try:
                async with scope:
                    return await proceed(request, context)
            except TimeoutError:
                if scope.expired():
                    raise DeadlineExceeded from None
                raise

        return timed

    return layer
