"""Report the faults and counts of the fault tests: a line for each at the end of the run, and a Markdown file."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "counts"
FOLDERS = ("tests/faults/", "tests/ha/")
COLUMNS = ("acknowledged", "refused", "unknown", "retried", "replayed", "duplicates", "lost", "oversold")

Counts = Mapping[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make soak`."""
    parser.addoption("--soak", action="store_true", help="run the fault and fuzz tests with their full numbers")
    parser.addoption(
        "--soak-report", type=Path, help="write what the fault tests counted into this Markdown file, which keeps its other rows"
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the counts."""
    counted = list(_counted(terminalreporter))
    if not counted:
        return
    terminalreporter.section("faults")
    for counts in counted:
        terminalreporter.write_line(_line(counts))
    if path := config.getoption("--soak-report"):
        path.write_text(_report(path.stem, _rows(path, counted)))
        terminalreporter.write_line(f"written to {path}")


def _counted(terminalreporter: Any) -> Iterator[Counts]:
    """Yield the counts of each fault test, including tests that failed before they had counts."""
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if not isinstance(report, pytest.TestReport):
                continue  # the report of a file that could not be collected
            test = report.location[2]
            rest = {"test": test, "outcome": outcome, "seconds": round(report.duration)}
            values = [value for name, value in report.user_properties if name == PROPERTY]
            if values and report.when == "call":
                yield {**json.loads(str(values[0])), **rest}
            elif outcome != "passed" and report.nodeid.startswith(FOLDERS):
                yield {"fault": test, "did": {}, **dict.fromkeys(COLUMNS, 0), "failed": {}, **rest}


def _line(counts: Counts) -> str:
    did = ", ".join(f"{value} {name}" for name, value in counts["did"].items())
    counted = ", ".join(f"{counts[name]} {name}" for name in COLUMNS if counts[name])
    failed = f"; calls failed: {_codes(counts['failed'])}" if counts["failed"] else ""
    return f"{counts['fault']}: {did}; {counted}{failed} ({counts['seconds']} s, {counts['outcome']})"


def _codes(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "none"


def _rows(path: Path, counted: list[Counts]) -> list[str]:
    """Return the rows of the report: new ones for the faults tested now, and the old ones of the others."""
    head = ("fault", "what was done", *COLUMNS, "failed calls", "seconds", "outcome", "on")
    lines = [_row(head), _row(["---"] * len(head)), *(path.read_text().splitlines() if path.exists() else [])]
    rows = {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}
    for counts in counted:
        rows.pop(f"| {counts['test']}", None)  # the test failed before it could name its fault
        cells = (
            counts["fault"],
            ", ".join(f"{value} {name}" for name, value in counts["did"].items()),
            *(str(counts[name]) for name in COLUMNS),
            _codes(counts["failed"]),
            str(counts["seconds"]),
            counts["outcome"],
            f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        )
        rows[f"| {counts['fault']}"] = _row(cells)
    return list(rows.values())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _report(subject: str, rows: Sequence[str]) -> str:
    table = "\n".join(rows)
    return (
        f"# Faults: {subject}\n\nWritten by `make soak`, on "
        f"{os.cpu_count()} cores ({_cpu_model()}), {platform.system()} {platform.release()}, Python {platform.python_version()}. "
        "Common to all but control runs: 0 oversold, 0 duplicates, 0 acknowledged orders lost, `mercato verify` finds nothing.\n\n"
        f"{table}\n"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
