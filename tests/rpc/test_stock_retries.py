"""gRPC of a stock client, with the published service configs, repeats calls by the reason of their error as the registry says."""

import asyncio
import importlib
import json
import math
import pkgutil
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from mercato import service_config
from mercato.reasons import REASONS, RetryAdvice
from mercato.rpcs import rpcs
from mercato_server import domain
from mercato_server.domain.errors import CartEmpty, MercatoError, Overloaded, TooManyMails
from mercato_server.rpc.statuses import abort, pushback_ms
from support.error_examples import kinds, makers
from support.patience import patient

for module in pkgutil.iter_modules(domain.__path__, f"{domain.__name__}."):
    importlib.import_module(module.name)
KINDS = [kind for kind in kinds() if hasattr(kind, "reason")]
READ, KEYED, UNKEYED = "CatalogService/GetProduct", "OrderService/Checkout", "AuthService/Login"
LOST = "lost"
"""In place of the number of an error: the attempt ends as if its connection were lost, without a word of the server."""
SHORT_S = 0.01
"""The delay of each error that has one, so that the test need not wait for it."""


class RefusesOnce(grpc.GenericRpcHandler):
    """Refuses the first attempt of each call with the error that its metadata name, as a worker does, and answers the next."""

    def __init__(self) -> None:
        self.attempts = Counter[str]()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        del handler_call_details

        async def answer(_request: bytes, context: Any) -> bytes:
            sent = dict(context.invocation_metadata())
            self.attempts[sent["call"]] += 1
            if self.attempts[sent["call"]] == 1 and sent["kind"] == LOST:
                await context.abort(grpc.StatusCode.UNAVAILABLE)
            if self.attempts[sent["call"]] == 1:
                error = makers(KINDS[int(sent["kind"])])[0]()
                if error.retry_after_s is not None:
                    error.retry_after_s = SHORT_S
                await abort(context, error)
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def server() -> AsyncIterator[tuple[RefusesOnce, str]]:
    handler, server = RefusesOnce(), grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(None)


def without_throttling(config: str) -> str:
    """Return a service config for a channel that is refused more often than any shop refuses."""
    return json.dumps({"methodConfig": json.loads(config)["methodConfig"]})


@pytest.mark.parametrize(
    ("keyed", "method", "repeats"),
    [(False, READ, True), (False, KEYED, False), (False, UNKEYED, False), (True, READ, True), (True, KEYED, True), (True, UNKEYED, False)],
)
async def test_a_stock_client_repeats_each_reason_as_the_registry_says(
    server: tuple[RefusesOnce, str],
    keyed: bool,  # noqa: FBT001 - a column of the table
    method: str,
    repeats: bool,  # noqa: FBT001
) -> None:
    handler, target = server
    options = [("grpc.service_config", without_throttling(service_config(keyed=keyed)))]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        call: Any = channel.unary_unary(f"/mercato.v1.{method}")
        metadata = [(("call", kind.__name__), ("kind", str(number))) for number, kind in enumerate(KINDS)]
        ended = await asyncio.gather(*(call(b"", metadata=each, timeout=patient()) for each in metadata), return_exceptions=True)
    helped = {kind.__name__ for kind in KINDS if repeats and REASONS[kind.reason].retry is RetryAdvice.AFTER_DELAY}
    assert {name for name, attempts in handler.attempts.items() if attempts == 2} == helped
    assert max(handler.attempts.values()) <= 2
    assert [not isinstance(each, Exception) for each in ended] == [kind.__name__ in helped for kind in KINDS]


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_stock_client_repeats_an_rpc_of_which_it_has_lost_the_connection_only_if_it_may(
    server: tuple[RefusesOnce, str],
    keyed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    handler, target = server
    unary = [rpc for rpc in rpcs() if not rpc.streams]
    repeated = {rpc.path for rpc in unary if rpc.reads or (keyed and rpc.policy.idempotency_key)}
    options = [("grpc.service_config", without_throttling(service_config(keyed=keyed)))]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stubs: dict[str, Any] = {rpc.path: channel.unary_unary(rpc.path) for rpc in unary}
        calls = {path: stub(b"", metadata=(("call", path), ("kind", LOST)), timeout=patient()) for path, stub in stubs.items()}
        answered = {path for path, call in calls.items() if await call.code() is grpc.StatusCode.OK}
    assert answered == repeated
    assert handler.attempts == {rpc.path: 2 if rpc.path in repeated else 1 for rpc in unary}


def test_a_synchronous_channel_heeds_the_server_too() -> None:
    async def attempts(kind: type[MercatoError]) -> int:
        handler, aio = RefusesOnce(), grpc.aio.server()
        aio.add_generic_rpc_handlers([handler])
        port = aio.add_insecure_port("127.0.0.1:0")
        await aio.start()

        def call() -> None:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", service_config())]) as channel:
                read: Any = channel.unary_unary(f"/mercato.v1.{READ}")
                read(b"", metadata=(("call", "one"), ("kind", str(KINDS.index(kind)))), timeout=patient())

        await asyncio.gather(asyncio.to_thread(call), return_exceptions=True)
        await aio.stop(None)
        return handler.attempts["one"]

    assert asyncio.run(attempts(Overloaded)) == 2
    assert asyncio.run(attempts(CartEmpty)) == 1


@pytest.mark.parametrize(
    ("delay_s", "left_s", "pushback"),
    [
        (1.0, 2.0, 1000),
        (1.0, 1.0, -1),  # the deadline of the call ends first
        (0.0, 2.0, 1),  # gRPC's C core hangs at 0
        (math.pi, math.inf, 3142),
        (4.9, None, 4900),
        (3600.0, None, -1),  # a call without a deadline would hang
    ],
)
def test_the_delay_of_a_retry_fits_into_the_call(delay_s: float, left_s: float | None, pushback: int) -> None:
    assert pushback_ms(TooManyMails(delay_s), left_s) == pushback


def test_an_error_that_no_retry_helps_forbids_it() -> None:
    assert pushback_ms(CartEmpty(), 2.0) == -1
