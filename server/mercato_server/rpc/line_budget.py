"""The bounds on the lines about calls, so that a flood of them fills no disk and drives no other line out of a log."""

import asyncio
from collections import Counter
from collections.abc import Callable

from mercato_server.config.settings import Limits

SUCCESS = "OK"


class LineBudget:
    """Allows a number of lines of each kind in a period, and fewer for one client; many more of calls that went well. Counts the others.

    A period begins with its first line. At its end the count of each kind is reported, so no flood goes unmentioned.
    """

    def __init__(self, limits: Limits, report: Callable[[str, int], None]) -> None:
        """Prepare; `report` writes how many lines of a kind were left out."""
        self._limits = limits
        self._report = report
        self._successes = 0
        self._written: Counter[str] = Counter()
        self._of_client: Counter[tuple[str, str]] = Counter()
        self._left_out: Counter[str] = Counter()
        self._end: asyncio.TimerHandle | None = None

    def take(self, kind: str, client: str) -> bool:
        """Return whether a line about a call that was refused, or slow, may be written."""
        if self._end is None:
            self._begin_period()
        if self._written[kind] >= self._limits.log_lines or self._of_client[kind, client] >= self._limits.log_lines_of_client:
            self._left_out[kind] += 1
            return False
        self._written[kind] += 1
        self._of_client[kind, client] += 1
        return True

    def take_success(self) -> bool:
        """Return whether a line about a call that went well may be written. The edge bounds those of one client."""
        if self._end is None:
            self._begin_period()
        if self._successes >= self._limits.log_lines_of_successes:
            self._left_out[SUCCESS] += 1
            return False
        self._successes += 1
        return True

    def _begin_period(self) -> None:
        self._end = asyncio.get_running_loop().call_later(self._limits.log_period_s, self.end_period)

    def end_period(self) -> None:
        """Report what was left out, and begin anew."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        for kind, count in self._left_out.items():
            self._report(kind, count)
        self._successes = 0
        self._written.clear()
        self._of_client.clear()
        self._left_out.clear()
