"""Measure checkouts with the coalescer on and off, on many products and on one, beside pgbench and an empty RPC."""

import argparse
import random
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import UUID

import cases
import goods
import pgbench
import report
import runs
from cases import GRPC, Case, Load, Run
from goods import Cart
from mercato_server.db import Conn
from report import Sample, Spread, rate, ratio
from stage import WORKER, Stage

ALONE = "worker-alone"
WORKERS = {WORKER: {}, ALONE: {"MERCATO_BATCH_MAX": "1"}}
PRODUCTS = 3_000
"""So that buyers of distinct products share none with those who buy at the same time."""
EMPTY_S = 2.0
LONE_MAX = 500

EMPTY = "empty RPC"
DISTINCT, HOT = "distinct products", "one hot product"
ON, OFF, PGBENCH = "coalescer on", "coalescer off", "pgbench"
LONE_ON, LONE_OFF = "lone buyer, coalescer on", "lone buyer, coalescer off"

Samples = dict[tuple[str, str], Sequence[Sample]]
"""The rounds of each line of the table, by its two names."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio, taken within each round, that is wanted."""

    name: str
    figure: Callable[[Sample], float]
    line: tuple[str, str]
    base: tuple[str, str]
    bound: float
    at_least: bool = True

    def found(self, samples: Samples) -> Spread:
        """Return the ratio."""
        return ratio(self.figure, samples[self.line], samples[self.base])

    def reached(self, samples: Samples) -> bool:
        """Tell whether the median is as wanted."""
        median = self.found(samples).median
        return median >= self.bound if self.at_least else median <= self.bound


# The last one is to be no worse, but for the noise.
GOALS = (
    Goal("coalescer on ÷ pgbench", rate, (ON, DISTINCT), (PGBENCH, DISTINCT), 3.0),
    Goal("coalescer on ÷ empty RPC", rate, (ON, DISTINCT), (EMPTY, ""), 0.7),
    Goal("hot ÷ distinct, coalescer on", rate, (ON, HOT), (ON, DISTINCT), 0.8),
    Goal(
        "p50 of a lone buyer, coalescer on ÷ off",
        lambda sample: sample.p50_ms,
        (LONE_ON, DISTINCT),
        (LONE_OFF, DISTINCT),
        1.1,
        at_least=False,
    ),
)


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument("--turns", type=runs.positive, default=50, help="checkouts of each caller in one measurement")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 32 turns: a first look")
    parser.set_defaults(rounds=3)
    if parser.parse_args().quick:
        parser.set_defaults(rounds=3, turns=32)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure, and print and keep the tables; returns what failed."""
    async with runs.shop(options.directory, workers=WORKERS, edge=False) as (running, conn):
        carts = await _carts(conn, running.secret_key, options.concurrency * options.turns)
        lines = await _lines(running, conn, carts, options.concurrency)
        rounds = await runs.interleave([partial(_sample, line) for line in lines.values()], options.rounds)
        machine = report.machine(await conn.fetchval("SHOW server_version"))
    samples: Samples = dict(zip(lines, rounds, strict=True))
    failures = [f"{' '.join(line)}: {count} failed: {why}" for line in lines for why, count in report.failures(samples[line]).items()]
    setting = _setting(machine, samples, options)
    print(setting, report.text(_table(samples)), report.text(_goals(samples), words=1), sep="\n\n")
    if not (options.no_results or failures):
        page = (setting, report.markdown(_table(samples)), report.markdown(_goals(samples), words=1), NOTE)
        report.write(runs.RESULTS, "checkouts", _content(machine, samples, options), "\n\n".join(page) + "\n")
    return failures


async def _carts(conn: "Conn", secret_key: str, count: int) -> dict[str, list[Cart]]:
    """Make carts of distinct products, and carts that hold one and the same product beside distinct ones."""
    products = await goods.make_products(conn, PRODUCTS)
    random.Random(count).shuffle(products)  # noqa: S311 - neighbours on a page must not be neighbours in a cart
    hot, *others = products
    contents = {DISTINCT: _dealt(products, goods.LINES, count), HOT: [(hot, *rest) for rest in _dealt(others, goods.LINES - 1, count)]}
    made = {}
    for number, (kind, held) in enumerate(contents.items()):
        made[kind] = await goods.make_carts(conn, secret_key, 1 + number * count, held)
    await goods.analyze(conn)
    return made


def _dealt(products: Sequence[UUID], size: int, count: int) -> list[tuple[UUID, ...]]:
    """Deal products in hands until there are enough hands, from the beginning again when they run out."""
    hands = len(products) // size
    return [tuple(products[number % hands * size : (number % hands + 1) * size]) for number in range(count)]


async def _lines(
    running: Stage, conn: "Conn", carts: dict[str, list[Cart]], concurrency: int
) -> dict[tuple[str, str], Callable[[], Awaitable[Run]]]:
    """Return what is measured, all of it warmed up: pools, plans, caches."""
    crowd, lone = Load(concurrency, EMPTY_S), Load(1, EMPTY_S)

    def run(case: Case, load: Load) -> Callable[[], Awaitable[Run]]:
        return partial(case.run, running, conn, load)

    lines = {(EMPTY, ""): run(cases.empty(), crowd)}
    for kind, held in carts.items():
        lines[ON, kind] = run(cases.checkout(GRPC, held), crowd)
    for kind, held in carts.items():  # takes long enough with half of them
        lines[OFF, kind] = run(cases.checkout(GRPC, held[::2], worker=ALONE), crowd)
    few = carts[DISTINCT][:LONE_MAX]
    lines[LONE_ON, DISTINCT] = run(cases.checkout(GRPC, few), lone)
    lines[LONE_OFF, DISTINCT] = run(cases.checkout(GRPC, few, worker=ALONE), lone)
    warmed_up = {line: await measure() for line, measure in lines.items()}
    reply_bytes = warmed_up[ON, DISTINCT].outcome.reply_bytes
    for kind, held in carts.items():
        lines[PGBENCH, kind] = partial(cases.sell, conn, held, partial(pgbench.checkouts, running, held, concurrency, reply_bytes))
    return lines


async def _sample(measure: Callable[[], Awaitable[Run]]) -> Sample:
    return Sample.of(await measure())


HEAD = (
    "",
    "",
    "per second",
    "× empty",  # noqa: RUF001 - the sign of multiplication
    "× pgbench",  # noqa: RUF001
    "hot ÷ distinct",
    "worker CPU µs",
    "PostgreSQL CPU µs",
    "orders per transaction",
    "p50 ms",
    "p99 ms",
)


def _table(samples: Samples) -> list[tuple[str, ...]]:
    """Return the cells of the table, its head first."""
    return [HEAD, *(_cells(samples, line) for line in samples)]


def _cells(samples: Samples, line: tuple[str, str]) -> tuple[str, ...]:
    name, kind = line
    own = samples[line]

    def times(base: tuple[str, str], *, wanted: bool) -> str:
        return ratio(rate, own, samples[base]).text(2) if wanted else ""

    crowded = name in (ON, OFF, PGBENCH)
    figures = _figures(own)
    return (
        *line,
        figures["rate"].text(),
        times((EMPTY, ""), wanted=crowded),
        times((PGBENCH, kind), wanted=crowded and name != PGBENCH),
        times((name, DISTINCT), wanted=kind == HOT),
        *(figures[role].text(spread=False) for role in ("worker", "postgres")),
        figures["batch"].text(1, spread=False) if kind else "",
        *(figures[name].text(2) for name in ("p50_ms", "p99_ms")),
    )


def _figures(own: Sequence[Sample]) -> dict[str, Spread]:
    figures: dict[str, Callable[[Sample], float]] = {
        "rate": rate,
        "worker": lambda sample: sample.cpu_us["worker"],
        "postgres": lambda sample: sample.cpu_us["postgres"],
        "generator": lambda sample: sample.generator_us,
        "batch": lambda sample: sample.batch,
        "p50_ms": lambda sample: sample.p50_ms,
        "p99_ms": lambda sample: sample.p99_ms,
    }
    return {name: Spread.of([figure(sample) for sample in own]) for name, figure in figures.items()}


def _goals(samples: Samples) -> list[tuple[str, ...]]:
    lines = [
        (
            goal.name,
            f"{'≥' if goal.at_least else '≤'} {goal.bound:g}",
            goal.found(samples).text(2),
            "yes" if goal.reached(samples) else "no",
        )
        for goal in GOALS
    ]
    return [("goal", "wanted", "found", "reached"), *lines]


def _setting(machine: dict[str, Any], samples: Samples, options: argparse.Namespace) -> str:
    strangers = statistics.median(sample.strangers for rounds in samples.values() for sample in rounds)
    turns = f"{options.turns} checkouts of {goods.LINES} lines for each, {options.rounds} rounds"
    return report.setting(machine, strangers, f"one worker at a time, {options.concurrency} callers at once, {turns}")


def _content(machine: dict[str, Any], samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    lines = [{"name": name, "products": kind, **_spreads(rounds)} for (name, kind), rounds in samples.items()]
    goals = [
        {"goal": goal.name, "wanted": goal.bound, "found": asdict(goal.found(samples)), "reached": goal.reached(samples)} for goal in GOALS
    ]
    load = {name: getattr(options, name) for name in ("concurrency", "turns", "rounds")}
    return {"machine": machine, "load": load, "lines": lines, "goals": goals}


def _spreads(rounds: Sequence[Sample]) -> dict[str, Any]:
    return {name: asdict(spread) for name, spread in _figures(rounds).items()}


NOTE = (
    "Medians over the rounds, lowest and highest in brackets; ratios are taken within each round, in which the lines are measured one "
    "after the other, every second round backwards. Buyers call with an idempotency key over gRPC, straight at a worker. A cart of the "
    "hot product holds two more lines, of products that nobody else buys at the same time. The coalescer is off in another worker on the "
    "same database, with MERCATO_BATCH_MAX=1: each order is a transaction of its own, and as many are under way as the pool has "
    "connections. pgbench runs `checkout.sql`, the same statements for the same carts with the same session settings: as many clients, "
    "a connection and prepared statements for each, no gRPC, tokens or Python. The time in which its sessions plan does not count. After "
    "every measurement the orders, units and carts in the database agreed with the answers, and at the end the stock with its ledger. "
    "PostgreSQL is durable (fsync on). The load generator, pgbench too, shares the cores with all this; its processor time is not in the "
    "table."
)


if __name__ == "__main__":
    sys.exit(main())
