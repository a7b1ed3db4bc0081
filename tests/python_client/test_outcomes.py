"""Errors of the Python clients say whether the call may have acted."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from mercato import AsyncClient, Client
from mercato._call_errors import Failure
from mercato.errors import CallError, error_of
from mercato_server.domain.errors import OutOfStock, Overloaded
from mercato_server.rpc.statuses import status_metadata


def status(code: int, reason: str) -> bytes:
    packed = Packed()
    packed.Pack(ErrorInfo(reason=reason, domain="mercato.internal"))
    return bytes(Status(code=code, message="no", details=[packed] if reason else []).SerializeToString())


@pytest.mark.parametrize(
    ("code", "number", "reason", "resent", "unknown"),
    [
        ("FAILED_PRECONDITION", 9, "OUT_OF_STOCK", False, False),
        ("FAILED_PRECONDITION", 9, "OUT_OF_STOCK", True, False),
        ("UNAVAILABLE", 14, "DATABASE_UNAVAILABLE", False, True),
        ("UNAVAILABLE", 14, "HASHING_UNAVAILABLE", False, False),
        ("DEADLINE_EXCEEDED", 4, "DEADLINE_EXCEEDED", False, True),
        ("RESOURCE_EXHAUSTED", 8, "OVERLOADED", False, False),
        ("RESOURCE_EXHAUSTED", 8, "OVERLOADED", True, True),
        ("RESOURCE_EXHAUSTED", 8, "TOO_MANY_KEYS", True, False),
        ("ABORTED", 10, "ETAG_MISMATCH", True, False),
        # of a newer server
        ("UNAVAILABLE", 14, "LATER_REASON", False, True),
        ("RESOURCE_EXHAUSTED", 8, "LATER_REASON", False, False),
        ("RESOURCE_EXHAUSTED", 8, "LATER_REASON", True, True),
        # of gRPC itself: a lost answer, and one that is too large
        ("UNAVAILABLE", 14, "", False, True),
        ("RESOURCE_EXHAUSTED", 8, "", False, True),
        ("NOT_FOUND", 5, "", False, False),
    ],
)
def test_an_error_says_whether_the_call_may_have_acted(code: str, number: int, reason: str, resent: bool, unknown: bool) -> None:  # noqa: FBT001
    given = Failure(code, "no", status(number, reason), idempotency_key="k-1", resent=resent)
    error = error_of(given)
    assert error.outcome_unknown == unknown
    assert ("k-1" in str(error)) == unknown
    assert not error_of(Failure(code, "no", status(number, reason), reads=True, resent=resent)).outcome_unknown


class LosesTheFirstAnswer(grpc.GenericRpcHandler):
    """Loses its first answer, and then refuses as a worker does."""

    def __init__(self) -> None:
        self.refusal: Overloaded | OutOfStock = Overloaded("busy")
        self.keys: list[str] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        del handler_call_details

        async def answer(_request: bytes, context: Any) -> bytes:
            sent = dict(context.invocation_metadata())
            self.keys.append(sent["idempotency-key"])
            attempts = sent.get("grpc-previous-rpc-attempts")
            if attempts is None:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            told = (*status_metadata(self.refusal), ("previous-attempts", attempts), ("grpc-retry-pushback-ms", "-1"))
            await context.abort(grpc.StatusCode[self.refusal.code.name], self.refusal.message, told)
            raise AssertionError("abort() returned")

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def handler() -> AsyncIterator[tuple[LosesTheFirstAnswer, str]]:
    handler, server = LosesTheFirstAnswer(), grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(None)


async def both(target: str) -> list[CallError]:
    """Return the errors of a change that each client makes."""

    def change() -> CallError:
        with Client(target, token="t") as client, pytest.raises(CallError) as refused:
            client.cart.clear_cart()
        return refused.value

    async with AsyncClient(target, token="t") as client:
        with pytest.raises(CallError) as refused:
            await client.cart.clear_cart()
    return [await asyncio.to_thread(change), refused.value]


async def test_a_refusal_before_the_key_is_looked_up_does_not_settle_a_lost_attempt(handler: tuple[LosesTheFirstAnswer, str]) -> None:
    server, target = handler
    errors = await both(target)
    assert [(error.reason, error.outcome_unknown) for error in errors] == [("OVERLOADED", True)] * 2
    assert sorted(server.keys) == sorted(str(error.idempotency_key) for error in errors for _ in range(2))


async def test_a_refusal_of_the_command_itself_settles_a_lost_attempt(handler: tuple[LosesTheFirstAnswer, str]) -> None:
    server, target = handler
    server.refusal = OutOfStock([])
    assert [(error.reason, error.outcome_unknown) for error in await both(target)] == [("OUT_OF_STOCK", False)] * 2
