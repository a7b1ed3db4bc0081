"""gRPC server reflection. grpcio's servicer finds neither methods nor values by the names of their enums, and has no v1 protocol."""

import contextlib
import functools
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mercato_server.rpc.streams import Streams

REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
POOL = descriptor_pool.Default()


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc] # the package ships no types
    """Describes services, and everything that they refer to."""

    def __init__(self, services: Iterable[str], streams: Streams) -> None:
        super().__init__(services, POOL)
        self._streams = streams
        _describe_v1()

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        owner, _, member = fully_qualified_name.rpartition(".")
        return super()._file_containing_symbol(request, owner if _is_member(owner, member) else fully_qualified_name)

    async def _reflect(self, requests: AsyncIterator[Any], transport: Any) -> AsyncIterator[Any]:
        """Answer within the bounds of streams."""
        async with self._streams.place(transport):
            async for response in self.ServerReflectionInfo(self._streams.paced(requests, transport), transport):
                yield response

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve under both names, since the messages of both protocols are equal."""
        method = grpc.stream_stream_rpc_method_handler(
            self._reflect,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        for name in REFLECTION:
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}),))


def _is_member(owner: str, name: str) -> bool:
    """Return whether a service has a method, or an enum a value, of this name."""
    for find, members in ((POOL.FindServiceByName, "methods_by_name"), (POOL.FindEnumTypeByName, "values_by_name")):
        with contextlib.suppress(KeyError):
            return name in getattr(find(owner), members)
    return False


@functools.cache
def _describe_v1() -> None:
    """Add the v1 protocol to the known descriptors, once in a process: that of v1alpha by another name."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    POOL.Add(text_format.Parse(str(file).replace("v1alpha", "v1"), FileDescriptorProto()))
