"""Guests buy without an account, and may sign up later."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato.v1.user_pb2 import ROLE_GUEST, ROLE_USER
from mercato_server.config.settings import GuestRules, OrderRules, Settings
from mercato_server.database.pool import Pool
from mercato_server.store.verify import verify
from support.shop import CALL_S, PASSWORD, Person, Shop, refusal, worker

CONTACT = "guest@example.com"
TOO_OLD = "UPDATE accounts SET created_at = now() - interval '31 days' WHERE id = $1"
"""Its sessions would have ended, so it is no longer counted for its network."""
OLD_LINK = "UPDATE orders SET updated_at = now() - interval '180 days' + $2::interval WHERE id = $1"


def sign_up(shop: Shop, guest: Person, email: str, key: str = "", **fields: Any) -> Any:
    request = auth_pb2.SignUpRequest(email=email, password=PASSWORD, full_name="Gus", guest_token=guest.refresh_token, **fields)
    return shop.auth.SignUp(request, metadata=(("idempotency-key", key),) if key else ())


async def me(shop: Shop, person: Person) -> user_pb2.User:
    return await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=person.metadata, timeout=CALL_S)


async def linked(shop: Shop, order_id: str, token: str) -> order_pb2.Order:
    return await shop.orders.GetLinkedOrder(order_pb2.GetLinkedOrderRequest(order_id=order_id, token=token), timeout=CALL_S)


async def set_contact(shop: Shop, person: Person, email: str) -> None:
    request = cart_pb2.UpdateCartHeaderRequest(contact_email=email)
    await shop.carts.UpdateCartHeader(request, metadata=person.metadata, timeout=CALL_S)


async def test_a_guest_has_a_session_and_neither_address_nor_password(shop: Shop) -> None:
    guest = await shop.guest()
    user = await me(shop, guest)
    assert (user.id, user.email, user.role) == (guest.id, "", ROLE_GUEST)
    row = await shop.pool.fetchrow("SELECT email, password_hash, network FROM accounts WHERE id = $1", uuid.UUID(guest.id))
    assert row
    assert (row["email"], row["password_hash"]) == (None, None)
    assert len(row["network"]) == 32
    login = await shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=guest.refresh_token))
    assert (await me(shop, replace(guest, token=login.access_token))).role == ROLE_GUEST
    await shop.auth.Logout(auth_pb2.LogoutRequest(), metadata=guest.metadata)
    assert (await refusal(me(shop, guest))).reason == "TOKEN_INVALID"


async def test_a_guest_buys_with_a_contact_address_only(shop: Shop) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest()
    ball = await shop.product(admin)
    await shop.add(guest, ball, 2)
    for validate_only in (True, False):
        error = await refusal(shop.checkout(guest, validate_only=validate_only))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CONTACT_REQUIRED")
    await set_contact(shop, guest, " Guest@Example.com ")
    order = await shop.checkout(guest, key="once")
    assert (order.contact_email, order.account_id) == (CONTACT, guest.id)
    assert await shop.checkout(guest, key="once") == order
    listed = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(), metadata=guest.metadata)
    assert [each.id for each in listed.orders] == [order.id]
    assert await shop.stock(ball) == 8
    cancelled = await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=guest.metadata)
    assert cancelled.status == order_pb2.ORDER_STATUS_CANCELLED
    async with shop.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_a_guest_sees_no_other_guests_orders(shop: Shop) -> None:
    admin, guest, other = await shop.person(admin=True), await shop.guest(CONTACT), await shop.guest(CONTACT)
    await shop.add(guest, await shop.product(admin))
    order = await shop.checkout(guest)
    error = await refusal(shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=other.metadata))
    assert error.reason == "ORDER_NOT_FOUND"


async def test_account_settings_are_not_for_guests(shop: Shop) -> None:
    guest = await shop.guest()
    calls = (
        shop.users.UpdateMe(user_pb2.UpdateMeRequest(full_name="Gus"), metadata=guest.metadata),
        shop.auth.ListSessions(auth_pb2.ListSessionsRequest(), metadata=guest.metadata),
        shop.auth.ListSessions(auth_pb2.ListSessionsRequest(), metadata=guest.metadata),  # the worker remembers the session
    )
    for call in calls:
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ACCOUNT_REQUIRED")


async def test_no_administrator_gives_a_guest_another_role(shop: Shop) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest()
    change = user_pb2.UpdateUserRequest(user_id=guest.id, role=user_pb2.ROLE_ADMIN)
    assert (await refusal(shop.users.UpdateUser(change, metadata=admin.metadata))).reason == "GUEST_ROLE"
    disabled = await shop.users.UpdateUser(user_pb2.UpdateUserRequest(user_id=guest.id, disabled=True), metadata=admin.metadata)
    assert (disabled.role, disabled.disabled) == (ROLE_GUEST, True)
    assert (await refusal(me(shop, guest))).reason == "TOKEN_INVALID"


async def test_lists_of_accounts_have_guests_on_request_only(shop: Shop) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest()

    async def listed(**fields: Any) -> list[str]:
        request = user_pb2.ListUsersRequest(**fields)
        return [user.id for user in (await shop.users.ListUsers(request, metadata=admin.metadata)).users]

    assert await listed() == [admin.id]
    assert await listed(role=ROLE_GUEST) == [guest.id]
    assert await listed(role=ROLE_USER) == []


async def test_a_sign_up_makes_the_guest_an_account_with_all_that_it_has(shop: Shop) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest(CONTACT)
    ball = await shop.product(admin)
    await shop.add(guest, ball)
    order = await shop.checkout(guest, key="kept")
    await shop.add(guest, ball, 3)
    user = await sign_up(shop, guest, "gus@example.com")
    assert (user.id, user.email, user.role, user.email_verified) == (guest.id, "gus@example.com", ROLE_USER, False)
    assert user.guest_merge.merged
    jo = await shop.login(Person(guest.id, user.email, ""))
    assert [line.quantity for line in (await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=jo.metadata)).lines] == [3]
    assert await shop.checkout(jo, key="kept") == order
    # Mails about its orders still go to the address that was typed, which the account need not own.
    found = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=jo.metadata)
    assert found.contact_email == CONTACT
    await shop.users.UpdateMe(user_pb2.UpdateMeRequest(full_name="Gus"), metadata=jo.metadata)


async def test_sessions_from_before_a_sign_up_stay_those_of_a_guest(shop: Shop, elsewhere: Shop) -> None:
    guest = await shop.guest()
    await sign_up(shop, guest, "gus@example.com")
    for each in (shop, elsewhere):
        change = user_pb2.UpdateMeRequest(full_name="Eve")
        assert (await refusal(each.users.UpdateMe(change, metadata=guest.metadata))).reason == "ACCOUNT_REQUIRED"
    assert (await me(shop, guest)).full_name == "Gus"
    login = await shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=guest.refresh_token))
    refreshed = replace(guest, token=login.access_token)
    assert (await refusal(shop.users.UpdateMe(user_pb2.UpdateMeRequest(), metadata=refreshed.metadata))).reason == "ACCOUNT_REQUIRED"


async def test_a_sign_up_that_is_refused_leaves_the_guest_as_it_was(shop: Shop) -> None:
    admin, guest, taken = await shop.person(admin=True), await shop.guest(CONTACT), await shop.person()
    await shop.add(guest, await shop.product(admin))
    assert (await refusal(sign_up(shop, guest, taken.email))).reason == "EMAIL_TAKEN"
    assert (await me(shop, guest)).role == ROLE_GUEST
    assert (await shop.checkout(guest)).contact_email == CONTACT
    assert (await sign_up(shop, guest, "gus@example.com")).id == guest.id


async def test_a_repeated_sign_up_with_a_key_gets_the_first_answer(shop: Shop) -> None:
    guest = await shop.guest()
    first = await sign_up(shop, guest, "gus@example.com", key="once")
    assert await sign_up(shop, guest, "gus@example.com", key="once") == first
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts") == 1


async def test_a_wrong_guest_token_makes_a_new_account(shop: Shop) -> None:
    person = await shop.person()
    spent = await shop.guest()
    await shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=spent.refresh_token))
    tokens = [person.refresh_token, spent.refresh_token, "mrt_" + "A" * 43, "x" * 5_000]
    for number, token in enumerate(tokens):
        user = await sign_up(shop, Person("", "", "", token), f"new-{number}@example.com")
        assert user.id not in (person.id, spent.id)
        assert not user.guest_merge.merged
    assert (await me(shop, person)).email == person.email
    assert (await me(shop, spent)).role == ROLE_GUEST


async def test_two_sign_ups_of_one_guest_at_once_make_two_accounts(shop: Shop) -> None:
    guest = await shop.guest()
    users = await asyncio.gather(*(sign_up(shop, guest, f"gus-{number}@example.com") for number in range(4)))
    assert [user.id for user in users].count(guest.id) == 1
    assert len({user.id for user in users}) == 4


async def test_a_typed_contact_address_is_found_by_no_login_and_takes_no_account(shop: Shop) -> None:
    await shop.guest(CONTACT)
    wrong = auth_pb2.LoginRequest(email=CONTACT, password=PASSWORD)
    assert (await refusal(shop.auth.Login(wrong))).reason == "INVALID_CREDENTIALS"
    user = await shop.auth.SignUp(auth_pb2.SignUpRequest(email=CONTACT, password=PASSWORD))
    assert user.email == CONTACT
    assert not user.HasField("guest_merge")


async def test_keys_belong_to_one_guest_alone(shop: Shop) -> None:
    admin, one, other = await shop.person(admin=True), await shop.guest(CONTACT), await shop.guest(CONTACT)
    ball = await shop.product(admin)
    await shop.add(one, ball)
    await shop.add(other, ball)
    orders = [await shop.checkout(guest, key="same") for guest in (one, other)]
    assert orders[0].id != orders[1].id


async def test_create_guest_ignores_a_key_and_stores_nothing(shop: Shop) -> None:
    key = (("idempotency-key", "one"),)
    logins = [await shop.auth.CreateGuest(auth_pb2.CreateGuestRequest(), metadata=key) for _ in range(2)]
    assert logins[0].refresh_token != logins[1].refresh_token
    assert await shop.pool.fetchval("SELECT count(*) FROM idempotency_keys") == 0


@pytest.fixture
async def limited(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A worker that makes three guests an hour for each network, and lets an account have one unpaid order and two keys."""
    rules = OrderRules(open_orders=1)
    async with worker(replace(settings, guests=GuestRules(per_hour=3), orders=rules, keys_per_account=2), pool) as shop:
        yield shop


def from_network(shop: Shop, address: str) -> Any:
    return shop.auth.CreateGuest(auth_pb2.CreateGuestRequest(), metadata=(("x-client-address", address),))


async def test_a_network_makes_a_limited_number_of_guests_an_hour(limited: Shop) -> None:
    one_network: Sequence[str] = ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:9::", "2001:db8::1")
    for address in one_network[:3]:
        await from_network(limited, address)
    error = await refusal(from_network(limited, one_network[3]))
    assert (error.code, error.reason, error.metadata) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_GUESTS", {"limit": "3"})
    assert 3_500 < error.detail(RetryInfo).retry_delay.seconds <= 3_600
    await from_network(limited, "2001:db8:0:1::1")
    await from_network(limited, "192.0.2.1")
    await limited.pool.execute("UPDATE accounts SET created_at = now() - interval '61 minutes'")
    await from_network(limited, one_network[3])


async def test_a_shop_may_make_no_new_guests_and_keeps_those_that_are_there(settings: Settings, pool: "Pool", shop: Shop) -> None:
    guest = await shop.guest()
    async with worker(replace(settings, guests=GuestRules(allowed=False)), pool) as closed:
        error = await refusal(closed.auth.CreateGuest(auth_pb2.CreateGuestRequest()))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "GUESTS_OFF")
        assert (await me(closed, guest)).role == ROLE_GUEST


async def guests_of(shop: Shop, count: int) -> list[Person]:
    """Make guests of one network, however many it may make in an hour."""
    made = []
    for number in range(count):
        made.append(await shop.guest(f"guest-{number}@example.com"))
        await shop.pool.execute("UPDATE accounts SET created_at = now() - interval '2 hours'")
    return made


async def test_unpaid_orders_of_guests_are_limited_by_network_too(limited: Shop) -> None:
    admin, user = await limited.person(admin=True), await limited.person()
    ball, guests = await limited.product(admin, stock=100), await guests_of(limited, 5)
    for guest in (*guests, user):
        await limited.add(guest, ball, 2)
    orders = [await limited.checkout(guest) for guest in guests[:4]]
    for validate_only in (False, True):
        error = await refusal(limited.checkout(guests[4], validate_only=validate_only))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "OPEN_ORDERS_LIMIT")
        assert error.metadata == {"limit": "4"}
    assert (await limited.checkout(user)).id  # an account is no guest of its network
    await limited.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=orders[0].id), metadata=guests[0].metadata)
    assert (await limited.checkout(guests[4])).id
    await limited.add(guests[0], ball)
    await set_contact(limited, guests[0], CONTACT)
    assert (await refusal(limited.checkout(guests[0]))).reason == "OPEN_ORDERS_LIMIT"
    await limited.pool.execute(TOO_OLD, uuid.UUID(guests[1].id))
    assert (await limited.checkout(guests[0])).id


async def test_stored_keys_of_guests_are_limited_by_network_too(limited: Shop) -> None:
    admin, user = await limited.person(admin=True), await limited.person()
    ball, guests = await limited.product(admin, stock=100), await guests_of(limited, 5)

    async def add(person: Person, key: str) -> Any:
        request = cart_pb2.AddCartItemRequest(product_id=ball.id)
        return await limited.carts.AddCartItem(request, metadata=(*person.metadata, ("idempotency-key", key)), timeout=CALL_S)

    for guest in guests[:4]:
        await add(guest, "1")
        await add(guest, "2")
    first = await refusal(add(guests[4], "1"))
    assert (first.code, first.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_KEYS")
    header = cart_pb2.UpdateCartHeaderRequest(note="Ring")
    keyed = (*guests[4].metadata, ("idempotency-key", "1"))
    assert (await refusal(limited.carts.UpdateCartHeader(header, metadata=keyed))).reason == "TOO_MANY_KEYS"
    await add(guests[0], "1")  # a replay
    await add(user, "1")
    await limited.pool.execute(TOO_OLD, uuid.UUID(guests[0].id))
    await add(guests[4], "1")


async def test_no_constraint_lets_an_account_that_is_no_guest_lack_its_login(shop: Shop) -> None:
    person, guest = await shop.person(), await shop.guest()
    for change in ("UPDATE accounts SET email = NULL WHERE id = $1", "UPDATE accounts SET password_hash = NULL WHERE id = $1"):
        with pytest.raises(asyncpg.CheckViolationError, match="accounts_identity_check"):
            await shop.pool.execute(change, uuid.UUID(person.id))
    with pytest.raises(asyncpg.CheckViolationError, match="accounts_identity_check"):
        await shop.pool.execute("UPDATE accounts SET role = 'user' WHERE id = $1", uuid.UUID(guest.id))


async def test_a_call_of_a_guest_that_is_deleted_meanwhile_finds_its_session_ended(shop: Shop, database: str) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest()
    ball = await shop.product(admin)
    async with AsyncExitStack() as stack:
        other = await asyncpg.connect(database)
        stack.push_async_callback(other.close)
        await other.execute("BEGIN")
        await other.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", uuid.UUID(guest.id))
        adding = asyncio.ensure_future(refusal(shop.add(guest, ball)))
        while not await shop.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0)
        await other.execute("DELETE FROM accounts WHERE id = $1", uuid.UUID(guest.id))
        await other.execute("COMMIT")
        assert (await adding).reason == "TOKEN_INVALID"
