"""The pauses of background work: between its rounds, and before work that has failed is tried again (backoff)."""

import random

DOUBLINGS_MAX = 64
"""A limit on the exponent: a float would overflow after a thousand failures."""


def pause_s(first_s: float, failures: int, longest_s: float) -> float:
    """Return the seconds to wait after a number of failures in a row.

    The pause is `first_s` after the first failure, and doubles with each further one up to `longest_s`. The result is a random part of it,
    at least half, so that workers that fail together do not try again together.
    """
    pause = min(first_s * 2.0 ** min(max(failures - 1, 0), DOUBLINGS_MAX), longest_s)
    return pause * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret


def jittered(interval_s: float) -> float:
    """Return a random time of half an interval to one and a half, so that workers do not all begin a round at once."""
    return interval_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
