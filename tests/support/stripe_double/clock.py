"""The time of the double, which a test can move forward and stop."""

import time


class Clock:
    """Unix time, plus what a test has added."""

    def __init__(self) -> None:
        self._added_s = 0.0
        self._stopped: float | None = None

    def exact(self) -> float:
        """Return the time in seconds."""
        return (time.time() if self._stopped is None else self._stopped) + self._added_s

    def now(self) -> int:
        """Return the time in whole seconds, as all objects have it."""
        return int(self.exact())

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._added_s += seconds

    def stop(self) -> None:
        """Stop the time; only `advance` moves it."""
        self._stopped = time.time()
