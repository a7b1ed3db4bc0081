"""The standard services of a worker: health, and reflection of every symbol."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse

from mercato.rpcs import files
from mercato_server.composition import SERVICES
from mercato_server.rpc.reflection import REFLECTION
from support.patience import until
from support.shop import Shop, refusal

SERVING = health_pb2.HealthCheckResponse.SERVING


async def test_all_states_are_listed_and_each_can_be_asked_for(shop: Shop) -> None:
    health = health_pb2_grpc.HealthStub(shop.channel)

    async def listed() -> dict[str, int]:
        answer = await health.List(health_pb2.HealthListRequest())
        return {name: each.status for name, each in answer.statuses.items()}

    async def all_serve() -> bool:
        return set((await listed()).values()) == {SERVING}

    await until(all_serve, "the worker has heard of the database")
    names = set(await listed())
    assert names == {"", "database", "liveness", *(service.full_name for service in SERVICES)}
    for name in names:
        assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING


@pytest.mark.parametrize("name", ["mercato.v1.NoService", "Database", " ", "x" * 60_000, "é"])
async def test_an_unknown_name_is_not_found_with_a_reason(shop: Shop, name: str) -> None:
    error = await refusal(health_pb2_grpc.HealthStub(shop.channel).Check(health_pb2.HealthCheckRequest(service=name)))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "SERVICE_UNKNOWN")
    assert name.startswith(error.detail(ResourceInfo).resource_name)


def symbols(file: FileDescriptor) -> Iterator[str]:
    """Yield the name of everything that a file defines; values of enums by both names that tools give them."""

    def of_enum(enum: EnumDescriptor) -> Iterator[str]:
        yield enum.full_name
        for value in enum.values:
            yield f"{enum.full_name}.{value.name}"
            yield f"{enum.full_name.rpartition('.')[0]}.{value.name}"

    def of_message(message: Descriptor) -> Iterator[str]:
        yield message.full_name
        yield from (field.full_name for field in message.fields)
        yield from (oneof.full_name for oneof in message.oneofs)
        for nested in message.nested_types:
            yield from of_message(nested)
        for enum in message.enum_types:
            yield from of_enum(enum)

    for message in file.message_types_by_name.values():
        yield from of_message(message)
    for enum in file.enum_types_by_name.values():
        yield from of_enum(enum)
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    yield from (extension.full_name for extension in file.extensions_by_name.values())


async def ask(shop: Shop, requests: list[ServerReflectionRequest], name: str = REFLECTION[0]) -> list[ServerReflectionResponse]:
    call: Any = shop.channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    return [answer async for answer in call(iter(requests))]


def described(answer: ServerReflectionResponse) -> list[str]:
    """Return the names of the files of an answer."""
    assert not answer.HasField("error_response"), answer
    return [FileDescriptorProto.FromString(each).name for each in answer.file_descriptor_response.file_descriptor_proto]


async def test_reflection_knows_every_symbol_and_the_file_that_defines_it(shop: Shop) -> None:
    home = {symbol: file.name for file in (*files(), health_pb2.DESCRIPTOR) for symbol in symbols(file)}
    assert {"mercato.v1.OrderService.Checkout", "mercato.v1.ORDER_STATUS_PAID", "mercato.v1.OrderStatus.ORDER_STATUS_PAID"} <= set(home)
    assert {"mercato.v1.StockShortage.Line.wanted", "mercato.v1.policy", "grpc.health.v1.Health.List"} <= set(home)
    requests = [ServerReflectionRequest(file_containing_symbol=symbol) for symbol in home]
    parts = [requests[start : start + 500] for start in range(0, len(requests), 500)]  # a stream takes as many
    answers = [answer for part in parts for answer in await ask(shop, part)]
    assert {answer.original_request.file_containing_symbol: described(answer)[0] for answer in answers} == home


@pytest.mark.parametrize("protocol", REFLECTION)
async def test_every_service_that_is_listed_is_described(shop: Shop, protocol: str) -> None:
    [listed] = await ask(shop, [ServerReflectionRequest(list_services="")], protocol)
    names = [service.name for service in listed.list_services_response.service]
    assert set(REFLECTION) < set(names)
    for answer in await ask(shop, [ServerReflectionRequest(file_containing_symbol=name) for name in names], protocol):
        assert described(answer)


async def test_reflection_knows_extensions_by_number(shop: Shop) -> None:
    options = "google.protobuf.MethodOptions"
    of_policy = ExtensionRequest(containing_type=options, extension_number=50001)
    numbers, file = await ask(
        shop, [ServerReflectionRequest(all_extension_numbers_of_type=options), ServerReflectionRequest(file_containing_extension=of_policy)]
    )
    assert 50001 in numbers.all_extension_numbers_response.extension_number
    assert described(file)[0] == "mercato/v1/policy.proto"


@pytest.mark.parametrize(
    "symbol",
    [
        *("", ".", "x", "mercato.v1", "mercato.v1.OrderService.Steal", "mercato.v1.OrderStatus.STOLEN"),
        *("mercato.v1.OrderService.", "mercato.v1.ORDER_STATUS_PAID.x", "mercato.v1.OrderService.Checkout.Checkout"),
    ],
)
async def test_reflection_does_not_know_what_is_not_there(shop: Shop, symbol: str) -> None:
    [answer] = await ask(shop, [ServerReflectionRequest(file_containing_symbol=symbol)])
    assert answer.error_response.error_code == StatusCode.NOT_FOUND.value[0]
