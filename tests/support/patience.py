"""Time limits of tests: the slowness of this machine now, the patience of a test, and the time that the product may take.

No other part of the tests has a number of seconds for these.
"""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast, overload

import pytest

PATIENCE_S = 60.0
"""Seconds that a test on the reference machine waits for a condition, which normally comes true within a second or two."""
BUSY = 3
"""A run shares the machine with its servers and other tests, so it asserts this multiple of each bound; `--soak` asserts the bounds."""
REFERENCE_S = 0.0088
"""Seconds of `_work` on the reference machine: 2 idle cores (AMD EPYC), Python 3.11."""
STALE_S = 2.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.005, 0.1

Answer = TypeVar("Answer")
Errors = type[Exception] | tuple[type[Exception], ...]
Within = Callable[[float], float]


def _work() -> float:
    """Return the seconds of a fixed amount of work, which is long enough that another process runs meanwhile."""
    began, state = time.perf_counter(), 0
    for number in range(200_000):
        state = (state * 31 + number) % 1_000_003
    return time.perf_counter() - began


class _Gauge:
    """The last measurement, which is valid for STALE_S."""

    slowness = 1.0
    until = 0.0


def slowness() -> float:
    """Return how many times slower than the reference machine this machine is now under its load; at least 1."""
    if time.monotonic() > _Gauge.until:
        _Gauge.slowness = max(1.0, min(_work(), _work()) / REFERENCE_S)
        _Gauge.until = time.monotonic() + STALE_S
    return _Gauge.slowness


def patient() -> float:
    """Return the seconds that a test waits, before it fails, for a condition without a bound."""
    return PATIENCE_S * slowness()


def allowed(limit_s: float) -> float:
    """Return the seconds that the product may take now for an operation with the bound `limit_s`."""
    return limit_s * BUSY * slowness()


@pytest.fixture
def within(request: pytest.FixtureRequest) -> Within:
    """Return a function from a bound to the seconds allowed now; the slower of before and after the test's work counts."""
    if request.config.getoption("--soak"):
        return lambda limit_s: limit_s
    before = slowness()
    return lambda limit_s: limit_s * BUSY * max(before, slowness())


@overload
async def until(condition: Callable[[], Awaitable[Answer]], what: str = "", *, despite: Errors = ()) -> Answer: ...


@overload
async def until(condition: Callable[[], Answer], what: str = "", *, despite: Errors = ()) -> Answer: ...


async def until(condition: Callable[[], Any], what: str = "", *, despite: Errors = ()) -> Any:
    """Return the first answer of a condition that is true.

    Args:
        condition: a function, or one that returns an awaitable.
        what: names the condition if it never comes true.
        despite: errors that mean "not yet".

    Raises:
        AssertionError: patience ended; the message has the last answer.
    """
    wait = _Wait(condition, what)
    limit = asyncio.timeout(wait.limit_s)
    try:
        async with limit:
            while True:
                try:
                    answer = condition()
                    wait.last = await answer if inspect.isawaitable(answer) else answer
                except despite as error:
                    wait.last = error
                else:
                    if wait.last:
                        return wait.last
                await asyncio.sleep(wait.pause_s())
    except TimeoutError:
        if not limit.expired():
            raise
    raise wait.failure()


def until_sync(condition: Callable[[], Answer], what: str = "", *, despite: Errors = ()) -> Answer:
    """Return the first answer of a condition that is true, for code without an event loop; see `until`."""
    wait = _Wait(condition, what)
    while True:
        try:
            answer = wait.last = condition()
        except despite as error:
            wait.last = error
        else:
            if answer:
                return answer
        if not wait.goes_on():
            raise wait.failure()
        time.sleep(wait.pause_s())


class _Wait:
    """One wait: its limit, its pauses, and its error message."""

    def __init__(self, condition: object, what: str) -> None:
        self.limit_s = patient()
        self.last: object = None
        self._until = time.monotonic() + self.limit_s
        self._what = what or _source(condition)
        self._pause_s = FIRST_PAUSE_S

    def goes_on(self) -> bool:
        return time.monotonic() < self._until

    def pause_s(self) -> float:
        self._pause_s = min(self._pause_s * 1.2, LAST_PAUSE_S)
        return self._pause_s

    def failure(self) -> AssertionError:
        return AssertionError(f"never came true in {self.limit_s:.0f} s: {self._what}; the last answer was {self.last!r}")


def _source(condition: object) -> str:
    try:
        return " ".join(inspect.getsource(cast("Callable[[], object]", condition)).split())[:200]
    except (OSError, TypeError):
        return repr(condition)


@contextmanager
def or_else(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` if a block outlasts patience: for a read that blocks, `act` kills the process that it reads from."""
    timer = threading.Timer(patient(), act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def pytest_report_header() -> str:
    """Print the slowness of the machine in the head of a run."""
    return f"patience: work takes {slowness():.1f} times as long here and now as on the reference machine"
