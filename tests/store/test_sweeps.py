"""Sweeps delete rows that are too old, a batch at a time."""

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import grpc
import pytest

from mercato.v1.auth_pb2 import SignUpRequest
from mercato.v1.order_pb2 import CancelOrderRequest
from mercato.v1.user_pb2 import GetMeRequest
from mercato_server.database.pool import Pool
from mercato_server.store import guests
from mercato_server.store.sweeps import BATCH, sweep
from support.example_payments import an_order
from support.patience import patient, until
from support.shop import PASSWORD, Shop

ANONYMOUS = uuid.UUID(int=0)


async def stored_keys(pool: "Pool") -> list[str]:
    return sorted(row[0] for row in await pool.fetch("SELECT key FROM idempotency_keys"))


INSERT_KEYS = """
INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response, created_at)
SELECT $1, $2 || number, '', '', '', now() - $3::text::interval - number * interval '1 second'
  FROM generate_series(1, $4::integer) AS number
"""
INSERT_EVENTS = """
INSERT INTO events (kind, subject_id, created_at)
SELECT $1, gen_random_uuid(), now() - $2::text::interval FROM generate_series(1, $3::integer)
"""


@pytest.fixture
async def swept(pool: "Pool") -> "Pool":
    """A database with keys and events that are too old, more than a batch of each, and some that are not. No worker sweeps it."""
    await pool.execute(INSERT_KEYS, ANONYMOUS, "old ", "24 hours", BATCH + 20)
    await pool.execute(INSERT_KEYS, ANONYMOUS, "new ", "23 hours 50 minutes", 3)
    await pool.execute(INSERT_EVENTS, "old", "7 days 1 second", BATCH + 10)
    await pool.execute(INSERT_EVENTS, "new", "6 days 23 hours", 2)
    return pool


async def test_a_sweep_deletes_what_is_too_old_and_nothing_else_a_batch_at_a_time(swept: "Pool") -> None:
    assert await sweep(swept) == 2 * BATCH
    assert await stored_keys(swept) == sorted([f"new {number}" for number in (1, 2, 3)] + [f"old {number}" for number in range(1, 21)])
    assert await swept.fetchval("SELECT count(*) FROM events WHERE kind = 'old'") == 10
    assert await sweep(swept) == 30
    assert await sweep(swept) == 0
    assert await stored_keys(swept) == ["new 1", "new 2", "new 3"]
    assert [row[0] for row in await swept.fetch("SELECT kind FROM events")] == ["new", "new"]


async def test_a_sweep_waits_for_no_lock(database: str, swept: "Pool") -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("BEGIN")
        await connection.execute("SELECT FROM idempotency_keys WHERE key = 'old 5' FOR UPDATE")
        while await asyncio.wait_for(sweep(swept), patient()):
            pass
        assert await stored_keys(swept) == ["new 1", "new 2", "new 3", "old 5"]
    finally:
        await connection.close()
    assert await sweep(swept) == 1


INSERT_NOTICES = """
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, received_at, applied_at, quarantined_at, resolved_at)
SELECT 'stripe', kind || number, '', '', now(), now() - $1::text::interval, applied, quarantined, resolved
  FROM (VALUES ('applied', now(), NULL, NULL), ('dismissed', NULL, now(), now()), ('quarantined', NULL, now(), NULL),
               ('waiting', NULL, NULL, NULL), ('set aside after all', now(), now(), NULL))
       AS state (kind, applied, quarantined, resolved),
       generate_series(1, $2::integer) AS number
"""
COUNT_NOTICES = "SELECT regexp_replace(event_id, '[0-9]+$', ''), count(*)::integer FROM provider_events GROUP BY 1"


async def test_notices_of_providers_are_deleted_after_90_days_once_they_are_settled(pool: "Pool") -> None:
    half = BATCH // 2 + 10
    await pool.execute(INSERT_NOTICES, "90 days 1 second", half)
    open_kinds = dict.fromkeys(("quarantined", "waiting", "set aside after all"), half)
    assert await sweep(pool) == BATCH
    assert await sweep(pool) == 20
    assert await sweep(pool) == 0
    assert {row[0]: row[1] for row in await pool.fetch(COUNT_NOTICES)} == open_kinds
    await pool.execute("DELETE FROM provider_events")
    await pool.execute(INSERT_NOTICES, "89 days 23 hours", 1)
    assert await sweep(pool) == 0
    assert len(await pool.fetch(COUNT_NOTICES)) == 5


async def test_a_request_to_a_provider_is_never_deleted(pool: "Pool") -> None:
    account_id = await pool.fetchval(
        "INSERT INTO accounts (email, full_name, role, password_hash) VALUES ('jo@example.com', '', 'user', '') RETURNING id"
    )
    await pool.execute("INSERT INTO shop (currency_code) VALUES ('USD') ON CONFLICT DO NOTHING")
    paid = await an_order(pool, str(account_id), str(uuid.uuid4()), "captured")
    await pool.execute(
        "INSERT INTO provider_requests (provider, kind, payment_id, amount_minor, outcome, created_at, settled_at)"
        " VALUES ('stripe', 'create', $1, 1, 'succeeded', now() - interval '9 years', now() - interval '9 years')",
        uuid.UUID(paid.payment_id),
    )
    await sweep(pool)
    assert await pool.fetchval("SELECT count(*) FROM provider_requests") == 1


IDLE_S = 30 * 24 * 60 * 60.0
DAY = timedelta(days=1)
AGE_GUESTS = """
WITH aged AS (UPDATE accounts SET guest_check_at = now() - interval '1 second' WHERE role = 'guest')
UPDATE sessions SET refreshed_at = now() - $1::interval
"""
COUNTED = "SELECT count(*) FROM accounts WHERE network IS NOT NULL"
GUESTS = "SELECT id::text FROM accounts WHERE role = 'guest' ORDER BY id"
LEFT_BEHIND = """
SELECT (SELECT count(*) FROM carts), (SELECT count(*) FROM cart_items), (SELECT count(*) FROM sessions),
       (SELECT count(*) FROM refresh_tokens)
"""


async def remaining(pool: "Pool") -> list[str]:
    return [row["id"] for row in await pool.fetch(GUESTS)]


async def test_an_idle_guest_is_deleted_with_its_cart_and_its_session_ends(shop: Shop) -> None:
    admin, guest = await shop.person(admin=True), await shop.guest("idle@example.com")
    ball = await shop.product(admin)
    await shop.add(guest, ball)
    await shop.users.GetMe(GetMeRequest(), metadata=guest.metadata)  # the worker remembers the session
    await shop.pool.execute(AGE_GUESTS, 30 * DAY - timedelta(seconds=60))
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 1
    assert await remaining(shop.pool) == [guest.id]
    await shop.pool.execute(AGE_GUESTS, 30 * DAY + timedelta(seconds=60))
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 1
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 0
    assert await remaining(shop.pool) == []
    assert tuple(*await shop.pool.fetch(LEFT_BEHIND)) == (0, 0, 1, 1)  # those of the administrator

    async def has_ended() -> bool:
        try:
            await shop.users.GetMe(GetMeRequest(), metadata=guest.metadata)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    await until(has_ended)


async def test_guests_with_orders_accounts_and_guests_in_use_are_not_swept(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    buyer, cancelled = await shop.guest("a@example.com"), await shop.guest("b@example.com")
    user, upgraded = await shop.person(), await shop.guest()
    for guest in (buyer, cancelled):
        await shop.add(guest, ball)
    await shop.checkout(buyer)
    order = await shop.checkout(cancelled)
    await shop.orders.CancelOrder(CancelOrderRequest(order_id=order.id), metadata=cancelled.metadata)
    await shop.auth.SignUp(SignUpRequest(email="up@example.com", password=PASSWORD, guest_token=upgraded.refresh_token))
    await shop.pool.execute(AGE_GUESTS, 400 * DAY)
    fresh = await shop.guest()
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 2
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 0
    assert await remaining(shop.pool) == [buyer.id, cancelled.id, fresh.id]
    # Once their sessions have ended, guests with orders count no longer for their network.
    assert await shop.pool.fetchval(COUNTED) == 3
    await shop.pool.execute("UPDATE sessions SET expires_at = now() WHERE account_id <> $1", uuid.UUID(fresh.id))
    await shop.pool.execute(AGE_GUESTS, 400 * DAY)
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 3
    assert await remaining(shop.pool) == [buyer.id, cancelled.id]
    assert await shop.pool.fetchval(COUNTED) == 0
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 0
    ids = {str(row["id"]) for row in await shop.pool.fetch("SELECT id FROM accounts")}
    assert {user.id, upgraded.id, admin.id} <= ids


async def test_a_sweep_of_guests_takes_a_batch_and_waits_for_no_lock(database: str, shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    made = [await shop.guest(f"guest-{number}@example.com") for number in range(5)]
    for guest in made:
        await shop.add(guest, ball)
    await shop.pool.execute(AGE_GUESTS, 31 * DAY)
    holders = [await asyncpg.connect(database) for _ in range(2)]
    try:
        for holder, statement, guest in zip(holders, (HOLD_ACCOUNT, HOLD_CART), made, strict=False):
            await holder.execute("BEGIN")
            await holder.execute(statement, uuid.UUID(guest.id))
        assert await asyncio.wait_for(guests.sweep(shop.pool, 2, IDLE_S), patient()) == 2
        while await asyncio.wait_for(guests.sweep(shop.pool, 2, IDLE_S), patient()):
            pass
        assert await remaining(shop.pool) == [guest.id for guest in made[:2]]
    finally:
        for holder in holders:
            await holder.close()
    await shop.pool.execute(AGE_GUESTS, 31 * DAY)
    assert await guests.sweep(shop.pool, BATCH, IDLE_S) == 2
    assert await remaining(shop.pool) == []


HOLD_ACCOUNT = "SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE"
HOLD_CART = "SELECT FROM carts WHERE account_id = $1 FOR NO KEY UPDATE"


async def test_uploads_of_pictures_go_when_they_are_settled_or_expired(pool: "Pool") -> None:
    for state, days in (("waiting", 0), ("waiting", 2), ("pending", 9), ("ready", 6), ("ready", 8), ("refused", 6), ("refused", 8)):
        await pool.execute(
            """INSERT INTO picture_uploads (state, file, digest, message, created_at, expires_at)
               VALUES ($1, nullif($1, 'waiting'), CASE WHEN $1 = 'ready' THEN sha256('') END, $2::integer::text,
                       now() - $2::integer * interval '1 day', now())""",
            state,
            days,
        )
    await sweep(pool)
    kept = await pool.fetch("SELECT state, message FROM picture_uploads ORDER BY state, message")
    assert [(row["state"], row["message"]) for row in kept] == [("pending", "9"), ("ready", "6"), ("refused", "6"), ("waiting", "0")]


async def test_a_job_of_a_picture_stays_as_long_as_its_upload(pool: "Pool") -> None:
    kept = await pool.fetchval("INSERT INTO picture_uploads (state, file, expires_at) VALUES ('pending', 'x', now()) RETURNING id")
    for upload_id in (kept, uuid.uuid4()):
        await pool.execute(
            """INSERT INTO pgqueuer (priority, entrypoint, payload, status, created)
               VALUES (0, 'picture', uuid_send($1), 'failed', now() - interval '8 days')""",
            upload_id,
        )
    await sweep(pool)
    assert [row[0] for row in await pool.fetch("SELECT encode(payload, 'hex')::uuid FROM pgqueuer")] == [kept]
