"""Fixtures of the fault tests: databases with goods, and the record of each test's faults and counts."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from faults.buyers import Goods, Tally, stock_up
from faults.oracle import Verdict, judge
from mercato_server.database import migrations
from mercato_server.embedded.postgres import Postgres
from support.fault_report import PROPERTY
from support.stripe_double.double import StripeDouble

BUYERS = 16
SOAK_BUYERS = 64

Scale = Callable[[int, int], int]


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> Scale:
    """Choose between the numbers of a quick run and those of `--soak`."""
    soak = request.config.getoption("--soak")
    return lambda quick, full: full if soak else quick


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets, which PostgreSQL may enter."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-faults-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def goods(database: str, scale: Scale) -> Goods:
    """Goods in the test's own database, on a shared server."""
    return await stock_up(database, buyers=scale(BUYERS, SOAK_BUYERS))


@pytest.fixture
async def durable_postgres(directory: Path) -> AsyncIterator[Postgres]:
    """A durable PostgreSQL server of the test's own, which the test may stop, kill and starve."""
    server = Postgres(directory / "data")
    try:
        await server.start()
        await migrations.migrate(server.url())
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def durable_goods(durable_postgres: Postgres, scale: Scale) -> Goods:
    """Goods on the test's own server."""
    return await stock_up(durable_postgres.url(), buyers=scale(BUYERS, SOAK_BUYERS))


@pytest.fixture
async def double() -> AsyncIterator[StripeDouble]:
    """A double of Stripe; the tests that pay check its money."""
    double = StripeDouble()
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def conclude(record_property: Callable[[str, object], None]) -> "Conclude":
    """Check the invariants after a fault, and record the fault and the counts."""
    return Conclude(record_property)


class Conclude:
    """Checks the invariants after a fault, and records the fault and the counts."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    async def __call__(self, fault: str, goods: Goods, tally: Tally, **did: object) -> None:
        """Judge the database; call this when no worker runs any more."""
        verdict = await self.record(fault, goods, tally, did)
        assert verdict.findings == []

    async def record(self, fault: str, goods: Goods, tally: Tally, did: Mapping[str, object]) -> Verdict:
        """Judge the database, and record the verdict, whatever it is."""
        verdict = await judge(goods.database_url, tally)
        counts = {
            "fault": fault,
            "did": {name.replace("_", " "): value for name, value in did.items()},
            "acknowledged": len(tally.acknowledged),
            "refused": sum(tally.refused.values()),
            "unknown": tally.unknown,
            "retried": tally.retried,
            "replayed": tally.replayed,
            "duplicates": verdict.duplicates,
            "lost": verdict.lost,
            "oversold": verdict.oversold,
            "failed": dict(tally.codes),
        }
        self._record(PROPERTY, json.dumps(counts))
        return verdict
