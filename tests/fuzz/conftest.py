"""Fixtures that draw examples and count the answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.fuzz_report import PROPERTY

Drawn = TypeVar("Drawn")

EXAMPLES = 20
"""Examples of a round. Hypothesis draws the first ten of a run afresh; most of the others are mutations of earlier ones."""


@dataclass
class Fuzz:
    """Draws examples, the same ones for the same seed."""

    seed: int
    soak: bool
    answers: dict[str, dict[str, int]]
    """How often each RPC was answered with each code."""

    def count(self, rpc: str, code: str) -> None:
        counts = self.answers.setdefault(rpc, {})
        counts[code] = counts.get(code, 0) + 1

    def draw(self, name: str, strategy: st.SearchStrategy[Drawn], judge: Callable[[Drawn], None], *, quick: int, full: int) -> None:
        """Pass examples to `judge`: `quick` of them in a short run, `full` with --soak. A failing example is shrunk."""
        examples = full if self.soak else quick
        for number, drawn in enumerate(range(0, examples, EXAMPLES)):
            size = hypothesis_settings(
                max_examples=min(EXAMPLES, examples - drawn),
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            test: Any = seed(f"{self.seed} {name} {number}")(size(given(strategy)(lambda example: judge(example))))  # noqa: PLW0108 - given() wants a function
            test()


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[Fuzz]:
    """A source of examples, whose counts go into the report."""
    answers: dict[str, dict[str, int]] = {}
    record_property(PROPERTY, answers)  # now, because the report of the test reads this dictionary after the test has filled it
    with quiet():
        yield Fuzz(request.config.option.fuzz_seed, request.config.option.soak, answers)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the logs of thousands of calls out of the report, except errors."""
    kept = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    try:
        yield
    finally:
        structlog.configure(**kept)
