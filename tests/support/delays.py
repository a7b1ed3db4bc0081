"""Delays after failed logins: they pass while a test runs on a slow machine."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Delays:
    """How many delays of 1, 2, 4 … seconds, one after the other, can have passed; each lets one more attempt through."""

    passed: int = 0


@contextmanager
def delays() -> Iterator[Delays]:
    """Count the delays that can pass in the block."""
    counted, began = Delays(), time.monotonic()
    yield counted
    counted.passed = int(math.log2(time.monotonic() - began + 1))
