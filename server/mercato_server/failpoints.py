"""Failpoints: places where a fault test makes the server kill itself. A failpoint that is not armed costs one empty call."""

import os
import random
import signal
from collections.abc import Callable

CHECKOUT_PLACES = ("checkout: locked", "checkout: placed", "before commit", "after commit")
PAYMENT_PLACES = ("payments: sending", "payments: answered", "payments: read")
PLACES = (*CHECKOUT_PLACES, *PAYMENT_PLACES, "mail: leased", "mail: accepted")


def _nothing(_place: str) -> None:
    pass


hit: Callable[[str], None] = _nothing
"""Mark a place. Call it as `failpoints.hit("place")`, because `arm` replaces this attribute of the module."""


def arm(spec: str) -> None:
    """Arm failpoints, which then kill this process with SIGKILL: `place=probability`, separated by commas. An empty spec disarms all.

    Raises ValueError for an invalid spec or an unknown place.
    """
    chances = {}
    for entry in filter(None, spec.split(",")):
        place, _, chance = entry.partition("=")
        if place not in PLACES:
            raise ValueError(f"unknown failpoint {place!r}; use one of: {', '.join(PLACES)}")
        chances[place] = float(chance)

    def kill(place: str) -> None:
        if random.random() < chances.get(place, 0.0):  # noqa: S311 - chance, not a secret
            os.kill(os.getpid(), signal.SIGKILL)

    globals()["hit"] = kill if chances else _nothing
