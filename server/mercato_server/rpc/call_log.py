"""The log of calls: one line of JSON for each, except for most of the reads that went well."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from uuid import uuid4

import structlog
from grpc import StatusCode

from mercato.rpcs import Rpc
from mercato_server.config.settings import Limits
from mercato_server.rpc.context import REQUEST_ID_MAX, Context, Metadata, value_of
from mercato_server.rpc.line_budget import LineBudget

log = structlog.get_logger(__name__)

SLOW = "slow"
"""Kind of the lines about slow calls; those of other calls have the name of their code."""
PLAIN = re.compile(r"[\w.:/-]*", re.ASCII)
"""A string that JSON does not escape."""

FLUSH_S = 0.05
"""A line about a call that went well is written so much later at most: rendered together, lines take a fifth of the time."""
PENDING_MAX = 64
"""Lines that wait for that. A worker that is killed loses so many at most."""

Write = Callable[[str, Sequence[str]], None]
"""Writes lines, each an object of JSON, at a level."""
Ended = Callable[[Context, float], None]
"""Logs a call that has ended and took so many seconds, if it has a line."""


def through_structlog(level: str, lines: Sequence[str]) -> None:
    """Write lines as any other entry of the log: for people, and for tests."""
    for line in lines:
        fields = json.loads(line)
        del fields["level"], fields["timestamp"]
        getattr(log, level)(**fields)


class Sample:
    """Chooses the first of so many reads; 1 chooses each, 0 none."""

    __slots__ = ("_every", "_left")

    def __init__(self, every: int) -> None:
        self._every = every
        self._left = 1 if every else 0

    def take(self) -> bool:
        """Return whether the next read is chosen."""
        self._left -= 1
        if self._left:
            return False
        self._left = self._every
        return True


class CallLog:
    """Writes the lines of a worker's calls.

    Each call that changes something has a line, and each that failed or was slow, within the bounds of `Limits`. Of reads that went well,
    the first of `reads_per_line` of each RPC has one, from memory or not. At the level `debug` each call has one.

    A line is rendered here, since structlog takes several times as long. Those about calls that went well wait for others.
    """

    def __init__(self, limits: Limits, reads_per_line: int, write: Write = through_structlog) -> None:
        """Prepare; `write` takes the lines. The level is that of structlog."""
        self._limits = limits
        self._reads_per_line = reads_per_line
        self._write = write
        self._samples: dict[str, Sample] = {}
        self._pending: list[Callable[[], str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.lines = LineBudget(limits, _report)

    def ended(self, rpc: Rpc) -> Ended:
        """Return the function that logs calls of an RPC."""
        least = _least_level()  # evaluated once: it costs more than most lines
        sample = self._sample(rpc)

        def ended(context: Context, took_s: float) -> None:
            slow = took_s >= self._limits.slow_call_s and not rpc.streams  # the client sets the pace of a stream
            if least > (logging.WARNING if slow else logging.INFO):
                return
            if least > logging.DEBUG and not self._has_line(context, sample, slow=slow):
                return
            line = partial(_line, context, time.time(), took_s, slow=slow)
            if slow or least <= logging.DEBUG or context.code is not StatusCode.OK:
                self.flush()
                self._write("warning" if slow else "info", [line()])
            else:
                self._append(line)

        return ended

    def from_memory(self, rpc: Rpc) -> Callable[[Metadata, float], None]:
        """Return the function that logs answers from memory: the caller's metadata, and the moment (`time.perf_counter`) of the start."""
        least = _least_level()
        sample = self._sample(rpc)

        def answered(received: Metadata, began: float) -> None:
            if least <= logging.DEBUG or (sample.take() and least <= logging.INFO and self.lines.take_success()):
                self._append(partial(_cached_line, rpc, received, time.time(), time.perf_counter() - began))
                if least <= logging.DEBUG:
                    self.flush()

        return answered

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        if pending:
            self._write("info", [line() for line in pending])

    def end(self) -> None:
        """Write the lines that wait, and how many were left out."""
        self.flush()
        self.lines.end_period()

    def _append(self, line: Callable[[], str]) -> None:
        self._pending.append(line)
        if len(self._pending) >= PENDING_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def _sample(self, rpc: Rpc) -> Sample:
        """Return the sample of an RPC; reads from memory and others share it."""
        return self._samples.setdefault(rpc.path, Sample(self._reads_per_line if rpc.reads else 1))

    def _has_line(self, context: Context, sample: Sample, *, slow: bool) -> bool:
        if slow or context.code is not StatusCode.OK:
            return self.lines.take(SLOW if slow else context.code.name, context.device.network)
        return sample.take() and self.lines.take_success()


def _least_level() -> int:
    """Return the lowest level that is logged."""
    return next(level for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL) if log.is_enabled_for(level))


def _report(kind: str, count: int) -> None:
    log.info("more calls ended so", kind=kind, calls=count)


def _line(context: Context, ended: float, took_s: float, *, slow: bool) -> str:
    caller, trace, work = context.caller_id, context.trace_id, context.work
    of_account = f', "account_id": "{caller}"' if caller else ""
    of_trace = f', "trace_id": "{trace}"' if trace else ""
    of_batch = f', "batch_size": {work.batch_size}' if work.batch_size else ""
    return (
        f'{{"event": "call", "level": "{"warning" if slow else "info"}", "timestamp": "{_time(ended)}", "method": "{context.rpc.path}",'
        f' "code": "{context.code.name}", "request_id": {_quoted(context.request_id)}{of_trace}{of_account}, "ms": {took_s * 1000:.1f},'
        f' "statements": {work.statements}, "statement_ms": {work.statement_s * 1000:.1f}{of_batch}}}'
    )


def _cached_line(rpc: Rpc, received: Metadata, ended: float, took_s: float) -> str:
    given = value_of(received, "x-request-id") or ""
    request_id = given if 0 < len(given) <= REQUEST_ID_MAX else str(uuid4())
    return (
        f'{{"event": "call", "level": "info", "timestamp": "{_time(ended)}", "method": "{rpc.path}", "code": "OK",'
        f' "request_id": {_quoted(request_id)}, "ms": {took_s * 1000:.1f}, "from_memory": true}}'
    )


def _time(moment: float) -> str:
    second, fraction = divmod(moment, 1)
    return f"{_until_second(int(second))}.{int(fraction * 1e6):06}Z"


@lru_cache(2)
def _until_second(second: int) -> str:
    """Return a time up to its second in ISO 8601. Formatting it takes longer than the rest of a line."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def _quoted(text: str) -> str:
    return f'"{text}"' if PLAIN.fullmatch(text) else json.dumps(text)
