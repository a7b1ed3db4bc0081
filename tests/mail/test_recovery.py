"""Forgotten passwords and verified addresses, from the call to the mail and back."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from mercato.v1 import auth_pb2, user_pb2
from support.mail_server import PostOffice, text, token
from support.patience import until
from support.shop import PASSWORD, Person, Shop, refusal

NEW_PASSWORD = "another-secret-1"
EVERY_ROW = """
SELECT string_agg(format('SELECT row::text FROM %I AS row', tablename), ' UNION ALL ') FROM pg_tables WHERE schemaname = 'public'
"""
RESET = "Set a new password"
VERIFY = "confirm"
UNSETTLED = "SELECT count(*) FROM pgqueuer"


def request_reset(shop: Shop, email: str) -> Any:
    return shop.auth.RequestPasswordReset(auth_pb2.RequestPasswordResetRequest(email=email))


def reset(shop: Shop, secret: str, password: str = NEW_PASSWORD) -> Any:
    return shop.auth.ResetPassword(auth_pb2.ResetPasswordRequest(token=secret, new_password=password))


def verify(shop: Shop, secret: str) -> Any:
    return shop.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=secret))


def request_verification(shop: Shop, person: Person) -> Any:
    return shop.auth.RequestEmailVerification(auth_pb2.RequestEmailVerificationRequest(), metadata=person.metadata)


async def me(shop: Shop, person: Person) -> user_pb2.User:
    return await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=person.metadata)


async def settled(shop: Shop) -> None:
    """Return once every job has run."""

    async def all_have() -> bool:
        return not await shop.pool.fetchval(UNSETTLED)

    await until(all_have)


async def refused(call: Any) -> None:
    """Check that a token is refused without a hint at the reason."""
    error = await refusal(call)
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "ONE_TIME_TOKEN_INVALID")
    assert error.message == "the token of this mail is no longer valid; request a new one"


async def test_a_forgotten_password_is_replaced_by_the_token_of_a_mail_once(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    for _ in range(5):
        await refusal(sending.auth.Login(auth_pb2.LoginRequest(email=jo.email, password="wrong")))
    await request_reset(sending, f" {jo.email.upper()} ")
    mail = await post.mail(jo.email, RESET)
    assert text(mail).startswith(
        "Hello,"
    )  # no name: an unverified address may belong to another person, who could be sent any text as a name
    answer = await reset(sending, token(mail))
    assert answer.ended_sessions == 1
    error = await refusal(sending.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=jo.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"
    assert (await refusal(sending.auth.Login(auth_pb2.LoginRequest(email=jo.email, password=PASSWORD)))).reason == "INVALID_CREDENTIALS"
    again = await sending.login(jo, NEW_PASSWORD)
    assert (await me(sending, again)).email_verified
    assert await sending.pool.fetchval("SELECT count(*) FROM login_attempts") == 0
    await refused(reset(sending, token(mail), "yet-another-1"))
    await sending.login(jo, NEW_PASSWORD)
    stored = str(await sending.pool.fetch(await sending.pool.fetchval(EVERY_ROW)))
    assert token(mail) not in stored
    assert token(mail).encode().hex() not in stored


async def test_an_unknown_address_is_answered_alike_and_gets_no_mail(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    calls = [request_reset(sending, address) for address in ("absent@example.com", jo.email)]
    unknown, known = [await call for call in calls]
    assert unknown == known
    sent = [(await call.initial_metadata(), await call.trailing_metadata()) for call in calls]
    assert sent[0] == sent[1]
    mail = "SELECT template, order_id, failure FROM mails WHERE address = $1 AND template = 'reset_password'"
    await settled(sending)
    assert await sending.pool.fetch(mail, "absent@example.com") == await sending.pool.fetch(mail, jo.email)
    assert sorted(post.asked) == [jo.email, jo.email]
    assert await sending.pool.fetchval("SELECT count(*) FROM one_time_tokens WHERE email <> $1", jo.email) == 0


async def test_a_request_of_another_mail_ends_the_token_of_the_one_before_at_once(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await request_reset(sending, jo.email)
    first = token(await post.mail(jo.email, RESET))
    post.answers[jo.email] = "451 later"
    await request_reset(sending, jo.email)
    await refused(reset(sending, first))
    post.answers.clear()
    second = token(await post.mail(jo.email, RESET, nth=2))
    assert second != first
    await refused(reset(sending, first))
    await reset(sending, second)


async def test_tokens_that_are_expired_forged_or_for_something_else_do_nothing(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await request_reset(sending, jo.email)
    to_reset, to_verify = token(await post.mail(jo.email, RESET)), token(await post.mail(jo.email, VERIFY))
    forged = to_reset[:-1] + ("A" if to_reset[-1] != "A" else "E")
    await refused(reset(sending, to_verify))
    await refused(verify(sending, to_reset))
    await refused(reset(sending, forged))
    for malformed in ("", "x", "mot_" + "é" * 44, to_reset + "x"):
        assert (await refusal(reset(sending, malformed))).fields == ["token"]
        assert (await refusal(verify(sending, malformed))).fields == ["token"]
    assert (await refusal(reset(sending, to_reset, "password"))).fields == ["new_password"]
    await sending.pool.execute("UPDATE one_time_tokens SET expires_at = now()")
    await refused(reset(sending, to_reset))
    await refused(verify(sending, to_verify))
    assert not (await me(sending, jo)).email_verified
    await sending.login(jo)


async def test_tokens_live_an_hour_and_a_day(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await request_reset(sending, jo.email)
    await post.mail(jo.email, RESET)
    await post.mail(jo.email, VERIFY)
    rows = await sending.pool.fetch(
        "SELECT purpose, round(extract(epoch FROM expires_at - m.created_at) / 60) FROM one_time_tokens JOIN mails AS m ON m.id = mail_id"
    )
    assert {purpose: int(minutes) for purpose, minutes in rows} == {"reset_password": 60, "verify_email": 24 * 60}


@pytest.mark.race
async def test_of_many_who_use_a_token_at_once_one_sets_the_password(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await request_reset(sending, jo.email)
    secret = token(await post.mail(jo.email, RESET))
    answers = await asyncio.gather(*(reset(sending, secret, f"new-password-{n}") for n in range(8)), return_exceptions=True)
    [winner] = [n for n, answer in enumerate(answers) if not isinstance(answer, grpc.aio.AioRpcError)]
    await sending.login(jo, f"new-password-{winner}")


async def test_a_disabled_account_gets_no_mail_and_its_token_is_worth_nothing(sending: Shop, post: PostOffice) -> None:
    jo, ada = await sending.person(), await sending.person()
    await request_reset(sending, jo.email)
    secret = token(await post.mail(jo.email, RESET))
    await sending.pool.execute("UPDATE accounts SET disabled_at = now() WHERE email = $1", jo.email)
    await refused(reset(sending, secret))
    await settled(sending)  # the mails of both signups too
    asked = len(post.asked)
    await request_reset(sending, jo.email)
    await request_reset(sending, ada.email)
    await post.mail(ada.email, RESET)
    await settled(sending)
    assert post.asked[asked:] == [ada.email]


async def test_a_new_password_revokes_its_reset_tokens(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await request_reset(sending, jo.email)
    secret = token(await post.mail(jo.email, RESET))
    change = auth_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD)
    await sending.auth.ChangePassword(change, metadata=jo.metadata)
    await refused(reset(sending, secret))
    await sending.login(jo, NEW_PASSWORD)


async def test_no_address_gets_more_than_five_mails_of_a_kind_in_an_hour(sending: Shop, post: PostOffice) -> None:
    jo, ada = await sending.person(), await sending.person()
    await asyncio.gather(*(request_reset(sending, address) for address in (jo.email, "absent@example.com") for _ in range(12)))
    counts = "SELECT address, count(*) FROM mails WHERE template = 'reset_password' GROUP BY address ORDER BY address"
    assert [tuple(row) for row in await sending.pool.fetch(counts)] == [("absent@example.com", 5), (jo.email, 5)]
    await settled(sending)
    resets = [mail for mail in post.taken if mail["To"] == jo.email and RESET in mail["Subject"]]
    answers = [await asyncio.gather(reset(sending, token(mail)), return_exceptions=True) for mail in resets]
    assert sum(not isinstance(answer, grpc.aio.AioRpcError) for [answer] in answers) == 1  # they may come in any order
    for _ in range(4):  # one was sent at the signup
        await request_verification(sending, ada)
    error = await refusal(request_verification(sending, ada))
    assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_MAILS")
    assert 3500 < error.detail(RetryInfo).retry_delay.seconds <= 3600
    await sending.pool.execute("UPDATE mail_allowances SET times[1] = times[1] - interval '1 hour'")
    await request_verification(sending, ada)
    assert (await refusal(request_verification(sending, ada))).reason == "TOO_MANY_MAILS"


async def test_a_signup_sends_a_mail_that_verifies_its_address_once(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    secret = token(await post.mail(jo.email, VERIFY))
    assert not (await me(sending, jo)).email_verified
    assert (await verify(sending, secret)).email == jo.email
    assert (await me(sending, jo)).email_verified
    await refused(verify(sending, secret))
    await request_verification(sending, jo)
    await settled(sending)
    assert post.asked == [jo.email]


async def test_the_mail_of_a_signup_that_is_refused_is_not_sent(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await refusal(sending.auth.SignUp(auth_pb2.SignUpRequest(email=jo.email, password=PASSWORD)))
    await settled(sending)
    assert len(post.taken) == 1
    assert await sending.pool.fetchval("SELECT count(*) FROM mails") == 1
