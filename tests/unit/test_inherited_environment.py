"""A test run puts its inherited process state into a known one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

STATE = """
import json, os, resource, signal, subprocess, time
import support.inherited_environment
child = "import json, signal, sys; print(json.dumps([signal.getsignal(n) == signal.SIG_DFL for n in map(int, sys.argv[1:])]))"
numbers = [str(int(n)) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)]
umask = os.umask(0)
print(json.dumps({
    "environ": dict(os.environ),
    "umask": umask,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "timezone": time.tzname[0],
    "survived": [os.kill(os.getpid(), int(n)) for n in numbers],
    "child": json.loads(subprocess.check_output(["python3", "-c", child, *numbers])),
}))
"""
LEFT = {"DATABASE_URL": "x", "SECRET_KEY": "x", "MERCATO_CURRENCY": "x", "PGHOST": "x", "http_proxy": "x", "LC_TIME": "tr_TR.UTF-8"}


def ignore_and_block() -> None:
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def test_a_run_does_not_depend_on_how_it_was_started() -> None:
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parent.parent)}
    environ |= {**LEFT, "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"}
    output = subprocess.check_output([sys.executable, "-c", STATE], env=environ, umask=0o077, preexec_fn=ignore_and_block)
    state = json.loads(output)
    assert not LEFT.keys() & state["environ"].keys()
    assert (state["environ"]["LC_ALL"], state["timezone"], state["umask"], state["blocked"]) == ("C.UTF-8", "UTC", 0o022, 0)
    assert state["survived"] == [None] * 3  # the process still ignores the signal
    assert state["child"] == [True] * 3  # but its child programs do not
