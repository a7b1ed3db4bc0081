"""What the edge needs to know of the RPCs, read from the generated messages: routes, policies and descriptors."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Self

from google.api import annotations_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

import mercato.v1
from mercato.v1 import policy_pb2

VARIABLE = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Rpc:
    """An RPC with its REST bindings and what its policy states."""

    service: str
    """Full name, such as `mercato.v1.OrderService`."""
    name: str
    bindings: tuple[tuple[str, str], ...]
    """Verb and path template, such as `("GET", "/orders/{order_id}")`."""
    streams: bool
    access: int
    http_status: int
    timeout_ms: int
    """0 where the policy states none."""
    max_age_s: int
    """How long caches may keep an answer; 0 for not at all."""

    @classmethod
    def of(cls, method: MethodDescriptor) -> Self:
        """Read an RPC from its descriptor."""
        options = method.GetOptions()
        policy = options.Extensions[policy_pb2.policy]
        rule = options.Extensions[annotations_pb2.http]
        rules = [each for each in (rule, *rule.additional_bindings) if each.WhichOneof("pattern")]
        return cls(
            service=method.containing_service.full_name,
            name=method.name,
            bindings=tuple((verb.upper(), getattr(each, verb)) for each in rules for verb in (each.WhichOneof("pattern"),)),
            streams=method.client_streaming or method.server_streaming,
            access=policy.access,
            http_status=policy.http_status,
            timeout_ms=policy.timeout_ms,
            max_age_s=policy.max_age_s,
        )

    @property
    def path(self) -> str:
        """The path of the call in gRPC."""
        return f"/{self.service}/{self.name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that lead to it, over gRPC and as templates over REST."""
        return self.path, *(path for _, path in self.bindings)

    @property
    def counted_as(self) -> str:
        """The name that limits on its rate go by: an RPC and its variant for HTML forms count together."""
        return self.name.removesuffix("Form")

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that a lost one may be sent again: every binding is a GET."""
        return bool(self.bindings) and all(verb == "GET" for verb, _ in self.bindings)

    @property
    def takes_credentials(self) -> bool:
        """Whether it takes credentials (a password, a refresh token) from whoever asks: what anyone may call and is no read."""
        return self.access == policy_pb2.ACCESS_ANYONE and not self.reads

    @property
    def is_public(self) -> bool:
        """Whether its answer is the same for everybody: what anyone may read."""
        return self.access == policy_pb2.ACCESS_ANYONE and self.reads


def rpcs() -> list[Rpc]:
    """Return every RPC of mercato.v1, by path."""
    services = (service for file in _files() for service in file.services_by_name.values())
    return sorted((Rpc.of(method) for service in services for method in service.methods), key=lambda rpc: rpc.path)


def transcoded_services() -> list[str]:
    """Return the full names of the services that have REST bindings."""
    return sorted({rpc.service for rpc in rpcs() if rpc.bindings})


def descriptor_set() -> FileDescriptorSet:
    """Return the descriptors of mercato.v1 with all that they import and the details of errors, each after its imports.

    Without google/rpc/error_details.proto the transcoder answers a rich error with an empty body.
    """
    ordered: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        ordered.setdefault(file.name, file)

    for file in (*_files(), error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        add(file)
    result = FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(result.file.add())
    return result


def template_regex(template: str) -> str:
    """Return the regex of the paths of a template, with or without a trailing slash and a query."""
    literals = (re.escape(part) for part in VARIABLE.split(template))
    return "[^/:?]+".join(literals) + r"/?(\?.*)?"


def _files() -> Iterator[FileDescriptor]:
    names = sorted(module.name for module in pkgutil.iter_modules(mercato.v1.__path__) if module.name.endswith("_pb2"))
    for name in names:
        yield import_module(f"mercato.v1.{name}").DESCRIPTOR
