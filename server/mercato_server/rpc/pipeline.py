"""Registers the methods of a handler with gRPC, each behind the layers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError

from mercato.rpcs import Rpc
from mercato.v1 import policy_pb2
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.rpc.context import Context
from mercato_server.rpc.http_caching import Validators, validators
from mercato_server.rpc.layers import Answer, Layer, Method, Unary

Handler = Callable[[Any, Context], Awaitable[Answer]]
Serve = Callable[[bytes, Any], Awaitable[bytes]]
Cached = Callable[[bytes], bytes | None]


def service_handler(service: ServiceDescriptor, handler: object, layers: Sequence[Layer]) -> grpc.GenericRpcHandler:
    """Serve a service with the methods of `handler` named like its RPCs, each behind the layers (outermost first).

    A handler may have a mapping `cached` from names of RPCs to functions. Such a function takes a serialized request, and returns the
    serialized response if it is in memory, else None. Its answers skip all layers, so the RPC must be open to anyone.

    Raises AttributeError if the handler lacks a method. Raises ValueError for a streaming RPC, which the layers cannot serve, and for a
    cached RPC that is not open to anyone.
    """
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
    for rpc in map(Rpc.of, service.methods):
        if rpc.streams:
            raise ValueError(f"{rpc.path} streams; the layers serve unary calls only")
        handle = getattr(handler, rpc.name)
        call = _parse(rpc, handle)
        method = Method(rpc, getattr(handle, "asks_for_session", False))
        for layer in reversed(layers):
            call = layer(method, call)
        cached: Cached | None = getattr(handler, "cached", {}).get(rpc.name)
        if cached and rpc.policy.access != policy_pb2.ACCESS_ANYONE:
            raise ValueError(f"{rpc.path} is not for anyone, so it cannot be answered without looking at the caller")
        headers = validators(rpc)
        serve = _serve(rpc, call, headers)
        methods[rpc.name] = grpc.unary_unary_rpc_method_handler(_serve_cached(cached, headers, serve) if cached else serve)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


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


def _serve(rpc: Rpc, call: Unary, caching: Validators | None) -> Serve:
    """Connect the layers to gRPC, which carries bytes in both directions."""

    async def serve(request: bytes, transport: Any) -> bytes:
        context = Context(rpc, transport)
        answer = await call(request, context)
        serialized = answer if isinstance(answer, bytes) else answer.SerializeToString()
        if caching:
            context.headers += caching(serialized, transport)
        if context.headers:
            await transport.send_initial_metadata(context.headers)
        return serialized

    return serve


def _serve_cached(cached: Cached, caching: Validators | None, serve: Serve) -> Serve:
    """Answer from memory without the layers, and fall back to `serve`."""

    async def serve_cached(request: bytes, transport: Any) -> bytes:
        found = cached(request)
        if found is None:
            return await serve(request, transport)
        if caching and (headers := caching(found, transport)):
            await transport.send_initial_metadata(headers)
        return found

    return serve_cached
