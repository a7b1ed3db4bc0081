"""Inherited signal handlers and standard streams, made usable. Import this first, so that an early Ctrl-C finds it done.

While the other modules load, SIGINT ends the process without a stack trace. A closed standard stream is opened on /dev/null; otherwise the
next socket would get its number.
"""

import os
import signal
import sys

_interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # false where the shell ignores it, as with `&`
if _interrupts:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def heed_interrupts() -> None:
    """Make SIGINT raise KeyboardInterrupt again, so that event loops can clean up."""
    if _interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def open_standard_streams() -> None:
    """Open closed standard streams on /dev/null."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - takes no keyword
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as this process lives
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
