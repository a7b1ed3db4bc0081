"""Idempotency keys of every RPC that supports them, through real channels to two workers."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from grpc import StatusCode

from mercato.rpcs import rpcs
from mercato.v1.auth_pb2 import LoginFormRequest, LoginRequest, LoginResponse, RefreshRequest, SignUpRequest
from mercato.v1.cart_pb2 import AddCartItemRequest
from mercato.v1.catalog_pb2 import Product, UpdateProductRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import CancelOrderRequest, CheckoutRequest, Order
from mercato.v1.payment_pb2 import CreatePaymentResponse, CreateRefundRequest
from mercato.v1.policy_pb2 import ACCESS_ADMIN
from mercato.v1.user_pb2 import UpdateMeRequest
from mercato_server.database.pool import small_pool
from mercato_server.embedded.postgres import Postgres
from support.databases import copied
from support.example_requests import EXAMPLE_REQUESTS
from support.idempotency_cases import CASES, Case, Reply, World, call, new_world
from support.patience import slowness, until
from support.shop import PASSWORD, Person, Refusal, Shop, refusal, settings_of, waiting_in_vain, worker
from support.two_workers import METHODS

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY_ROW = """
SELECT string_agg(format('SELECT %L AS name, md5(string_agg(row::text, '' '' ORDER BY row::text)) FROM %I AS row', tablename, tablename),
                  ' UNION ALL ')
  FROM pg_tables
 WHERE schemaname = 'public' AND tablename <> 'login_attempts'  -- a refused password leaves its trace there, key or not
"""
LONGEST_S = 30.0
"""The longest deadline of a caller."""
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
AGE = "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = $1"
SWEEP = "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'"
SCOPE = "SELECT scope_id FROM idempotency_keys WHERE key = $1 AND created_at >= now() - interval '24 hours'"
END_SESSION = "UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE id = $1"
SET_ROLE = "UPDATE accounts SET role = $2 WHERE id = $1"
RPCS = {rpc.name: rpc for rpc in rpcs()}
KEYED = {rpc.name for rpc in rpcs() if rpc.policy.idempotency_key}


@dataclass(frozen=True)
class Two:
    """Two workers over one database."""

    shop: Shop
    elsewhere: Shop
    database: str

    @asynccontextmanager
    async def held(self, table: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Lock a table against writes; closing the connection ends the lock."""
        connection = await asyncpg.connect(self.database)
        try:
            await connection.execute("BEGIN")
            await connection.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')
            yield connection
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(postgres: Postgres) -> AsyncIterator[Two]:
    """Two workers for all tests of this module; each test has its own accounts and goods."""
    async with (
        copied(postgres) as database,
        small_pool(database) as pool,
        worker(settings_of(database), pool) as shop,
        worker(settings_of(database), pool) as elsewhere,
    ):
        yield Two(shop, elsewhere, database)


@pytest_asyncio.fixture(loop_scope="module")
async def world(two: Two, request: pytest.FixtureRequest) -> World:
    """The accounts and subjects of a test: those that its case names, if it has one."""
    callspec = getattr(request.node, "callspec", None)
    return await new_world(two.shop, callspec.params.get("case") if callspec else None)


every_rpc = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


async def rows(shop: Shop) -> list[tuple[str, str | None]]:
    """Return a digest of the rows of each table, except failed logins, and keys that have expired: a worker sweeps them at any moment."""
    await shop.pool.execute(SWEEP)
    return sorted((row[0], row[1]) for row in await shop.pool.fetch(await shop.pool.fetchval(EVERY_ROW)))


def effects(found: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return [row for row in found if row[0] != "idempotency_keys"]


async def keys(shop: Shop, key: str) -> int:
    return int(await shop.pool.fetchval("SELECT count(*) FROM idempotency_keys WHERE key = $1", key))


async def until_waiting(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """Return once this many sessions wait for locks."""

    async def waiting() -> bool:
        return bool(await connection.fetchval(WAITING) >= count)

    await until(waiting)


async def in_vain(shop: Shop, request: Message, caller: Person | None, key: str) -> Refusal:
    return await waiting_in_vain(lambda timeout_s: call(shop, request, caller, key, timeout_s=timeout_s), 0.5 * slowness())


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


async def test_every_rpc_that_honours_keys_has_a_case() -> None:
    assert CASES.keys() == KEYED


@every_rpc
async def test_a_repeated_call_gets_the_same_bytes_and_changes_nothing(two: Two, world: World, case: Case, key: str) -> None:
    caller, request = world.person(case.caller), case.first(world)
    before = await rows(two.shop)
    first = await call(two.shop, request, caller, key)
    after = await rows(two.shop)
    assert effects(after) != effects(before)
    for shop in (two.shop, two.elsewhere):
        assert await call(shop, request, caller, key) == Reply(first.raw, replayed=True)
        assert await rows(shop) == after
    assert not first.replayed


@every_rpc
async def test_a_key_of_an_account_is_for_one_request_and_free_for_others(two: Two, world: World, case: Case, key: str) -> None:
    caller = world.person(case.caller)
    await call(two.shop, case.first(world), caller, key)
    after = await rows(two.shop)
    for request in (case.other(world), UpdateMeRequest(full_name="Another Name")) if caller else ():
        error = await refusal(call(two.elsewhere, request, caller, key))
        assert (error.code, error.reason, error.fields) == (
            StatusCode.INVALID_ARGUMENT,
            "IDEMPOTENCY_KEY_REUSED",
            ["idempotency-key"],
        )
    assert await rows(two.shop) == after
    theirs = case.theirs(world)
    for replayed in (False, True):
        assert (await call(two.shop, theirs, world.person(case.neighbour), key)).replayed is replayed


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.refused], ids=[name for name, case in CASES.items() if case.refused]
)
async def test_a_refused_call_leaves_its_key_free(two: Two, world: World, case: Case, key: str) -> None:
    assert case.refused
    caller = world.person(case.caller)
    before = await rows(two.shop)
    refused = case.refused(world)
    for _ in range(2):
        error = await refusal(call(two.shop, refused, caller, key))
        assert error.reason != "IDEMPOTENCY_KEY_REUSED"
    assert await rows(two.shop) == before
    assert not (await call(two.shop, case.first(world), caller, key)).replayed


@every_rpc
async def test_a_malformed_key_is_refused(two: Two, world: World, case: Case) -> None:
    before = await rows(two.shop)
    for malformed in ("", " ", "a b", "x" * 256):
        error = await refusal(call(two.shop, case.first(world), world.person(case.caller), malformed))
        assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["idempotency-key"])
    assert await rows(two.shop) == before
    assert not (await call(two.shop, case.first(world), world.person(case.caller), "~!" + uuid.uuid4().hex + "x" * 221)).replayed


@pytest.mark.parametrize("case", [CASES[name] for name in CASES if name != "Checkout"], ids=[name for name in CASES if name != "Checkout"])
async def test_a_key_is_free_again_after_a_day(two: Two, world: World, case: Case, key: str) -> None:
    caller, other = world.person(case.caller), case.other(world)
    await call(two.shop, case.first(world), caller, key)
    [first_scope] = await two.shop.pool.fetch(SCOPE, key)
    await two.shop.pool.execute(AGE, key)
    second = await call(two.shop, other, caller, key)
    assert not second.replayed
    assert await call(two.shop, other, caller, key) == Reply(second.raw, replayed=True)
    [scope] = await two.shop.pool.fetch(SCOPE, key)
    assert (scope == first_scope) is bool(caller)  # an anonymous key of another request is another key


async def test_an_order_remembers_its_key_for_ever(two: Two, world: World, key: str) -> None:
    request = CheckoutRequest()
    order = Order.FromString((await call(two.shop, request, world.buyer, key)).raw)
    for expire in (AGE, "DELETE FROM idempotency_keys WHERE key = $1"):
        await two.shop.pool.execute(expire, key)
        await two.shop.carts.AddCartItem(AddCartItemRequest(product_id=world.first.product_id), metadata=world.buyer.metadata)
        before = await rows(two.shop)
        error = await refusal(call(two.shop, request, world.buyer, key))
        assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
        assert effects(await rows(two.shop)) == effects(before)
        assert await keys(two.shop, key) == 0
    assert [row[0] for row in await two.shop.pool.fetch("SELECT id::text FROM orders WHERE idempotency_key = $1", key)] == [order.id]


@every_rpc
async def test_a_duplicate_waits_for_the_first_call_and_gets_its_answer(two: Two, world: World, case: Case, key: str) -> None:
    caller, request = world.person(case.caller), case.first(world)
    async with two.held(case.table) as holder:
        first = asyncio.ensure_future(call(two.shop, request, caller, key, timeout_s=LONGEST_S))
        await until_waiting(holder, 1)
        near = asyncio.ensure_future(call(two.shop, request, caller, key, timeout_s=LONGEST_S))
        far = asyncio.ensure_future(call(two.elsewhere, request, caller, key, timeout_s=LONGEST_S))
        await until_waiting(holder, 2)
        assert not first.done()
    replies = [await answered for answered in (first, near, far)]
    assert {reply.raw for reply in replies} == {replies[0].raw}
    # A statement that changes a cart claims its key itself: of two that wait for the table, either may claim it first.
    assert sorted(reply.replayed for reply in replies) == [False, True, True]
    assert await keys(two.shop, key) == 1


@every_rpc
async def test_a_duplicate_that_cannot_wait_so_long_is_refused(two: Two, world: World, case: Case, key: str) -> None:
    caller, request = world.person(case.caller), case.first(world)
    async with two.held(case.table) as holder:
        first = asyncio.ensure_future(call(two.shop, request, caller, key, timeout_s=LONGEST_S))
        await until_waiting(holder, 1)
        near = asyncio.ensure_future(in_vain(two.shop, request, caller, key))
        far = asyncio.ensure_future(in_vain(two.elsewhere, request, caller, key))
        for error in (await near, await far):
            assert (error.code, error.reason) == (StatusCode.ABORTED, "CONFLICT")
            assert error.trailers["retry-after"] == "1"
        assert not first.done()
    assert not (await first).replayed
    assert await call(two.elsewhere, request, caller, key) == Reply((await first).raw, replayed=True)


@every_rpc
async def test_a_call_that_could_not_get_a_lock_leaves_its_key_free(two: Two, world: World, case: Case, key: str) -> None:
    caller, request = world.person(case.caller), case.first(world)
    before = await rows(two.shop)
    async with two.held(case.table):
        error = await in_vain(two.shop, request, caller, key)
        assert (error.code, error.reason) == (StatusCode.ABORTED, "CONFLICT")
    assert await rows(two.shop) == before
    assert not (await call(two.elsewhere, request, caller, key)).replayed


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if not case.caller], ids=[name for name, case in CASES.items() if not case.caller]
)
async def test_an_anonymous_key_belongs_to_its_request(two: Two, world: World, case: Case, key: str) -> None:
    """Strangers who choose the same key, such as `1`, do not meet; neither do two RPCs."""
    first, other = case.first(world), case.other(world)
    answers = [await call(two.shop, request, None, key) for request in (first, other)]
    assert not any(answer.replayed for answer in answers)
    for request, answer in zip((first, other), answers, strict=True):
        assert await call(two.elsewhere, request, None, key) == Reply(answer.raw, replayed=True)
    neighbours = EXAMPLE_REQUESTS["RequestPasswordReset" if case.rpc == "SignUp" else "SignUp"](world.second)
    assert not (await call(two.shop, neighbours, None, key)).replayed
    assert await keys(two.shop, key) == 3
    accounts = await two.shop.pool.fetch("SELECT id FROM accounts")
    scopes = await two.shop.pool.fetch("SELECT scope_id FROM idempotency_keys WHERE key = $1", key)
    assert not {row["scope_id"] for row in scopes} & {row["id"] for row in accounts}


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.caller], ids=[name for name, case in CASES.items() if case.caller]
)
async def test_a_stored_answer_is_for_those_who_may_make_the_call_now(two: Two, world: World, case: Case, key: str) -> None:
    caller, request = world.person(case.caller), case.first(world)
    assert caller
    await two.shop.pool.execute(SET_ROLE, uuid.UUID(caller.id), "admin")
    first = await call(two.shop, request, caller, key)
    await two.shop.pool.execute(SET_ROLE, uuid.UUID(caller.id), "user")
    if RPCS[case.rpc].policy.access == ACCESS_ADMIN or case.rpc == "CreatePayment":  # its example records cash
        error = await refusal(call(two.elsewhere, request, caller, key))
        assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    else:
        assert await call(two.elsewhere, request, caller, key) == Reply(first.raw, replayed=True)
    await two.shop.pool.execute(SET_ROLE, uuid.UUID(caller.id), "admin")
    await two.shop.pool.execute(END_SESSION, uuid.UUID(caller.session_id))
    for shop in (two.shop, two.elsewhere):
        error = await refusal(call(shop, request, caller, key))
        assert (error.code, error.reason) == (StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_demoted_administrator_cannot_replay_what_was_done_to_the_order_of_another(two: Two, world: World, key: str) -> None:
    request, absent = CancelOrderRequest(order_id=world.first.order_id), CancelOrderRequest(order_id=str(uuid.uuid4()))
    first = await call(two.shop, request, world.admin, key)
    assert Order.FromString(first.raw).account_id == world.buyer.id
    await two.shop.pool.execute(SET_ROLE, uuid.UUID(world.admin.id), "user")
    for shop in (two.shop, two.elsewhere):
        replay = await refusal(call(shop, request, world.admin, key))
        missing = await refusal(call(shop, absent, world.admin, str(uuid.uuid4())))
        assert replay.reason == "ORDER_NOT_FOUND"
        assert repr(replay).replace(request.order_id, "ID") == repr(missing).replace(absent.order_id, "ID")
    await two.shop.pool.execute(SET_ROLE, uuid.UUID(world.admin.id), "admin")
    assert await call(two.elsewhere, request, world.admin, key) == Reply(first.raw, replayed=True)


CREDENTIAL = re.compile(r"(?:.*_)?(?:token|secret|password|private_key)")
"""Names of fields that hold a credential; a page token is none."""


def credentials(message: Any, above: tuple[str, ...] = ()) -> list[str]:
    """Return the paths of the fields in a message and in its parts that hold a credential."""
    found = []
    for field in message.fields:
        if CREDENTIAL.fullmatch(field.name) and not field.name.endswith("page_token"):
            found.append(".".join((*above, field.name)))
        if field.message_type and field.name not in above:
            found += credentials(field.message_type, (*above, field.name))
    return found


BY_REFERENCE = {"CreatePayment": "payment.id", "CapturePayment": "id", "CancelPayment": "id", "CreateRefund": "id"}
"""RPCs whose keys store an id in place of an answer, and the field of their answers with that id."""


async def test_no_answer_with_a_credential_is_stored() -> None:
    """`Credentials` in the API's contract: an answer that opens or continues a login is never kept for a replay."""
    telling = {rpc.name: credentials(rpc.response_type.DESCRIPTOR) for rpc in rpcs()}
    assert telling["Login"] == telling["LoginForm"] == telling["Refresh"] == ["access_token", "refresh_token"]
    assert telling["CreatePayment"] == ["client_secret"]
    assert not [name for name, found in telling.items() if found and name in KEYED and name not in BY_REFERENCE]


@pytest.mark.parametrize("name", BY_REFERENCE)
async def test_a_key_of_a_payment_or_refund_stores_its_id_and_nothing_else(two: Two, world: World, name: str, key: str) -> None:
    case = CASES[name]
    answer: Any = RPCS[name].response_type.FromString((await call(two.shop, case.first(world), world.admin, key)).raw)
    for part in BY_REFERENCE[name].split("."):
        answer = getattr(answer, part)
    [stored] = await two.shop.pool.fetch("SELECT * FROM idempotency_keys WHERE key = $1", key)
    assert stored["response"] == answer.encode()
    assert uuid.UUID(answer).version == 7
    others = {"scope_id", "key", "method", "fingerprint", "response", "created_at"}
    assert (set(stored.keys()), stored["method"], stored["key"]) == (others, RPCS[name].path, key)
    assert stored["scope_id"] == uuid.UUID(world.admin.id)


async def test_a_repeated_payment_is_shown_as_it_is_now(two: Two, world: World, key: str) -> None:
    request = CASES["CreatePayment"].first(world)
    first = CreatePaymentResponse.FromString((await call(two.shop, request, world.admin, key)).raw)
    await two.shop.payments.CreateRefund(CreateRefundRequest(order_id=world.first.order_id), metadata=world.admin.metadata)
    again = await call(two.elsewhere, request, world.admin, key)
    now = CreatePaymentResponse.FromString(again.raw)
    assert (again.replayed, now.payment.id, first.payment.refunded.minor_units) == (True, first.payment.id, 0)
    assert now.payment.refunded == first.payment.captured


async def test_a_login_with_a_key_is_a_login_each_time(two: Two, key: str) -> None:
    person = await two.shop.person()
    form = HttpBody(content_type="application/x-www-form-urlencoded", data=f"username={person.email}&password={PASSWORD}".encode())
    login = LoginRequest(email=person.email, password=PASSWORD)
    refresh_tokens = set()
    for request in (
        login,
        login,
        LoginFormRequest(form=form),
        LoginFormRequest(form=form),
        RefreshRequest(refresh_token=person.refresh_token),
    ):
        reply = await call(two.shop, request, None, key)
        assert not reply.replayed
        refresh_tokens.add(LoginResponse.FromString(reply.raw).refresh_token)
    assert len(refresh_tokens) == 5
    assert await keys(two.shop, key) == 0


async def test_an_update_that_changes_nothing_honours_its_key(two: Two, world: World, key: str) -> None:
    first = await call(two.shop, UpdateMeRequest(), world.buyer, key)
    await call(two.shop, UpdateMeRequest(full_name="Newer"), world.buyer, str(uuid.uuid4()))
    assert await call(two.elsewhere, UpdateMeRequest(), world.buyer, key) == Reply(first.raw, replayed=True)
    assert (await refusal(call(two.shop, UpdateMeRequest(full_name=""), world.buyer, key))).reason == "IDEMPOTENCY_KEY_REUSED"
    assert (await refusal(call(two.shop, UpdateMeRequest(), world.buyer, "a b"))).fields == ["idempotency-key"]


async def test_put_and_patch_of_the_same_product_are_different_requests(two: Two, world: World, key: str) -> None:
    request = UpdateProductRequest(product=Product(id=world.first.product_id, name="A", price=Money(minor_units=1)))
    await call(two.shop, request, world.admin, key, x_envoy_original_method="PATCH")
    error = await refusal(call(two.shop, request, world.admin, key, x_envoy_original_method="PUT"))
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_the_stored_answer_of_a_signup_gives_no_hint_of_its_password(two: Two, key: str) -> None:
    request = SignUpRequest(email=f"secret-{key}@example.com", password="correct horse battery", full_name="Jo")
    await call(two.shop, request, None, key)
    stored = await two.shop.pool.fetchrow("SELECT stored.*, stored::text AS text FROM idempotency_keys AS stored WHERE key = $1", key)
    assert stored
    hashed = await two.shop.pool.fetchval("SELECT password_hash FROM accounts WHERE email = $1", request.email)
    for secret in (request.password, hashed):
        assert secret not in stored["text"]
        assert secret.encode().hex() not in stored["text"]
    method, content = METHODS[request.DESCRIPTOR.full_name].encode(), request.SerializeToString(deterministic=True)
    for guess in (content, method + content, method + b"\0" + content, request.password.encode()):
        assert stored["fingerprint"] != hashlib.sha256(guess).digest()
