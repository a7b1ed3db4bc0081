"""A process that hashes passwords for a worker: requests come line by line on its input, and it ends with that.

A process and not a thread: what hashes is to take only the processor time that nothing else wants, and Linux looks at the priorities of
threads within a session alone (sched(7), autogroup), while each backend of PostgreSQL has a session of its own.
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
    """Answer requests until there are none; the argument is the priority, `idle` or `normal`."""
    if sys.argv[1] == "idle":
        _step_back()
    with suppress(BrokenPipeError, KeyboardInterrupt):  # nobody is left to hear the answer
        for line in sys.stdin.buffer:
            os.write(sys.stdout.fileno(), json.dumps(_answer(json.loads(line))).encode() + b"\n")


def _answer(request: Mapping[str, str]) -> str | bool:
    """Return whether the password is that of a hash, or the hash of a new one."""
    if "hashed" in request:
        return verify_password(request["password"], request["hashed"], pepper=request["pepper"])
    return hash_password(request["password"], pepper=request["pepper"], cost=int(request["cost"]))


def _step_back() -> None:
    """Give way to everybody: to those of other sessions as a session, and to all as a process, at once when they wake up."""
    if os.getsid(0) == os.getpid():  # else it is the session of others, too
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
