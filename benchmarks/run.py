"""Measure calls per second and processor time per call, over gRPC and REST, beside an empty RPC of the same server."""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import cases
import goods
import report
import runs
from cases import GRPC, Case, Load
from mercato_server.db import Conn
from report import Row, Sample
from stage import Stage

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
"""So that two calls at once are hardly ever of one account."""
WARM_UP_S = 1.0


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of one measurement (checkouts last until every cart is bought)")
    parser.add_argument("--buyers", type=runs.positive, default=2_000, help="carts that a round of checkouts buys")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s, 1000 buyers: a first look")
    parser.add_argument(
        "--only", default="", help="measure only the cases whose name contains this, and the empty RPC; leaves benchmarks/results/ as it is"
    )
    if parser.parse_args().quick:
        parser.set_defaults(rounds=3, seconds=1.0, buyers=1_000)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure, and print and keep the table; returns what failed."""
    load = Load(options.concurrency, options.seconds)
    async with runs.shop(options.directory) as (running, conn):
        wanted = await _cases(options, running, conn)
        samples = await runs.interleave([partial(_sample, case, running, conn, load) for case in wanted], options.rounds)
        machine = report.machine(await conn.fetchval("SHOW server_version"))
    found = report.rows(wanted, samples)
    failures = [f"{row.way} {row.name}: {count} failed: {why}" for row in found for why, count in row.failures.items()]
    setting = _setting(found, machine, load, options.rounds)
    print(setting)
    print(report.text(report.table(found)))
    if not (options.no_results or options.only or failures):
        content = {"machine": machine, "load": asdict(load), "rounds": options.rounds, "calls": [asdict(row) for row in found]}
        report.write(runs.RESULTS, "latest", content, f"{setting}\n\n{report.markdown(report.table(found))}\n\n{report.NOTE}\n")
    return failures


async def _cases(options: argparse.Namespace, running: Stage, conn: "Conn") -> list[Case]:
    """Make the goods and warm everything up: pools, plans, caches, connections of Envoy."""
    shoppers = options.concurrency * SHOPPERS_PER_CALLER
    wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=options.buyers)
    page = await cases.listing(GRPC).run(running, conn, Load(1, 0.1))
    every = cases.all_cases(wares, page.outcome.reply_bytes)
    wanted = [case for number, case in enumerate(every) if number == 0 or options.only.lower() in case.name.lower()]
    for case in wanted:
        await case.run(running, conn, Load(options.concurrency, min(WARM_UP_S, options.seconds)))
    return wanted


async def _sample(case: Case, running: Stage, conn: "Conn", load: Load) -> Sample:
    return Sample.of(await case.run(running, conn, load))


def _setting(found: Sequence[Row], machine: dict[str, Any], load: Load, rounds: int) -> str:
    strangers = statistics.median(row.strangers.median for row in found)
    words = f"one worker, {load.concurrency} callers at once, {rounds} rounds of {load.seconds:g} s"
    return report.setting(machine, strangers, words)


if __name__ == "__main__":
    sys.exit(main())
