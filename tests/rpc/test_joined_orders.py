"""Orders of guests join the account whose verified address they name."""

import asyncio
import uuid

import asyncpg
import pytest

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato_server.store import guests
from mercato_server.store.verify import verify
from support.one_time_tokens import issue
from support.patience import patient
from support.shop import CALL_S, PASSWORD, Person, Shop, refusal

OWNER = "SELECT account_id::text FROM orders WHERE id = $1"
VERIFY = "UPDATE accounts SET email_verified_at = now() WHERE id = $1"


async def buy(shop: Shop, guest: Person, key: str = "") -> order_pb2.Order:
    await shop.add(guest, await shop.product(await shop.person(admin=True)))
    return await shop.checkout(guest, key=key)


async def log_in(shop: Shop, person: Person, guest: Person) -> auth_pb2.LoginResponse:
    request = auth_pb2.LoginRequest(email=person.email, password=PASSWORD, guest_token=guest.refresh_token)
    login: auth_pb2.LoginResponse = await shop.auth.Login(request, timeout=CALL_S)
    return login


async def owner(shop: Shop, order: order_pb2.Order) -> str:
    return str(await shop.pool.fetchval(OWNER, uuid.UUID(order.id)))


async def cancel(shop: Shop, person: Person, order: order_pb2.Order) -> order_pb2.Order:
    request = order_pb2.CancelOrderRequest(order_id=order.id)
    cancelled: order_pb2.Order = await shop.orders.CancelOrder(request, metadata=person.metadata, timeout=CALL_S)
    return cancelled


async def require_valid(shop: Shop) -> None:
    async with shop.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_a_login_moves_the_orders_that_name_the_verified_address_of_the_account(shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute(VERIFY, uuid.UUID(jo.id))
    guest, other, stranger = await shop.guest(jo.email), await shop.guest(jo.email.upper()), await shop.guest("x@example.com")
    own = await buy(shop, jo, "same")
    mine, also = await buy(shop, guest, "same"), await buy(shop, other)
    foreign = await buy(shop, stranger)
    assert (await log_in(shop, jo, guest)).guest_merge.merged
    assert [await owner(shop, order) for order in (own, mine, also, foreign)] == [jo.id, jo.id, jo.id, stranger.id]
    listed = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(), metadata=jo.metadata)
    assert {each.id for each in listed.orders} == {own.id, mine.id, also.id}
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts WHERE id = $1", uuid.UUID(guest.id)) == 0
    assert (await refusal(cancel(shop, other, also))).reason == "ORDER_NOT_FOUND"
    assert (await cancel(shop, jo, mine)).status == order_pb2.ORDER_STATUS_CANCELLED
    assert await shop.checkout(jo, key="same") == own
    await require_valid(shop)
    # The other guest has no order any more, so the sweep looks at it again.
    await shop.pool.execute("UPDATE sessions SET refreshed_at = now() - interval '31 days'")
    await shop.pool.execute("UPDATE accounts SET guest_check_at = now() - interval '1 second' WHERE guest_check_at IS NOT NULL")
    await guests.sweep(shop.pool, 10, 30 * 24 * 60 * 60.0)
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts WHERE id = $1", uuid.UUID(other.id)) == 0


async def test_a_guest_keeps_its_session_while_an_order_is_unpaid_that_cannot_move(shop: Shop) -> None:
    jo = await shop.person()  # whose address is not verified
    guest = await shop.guest(jo.email)
    order = await buy(shop, guest)
    await shop.add(guest, await shop.product(await shop.person(admin=True)), 2)
    login = await log_in(shop, jo, guest)
    assert [line.quantity for line in login.guest_merge.lines] == [2]
    again = await log_in(shop, jo, guest)
    assert (again.guest_merge.merged, list(again.guest_merge.lines)) == (True, [])
    cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=guest.metadata)
    assert not cart.lines
    assert await owner(shop, order) == guest.id
    await cancel(shop, guest, order)
    await log_in(shop, jo, guest)
    assert (await refusal(shop.users.GetMe(user_pb2.GetMeRequest(), metadata=guest.metadata))).reason == "TOKEN_INVALID"
    await require_valid(shop)


@pytest.mark.parametrize("purpose", ["verify_email", "reset_password"])
async def test_the_verification_of_an_address_moves_the_orders_of_guests(shop: Shop, purpose: str) -> None:
    jo = await shop.person()
    guest = await shop.guest(jo.email)
    order = await buy(shop, guest, "kept")
    token = await issue(shop.pool, jo, purpose)
    if purpose == "verify_email":
        await shop.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=token), timeout=CALL_S)
    else:
        request = auth_pb2.ResetPasswordRequest(token=token, new_password="a new long password")
        await shop.auth.ResetPassword(request, timeout=CALL_S)
    assert await owner(shop, order) == jo.id
    await require_valid(shop)


async def test_a_guest_that_signs_up_with_a_verified_contact_takes_the_orders_of_other_guests(shop: Shop) -> None:
    guest, other = await shop.guest("gus@example.com"), await shop.guest("gus@example.com")
    order = await buy(shop, other)
    await shop.pool.execute("UPDATE accounts SET verified_contact = 'gus@example.com' WHERE id = $1", uuid.UUID(guest.id))
    request = auth_pb2.SignUpRequest(email="gus@example.com", password=PASSWORD, guest_token=guest.refresh_token)
    user = await shop.auth.SignUp(request, timeout=CALL_S)
    assert user.email_verified
    assert await owner(shop, order) == user.id == guest.id


async def test_a_login_goes_on_without_a_guest_whose_rows_are_held(shop: Shop, database: str) -> None:
    jo, guest = await shop.person(), await shop.guest()
    ball = await shop.product(await shop.person(admin=True))
    await shop.add(guest, ball)
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM cart_items WHERE account_id = $1 FOR UPDATE", uuid.UUID(guest.id))
        request = auth_pb2.LoginRequest(email=jo.email, password=PASSWORD, guest_token=guest.refresh_token)
        login = await shop.auth.Login(request, timeout=CALL_S)
        await holder.execute("ROLLBACK")
    finally:
        await holder.close()
    assert login.access_token
    assert not login.guest_merge.merged
    assert (await log_in(shop, jo, guest)).guest_merge.merged


async def test_a_sign_up_takes_no_guest_whose_session_ends_while_it_waits(shop: Shop, database: str) -> None:
    guest = await shop.guest()
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", uuid.UUID(guest.id))
        request = auth_pb2.SignUpRequest(email="gus@example.com", password=PASSWORD, guest_token=guest.refresh_token)
        signing_up = asyncio.ensure_future(_signed_up(shop, request))
        async with asyncio.timeout(patient()):
            while not await shop.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.005)
        await holder.execute("UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE account_id = $1", uuid.UUID(guest.id))
        await holder.execute("COMMIT")
    finally:
        await holder.close()
    user = await signing_up
    assert user.id != guest.id
    assert not user.guest_merge.merged


async def _signed_up(shop: Shop, request: auth_pb2.SignUpRequest) -> user_pb2.User:
    user: user_pb2.User = await shop.auth.SignUp(request, timeout=CALL_S)
    return user
