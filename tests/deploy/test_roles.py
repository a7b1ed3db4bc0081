"""The two roles of deploy/postgres/roles.sql: the owner migrates, and a worker serves with the other one, which cannot change tables."""

import os
import subprocess
import sys

import asyncpg
import grpc
import pytest

from deploy.conftest import Deployed
from mercato_server.database.pool import small_pool
from mercato_server.worker import running
from support.patience import patient
from support.shop import Shop, settings_of


async def test_the_owner_migrates_and_a_worker_serves_with_the_rights_of_rows(deployed: Deployed) -> None:
    env = {"PATH": os.environ["PATH"], "DATABASE_URL_FILE": str(deployed.secrets / "migrate_database_url")}
    migrated = subprocess.run(  # noqa: ASYNC221 - nothing else runs yet
        [sys.executable, "-m", "mercato_server", "migrate"], env=env, capture_output=True, text=True, check=False, timeout=patient()
    )
    assert migrated.returncode == 0, migrated.stderr
    url = (deployed.secrets / "worker_database_url").read_text()
    settings = settings_of(url)
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, small_pool(url) as pool:
        shop = Shop(channel, pool)
        admin, buyer = await shop.person(admin=True), await shop.person()
        ball = await shop.product(admin)
        await shop.add(buyer, ball)
        order = await shop.checkout(buyer)
        assert await pool.fetchval("SELECT count(*) FROM orders WHERE id = $1", order.id) == 1
        assert await pool.fetchval("SELECT current_user") == "mercato_worker"
        for statement in ("ALTER TABLE orders ADD COLUMN mine int", "DROP TABLE orders", "TRUNCATE orders", "CREATE TABLE mine ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)
