"""Run an ordinary worker that also serves an empty RPC, which shows the highest rate of grpc.aio."""

import asyncio
import signal
from functools import cache
from typing import Any

import grpc
import uvloop

from mercato_server.config.settings import Settings
from mercato_server.observability.logging import log_to_stderr
from mercato_server.worker import collect_rarely, running

EMPTY = "/benchmark.Empty/Call"


async def _call(request: bytes, _context: Any) -> bytes:
    return _constant(request)


@cache
def _constant(size: bytes) -> bytes:
    """Return as many bytes as the request says in decimal."""
    return bytes(int(size or b"0"))


def _empty() -> grpc.GenericRpcHandler:
    service, _, method = EMPTY.strip("/").partition("/")
    return grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(_call)})


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with running(settings) as (worker, _):
        collect_rarely()
        worker.parts.server.add_generic_rpc_handlers((_empty(),))  # grpc.aio looks handlers up at each call, so this is not too late
        await stopping.wait()


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_environ()
    log_to_stderr(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


if __name__ == "__main__":
    main()
