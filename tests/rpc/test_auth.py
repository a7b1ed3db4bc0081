"""AuthService through a real channel."""

import asyncio
from uuid import UUID, uuid4

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1 import auth_pb2, user_pb2
from mercato_server.security.tokens import Keyring, Tokens
from support.shop import PASSWORD, Shop, refusal

ADA = auth_pb2.SignUpRequest(email="Ada@Example.com", password=PASSWORD, full_name=" Ada Lovelace ")


async def test_signing_up_makes_a_user_whose_password_is_kept_only_as_a_hash(shop: Shop) -> None:
    user = await shop.auth.SignUp(ADA)
    assert (user.email, user.full_name, user.role) == ("ada@example.com", "Ada Lovelace", user_pb2.ROLE_USER)
    hashed = await shop.pool.fetchval("SELECT password_hash FROM accounts")
    assert hashed.startswith("$2b$")
    assert PASSWORD not in str(await shop.pool.fetch("SELECT * FROM accounts"))


async def test_an_email_address_can_sign_up_once_whatever_its_case(shop: Shop) -> None:
    await shop.auth.SignUp(ADA)
    error = await refusal(shop.auth.SignUp(auth_pb2.SignUpRequest(email="ada@example.COM", password=PASSWORD)))
    assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN")
    assert error.detail(ResourceInfo).resource_name == "ada@example.com"


@pytest.mark.race
async def test_of_many_signups_of_one_address_at_once_one_succeeds(shop: Shop, race_rounds: int) -> None:
    for number in range(race_rounds):
        request = auth_pb2.SignUpRequest(email=f"ada{number}@example.com", password=PASSWORD)
        outcomes = await asyncio.gather(*(shop.auth.SignUp(request) for _ in range(8)), return_exceptions=True)
        assert sum(isinstance(outcome, user_pb2.User) for outcome in outcomes) == 1


async def test_a_signup_lists_all_that_is_wrong_with_it(shop: Shop) -> None:
    error = await refusal(shop.auth.SignUp(auth_pb2.SignUpRequest(email="ada", password="password", full_name="x" * 201)))
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.fields == ["email", "full_name", "password"]
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts") == 0


SPELLINGS = ("Jo\u0308rg@B\u00fccher.example", "J\u00f6rg@xn--bcher-kva.example", "j\u00f6rg@\uff42\u00fc\uff43\uff48\uff45\uff52.example")


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_account_is_found_by_every_spelling_of_its_address_and_password(shop: Shop, spelling: str) -> None:
    password = "\u00e9clair \u2014 42"
    user = await shop.auth.SignUp(auth_pb2.SignUpRequest(email=spelling, password=password))
    for other in SPELLINGS:
        error = await refusal(shop.auth.SignUp(auth_pb2.SignUpRequest(email=other, password=password)))
        assert error.reason == "EMAIL_TAKEN"
        login = await shop.auth.Login(auth_pb2.LoginRequest(email=other, password="e\u0301clair\u00a0\u2014\u300042"))
        me = await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=(("authorization", f"Bearer {login.access_token}"),))
        assert me == user


@pytest.mark.parametrize("address", ["no address", "jo@localhost", "jo@x.test", "\u3000", "@", "jo@@x", "jo@xn--"])
async def test_a_login_refuses_no_address(shop: Shop, address: str) -> None:
    error = await refusal(shop.auth.Login(auth_pb2.LoginRequest(email=address, password=PASSWORD)))
    assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIALS")


async def test_a_new_password_is_not_the_accounts_own_address_or_name(shop: Shop) -> None:
    for password in ("Ada@Example.com", "Lovelace-1815", "        ", "Password123!"):
        error = await refusal(shop.auth.SignUp(auth_pb2.SignUpRequest(email=ADA.email, password=password, full_name=ADA.full_name)))
        assert error.fields == ["password"]
    await shop.auth.SignUp(ADA)
    login = await shop.auth.Login(auth_pb2.LoginRequest(email=ADA.email, password=PASSWORD))
    change = auth_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="ada.lovelace")
    error = await refusal(shop.auth.ChangePassword(change, metadata=(("authorization", f"Bearer {login.access_token}"),)))
    assert error.fields == ["new_password"]


@pytest.mark.parametrize("password", ["-".join(map(str, range(30))), "nul\0inside the text", "pass word with spaces ", "пароль-на-русском"])
async def test_unusual_passwords_work(shop: Shop, password: str) -> None:
    await shop.auth.SignUp(auth_pb2.SignUpRequest(email="ada@example.com", password=password))
    login = await shop.auth.Login(auth_pb2.LoginRequest(email="ADA@example.com", password=password))
    assert (login.token_type, login.expires_in) == ("bearer", 600)
    error = await refusal(shop.auth.Login(auth_pb2.LoginRequest(email="ada@example.com", password=password + "x")))
    assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIALS")


async def test_unknown_address_and_wrong_password_answer_alike(shop: Shop) -> None:
    await shop.auth.SignUp(ADA)
    wrong = await refusal(shop.auth.Login(auth_pb2.LoginRequest(email="ada@example.com", password="wrong-password")))
    unknown = await refusal(shop.auth.Login(auth_pb2.LoginRequest(email="bob@example.com", password="wrong-password")))
    assert wrong == unknown
    assert wrong.trailers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/x-www-form-urlencoded", b"username=ada%40example.com&password=securepass123"),
        ("application/json", b'{"username": "ada@example.com", "password": "securepass123"}'),
    ],
)
async def test_logging_in_by_form_and_by_json(shop: Shop, content_type: str, data: bytes) -> None:
    user = await shop.auth.SignUp(ADA)
    form = HttpBody(content_type=content_type, data=data)
    login = await shop.auth.LoginForm(auth_pb2.LoginFormRequest(form=form))
    metadata = (("authorization", f"Bearer {login.access_token}"),)
    assert await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=metadata) == user


async def test_a_form_without_credentials_is_the_callers_error(shop: Shop) -> None:
    error = await refusal(shop.auth.LoginForm(auth_pb2.LoginFormRequest()))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["content-type"])
    form = HttpBody(content_type="application/json", data=b"{}")
    error = await refusal(shop.auth.LoginForm(auth_pb2.LoginFormRequest(form=form)))
    assert error.fields == ["email", "password"]


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/x-www-form-urlencoded", b"username=ada%40example.com&email=bob%40example.com&password=securepass123"),
        ("application/json", b'{"username": "ada@example.com", "email": "bob@example.com", "password": "securepass123"}'),
    ],
)
async def test_a_login_names_one_account(shop: Shop, content_type: str, data: bytes) -> None:
    await shop.auth.SignUp(ADA)
    form = HttpBody(content_type=content_type, data=data)
    assert (await refusal(shop.auth.LoginForm(auth_pb2.LoginFormRequest(form=form)))).fields == ["email"]
    form.data = data.replace(b"bob", b"ada")
    assert (await shop.auth.LoginForm(auth_pb2.LoginFormRequest(form=form))).access_token


async def test_a_person_can_change_their_name_and_nothing_else_changes(shop: Shop) -> None:
    jo = await shop.person()
    before = await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=jo.metadata)
    assert await shop.users.UpdateMe(user_pb2.UpdateMeRequest(), metadata=jo.metadata) == before
    for name in ("Jo New", ""):
        after = await shop.users.UpdateMe(user_pb2.UpdateMeRequest(full_name=name), metadata=jo.metadata)
        before.full_name = name
        assert after == before
    error = await refusal(shop.users.UpdateMe(user_pb2.UpdateMeRequest(full_name="a\0b"), metadata=jo.metadata))
    assert error.fields == ["full_name"]


async def test_the_token_of_an_account_that_is_gone_is_not_valid(shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute("DELETE FROM accounts")
    for call in (
        shop.users.GetMe(user_pb2.GetMeRequest(), metadata=jo.metadata),
        shop.users.UpdateMe(user_pb2.UpdateMeRequest(full_name="x"), metadata=jo.metadata),
    ):
        assert (await refusal(call)).reason == "TOKEN_INVALID"


async def test_a_demoted_administrator_is_refused_on_the_next_call(shop: Shop) -> None:
    boss = await shop.person(admin=True)
    assert (await shop.users.GetAdminOnly(user_pb2.GetAdminOnlyRequest(), metadata=boss.metadata)).message
    await shop.pool.execute("UPDATE accounts SET role = 'user'")
    error = await refusal(shop.users.GetAdminOnly(user_pb2.GetAdminOnlyRequest(), metadata=boss.metadata))
    assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "Basic abc"),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer a.b.c"),),
        (("authorization", "TOKEN"),),
        (("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")),
        (("authorization", "Bearer TOKEN TOKEN"),),
        (("authorization", "Bearer FOREIGN"),),
    ],
)
async def test_an_invalid_token_is_refused(shop: Shop, metadata: tuple[tuple[str, str], ...]) -> None:
    jo = await shop.person()
    foreign = Tokens(Keyring.shared("another secret of 32 bytes or more", "HS256"), 600).issue(UUID(jo.id), uuid4())
    sent = tuple((name, value.replace("TOKEN", jo.token).replace("FOREIGN", foreign)) for name, value in metadata)
    error = await refusal(shop.users.GetMe(user_pb2.GetMeRequest(), metadata=sent))
    assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_an_expired_token_does_not_stand_in_the_way_of_a_login(shop: Shop) -> None:
    jo = await shop.person()
    metadata = (("authorization", "Bearer long.expired.token"),)
    assert (await shop.auth.Login(auth_pb2.LoginRequest(email=jo.email, password=PASSWORD), metadata=metadata)).access_token
