"""The layer that enforces deadlines: the caller's, bounded by the server's maximum, or the RPC's default."""

import asyncio

from mercato_server.config.settings import Limits
from mercato_server.database.transactions import deadline
from mercato_server.domain.errors import DeadlineExceeded
from mercato_server.rpc.context import Context
from mercato_server.rpc.layers import Answer, Call, Layer, Method, Request

MARGIN_S = 0.02
"""Time kept back for the answer to reach the caller. Without it gRPC's own deadline may fire first, and its error has no details."""


def keep_deadlines(limits: Limits) -> Layer:
    """Cancel a call at its deadline; the caller gets DEADLINE_EXCEEDED."""

    def layer(method: Method, proceed: Call) -> Call:
        default_s = method.rpc.policy.timeout_ms / 1000 or limits.timeout_s
        longest_s = max(limits.timeout_max_s, default_s if method.rpc.streams else 0)

        async def timed(request: Request, context: Context) -> Answer:
            remaining_s = context.transport.time_remaining()
            limit_s = default_s if remaining_s is None else min(remaining_s - min(MARGIN_S, remaining_s / 2), longest_s)
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
