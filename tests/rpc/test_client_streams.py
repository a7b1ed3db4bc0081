"""RPCs whose request is a stream: they pass the layers once, and what their clients send and hold is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from mercato.v1 import policy_pb2
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Hashing, Limits
from mercato_server.domain.errors import AdminOnly
from mercato_server.rpc.call_log import CallLog
from mercato_server.rpc.calls import CallsInFlight
from mercato_server.rpc.client_streams import ClientStreams
from mercato_server.rpc.context import Context
from mercato_server.rpc.deadlines import keep_deadlines
from mercato_server.rpc.errors import Errors
from mercato_server.rpc.layers import Answer, Call, Layers, Method, Request
from mercato_server.rpc.pipeline import service_handler
from mercato_server.security.hasher import PasswordHasher
from support.patience import patient, until
from support.shop import refusal

LIMIT = 100_000
HOLDING = Holding(upload_idle_s=0.3, uploads_per_client=2, upload_pieces=50)
ADDRESS = (("x-client-address", "192.0.2.1"),)
WELCOME = (*ADDRESS, ("welcome", "yes"))


def described(
    *, limit: int = LIMIT, timeout_ms: int = 60_000, server_streaming: bool = False, package: str = "streamed"
) -> ServiceDescriptor:
    """Return a service with one RPC, `Send(stream SendRequest) returns (google.api.HttpBody)`."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.extend(("google/api/httpbody.proto", "mercato/v1/policy.proto"))
    request = file.message_type.add(name="SendRequest")
    request.field.add(
        name="body",
        number=1,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        type_name=".google.api.HttpBody",
    )
    method = file.service.add(name="Sends").method.add(
        name="Send", input_type=f".{package}.SendRequest", output_type=".google.api.HttpBody", client_streaming=True
    )
    method.server_streaming = server_streaming
    policy = method.options.Extensions[policy_pb2.policy]
    policy.access, policy.scope, policy.max_request_bytes, policy.timeout_ms = policy_pb2.ACCESS_ANYONE, "sends.write", limit, timeout_ms
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{package}.Sends")


SENDS = described()
BRIEF = described(timeout_ms=1_000, package="brief")
SendRequest = GetMessageClass(SENDS.methods[0].input_type)


def only_the_welcome(_method: Method, proceed: Call) -> Call:
    """Refuse callers, as the layer of authentication does."""

    async def checked(request: Request, context: Context) -> Answer:
        if context.metadata("welcome") is None:
            raise AdminOnly
        return await proceed(request, context)

    return checked


class Sends:
    """Counts what it receives."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.begun = 0

    async def Send(self, requests: AsyncIterator[Any], _context: Context) -> HttpBody:  # noqa: N802 - named like its RPC
        self.begun += 1
        async for request in requests:
            self.pieces.append(len(request.body.data))
        return HttpBody(data=str(sum(self.pieces)).encode())


class Served(SimpleNamespace):
    sends: Sends
    calls: CallsInFlight
    send: Any


@asynccontextmanager
async def served(
    holding: Holding = HOLDING,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
    service: ServiceDescriptor = SENDS,
) -> AsyncIterator[Served]:
    """Yield the service behind the layers on a real port."""
    sends, calls = Sends(), CallsInFlight(limits, holding, CallLog(limits, reads_per_line=1))
    layers = Layers((calls.layer, Errors(limits).layer, keep_deadlines(limits), only_the_welcome), calls.from_memory)
    server = grpc.aio.server()
    hasher = PasswordHasher(Hashing(), limits)
    server.add_generic_rpc_handlers([service_handler(service, sends, layers, limits, hasher, ClientStreams(holding))])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(sends=sends, calls=calls, send=channel.stream_unary(f"/{service.full_name}/Send"))
    await server.stop(None)
    await calls.wait_idle()


def piece(length: int) -> bytes:
    written: bytes = SendRequest(body=HttpBody(data=b"x" * length)).SerializeToString()
    return written


async def pieces(*lengths: int) -> AsyncIterator[bytes]:
    for length in lengths:
        yield piece(length)


async def test_a_stream_reaches_its_handler_piece_by_piece() -> None:
    async with served() as at:
        answer = HttpBody.FromString(await at.send(pieces(1, 0, LIMIT - 1), metadata=WELCOME))
        assert (answer.data, at.sends.pieces) == (str(LIMIT).encode(), [1, 0, LIMIT - 1])


async def test_a_caller_is_refused_before_a_piece_is_read() -> None:
    async with served() as at:
        asked = asyncio.Event()

        async def never() -> AsyncIterator[bytes]:
            await asked.wait()
            yield b""

        assert (await refusal(at.send(never(), metadata=ADDRESS))).reason == "ADMIN_ONLY"
        assert at.sends.begun == 0


async def test_the_bytes_of_all_pieces_together_are_bounded() -> None:
    async with served() as at:
        assert (await refusal(at.send(pieces(LIMIT // 2, LIMIT // 2, 1), metadata=WELCOME))).reason == "REQUEST_TOO_LARGE"
        assert at.sends.pieces == [LIMIT // 2, LIMIT // 2]


async def test_bytes_beside_the_body_count_too() -> None:
    """Those of other fields, and of fields that the server does not know."""
    unknown = b"\x92\x7d" + b"\xe0\xd4\x03" + b"x" * 60_000  # field 2002, of 60,000 bytes (protobuf.dev, "Encoding")
    for message in (SendRequest(body=HttpBody(content_type="x" * 60_000)).SerializeToString(), unknown):

        async def two(message: bytes = message) -> AsyncIterator[bytes]:
            yield message
            yield message

        async with served() as at:
            assert (await refusal(at.send(two(), metadata=WELCOME))).reason == "REQUEST_TOO_LARGE"
            assert len(at.sends.pieces) == 1


async def test_the_number_of_pieces_is_bounded() -> None:
    async with served() as at:
        assert (await refusal(at.send(pieces(*[1] * 51), metadata=WELCOME))).reason == "STREAM_TOO_LONG"
        assert len(at.sends.pieces) == 50


async def test_a_malformed_piece_is_refused_as_a_malformed_request() -> None:
    async def malformed() -> AsyncIterator[bytes]:
        yield b"\xff\xff"

    async with served() as at:
        assert (await refusal(at.send(malformed(), metadata=WELCOME))).reason == "INVALID_FIELD"


async def test_a_client_that_stops_sending_loses_its_place() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield piece(1)
        await asyncio.Event().wait()

    async with served() as at:
        assert (await refusal(at.send(stalled(), metadata=WELCOME))).reason == "STREAM_IDLE"
        await until(lambda: at.calls.idle)


async def test_a_stream_ends_at_its_deadline_though_its_client_goes_on() -> None:
    """The deadline is the server's: gRPC may end the call at a client's own first, and that error has no details."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield piece(1)
            await asyncio.sleep(0.05)

    async with served(replace(HOLDING, upload_pieces=10**6, upload_idle_s=patient()), service=BRIEF) as at:
        assert (await refusal(at.send(endless(), metadata=WELCOME))).reason == "DEADLINE_EXCEEDED"


async def test_a_client_has_few_streams_at_the_same_time_and_another_client_has_its_own() -> None:
    async with served(replace(HOLDING, upload_idle_s=30)) as at:
        ended = asyncio.Event()

        async def waiting() -> AsyncIterator[bytes]:
            await ended.wait()
            yield piece(1)

        held = [asyncio.ensure_future(at.send(waiting(), metadata=WELCOME)) for _ in range(2)]
        await until(lambda: at.sends.begun == 2)
        assert (await refusal(at.send(pieces(1), metadata=WELCOME))).reason == "TOO_MANY_STREAMS"
        other = (("x-client-address", "192.0.2.2"), ("welcome", "yes"))
        await at.send(pieces(1), metadata=other)
        ended.set()
        await asyncio.gather(*held)
        await at.send(pieces(1), metadata=WELCOME)


async def test_a_stream_counts_as_a_call_of_its_client() -> None:
    async with served(replace(HOLDING, upload_idle_s=30, calls_per_client=1)) as at:
        ended = asyncio.Event()

        async def waiting() -> AsyncIterator[bytes]:
            await ended.wait()
            yield piece(1)

        held = asyncio.ensure_future(at.send(waiting(), metadata=WELCOME))
        await until(lambda: at.sends.begun == 1)
        assert (await refusal(at.send(pieces(1), metadata=WELCOME))).reason == "TOO_MANY_CALLS"
        ended.set()
        await held


@pytest.mark.parametrize(("limit", "server_streaming", "words"), [(0, False, "max_request_bytes"), (LIMIT, True, "streams its answer")])
def test_a_server_does_not_start_with_a_stream_that_it_cannot_bound(limit: int, server_streaming: bool, words: str) -> None:  # noqa: FBT001
    service = described(limit=limit, server_streaming=server_streaming, package=f"unbounded_{limit}")
    layers = Layers((), lambda _rpc: lambda _received, _began, _transport: None)
    with pytest.raises(ValueError, match=words):
        service_handler(service, Sends(), layers, Limits(), PasswordHasher(Hashing(), Limits()), ClientStreams(HOLDING))
