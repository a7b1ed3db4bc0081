"""Descriptions of the RPCs of mercato.v1, from their protos. Client, server and edge share this module."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Self

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import mercato.v1
from mercato.v1 import policy_pb2

SCOPE = re.compile(r"[a-z]+(_[a-z]+)*\.(read|write)")
CHANGES = frozenset({"DELETE", "PATCH", "PUT"})
"""Verbs of changes of a resource that exists."""


class Binding(NamedTuple):
    """A REST binding of an RPC (google.api.http)."""

    verb: str
    """In upper case."""
    path: str
    """Template, such as `/orders/{order_id}`."""
    body: str
    """Field of the request that the body holds; `*` for all fields that are not in the path, empty without a body."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """An RPC with its policy and its REST bindings."""

    service: str
    """Full name, such as `mercato.v1.OrderService`."""
    name: str
    request_type: type[Message]
    response_type: type[Message]
    policy: policy_pb2.Policy
    bindings: tuple[Binding, ...]
    streams: bool
    """Whether its request comes as a stream: a body in pieces."""
    reads: bool
    """Whether it changes nothing, so that a lost one may be sent again: `idempotency_level = NO_SIDE_EFFECTS`."""
    takes_etag: bool
    """Whether it can be conditional on an etag: it puts, patches or deletes a resource that has one."""

    @classmethod
    def of(cls, method: MethodDescriptor) -> Self:
        """Read an RPC from its descriptor.

        Raises ValueError if it does not state who may call it, or if its scope, its verbs or the caches that may keep its answer contradict
        what it states of its callers and effects.
        """
        options = method.GetOptions()
        policy = options.Extensions[policy_pb2.policy]
        if policy.access == policy_pb2.ACCESS_UNSPECIFIED:
            raise ValueError(f"{method.full_name} has no policy with an access")
        http: Any = annotations_pb2.http
        rule: Any = options.Extensions[http]
        rules: list[Any] = [each for each in (rule, *rule.additional_bindings) if each.WhichOneof("pattern")]
        bindings = tuple(Binding(verb.upper(), getattr(each, verb), each.body) for each in rules for verb in (each.WhichOneof("pattern"),))
        reads = options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        if any((binding.verb == "GET") != reads for binding in bindings):
            raise ValueError(f"{method.full_name} must be bound to GET if its idempotency_level is NO_SIDE_EFFECTS, and only then")
        if not SCOPE.fullmatch(policy.scope) or policy.scope.endswith(".read") != reads:
            raise ValueError(f"{method.full_name} must have a scope such as orders.read if it reads, else orders.write")
        if policy.shared_max_age_s and not (reads and policy.access == policy_pb2.ACCESS_ANYONE):
            raise ValueError(f"{method.full_name} must be a read for anyone if caches that clients share may keep its answer")
        if policy.signed_notice and (reads or policy.access != policy_pb2.ACCESS_ANYONE or not policy.max_request_bytes):
            raise ValueError(f"{method.full_name} must be a write for anyone with max_request_bytes if it takes signed notices")
        if method.server_streaming:
            raise ValueError(f"{method.full_name} streams its answer, which neither the layers nor REST can bound")
        return cls(
            service=method.containing_service.full_name,
            name=method.name,
            request_type=GetMessageClass(method.input_type),
            response_type=GetMessageClass(method.output_type),
            policy=policy,
            bindings=bindings,
            streams=method.client_streaming,
            reads=reads,
            takes_etag=any(binding.verb in CHANGES for binding in bindings) and _has_etag(method.input_type),
        )

    @property
    def path(self) -> str:
        """The path of the call in gRPC, such as `/mercato.v1.CartService/GetCart`."""
        return f"/{self.service}/{self.name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that lead to it, over gRPC and as templates over REST."""
        return self.path, *(binding.path for binding in self.bindings)

    @property
    def takes_credentials(self) -> bool:
        """Whether it takes credentials (a password, a refresh token): it hashes a password, or anyone may call it and it is no read.

        A signed notice has a signature instead.
        """
        is_open = self.policy.access == policy_pb2.ACCESS_ANYONE and not self.reads
        return self.policy.hashes_password or (is_open and not self.policy.signed_notice)

    @property
    def has_tight_limit(self) -> bool:
        """Whether the edge limits its calls per client address more than most: it takes credentials, or reads much."""
        return self.takes_credentials or self.policy.costly

    @property
    def is_public(self) -> bool:
        """Whether its answer is the same for every caller: what anyone may read."""
        return self.policy.access == policy_pb2.ACCESS_ANYONE and self.reads


def _has_etag(request: Descriptor) -> bool:
    """Return whether a request or one of its messages has an etag."""
    messages = [request, *(field.message_type for field in request.fields if field.message_type)]
    return any("etag" in message.fields_by_name for message in messages)


@cache
def rpcs() -> tuple[Rpc, ...]:
    """Return every RPC of mercato.v1, by path."""
    found = (Rpc.of(method) for service in services() for method in service.methods)
    return tuple(sorted(found, key=lambda rpc: rpc.path))


def services() -> list[ServiceDescriptor]:
    """Return every service of mercato.v1, by name."""
    found = (service for file in files() for service in file.services_by_name.values())
    return sorted(found, key=lambda service: str(service.full_name))


def files() -> Iterator[FileDescriptor]:
    """Yield the proto files of mercato.v1, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(mercato.v1.__path__) if module.name.endswith("_pb2"))
    for name in names:
        yield import_module(f"mercato.v1.{name}").DESCRIPTOR
