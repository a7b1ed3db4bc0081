"""Readiness over HTTP: the call of gRPC's health protocol that lists the state of every service, with a REST binding."""

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from mercato.rpcs import Binding, Rpc
from mercato.v1.policy_pb2 import ACCESS_ANYONE, Policy

_LIST = health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name["List"]

READINESS = Rpc(
    service=_LIST.containing_service.full_name,
    name=_LIST.name,
    request_type=GetMessageClass(_LIST.input_type),
    response_type=GetMessageClass(_LIST.output_type),
    policy=Policy(access=ACCESS_ANYONE),
    bindings=(Binding("GET", "/readyz", ""),),
    streams=False,
    reads=True,
    takes_etag=False,
)


def bind(descriptors: FileDescriptorSet) -> None:
    """Write the binding into the descriptor of the health protocol, which has none."""
    [file] = (file for file in descriptors.file if file.name == health_pb2.DESCRIPTOR.name)
    [method] = (method for service in file.service for method in service.method if method.name == READINESS.name)
    [binding] = READINESS.bindings
    method.options.Extensions[annotations_pb2.http].get = binding.path
