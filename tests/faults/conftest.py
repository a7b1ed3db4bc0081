"""The stage of the fault tests: databases with goods, and where each test says what it did and counted."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from faults.buyers import Goods, Tally, stock_up
from faults.oracle import judge
from mercato_server.database import migrations
from mercato_server.embedded.postgres import Postgres
from support.fault_report import PROPERTY

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
    """Goods in a database of the test's own, on a server that others use too."""
    return await stock_up(database, buyers=scale(BUYERS, SOAK_BUYERS))


@pytest.fixture
async def durable_postgres(directory: Path) -> AsyncIterator[Postgres]:
    """A PostgreSQL server that keeps what it acknowledged whatever happens to it; the test may do anything to it."""
    server = Postgres(directory / "data")
    try:
        await server.start()
        await migrations.migrate(server.url())
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def durable_goods(durable_postgres: Postgres, scale: Scale) -> Goods:
    """Goods on a server of the test's own."""
    return await stock_up(durable_postgres.url(), buyers=scale(BUYERS, SOAK_BUYERS))


@pytest.fixture
def conclude(record_property: Callable[[str, object], None]) -> "Conclude":
    """Check what must hold after every fault, and note what was done and counted."""
    return Conclude(record_property)


class Conclude:
    """Checks what must hold after every fault, and notes what was done and counted."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    async def __call__(self, fault: str, goods: Goods, tally: Tally, **did: object) -> None:
        """Judge the database; ask when no worker runs any more."""
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
        assert verdict.findings == []
