"""Deadlines: the caller's, or the RPC's own if the caller brings none or asks for too long."""

import asyncio

from mercato_server.config.settings import Limits
from mercato_server.database.transactions import deadline
from mercato_server.domain.errors import DeadlineExceeded
from mercato_server.rpc.context import Context
from mercato_server.rpc.layers import Answer, Layer, Method, Unary

MARGIN_S = 0.02
"""Part of the caller's time that an answer takes to get there. Without it gRPC's own deadline may win, and its error has no details."""


def keep_deadlines(limits: Limits) -> Layer:
    """Cancel what a call does when its time is up."""

    def layer(method: Method, proceed: Unary) -> Unary:
        default_s = method.rpc.policy.timeout_ms / 1000 or limits.timeout_s

        async def timed(request: bytes, context: Context) -> Answer:
            remaining_s = context.transport.time_remaining()
            limit_s = default_s if remaining_s is None else min(remaining_s - min(MARGIN_S, remaining_s / 2), limits.timeout_max_s)
            until = asyncio.get_running_loop().time() + limit_s
            deadline.set(until)
            scope = asyncio.timeout_at(until)
            try:
                async with scope:
                    return await proceed(request, context)
            except TimeoutError:
                if scope.expired():
                    raise DeadlineExceeded from None
                raise

        return timed

    return layer
