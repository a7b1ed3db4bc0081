"""Registers the methods of a handler with gRPC, each behind the layers."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError

from mercato.rpcs import Rpc
from mercato.v1 import policy_pb2
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.rpc.context import Context
from mercato_server.rpc.http_caching import validators
from mercato_server.rpc.layers import Answer, Layer, Method, Unary
from mercato_server.security.hasher import PasswordHasher

Handler = Callable[..., Awaitable[Answer]]
Serve = Callable[[bytes, Any], Awaitable[bytes]]
Cached = Callable[[bytes], bytes | None]


def service_handler(service: ServiceDescriptor, handler: object, layers: Sequence[Layer], hasher: PasswordHasher) -> grpc.GenericRpcHandler:
    """Serve a service with the methods of `handler` named like its RPCs, each behind the layers (outermost first).

    A handler may have a mapping `cached` from names of RPCs to functions. Such a function takes a serialized request, and returns the
    serialized response if it is in memory, else None. Its answers skip all layers, so the RPC must be open to anyone.

    Raises AttributeError if the handler lacks a method. Raises ValueError for a streaming RPC, which the layers cannot serve, and for a
    cached RPC that is not open to anyone, or for a method that takes `passwords` though the policy of its RPC does not say that it hashes
    passwords, or the reverse.
    """
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
    for rpc in map(Rpc.of, service.methods):
        if rpc.streams:
            raise ValueError(f"{rpc.path} streams; the layers serve unary calls only")
        handle = getattr(handler, rpc.name)
        call = _parse(rpc, _with_passwords(rpc, handle, hasher))
        method = Method(rpc, getattr(handle, "asks_for_session", False))
        for layer in reversed(layers):
            call = layer(method, call)
        cached: Cached | None = getattr(handler, "cached", {}).get(rpc.name)
        if cached and rpc.policy.access != policy_pb2.ACCESS_ANYONE:
            raise ValueError(f"{rpc.path} is not for anyone, so it cannot be answered without looking at the caller")
        serve = _serve(rpc, call)
        methods[rpc.name] = grpc.unary_unary_rpc_method_handler(_serve_cached(rpc, cached, serve) if cached else serve)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _with_passwords(rpc: Rpc, handle: Handler, hasher: PasswordHasher) -> Handler:
    """Give a method the right to hash passwords if the policy of its RPC says so; no other method can get one."""
    if ("passwords" in inspect.signature(handle).parameters) != rpc.policy.hashes_password:
        raise ValueError(f"{rpc.path} must state `hashes_password` in its policy if its method takes `passwords`, and only then")
    if not rpc.policy.hashes_password:
        return handle

    async def handle_with_passwords(message: Any, context: Context) -> Answer:
        return await handle(message, context, hasher.allowed(context.device.network))

    return handle_with_passwords


def _parse(rpc: Rpc, handle: Handler) -> Unary:
    """Parse the request inside all layers, so that malformed bytes are answered like any other error."""
    parse = rpc.request_type.FromString

    async def parsed(request: bytes, context: Context) -> Answer:
        try:
            message = parse(request)
        except DecodeError:
            raise InvalidRequest([Violation("", f"the request is not a serialized {rpc.request_type.DESCRIPTOR.full_name}")]) from None
        return await handle(message, context)

    return parsed


def _serve(rpc: Rpc, call: Unary) -> Serve:
    """Connect the layers to gRPC, which carries bytes in both directions."""

    async def serve(request: bytes, transport: Any) -> bytes:
        context = Context(rpc, transport)
        answer = await call(request, context)
        serialized = answer if isinstance(answer, bytes) else answer.SerializeToString()
        if rpc.policy.max_age_s:
            context.headers += validators(rpc, serialized, transport)
        if context.headers:
            await transport.send_initial_metadata(context.headers)
        return serialized

    return serve


def _serve_cached(rpc: Rpc, cached: Cached, serve: Serve) -> Serve:
    """Answer from memory without the layers, and fall back to `serve`."""

    async def serve_cached(request: bytes, transport: Any) -> bytes:
        found = cached(request)
        if found is None:
            return await serve(request, transport)
        if headers := validators(rpc, found, transport):
            await transport.send_initial_metadata(headers)
        return found

    return serve_cached
