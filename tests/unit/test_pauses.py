"""The pauses between attempts of background work."""

import pytest

from mercato_server.domain import backoff

DRAWS = 1000


@pytest.mark.parametrize(
    ("failures", "shortest_s", "longest_s"),
    [(0, 0.5, 1), (1, 0.5, 1), (2, 1, 2), (3, 2, 4), (6, 16, 32), (7, 30, 60), (1_025, 30, 60), (2**31, 30, 60)],
)
def test_a_pause_doubles_with_each_failure_up_to_its_limit(failures: int, shortest_s: float, longest_s: float) -> None:
    pauses = [backoff.pause_s(1, failures, 60) for _ in range(DRAWS)]
    assert shortest_s <= min(pauses)
    assert max(pauses) <= longest_s
    assert len(set(pauses)) > 1, "workers that fail together would try again together"
