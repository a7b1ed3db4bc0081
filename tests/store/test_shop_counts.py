"""Counts over the whole shop for its metrics."""

import pytest

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind
from mercato_server.store import shop_counts
from mercato_server.store.shop_counts import QueueCounts, count_jobs, count_out_of_stock

JOBS = """
INSERT INTO pgqueuer (priority, entrypoint, status, execute_after)
SELECT 0, queue, status::pgqueuer_status, now() + make_interval(secs => due_s)
  FROM unnest($1::text[], $2::text[], $3::integer[]) AS job (queue, status, due_s)
"""


async def test_jobs_are_counted_by_queue_and_state_with_the_age_of_the_oldest_that_is_due(pool: "Pool") -> None:
    jobs = [
        ("mail", "queued", -100),
        ("mail", "queued", 500),
        ("mail", "picked", -900),
        ("mail", "failed", -900),
        ("picture", "queued", 60),
    ]
    await pool.execute(JOBS, *map(list, zip(*jobs, strict=True)))
    await pool.execute(JOBS, ["of another release"], ["queued"], [-5000])
    found = await count_jobs(pool)
    assert set(found) == set(JobKind)
    mail = found["mail"]
    assert 100 <= mail.oldest_s < 900
    assert mail._replace(oldest_s=0) == QueueCounts(queued=2, running=1, failed=1, oldest_s=0)
    assert found["picture"] == QueueCounts(queued=1, running=0, failed=0, oldest_s=0)


async def test_a_backlog_is_counted_up_to_a_bound(pool: "Pool", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_counts, "JOBS_MAX", 3)
    await pool.execute(JOBS, ["mail"] * 5, ["queued"] * 5, [0] * 5)
    assert (await count_jobs(pool))["mail"].queued == 3


async def test_products_on_sale_without_stock_are_counted(pool: "Pool") -> None:
    await pool.execute(
        """
        WITH made AS (
            INSERT INTO products (name, description, price_minor, currency_code, image_urls, deleted_at)
            SELECT 'Thing ' || number, '', 1, 'USD', '{}', CASE number WHEN 4 THEN now() END FROM generate_series(1, 4) AS number
            RETURNING id, name
        )
        INSERT INTO stock_levels (product_id, on_hand) SELECT id, CASE name WHEN 'Thing 1' THEN 1 ELSE 0 END FROM made
        """
    )
    assert await count_out_of_stock(pool) == 2
