"""Ids that a worker makes itself."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562 section 5.7), as the database makes them: a time in milliseconds, then random bits."""
    random = secrets.randbits(74)
    bits = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1
    return UUID(int=bits)
