"""What a load generator is asked to do, and how it counts and times what becomes of it."""

import asyncio
import base64
import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Request:
    """One request on the wire: an HTTP/2 header block and a gRPC frame, or a whole HTTP/1.1 request in `head`."""

    head: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A closed loop of `concurrency` callers."""

    protocol: str
    """h2 or http1."""
    address: str
    """`/path` of a Unix socket or `host:port`."""
    requests: Sequence[Request]
    concurrency: int
    seconds: float | None
    """How long to go round the requests; None sends each exactly once."""
    repeatable: bool
    """Whether a request must be answered by the same bytes each time."""

    def dump(self) -> bytes:
        """Return the job as one line of text."""
        fields = {name: getattr(self, name) for name in ("protocol", "address", "concurrency", "seconds", "repeatable")}
        requests = [[base64.b64encode(part).decode() for part in (request.head, request.body)] for request in self.requests]
        return json.dumps(fields | {"requests": requests}).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Self:
        """Read what `dump` wrote."""
        fields = json.loads(line)
        requests = [Request(base64.b64decode(head), base64.b64decode(body)) for head, body in fields.pop("requests")]
        return cls(**fields, requests=requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job; only what was answered as it should be is in `count` and the latencies."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float
    reply_bytes: int
    """Length of the last reply's message."""
    generator_cpu_s: float
    failures: dict[str, int]
    unmeasured: int = 0
    """Answered as they should be, but outside of the time that counts."""

    def dump(self) -> bytes:
        """Return the outcome as one line of text."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Self:
        """Read what `dump` wrote."""
        return cls(**json.loads(line))


class Meter:
    """Hands out the requests of a job and notes how each ended."""

    def __init__(self, job: Job) -> None:
        self.finished = asyncio.Event()
        self._requests = job.requests
        self._left: float = math.inf if job.seconds is not None else len(job.requests)
        self._seconds = math.inf if job.seconds is None else job.seconds
        self._repeatable = job.repeatable
        self._replies: dict[int, bytes] = {}
        self._next = 0
        self._in_flight = 0
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()
        self._reply_bytes = 0
        self._began = self._ended = time.perf_counter()
        self._cpu_began = time.process_time()

    def start(self) -> None:
        """Let time run."""
        self._began = self._ended = time.perf_counter()
        self._cpu_began = time.process_time()

    def take(self) -> tuple[int, Request, float] | None:
        """Return the next request with its number and the time; None when the job is over."""
        now = time.perf_counter()
        if self._left <= 0 or now - self._began >= self._seconds:
            self._left = 0
            if self._in_flight == 0:
                self.finished.set()
            return None
        number = self._next
        self._next = (number + 1) % len(self._requests)
        self._left -= 1
        self._in_flight += 1
        return number, self._requests[number], now

    def succeed(self, number: int, sent: float, reply: bytes) -> None:
        """Note a good answer; one that differs from an earlier one to the same request counts as a failure."""
        if self._repeatable and self._replies.setdefault(number, reply) != reply:
            self.fail("the same request was answered differently")
            return
        self._in_flight -= 1
        self._ended = time.perf_counter()
        self._latencies.append(self._ended - sent)
        self._reply_bytes = len(reply)

    def fail(self, why: str) -> None:
        """Note a bad answer."""
        self._in_flight -= 1
        self._failures[why] += 1

    def abandon(self, why: str) -> None:
        """End the job because a connection is of no more use; all that is in flight has failed."""
        if not self.finished.is_set():
            self._failures[why] += max(self._in_flight, 1)
            self._in_flight = 0
            self._left = 0
            self.finished.set()

    def outcome(self) -> Outcome:
        """Sum up."""
        latencies = sorted(self._latencies)
        return Outcome(
            count=len(latencies),
            seconds=self._ended - self._began,
            p50_ms=quantile(latencies, 0.5) * 1000,
            p99_ms=quantile(latencies, 0.99) * 1000,
            reply_bytes=self._reply_bytes,
            generator_cpu_s=time.process_time() - self._cpu_began,
            failures=dict(self._failures.most_common(5)),
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the ordered values lies; NaN of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan
