"""Erasures beside all calls that write something of a person: nothing comes back once the erasure is acknowledged."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from faults.buyers import dice, stock_up
from faults.conftest import Scale
from faults.processes import Worker, open_channel, running
from mercato import call_error
from mercato.v1 import auth_pb2, auth_pb2_grpc, cart_pb2, cart_pb2_grpc, order_pb2, order_pb2_grpc, user_pb2, user_pb2_grpc
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server.database.pool import Pool, small_pool
from mercato_server.store.verify import verify
from support.one_time_tokens import issue
from support.patience import patient
from support.shop import CALL_S, PASSWORD, Person, hash_of

NEW_PASSWORD, NEWCOMERS_PASSWORD = "reset-secret-9", "newcomer-secret-9"
INSERT = "INSERT INTO accounts (email, full_name, role, password_hash) VALUES ($1, $2, 'user', $3) RETURNING id::text"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
IS_ERASED = "SELECT erased_at IS NOT NULL FROM accounts WHERE id = $1"
REFUSED = {
    "TOKEN_INVALID", "INVALID_CREDENTIALS", "REFRESH_TOKEN_INVALID", "EMAIL_TAKEN", "ORDERS_UNFINISHED", "PASSWORD_WRONG", "CONFLICT",
    "ONE_TIME_TOKEN_INVALID", "CART_EMPTY", "TOTAL_CHANGED", "TOO_MANY_ATTEMPTS", "TOO_MANY_MAILS", "OVERLOADED", "ETAG_MISMATCH",
    "CONTACT_REQUIRED",
}  # fmt: skip
"""Refusals of calls that race with an erasure. Any other one fails the test."""


@dataclass
class Racer:
    """A person whose account is erased while devices of this person make calls."""

    channels: list[grpc.aio.Channel]
    pool: "Pool"
    person: Person
    secret: str
    """A text in every name and address that the person leaves."""
    product_ids: list[str]
    guest: auth_pb2.LoginResponse
    refused: Counter[str] = field(default_factory=Counter)

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        """Return a stub of any worker."""
        return kind(dice.choice(self.channels))

    async def call(self, rpc: Any, request: Any, token: str = "", key: str = "") -> Any:
        """Make a call; return None if it is refused as a call beside an erasure may be."""
        metadata = [("authorization", f"Bearer {token}")] * bool(token) + [("idempotency-key", key)] * bool(key)
        try:
            return await rpc(request, metadata=metadata, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            reason = call_error(error).reason
            self.refused[reason] += 1
            if reason not in REFUSED:
                raise
            return None

    async def log_in(self, password: str = PASSWORD, guest_token: str = "") -> str:
        """Log in; return the access token, empty if the login was refused."""
        request = auth_pb2.LoginRequest(email=self.person.email, password=password, guest_token=guest_token)
        login = await self.call(self.stub(auth_pb2_grpc.AuthServiceStub).Login, request)
        return login.access_token if login else ""

    def races(self, tokens: list[str], refresh_token: str, reset_token: str) -> list[Coroutine[Any, Any, Any]]:
        """Return the calls that write something of the person."""
        home = PostalAddress(country_code="GH", recipient=self.secret, street_lines=[f"1 {self.secret} Street"], city="Accra")
        auth, carts = self.stub(auth_pb2_grpc.AuthServiceStub), self.stub(cart_pb2_grpc.CartServiceStub)
        users, orders = self.stub(user_pb2_grpc.UserServiceStub), self.stub(order_pb2_grpc.OrderServiceStub)
        header = cart_pb2.UpdateCartHeaderRequest(shipping_address=home, contact_email=self.person.email, note=self.secret)
        address = user_pb2.CreateAddressRequest(address=user_pb2.Address(postal_address=home))
        sign_up = auth_pb2.SignUpRequest(email=self.person.email, password=NEWCOMERS_PASSWORD)
        reset = auth_pb2.ResetPasswordRequest(token=reset_token, new_password=NEW_PASSWORD)
        of_account = [
            (carts.AddCartItem, cart_pb2.AddCartItemRequest(product_id=dice.choice(self.product_ids))),
            (carts.UpdateCartHeader, header),
            (carts.QuoteCart, cart_pb2.QuoteCartRequest()),
            (users.CreateAddress, address),
            (users.UpdateMe, user_pb2.UpdateMeRequest(full_name=self.secret)),
            (auth.RequestEmailVerification, auth_pb2.RequestEmailVerificationRequest()),
            (orders.Checkout, order_pb2.CheckoutRequest()),
        ]
        calls = [self.call(rpc, request, token, dice.choice(("", uuid.uuid4().hex))) for rpc, request in of_account for token in tokens]
        calls += [self.log_in(), self.log_in(guest_token=self.guest.refresh_token), self.call(auth.SignUp, sign_up)]
        calls += [self.call(auth.Refresh, auth_pb2.RefreshRequest(refresh_token=refresh_token)), self.call(auth.ResetPassword, reset)]
        return calls

    async def erase(self, token: str) -> None:
        """Erase the account, with a new login after each one that has ended, and after the cancellation of open orders."""
        auth, password = self.stub(auth_pb2_grpc.AuthServiceStub), PASSWORD
        async with asyncio.timeout(5 * patient()):
            while True:
                wrong = self.refused["PASSWORD_WRONG"]
                await self.call(auth.DeleteMe, auth_pb2.DeleteMeRequest(password=password), token)
                if await self.pool.fetchval(IS_ERASED, uuid.UUID(self.person.id)):
                    return
                if self.refused["PASSWORD_WRONG"] > wrong:  # the reset was first
                    password = NEW_PASSWORD
                await self.cancel_all(token)
                token = await self.log_in(password) or await self.log_in(NEW_PASSWORD) or token
                await asyncio.sleep(dice.uniform(0.02, 0.1))

    async def cancel_all(self, token: str) -> None:
        orders = self.stub(order_pb2_grpc.OrderServiceStub)
        listed = await self.call(orders.ListOrders, order_pb2.ListOrdersRequest(), token)
        for order in listed.orders if listed else ():
            if order.status == order_pb2.ORDER_STATUS_PLACED:
                await self.call(orders.CancelOrder, order_pb2.CancelOrderRequest(order_id=order.id, reason=self.secret), token)


@pytest.fixture
def workers(directory: Path, database: str) -> list[Worker]:
    return [Worker(directory, database, name=name, MERCATO_GUESTS_PER_HOUR="1000000") for name in ("one", "two", "three")]


async def racer(channels: list[grpc.aio.Channel], pool: "Pool", product_ids: list[str], number: int) -> Racer:
    """Make a person with an account, and a guest of the same person with a line in its cart."""
    email, secret = f"racer-{number}@example.com", f"secret{number}x"
    account_id = await pool.fetchval(INSERT, email, secret, hash_of(PASSWORD))
    auth = auth_pb2_grpc.AuthServiceStub(channels[0])
    guest = await auth.CreateGuest(auth_pb2.CreateGuestRequest(), timeout=CALL_S)
    made = Racer(channels, pool, Person(account_id, email, ""), secret, product_ids, guest)
    request = cart_pb2.AddCartItemRequest(product_id=product_ids[0])
    await made.call(cart_pb2_grpc.CartServiceStub(channels[0]).AddCartItem, request, guest.access_token)
    return made


async def holders(pool: "Pool", text: str) -> list[str]:
    """Return the tables that hold a text in any column, also in bytes."""
    seen = "SELECT EXISTS (SELECT FROM {} AS row WHERE row::text LIKE '%' || $1 || '%' OR row::text LIKE '%' || $2 || '%')"
    tables = [row["table_name"] for row in await pool.fetch(TABLES)]
    return [table for table in tables if await pool.fetchval(seen.format(table), text, text.encode().hex())]


async def test_nothing_of_a_person_comes_back_once_the_erasure_is_acknowledged(database: str, workers: list[Worker], scale: Scale) -> None:
    goods, rounds = await stock_up(database, buyers=1, products=8), scale(6, 200)
    product_ids = [str(product_id) for product_id in goods.product_ids]
    channels = [open_channel(worker.address) for worker in workers]
    async with running(*workers), small_pool(database) as pool:
        for number in range(rounds):
            one = await racer(channels, pool, product_ids, number)
            tokens = [await one.log_in() for _ in range(3)]
            session = jwt.decode(tokens[0], options={"verify_signature": False})
            assert session["sub"] == one.person.id
            login = auth_pb2.LoginRequest(email=one.person.email, password=PASSWORD)
            device = await one.call(auth_pb2_grpc.AuthServiceStub(channels[1]).Login, login)
            await one.call(
                cart_pb2_grpc.CartServiceStub(channels[2]).AddCartItem, cart_pb2.AddCartItemRequest(product_id=product_ids[1]), tokens[0]
            )
            calls = one.races(tokens, device.refresh_token, await issue(pool, one.person, "reset_password"))
            dice.shuffle(calls)
            await asyncio.gather(*calls, one.erase(tokens[0]))
            assert await holders(pool, one.secret) == []
            assert (
                await pool.fetchval("SELECT count(*) FROM orders WHERE account_id = $1 AND erased_at IS NULL", uuid.UUID(one.person.id))
                == 0
            )
        async with pool.acquire() as conn:
            assert not [finding for finding in await verify(conn) if finding.violations]
        await asyncio.gather(*(channel.close() for channel in channels))
    for worker in workers:
        worker.require_no_bugs_logged()


async def test_administrators_who_erase_themselves_at_once_leave_one(database: str, workers: list[Worker], scale: Scale) -> None:
    goods = await stock_up(database, buyers=1)
    channels = [open_channel(worker.address) for worker in workers]
    async with running(*workers), small_pool(database) as pool:
        for number in range(scale(2, 50)):
            await pool.execute("UPDATE accounts SET role = 'user' WHERE role = 'admin'")
            people = [await racer(channels, pool, [str(goods.product_ids[0])], 1_000 * number + each) for each in range(3)]
            tokens = [await one.log_in() for one in people]
            await pool.execute("UPDATE accounts SET role = 'admin' WHERE email = ANY($1)", [one.person.email for one in people])
            delete = auth_pb2.DeleteMeRequest(password=PASSWORD)
            answers = await asyncio.gather(
                *(one.stub(auth_pb2_grpc.AuthServiceStub).DeleteMe(delete, metadata=[("authorization", f"Bearer {token}")], timeout=CALL_S)
                  for one, token in zip(people, tokens, strict=True)),
                return_exceptions=True,
            )  # fmt: skip
            refused = [call_error(answer).reason for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
            assert refused == ["LAST_ADMIN"]
            assert await pool.fetchval("SELECT count(*) FROM accounts WHERE role = 'admin' AND erased_at IS NULL") == 1
        await asyncio.gather(*(channel.close() for channel in channels))
