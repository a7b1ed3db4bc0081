"""The security log: each refusal that may be a part of an attack leaves one line, and a flood of them a bounded number."""

import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from mercato.v1.auth_pb2 import ChangePasswordRequest, LoginRequest, LogoutRequest, RefreshRequest, VerifyEmailRequest
from mercato.v1.order_pb2 import CancelOrderRequest
from mercato.v1.user_pb2 import GetAdminOnlyRequest, GetMeRequest
from mercato_server.config.settings import Limits, Settings
from mercato_server.database.pool import Pool
from mercato_server.security import keyrings
from mercato_server.security.one_time_tokens import PREFIX
from mercato_server.security.tokens import Tokens
from support.patience import until
from support.shop import CALL_S, PASSWORD, SECRET, Person, Refusal, Shop, open_worker, refusal, settings_of

AT = "198.51.100.7"
FROM = (("x-client-address", AT), ("x-request-id", "the-request"))
WRONG = "a-wrong-password-1"
UNUSED = PREFIX + "A" * 43


@pytest.fixture
async def lines() -> AsyncIterator[Callable[[], list[EventDict]]]:
    """Returns the lines of the security log about refusals and keys since the start of the test."""
    with structlog.testing.capture_logs() as logs:
        yield lambda: [line for line in logs if line.get("log") == "security" and line["event"] != "a security event"]


@pytest.fixture
def at_info() -> Iterator[None]:
    """The level of a shop; structlog's own would be debug."""
    kept = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    yield
    structlog.configure(**kept)


PROLONG = "UPDATE login_attempts SET blocked_until = now() + interval '1 minute'"
"""Keeps a delay of a second from ending while a busy machine makes the next call wait."""


def digest_of(email: str) -> str:
    return hmac.new(SECRET.encode(), f"mercato login attempts\0{email}".encode(), hashlib.sha256).hexdigest()


async def login(shop: Shop, email: str, password: str = WRONG) -> Refusal:
    return await refusal(shop.auth.Login(LoginRequest(email=email, password=password), metadata=FROM, timeout=CALL_S))


def told(line: EventDict) -> dict[str, Any]:
    """Return what a line has beside who asks from where."""
    assert (line["event"], line["log_level"], line["request_id"], line["client"]) == ("a call was refused", "warning", "the-request", AT)
    return {name: line[name] for name in line if name in {"reason", "account_id", "address_digest"}} | {
        "rpc": line["method"].rpartition("/")[2]
    }


async def test_failed_logins_and_lockouts_leave_a_digest_of_the_address(shop: Shop, lines: Callable[[], list[EventDict]]) -> None:
    jo = await shop.person()
    for email in (jo.email, "Stranger@Example.com"):
        refused = [await login(shop, email) for _ in range(Limits().failures_free + 1)]
        await shop.pool.execute(PROLONG)
        refused.append(await login(shop, email))
        reasons = ["INVALID_CREDENTIALS"] * (Limits().failures_free + 1) + ["TOO_MANY_ATTEMPTS"]
        assert [each.reason for each in refused] == reasons
        known = {"address_digest": digest_of(email.lower()), "rpc": "Login"}
        assert [told(line) for line in lines()][-len(reasons) :] == [{"reason": reason, **known} for reason in reasons]


async def test_a_reused_refresh_token_leaves_the_account(shop: Shop, lines: Callable[[], list[EventDict]]) -> None:
    jo = await shop.person()
    request = RefreshRequest(refresh_token=jo.refresh_token)
    following = await shop.auth.Refresh(request, metadata=FROM)
    await shop.auth.Refresh(RefreshRequest(refresh_token=following.refresh_token), metadata=FROM)
    assert lines() == []
    for _ in range(2):
        assert (await refusal(shop.auth.Refresh(request, metadata=FROM))).reason == "REFRESH_TOKEN_INVALID"
    unknown = RefreshRequest(refresh_token=jo.refresh_token[:-8] + "AAAAAAAA")
    await refusal(shop.auth.Refresh(unknown, metadata=FROM))
    assert [told(line) for line in lines()] == [
        {"reason": "REFRESH_TOKEN_REUSED", "account_id": jo.id, "rpc": "Refresh"},
        {"reason": "REFRESH_TOKEN_INVALID", "account_id": jo.id, "rpc": "Refresh"},
        {"reason": "REFRESH_TOKEN_INVALID", "rpc": "Refresh"},
    ]


async def test_refused_tokens_leave_a_line_and_calls_without_one_none(
    shop: Shop, settings: Settings, lines: Callable[[], list[EventDict]]
) -> None:
    jo = await shop.person()
    expired = Tokens(await keyrings.load(shop.pool, settings), -1).issue(uuid.UUID(jo.id), uuid.UUID(jo.session_id))

    async def me(*metadata: tuple[str, str]) -> str:
        return (await refusal(shop.users.GetMe(GetMeRequest(), metadata=(*FROM, *metadata)))).reason

    assert await me() == "TOKEN_INVALID"
    assert lines() == []
    for token in (jo.token + "x", "a.b.c", expired):
        assert await me(("authorization", f"Bearer {token}")) == "TOKEN_INVALID"
    await shop.auth.Logout(LogoutRequest(), metadata=jo.metadata)
    assert await me(*jo.metadata) == "TOKEN_INVALID"
    assert [told(line) for line in lines()] == [
        {"reason": "TOKEN_INVALID", "rpc": "GetMe"},
        {"reason": "TOKEN_INVALID", "rpc": "GetMe"},
        {"reason": "TOKEN_EXPIRED", "rpc": "GetMe"},
        {"reason": "TOKEN_INVALID", "account_id": jo.id, "rpc": "GetMe"},
    ]


async def test_refusals_of_a_known_caller_leave_the_account(shop: Shop, lines: Callable[[], list[EventDict]]) -> None:
    jo = await shop.person()
    metadata = (*FROM, *jo.metadata)
    await refusal(shop.users.GetAdminOnly(GetAdminOnlyRequest(), metadata=metadata))
    change = ChangePasswordRequest(current_password=WRONG, new_password="a-good-password-2")
    await refusal(shop.auth.ChangePassword(change, metadata=metadata, timeout=CALL_S))
    await refusal(shop.auth.VerifyEmail(VerifyEmailRequest(token=UNUSED), metadata=FROM))
    assert [told(line) for line in lines()] == [
        {"reason": "ADMIN_ONLY", "account_id": jo.id, "rpc": "GetAdminOnly"},
        {"reason": "PASSWORD_WRONG", "account_id": jo.id, "rpc": "ChangePassword"},
        {"reason": "ONE_TIME_TOKEN_INVALID", "rpc": "VerifyEmail"},
    ]


async def test_a_refused_replay_leaves_a_line_and_an_unknown_order_none(shop: Shop, lines: Callable[[], list[EventDict]]) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    request = CancelOrderRequest(order_id=(await shop.checkout(buyer)).id)
    metadata = (*FROM, *admin.metadata, ("idempotency-key", "a-key"))
    await shop.orders.CancelOrder(request, metadata=metadata, timeout=CALL_S)
    await shop.pool.execute("UPDATE accounts SET role = 'user' WHERE id = $1", uuid.UUID(admin.id))
    await refusal(shop.orders.CancelOrder(request, metadata=(*FROM, *admin.metadata), timeout=CALL_S))
    assert lines() == []
    assert (await refusal(shop.orders.CancelOrder(request, metadata=metadata, timeout=CALL_S))).reason == "ORDER_NOT_FOUND"
    assert [told(line) for line in lines()] == [{"reason": "REPLAY_REFUSED", "account_id": admin.id, "rpc": "CancelOrder"}]


async def test_a_rotation_of_keys_leaves_a_line_of_the_command_and_of_each_worker(
    shop: Shop, settings: Settings, lines: Callable[[], list[EventDict]]
) -> None:
    await keyrings.rotate(settings.database_url, settings.secret_key, discard=True)
    await until(lambda: len(lines()) == 2)
    assert {line["event"] for line in lines()} == {"the keys that sign tokens were changed", "tokens are signed with other keys"}
    assert {line["reason"] for line in lines()} == {"KEYS_CHANGED"}


async def test_no_line_has_a_password_a_token_or_an_address(shop: Shop, lines: Callable[[], list[EventDict]]) -> None:
    jo = await shop.person()
    await login(shop, jo.email)
    await login(shop, PASSWORD)  # typed into the wrong field
    await refusal(shop.auth.Refresh(RefreshRequest(refresh_token=UNUSED), metadata=FROM))
    await refusal(shop.auth.VerifyEmail(VerifyEmailRequest(token=UNUSED), metadata=FROM))
    await refusal(shop.users.GetAdminOnly(GetAdminOnlyRequest(), metadata=jo.metadata))
    await refusal(shop.users.GetMe(GetMeRequest(), metadata=(("authorization", f"Bearer {jo.token}x"),)))
    text = json.dumps(lines())
    assert len(lines()) >= 5
    assert [secret for secret in (jo.email, PASSWORD, WRONG, UNUSED, jo.token, jo.refresh_token) if secret in text] == []


async def test_a_flood_of_refused_calls_leaves_a_bounded_number_of_lines(database: str, pool: "Pool", at_info: None) -> None:
    limits = Limits(timeout_s=CALL_S, slow_call_s=CALL_S, log_lines=6, log_lines_of_client=4, log_period_s=3600)
    settings = replace(settings_of(database), limits=limits)
    with structlog.testing.capture_logs() as logs:
        async with open_worker(settings, pool) as (_, shop):
            jo = await shop.person()
            flood = [(client, await refused(shop, jo, client)) for client in ["192.0.2.1"] * 20 + ["192.0.2.2"] * 20]
            await refused(shop, None, "192.0.2.1")
    assert {reason for _, reason in flood} == {"ADMIN_ONLY"}
    lines = [line for line in logs if line.get("log") == "security"]
    assert [(line["reason"], line.get("client"), line.get("calls")) for line in lines] == [
        *[("ADMIN_ONLY", "192.0.2.1", None)] * 4,
        *[("ADMIN_ONLY", "192.0.2.2", None)] * 2,
        ("TOKEN_INVALID", "192.0.2.1", None),
        ("ADMIN_ONLY", None, 34),
    ]
    calls = [line for line in logs if line["event"] in {"call", "more calls ended so"} and line.get("code") != "UNAUTHENTICATED"]
    assert [(line["event"], line.get("calls")) for line in calls] == [*[("call", None)] * 6, ("more calls ended so", 34)]


async def refused(shop: Shop, person: Person | None, client: str) -> str:
    metadata = person.metadata if person else (("authorization", "Bearer a.b.c"),)
    call = shop.users.GetAdminOnly(GetAdminOnlyRequest(), metadata=(*metadata, ("x-client-address", client)))
    return (await refusal(call)).reason


async def test_what_was_left_out_is_counted_at_the_end_of_the_period(database: str, pool: "Pool") -> None:
    limits = Limits(timeout_s=CALL_S, log_lines=1, log_lines_of_client=1, log_period_s=0.5)
    with structlog.testing.capture_logs() as logs:
        async with open_worker(replace(settings_of(database), limits=limits), pool) as (_, shop):
            jo = await shop.person()
            made = 0

            async def told_of_all() -> bool:
                return made == sum(int(line.get("calls", 1)) for line in logs if line.get("reason") == "ADMIN_ONLY")

            for _ in range(2):
                for _ in range(5):
                    await refused(shop, jo, "192.0.2.1")
                    made += 1
                await until(told_of_all)
    assert len([line for line in logs if line.get("reason") == "ADMIN_ONLY"]) < made
