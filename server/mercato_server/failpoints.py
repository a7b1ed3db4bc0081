"""Places where a fault test can make the server kill itself. In production they are not armed, and cost one empty call."""

import os
import random
import signal
from collections.abc import Callable

CHECKOUT_PLACES = ("checkout: locked", "checkout: placed", "before commit", "after commit")
PLACES = (*CHECKOUT_PLACES, "mail: leased", "mail: accepted")


def _nothing(_place: str) -> None:
    pass


hit: Callable[[str], None] = _nothing
"""Call it as `failpoints.hit("place")`: an imported name would not see that `arm` replaces it."""


def arm(spec: str) -> None:
    """Let places kill this process with SIGKILL: `place=probability`, separated by commas; an empty spec disarms all.

    Raises ValueError for an invalid spec or an unknown place.
    """
    chances = {}
    for entry in filter(None, spec.split(",")):
        place, _, chance = entry.partition("=")
        if place not in PLACES:
            raise ValueError(f"there is no failpoint {place!r}; there are: {', '.join(PLACES)}")
        chances[place] = float(chance)

    def kill(place: str) -> None:
        if random.random() < chances.get(place, 0.0):  # noqa: S311 - chance, not a secret
            os.kill(os.getpid(), signal.SIGKILL)

    globals()["hit"] = kill if chances else _nothing
