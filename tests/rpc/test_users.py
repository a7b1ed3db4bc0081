"""Administrators find accounts, give roles and disable accounts; the last administrator cannot be removed."""

import asyncio
import time
from functools import partial
from typing import Any
from uuid import UUID

import grpc
import pytest
from grpc import StatusCode

from mercato.v1.auth_pb2 import SignUpRequest
from mercato.v1.cart_pb2 import Cart, ClearCartRequest
from mercato.v1.user_pb2 import ROLE_ADMIN, ROLE_USER, GetMeRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest, User
from mercato_server.domain.accounts import Device
from mercato_server.store import accounts, sessions, users
from mercato_server.store.login_attempts import Counters
from support.idempotency_cases import ABSENT
from support.pages import every
from support.patience import Within, until
from support.shop import PASSWORD, SOON_S, Person, Shop, refusal

ADMINS = "SELECT count(*) FROM accounts WHERE role = 'admin' AND disabled_at IS NULL"
LIVE = "SELECT count(*) FROM sessions WHERE account_id = $1 AND ended_at IS NULL"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
"""Not for an open transaction, which knows only the sessions of its first look."""


def update(shop: Shop, admin: Person, person: Person, **fields: Any) -> Any:
    return shop.users.UpdateUser(UpdateUserRequest(user_id=person.id, **fields), metadata=admin.metadata)


async def listed(shop: Shop, admin: Person, **query: Any) -> list[User]:
    return await every(shop.users.ListUsers, ListUsersRequest, admin, **query)


async def clear(shop: Shop, person: Person) -> Cart:
    """Make a call that changes something."""
    return await shop.carts.ClearCart(ClearCartRequest(), metadata=person.metadata)


async def me(shop: Shop, person: Person) -> User:
    """Make a call that changes nothing."""
    return await shop.users.GetMe(GetMeRequest(), metadata=person.metadata)


async def answered(call: Any) -> bool:
    """Return whether a call is answered; raises if it is refused for any reason but its token."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not StatusCode.UNAUTHENTICATED:
            raise
        return False
    return True


async def test_accounts_are_listed_newest_first_and_found_by_part_role_and_state(shop: Shop) -> None:
    boss = await shop.person(admin=True)
    people = [("zoe.smith@example.com", "Zoë Müller"), ("percent@example.org", "100% \\Real_"), ("amir@example.org", "Amir Zöe-Kahn")]
    ids = [(await shop.auth.SignUp(SignUpRequest(email=email, password=PASSWORD, full_name=name))).id for email, name in people]
    zoe, percent, amir = ids
    await update(shop, boss, Person(amir, "", ""), disabled=True)
    await update(shop, boss, Person(percent, "", ""), role=ROLE_ADMIN)

    async def found(**query: Any) -> list[str]:
        return [user.id for user in await listed(shop, boss, **query)]

    assert await found() == [amir, percent, zoe, boss.id]
    for text, expected in {
        "zoe": [amir, zoe],
        "MULLER": [zoe],
        "Smith@Exam": [zoe],
        "example.org": [amir, percent],
        "%": [percent],
        "\N{FULLWIDTH PERCENT SIGN}": [percent],
        "l_": [percent],
        "\\r": [percent],
        "'; DROP TABLE accounts": [],
    }.items():
        assert await found(q=text) == expected, text
    assert await found(role=ROLE_ADMIN) == [percent, boss.id]
    assert await found(role=ROLE_USER) == [amir, zoe]
    assert await found(disabled=True) == [amir]
    assert await found(disabled=False, role=ROLE_USER, q="zoe") == [zoe]
    user = await shop.users.GetUser(GetUserRequest(user_id=amir), metadata=boss.metadata)
    assert (user.email, user.disabled, user.role) == ("amir@example.org", True, ROLE_USER)


async def test_a_page_of_accounts_goes_on_only_in_its_own_list(shop: Shop) -> None:
    boss, _ = await shop.person(admin=True), await shop.person()
    page = await shop.users.ListUsers(ListUsersRequest(page_size=1), metadata=boss.metadata)
    other = ListUsersRequest(page_size=1, page_token=page.next_page_token, disabled=False)
    assert (await refusal(shop.users.ListUsers(other, metadata=boss.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_only_the_fields_that_are_sent_change(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    assert (await update(shop, boss, jo)).role == ROLE_USER
    changed = await update(shop, boss, jo, role=ROLE_ADMIN)
    assert (changed.role, changed.disabled) == (ROLE_ADMIN, False)
    changed = await update(shop, boss, jo, disabled=True)
    assert (changed.role, changed.disabled) == (ROLE_ADMIN, True)
    since = await shop.pool.fetchval("SELECT disabled_at FROM accounts WHERE disabled_at IS NOT NULL")
    await update(shop, boss, jo, disabled=True, role=ROLE_USER)
    assert await shop.pool.fetchval("SELECT disabled_at FROM accounts WHERE disabled_at IS NOT NULL") == since
    assert not (await update(shop, boss, jo, disabled=False)).disabled
    assert (await me(shop, await shop.login(jo))).id == jo.id


@pytest.mark.parametrize(
    ("user_id", "fields", "reason"),
    [
        (ABSENT, {"disabled": True}, "USER_NOT_FOUND"),
        ("x", {"disabled": True}, "INVALID_FIELD"),
        ("", {"role": 0}, "INVALID_FIELD"),
        ("", {"role": 7}, "INVALID_FIELD"),
    ],
)
async def test_an_update_that_makes_no_sense_is_refused(shop: Shop, user_id: str, fields: dict[str, Any], reason: str) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    error = await refusal(update(shop, boss, Person(user_id or jo.id, "", ""), **fields))
    assert error.reason == reason
    assert await shop.pool.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_a_promoted_user_administers_at_once_and_a_demoted_one_no_more(shop: Shop, elsewhere: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    await update(shop, boss, jo, role=ROLE_ADMIN)
    assert await listed(elsewhere, jo)
    await update(shop, boss, jo, role=ROLE_USER)
    for call in (listed(elsewhere, jo), listed(shop, jo), update(elsewhere, jo, boss, disabled=True)):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    assert (await me(elsewhere, jo)).role == ROLE_USER


async def test_a_disabled_user_is_refused_at_once_for_changes_and_soon_for_reads(shop: Shop, elsewhere: Shop, within: Within) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    phone = await shop.login(jo)
    for person in (jo, phone):
        await me(elsewhere, person)
    await update(shop, boss, jo, disabled=True)
    ended = time.monotonic()
    assert (await refusal(clear(elsewhere, jo))).reason == "TOKEN_INVALID"
    for person in (jo, phone):
        asked = ended
        while await answered(me(elsewhere, person)):
            assert asked - ended < within(SOON_S)
            asked = time.monotonic()
    assert (await refusal(shop.login(jo))).reason == "INVALID_CREDENTIALS"
    assert await shop.pool.fetchval(LIVE, jo.id) == 0
    await update(shop, boss, jo, disabled=False)
    assert (await refusal(clear(elsewhere, jo))).reason == "TOKEN_INVALID"  # sessions from before stay ended


async def test_a_login_that_is_under_way_while_its_account_is_disabled_leaves_no_session(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    async with shop.pool.acquire() as conn:
        opening = conn.transaction()
        await opening.start()
        hashed = await conn.fetchval("SELECT password_hash FROM accounts WHERE id = $1", jo.id)
        await conn.fetchrow(sessions.OPEN_SESSION, jo.id, "phone", "", b"digest", 30, b"here", b"everywhere", 10, hashed)
        disabling = asyncio.ensure_future(update(shop, boss, jo, disabled=True))
        await until(partial(shop.pool.fetchval, WAITING))
        await opening.commit()
        await disabling
    assert await shop.pool.fetchval(LIVE, jo.id) == 0


async def test_a_login_that_is_under_way_while_its_password_is_replaced_opens_no_session(shop: Shop) -> None:
    jo = await shop.person()
    verified, before = await accounts.get(shop.pool, UUID(jo.id)), await shop.pool.fetchval(LIVE, jo.id)
    phone, counters = Device(user_agent="phone", ip_address=""), Counters(b"here", b"everywhere")
    async with shop.pool.acquire() as conn:
        replacing = conn.transaction()
        await replacing.start()
        await conn.execute("UPDATE accounts SET password_hash = 'another' WHERE id = $1", jo.id)
        opening = asyncio.ensure_future(sessions.open_session(shop.pool, verified, phone, b"digest", counters, known_max=10))
        await until(partial(shop.pool.fetchval, WAITING))
        await replacing.commit()
        assert await opening is None
    assert await shop.pool.fetchval(LIVE, jo.id) == before


@pytest.mark.parametrize("fields", [{"role": ROLE_USER}, {"disabled": True}], ids=["demoted", "disabled"])
async def test_the_last_administrator_stays(shop: Shop, fields: dict[str, Any]) -> None:
    boss, former = await shop.person(admin=True), await shop.person(admin=True)
    await update(shop, boss, former, disabled=True)
    error = await refusal(update(shop, boss, boss, **fields))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "LAST_ADMIN")
    assert await listed(shop, boss)
    await update(shop, boss, former, disabled=False)
    await update(shop, boss, boss, **fields)
    assert await shop.pool.fetchval(ADMINS) == 1


@pytest.mark.race
@pytest.mark.parametrize("fields", [{"role": ROLE_USER}, {"disabled": True}], ids=["demoted", "disabled"])
async def test_two_administrators_who_remove_each_other_at_once_leave_one(
    shop: Shop, elsewhere: Shop, race_rounds: int, fields: dict[str, Any]
) -> None:
    for _ in range(race_rounds):
        await shop.pool.execute("UPDATE accounts SET role = 'user'")
        one, two = await shop.person(admin=True), await shop.person(admin=True)
        pairs = ((shop, one, two), (elsewhere, two, one))
        outcomes = await asyncio.gather(*(update(at, by, of, **fields) for at, by, of in pairs), return_exceptions=True)
        assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
        assert await shop.pool.fetchval(ADMINS) == 1


async def test_the_second_of_two_administrators_who_demote_each_other_gets_the_reason(shop: Shop) -> None:
    one, two = await shop.person(admin=True), await shop.person(admin=True)
    for third, reason in ((False, "LAST_ADMIN"), (True, "ADMIN_ONLY")):
        if third:
            await shop.pool.execute("UPDATE accounts SET role = 'admin'")
            await shop.person(admin=True)
        async with shop.pool.acquire() as conn:
            first = conn.transaction()
            await first.start()
            await conn.fetch(users.LOCK_ADMINS, two.id)
            second = asyncio.ensure_future(refusal(update(shop, two, one, role=ROLE_USER)))
            await until(partial(shop.pool.fetchval, WAITING))
            await conn.execute("UPDATE accounts SET role = 'user' WHERE id = $1", two.id)
            await first.commit()
            assert (await second).reason == reason
