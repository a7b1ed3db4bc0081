"""Guests of three workers: storms of logins that merge one cart, and the sweep of idle guests beside their checkouts."""

import asyncio
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import jwt
import pytest

from faults.buyers import AGAIN, Buyer, describe, dice, market, stock_up
from faults.conftest import Conclude, Scale
from faults.processes import Worker, open_channel, running
from mercato.v1 import auth_pb2, auth_pb2_grpc, cart_pb2, cart_pb2_grpc
from mercato_server.database.pool import small_pool
from mercato_server.store import guests
from support.patience import patient
from support.shop import CALL_S, PASSWORD, hash_of

SET_PASSWORDS = "UPDATE accounts SET password_hash = $1"
AGE_GUESTS = """
WITH aged AS (UPDATE accounts SET guest_check_at = now() - interval '1 second' WHERE role = 'guest')
UPDATE sessions SET refreshed_at = now() - interval '31 days' WHERE is_guest
"""
UNITS = "SELECT coalesce(sum(quantity), 0)::integer FROM cart_items WHERE account_id = $1"
GUEST_LINES = "SELECT count(*) FROM cart_items JOIN accounts ON id = account_id AND role = 'guest'"
IDLE_S = 30 * 24 * 60 * 60.0
GONE = "UNAUTHENTICATED TOKEN_INVALID"
LOGINS = 6
"""Logins with one guest at the same time."""


@pytest.fixture
def workers(directory: Path, database: str) -> list[Worker]:
    return [Worker(directory, database, name=name, MERCATO_GUESTS_PER_HOUR="1000000") for name in ("one", "two", "three")]


class Clients:
    """Clients of all workers, which send a call again where a retry can help."""

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self.auth = [auth_pb2_grpc.AuthServiceStub(channel) for channel in channels]
        self.carts = [cart_pb2_grpc.CartServiceStub(channel) for channel in channels]
        self.codes: Counter[str] = Counter()

    async def insist(self, stubs: list[Any], method: str, request: Any, token: str = "", key: str = "") -> Any:
        """Call until an answer; raises AioRpcError for an error that is not retried, or when patience ends."""
        metadata = [("authorization", f"Bearer {token}")] * bool(token) + [("idempotency-key", key)] * bool(key)
        async with asyncio.timeout(5 * patient()):
            while True:
                try:
                    return await getattr(dice.choice(stubs), method)(request, metadata=metadata, timeout=CALL_S)
                except grpc.aio.AioRpcError as error:
                    self.codes[describe(error)] += 1
                    if error.code() not in AGAIN:
                        raise
                await asyncio.sleep(dice.uniform(0.02, 0.1))

    async def guest(self) -> auth_pb2.LoginResponse:
        """Make a guest."""
        made: auth_pb2.LoginResponse = await self.insist(self.auth, "CreateGuest", auth_pb2.CreateGuestRequest())
        return made

    async def choose(self, guest: auth_pb2.LoginResponse) -> Buyer:
        """Give a guest's cart a contact address; return the guest as a buyer."""
        header = cart_pb2.UpdateCartHeaderRequest(contact_email="guest@example.com")
        await self.insist(self.carts, "UpdateCartHeader", header, guest.access_token)
        claims = jwt.decode(guest.access_token, options={"verify_signature": False})
        return Buyer(uuid.UUID(claims["sub"]), guest.access_token)

    async def add(self, token: str, product_id: uuid.UUID, quantity: int) -> int:
        """Add units once; return how many were added: none if the session has ended."""
        request = cart_pb2.AddCartItemRequest(product_id=str(product_id), quantity=quantity)
        try:
            await self.insist(self.carts, "AddCartItem", request, token, uuid.uuid4().hex)
        except grpc.aio.AioRpcError as error:
            if describe(error) != GONE:
                raise
            return 0
        return quantity

    async def log_in(self, email: str, guest: auth_pb2.LoginResponse) -> bool:
        """Log in with a guest; return whether the carts were merged."""
        request = auth_pb2.LoginRequest(email=email, password=PASSWORD, guest_token=guest.refresh_token)
        login = await self.insist(self.auth, "Login", request)
        assert not any(line.left_out for line in login.guest_merge.lines)
        return bool(login.guest_merge.merged)


@pytest.mark.parametrize("ordered", [False, True], ids=["without orders", "with an order"])
async def test_storms_of_logins_with_one_guest_conserve_the_units_of_all_carts(
    database: str, workers: list[Worker], scale: Scale, conclude: Conclude, *, ordered: bool
) -> None:
    goods, storms = await stock_up(database, buyers=3, products=8), scale(12, 300)
    await execute(database, SET_PASSWORDS, hash_of(PASSWORD))
    units, merges = 0, []
    channels = [open_channel(worker.address) for worker in workers]
    async with running(*workers), market(goods, *(worker.address for worker in workers)) as shop:
        clients = Clients(channels)
        for _ in range(storms):
            guest = await clients.guest()
            if ordered:  # such a guest is not deleted when it is merged
                buyer = await clients.choose(guest)
                await clients.add(buyer.token, dice.choice(goods.product_ids), 1)
                await shop.resolve(purchase := shop.tally.begin(buyer))
                await shop.cancel(purchase)
            for product_id in dice.sample(goods.product_ids, 3):
                units += await clients.add(guest.access_token, product_id, dice.randint(1, 2))
            owner = dice.randrange(3)
            adds = [
                clients.add(token, dice.choice(goods.product_ids), 1)
                for token in (guest.access_token, goods.buyers[owner].token, guest.access_token)
            ]
            logins = [clients.log_in(f"buyer-{dice.choice((owner, dice.randrange(3))) + 1}@example.com", guest) for _ in range(LOGINS)]
            merged, added = await asyncio.gather(asyncio.gather(*logins), asyncio.gather(*adds))
            merges.append(merged.count(True))
            units += sum(added)
        await asyncio.gather(*(channel.close() for channel in channels))
    for worker in workers:
        worker.require_no_bugs_logged()
    assert merges == [1] * storms
    assert sum([await fetchval(database, UNITS, buyer.id) for buyer in goods.buyers]) == units
    assert await fetchval(database, "SELECT count(*) FROM accounts WHERE role = 'guest'") == ordered * storms
    assert await fetchval(database, GUEST_LINES) == 0
    await conclude(
        "login storms of guests",
        goods,
        shop.tally,
        storms=storms,
        ordered=ordered,
        logins=storms * LOGINS,
        failed_calls=dict(clients.codes),
    )


async def test_the_sweep_of_guests_beside_their_checkouts_loses_no_order(
    database: str, workers: list[Worker], scale: Scale, conclude: Conclude
) -> None:
    goods, rounds, crowd = await stock_up(database, buyers=1, products=8), scale(4, 60), 16
    channels = [open_channel(worker.address) for worker in workers]
    async with running(*workers), small_pool(database) as pool, market(goods, *(worker.address for worker in workers)) as shop:
        clients = Clients(channels)

        async def ready() -> Buyer:
            """Make a guest with a cart, a contact address and an old session."""
            login = await clients.guest()
            guest = await clients.choose(login)
            await clients.add(guest.token, dice.choice(goods.product_ids), 1)
            return guest

        async def sweep() -> None:
            while await guests.sweep(pool, 3, IDLE_S):
                pass

        for _ in range(rounds):
            made = await asyncio.gather(*(ready() for _ in range(crowd)))
            await pool.execute(AGE_GUESTS)
            await asyncio.gather(*(shop.resolve(shop.tally.begin(guest)) for guest in made), sweep(), sweep())
        await asyncio.gather(*(channel.close() for channel in channels))
    for worker in workers:
        worker.require_no_bugs_logged()
    swept, placed = shop.tally.refused[GONE], len(shop.tally.acknowledged)
    assert shop.tally.codes.pop(GONE, 0) == swept
    assert swept + placed == rounds * crowd
    assert await fetchval(database, "SELECT count(*) FROM accounts WHERE role = 'guest'") == placed
    await conclude("sweep of guests", goods, shop.tally, rounds=rounds, guests=rounds * crowd, swept=swept)


async def execute(database: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def fetchval(database: str, statement: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()
