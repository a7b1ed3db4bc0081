"""Schedule groups of tests that must run one after the other in one process; other tests run in any free process.

Groups of pytest-xdist could be declared beside a fixture, but with pytest 9.2 they are silently ignored: pytest-xdist issue 1386.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    "tests/faults/",  # each makes its own load and measures time: two at once would both take too long
    "tests/ha/",  # one cluster, which takes a quarter of a minute to start
    "tests/rest/test_limits.py",
    "tests/rest/test_tls.py",
    "tests/rest/",  # the other tests of the folder share one shop, which takes seconds to start
    "tests/commands/",  # so do these
    "tests/typescript/",
    "tests/packages/",  # they share a shop and the built packages
    "tests/docs/",  # one shop, in which the pages run in their order
    "tests/peer/",
    "tests/fuzz/test_rest.py",
    "tests/store/test_statements.py",  # a database of 20,000 products and orders
)
"""Prefixes of node ids, the more specific ones first."""


class Together(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Hands out groups, the largest first, and then single tests in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in TOGETHER if nodeid.startswith(group)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let xdist use these groups, for any value of --dist."""
    return Together(config, log)
