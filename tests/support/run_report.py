"""Report at the end of a run the skipped tests, and the seconds of each folder."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import needs

RECORDED = Path(__file__).parent.parent / "times.json"
SLOWEST = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that records the times of a run."""
    parser.addoption("--record-times", action="store_true", help=f"write the seconds of each folder into tests/{RECORDED.name}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in CI that skipped a test for a reason that is not allowed in CI."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and exitstatus == pytest.ExitCode.OK and in_ci() and any(map(is_unwanted, skips(reporter))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the skipped tests, the slow tests, and the seconds of each folder beside the last recorded ones."""
    reasons = skips(terminalreporter)
    if reasons:
        terminalreporter.section("skipped")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5}  {reason}{'  <- CI must run this' * (in_ci() and is_unwanted(reason))}")
    spent, slowest = _times(terminalreporter)
    if not spent:
        return
    terminalreporter.section(f"seconds of tests, over all processes (recorded: {RECORDED.name})")
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for line in table(spent, recorded):
        terminalreporter.write_line(line)
    for seconds, test in slowest:
        terminalreporter.write_line(f"{seconds:8.1f}  {test}")
    if config.getoption("--record-times"):
        kept = {folder: [len(each), round(sum(each), 1)] for folder, each in spent.items()}
        RECORDED.write_text(json.dumps(dict(sorted((recorded | kept).items())), indent=1) + "\n")
        terminalreporter.write_line(f"recorded in {RECORDED}")


def in_ci() -> bool:
    """Return whether this is a run of CI, by the variable that CI systems set."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def skips(terminalreporter: Any) -> Counter[str]:
    """Return how many tests were skipped for each reason."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = (str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr) for report in reports)
    return Counter(reason.removeprefix("Skipped: ") for reason in reasons)


def is_unwanted(reason: str) -> bool:
    """Return whether CI must not skip a test for a reason."""
    return not any(need.is_optional_in_ci and need.explains(reason) for need in needs.ALL)


def table(spent: dict[str, list[float]], recorded: dict[str, tuple[int, float]]) -> Iterator[str]:
    """Yield a line for each folder and one for all: tests and seconds, now and as recorded."""
    rows = {folder: (len(each), sum(each)) for folder, each in sorted(spent.items())}
    yield f"{'':20}{'tests':>7}{'seconds':>9}{'recorded':>16}"
    for folder, (count, seconds) in rows.items():
        before = "{:>7}{:>9.1f}".format(*recorded[folder]) if folder in recorded else f"{'-':>16}"
        yield f"{folder:20}{count:>7}{seconds:>9.1f}{before}"
    yield f"{'all':20}{sum(count for count, _ in rows.values()):>7}{sum(seconds for _, seconds in rows.values()):>9.1f}"


def _times(terminalreporter: Any) -> tuple[dict[str, list[float]], list[tuple[float, str]]]:
    """Return the seconds of each test by folder, including its fixtures, and the slowest tests."""
    tests: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                tests[report.nodeid] += report.duration
    spent: dict[str, list[float]] = defaultdict(list)
    for test, seconds in tests.items():
        spent["/".join(test.split("::")[0].split("/")[:2])].append(seconds)
    return dict(spent), sorted(((seconds, test) for test, seconds in tests.items()), reverse=True)[:SLOWEST]
