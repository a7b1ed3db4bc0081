"""The log of calls, the bound on how many run at once, and whether new ones still arrive."""

import asyncio
import logging
import time

import grpc
import structlog
from grpc import StatusCode

from mercato_server.config.holding import Holding
from mercato_server.config.settings import Limits
from mercato_server.database.work import current_work
from mercato_server.domain.errors import Overloaded, TooManyCalls
from mercato_server.domain.networks import network_of
from mercato_server.rpc.callers import Places
from mercato_server.rpc.context import Context
from mercato_server.rpc.errors import end
from mercato_server.rpc.headers import CLIENT_ADDRESS
from mercato_server.rpc.layers import Answer, Call, Method, Request
from mercato_server.rpc.line_budget import LineBudget

log = structlog.get_logger(__name__)

QUIET_POLLS = 5
QUIET_POLL_S = 0.05
SLOW = "slow"
"""Kind of the lines about slow calls; those of refused calls have the name of their code."""


class Arrivals(grpc.GenericRpcHandler):
    """Counts the calls that reach a server, except for health checks. Register it before all handlers: it serves no call itself."""

    def __init__(self) -> None:
        self._count = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        """Count a call; grpc then asks the next handler."""
        if not handler_call_details.method.startswith("/grpc.health."):
            self._count += 1

    async def until_quiet(self, calls: "CallsInFlight") -> None:
        """Return once no call has arrived or was in flight for a quarter of a second.

        grpc fails calls that it has received and not yet passed on when its server stops. Polls are counted, not seconds: a busy event
        loop takes such calls from grpc between two polls. Callers that wait for their answers, as while PostgreSQL stalls, may call again.
        """
        polls = 0
        while polls < QUIET_POLLS:
            before = self._count
            await asyncio.sleep(QUIET_POLL_S)
            polls = polls + 1 if self._count == before and calls.idle else 0


class CallsInFlight:
    """Counts the calls in flight of a worker and of each caller, and sheds calls above the limits.

    A caller is a client address, as the edge reports it. A call that did not come through the edge counts for the worker only: its caller
    belongs to the operator, and may act for many clients.
    """

    def __init__(self, limits: Limits, holding: Holding) -> None:
        self._limits = limits
        self._holding = holding
        self._places = Places(holding.calls_per_client)
        self._count = 0
        self.lines = LineBudget(limits, _report)
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def idle(self) -> bool:
        """Whether no call runs."""
        return self._idle.is_set()

    async def wait_idle(self) -> None:
        """Return once no call runs. grpc's own stop() does not wait until the calls that it cancelled have cleaned up."""
        await self._idle.wait()

    def layer(self, _method: Method, proceed: Call) -> Call:
        """Count each call and log how it ended.

        Calls that succeed in time are logged at debug level only: the edge's access log has every call, and a log line costs a tenth of
        a cached read. Of refused and slow calls it logs a bounded number, unless the level is debug.
        """
        quiet = not log.is_enabled_for(logging.DEBUG)  # evaluated once: it costs more than the rest of this layer

        async def counted(request: Request, context: Context) -> Answer:
            if self._count >= self._limits.concurrent_calls:
                await end(context, Overloaded("the server has too many calls in flight; try again"))
            caller = network_of(context.metadata(CLIENT_ADDRESS) or "")
            if not self._places.take(caller):
                await end(context, TooManyCalls(self._holding.calls_per_client))
            self._count += 1
            self._idle.clear()
            current_work.set(context.work)
            try:
                return await proceed(request, context)
            except asyncio.CancelledError:
                context.code = StatusCode.CANCELLED
                raise
            finally:
                self._places.free(caller)
                self._count -= 1
                if self._count == 0:
                    self._idle.set()
                took_s = time.perf_counter() - context.started
                slow = took_s >= self._limits.slow_call_s and not context.rpc.streams  # the client sets the pace of a stream
                if not quiet or ((slow or context.code is not StatusCode.OK) and self._has_line(context, slow=slow)):
                    _log(context, took_s, slow=slow)

        return counted

    def _has_line(self, context: Context, *, slow: bool) -> bool:
        return self.lines.take(SLOW if slow else context.code.name, context.device.network)


def _report(kind: str, count: int) -> None:
    log.info("more calls ended so", kind=kind, calls=count)


def _log(context: Context, took_s: float, *, slow: bool) -> None:
    quiet = log.debug if context.code is StatusCode.OK else log.info
    write = log.warning if slow else quiet
    write("call", method=context.rpc.path, code=context.code.name, request_id=context.request_id, ms=round(took_s * 1000, 1))
