"""End a test that hangs, and show what its process waits for: a run that never ends names no test."""

import asyncio
import faulthandler
import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from support.patience import patient

LONGEST = 5
"""Multiple of a test's patience after which it hangs; the longest test takes less than one."""
PAUSE_S = 5.0
HANGS = 70
"""Exit code of the process, sysexits(3)."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch a test with its fixtures; the full numbers of `--soak` may take hours."""
    if item.config.getoption("--soak"):
        return (yield)
    done = threading.Event()
    stderr = os.fdopen(os.dup(item.config.stash[fault_handler_stderr_fd_key]), "w")  # the one that is not captured
    watch = threading.Thread(target=_watch, args=(item.nodeid, done, stderr), daemon=True)
    watch.start()
    try:
        return (yield)
    finally:
        done.set()
        watch.join()
        stderr.close()


def _watch(test: str, done: threading.Event, stderr: TextIO) -> None:
    began = time.monotonic()
    while not done.wait(PAUSE_S):
        if time.monotonic() - began > LONGEST * patient():
            print(f"\n{test} hangs. Its tasks:", file=stderr)
            for task in [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]:
                task.print_stack(file=stderr)
            stderr.flush()
            faulthandler.dump_traceback(stderr)
            os._exit(HANGS)
