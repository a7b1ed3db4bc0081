"""Run programs as the processes of one machine: when it gets SIGTERM, or one of them ends, all die at once, as in a power failure.

Arguments: a list of commands as JSON. Patroni starts PostgreSQL in a session of its own, so that it outlives Patroni. This process adopts
such orphans, and no signal can miss them. The kernel sends it SIGTERM when the process that started it has ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from embedded.watch import children
from mercato_server.embedded.privileges import prctl

PR_SET_CHILD_SUBREAPER = 36
PAUSE_S = 0.002


def signal_all(number: signal.Signals) -> bool:
    """Send a signal to all processes of the machine; return whether there was one."""
    pids = children(os.getpid())
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)


def power_off(*_: object) -> None:
    """Kill all processes. They are suspended first, so that none of them can still act on the death of another."""
    signal_all(signal.SIGSTOP)
    while signal_all(signal.SIGKILL):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(PAUSE_S)
    sys.exit(0)


def main() -> None:
    """Start the programs, and reap what ends until one of them does."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, power_off)
    programs = {subprocess.Popen(argv).pid for argv in json.loads(sys.argv[1])}
    while os.wait()[0] not in programs:
        pass
    power_off()


if __name__ == "__main__":
    main()
