"""Options, temporary shops, rounds and exit codes that all benchmarks share."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

import goods
from cases import Run
from mercato_server.database.pool import Conn
from mercato_server.embedded.processes import EmbeddedError
from report import Sample
from stage import ONE_WORKER, Stage, stage

Found = TypeVar("Found")
Name = TypeVar("Name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and durations of the measurements; `thorough` adds measurements that explain the goals."""

    rounds: int
    seconds: float
    """Duration of one measurement."""
    turns: int
    """Checkouts of each caller in one measurement."""
    concurrencies: Sequence[int]
    few: int
    """Rounds of measurements that take long and decide no goal, or hardly vary."""
    catalogs: Sequence[int]
    """Products in each catalog, the smallest first."""
    cached: int
    """Products that fill a worker's cache."""
    orders: Sequence[int]
    """Past orders in each database, the smaller first."""
    clients: Sequence[int]
    """Clients that are connected at the same time."""
    thorough: bool
    concurrency: int = 64
    crowd: int = 1_000
    """Concurrent buyers of one product."""
    warm_up_s: float = 0.3


FULL = Scale(
    rounds=5,
    seconds=2.0,
    turns=50,
    concurrencies=(1, 4, 16, 64, 128),
    few=3,
    catalogs=(1_000, 10_000, 100_000, 1_000_000),
    cached=100_000,
    orders=(100_000, 10_000_000),
    clients=(10, 100, 1_000, 10_000),
    thorough=True,
)
QUICK = Scale(
    rounds=3,
    seconds=0.4,
    turns=26,
    concurrencies=(1, 8, 64),
    few=1,
    catalogs=(1_000, 5_000, 20_000),
    cached=20_000,
    orders=(1_000, 20_000),
    clients=(10, 1_000),
    thorough=False,
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--directory", type=Path, help="where the data lives for the time being; a disk, or fsync costs nothing")
    return options


def positive(value: str) -> int:
    """Parse a positive number of the command line."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def carry_out(measure: Coroutine[Any, Any, Sequence[str]]) -> int:
    """Measure and print the failures; returns the exit code, 1 if an answer was wrong."""
    try:
        failures = asyncio.run(_until_stopped(measure))
    except (EmbeddedError, goods.Mismatch) as error:
        failures = [f"benchmark: {error}"]
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


async def _until_stopped(measure: Coroutine[Any, Any, Found]) -> Found:
    """Measure; on SIGTERM too, the processes and directories are removed."""
    task = asyncio.ensure_future(measure)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


@asynccontextmanager
async def shop(
    parent: Path | None, *, workers: Mapping[str, Mapping[str, str]] = ONE_WORKER, edge: bool = True, preload: str = ""
) -> AsyncIterator[tuple[Stage, "Conn"]]:
    """Run a shop in a directory that is removed at the end; yields the shop and a connection to its database.

    Raises goods.Mismatch if at the end the stock is not the sum of its ledger.
    """
    with tempfile.TemporaryDirectory(prefix="mercato-benchmark-", dir=parent) as name:
        directory = Path(name)
        directory.chmod(0o711)  # noqa: ASYNC240 - nothing runs yet; as root, PostgreSQL runs as another user, which must enter
        async with stage(directory, workers=workers, edge=edge, preload=preload) as running:
            conn = await asyncpg.connect(running.database_url)
            try:
                yield running, conn
                await goods.require_ledger(conn)
            finally:
                await conn.close()


async def interleave(cases: Sequence[Callable[[], Awaitable[Found]]], rounds: int) -> list[list[Found]]:
    """Measure every case once per round, alternately forwards and backwards, so that a slow drift of the machine affects all alike."""
    found: list[list[Found]] = [[] for _ in cases]
    for number in range(rounds):
        order = range(len(cases)) if number % 2 == 0 else reversed(range(len(cases)))
        for index in order:
            found[index].append(await cases[index]())
    return found


async def measure(lines: Mapping[Name, Callable[[], Awaitable[Run]]], rounds: int) -> dict[Name, list[Sample]]:
    """Measure every line once per round, in turns."""
    found = await interleave([*lines.values()], rounds)
    return {name: [Sample.of(run) for run in own] for name, own in zip(lines, found, strict=True)}
