"""gRPC's health protocol: readiness of each service, life of the process, and whether the database answers."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2

from mercato_server.config.settings import Limits
from mercato_server.domain.errors import HealthServiceUnknown
from mercato_server.feed.listener import Listener
from mercato_server.rpc.statuses import abort
from mercato_server.rpc.streams import Streams

LIVENESS = "liveness"
"""Name that serves as long as the process answers calls, also while it stops. It never depends on the database."""
DATABASE = "database"
"""Name that serves while the database answers. No other name depends on the database: cached reads go on without it."""
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Health(health.aio.HealthServicer):  # type: ignore[misc] # the package ships no types
    """The health of a worker. Its services do not serve until `set_ready`."""

    def __init__(self, services: tuple[str, ...], streams: Streams) -> None:
        super().__init__()
        self._streams = streams
        self._ready = ("", *services)
        self._server_status = {**dict.fromkeys((*self._ready, DATABASE), NOT_SERVING), LIVENESS: SERVING}

    async def set_ready(self, *, ready: bool) -> None:
        """Report whether the worker takes calls, under the empty name and under that of each service."""
        for service in self._ready:
            await self.set(service, SERVING if ready else NOT_SERVING)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - named as in the proto
        """Return the state of a service; NOT_FOUND for an unknown one."""
        if request.service not in self._server_status:
            await abort(context, HealthServiceUnknown(request.service))
        return await super().Check(request, context)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - named as in the proto
        """Send the state of a service, and each change of it, within the bounds of streams."""
        async with self._streams.place(context):
            await super().Watch(request, context)

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - named as in the proto
        """Return the state of every service."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def watch_database(self, listener: Listener, limits: Limits) -> None:
        """Report whether the database answers, until cancelled.

        The feed listener asks it every 100 ms. So this needs no statement, and also notices a database that hangs.
        """
        while True:
            await self.set(DATABASE, SERVING if listener.age_s < limits.database_silence_s else NOT_SERVING)
            await asyncio.sleep(limits.database_watch_s)
