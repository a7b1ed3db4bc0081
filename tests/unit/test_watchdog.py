"""A test that hangs is named with what it waits for."""

import subprocess
import sys
from pathlib import Path

from support.patience import patient

HANG = """
import asyncio, sys, threading
from support import watchdog

async def wait_for_nothing():
    await asyncio.Event().wait()

watchdog.LONGEST, watchdog.PAUSE_S = 0, 0.1
threading.Thread(target=watchdog._watch, args=("tests/test_it.py::test_it", threading.Event(), sys.stderr), daemon=True).start()
asyncio.run(wait_for_nothing())
"""


def test_a_test_that_hangs_is_ended_with_its_name_and_its_tasks() -> None:
    tests = Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", HANG], cwd=tests, capture_output=True, text=True, timeout=patient(), check=False)
    assert ended.returncode == 70
    assert "tests/test_it.py::test_it hangs" in ended.stderr
    assert "in wait_for_nothing" in ended.stderr
