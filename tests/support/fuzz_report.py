"""Report the calls of the fuzz tests and their answers: a line per RPC at the end of the run, and a Markdown file."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "fuzzed"

Answers = Mapping[str, Mapping[str, int]]
"""How often each RPC was answered with each code."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that reproduce a run and that name the file for its counts."""
    parser.addoption("--fuzz-seed", type=int, help="what the fuzz tests draw from; without it the same each time, and any with --soak")
    parser.addoption("--fuzz-report", type=Path, help="write what the fuzz tests counted into this Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.fuzz_seed is None:
        config.option.fuzz_seed = random.SystemRandom().randrange(10**9) if config.option.soak else 0


def pytest_report_header(config: pytest.Config) -> str:
    return f"fuzz seed: {config.option.fuzz_seed}"  # here too, for a run that is stopped early


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the counts."""
    counted = dict(_counted(terminalreporter))
    if not counted:
        return
    again = f"pytest tests/fuzz {'--soak ' * config.option.soak}--fuzz-seed {config.option.fuzz_seed}"
    terminalreporter.section(f"fuzz; the same again: {again}")
    for test, answers in counted.items():
        terminalreporter.write_line(f"{test}: {_total(answers)}")
        for rpc, codes in sorted(answers.items()):
            terminalreporter.write_line(f"  {rpc}: {_codes(codes)}")
    if path := config.option.fuzz_report:
        path.write_text(_report(counted, again))
        terminalreporter.write_line(f"written to {path}")


def _counted(terminalreporter: Any) -> Iterator[tuple[str, Answers]]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == PROPERTY and report.when == "call":
                    yield f"{report.location[2]} ({outcome}, {report.duration:.0f} s)", value


def _total(answers: Answers) -> str:
    calls = sum(sum(codes.values()) for codes in answers.values())
    distinct = {code for codes in answers.values() for code in codes}
    return f"{calls} calls of {len(answers)} RPCs or routes, {len(distinct)} different codes"


def _codes(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))


def _report(counted: Mapping[str, Answers], again: str) -> str:
    parts = [f"# Fuzzing\n\nWritten by `make soak` on {datetime.now(UTC):%Y-%m-%d}; the same calls again: `{again}`.\n"]
    for test, answers in counted.items():
        rows = "\n".join(f"| {rpc} | {_codes(codes)} |" for rpc, codes in sorted(answers.items()))
        parts.append(f"## {test}\n\n{_total(answers)}.\n\n| RPC or route | answers |\n| --- | --- |\n{rows}\n")
    return "\n".join(parts)
