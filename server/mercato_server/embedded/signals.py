"""Signals of the supervisor: SIGINT and SIGTERM stop it; SIGHUP reloads, or stops it if its terminal was closed."""

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
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by SIGINT, and by a second signal to stop: a person at a terminal does not want to wait."""


def watch(*, kills: bool = True) -> Asked:
    """Install the handlers and return their events.

    If `kills`, a second signal to stop has its default effect: it kills the supervisor, and the kernel then ends the children.
    """
    asked = Asked()
    loop = asyncio.get_running_loop()
    ends_with_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _in_foreground()  # SIG_IGN: under nohup

    def on_interrupt() -> None:
        asked.interrupted.set()
        on_stop()

    def on_stop() -> None:
        if asked.stop.is_set():
            asked.interrupted.set()
        asked.stop.set()
        for number in STOP if kills else ():
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def on_hangup() -> None:
        if not ends_with_terminal or _has_terminal():
            asked.reload.set()
        elif not asked.stop.is_set():  # a closed window sends it more than once
            on_stop()

    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    return asked


def _in_foreground() -> bool:
    """Tell whether this is the foreground process of a terminal, which then ends when the terminal closes."""
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
