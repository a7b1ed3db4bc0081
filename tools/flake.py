"""Repeat tests in random order, every second run beside busy processes, and report the tests that fail at random.

A run leaves its log and its JUnit file; the report names the seed that repeats its order.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
SEEDS = 10**6
BUSY = "while True: pass"
FAILED = ("failure", "error")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests: how it was started and how it ended."""

    number: int
    seed: int
    neighbours: int
    code: int
    seconds: float
    counts: dict[str, int]
    failed: tuple[str, ...]
    log: Path

    @property
    def is_clean(self) -> bool:
        """Whether no test failed and pytest exited with success."""
        return self.code == 0 and not self.failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 if any run failed."""
    options = _options(argv)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="mercato-flake-"))
    directory.mkdir(parents=True, exist_ok=True)
    seeds = random.Random(options.seed)  # noqa: S311 - an order of tests, not a secret
    print(f"logs: {directory}", flush=True)
    runs = []
    for number in range(1, options.runs + 1):
        neighbours = options.neighbours if number % 2 == 0 else 0
        runs.append(_run(number, seeds.randrange(SEEDS), neighbours, directory, options.pytest))
        print(_line(runs[-1]), flush=True)
    page = report(runs, options.pytest)
    print(page)
    if options.report:
        options.report.write_text(page)
    return 0 if all(run.is_clean for run in runs) else 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="how many; the even ones run beside neighbours")
    parser.add_argument("--neighbours", type=int, default=os.cpu_count(), help="busy loops beside every second run")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(SEEDS), help="what the orders are drawn from")
    parser.add_argument("--directory", type=Path, help="where logs go; default: a new one")
    parser.add_argument("--report", type=Path, help="write the report into this Markdown file too")
    parser.add_argument("pytest", nargs="*", default=["-n", "4"], help="arguments of pytest, after --; default: all tests, as in make test")
    return parser.parse_args(argv)


def _run(number: int, seed: int, neighbours: int, directory: Path, arguments: Sequence[str]) -> Run:
    log, results = directory / f"run-{number}.log", directory / f"run-{number}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--random-order", f"--random-order-seed={seed}", f"--junitxml={results}", *arguments]
    began = time.monotonic()
    with log.open("w") as output, _busy(neighbours):
        code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    counts, failed = _results(results)
    return Run(number, seed, neighbours, code, time.monotonic() - began, counts, failed, log)


@contextlib.contextmanager
def _busy(neighbours: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _results(path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the numbers of tests that passed, failed and were skipped, and the failed ones; none if pytest wrote no results."""
    counts, failed = {"passed": 0, "failed": 0, "skipped": 0}, []
    for case in ET.parse(path).iter("testcase") if path.exists() else ():  # noqa: S314 - pytest wrote it
        outcomes = {child.tag for child in case}
        outcome = "failed" if outcomes.intersection(FAILED) else "skipped" if "skipped" in outcomes else "passed"
        counts[outcome] += 1
        if outcome == "failed":
            failed.append(f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}")
    return counts, tuple(dict.fromkeys(failed))


def report(runs: Sequence[Run], arguments: Sequence[str]) -> str:
    """Return the report in Markdown: a row for each run, then each failed test with its runs."""
    failures: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for test in run.failed:
            failures[test].append(run)
    clean = sum(run.is_clean for run in runs)
    rows = [
        f"| {run.number} | {run.seed} | {run.neighbours} | {run.counts['passed']} | {run.counts['failed']} | {run.counts['skipped']} "
        f"| {run.seconds:.0f} | {run.code} |"
        for run in runs
    ]
    told = [
        f"- `{test}`: failed in {len(where)} of {len(runs)} runs: "
        + ", ".join(f"{run.number} (`--random-order-seed={run.seed}`, {run.neighbours} neighbours, {run.log.name})" for run in where)
        for test, where in sorted(failures.items(), key=lambda item: -len(item[1]))
    ]
    head = (
        f"`pytest {' '.join(arguments)}`, {len(runs)} times in random order on {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}: "
        f"{clean} of {len(runs)} runs were clean."
    )
    columns = "| run | seed | busy loops beside it | passed | failed | skipped | seconds | exit code |"
    return "\n".join((head, "", columns, "|--:|--:|--:|--:|--:|--:|--:|--:|", *rows, *([""] if told else []), *told, ""))


def _line(run: Run) -> str:
    return f"run {run.number}: {run.counts}, {run.seconds:.0f} s, seed {run.seed}, {run.neighbours} neighbours {' '.join(run.failed)}"


if __name__ == "__main__":
    sys.exit(main())
