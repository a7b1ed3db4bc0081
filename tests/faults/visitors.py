"""Visitors of a deployed shop beside the gRPC buyers: buyers over REST on kept connections, and people who log in and refresh sessions.

They retry nothing but a checkout, which has a key. Each failed call is counted.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import httpx
from google.protobuf.json_format import ParseDict

from faults.buyers import RETRY_S, THINK_S, Buyer, Goods, Purchase, Tally, dice
from faults.processes import open_channel
from mercato.v1 import auth_pb2, auth_pb2_grpc, order_pb2
from support.patience import until

SERVED_AGAIN = {409, 429, 503, 504}
PASSWORD = "a longer word 1"
_numbers = itertools.count()


class RestError(Exception):
    """A call over REST failed: its status, or None if there was no answer."""

    def __init__(self, described: str, status: int | None) -> None:
        super().__init__(described)
        self.status = status


@dataclass
class Visitors:
    """Callers of one address, and what they have seen."""

    address: str
    goods: Goods
    tally: Tally
    timeout_s: float
    bought: int = 0
    """Orders over REST."""
    refreshed: dict[str, int] = field(default_factory=lambda: {"REST": 0, "gRPC": 0})
    """Sessions that were continued, by protocol."""
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def go_on(self) -> None:
        """Return once each kind of visitor has succeeded again."""
        bought, refreshed = self.bought, dict(self.refreshed)
        await until(lambda: self.bought > bought, "an order is placed over REST")
        for protocol, before in refreshed.items():
            await until(lambda: self.refreshed[protocol] > before, f"a session is continued over {protocol}")  # noqa: B023 - awaited here

    @asynccontextmanager
    async def around(self) -> AsyncIterator["Visitors"]:
        """Let them call during the block; after it all their calls have ended."""
        async with (
            httpx.AsyncClient(base_url=f"http://{self.address}", timeout=self.timeout_s, trust_env=False) as client,
            open_channel(self.address) as channel,
            asyncio.TaskGroup() as group,
        ):
            sessions = auth_pb2_grpc.AuthServiceStub(channel)
            for buyer in self.goods.buyers:
                group.create_task(self._repeat(partial(self._buy, client, buyer)))
            group.create_task(self._visit_over_rest(client))
            group.create_task(self._visit_over_grpc(sessions))
            try:
                yield self
            finally:
                self._closing.set()

    async def _repeat(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._closing.is_set():
            await act()
            await asyncio.sleep(dice.uniform(*THINK_S))

    async def _buy(self, client: httpx.AsyncClient, buyer: Buyer) -> None:
        """Read, fill the cart and buy it over REST."""
        product_id = dice.choice(self.goods.product_ids)
        await self._rest(client, "GET", f"/products/{product_id}")
        await self._rest(client, "PATCH", f"/cart/items/{product_id}", buyer.token, {"quantity": 1})
        purchase = self.tally.begin(buyer)
        while purchase.reply is None:
            try:
                await self._checkout(client, purchase)
            except RestError as error:
                if error.status is not None and error.status not in SERVED_AGAIN:
                    raise
                await asyncio.sleep(dice.uniform(*RETRY_S))
        self.bought += 1

    async def _checkout(self, client: httpx.AsyncClient, purchase: Purchase) -> None:
        purchase.sent += 1
        order = await self._rest(client, "POST", "/orders/checkout", purchase.buyer.token, {}, purchase.key)
        purchase.reply = ParseDict(order, order_pb2.Order(), ignore_unknown_fields=True).SerializeToString()

    async def _visit_over_rest(self, client: httpx.AsyncClient) -> None:
        email = f"rest-{next(_numbers)}@example.com"
        await self._rest(client, "POST", "/signup", body={"email": email, "password": PASSWORD, "full_name": "Jo Doe"})

        async def visit() -> None:
            tokens = await self._rest(client, "POST", "/v1/auth:login", body={"email": email, "password": PASSWORD})
            for _ in range(3):
                tokens = await self._rest(client, "POST", "/v1/auth:refresh", body={"refresh_token": tokens["refresh_token"]})
                await self._rest(client, "GET", "/me", tokens["access_token"])
                self.refreshed["REST"] += 1
                await asyncio.sleep(dice.uniform(*THINK_S))

        await self._repeat(visit)

    async def _visit_over_grpc(self, sessions: Any) -> None:
        email = f"grpc-{next(_numbers)}@example.com"
        await self._grpc(
            sessions.SignUp(auth_pb2.SignUpRequest(email=email, password=PASSWORD, full_name="Jo Doe"), timeout=self.timeout_s)
        )

        async def visit() -> None:
            request = auth_pb2.LoginRequest(email=email, password=PASSWORD)
            tokens = await self._grpc(sessions.Login(request, timeout=self.timeout_s))
            for _ in range(3):
                refresh = auth_pb2.RefreshRequest(refresh_token=tokens.refresh_token)
                tokens = await self._grpc(sessions.Refresh(refresh, timeout=self.timeout_s))
                self.refreshed["gRPC"] += 1
                await asyncio.sleep(dice.uniform(*THINK_S))

        await self._repeat(visit)

    async def _rest(
        self, client: httpx.AsyncClient, method: str, path: str, token: str = "", body: object = None, key: str | None = None
    ) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"idempotency-key": key} if key else {}
        try:
            reply = await client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            described, status = f"REST {method} {type(error).__name__}", None
        else:
            if reply.is_success:
                return reply.json()
            described, status = f"REST {method} {path.partition('?')[0]} {reply.status_code} {reply.text[:200]}", reply.status_code
        self.tally.codes[described] += 1
        raise RestError(described, status)

    async def _grpc(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            self.tally.count(error)
            raise


def split(goods: Goods, visitors: int) -> tuple[Goods, Goods]:
    """Return the goods with some of the buyers, for REST, and with the others."""
    first, others = goods.buyers[:visitors], goods.buyers[visitors:]
    return Goods(goods.database_url, first, goods.product_ids), Goods(goods.database_url, others, goods.product_ids)
