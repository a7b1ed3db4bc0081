"""Measure REST through Envoy beside a peer: the same calls of a server of FastAPI and SQLAlchemy with the same tables and guarantees."""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import cases
import goods
import peer_stage
import report
import runs
from cases import REST, Case, Load
from mercato_server.db import Conn
from peer_stage import Peer
from report import ROLES, Sample, Spread, rate, ratio
from stage import Stage

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
WARM_UP_S = 1.0
MERCATO, PROXIED, DIRECT = "Mercato, Envoy", "peer, Envoy", "peer, no Envoy"
WAYS = (MERCATO, PROXIED, DIRECT)
GOALS = {"GetProduct": 5.0, "ListProducts(20)": 5.0, "AddCartItem": 8.0, "Checkout, 3 lines": 10.0}
"""How many times the calls of the peer a processor-second of Mercato is wanted to answer."""

Samples = dict[tuple[str, str], Sequence[Sample]]
"""The rounds of each call and way."""


@dataclass(frozen=True, slots=True)
class Line:
    """A call on one way."""

    call: str
    way: str
    case: Case
    running: Stage


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of one measurement (checkouts last until every cart is bought)")
    parser.add_argument("--buyers", type=runs.positive, default=1_000, help="carts that a round of checkouts buys")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s, 400 buyers: a first look")
    if parser.parse_args().quick:
        parser.set_defaults(rounds=3, seconds=1.0, buyers=400)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure, and print and keep the tables; returns what failed."""
    load = Load(options.concurrency, options.seconds)
    async with runs.shop(options.directory) as (running, conn), peer_stage.running(running) as peer:
        lines = await _lines(options, running, peer, conn)
        for line in lines:
            await line.case.run(line.running, conn, Load(options.concurrency, min(WARM_UP_S, options.seconds)))
        rounds = await runs.interleave([partial(_sample, line, conn, load) for line in lines], options.rounds)
        machine = report.machine(await conn.fetchval("SHOW server_version"))
    samples: Samples = {(line.call, line.way): own for line, own in zip(lines, rounds, strict=True)}
    failures = [
        f"{call}, {way}: {count} failed: {why}" for (call, way), own in samples.items() for why, count in report.failures(own).items()
    ]
    setting = _setting(machine, samples, options)
    print(setting, report.text(_table(samples)), report.text(_goals(samples), words=1), sep="\n\n")
    if not (options.no_results or failures):
        page = (setting, report.markdown(_table(samples)), report.markdown(_goals(samples), words=1), NOTE)
        report.write(runs.RESULTS, "peer", _content(machine, samples, options), "\n\n".join(page) + "\n")
    return failures


async def _lines(options: argparse.Namespace, running: Stage, peer: Peer, conn: "Conn") -> list[Line]:
    """Make the goods; every way is measured with all of them, one after the other."""
    shoppers = options.concurrency * SHOPPERS_PER_CALLER
    wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=options.buyers)
    stages = {MERCATO: running, PROXIED: peer.proxied, DIRECT: peer.direct}
    return [Line(case.name, way, case, stages[way]) for case in cases.shop_cases(REST, wares) for way in WAYS]


async def _sample(line: Line, conn: "Conn", load: Load) -> Sample:
    return Sample.of(await line.case.run(line.running, conn, load))


def per_cpu_second(sample: Sample) -> float:
    """Return the calls that are answered in a second of processor time, of all processes that a call goes through."""
    return 1e6 / max(sum(sample.cpu_us.values()), 1e-9)


HEAD = ("call", "of", "per second", "CPU µs", "server", "postgres", "envoy", "p50 ms", "p99 ms")


def _table(samples: Samples) -> list[tuple[str, ...]]:
    """Return the cells of the table, its head first."""

    def spread(own: Sequence[Sample], figure: Callable[[Sample], float]) -> Spread:
        return Spread.of([figure(sample) for sample in own])

    cells: list[tuple[str, ...]] = [HEAD]
    for (call, way), own in samples.items():
        total = spread(own, lambda sample: sum(sample.cpu_us.values()))
        parts = (Spread.of([sample.cpu_us[role] for sample in own]).text(spread=False) for role in ROLES)
        p50, p99 = spread(own, lambda sample: sample.p50_ms), spread(own, lambda sample: sample.p99_ms)
        cells.append((call, way, spread(own, rate).text(), total.text(), *parts, p50.text(1, spread=False), p99.text(1, spread=False)))
    return cells


def _goals(samples: Samples) -> list[tuple[str, ...]]:
    """Return how many times the peer Mercato is, and what is wanted."""
    cells: list[tuple[str, ...]] = [
        ("Mercato ÷ peer", "per CPU-second, peer with Envoy", "peer without", "per second, peer with Envoy", "peer without", "goal", "")
    ]
    for call, goal in GOALS.items():
        own = samples[call, MERCATO]
        found = [ratio(figure, own, samples[call, way]) for figure in (per_cpu_second, rate) for way in (PROXIED, DIRECT)]
        reached = "reached" if found[0].median >= goal else "missed"
        cells.append((call, *(each.text(2) for each in found), f"≥ {goal:g}", reached))
    return cells


def _setting(machine: dict[str, Any], samples: Samples, options: argparse.Namespace) -> str:
    strangers = statistics.median(sample.strangers for own in samples.values() for sample in own)
    words = (
        f"one worker each, {options.concurrency} callers at once, {options.rounds} rounds of {options.seconds:g} s, {options.buyers} buyers"
    )
    return report.setting(machine, strangers, words)


def _content(machine: dict[str, Any], samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "machine": machine,
        "load": {"concurrency": options.concurrency, "rounds": options.rounds, "seconds": options.seconds, "buyers": options.buyers},
        "goals": GOALS,
        "samples": [{"call": call, "way": way, "rounds": [asdict(sample) for sample in own]} for (call, way), own in samples.items()],
    }


NOTE = (
    "Medians over the rounds, lowest and highest in brackets; ratios are taken within each round. Both servers work on one database, in "
    "one run, by turns, and the books of orders, stock and carts must balance after each measurement. CPU is the processor time of the "
    "server, PostgreSQL with its backends, and Envoy for one answered request; the server that is not measured idles meanwhile. Envoy does "
    "for Mercato what it does in `mercato up` (transcoding, validation, access log), and for the peer nothing but pass requests on. The "
    "goal is compared with the peer behind Envoy. PostgreSQL is durable (fsync on)."
)


if __name__ == "__main__":
    sys.exit(main())
