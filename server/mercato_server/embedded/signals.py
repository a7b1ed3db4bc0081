"""What signals ask of the supervisor: SIGINT and SIGTERM to stop, SIGHUP to reload, unless it tells of a terminal that is gone."""

import asyncio
import os
import signal
from dataclasses import dataclass, field

STOP = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Asked:
    """Events that signals set."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


def watch() -> Asked:
    """Return the events from now on; after the first signal to stop, the next one has its default effect, and the children go with us."""
    asked = Asked()
    loop = asyncio.get_running_loop()
    ends_with_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _in_foreground()  # SIG_IGN: under nohup

    def on_stop() -> None:
        asked.stop.set()
        for number in STOP:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def on_hangup() -> None:
        if not ends_with_terminal or _has_terminal():
            asked.reload.set()
        elif not asked.stop.is_set():  # a closed window sends it more than once
            on_stop()

    for number in STOP:
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    return asked


def _in_foreground() -> bool:
    """Tell whether we are what our terminal runs, and so end when it closes."""
    try:
        terminal = _terminal()
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _has_terminal() -> bool:
    try:
        os.close(_terminal())
    except OSError:
        return False
    return True


def _terminal() -> int:
    return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
