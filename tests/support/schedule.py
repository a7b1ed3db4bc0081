"""Which tests run one after the other in one process, and which process takes the next one that is free.

Groups of pytest-xdist would say so where a fixture is, but they are ignored with pytest 9.2, without a word: pytest-xdist issue 1386.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    "tests/faults/",  # each brings its own load and measures time: two at once would both take too long
    "tests/rest/test_limits.py",
    "tests/rest/test_tls.py",
    "tests/rest/",  # the rest share one shop, which takes seconds to start
    "tests/peer/",
    "tests/fuzz/test_rest.py",
    "tests/store/test_statements.py",  # a database of 20,000 products and orders
)
"""Starts of node ids, the more special ones first."""


class Together(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Hands out groups, the largest first, and then single tests in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in TOGETHER if nodeid.startswith(group)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let xdist use these groups, whatever --dist says."""
    return Together(config, log)
