"""The bound on how many calls run at once, their counts, and whether new ones still arrive."""

import asyncio
import time

import grpc
from grpc import StatusCode

from mercato.rpcs import Rpc
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Limits
from mercato_server.database.work import current_work
from mercato_server.domain.errors import MercatoError, Overloaded, TooManyCalls
from mercato_server.domain.networks import network_of
from mercato_server.rpc.call_counts import CallCounts
from mercato_server.rpc.call_log import CallLog
from mercato_server.rpc.callers import Places
from mercato_server.rpc.context import Context, Metadata, Transport
from mercato_server.rpc.deadlines import MARGIN_S
from mercato_server.rpc.errors import end
from mercato_server.rpc.headers import CLIENT_ADDRESS
from mercato_server.rpc.layers import Answer, Call, FromMemory, Method, Request

QUIET_POLLS = 5
QUIET_POLL_S = 0.05


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

    def __init__(self, limits: Limits, holding: Holding, call_log: CallLog) -> None:
        self._limits = limits
        self._holding = holding
        self._places = Places(holding.calls_per_client)
        self._log = call_log
        self._count = 0
        self.counts = CallCounts()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def idle(self) -> bool:
        """Whether no call runs."""
        return self._idle.is_set()

    @property
    def in_flight(self) -> int:
        """The number of calls that run."""
        return self._count

    async def wait_idle(self) -> None:
        """Return once no call runs. grpc's own stop() does not wait until the calls that it cancelled have cleaned up."""
        await self._idle.wait()

    def layer(self, method: Method, proceed: Call) -> Call:
        """Bound the calls; count each, and log how it ended."""
        observe, log_end = self.counts.of(method.rpc.path), self._log.ended(method.rpc)

        async def counted(request: Request, context: Context) -> Answer:
            current_work.set(context.work)
            try:
                return await self._bounded(request, context, proceed)
            except asyncio.CancelledError:
                left_s = context.transport.time_remaining()  # gRPC cancels a call at its deadline too, as when the database hangs
                context.code = StatusCode.DEADLINE_EXCEEDED if left_s is not None and left_s < MARGIN_S else StatusCode.CANCELLED
                raise
            finally:
                took_s = time.perf_counter() - context.started
                observe(context.code, took_s)
                log_end(context, took_s)

        return counted

    def from_memory(self, rpc: Rpc) -> FromMemory:
        """Return the function that counts and logs answers from memory. They are not bounded: each takes less time than a refusal."""
        observe, cached, log_end = self.counts.of(rpc.path), self.counts.cached, self._log.from_memory(rpc)
        cached[rpc.path] += 0  # Prometheus sees no increase before the second value of a series

        def answered(received: Metadata, began: float, _transport: Transport) -> None:
            cached[rpc.path] += 1
            observe(StatusCode.OK, time.perf_counter() - began)
            log_end(received, began)

        return answered

    async def _bounded(self, request: Request, context: Context, proceed: Call) -> Answer:
        if self._count >= self._limits.concurrent_calls:
            await self._shed(context, Overloaded("the server has too many calls in flight; try again"))
        caller = network_of(context.metadata(CLIENT_ADDRESS) or "")
        if not self._places.take(caller):
            await self._shed(context, TooManyCalls(self._holding.calls_per_client))
        self._count += 1
        self._idle.clear()
        try:
            return await proceed(request, context)
        finally:
            self._places.free(caller)
            self._count -= 1
            if self._count == 0:
                self._idle.set()

    async def _shed(self, context: Context, error: MercatoError) -> None:
        self.counts.shed[error.reason] += 1
        await end(context, error)
