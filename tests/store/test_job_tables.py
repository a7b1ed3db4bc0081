"""The tables of pgqueuer, which our migration writes down."""

import re

from pgqueuer.adapters.persistence.queries import Queries

from mercato_server import db


async def test_they_are_what_pgqueuer_declares_without_notify_and_schedules(pool: "db.Pool") -> None:
    plan = await Queries.from_asyncpg_pool(pool).plan_upgrade()
    unlike = [statement for statement in plan.statements if not re.search(r"pgqueuer_schedules|fn_pgqueuer_changed|tg_pgqueuer", statement)]
    assert unlike == []
    assert len(plan.statements) > 0


async def test_nothing_is_notified(pool: "db.Pool") -> None:
    assert await pool.fetchval("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
