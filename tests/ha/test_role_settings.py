"""A worker behind a pooler gets its parameters from its role."""

from pathlib import Path

import pytest

from faults.buyers import Goods
from faults.processes import Worker, running
from ha.cluster import Cluster
from ha.trading import printed_role_settings, url_of

# PgBouncer keeps connections whose parameters are those of before; an operator tells it to RECONNECT.
DISCONNECT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'mercato'"


async def test_a_worker_behind_pgbouncer_starts_once_its_role_has_the_printed_settings(
    cluster: Cluster, goods: Goods, directory: Path
) -> None:
    await cluster.execute("ALTER ROLE mercato RESET ALL")
    worker = Worker(directory, url_of(cluster, goods, cluster.nodes, "pgbouncer"))
    with pytest.raises(AssertionError, match="mercato migrate --print-role-settings"):
        await worker.start()
    for statement in await printed_role_settings(goods.database_url):
        await cluster.execute(statement)
    await cluster.execute(DISCONNECT)
    async with running(worker):
        pass
