"""The tables of mail: those of pgqueuer, which our migration copies, and the leases of mails."""

import asyncio
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pgqueuer.adapters.persistence.queries import Queries

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.events import EventKind
from mercato_server.domain.mails import Template
from mercato_server.store import feed_cursors, mails, order_books, order_mails
from mercato_server.store.events import Cursor, Entry
from mercato_server.store.mails import MailBusyError

OMITTED = r"pgqueuer_schedules|fn_pgqueuer_changed|tg_pgqueuer"


@pytest.fixture
async def mail_id(pool: "Pool") -> UUID:
    await mails.request_reset(pool, "jo@example.com", 5)
    found = await pool.fetchval("SELECT id FROM mails")
    assert isinstance(found, UUID)
    return found


async def test_the_jobs_tables_equal_those_of_pgqueuer_without_notify_and_schedules(pool: "Pool") -> None:
    plan = await Queries.from_asyncpg_pool(pool).plan_upgrade()
    assert [statement for statement in plan.statements if not re.search(OMITTED, statement)] == []
    assert len(plan.statements) > 0


async def test_nothing_is_notified(pool: "Pool") -> None:
    """The triggers that pgqueuer would install are the ones that notify."""
    triggers = await pool.fetch(
        "SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal ORDER BY tgname"
    )
    assert "orders_are_kept" in {row["tgname"] for row in triggers}
    assert [row["tgname"] for row in triggers if "notify" in row["prosrc"].lower()] == []


async def test_a_mail_is_leased_by_one_until_it_is_given_back_or_the_time_is_up(pool: "Pool", mail_id: UUID) -> None:
    mail = await mails.lease(pool, mail_id, 30)
    assert mail is not None
    assert (mail.id, mail.template, mail.address) == (mail_id, Template.RESET_PASSWORD, "jo@example.com")
    with pytest.raises(MailBusyError) as busy:
        await mails.lease(pool, mail_id, 30)
    assert 25 < busy.value.seconds <= 30
    await mails.release(pool, mail_id)
    assert await mails.lease(pool, mail_id, 30) is not None
    await pool.execute("UPDATE mails SET leased_until = now()")
    assert await mails.lease(pool, mail_id, 30) is not None
    await mails.set_sent(pool, mail_id)
    assert await mails.lease(pool, mail_id, 30) is None


@pytest.mark.race
async def test_of_many_who_lease_a_mail_at_once_one_gets_it(pool: "Pool", mail_id: UUID, race_rounds: int) -> None:
    for _ in range(race_rounds):
        answers = await asyncio.gather(*(mails.lease(pool, mail_id, 30) for _ in range(16)), return_exceptions=True)
        assert sum(not isinstance(answer, MailBusyError) for answer in answers) == 1
        assert None not in answers
        await mails.release(pool, mail_id)


async def test_the_mail_of_an_order_is_queued_while_a_call_changes_the_order(pool: "Pool") -> None:
    account = "INSERT INTO accounts (email, full_name, role, password_hash) VALUES ('jo@example.com', 'Jo', 'user', '') RETURNING id"
    order = "INSERT INTO orders (account_id, status, currency_code, total_minor) VALUES ($1, 'placed', 'USD', 0) RETURNING id"
    order_id = await pool.fetchval(order, await pool.fetchval(account))
    async with transaction(pool) as changing, transaction(pool) as consuming:
        await changing.fetchrow(order_books.LOCK_ORDERS, [order_id])
        await consuming.execute("SET LOCAL lock_timeout = '10ms'")
        await order_mails.queue(consuming, [Entry(Cursor(), EventKind.ORDER_PLACED, order_id, {}, datetime.now(UTC))])
    assert await pool.fetchval("SELECT order_id FROM mails") == order_id


async def test_the_orders_to_come_are_looked_for_by_an_index(pool: "Pool") -> None:
    await pool.execute("INSERT INTO events (kind, subject_id) SELECT 'stock.changed', uuidv7() FROM generate_series(1, 5000)")
    await pool.execute("ANALYZE events")
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {feed_cursors.GET_BACKLOG}", "1", 1, order_mails.KINDS))
    assert re.search(r"Index Cond: \(\(ROW\(xid, id\) > ROW", plan), plan
