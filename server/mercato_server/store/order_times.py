"""Orders of a time. An order's id has the time of its checkout, so ids bound a list by time."""

from datetime import datetime, timedelta
from uuid import UUID

from mercato_server.domain.moments import EPOCH

MISDATED = "(created_at - uuid_extract_timestamp(id) BETWEEN interval '-10 minutes' AND interval '10 minutes') IS NOT TRUE"
"""Condition of the index `orders_misdated`. The time of any other order's id differs from its `created_at` by what a checkout may take."""
_SLACK = timedelta(minutes=10)


def id_bounds(start: datetime, end: datetime) -> tuple[UUID, UUID]:
    """Return the first id, and the first id after the last, of the orders of a half-open time that are not MISDATED."""
    return _id_at(start - EPOCH - _SLACK), _id_at(end - EPOCH + _SLACK)


def _id_at(since: timedelta) -> UUID:
    """Return the first id of a millisecond since 1970 (RFC 9562 section 5.7)."""
    return UUID(int=max(since // timedelta(milliseconds=1), 0) << 80)
