"""`make flake` finds a test that fails at random, and reports the seed and the log of the failed run."""

from pathlib import Path

import flake

FLAKY = """
from pathlib import Path

def test_that_always_passes():
    pass

def test_that_fails_every_second_time():
    runs = Path(__file__).with_name("runs")
    runs.write_text(runs.read_text() + "." if runs.exists() else ".")
    assert len(runs.read_text()) % 2
"""


def run(directory: Path, *arguments: str) -> int:
    (directory / "test_flaky.py").write_text(FLAKY)
    paths = ["--", "-p", "no:cacheprovider", "--rootdir", str(directory), str(directory / "test_flaky.py")]
    return flake.main(["--seed", "1", "--neighbours", "1", "--directory", str(directory / "logs"), *arguments, *paths])


def test_a_test_that_fails_at_random_is_reported_with_the_seed_and_the_log(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    assert run(tmp_path, "--runs", "2", "--report", str(report)) == 1
    page = report.read_text()
    assert "1 of 2 runs were clean" in page
    [told] = [line for line in page.splitlines() if line.startswith("- ")]
    assert "::test_that_fails_every_second_time`: failed in 1 of 2 runs: 2 (`--random-order-seed=" in told
    assert told.endswith("1 neighbours, run-2.log)")
    assert "1 failed, 1 passed" in (tmp_path / "logs/run-2.log").read_text()
    (tmp_path / "runs").unlink()
    assert run(tmp_path, "--runs", "1") == 0


def test_a_run_that_pytest_could_not_begin_is_a_failure(tmp_path: Path) -> None:
    assert flake.main(["--runs", "1", "--directory", str(tmp_path), "--", str(tmp_path / "absent.py")]) == 1
