"""Measure calls per second and processor time per call, over gRPC and REST, beside an empty RPC of the same server."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

import cases
import goods
import report
from cases import GRPC, Case, Load
from mercato_server.embedded.processes import EmbeddedError
from report import Row, Sample
from stage import Stage, stage

RESULTS = Path(__file__).with_name("results")
PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
"""So that two calls at once are hardly ever of one account."""
WARM_UP_S = 1.0


def main() -> int:
    """Run from the command line; returns the exit code, 1 if anything was answered wrongly."""
    options = _options()
    try:
        found = asyncio.run(_until_stopped(options))
    except (EmbeddedError, goods.Mismatch) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    failures = [f"{row.way} {row.name}: {count} failed: {why}" for row in found for why, count in row.failures.items()]
    print("\n".join(failures), file=sys.stderr, end="\n" if failures else "")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds; each measures every case once")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of one measurement (checkouts last until every cart is bought)")
    parser.add_argument("--concurrency", type=_positive, default=64, help="callers at once")
    parser.add_argument("--buyers", type=_positive, default=2_000, help="carts that a round of checkouts buys")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s, 1000 buyers: a first look")
    parser.add_argument(
        "--only", default="", help="measure only the cases whose name contains this, and the empty RPC; leaves benchmarks/results/ as it is"
    )
    parser.add_argument("--directory", type=Path, help="where the data lives for the time being; a disk, or fsync costs nothing")
    parser.add_argument("--no-results", action="store_true", help="print only, and leave benchmarks/results/ as it is")
    if parser.parse_args().quick:
        parser.set_defaults(rounds=3, seconds=1.0, buyers=1_000)
    return parser.parse_args()


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


async def _until_stopped(options: argparse.Namespace) -> list[Row]:
    """Measure; a SIGTERM cleans up, too."""
    task = asyncio.ensure_future(_measure(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _measure(options: argparse.Namespace) -> list[Row]:
    load = Load(options.concurrency, options.seconds)
    with tempfile.TemporaryDirectory(prefix="mercato-benchmark-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o711)  # noqa: ASYNC240 - nothing runs yet; as root, PostgreSQL runs as nobody and must find its way in
        async with stage(directory) as running:
            conn = await asyncpg.connect(running.database_url)
            try:
                wanted = await _cases(options, running, conn)
                samples = await _rounds(wanted, running, conn, load, options.rounds)
                await goods.require_ledger(conn)
                machine = report.machine(await conn.fetchval("SHOW server_version"))
            finally:
                await conn.close()
    found = report.rows(wanted, samples)
    print(report.setting(found, machine, load, options.rounds))
    print(report.text(report.table(found)))
    if not (options.no_results or options.only or any(row.failures for row in found)):
        report.write(RESULTS, found, machine, load, options.rounds)
    return found


async def _cases(options: argparse.Namespace, running: Stage, conn: "asyncpg.Connection[asyncpg.Record]") -> list[Case]:
    """Make the goods and warm everything up: pools, plans, caches, connections of Envoy."""
    shoppers = options.concurrency * SHOPPERS_PER_CALLER
    wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=options.buyers)
    page, _ = await cases.listing(GRPC).run(running, conn, Load(1, 0.1))
    every = cases.all_cases(wares, page.reply_bytes)
    wanted = [case for number, case in enumerate(every) if number == 0 or options.only.lower() in case.name.lower()]
    for case in wanted:
        await case.run(running, conn, Load(options.concurrency, min(WARM_UP_S, options.seconds)))
    return wanted


async def _rounds(
    wanted: Sequence[Case], running: Stage, conn: "asyncpg.Connection[asyncpg.Record]", load: Load, rounds: int
) -> list[list[Sample]]:
    """Measure every case once a round, forwards and backwards in turn, so that a slow drift of the machine falls on all alike."""
    samples: list[list[Sample]] = [[] for _ in wanted]
    for number in range(rounds):
        order = range(len(wanted)) if number % 2 == 0 else reversed(range(len(wanted)))
        for index in order:
            samples[index].append(Sample.of(*await wanted[index].run(running, conn, load)))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return samples


if __name__ == "__main__":
    sys.exit(main())
