"""The security log has each event that an auditor asks for, once: logins, ends of sessions, passwords, roles, erasures and exports."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from google.protobuf.field_mask_pb2 import FieldMask
from structlog.typing import EventDict

from mercato.v1.auth_pb2 import (
    ChangePasswordRequest,
    DeleteMeRequest,
    ExportMeRequest,
    LoginRequest,
    LogoutAllRequest,
    LogoutRequest,
    ResetPasswordRequest,
    RevokeSessionRequest,
    SignUpRequest,
)
from mercato.v1.user_pb2 import ROLE_ADMIN, ROLE_USER, GetMeRequest, UpdateUserRequest
from mercato_server.database.pool import Pool
from mercato_server.security.security_log import SecurityEvent
from rpc.test_security_log import digest_of
from support.one_time_tokens import issue
from support.shop import CALL_S, PASSWORD, Person, Shop, refusal

AT = "198.51.100.7"
FROM = (("x-client-address", AT), ("x-request-id", "the-request"))
NEW_PASSWORD = "another-secret-1"


@pytest.fixture
def events() -> Iterator[Callable[[], Sequence[EventDict]]]:
    """Returns the security events since the last call, in which a test looks at what they have beside who asks from where."""
    with structlog.testing.capture_logs() as logs:

        def taken() -> Sequence[EventDict]:
            found = [line for line in logs if line.get("log") == "security"]
            logs.clear()
            return found

        yield taken


def told(lines: Sequence[EventDict]) -> list[dict[str, Any]]:
    common = {"event", "log_level", "log", "request_id", "client", "method"}
    for line in lines:
        assert (line["event"], line["log_level"], line["request_id"], line["client"]) == ("a security event", "info", "the-request", AT)
    return [{name: value for name, value in line.items() if name not in common} for line in lines]


def by(person: Person, key: str = "") -> tuple[tuple[str, str], ...]:
    return (*FROM, *person.metadata, *((("idempotency-key", key),) if key else ()))


async def test_sign_up_login_and_the_ends_of_sessions(shop: Shop, events: Callable[[], Sequence[EventDict]]) -> None:
    email = "Jo.Events@Example.com"
    user = await shop.auth.SignUp(SignUpRequest(email=email, password=PASSWORD, full_name="Jo"), metadata=FROM)
    [made] = told(events())
    assert made == {"reason": "ACCOUNT_CREATED", "address_digest": digest_of(email.lower())}
    login = await shop.auth.Login(LoginRequest(email=email, password=PASSWORD), metadata=FROM)
    jo = Person(user.id, email, login.access_token, login.refresh_token)
    digest = {"address_digest": digest_of(email.lower())}
    assert told(events()) == [{"reason": "LOGGED_IN", "account_id": user.id, "session_id": jo.session_id, **digest}]
    other = await shop.session(jo)
    await shop.auth.RevokeSession(RevokeSessionRequest(session_id=other), metadata=by(jo))
    assert told(events()) == [{"reason": "SESSION_REVOKED", "account_id": user.id, "session_id": other}]
    await shop.auth.Logout(LogoutRequest(), metadata=by(jo))
    assert told(events()) == [{"reason": "LOGGED_OUT", "account_id": user.id}]
    again = await shop.login(jo)
    events()
    await shop.auth.LogoutAll(LogoutAllRequest(), metadata=by(again))
    assert told(events()) == [{"reason": "ALL_SESSIONS_ENDED", "account_id": user.id}]


async def test_changes_of_a_password_also_by_mail(shop: Shop, pool: "Pool", events: Callable[[], Sequence[EventDict]]) -> None:
    jo = await shop.person()
    change = ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD)
    await shop.auth.ChangePassword(change, metadata=by(jo, "a-key"))
    assert told(events()) == [{"reason": "PASSWORD_CHANGED", "account_id": jo.id}]
    await shop.auth.ChangePassword(change, metadata=by(jo, "a-key"))
    assert events() == [], "a replay changes nothing"
    token = await issue(pool, jo, "reset_password")
    await shop.auth.ResetPassword(ResetPasswordRequest(token=token, new_password=PASSWORD), metadata=FROM)
    assert told(events()) == [{"reason": "PASSWORD_RESET", "address_digest": digest_of(jo.email)}]


async def test_what_administrators_do_to_accounts(shop: Shop, events: Callable[[], Sequence[EventDict]]) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()
    both = {"account_id": jo.id, "by_account_id": admin.id}

    async def update(*fields: str, **values: Any) -> list[dict[str, Any]]:
        request = UpdateUserRequest(user_id=jo.id, update_mask=FieldMask(paths=fields), **values)
        await shop.users.UpdateUser(request, metadata=by(admin), timeout=CALL_S)
        return told(events())

    assert await update("role", role=ROLE_ADMIN) == [{"reason": "ROLE_SET", "role": "admin", **both}]
    assert await update("role", role=ROLE_USER) == [{"reason": "ROLE_SET", "role": "user", **both}]
    assert await update("disabled", disabled=True) == [{"reason": "ACCOUNT_DISABLED", **both}]
    assert await update("disabled", disabled=False) == [{"reason": "ACCOUNT_ENABLED", **both}]


async def test_exports_and_erasures_of_personal_data(shop: Shop, events: Callable[[], Sequence[EventDict]]) -> None:
    jo = await shop.person()
    await shop.auth.ExportMe(ExportMeRequest(), metadata=by(jo))
    assert told(events()) == [{"reason": "PERSONAL_DATA_EXPORTED", "account_id": jo.id}]
    assert (await refusal(shop.auth.DeleteMe(DeleteMeRequest(password=NEW_PASSWORD), metadata=by(jo)))).reason == "PASSWORD_WRONG"
    assert [line["reason"] for line in events()] == ["PASSWORD_WRONG"], "a call that fails has done nothing"
    await shop.auth.DeleteMe(DeleteMeRequest(password=PASSWORD), metadata=by(jo))
    assert told(events()) == [{"reason": "ACCOUNT_ERASED", "account_id": jo.id}]


async def test_no_event_has_a_secret_and_reads_leave_none(shop: Shop, events: Callable[[], Sequence[EventDict]]) -> None:
    jo = await shop.person()
    login = await shop.login(jo)
    await shop.users.GetMe(GetMeRequest(), metadata=by(login))
    await shop.auth.DeleteMe(DeleteMeRequest(password=PASSWORD), metadata=by(login))
    lines = events()
    assert [line["reason"] for line in lines] == ["LOGGED_IN", "ACCOUNT_ERASED"]
    assert [secret for secret in (jo.email, PASSWORD, login.token, login.refresh_token) if secret in json.dumps(lines)] == []


def test_each_event_is_in_the_table_of_the_operators() -> None:
    operations = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert [event.value for event in SecurityEvent if f"| `{event.value}` |" not in operations] == []
