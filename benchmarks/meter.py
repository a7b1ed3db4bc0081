"""The job of a load generator, and the counts and latencies of its requests."""

import asyncio
import base64
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from typing import Self

SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)


@dataclass(frozen=True, slots=True)
class Request:
    """One request on the wire: an HTTP/2 header block and a gRPC frame, or a whole HTTP/1.1 request in `head`."""

    head: bytes
    body: bytes = b""
    path: str = ""
    """Fields with which other programs send the same request, beside the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A closed loop of `concurrency` callers. With a `rate` they wait until each request is due, and its latency counts from then on."""

    protocol: str
    """h2 or http1."""
    address: str
    """`/path` of a Unix socket or `host:port`."""
    requests: Sequence[Request]
    concurrency: int
    seconds: float
    """Seconds for which the requests are repeated."""
    repeatable: bool
    """Whether each answer to a request must have the same bytes."""
    once: bool = False
    """Whether each request is sent at most once; the job may end sooner then."""
    rate: float | None = None
    """Requests a second; http1 only."""
    cores: Sequence[int] = ()
    """Cores on which the generator runs; any without."""
    refusal: str = ""
    """The gRPC status of a refusal that is a right answer too; none without. h2 only."""

    def dump(self) -> bytes:
        """Return the job as one line of text."""
        fields = {each.name: getattr(self, each.name) for each in dataclass_fields(self) if each.name != "requests"}
        requests = [[base64.b64encode(part).decode() for part in (request.head, request.body)] for request in self.requests]
        return json.dumps(fields | {"requests": requests}).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Self:
        """Parse the output of `dump`."""
        fields = json.loads(line)
        requests = [Request(base64.b64decode(head), base64.b64decode(body)) for head, body in fields.pop("requests")]
        return cls(**fields, requests=requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a job; `count` and the latencies cover only correct answers."""

    count: int
    seconds: float
    curve_ms: Sequence[float]
    """Latencies: each share of SHARES took no longer."""
    reply_bytes: int
    """Length of the last reply's message."""
    generator_cpu_s: float
    failures: dict[str, int]
    unmeasured: int = 0
    """Correct answers outside of the time that counts."""
    connections: int = 1
    """Connections that were open until the end."""
    refused: int = 0
    """Correct answers that are refusals."""

    @property
    def p50_ms(self) -> float:
        """The median latency."""
        return self.curve_ms[SHARES.index(0.5)]

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the latencies."""
        return self.curve_ms[SHARES.index(0.99)]

    def dump(self) -> bytes:
        """Return the outcome as one line of text."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Self:
        """Parse the output of `dump`."""
        return cls(**json.loads(line))


class Meter:
    """Hands out the requests of a job and records how each ended."""

    def __init__(self, job: Job) -> None:
        self.finished = asyncio.Event()
        self.refusal = job.refusal
        self.lost = 0
        """Connections that the server has closed after their last answer."""
        self._requests = job.requests
        self._left = len(job.requests) if job.once else math.inf
        self._seconds = job.seconds
        self._repeatable = job.repeatable
        self._interval_s = 1 / job.rate if job.rate else 0.0
        self._taken = 0
        self._replies: dict[int, bytes] = {}
        self._next = 0
        self._in_flight = 0
        self._latencies: list[float] = []
        self._refused = 0
        self._failures: Counter[str] = Counter()
        self._reply_bytes = 0
        self._began = self._ended = time.perf_counter()
        self._cpu_began = time.process_time()

    def start(self) -> None:
        """Start the clock."""
        self._began = self._ended = time.perf_counter()
        self._cpu_began = time.process_time()

    def take(self) -> tuple[int, Request, float] | None:
        """Return the next request with its number and due time, None at the end. Without a rate it is due now."""
        due = self._began + self._taken * self._interval_s if self._interval_s else time.perf_counter()
        if self._left <= 0 or due - self._began >= self._seconds:
            self._left = 0
            if self._in_flight == 0:
                self.finished.set()
            return None
        number = self._next
        self._next = (number + 1) % len(self._requests)
        self._left -= 1
        self._taken += 1
        self._in_flight += 1
        return number, self._requests[number], due

    def succeed(self, number: int, sent: float, reply: bytes) -> None:
        """Record a correct answer. An answer that differs from an earlier one to the same request counts as a failure."""
        if self._repeatable and self._replies.setdefault(number, reply) != reply:
            self.fail("the same request was answered differently")
            return
        self._in_flight -= 1
        self._ended = time.perf_counter()
        self._latencies.append(self._ended - sent)
        self._reply_bytes = len(reply)

    def refuse(self, sent: float) -> None:
        """Record a refusal that is a correct answer."""
        self._in_flight -= 1
        self._ended = time.perf_counter()
        self._latencies.append(self._ended - sent)
        self._refused += 1

    def fail(self, why: str) -> None:
        """Record a wrong answer."""
        self._in_flight -= 1
        self._failures[why] += 1

    def abandon(self, why: str) -> None:
        """End the job because a connection is unusable; all requests in flight have failed."""
        if not self.finished.is_set():
            self._failures[why] += max(self._in_flight, 1)
            self._in_flight = 0
            self._left = 0
            self.finished.set()

    def outcome(self) -> Outcome:
        """Return the counts and latencies."""
        return Outcome(
            count=len(self._latencies),
            seconds=self._ended - self._began,
            curve_ms=curve_ms(self._latencies),
            reply_bytes=self._reply_bytes,
            generator_cpu_s=time.process_time() - self._cpu_began,
            failures=dict(self._failures.most_common(5)),
            refused=self._refused,
        )


def curve_ms(latencies_s: Iterable[float]) -> list[float]:
    """Return the latency in milliseconds that each of SHARES took at most; NaN if there are no latencies."""
    ordered = sorted(latencies_s)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else math.nan for share in SHARES]
