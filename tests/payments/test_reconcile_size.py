"""The comparison of many payments: what is planted among them is found, and memory stays within its bound (`--soak`: 100,000)."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from mercato_server.embedded.postgres import Postgres
from support.commands import environ
from support.databases import copied
from support.patience import patient
from support.stripe_double.account import Account
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble
from support.stripe_double.objects import Charge, Dispute, Intent, Refund

FEW = 200
QUICK, FULL = 2_000, 100_000
DAYS = 29
NOISE = 16 * 1024 * 1024
"""Bytes by which pages and the allocator's rest may differ; each payment may add 16."""
PROGRAM = """
import sys
from mercato_server.cli.commands import app
try:
    app()
finally:
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    print(int(peak) * 1024, file=sys.stderr)
"""
"""The command, and then its peak of resident memory; that of getrusage may be the one of the process that has started it."""

SEED = """
WITH buyer AS (
    INSERT INTO accounts (email, full_name, role, password_hash) VALUES ('many@example.com', '', 'user', '') RETURNING id
), made AS MATERIALIZED (
    SELECT number, uuidv7() AS id, uuidv7() AS order_id,
           now() - interval '1 hour' - $2::interval * (1 - number::float8 / $1) AS created_at
      FROM generate_series(1, $1::bigint) AS number
), placed AS (
    INSERT INTO orders (id, account_id, status, currency_code, total_minor, created_at)
    SELECT order_id, buyer.id, 'paid', 'USD', 1000, created_at FROM made, buyer
), paid AS (
    INSERT INTO payments (id, order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, captured_minor,
                          refunded_minor, created_at)
    SELECT id, order_id, 'stripe', 'online', 'pi_' || number, 'captured', false, 'USD', 1000, 1000,
           CASE WHEN number % 10 = 0 THEN 100 ELSE 0 END, created_at
      FROM made
), refunded AS (
    INSERT INTO refunds (payment_id, order_id, state, amount_minor, currency_code, provider_ref, is_own, reason, actor_kind, created_at)
    SELECT id, order_id, 'succeeded', 100, 'USD', 're_' || number, false, '', 'provider', created_at FROM made WHERE number % 10 = 0
), disputed AS (
    INSERT INTO disputes (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason, created_at)
    SELECT id, order_id, 'du_' || number, 'lost', 1000, 0, 'USD', 'fraudulent', created_at FROM made WHERE number % 100 = 0
)
SELECT number, id::text, floor(extract(epoch FROM created_at))::bigint AS created FROM made ORDER BY number
"""


@pytest.fixture
async def empty_shop(postgres: Postgres) -> AsyncIterator[str]:
    """Another migrated database."""
    async with copied(postgres) as url:
        yield url


async def seed(database: str, account: Account, count: int) -> None:
    """Put payments into the shop and the provider, a tenth of them with a refund, and a hundredth with a dispute."""
    connection = await asyncpg.connect(database)
    for number, id_, created in await connection.fetch(SEED, count, timedelta(days=DAYS)):
        pi, ch, metadata = f"pi_{number}", f"ch_{number}", {"payment_id": id_}
        account.intents[pi] = Intent(
            pi, f"{pi}_secret", 1_000, "usd", created, "automatic", "pm_card_visa", metadata, status="succeeded", latest_charge=ch,
            amount_received=1_000,
        )  # fmt: skip
        account.charges[ch] = Charge(ch, pi, 1_000, "usd", created, "pm_card_visa", metadata, captured=True, amount_captured=1_000)
        if number % 10 == 0:
            account.refunds[f"re_{number}"] = Refund(f"re_{number}", ch, pi, 100, "usd", created, "succeeded")
        if number % 100 == 0:
            account.disputes[f"du_{number}"] = Dispute(f"du_{number}", ch, pi, 1_000, "usd", created, "lost", "fraudulent")
    await connection.execute("ANALYZE")
    await connection.close()


async def plant(database: str, account: Account, count: int) -> dict[str, int]:
    """Let the sides disagree; return the kinds that must be found, with their counts."""
    del account.intents["pi_7"], account.intents[f"pi_{count - 3}"], account.refunds["re_20"], account.disputes["du_100"]
    account.intents["pi_11"].status, account.intents["pi_11"].amount_received = "canceled", 0
    account.refunds["re_30"].status = "failed"
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE payments SET captured_minor = 900 WHERE provider_ref = 'pi_12'")
    await connection.execute(
        "UPDATE orders SET status = 'cancelled' WHERE id = (SELECT order_id FROM payments WHERE provider_ref = 'pi_13')"
    )
    await connection.close()
    return {
        "missing_at_provider": 2,
        "refund_missing_at_provider": 1,
        "dispute_missing_at_provider": 1,
        "state_differs": 1,
        "refund_state_differs": 1,
        "captured_differs": 1,
        "cancelled_keeps_money": 1,
    }


async def run(database: str, double: StripeDouble) -> tuple[dict[str, Any], int, float]:
    """Run the command; return its summary, its peak of resident memory in bytes, and its seconds."""
    env = environ(database) | {
        "MERCATO_STRIPE_SECRET_KEY": SECRET_KEY,
        "MERCATO_STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "MERCATO_STRIPE_URL": double.url,
        "MERCATO_STRIPE_REQUESTS_PER_SECOND": "100000",
        "MERCATO_STRIPE_TIMEOUT_MS": "60000",
    }
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, "reconcile", "--json", env=env, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), patient() * 20)
    assert process.returncode in {0, 1}, err
    return json.loads(out.splitlines()[-1]), int(err.splitlines()[-1]), time.monotonic() - began


async def test_many_payments_are_compared_within_bounded_memory(
    database: str, empty_shop: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    count = FULL if request.config.getoption("--soak") else QUICK
    few, many = StripeDouble(), StripeDouble()
    for double, url, size in ((few, empty_shop, FEW), (many, database, count)):
        await double.start()
        await seed(url, double.account, size)
    summary, least, _ = await run(empty_shop, few)
    assert (summary["result"], summary["payments"], summary["refunds"], summary["disputes"]) == ("clean", FEW, FEW // 10, FEW // 100)
    planted = await plant(database, many.account, count)
    summary, peak, seconds = await run(database, many)
    assert summary["kinds"] == planted
    assert summary["payments"] == count - 2
    with capsys.disabled():
        sys.stdout.write(f"\nreconcile: {count} payments in {seconds:.0f} s, at most {peak / 1e6:.0f} MB; {FEW}: {least / 1e6:.0f} MB\n")
    assert peak - least <= 16 * count + NOISE
    for double in (few, many):
        await double.stop()
