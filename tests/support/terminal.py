"""The command `mercato` at a terminal of its own."""

import os
import pty
import selectors
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from support.patience import patient

AT_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from mercato.cli.__main__ import main
sys.argv[0] = "mercato"
sys.exit(main())
"""


class Terminal:
    """A command that runs at a terminal; what it prints, and what a person types."""

    def __init__(self, arguments: tuple[str, ...], environ: Mapping[str, str], cwd: Path) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 160))
        command = [sys.executable, "-c", AT_TERMINAL, *arguments]
        path = {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
        self._process = subprocess.Popen(
            command, env={**path, **environ}, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        self._theirs = theirs
        self.printed = ""

    def expect(self, text: str) -> None:
        """Read until a text is printed."""
        self._read(lambda: text in self.printed, text)

    def types(self, text: str) -> None:
        """Type a text; `\\x03` is Ctrl-C."""
        os.write(self._ours, text.encode())

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def ended(self) -> int:
        """Wait for the end of the command; return its exit code. All that it printed has been read then."""
        self._read(lambda: self._process.poll() is not None, "the end")
        self._read(None, "the rest")
        return self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self, until: object, what: str) -> None:
        """Read until a condition holds, or without one until nothing is left to read."""
        deadline = time.monotonic() + patient()
        with selectors.DefaultSelector() as selector:
            selector.register(self._ours, selectors.EVENT_READ)
            while not (callable(until) and until()):
                assert time.monotonic() < deadline, f"no {what!r} in {self.printed!r}"
                if selector.select(0.05):
                    self.printed += os.read(self._ours, 65536).decode(errors="replace")
                elif until is None:
                    return
