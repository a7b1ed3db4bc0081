"""What a command inherits and cannot use as it is; import this first, so that an early Ctrl-C finds it done.

While the other modules load, SIGINT ends the process without a stack. A standard stream that is closed becomes /dev/null, or the next
socket would have its number.
"""

import os
import signal
import sys

_interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so where the shell has it ignored, as with `&`
if _interrupts:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def heed_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt again, which event loops turn into an end in order."""
    if _interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def open_standard_streams() -> None:
    """Open what is closed of standard input, output and error on /dev/null."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - takes no keyword
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as this process lives
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
