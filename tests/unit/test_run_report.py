"""The report at the end of a run: skipped tests, which fail CI unless allowed, and seconds beside the recorded ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs
from support.run_report import is_unwanted, table

SKIPPING = """
import pytest
from support import needs

def test_that_passes():
    pass

@pytest.mark.skipif(True, reason="it is raining")
def test_for_fine_weather():
    pass

@needs.ROOT.unless(False)
def test_for_root():
    pass

def test_for_a_browser():
    needs.CHROMIUM.skip()
"""
TESTS = Path(__file__).parent.parent


def run(directory: Path, ci: str, *selected: str) -> tuple[int, str]:
    """Run the tests above, or the selected ones, with the plugin; return the exit code and the output."""
    (directory / "test_skipping.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "support.run_report", "--rootdir", str(directory), "test_skipping.py", *selected]
    environ = os.environ | {"PYTHONPATH": str(TESTS), "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_skipped_tests_are_listed_with_the_command_that_enables_them(tmp_path: Path) -> None:
    code, told = run(tmp_path, "")
    assert code == 0
    assert "1  chromium is not installed; to run it: apt-get install chromium chromium-driver\n" in told
    assert "1  only root may change users and mount file systems; to run it: make test, as root\n" in told
    assert "1  it is raining\n" in told
    assert "CI must run this" not in told


def test_in_ci_a_skip_for_another_reason_than_those_listed_is_a_failure(tmp_path: Path) -> None:
    code, told = run(tmp_path, "true")
    assert code == 1
    marked = [line for line in told.splitlines() if line.endswith("  <- CI must run this")]
    assert len(marked) == 2
    assert run(tmp_path, "true", "-k", "root or passes")[0] == 0


@pytest.mark.parametrize("need", needs.ALL, ids=lambda need: need.missing)
def test_a_need_is_known_by_the_reason_that_pytest_is_given(need: needs.Need) -> None:
    reason = need.unless(available=False).kwargs["reason"]
    assert [each for each in needs.ALL if each.explains(reason)] == [need]
    assert is_unwanted(f"Skipped: {reason}") is not need.is_optional_in_ci


def test_the_seconds_of_a_folder_stand_beside_those_recorded() -> None:
    lines = list(table({"tests/new": [0.5], "tests/old": [1.0, 2.25]}, {"tests/old": (1, 2.0)}))
    assert [line.split() for line in lines[1:]] == [
        ["tests/new", "1", "0.5", "-"],
        ["tests/old", "2", "3.2", "1", "2.0"],
        ["all", "3", "3.8"],
    ]
