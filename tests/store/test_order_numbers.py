"""The numbers of orders that an earlier release has placed, which wrote neither numbers nor contact e-mails."""

import asyncio
import itertools

import asyncpg
import pytest

from mercato_server.background.backfills import keep_filling
from mercato_server.database.pool import Pool
from mercato_server.domain.order_numbers import parsed
from mercato_server.store import order_numbers
from support.patience import until

ACCOUNTS = """
INSERT INTO accounts (email, full_name, role, password_hash) SELECT 'a' || n || '@example.com', '', 'user', '' FROM generate_series(0, 9) n
"""
PLACE = """
INSERT INTO orders (account_id, status, currency_code, total_minor)
SELECT (SELECT id FROM accounts WHERE email = 'a' || n % 10 || '@example.com'), 'placed', 'USD', n FROM generate_series(1, $1::integer) n
"""
PLACE_NEW = """
INSERT INTO orders (account_id, status, currency_code, total_minor, number, contact_email)
SELECT id, 'placed', 'USD', 1, '9QK2W0F3XTE', 'other@example.com' FROM accounts LIMIT 1
"""
UNNUMBERED = "SELECT count(*) FROM orders WHERE number IS NULL"
ORDERS = """
SELECT number, contact_email, email::text, version, orders.updated_at = orders.created_at AS is_unchanged
  FROM orders
  JOIN accounts ON accounts.id = account_id
"""


async def test_orders_without_a_number_get_one_and_others_keep_theirs(pool: "Pool") -> None:
    await pool.execute(ACCOUNTS)
    await pool.execute(PLACE_NEW)
    await pool.execute(PLACE, 2 * order_numbers.BATCH + 1)
    numbering = asyncio.create_task(keep_filling(pool, order_numbers.give_numbers, interval_s=0.01))
    await until(lambda: is_done(pool))
    await pool.execute(PLACE, 3)  # by a worker of the previous release, during an upgrade
    await until(lambda: is_done(pool))
    numbering.cancel()
    rows = await pool.fetch(ORDERS)
    numbers = {row["number"] for row in rows}
    assert len(numbers) == len(rows) == 2 * order_numbers.BATCH + 5
    assert {number for number in numbers if parsed(number) != number} == set()
    new = [(row["number"], row["contact_email"]) for row in rows if row["contact_email"] != row["email"]]
    assert new == [("9QK2W0F3XTE", "other@example.com")]
    assert {(row["version"], row["is_unchanged"]) for row in rows} == {(1, True)}


async def is_done(pool: "Pool") -> bool:
    return bool(await pool.fetchval(UNNUMBERED) == 0)


async def test_two_workers_number_each_order_once_and_leave_one_that_is_held(pool: "Pool") -> None:
    await pool.execute(ACCOUNTS)
    await pool.execute(PLACE, 3 * order_numbers.BATCH)
    async with pool.acquire() as conn, conn.transaction():
        held = await conn.fetchval("SELECT id FROM orders ORDER BY id LIMIT 1 FOR NO KEY UPDATE")
        counts = [sum(await asyncio.gather(order_numbers.give_numbers(pool), order_numbers.give_numbers(pool))) for _ in range(3)]
        assert sum(counts) == 3 * order_numbers.BATCH - 1
        assert await conn.fetchval("SELECT id FROM orders WHERE number IS NULL") == held
    assert await order_numbers.give_numbers(pool) == 1
    assert await order_numbers.give_numbers(pool) == 0


async def test_a_number_that_another_order_has_is_drawn_again(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    await pool.execute(ACCOUNTS)
    await pool.execute(PLACE_NEW)
    await pool.execute(PLACE, 1)
    numbers = itertools.chain(["9QK2W0F3XTE"], ["0000000000" + "0"])
    monkeypatch.setattr(order_numbers, "new_numbers", lambda count: list(itertools.islice(numbers, count)))
    with pytest.raises(asyncpg.UniqueViolationError):
        await order_numbers.give_numbers(pool)
    assert await pool.fetchval(UNNUMBERED) == 1
    assert await order_numbers.give_numbers(pool) == 1


async def test_orders_without_a_number_are_found_by_an_index(pool: "Pool") -> None:
    async with pool.acquire() as conn:
        for statement in (order_numbers.HAS_UNNUMBERED, order_numbers.LOCK_UNNUMBERED.replace("$1", "200")):
            text = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {statement}"))
            assert "orders_without_number" in text, text
