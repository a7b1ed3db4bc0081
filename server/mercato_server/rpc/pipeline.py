"""Registers the methods of a handler with gRPC, each behind the layers."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from mercato.rpcs import Rpc
from mercato.v1 import policy_pb2
from mercato_server.config.settings import Limits
from mercato_server.domain.errors import RequestTooLarge, ResponseTooLarge
from mercato_server.rpc.client_streams import Answered, ClientStreams
from mercato_server.rpc.context import Context
from mercato_server.rpc.headers import ORIGINAL_PATH
from mercato_server.rpc.http_caching import NO_STORE, NOT_MODIFIED, Validators, validators
from mercato_server.rpc.layers import Answer, Call, FromMemory, Layers, Method, Request
from mercato_server.rpc.rest import ENVELOPE_BYTES, Read, canonical, reader
from mercato_server.rpc.traces import begin
from mercato_server.security.hasher import PasswordHasher

Handler = Callable[..., Awaitable[Message | bytes]]
"""A method of a handler; it returns a message, or its serialized bytes."""
Serve = Callable[[Any, Any], Awaitable[bytes]]
"""The function that gRPC calls, with a serialized request or an iterator of them, and its context."""
Cached = Callable[[bytes], bytes | None]
_METHODS = 1_024
"""Methods whose parameters are remembered; a worker starts often in tests."""


def service_handler(
    service: ServiceDescriptor,
    handler: object,
    layers: Layers,
    limits: Limits,
    hasher: PasswordHasher,
    streams: ClientStreams,
) -> grpc.GenericRpcHandler:
    """Serve a service with the methods of `handler` named like its RPCs, each behind the layers (outermost first).

    A handler may have a mapping `cached` from names of RPCs to functions. Such a function takes a serialized request, and returns the
    serialized response if it is in memory, else None. Its answers skip all layers, so the RPC must be open to anyone. They are counted.

    Raises AttributeError if the handler lacks a method. Raises ValueError for an RPC whose stream the layers cannot bound, and for a
    cached RPC that is not open to anyone, or for a method that takes `passwords` though the policy of its RPC does not say that it hashes
    passwords, or the reverse.
    """
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
    for rpc in map(Rpc.of, service.methods):
        handle = getattr(handler, rpc.name)
        read = reader(rpc)
        answer = _serialized(_with_passwords(rpc, handle, hasher), limits)
        call = streams.bounded(rpc, read, answer) if rpc.streams else _parse(rpc, read, answer, limits)
        method = Method(rpc, getattr(handle, "asks_for_session", False))
        for layer in reversed(layers.around):
            call = layer(method, call)
        cached: Cached | None = getattr(handler, "cached", {}).get(rpc.name)
        if cached and rpc.policy.access != policy_pb2.ACCESS_ANYONE:
            raise ValueError(f"{rpc.path} is not for anyone, so it cannot be answered without looking at the caller")
        headers = validators(rpc)
        serve = _serve(rpc, call, headers)
        if rpc.streams:
            methods[rpc.name] = grpc.stream_unary_rpc_method_handler(serve)
        else:
            if cached:
                serve = _serve_cached(read, cached, headers, serve, layers.from_memory(rpc))
            methods[rpc.name] = grpc.unary_unary_rpc_method_handler(serve)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _with_passwords(rpc: Rpc, handle: Handler, hasher: PasswordHasher) -> Handler:
    """Give a method the right to hash passwords if the policy of its RPC says so; no other method can get one."""
    if _takes_passwords(getattr(handle, "__func__", handle)) != rpc.policy.hashes_password:
        raise ValueError(f"{rpc.path} must state `hashes_password` in its policy if its method takes `passwords`, and only then")
    if not rpc.policy.hashes_password:
        return handle

    async def handle_with_passwords(message: Any, context: Context) -> Message | bytes:
        return await handle(message, context, hasher.allowed(context.device.network))

    return handle_with_passwords


@functools.lru_cache(_METHODS)
def _takes_passwords(method: Handler) -> bool:
    return "passwords" in inspect.signature(method).parameters


def _parse(rpc: Rpc, read: Read, answer: Answered, limits: Limits) -> Call:
    """Parse the request inside all layers, so that its faults are answered like any other error."""
    request_max = rpc.policy.max_request_bytes or limits.request_bytes

    async def parsed(request: Request, context: Context) -> Answer:
        message = cast("bytes", request)
        path = context.metadata(ORIGINAL_PATH)
        if len(message) > request_max + (0 if path is None else ENVELOPE_BYTES):  # the edge has checked a body
            raise RequestTooLarge(len(message), request_max)
        return await answer(read(message, path), context)

    return parsed


def _serialized(handle: Handler, limits: Limits) -> Answered:
    """Serialize the answer inside all layers too."""

    async def serialized(request: Any, context: Context) -> Answer:
        begin(context, "handler")
        answer = await handle(request, context)
        written = answer if isinstance(answer, bytes) else answer.SerializeToString()
        if len(written) > limits.response_bytes:
            raise ResponseTooLarge("", len(written), limits.response_bytes)
        return written

    return serialized


def _serve(rpc: Rpc, call: Call, caching: Validators | None) -> Serve:
    """Connect the layers to gRPC, which carries bytes in both directions."""

    async def serve(request: Request, transport: Any) -> bytes:
        context = Context(rpc, transport)
        serialized = await call(request, context)
        if context.private:
            context.headers.append(NO_STORE)
        elif caching:
            made = caching(serialized, context.received)
            context.headers += [each for each in made if each != NOT_MODIFIED] if context.redirected else made
        if context.headers:
            await transport.send_initial_metadata(context.headers)
        return serialized

    return serve


def _serve_cached(read: Read, cached: Cached, caching: Validators | None, serve: Serve, answered: FromMemory) -> Serve:
    """Answer from memory without the layers, and fall back to `serve`."""
    serialize = canonical(read)

    async def serve_cached(request: bytes, transport: Any) -> bytes:
        began = perf_counter()
        received = transport.invocation_metadata() or ()
        path = next((value for name, value in received if name == ORIGINAL_PATH), "")
        message = serialize(request, path) if "?" in path else request
        found = None if message is None else cached(message)
        if found is None:
            return await serve(request, transport)
        if caching and (headers := caching(found, received)):
            await transport.send_initial_metadata(headers)
        answered(received, began, transport)
        return found

    return serve_cached
