"""Run an ordinary worker that also serves an empty RPC, which shows the highest rate of grpc.aio.

With BENCHMARK_STAGES=on it times the stages of its calls, which costs time itself, and another RPC returns them.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import grpc
import uvloop

from mercato_server.config.settings import Settings
from mercato_server.observability import logging
from mercato_server.worker import collect_rarely, running
from stopwatch import Stopwatch

EMPTY, TAKE_STAGES = "/benchmark.Empty/Call", "/benchmark.Stages/Take"
TIMED = {"BENCHMARK_STAGES": "on"}
"""Environment of a worker that times its stages."""


async def _call(request: bytes, _context: Any) -> bytes:
    return _constant(request)


@cache
def _constant(size: bytes) -> bytes:
    """Return as many bytes as the request says in decimal."""
    return bytes(int(size or b"0"))


def _handler(path: str, serve: Callable[[bytes, Any], Awaitable[bytes]]) -> grpc.GenericRpcHandler:
    service, _, method = path.strip("/").partition("/")
    return grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(serve)})


def _timed() -> grpc.GenericRpcHandler:
    """Time the stages of calls from now on, and return the RPC for them."""
    stopwatch = Stopwatch()
    stopwatch.install()

    async def take(_request: bytes, _context: Any) -> bytes:
        return stopwatch.take()

    return _handler(TAKE_STAGES, take)


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    own = [_handler(EMPTY, _call), *([_timed()] if TIMED.items() <= os.environ.items() else [])]
    async with running(settings) as (worker, _):
        collect_rarely()
        worker.parts.server.add_generic_rpc_handlers(own)  # grpc.aio looks handlers up at each call, so this is not too late
        await stopping.wait()


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_environ()
    logging.start(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


if __name__ == "__main__":
    main()
