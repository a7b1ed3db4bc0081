"""Bounds of the streams that a worker serves beside its calls: health watches and reflection.

gRPC's own services serve them, not the layers. A client can hold a stream for as long as it likes, and ask much with it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mercato_server.config.holding import Holding
from mercato_server.domain.errors import MercatoError, StreamTooLong, TooManyStreams
from mercato_server.rpc.callers import CLIENT_ADDRESS, Places, caller_of
from mercato_server.rpc.statuses import status_code, status_message, status_metadata

REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Streams:
    """Bounds the streams of each caller, and serves reflection."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._places = Places(holding.streams_per_client)
        self._turns = Turns(holding.reflection_requests_per_s)

    @asynccontextmanager
    async def place(self, transport: Any) -> AsyncIterator[None]:
        """Hold a place of the caller during a block; ends the call if the caller has all its places."""
        caller = caller_of(dict(transport.invocation_metadata() or ()).get(CLIENT_ADDRESS, ""))
        if not self._places.take(caller):
            await _end(transport, TooManyStreams(self._holding.streams_per_client))
        try:
            yield
        finally:
            self._places.free(caller)

    def reflection(self, services: Sequence[str]) -> list[grpc.GenericRpcHandler]:
        """Return the handlers that describe services, none if the settings turn reflection off.

        The package has v1alpha, newer clients request v1, and the messages are equal.
        """
        if not self._holding.reflection:
            return []
        servicer = reflection.aio.ReflectionServicer((*services, *REFLECTION))

        async def reflect(requests: AsyncIterator[Any], transport: Any) -> AsyncIterator[Any]:
            async with self.place(transport):
                async for response in servicer.ServerReflectionInfo(self._paced(requests, transport), transport):
                    yield response

        method = grpc.stream_stream_rpc_method_handler(
            reflect,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in REFLECTION]

    async def _paced(self, requests: AsyncIterator[Any], transport: Any) -> AsyncIterator[Any]:
        taken = 0
        async for request in requests:
            taken += 1
            if taken > self._holding.reflection_requests:
                await _end(transport, StreamTooLong(self._holding.reflection_requests))
            await self._turns.next()
            yield request


class Health(health.aio.HealthServicer):  # type: ignore[misc] # the package ships no types
    """Answers health checks, and watches within the bounds of streams."""

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self._streams = streams

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC calls it by this name
        """Send the status of a service, and each change of it."""
        async with self._streams.place(context):
            await super().Watch(request, context)


class Turns:
    """Lets callers pass one by one, at a bounded rate, in the order in which they come."""

    def __init__(self, per_s: float) -> None:
        self._step_s = 1 / per_s
        self._next = 0.0

    async def next(self) -> None:
        """Wait for a turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._step_s
        await asyncio.sleep(turn - now)


async def _end(transport: Any, error: MercatoError) -> None:
    """Send the error; raises AbortError."""
    await transport.abort(status_code(error), status_message(error), status_metadata(error))
