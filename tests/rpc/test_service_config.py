"""The published service configs make gRPC repeat the calls that may be repeated, and no others."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from mercato import service_config
from mercato.rpcs import Rpc, rpcs
from mercato.v1 import catalog_pb2_grpc
from mercato.v1.catalog_pb2 import GetProductRequest
from mercato_server.config.settings import Settings
from mercato_server.worker import running

READ, KEYED, UNKEYED = "CatalogService/GetProduct", "OrderService/Checkout", "AuthService/Login"
ATTEMPTS = 5
ABSENT = "00000000-0000-7000-8000-000000000000"


class Unavailable(grpc.GenericRpcHandler):
    """Answers each call with UNAVAILABLE, and counts the attempts by method."""

    def __init__(self) -> None:
        self.attempts = Counter[str]()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        async def refuse(_request: bytes, context: Any) -> bytes:
            self.attempts[handler_call_details.method] += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            raise AssertionError("abort() returned")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Server:
    """A server that is never available."""

    def __init__(self, target: str, handler: Unavailable) -> None:
        self.target = target
        self.handler = handler

    async def attempts(self, method: str, config: str) -> int:
        """Return how often gRPC sends a call of an asynchronous channel with a service config."""
        path = f"/mercato.v1.{method}"
        async with grpc.aio.insecure_channel(self.target, options=[("grpc.service_config", config)]) as channel:
            call: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"")
        return self.handler.attempts[path]

    def attempts_of_a_thread(self, method: str, config: str) -> int:
        """Return the same for a synchronous channel."""
        path = f"/mercato.v1.{method}"
        with grpc.insecure_channel(self.target, options=[("grpc.service_config", config)]) as channel:
            call: Any = channel.unary_unary(path)
            with pytest.raises(grpc.RpcError):
                call(b"")
        return self.handler.attempts[path]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    handler, server = Unavailable(), grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield Server(f"127.0.0.1:{port}", handler)
    await server.stop(None)


async def test_a_channel_repeats_only_calls_that_may_be_repeated(server: Server) -> None:
    calls = [server.attempts(method, service_config()) for method in (READ, KEYED, UNKEYED)]
    assert await asyncio.gather(*calls) == [ATTEMPTS, 1, 1]


async def test_a_channel_whose_calls_carry_keys_repeats_keyed_calls_too(server: Server) -> None:
    sync = asyncio.to_thread(server.attempts_of_a_thread, READ, service_config(keyed=True))
    calls = [server.attempts(method, service_config(keyed=True)) for method in (KEYED, UNKEYED)]
    assert await asyncio.gather(sync, *calls) == [ATTEMPTS, ATTEMPTS, 1]


@pytest.mark.parametrize("keyed", [False, True])
def test_a_config_names_every_rpc_that_may_be_repeated(keyed: bool) -> None:  # noqa: FBT001 - a column of the table
    config = json.loads(service_config(keyed=keyed))
    [method] = config["methodConfig"]

    def may_be_repeated(rpc: Rpc) -> bool:
        return rpc.reads or (keyed and rpc.policy.idempotency_key)

    named = {f"/{name['service']}/{name['method']}" for name in method["name"]}
    assert named == {rpc.path for rpc in rpcs() if may_be_repeated(rpc)}
    assert method.keys() == {"name", "retryPolicy"}  # neither a timeout nor waitForReady
    assert config.keys() == {"methodConfig", "retryThrottling"}


async def test_a_worker_tells_a_client_that_grpc_has_sent_the_call_before(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's C core tells the server alone. The worker lets it repeat an error that it would veto, because that one always happens."""
    monkeypatch.setattr("mercato_server.rpc.statuses.pushback_ms", lambda *_: 1)
    policy = json.loads(service_config())["methodConfig"][0]["retryPolicy"] | {"retryableStatusCodes": ["NOT_FOUND"], "maxAttempts": 3}
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    async with running(settings) as (_, [port]):
        for options, told in (([("grpc.service_config", config)], "2"), ([], None)):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await catalog_pb2_grpc.CatalogServiceStub(channel).GetProduct(GetProductRequest(product_id=ABSENT))
            assert dict(refused.value.trailing_metadata() or ()).get("previous-attempts") == told
