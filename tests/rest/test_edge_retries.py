"""The edge's own replies let a stock gRPC client wait where a short delay helps, and fail at once elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckResponse

from faults.processes import Edge
from mercato import service_config
from mercato.v1 import catalog_pb2, catalog_pb2_grpc
from ports import free_port
from support.mercato_up import ORIGIN, Up, running
from support.patience import patient, until
from support.rest_client import HOST

PUSHBACK = "grpc-retry-pushback-ms"
BUCKET = 5
CALLS = 12
"""More than the bucket, and fewer than two buckets and a half."""
READ, KEYED, UNKEYED = "CatalogService/GetProduct", "OrderService/Checkout", "AuthService/Login"
KINDS = [(keyed, method) for keyed in (False, True) for method in (READ, KEYED, UNKEYED)]
"""Whether the service config is the one for keys, and an RPC."""
REPEATED = [(False, READ), (True, READ), (True, KEYED)]
TOO_LARGE = b"x" * 100_000
INTERVAL_S = 0.1


@dataclass
class Worker(grpc.GenericRpcHandler):
    """Answers the edge, or only its health checks; it can be stopped, and started again at its address."""

    address: str
    hangs: bool = False

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        async def answer(_request: bytes, _context: Any) -> bytes:
            if handler_call_details.method.startswith("/grpc.health."):
                return bytes(HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString())
            if self.hangs:
                await asyncio.Event().wait()
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)

    async def start(self) -> None:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers([self])
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker(f"{HOST}:{free_port()}")
    await worker.start()
    yield worker
    await worker.stop()


Send = Callable[[bytes], list[Any]]


@asynccontextmanager
async def clients(edge: Edge) -> AsyncIterator[Send]:
    """Yield a function that makes a call of each kind."""
    async with AsyncExitStack() as stack:
        options = [[("grpc.service_config", service_config(keyed=keyed))] for keyed, _ in KINDS]
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(edge.address, options=each)) for each in options]
        stubs: list[Any] = [channel.unary_unary(f"/mercato.v1.{method}") for channel, (_, method) in zip(channels, KINDS, strict=True)]
        yield lambda request: [stub(request) for stub in stubs]


async def test_calls_that_no_worker_could_answer_are_repeated_until_one_is_back(tmp_path: Path, worker: Worker) -> None:
    async with Edge(tmp_path, [worker], INTERVAL_S) as edge, clients(edge) as send:
        await worker.stop()
        calls = send(b"")
        for call, kind in zip(calls, KINDS, strict=True):
            if kind not in REPEATED:
                assert await call.code() is StatusCode.UNAVAILABLE
                assert dict(await call.trailing_metadata())[PUSHBACK] == "1000"
        await until(lambda: _at_least(edge, len(KINDS)), "each kind is sent")
        await worker.start()
        for call, kind in zip(calls, KINDS, strict=True):
            assert (await call.code() is StatusCode.OK) == (kind in REPEATED)
        assert await edge.requests() in range(len(KINDS) + len(REPEATED), len(KINDS) + 4 * len(REPEATED) + 1)


async def _at_least(edge: Edge, requests: int) -> bool:
    return await edge.requests() >= requests


async def test_requests_that_are_too_large_are_sent_once(tmp_path: Path, worker: Worker) -> None:
    async with Edge(tmp_path, [worker], INTERVAL_S) as edge, clients(edge) as send:
        for call in send(TOO_LARGE):
            assert await call.code() is StatusCode.RESOURCE_EXHAUSTED
            assert dict(await call.trailing_metadata())[PUSHBACK] == "-1"
        assert await edge.requests() == len(KINDS)


async def test_calls_that_have_exceeded_the_deadline_of_the_edge_are_sent_once(tmp_path: Path, worker: Worker) -> None:
    worker.hangs = True
    async with Edge(tmp_path, [worker], INTERVAL_S) as edge, clients(edge) as send:
        for call in send(b""):
            assert await call.code() is StatusCode.DEADLINE_EXCEEDED
        assert await edge.requests() == len(KINDS)


async def test_a_rate_limit_of_a_minute_is_not_waited_for(tmp_path: Path, worker: Worker) -> None:
    async with (
        Edge(tmp_path, [worker], INTERVAL_S, credentials_per_minute=1) as edge,
        grpc.aio.insecure_channel(edge.address, options=[("grpc.service_config", service_config(keyed=True))]) as channel,
    ):
        sign_up: Any = channel.unary_unary("/mercato.v1.AuthService/SignUp")
        await sign_up(b"")
        refused = sign_up(b"")
        assert await refused.code() is StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(await refused.trailing_metadata())
        assert (told_s(trailers) > 5, trailers[PUSHBACK]) == (True, "-1")
        assert await edge.requests() == 2


def told_s(trailers: dict[str, Any]) -> int:
    """Return the seconds of the RetryInfo of a refusal, which its headers have too."""
    info = RetryInfo()
    assert sum(detail.Unpack(info) for detail in Status.FromString(trailers["grpc-status-details-bin"]).details) == 1
    assert info.retry_delay.seconds == int(trailers["retry-after"])
    return int(info.retry_delay.seconds)


@pytest.fixture(scope="module")
def limited() -> Iterator[Up]:
    """Run a shop that admits few requests a second."""
    with running(MERCATO_RATE_LIMITS="on", MERCATO_REQUESTS_PER_SECOND=str(BUCKET), MERCATO_CORS_ORIGINS=ORIGIN) as up:
        yield up


def refusals(up: Up, config: str) -> list[dict[str, Any]]:
    """Send reads at once; return the trailing metadata of those that were refused."""
    with grpc.insecure_channel(f"{HOST}:{up.port}", options=[("grpc.service_config", config)]) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        calls = [stub.ListCategories.future(catalog_pb2.ListCategoriesRequest(), timeout=patient()) for _ in range(CALLS)]
        refused = [call for call in calls if call.code() is not StatusCode.OK]
        assert {call.code() for call in refused} <= {StatusCode.RESOURCE_EXHAUSTED}
        return [dict(call.trailing_metadata()) for call in refused]


def test_a_rate_limit_of_a_second_is_waited_for(limited: Up) -> None:
    assert {(told_s(trailers), trailers[PUSHBACK]) for trailers in refusals(limited, "{}")} == {(1, "1000")}
    assert refusals(limited, service_config()) == []


def test_a_page_can_read_the_pushback_and_rest_answers_do_not_have_it(limited: Up) -> None:
    with ThreadPoolExecutor(CALLS) as pool:
        replies = list(pool.map(lambda _: limited.anyone.send("GET", "/categories", None, [("origin", ORIGIN)]), range(CALLS)))
    assert 429 in {reply.status for reply in replies}
    for reply in replies:
        assert PUSHBACK not in reply.headers
    exposed = {name for reply in replies for name in reply.headers.get("access-control-expose-headers", "").split(", ")}
    assert PUSHBACK in exposed
