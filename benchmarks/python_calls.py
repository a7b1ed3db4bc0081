"""Make calls one after the other, as a Python program does, and print the processor time that they took in this process.

Arguments: the way (one of WAYS), the call, the target, an access token, a product, and the number of calls. It prints a line of JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from mercato import AsyncClient, Client
from mercato.v1 import cart_pb2, cart_pb2_grpc

GET, ADD = "GetCart", "AddCartItem"
STUB, CLIENT, STUB_ASYNC, CLIENT_ASYNC = "stub of grpc", "Client", "stub of grpc.aio", "AsyncClient"
WARM_UP = 100
DEADLINE_S = 5.0


def main(way: str, call: str, target: str, token: str, product_id: str, count: int) -> None:
    """Make the calls; the cart must have all units then, so that no call was lost or made twice."""
    cart, found = WAYS[way](call, target, token, product_id, count)
    [line] = [line for line in cart.lines if line.product_id == product_id]
    if line.quantity != 1 + (count if call == ADD else 0):
        raise RuntimeError(f"the cart has {line.quantity} units after {count} calls of {call}")
    print(json.dumps(found))


def _stub(call: str, target: str, token: str, product_id: str, count: int) -> tuple[Any, dict[str, float]]:
    with grpc.insecure_channel(target) as channel:
        get, add = _requests(cart_pb2_grpc.CartServiceStub(channel), token, product_id)
        return _timed(get, get if call == GET else add, count)


def _client(call: str, target: str, token: str, product_id: str, count: int) -> tuple[Any, dict[str, float]]:
    with Client(target, token=token, timeout=DEADLINE_S) as shop:
        return _timed(
            shop.cart.get_cart, shop.cart.get_cart if call == GET else lambda: shop.cart.add_cart_item(product_id=product_id), count
        )


def _stub_async(call: str, target: str, token: str, product_id: str, count: int) -> tuple[Any, dict[str, float]]:
    async def make() -> tuple[Any, dict[str, float]]:
        async with grpc.aio.insecure_channel(target) as channel:
            get, add = _requests(cart_pb2_grpc.CartServiceStub(channel), token, product_id)
            return await _timed_async(get, get if call == GET else add, count)

    return asyncio.run(make())


def _client_async(call: str, target: str, token: str, product_id: str, count: int) -> tuple[Any, dict[str, float]]:
    async def make() -> tuple[Any, dict[str, float]]:
        async with AsyncClient(target, token=token, timeout=DEADLINE_S) as shop:
            get, add = shop.cart.get_cart, lambda: shop.cart.add_cart_item(product_id=product_id)
            return await _timed_async(get, get if call == GET else add, count)

    return asyncio.run(make())


WAYS = {STUB: _stub, CLIENT: _client, STUB_ASYNC: _stub_async, CLIENT_ASYNC: _client_async}


def _requests(stub: Any, token: str, product_id: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the calls as a program without our client makes them: with a token and a deadline."""
    metadata = (("authorization", f"Bearer {token}"),)
    return (
        lambda: stub.GetCart(cart_pb2.GetCartRequest(), metadata=metadata, timeout=DEADLINE_S),
        lambda: stub.AddCartItem(cart_pb2.AddCartItemRequest(product_id=product_id), metadata=metadata, timeout=DEADLINE_S),
    )


def _timed(warm: Callable[[], Any], call: Callable[[], Any], count: int) -> tuple[Any, dict[str, float]]:
    for _ in range(WARM_UP):
        warm()
    clock = _Clock()
    for _ in range(count):
        call()
    found = clock.per_call(count)
    return warm(), found


async def _timed_async(warm: Callable[[], Awaitable[Any]], call: Callable[[], Awaitable[Any]], count: int) -> tuple[Any, dict[str, float]]:
    for _ in range(WARM_UP):
        await warm()
    clock = _Clock()
    for _ in range(count):
        await call()
    found = clock.per_call(count)
    return await warm(), found


class _Clock:
    """The time since it was made: of the processor, over all threads of this process, and of the wall."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    def per_call(self, count: int) -> dict[str, float]:
        """Return the microseconds of a call."""
        cpu_s, wall_s = time.process_time() - self._cpu_s, time.perf_counter() - self._wall_s
        return {"cpu_us": cpu_s / count * 1e6, "wall_us": wall_s / count * 1e6}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5], int(sys.argv[6]))
