"""Fixtures of the failover tests: a cluster, and goods in a database of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from faults.buyers import Goods, stock_up
from faults.conftest import conclude, directory, scale  # noqa: F401 - pytest finds fixtures by the names in this module
from ha.cluster import Cluster
from ha.network import free_network
from ha.programs import PATRONI, find
from mercato_server.database import migrations
from support import needs
from support.clusters import cluster_directory

BUYERS = 32
NEEDS = (
    (needs.ETCD, find("etcd")),
    (needs.PGBOUNCER, find("pgbouncer")),
    (needs.HAPROXY, find("haproxy")),
    (needs.PATRONI, PATRONI.exists()),
)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")  # until the end of the one module, not that of the whole run
def cluster() -> Iterator[Cluster]:
    """A running cluster, which each test leaves with a leader and all its machines running."""
    for need, available in NEEDS:
        if not available:
            need.skip()
    with cluster_directory() as files, free_network() as network:
        cluster = Cluster(files, network)
        try:
            asyncio.run(cluster.start())
            yield cluster
        finally:
            asyncio.run(cluster.stop())


@pytest.fixture
async def goods(cluster: Cluster) -> AsyncIterator[Goods]:
    """Goods in the test's own database."""
    await cluster.settled()
    name = f"test_{next(_numbers)}"
    await cluster.create_database(name)
    url = cluster.url(name)
    await migrations.migrate(url)
    yield await stock_up(url, buyers=BUYERS)
    await cluster.revive()
    await cluster.drop_database(name)
