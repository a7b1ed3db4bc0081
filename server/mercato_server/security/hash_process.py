"""A process that hashes passwords for a worker. It reads a request from each line of its input, and ends with the input.

It is a process because Linux compares priorities of threads only within a session (sched(7), autogroup), and each PostgreSQL backend has a
session of its own. A thread of low priority would still slow down the database.
"""

import json
import os
import random
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mercato_server.security.passwords import hash_password, verify_password

LOWEST_NICE = "19"
TRIES = 20


def main() -> None:
    """Answer requests until the input ends; the argument is the priority, `idle` or `normal`."""
    if sys.argv[1] == "idle":
        _step_back()
    with suppress(BrokenPipeError, KeyboardInterrupt):  # the worker has gone
        for line in sys.stdin.buffer:
            os.write(sys.stdout.fileno(), json.dumps(_answer(json.loads(line))).encode() + b"\n")


def _answer(request: Mapping[str, str]) -> str | bool:
    """Return whether the password is that of a hash, or the hash of a new one."""
    if "hashed" in request:
        return verify_password(request["password"], request["hashed"], pepper=request["pepper"])
    return hash_password(request["password"], pepper=request["pepper"], cost=int(request["cost"]))


def _step_back() -> None:
    """Lower the priority of this session, and put this process into SCHED_IDLE, so that any process that wakes up preempts it."""
    if os.getsid(0) == os.getpid():  # else the session holds other processes too
        _lower_session()
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _lower_session() -> None:
    for _ in range(TRIES):
        try:
            Path("/proc/self/autogroup").write_text(LOWEST_NICE)
        except BlockingIOError:  # Linux lets ordinary users do so ten times a second, all together
            time.sleep(random.uniform(0.1, 0.2))  # noqa: S311 - jitter, not a secret
        except OSError:  # not on this kernel, or forbidden by a sandbox: it hashes all the same
            return
        else:
            return


if __name__ == "__main__":
    main()
